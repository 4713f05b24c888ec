/// Range of intensities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Extent {
    /// Least number; infinite when there is none.
    pub(crate) low: f64,
    /// Largest number; negatively infinite when there is none.
    pub(crate) high: f64,
    /// Whether every intensity is a whole number; no NaN among them.
    pub(crate) is_whole: bool,
}

/// Adding it rounds a number below 2^51 to a whole one.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// Intensities looked at side by side.
const LANES: usize = 8;

impl Extent {
    /// Of `values`, leaving out NaN.
    pub(crate) fn of(values: &[f64]) -> Self {
        let (mut low, mut high, mut fractions) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], [0.0; LANES]);
        let (blocks, rest) = values.as_chunks::<LANES>();
        let mut padded = [f64::NAN; LANES];
        if let Some(&last) = values.last() {
            padded = [last; LANES];
            padded[..rest.len()].copy_from_slice(rest);
        }
        for block in blocks.iter().chain(std::iter::once(&padded)) {
            for lane in 0..LANES {
                let v = block[lane];
                low[lane] = if v < low[lane] { v } else { low[lane] };
                high[lane] = if v > high[lane] { v } else { high[lane] };
                fractions[lane] += ((v + ROUNDING) - ROUNDING - v).abs();
            }
        }
        Self {
            low: low.into_iter().fold(f64::INFINITY, f64::min),
            high: high.into_iter().fold(f64::NEG_INFINITY, f64::max),
            is_whole: fractions.iter().sum::<f64>() == 0.0,
        }
    }

    /// Number of whole numbers from the least to the largest; `None` when not all are whole or there are more than
    /// `most` of them.
    pub(crate) fn whole_numbers(self, most: usize) -> Option<usize> {
        let span = self.high - self.low;
        (self.is_whole && span < most as f64).then_some(span as usize + 1)
    }

    /// Index from the least of the whole number `value`.
    pub(crate) fn index(self, value: f64) -> usize {
        // The last bits of 2^52 + n are those of n; a cast would test its range.
        ((value - self.low + 4_503_599_627_370_496.0).to_bits() & 0xFFFF_FFFF) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_and_missing_numbers_are_not_whole() {
        let whole: Vec<f64> = (-5..30).map(f64::from).collect();
        let extent = Extent::of(&whole);
        assert_eq!(extent, Extent { low: -5.0, high: 29.0, is_whole: true });
        assert_eq!((extent.whole_numbers(35), extent.whole_numbers(34)), (Some(35), None));
        assert_eq!(whole.iter().map(|&v| extent.index(v)).collect::<Vec<_>>(), (0..35).collect::<Vec<_>>());
        for other in [0.5, f64::NAN, f64::INFINITY] {
            for at in [0, 7, 34] {
                let mut values = whole.clone();
                values[at] = other;
                assert!(!Extent::of(&values).is_whole, "{other} at {at}");
            }
        }
        let with_nan = [f64::NAN, 2.0, 1.0, f64::NAN];
        assert_eq!((Extent::of(&with_nan).low, Extent::of(&with_nan).high), (1.0, 2.0));
        assert_eq!(Extent::of(&[]).whole_numbers(10), None);
    }
}

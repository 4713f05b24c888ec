use crate::Error;
use crate::extent::Extent;
use crate::prepare::Number;

/// Largest number of occupied grey levels.
const MOST_LEVELS: usize = 4096;

/// Whole intensities of at most this range are looked up in a table.
const MOST_TABLED: usize = 1 << 16;

/// Largest grey level.
const HIGHEST_LEVEL: f64 = 1e7;

/// How intensities become grey levels 1, 2, ...
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub enum Discretisation {
    /// Bins of one width W. The lowest edge is the multiple of W at or below the minimum, `min - (min mod W)`.
    BinWidth(f64),
    /// This many equal bins between the minimum and the maximum, both included.
    BinCount(u32),
}

/// Grey levels of a region.
pub(crate) struct Discretised {
    /// Position of each voxel's level in `grey`, plus 1, in the order of the values.
    pub(crate) levels: Vec<u16>,
    /// The occupied grey levels, ascending.
    pub(crate) grey: Vec<u32>,
    /// Voxels at each of `grey`.
    pub(crate) counts: Vec<usize>,
}

impl Discretised {
    /// Grey levels of `values`; a NaN takes the number of edges, one beyond every bin, as PyRadiomics does.
    ///
    /// # Errors
    /// [`Error::TooManyLevels`].
    pub(crate) fn of(values: &[f64], rule: Discretisation, number: Number) -> Result<Self, Error> {
        let edges = Edges::of(values, rule, number);
        if edges.count > HIGHEST_LEVEL || edges.count.is_nan() {
            return Err(Error::TooManyLevels { found: edges.count as usize, limit: MOST_LEVELS });
        }
        match edges.extent.whole_numbers(MOST_TABLED) {
            Some(span) => Self::of_whole(values, &edges, span),
            None => Self::of_levels(&values.iter().map(|&v| edges.level(v)).collect::<Vec<u32>>()),
        }
    }

    /// Grey levels of whole numbers, `span` from the least to the largest: each is discretised once.
    fn of_whole(values: &[f64], edges: &Edges, span: usize) -> Result<Self, Error> {
        let extent = edges.extent;
        let mut voxels = vec![0usize; span];
        values.iter().for_each(|&v| voxels[extent.index(v)] += 1);
        let (mut grey, mut counts, mut position): (Vec<u32>, Vec<usize>, Vec<u16>) = Default::default();
        for (index, &voxels) in voxels.iter().enumerate() {
            if voxels > 0 {
                let level = edges.level(extent.low + index as f64);
                if grey.last() != Some(&level) {
                    grey.push(level);
                    counts.push(0);
                }
                *counts.last_mut().expect("one was pushed") += voxels;
            }
            position.push(grey.len() as u16);
        }
        if grey.len() > MOST_LEVELS {
            return Err(Error::TooManyLevels { found: grey.len(), limit: MOST_LEVELS });
        }
        Ok(Self { levels: values.iter().map(|&v| position[extent.index(v)]).collect(), grey, counts })
    }

    /// Grey levels as they are.
    ///
    /// # Errors
    /// [`Error::TooManyLevels`].
    pub(crate) fn of_levels(levels: &[u32]) -> Result<Self, Error> {
        let highest = levels.iter().copied().max().unwrap_or(0);
        if f64::from(highest) > HIGHEST_LEVEL {
            return Err(Error::TooManyLevels { found: highest as usize, limit: MOST_LEVELS });
        }
        let mut occupied = vec![0usize; highest as usize + 1];
        levels.iter().for_each(|&level| occupied[level as usize] += 1);
        let grey: Vec<u32> = (0..=highest).filter(|&level| occupied[level as usize] > 0).collect();
        if grey.len() > MOST_LEVELS {
            return Err(Error::TooManyLevels { found: grey.len(), limit: MOST_LEVELS });
        }
        let counts: Vec<usize> = grey.iter().map(|&level| occupied[level as usize]).collect();
        let mut position = vec![0u16; occupied.len()];
        grey.iter().zip(1..).for_each(|(&level, index)| position[level as usize] = index);
        Ok(Self { levels: levels.iter().map(|&level| position[level as usize]).collect(), grey, counts })
    }

    /// The highest occupied grey level.
    pub(crate) fn highest(&self) -> u32 {
        self.grey.last().copied().unwrap_or(0)
    }
}

/// Bin edges; a value's level is the number of edges at or below it.
struct Edges {
    lowest: f64,
    step: f64,
    count: f64,
    extent: Extent,
    /// The edges themselves, when they are not `lowest + i·step`.
    listed: Option<Vec<f64>>,
}

impl Edges {
    fn of(values: &[f64], rule: Discretisation, number: Number) -> Self {
        let extent = Extent::of(values);
        let Extent { low, high, .. } = extent;
        match rule {
            Discretisation::BinWidth(width) => {
                let remainder = low % width;
                let floored = if remainder < 0.0 { remainder + width } else { remainder };
                let lowest = low - floored;
                let count = ((high + 2.0 * width - lowest) / width).ceil();
                // Not the width itself: NumPy's arange steps by the difference of its first two numbers.
                Self { lowest, step: (lowest + width) - lowest, count, extent, listed: None }
            }
            Discretisation::BinCount(bins) => {
                let (low, high) = if low == high { (low - 0.5, high + 0.5) } else { (low, high) };
                let step = (high - low) / f64::from(bins);
                let mut edges: Vec<f64> = (0..bins).map(|i| f64::from(i) * step + low).chain([high]).collect();
                if number == Number::Single {
                    edges.iter_mut().for_each(|edge| *edge = f64::from(*edge as f32));
                }
                if let Some(last) = edges.last_mut() {
                    *last = if number == Number::Single { f64::from(*last as f32 + 1.0) } else { *last + 1.0 };
                }
                Self { lowest: low, step, count: edges.len() as f64, extent, listed: Some(edges) }
            }
        }
    }

    fn edge(&self, index: f64) -> f64 {
        match &self.listed {
            Some(edges) => edges.get(index as usize).copied().unwrap_or(f64::INFINITY),
            None => self.lowest + index * self.step,
        }
    }

    fn level(&self, value: f64) -> u32 {
        if value.is_nan() {
            return self.count as u32;
        }
        let guess = ((value - self.lowest) / self.step).clamp(0.0, self.count - 1.0) as u32;
        let mut level = f64::from(guess);
        if self.edge(level) <= value && self.edge(level + 1.0) > value {
            return guess + 1;
        }
        while level < self.count && self.edge(level) <= value {
            level += 1.0;
        }
        while level > 0.0 && self.edge(level - 1.0) > value {
            level -= 1.0;
        }
        level as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey_of(values: &[f64], rule: Discretisation, number: Number) -> Vec<u32> {
        let found = Discretised::of(values, rule, number).unwrap();
        assert_eq!(found.counts.iter().sum::<usize>(), values.len());
        found.levels.iter().map(|&level| found.grey[usize::from(level) - 1]).collect()
    }

    #[test]
    fn edges_lie_at_multiples_of_the_width() {
        let rows: [(&[f64], f64, &[u32]); 4] = [
            (&[-30.0, -25.0, 0.0, 24.9, 25.0], 25.0, &[1, 2, 3, 3, 4]),
            (&[7.0, 7.0], 25.0, &[1, 1]),
            (&[0.1, 0.3, 0.9], 0.25, &[1, 2, 4]),
            (&[1.0, f64::NAN, 26.0], 25.0, &[1, 4, 2]),
        ];
        for (values, width, expected) in rows {
            assert_eq!(grey_of(values, Discretisation::BinWidth(width), Number::Double), expected);
        }
    }

    #[test]
    fn the_maximum_falls_into_the_last_of_counted_bins() {
        let rows: [(&[f64], u32, &[u32]); 3] =
            [(&[0.0, 1.0, 2.0, 3.0, 4.0], 4, &[1, 2, 3, 4, 4]), (&[5.0, 5.0], 4, &[3, 3]), (&[0.0, 10.0], 1, &[1, 1])];
        for (values, bins, expected) in rows {
            assert_eq!(grey_of(values, Discretisation::BinCount(bins), Number::Single), expected);
        }
    }

    #[test]
    fn a_bin_too_narrow_is_refused() {
        let values: Vec<f64> = (0..5000).map(f64::from).collect();
        let refusal = Discretised::of(&values, Discretisation::BinWidth(1.0), Number::Double).err();
        assert_eq!(refusal, Some(Error::TooManyLevels { found: 5000, limit: MOST_LEVELS }));
    }
}

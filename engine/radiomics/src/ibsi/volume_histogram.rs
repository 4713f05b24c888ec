//! Intensity-volume histogram.

use super::{Discretisation, Region};
use crate::family::Named;
use crate::table::{Outcome, quotient};

/// In the order of the reference tables.
pub(crate) const NAMES: [Named; 7] = [
    ("ivh_v10", Some("BC2M")),
    ("ivh_v90", Some("BC2M")),
    ("ivh_i10", Some("GBPN")),
    ("ivh_i90", Some("GBPN")),
    ("ivh_diff_v10_v90", Some("DDTU")),
    ("ivh_diff_i10_i90", Some("CNV2")),
    ("ivh_auc", Some("9CMM")),
];

/// Features of the share of the volume that has at least an intensity, IBSI manual 3.5.
///
/// With levels i of intensity `gᵢ`, the volume fraction `νᵢ` is the share of the voxels at level i or above, and the
/// intensity fraction is `γᵢ = (gᵢ - g_low)/(g_high - g_low)`. The volume at an intensity fraction x is `νᵢ` of the lowest
/// level with `γᵢ ≥ x`; the intensity at a volume fraction x is `gᵢ` of the lowest level with `νᵢ ≤ x`, one level above
/// the highest where even that one holds more than x. The area under the curve is that of `ν` over `γ` by the trapezoidal
/// rule, 0 for a single level.
///
/// Levels and their range:
/// - [`Discretisation::None`]: one unit apart, from the lower to the upper end of the resegmentation range;
/// - [`Discretisation::FixedBinSize`]: centres of the bins of that range;
/// - [`Discretisation::FixedBinNumber`]: the numbers 1 to n of the bins between the region's extremes.
///
/// Where the range is open, the region's own minimum or maximum takes its place. In a flat region without a range the one
/// level has intensity fraction 1.
pub(crate) fn features(region: &Region, bins: Discretisation) -> [Outcome; NAMES.len()] {
    let curve = Curve::of(region, bins);
    let (v10, v90) = (curve.volume_at(0.1), curve.volume_at(0.9));
    let (i10, i90) = (curve.intensity_at(0.1), curve.intensity_at(0.9));
    [Ok(v10), Ok(v90), Ok(i10), Ok(i90), Ok(v10 - v90), Ok(i10 - i90), curve.area()]
}

struct Curve {
    /// Level of each voxel, from 0, ascending.
    levels: Vec<f64>,
    /// Number of steps from the lowest to the highest level of the range; not whole for intensities that are not.
    steps: f64,
    /// Intensity of level 0.
    lowest: f64,
    /// Intensity from one level to the next.
    step: f64,
}

impl Curve {
    fn of(region: &Region, bins: Discretisation) -> Self {
        let mut sorted = region.intensities.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let (minimum, maximum) = (sorted[0], sorted[sorted.len() - 1]);
        let (low, high) = region.range;
        let low = if low.is_finite() { low } else { minimum };
        let in_bins = |x: f64, width: f64| ((x - low) / width).floor();
        let (steps, lowest, step) = match bins {
            Discretisation::None => (if high.is_finite() { high } else { maximum } - low, low, 1.0),
            Discretisation::FixedBinSize(width) => {
                let closed = ((high - low) / width).ceil() - 1.0;
                let steps = if high.is_finite() { closed.max(0.0) } else { in_bins(maximum, width) };
                (steps, low + 0.5 * width, width)
            }
            Discretisation::FixedBinNumber(count) if maximum == minimum => (0.0, f64::from(count), 1.0),
            Discretisation::FixedBinNumber(count) => (f64::from(count) - 1.0, 1.0, 1.0),
        };
        let level = |x: f64| match bins {
            Discretisation::None => in_bins(x, 1.0),
            Discretisation::FixedBinSize(width) => in_bins(x, width),
            Discretisation::FixedBinNumber(_) if maximum == minimum => 0.0,
            Discretisation::FixedBinNumber(count) => {
                (f64::from(count) * (x - minimum) / (maximum - minimum)).floor().min(f64::from(count) - 1.0)
            }
        };
        Self { levels: sorted.into_iter().map(level).collect(), steps, lowest, step }
    }

    /// Share of the voxels at `level` or above.
    fn share_from(&self, level: f64) -> f64 {
        let below = self.levels.partition_point(|&l| l < level);
        (self.levels.len() - below) as f64 / self.levels.len() as f64
    }

    fn volume_at(&self, intensity_fraction: f64) -> f64 {
        let guess = (intensity_fraction * self.steps).ceil();
        // The product may round up across a whole number that the quotient of the definition meets.
        let lowest = if (guess - 1.0) / self.steps >= intensity_fraction { guess - 1.0 } else { guess };
        self.share_from(lowest)
    }

    fn intensity_at(&self, volume_fraction: f64) -> f64 {
        let voxels = self.levels.len();
        let guess = (volume_fraction * voxels as f64).floor() as usize;
        let fits = |count: usize| count as f64 / voxels as f64 <= volume_fraction;
        let most = if fits(guess + 1) { guess + 1 } else { guess };
        let level = self.levels[voxels - 1 - most.min(voxels - 1)] + 1.0;
        self.lowest + level * self.step
    }

    fn area(&self) -> Outcome {
        let steps = self.steps.floor();
        if steps == 0.0 {
            return Ok(0.0);
        }
        // Every voxel counts in all levels up to its own.
        let counted: f64 = self.levels.iter().map(|level| level.min(steps) + 1.0).sum();
        let sum = counted / self.levels.len() as f64 - 0.5 * (self.share_from(0.0) + self.share_from(steps));
        quotient(sum, steps)
    }
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region_of;
    use super::*;
    use crate::ibsi::Region;

    fn values(region: &Region, bins: Discretisation) -> [f64; 7] {
        features(region, bins).map(Outcome::unwrap)
    }

    /// Intensities 1 1 1 2 2 4 4 4 6 6: ν of 1..6 is 1, .7, .5, .5, .2, .2 and 0 above; γ is 0, .2, .4, .6, .8, 1. So V10
    /// is .7, V90 .2, I10 is 7 (above the highest), I90 is 2, and the area (.85 + .6 + .5 + .35 + .2)/5.
    #[test]
    fn ten_voxels_by_hand() {
        let region = region_of([10, 1, 1], &[1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 4.0, 6.0, 6.0]);
        let expected = [0.7, 0.2, 7.0, 2.0, 0.5, 5.0, 0.5];
        for (found, expected) in values(&region, Discretisation::None).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    /// Range 0..20 in bins of 5: centres 2.5, 7.5, 12.5, 17.5 with ν 1, .5, .25, .25 and γ 0, 1/3, 2/3, 1.
    #[test]
    fn bins_of_a_range_have_the_intensity_of_their_centre() {
        let mut region = region_of([4, 1, 1], &[1.0, 4.0, 9.0, 15.0]);
        region.range = (0.0, 20.0);
        let expected = [0.5, 0.25, 22.5, 7.5, 0.25, 15.0, (0.75 + 0.375 + 0.25) / 3.0];
        for (found, expected) in values(&region, Discretisation::FixedBinSize(5.0)).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_number_of_bins_counts_levels_from_one() {
        let region = region_of([5, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0]);
        let found = values(&region, Discretisation::FixedBinNumber(1000));
        assert_eq!(found[..4], [0.8, 0.2, 1001.0, 2.0]);
    }

    #[test]
    fn a_flat_region_has_all_its_volume_at_every_fraction() {
        let region = region_of([3, 1, 1], &[5.0; 3]);
        assert_eq!(values(&region, Discretisation::None), [1.0, 1.0, 6.0, 6.0, 0.0, 0.0, 0.0]);
        assert_eq!(values(&region, Discretisation::FixedBinNumber(8)), [1.0, 1.0, 9.0, 9.0, 0.0, 0.0, 0.0]);
    }
}

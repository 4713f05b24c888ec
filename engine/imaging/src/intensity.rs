mod curve;

use ndarray::Array3;
use rayon::prelude::*;

pub use self::curve::IntensityCurve;
use crate::histogram::Region;
use crate::white_stripe::{TissueMode, stripe, tissue_mode};
use crate::{Error, Mask, Unit, Volume};

/// How [`normalize`] finds the scale. Statistics are over the finite voxels of the region.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "method")]
pub enum Normalization {
    /// `(x - mean) / sd`, sd over n (population).
    ZScore,
    /// `(x - p_low) / (p_high - p_low)`: the two percentiles become 0 and 1, what lies beyond is not clipped.
    ///
    /// Percentiles interpolate linearly between order statistics: of n sorted values, percentile p stands at rank
    /// `p / 100 · (n - 1)`.
    Percentile {
        /// Percentile that becomes 0, in 0..100.
        low: f64,
        /// Percentile that becomes 1, in 0..100, above `low`.
        high: f64,
    },
    /// `(x - min) / (max - min)`.
    MinMax,
    /// `(x - median) / (1.4826 · MAD)`, MAD the median of `|x - median|`; 1.4826 (`1 / Φ⁻¹(3/4)`) makes it the standard
    /// deviation for normally distributed intensities. When half of the region has one value the MAD is 0: no scale.
    RobustZScore,
    /// `(x - mean) / sd` of the white stripe, the voxels around the mode of one tissue. Without a mask the region is the
    /// voxels above 0: a volume whose background is 0, such as a stripped brain. R. T. Shinohara et al., NeuroImage:
    /// Clinical 6 (2014) 9-19.
    ///
    /// With `q` the share of the region below the mode, the stripe is the voxels strictly between the quantiles
    /// `q - width` and `q + width` (cut at 0 and 1).
    WhiteStripe {
        /// Which mode; the white matter of a T1 is the last.
        mode: TissueMode,
        /// Half width as a share of the region, above 0 and at most 0.5; 0.05 in the source.
        width: f64,
    },
    /// `x / mode`: the mode of one tissue becomes 1. The region is as for [`WhiteStripe`](Self::WhiteStripe).
    TissueMode {
        /// Which mode.
        mode: TissueMode,
    },
}

/// A linear change of intensity and its inverse: `prepared = (x - offset) / scale`, `x = prepared · scale + offset`.
///
/// Computed in f64 and rounded once to f32, so undoing gives back `x` up to that rounding.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct IntensityScale {
    scale: f64,
    offset: f64,
}

impl IntensityScale {
    /// Maps `offset` to 0 and `offset + scale` to 1.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `scale` is 0 or a number is not finite.
    pub fn new(scale: f64, offset: f64) -> Result<Self, Error> {
        if scale == 0.0 || !scale.is_finite() || !offset.is_finite() || !scale.recip().is_finite() {
            return Err(Error::InvalidArgument {
                name: "intensity scale",
                expected: "a finite scale other than 0 and a finite offset",
                found: format!("scale {scale}, offset {offset}"),
            });
        }
        Ok(Self { scale, offset })
    }

    /// Intensity per prepared unit.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The intensity that becomes 0.
    pub fn offset(&self) -> f64 {
        self.offset
    }

    /// `(x - offset) / scale`; the unit becomes [`Unit::Normalized`].
    pub fn apply(&self, volume: &Volume) -> Volume {
        each(volume, |x| ((f64::from(x) - self.offset) / self.scale) as f32)
            .with_meaning(volume.modality(), Unit::Normalized)
    }

    /// `x · scale + offset`; the unit becomes `unit`.
    pub fn undo(&self, volume: &Volume, unit: Unit) -> Volume {
        each(volume, |x| (f64::from(x) * self.scale + self.offset) as f32).with_meaning(volume.modality(), unit)
    }
}

/// Scales intensities by the statistics of the region (of the whole volume without a mask) to [`Unit::Normalized`], and
/// gives the scale that undoes it.
///
/// # Errors
/// [`Error::GeometryMismatch`] when the mask lies on another grid, [`Error::EmptyMask`], [`Error::InvalidArgument`] for
/// percentiles or a width out of range, [`Error::FlatIntensities`] when the region has no spread (NaN when it has no
/// finite voxel).
pub fn normalize(
    volume: &Volume,
    mask: Option<&Mask>,
    normalization: Normalization,
) -> Result<(Volume, IntensityScale), Error> {
    let region = Region::new(volume, mask)?;
    let (offset, scale) = match normalization {
        Normalization::ZScore => region.mean_and_deviation(),
        Normalization::Percentile { low, high } => {
            if !(0.0 <= low && low < high && high <= 100.0) {
                return Err(Error::InvalidArgument {
                    name: "percentiles",
                    expected: "0 <= low < high <= 100",
                    found: format!("{low} and {high}"),
                });
            }
            let values = region.percentiles(&[low, high], |x| x);
            (values[0], values[1] - values[0])
        }
        Normalization::MinMax => {
            let summary = region.summary();
            (f64::from(summary.min), f64::from(summary.max) - f64::from(summary.min))
        }
        Normalization::RobustZScore => {
            let median = region.percentiles(&[50.0], |x| x)[0];
            let deviation = region.percentiles(&[50.0], |x| (f64::from(x) - median).abs() as f32)[0];
            (median, 1.482_602_218_505_602 * deviation)
        }
        Normalization::WhiteStripe { mode, width } => {
            if !(0.0 < width && width <= 0.5) {
                return Err(Error::InvalidArgument {
                    name: "white stripe width",
                    expected: "above 0 and at most 0.5",
                    found: width.to_string(),
                });
            }
            stripe(&tissue(region, mask), mode, width)
        }
        Normalization::TissueMode { mode } => (0.0, tissue_mode(&tissue(region, mask), mode)),
    };
    let scale = IntensityScale::new(scale, offset).map_err(|_| Error::FlatIntensities { value: offset as f32 })?;
    Ok((scale.apply(volume), scale))
}

/// Every voxel below `low` becomes `low`, every one above `high` becomes `high`; NaN stays NaN.
///
/// # Errors
/// [`Error::InvalidArgument`] when `low` is above `high` or one of them is NaN.
pub fn clip(volume: &Volume, low: f32, high: f32) -> Result<Volume, Error> {
    if low <= high {
        return Ok(each(volume, |x| x.clamp(low, high)));
    }
    Err(Error::InvalidArgument { name: "clip range", expected: "low <= high", found: format!("{low} to {high}") })
}

/// The display window of DICOM PS3.3 C.11.2.1.2.1 (LINEAR) with centre `c` and width `w`, onto 0..1.
///
/// 0 for `x <= c - 0.5 - (w - 1) / 2`, 1 for `x > c - 0.5 + (w - 1) / 2`, else `(x - (c - 0.5)) / (w - 1) + 0.5`. With
/// c = 40, w = 400: x = -160 gives 0, x = 39.5 gives 0.5, x = 240 gives 1. The unit becomes [`Unit::Normalized`]; NaN
/// stays NaN.
///
/// # Errors
/// [`Error::InvalidArgument`] for a width below 1 or a number that is not finite.
pub fn window(volume: &Volume, center: f64, width: f64) -> Result<Volume, Error> {
    if !(center.is_finite() && width.is_finite() && width >= 1.0) {
        return Err(Error::InvalidArgument {
            name: "window",
            expected: "a finite centre and a width of at least 1",
            found: format!("centre {center}, width {width}"),
        });
    }
    let (middle, half) = (center - 0.5, (width - 1.0) / 2.0);
    let windowed = each(volume, |x| {
        let x = f64::from(x);
        if x <= middle - half {
            return 0.0;
        }
        if x > middle + half {
            return 1.0;
        }
        ((x - middle) / (width - 1.0) + 0.5) as f32
    });
    Ok(windowed.with_meaning(volume.modality(), Unit::Normalized))
}

/// The finite voxels of the region in x, y, z order.
pub(crate) fn finite_values(volume: &Volume, mask: Option<&Mask>) -> Result<Vec<f32>, Error> {
    let Some(mask) = mask else {
        return Ok(volume.as_slice().iter().copied().filter(|v| v.is_finite()).collect());
    };
    volume.geometry().require_same(mask.geometry(), 1e-3)?;
    mask.require_any()?;
    let inside = mask.inside();
    Ok(volume.as_slice().iter().zip(&inside).filter(|(v, inside)| **inside && v.is_finite()).map(|(v, _)| *v).collect())
}

pub(crate) fn each(volume: &Volume, change: impl Fn(f32) -> f32 + Sync) -> Volume {
    let source = volume.as_slice();
    let mut voxels = vec![0.0; source.len()];
    // The piece size only spreads the work: every voxel is on its own.
    voxels.par_chunks_mut(1 << 16).zip(source.par_chunks(1 << 16)).for_each(|(out, source)| {
        out.iter_mut().zip(source).for_each(|(out, &x)| *out = change(x));
    });
    let voxels = Array3::from_shape_vec(volume.voxels().dim(), voxels).expect("one value per voxel");
    volume.with_voxels(voxels).expect("the shape did not change")
}

/// What counts as tissue: the mask, else what is above 0.
fn tissue<'a>(region: Region<'a>, mask: Option<&Mask>) -> Region<'a> {
    if mask.is_some() { region } else { region.above(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality};

    fn row(values: &[f32]) -> Volume {
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn ps3_3_linear_window() {
        let source = row(&[-1000.0, -160.0, -159.0, 39.5, 239.0, 240.0, 3000.0, f32::NAN]);
        let found = window(&source, 40.0, 400.0).unwrap();
        let expected = [0.0, 0.0, 0.5 - 198.5 / 399.0, 0.5, 1.0, 1.0, 1.0];
        for (found, expected) in found.as_slice().iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-7, "{found} {expected}");
        }
        assert!(found.as_slice()[7].is_nan());
        assert_eq!(found.unit(), Unit::Normalized);
    }

    #[test]
    fn a_window_of_width_one_is_a_step() {
        let found = window(&row(&[-1.0, 0.0, 0.5, 1.0]), 1.0, 1.0).unwrap();
        assert_eq!(found.as_slice(), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn impossible_ranges_are_refused() {
        let source = row(&[0.0, 1.0]);
        for (center, width) in [(0.0, 0.5), (f64::NAN, 400.0), (0.0, f64::INFINITY)] {
            assert!(matches!(window(&source, center, width), Err(Error::InvalidArgument { .. })));
        }
        for (low, high) in [(1.0, 0.0), (f32::NAN, 1.0), (0.0, f32::NAN)] {
            assert!(matches!(clip(&source, low, high), Err(Error::InvalidArgument { .. })));
        }
        for (low, high) in [(-1.0, 50.0), (50.0, 50.0), (0.0, 100.5), (f64::NAN, 99.0)] {
            let found = normalize(&source, None, Normalization::Percentile { low, high });
            assert!(matches!(found, Err(Error::InvalidArgument { .. })));
        }
        for width in [0.0, 0.6, f64::NAN] {
            let found = normalize(&source, None, Normalization::WhiteStripe { mode: TissueMode::First, width });
            assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{width}");
        }
    }

    #[test]
    fn clipping_keeps_what_is_inside_and_nan() {
        let found = clip(&row(&[-2000.0, -5.5, 4000.0, f32::NAN]), -1024.0, 3071.0).unwrap();
        assert_eq!(found.as_slice()[..3], [-1024.0, -5.5, 3071.0]);
        assert!(found.as_slice()[3].is_nan());
    }

    #[test]
    fn normalizations_of_1_2_3_4_5() {
        // mean 3, population sd sqrt(2); percentile 10 stands at rank 0.4, 90 at rank 3.6: 1.4 and 4.6.
        let rows = [
            (Normalization::ZScore, std::f64::consts::SQRT_2, 3.0),
            (Normalization::Percentile { low: 10.0, high: 90.0 }, 3.2, 1.4),
            (Normalization::MinMax, 4.0, 1.0),
        ];
        let source = row(&[3.0, 5.0, f32::NAN, 1.0, 2.0, 4.0]);
        for (normalization, scale, offset) in rows {
            let (prepared, found) = normalize(&source, None, normalization).unwrap();
            assert!((found.scale() - scale).abs() < 1e-12 && (found.offset() - offset).abs() < 1e-12, "{found:?}");
            assert_eq!(prepared.as_slice()[0], ((3.0 - offset) / scale) as f32);
            assert_eq!(prepared.unit(), Unit::Normalized);
            let back = found.undo(&prepared, Unit::Hounsfield);
            for (x, y) in source.as_slice().iter().zip(back.as_slice()) {
                assert!(x.is_nan() && y.is_nan() || (x - y).abs() < 1e-6, "{x} {y}");
            }
        }
    }

    #[test]
    fn a_mask_limits_the_statistics_but_every_voxel_is_scaled() {
        let source = row(&[0.0, 10.0, 20.0, 1000.0]);
        let inside = source.voxels().mapv(|v| v < 100.0);
        let mask = Mask::new(inside, source.geometry().clone()).unwrap();
        let (prepared, _) = normalize(&source, Some(&mask), Normalization::MinMax).unwrap();
        assert_eq!(prepared.as_slice(), [0.0, 0.5, 1.0, 50.0]);
    }

    #[test]
    fn a_region_without_spread_is_refused() {
        let region = |inside: bool| Mask::new(Array3::from_elem((1, 1, 3), inside), row(&[0.0; 3]).geometry().clone());
        for normalization in [
            Normalization::ZScore,
            Normalization::MinMax,
            Normalization::Percentile { low: 1.0, high: 99.0 },
            Normalization::RobustZScore,
            Normalization::WhiteStripe { mode: TissueMode::Last, width: 0.05 },
        ] {
            let flat = normalize(&row(&[0.1; 3]), None, normalization);
            assert!(matches!(flat, Err(Error::FlatIntensities { value }) if (value - 0.1).abs() < 1e-6), "{flat:?}");
            let none = normalize(&row(&[f32::NAN; 3]), Some(&region(true).unwrap()), normalization);
            assert!(matches!(none, Err(Error::FlatIntensities { .. })), "{none:?}");
            let empty = normalize(&row(&[1.0, 2.0, 3.0]), Some(&region(false).unwrap()), normalization);
            assert_eq!(empty, Err(Error::EmptyMask { voxels: 3 }));
        }
    }
}

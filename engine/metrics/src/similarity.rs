use isoscan_imaging::{Mask, Unit, Volume};

use crate::{Error, SsimDimensions, SsimWindow, ssim};

/// Grids closer than this at every corner, in mm, count as one.
const GRID_TOLERANCE_MM: f64 = 1e-3;

/// The intensity range that PSNR and SSIM refer to; tools disagree here, so it is always named.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PsnrRange {
    /// Maximum minus minimum of the reference over the compared voxels.
    Reference,
    /// A fixed range, such as -1024..3000 HU for CT.
    Named {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
        /// What the range stands for.
        name: String,
    },
}

impl PsnrRange {
    /// The range usual for a reference: that of a 12-bit CT for Hounsfield units, otherwise the reference's own.
    pub fn of(reference: &Volume) -> Self {
        match reference.unit() {
            Unit::Hounsfield => Self::Named { low: -1024.0, high: 3071.0, name: "CT, 12 bit".to_owned() },
            _ => Self::Reference,
        }
    }
}

/// How close two volumes are, voxel by voxel, with the definitions used.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Similarity {
    /// Mean absolute error, in the volumes' unit.
    pub mae: f64,
    /// Mean error, in the volumes' unit: above 0 when the other volume is brighter.
    #[serde(default)]
    pub bias: f64,
    /// Root mean squared error, in the volumes' unit.
    pub rmse: f64,
    /// Peak signal to noise ratio, dB; infinite for equal volumes.
    pub psnr: f64,
    /// Mean structural similarity, in -1..=1.
    pub ssim: f64,
    /// Number of voxels compared by MAE, RMSE and PSNR.
    pub voxels: usize,
    /// The range R, in the volumes' unit.
    pub range: f64,
    /// What `psnr` is.
    pub psnr_definition: String,
    /// What `ssim` is.
    pub ssim_definition: String,
}

/// Compares `other` with `reference` over all voxels, or over those inside `mask`.
///
/// With `e = other - reference` over n voxels: `MAE = Σ|e|/n`, `bias = Σe/n`, `RMSE = √(Σe²/n)`, `PSNR = 10 log₁₀(R²n/Σe²)` with the
/// range R of [`PsnrRange`]. SSIM is [`ssim`] with [`SsimWindow::Gaussian11`] in [`SsimDimensions::Slices`]; a volume
/// narrower than the window, or a mask without a whole window, has SSIM NaN, and its definition says so.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`] for a voxel that is not a
/// number, [`Error::InvalidArgument`] for a range that is not positive.
pub fn similarity(
    reference: &Volume,
    other: &Volume,
    mask: Option<&Mask>,
    range: PsnrRange,
) -> Result<Similarity, Error> {
    require_comparable(reference, other, mask)?;
    let errors = Errors::over(reference, other, mask)?;
    let (range, range_name) = resolve(&range, &errors)?;
    let mean_square = errors.squares / errors.voxels as f64;
    let (window, dimensions) = (SsimWindow::Gaussian11, SsimDimensions::Slices);
    let (ssim, ssim_definition) = match ssim(reference, other, mask, range, window, dimensions) {
        Ok(value) => (value, format!("SSIM, {window}, {dimensions}, R = {range} ({range_name})")),
        Err(refusal @ (Error::WindowTooLarge { .. } | Error::Imaging(isoscan_imaging::Error::EmptyMask { .. }))) => {
            (f64::NAN, format!("SSIM undefined: {refusal}"))
        }
        Err(other) => return Err(other),
    };
    Ok(Similarity {
        mae: errors.absolute / errors.voxels as f64,
        bias: errors.sum / errors.voxels as f64,
        rmse: mean_square.sqrt(),
        psnr: 10.0 * (range * range / mean_square).log10(),
        ssim,
        voxels: errors.voxels,
        range,
        psnr_definition: format!("PSNR = 10 log10(R^2/MSE), R = {range} ({range_name})"),
        ssim_definition,
    })
}

/// How far one volume lies from another, without a range.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VoxelErrors {
    /// Mean absolute error, in the volumes' unit.
    pub mae: f64,
    /// Mean error, in the volumes' unit.
    pub bias: f64,
    /// Number of voxels compared.
    pub voxels: usize,
}

/// The errors of [`similarity`] alone, such as those of one tissue.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`].
pub fn voxel_errors(reference: &Volume, other: &Volume, mask: Option<&Mask>) -> Result<VoxelErrors, Error> {
    require_comparable(reference, other, mask)?;
    let errors = Errors::over(reference, other, mask)?;
    let n = errors.voxels as f64;
    Ok(VoxelErrors { mae: errors.absolute / n, bias: errors.sum / n, voxels: errors.voxels })
}

pub(crate) fn require_comparable(a: &Volume, b: &Volume, mask: Option<&Mask>) -> Result<(), Error> {
    a.geometry().require_same(b.geometry(), GRID_TOLERANCE_MM)?;
    if let Some(mask) = mask {
        a.geometry().require_same(mask.geometry(), GRID_TOLERANCE_MM)?;
        mask.require_any()?;
    }
    Ok(())
}

/// Requires numbers in all voxels, or in those inside the mask.
pub(crate) fn require_finite(volume: &Volume, mask: Option<&Mask>) -> Result<(), Error> {
    let inside = mask.map(Mask::inside);
    let inside = inside.as_ref().and_then(|inside| inside.as_slice());
    let counts = |index: usize| inside.is_none_or(|inside| inside[index]);
    match volume.as_slice().iter().enumerate().find(|&(index, value)| !value.is_finite() && counts(index)) {
        Some((index, &value)) => Err(Error::NotFinite { index, value: f64::from(value) }),
        None => Ok(()),
    }
}

/// Sums of errors over the compared voxels, and the reference's extremes there.
struct Errors {
    voxels: usize,
    absolute: f64,
    sum: f64,
    squares: f64,
    low: f64,
    high: f64,
}

impl Errors {
    fn over(reference: &Volume, other: &Volume, mask: Option<&Mask>) -> Result<Self, Error> {
        let inside = mask.map(Mask::inside);
        let inside = inside.as_ref().and_then(|inside| inside.as_slice());
        let mut sums =
            Self { voxels: 0, absolute: 0.0, sum: 0.0, squares: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };
        for (index, (&r, &o)) in reference.as_slice().iter().zip(other.as_slice()).enumerate() {
            if inside.is_some_and(|inside| !inside[index]) {
                continue;
            }
            let (r, error) = (f64::from(r), f64::from(o) - f64::from(r));
            if !error.is_finite() {
                return Err(Error::NotFinite { index, value: error });
            }
            sums.voxels += 1;
            sums.absolute += error.abs();
            sums.sum += error;
            sums.squares += error * error;
            sums.low = sums.low.min(r);
            sums.high = sums.high.max(r);
        }
        Ok(sums)
    }
}

fn resolve(range: &PsnrRange, errors: &Errors) -> Result<(f64, String), Error> {
    let (width, name) = match range {
        PsnrRange::Reference => (errors.high - errors.low, "maximum minus minimum of the reference".to_owned()),
        PsnrRange::Named { low, high, name } => (high - low, format!("{name}, {low} to {high}")),
    };
    if width > 0.0 && width.is_finite() {
        return Ok((width, name));
    }
    Err(Error::InvalidArgument { name: "range", expected: "a positive finite width", found: width })
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn volume(values: [f32; 4]) -> Volume {
        let geometry = Geometry::axis_aligned([4, 1, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, 4), values.to_vec()).unwrap();
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    /// Errors 1, -1, 3, 1: MAE 6/4, MSE 12/4; with R = 10 the PSNR is 10 log10(100/3).
    #[test]
    fn four_voxels_by_hand() {
        let (reference, other) = (volume([0.0, 10.0, 4.0, 5.0]), volume([1.0, 9.0, 7.0, 6.0]));
        let found = similarity(&reference, &other, None, PsnrRange::Reference).unwrap();
        assert_eq!((found.mae, found.bias, found.voxels, found.range), (1.5, 1.0, 4, 10.0));
        assert!((found.rmse - 3f64.sqrt()).abs() < 1e-15);
        assert!((found.psnr - 15.228_787_452_803_376).abs() < 1e-12);
        assert!(found.ssim.is_nan() && found.ssim_definition.contains("at least 11 voxels"));
        assert_eq!(found.psnr_definition, "PSNR = 10 log10(R^2/MSE), R = 10 (maximum minus minimum of the reference)");
        let named = PsnrRange::Named { low: -1024.0, high: 3000.0, name: "CT".to_owned() };
        let found = similarity(&reference, &other, None, named).unwrap();
        assert_eq!(found.psnr_definition, "PSNR = 10 log10(R^2/MSE), R = 4024 (CT, -1024 to 3000)");
    }

    #[test]
    fn a_mask_leaves_the_rest_out() {
        let (reference, other) = (volume([0.0, 10.0, 4.0, 5.0]), volume([1.0, 9.0, f32::NAN, 6.0]));
        let inside = Array3::from_shape_vec((1, 1, 4), vec![true, true, false, false]).unwrap();
        let mask = Mask::new(inside, reference.geometry().clone()).unwrap();
        let found = similarity(&reference, &other, Some(&mask), PsnrRange::Reference).unwrap();
        assert_eq!((found.mae, found.rmse, found.voxels), (1.0, 1.0, 2));
        let all = similarity(&reference, &other, None, PsnrRange::Reference);
        assert!(matches!(all, Err(Error::NotFinite { index: 2, .. })));
    }

    #[test]
    fn a_flat_reference_has_no_range() {
        let flat = volume([3.0; 4]);
        let refusal = similarity(&flat, &flat, None, PsnrRange::Reference).unwrap_err();
        assert!(matches!(refusal, Error::InvalidArgument { name: "range", .. }), "{refusal}");
    }
}

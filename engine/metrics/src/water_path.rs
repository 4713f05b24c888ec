use isoscan_imaging::{Mask, Volume};

use crate::Error;
use crate::similarity::{require_comparable, require_finite};

/// From Hounsfield units to proton stopping power relative to water, by two straight lines that meet in water.
///
/// `S(h) = 1 + h/1000` up to 0 HU, which is 0 for vacuum at -1000, and `S(h) = 1 + (S_b - 1) h / h_b` above, through a bone
/// `(h_b, S_b)`; below -1000 HU it is 0. Two lines are the usual short form of the stoichiometric calibration of Schneider,
/// Pedroni and Lomax (Physics in Medicine and Biology 41 (1996) 111).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StoppingPower {
    /// Hounsfield units of the bone.
    pub bone_hu: f64,
    /// Its stopping power relative to water.
    pub bone: f64,
}

impl Default for StoppingPower {
    /// Cortical bone of ICRU 44: 1600 HU at 70 keV (mass attenuation of NIST), and 1.69 by Bethe's formula for 150 MeV with
    /// 1.78 times the electron density of water and mean excitation energies of 112 and 75 eV.
    fn default() -> Self {
        Self { bone_hu: 1600.0, bone: 1.69 }
    }
}

impl StoppingPower {
    /// Of one voxel.
    pub fn at(&self, hu: f64) -> f64 {
        let slope = if hu <= 0.0 { 1e-3 } else { (self.bone - 1.0) / self.bone_hu };
        (1.0 + slope * hu).max(0.0)
    }
}

/// Mean absolute error of the water-equivalent length of rays along voxel axis `axis` (0 x, 1 y, 2 z), mm.
///
/// The length of a ray is `Σ S(h) d` over its voxels, `d` being the spacing along the axis; where a mask is given only
/// over those inside. Averaged over the rays that hold at least one such voxel. Worked case: a ray of four voxels of 2 mm,
/// all water in the truth; an image with 1600 and -1000 HU among them is wrong by `2 · (0.69 - 1) = -0.62` mm.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`], [`Error::InvalidArgument`] for another
/// axis or a calibration that does not rise.
pub fn water_path_error(
    truth: &Volume,
    image: &Volume,
    mask: Option<&Mask>,
    axis: usize,
    calibration: &StoppingPower,
) -> Result<f64, Error> {
    require_comparable(truth, image, mask)?;
    require_finite(truth, mask)?;
    require_finite(image, mask)?;
    if axis > 2 {
        return Err(Error::InvalidArgument { name: "axis", expected: "0, 1 or 2", found: axis as f64 });
    }
    if !(calibration.bone_hu > 0.0 && calibration.bone > 1.0) {
        return Err(Error::InvalidArgument { name: "bone", expected: "denser than water", found: calibration.bone });
    }
    let step_mm = truth.geometry().spacing_mm()[axis];
    // Rays in the order of the array; axis x is its last.
    let along = ndarray::Axis(2 - axis);
    let (truth, image) = (truth.voxels(), image.voxels());
    let inside = mask.map(Mask::inside);
    let (mut sum, mut rays) = (0.0, 0_usize);
    let (truth_rays, image_rays) = (truth.lanes(along), image.lanes(along));
    let mut mask_rays = inside.as_ref().map(|inside| inside.lanes(along).into_iter());
    for (of_truth, of_image) in truth_rays.into_iter().zip(image_rays) {
        let of_mask = mask_rays.as_mut().and_then(Iterator::next);
        let mut voxels = 0;
        let mut error = 0.0;
        for (index, (&t, &i)) in of_truth.iter().zip(of_image).enumerate() {
            if of_mask.is_none_or(|inside| inside[index]) {
                voxels += 1;
                error += calibration.at(f64::from(i)) - calibration.at(f64::from(t));
            }
        }
        if voxels > 0 {
            sum += error.abs() * step_mm;
            rays += 1;
        }
    }
    Ok(sum / rays as f64)
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn two_rays(values: [f32; 8]) -> Volume {
        let voxels = Array3::from_shape_vec((1, 2, 4), values.to_vec()).unwrap();
        let geometry = Geometry::axis_aligned([4, 2, 1], [2.0, 3.0, 1.0]).unwrap();
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn two_rays_by_hand() {
        let truth = two_rays([0.0; 8]);
        let image = two_rays([0.0, 1600.0, -1000.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        let error = |mask: Option<&Mask>, axis| {
            water_path_error(&truth, &image, mask, axis, &StoppingPower::default()).unwrap()
        };
        assert!((error(None, 0) - 0.31).abs() < 1e-12);
        assert!((error(None, 1) - 3.0 * (0.69 + 1.0) / 4.0).abs() < 1e-12);
        let first = Array3::from_shape_fn((1, 2, 4), |(_, y, x)| y == 0 && x < 2);
        let first = Mask::new(first, truth.geometry().clone()).unwrap();
        assert!((error(Some(&first), 0) - 1.38).abs() < 1e-12);
    }

    #[test]
    fn the_calibration_passes_vacuum_water_and_bone() {
        let rows = [(-1200.0, 0.0), (-1000.0, 0.0), (-100.0, 0.9), (0.0, 1.0), (800.0, 1.345), (1600.0, 1.69)];
        for (hu, expected) in rows {
            assert!((StoppingPower::default().at(hu) - expected).abs() < 1e-12, "{hu}");
        }
        let flat = StoppingPower { bone: 1.0, ..StoppingPower::default() };
        let water = two_rays([0.0; 8]);
        let refused = water_path_error(&water, &water, None, 0, &flat);
        assert!(matches!(refused, Err(Error::InvalidArgument { name: "bone", .. })));
    }
}

mod contour;
mod growth;
mod movement;
mod noise;
mod random;
mod supervoxels;

use isoscan_imaging::{Mask, Volume};

use crate::Error;

pub use noise::noise_level;

/// A feature is called robust from this lower bound of the 95 % interval of ICC(1,1) under perturbations on (A. Zwanenburg et
/// al., Scientific Reports 9 (2019) 614).
pub const ROBUST: f64 = 0.90;

/// One disturbance of an image and its region, such as another acquisition or another observer would make.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Perturbation {
    /// Turn of the sampling grid about its z axis through the middle of the region's box, degrees.
    pub angle_deg: f64,
    /// Shift of the sampling grid along its axes, in voxels: voxel i of the result lies at i + shift of the image.
    pub shift_voxels: [f64; 3],
    /// Add normal noise of the image's own [`noise_level`]; the number tells repetitions apart.
    pub noise: Option<u32>,
    /// Change of the region's number of voxels as a share of it: 0.1 grows by a tenth, -0.1 shrinks.
    pub growth: f64,
    /// Draw the contour anew from supervoxels; the number tells repetitions apart.
    pub contour: Option<u32>,
    /// Factor to the width of the bins. It acts on the settings of the extraction, which the caller makes.
    pub bin_width_factor: f64,
}

impl Perturbation {
    /// The perturbation that changes nothing.
    pub const NONE: Self =
        Self { angle_deg: 0.0, shift_voxels: [0.0; 3], noise: None, growth: 0.0, contour: None, bin_width_factor: 1.0 };

    /// Whether the result holds other intensities than the image, interpolated or with noise, so that their stored type
    /// does not apply any more.
    pub fn changes_intensities(&self) -> bool {
        self.angle_deg != 0.0 || self.shift_voxels != [0.0; 3] || self.noise.is_some()
    }

    /// Whether [`perturb`] would give image and region as they are: only the width of the bins may change.
    pub fn keeps_image_and_region(&self) -> bool {
        !self.changes_intensities() && self.growth == 0.0 && self.contour.is_none()
    }
}

impl Default for Perturbation {
    fn default() -> Self {
        Self::NONE
    }
}

/// Values whose every combination is a [`Perturbation`]. The default holds only the one that changes nothing.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Perturbations {
    /// Angles about z, degrees. Default 0.
    pub angles_deg: Vec<f64>,
    /// Shifts in voxels; each combination along x, y and z is one. Default 0.
    pub shifts_voxels: Vec<f64>,
    /// Number of times noise is drawn; 0 adds none. Default 0.
    pub noise_repetitions: u32,
    /// Shares that the region grows by. Default 0.
    pub growths: Vec<f64>,
    /// Number of times the contour is drawn; 0 keeps it. Default 0.
    pub contour_repetitions: u32,
    /// Factors to the width of the bins. Default 1.
    pub bin_width_factors: Vec<f64>,
}

impl Default for Perturbations {
    fn default() -> Self {
        Self {
            angles_deg: vec![0.0],
            shifts_voxels: vec![0.0],
            noise_repetitions: 0,
            growths: vec![0.0],
            contour_repetitions: 0,
            bin_width_factors: vec![1.0],
        }
    }
}

impl Perturbations {
    /// The perturbations, the bin width changing fastest and the angle slowest.
    pub fn chain(&self) -> Vec<Perturbation> {
        let repetitions = |n: u32| if n == 0 { vec![None] } else { (0..n).map(Some).collect() };
        let (noises, contours) = (repetitions(self.noise_repetitions), repetitions(self.contour_repetitions));
        let mut chain = vec![Perturbation::NONE];
        let mut cross = |n: usize, set: &dyn Fn(&mut Perturbation, usize)| {
            let extended = chain.iter().flat_map(|&before| {
                (0..n).map(move |k| {
                    let mut next = before;
                    set(&mut next, k);
                    next
                })
            });
            chain = extended.collect();
        };
        cross(self.angles_deg.len(), &|p, k| p.angle_deg = self.angles_deg[k]);
        for axis in [2, 1, 0] {
            cross(self.shifts_voxels.len(), &|p, k| p.shift_voxels[axis] = self.shifts_voxels[k]);
        }
        cross(noises.len(), &|p, k| p.noise = noises[k]);
        cross(self.growths.len(), &|p, k| p.growth = self.growths[k]);
        cross(contours.len(), &|p, k| p.contour = contours[k]);
        cross(self.bin_width_factors.len(), &|p, k| p.bin_width_factor = self.bin_width_factors[k]);
        chain
    }
}

/// Disturbs an image and its region: noise, then turn and shift, then growth, then a new contour.
///
/// The image is interpolated linearly between voxels, the region too, and belongs where that gives 0.5 and more; the
/// grid of the result is the turned one, so that its geometry says where the voxels lie. The same `seed` gives the same
/// result whatever the number of threads: random numbers are a function of seed, repetition and voxel. A. Zwanenburg et
/// al., Assessing robustness of radiomic features by image perturbation, Scientific Reports 9 (2019) 614.
///
/// ```
/// use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
/// use isoscan_radiomics::{Perturbation, Perturbations, perturb};
/// use ndarray::Array3;
///
/// let chain = Perturbations { angles_deg: vec![-5.0, 0.0, 5.0], shifts_voxels: vec![0.0, 0.5], ..Default::default() };
/// assert_eq!(chain.chain().len(), 3 * 2 * 2 * 2);
///
/// let geometry = Geometry::axis_aligned([9, 9, 3], [1.0, 1.0, 2.0])?;
/// let volume = Volume::filled(5.0, geometry.clone(), Modality::Ct, Unit::Hounsfield);
/// let inside = Array3::from_shape_fn((3, 9, 9), |(_, y, x)| (2..7).contains(&y) && (2..7).contains(&x));
/// let mask = Mask::new(inside, geometry)?;
/// let larger = Perturbation { growth: 0.2, ..Perturbation::NONE };
/// let (_, region) = perturb(&volume, &mask, &larger, 7)?;
/// assert_eq!((mask.count(), region.count()), (75, 90));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::EmptyMask`] for a region without voxels, before or after the interpolation; [`Error::InvalidSetting`] for a
/// number that is not finite or a growth of -1 and less; [`Error::Imaging`] when the mask lies on another grid.
pub fn perturb(volume: &Volume, mask: &Mask, perturbation: &Perturbation, seed: u64) -> Result<(Volume, Mask), Error> {
    require_range(perturbation)?;
    require_voxels(mask)?;
    volume.geometry().require_same(mask.geometry(), 1e-3 * volume.geometry().spacing_mm()[0])?;
    let noisy = perturbation.noise.map(|repetition| noise::add_noise(volume, seed, repetition)).transpose()?;
    let (volume, mask) = movement::moved(noisy.as_ref().unwrap_or(volume), mask, perturbation)?;
    require_voxels(&mask)?;
    let mask = if perturbation.growth == 0.0 { mask } else { growth::grown(&mask, perturbation.growth, seed)? };
    let mask = match perturbation.contour {
        Some(repetition) => contour::randomised(&volume, &mask, seed, repetition)?,
        None => mask,
    };
    Ok((volume, mask))
}

fn require_range(perturbation: &Perturbation) -> Result<(), Error> {
    let rows = [
        ("angle_deg", "a finite number", perturbation.angle_deg, perturbation.angle_deg.is_finite()),
        ("shift_voxels x", "a finite number", perturbation.shift_voxels[0], perturbation.shift_voxels[0].is_finite()),
        ("shift_voxels y", "a finite number", perturbation.shift_voxels[1], perturbation.shift_voxels[1].is_finite()),
        ("shift_voxels z", "a finite number", perturbation.shift_voxels[2], perturbation.shift_voxels[2].is_finite()),
        (
            "growth",
            "a finite number above -1",
            perturbation.growth,
            perturbation.growth > -1.0 && perturbation.growth.is_finite(),
        ),
    ];
    match rows.into_iter().find(|row| !row.3) {
        Some((name, expected, found, _)) => {
            Err(Error::InvalidSetting { name: name.to_owned(), expected, found: found.to_string() })
        }
        None => Ok(()),
    }
}

fn require_voxels(mask: &Mask) -> Result<(), Error> {
    mask.bounding_box().map(|_| ()).ok_or(Error::EmptyMask { voxels: mask.inside().len() })
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    /// A volume that varies and a ball in it.
    fn scene() -> (Volume, Mask) {
        let geometry = Geometry::axis_aligned([24, 22, 12], [1.0, 1.0, 2.0]).unwrap();
        let voxels = Array3::from_shape_fn((12, 22, 24), |(z, y, x)| ((x * 7 + y * 5 + z * 11) % 23) as f32);
        let inside = Array3::from_shape_fn((12, 22, 24), |(z, y, x)| {
            let d = [x as f64 - 11.5, y as f64 - 10.5, 2.0 * (z as f64 - 5.5)];
            d.iter().map(|d| d * d).sum::<f64>() < 49.0
        });
        let volume = Volume::new(voxels, geometry.clone(), Modality::Ct, Unit::Hounsfield).unwrap();
        (volume, Mask::new(inside, geometry).unwrap())
    }

    fn perturbed(change: impl Fn(&mut Perturbation)) -> (Volume, Mask) {
        let (volume, mask) = scene();
        let mut perturbation = Perturbation::NONE;
        change(&mut perturbation);
        perturb(&volume, &mask, &perturbation, 11).unwrap()
    }

    #[test]
    fn nothing_and_a_full_turn_change_nothing() {
        assert_eq!(perturbed(|_| {}), scene());
        assert_eq!(perturbed(|p| p.angle_deg = 360.0), scene());
        assert_eq!(perturbed(|p| p.angle_deg = -720.0), scene());
    }

    #[test]
    fn a_shift_by_whole_voxels_moves_the_voxels() {
        let ((volume, mask), (moved, moved_mask)) = (scene(), perturbed(|p| p.shift_voxels = [2.0, -1.0, 1.0]));
        for ((z, y, x), value) in moved.voxels().indexed_iter() {
            let source = [z as i64 + 1, y as i64 - 1, x as i64 + 2];
            if (0..12).contains(&source[0]) && (0..22).contains(&source[1]) && (0..24).contains(&source[2]) {
                let source = source.map(|i| i as usize);
                assert_eq!(*value, volume.voxels()[source]);
                assert_eq!(moved_mask.inside()[[z, y, x]], mask.inside()[source]);
            }
        }
        assert_eq!(moved_mask.count(), mask.count());
    }

    #[test]
    fn a_turned_ball_keeps_its_size_and_place() {
        let (_, mask) = scene();
        for angle_deg in [7.0, 30.0, 90.0, -45.0] {
            let (volume, turned) = perturbed(|p| p.angle_deg = angle_deg);
            let share = turned.count() as f64 / mask.count() as f64;
            assert!((share - 1.0).abs() < 0.05, "{angle_deg}: {share}");
            volume.geometry().require_same(turned.geometry(), 1e-9).unwrap();
            let middle = |mask: &Mask| {
                let (first, size) = mask.bounding_box().unwrap();
                let middle = std::array::from_fn(|a| first[a] as f64 + (size[a] as f64 - 1.0) / 2.0);
                mask.geometry().world_from_voxel().apply(middle)
            };
            let (found, expected) = (middle(&turned), middle(&mask));
            assert!((0..3).all(|a| (found[a] - expected[a]).abs() <= 1.0), "{found:?} {expected:?}");
        }
    }

    #[test]
    fn the_region_has_the_volume_asked_for() {
        let (_, mask) = scene();
        for growth in [-0.9, -0.25, -0.1, 0.1, 0.4, 1.0] {
            let (_, changed) = perturbed(|p| p.growth = growth);
            assert_eq!(changed.count(), (mask.count() as f64 * (1.0 + growth)).round() as usize);
            let larger = if growth > 0.0 { (&changed, &mask) } else { (&mask, &changed) };
            assert!(larger.0.inside().iter().zip(larger.1.inside()).all(|(outer, inner)| *outer || !*inner));
        }
    }

    #[test]
    fn noise_is_the_same_for_a_seed_and_differs_between_repetitions() {
        let with = |repetition| perturbed(|p| p.noise = Some(repetition)).0;
        assert_eq!(with(0), with(0));
        assert_ne!(with(0), with(1));
    }

    #[test]
    fn a_drawn_contour_stays_near_the_region() {
        let (_, mask) = scene();
        let with = |repetition| perturbed(|p| p.contour = Some(repetition)).1;
        assert_eq!(with(0), with(0));
        assert!((1..6).any(|repetition| with(repetition) != with(0)));
        let both = isoscan_imaging::intersection(&with(0), &mask).unwrap().count() as f64;
        let dice = 2.0 * both / (with(0).count() + mask.count()) as f64;
        assert!((0.6..1.0).contains(&dice), "{dice}");
    }

    #[test]
    fn numbers_out_of_range_and_empty_regions_are_refused() {
        let (volume, mask) = scene();
        let refusal = |perturbation: Perturbation| perturb(&volume, &mask, &perturbation, 0).unwrap_err();
        let growth = refusal(Perturbation { growth: -1.0, ..Perturbation::NONE });
        assert_eq!(growth.to_string(), "setting growth must be a finite number above -1, found -1");
        let angle = refusal(Perturbation { angle_deg: f64::NAN, ..Perturbation::NONE });
        assert!(matches!(angle, Error::InvalidSetting { .. }));
        let away = refusal(Perturbation { shift_voxels: [1e9, 0.0, 0.0], ..Perturbation::NONE });
        assert!(matches!(away, Error::InvalidSetting { .. }), "{away}");
    }
}

use isoscan_imaging::{Connectivity, Mask, PadMode, Volume, components, crop, gaussian, pad};

use crate::Error;
use crate::similarity::{require_comparable, require_finite};

/// What counts as a structure of an image: see [`counted_truth`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StructureCriteria {
    /// Standard deviation of the Gaussian that gives the local background, mm; several times a structure's size.
    pub background_mm: f64,
    /// Least difference to the local background of every voxel of a structure, in the images' unit.
    pub contrast: f64,
    /// Least volume of a structure, mm³.
    pub volume_mm3: f64,
}

/// How many structures an image invented and lost against its truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CountedTruth {
    /// Structures of the image that the truth does not have.
    pub invented: usize,
    /// Structures of the truth that the image does not have.
    pub lost: usize,
    /// Structures of the image.
    pub found: usize,
    /// Structures of the truth.
    pub expected: usize,
}

/// Counts the structures that `image` invented and lost against `truth`, over all voxels or inside `mask`.
///
/// With `D = I - B(I)`, the difference of an image to its local background, a bright *structure* of `I` is a piece of
/// voxels (joined by faces, edges or corners) with `D >= contrast` whose volume is at least `volume_mm3`; a dark one is the
/// same of `-D`, so that a hole is not taken for a spot. A structure of the truth is *lost* when the mean of the image's
/// `D` over its voxels, in its sign, is below half of the mean of the truth's; *invented* is the same the other way round. So a
/// structure that is only paler than 1 : 2 or shifted by more than about half its width counts. `B` is the Gaussian mean
/// of standard deviation `background_mm` over the voxels inside: `B = G(m I) / G(m)` with `m` 1 inside and 0 outside.
/// Neighbouring structures that touch are one, which is a reason to choose `contrast` well above the noise.
///
/// Worked case: a row of 8 voxels of 1 mm³, all 0 but the third, 80; with a background much wider than the row `B` is
/// the mean, 10, and `D` there 70: at a contrast of 60 one structure. An image with 40 in its place has `D = 35`, half of
/// 70: kept; with 36, `D = 31.5`: lost.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ, the mask is empty or the background is no length; [`Error::NotFinite`];
/// [`Error::InvalidArgument`] for a contrast or a volume that is not positive.
pub fn counted_truth(
    truth: &Volume,
    image: &Volume,
    mask: Option<&Mask>,
    criteria: &StructureCriteria,
) -> Result<CountedTruth, Error> {
    require_comparable(truth, image, mask)?;
    require_finite(truth, mask)?;
    require_finite(image, mask)?;
    for (name, found) in [("contrast", criteria.contrast), ("volume_mm3", criteria.volume_mm3)] {
        if !(found > 0.0 && found.is_finite()) {
            return Err(Error::InvalidArgument { name, expected: "positive", found });
        }
    }
    let weights = inside_weights(truth, mask)?;
    let [of_truth, of_image] = [truth, image].map(|volume| local_difference(volume, &weights, criteria.background_mm));
    let (of_truth, of_image) = (of_truth?, of_image?);
    let expected = Structures::of(&of_truth, &weights, criteria)?;
    let found = Structures::of(&of_image, &weights, criteria)?;
    Ok(CountedTruth {
        invented: found.missing_in(of_truth.as_slice()),
        lost: expected.missing_in(of_image.as_slice()),
        found: found.count(),
        expected: expected.count(),
    })
}

/// 1 inside, 0 outside.
fn inside_weights(like: &Volume, mask: Option<&Mask>) -> Result<Volume, Error> {
    let voxels = match mask {
        None => like.voxels().mapv(|_| 1.0),
        Some(mask) => mask.inside().mapv(|inside| f32::from(u8::from(inside))),
    };
    Ok(like.with_voxels(voxels)?)
}

/// The volume less its local background; 0 outside.
fn local_difference(volume: &Volume, weights: &Volume, background_mm: f64) -> Result<Volume, Error> {
    let inside: Vec<bool> = weights.as_slice().iter().map(|&w| w > 0.0).collect();
    let mut held = volume.voxels().to_owned();
    held.iter_mut().zip(&inside).for_each(|(value, &inside)| *value = if inside { *value } else { 0.0 });
    let sum = smoothed(&volume.with_voxels(held)?, background_mm)?;
    let weight = smoothed(weights, background_mm)?;
    let mut difference = volume.voxels().to_owned();
    let backgrounds = sum.as_slice().iter().zip(weight.as_slice());
    difference.iter_mut().zip(backgrounds.zip(&inside)).for_each(|(value, ((&sum, &weight), &inside))| {
        *value = if inside { *value - sum / weight } else { 0.0 };
    });
    Ok(volume.with_voxels(difference)?)
}

/// Smoothed as if 0 lay beyond the grid: the Gaussian repeats the edge, which is one voxel of 0 here.
fn smoothed(volume: &Volume, sigma_mm: f64) -> Result<Volume, Error> {
    let framed = pad(volume, [1; 3], [1; 3], PadMode::Constant(0.0))?;
    Ok(crop(&gaussian(&framed, [sigma_mm; 3])?, [1; 3], volume.geometry().size(), 0.0)?)
}

/// The structures of one image: the voxels of each with its sign and its own mean difference in that sign.
struct Structures(Vec<(f64, Vec<usize>, f64)>);

impl Structures {
    fn of(difference: &Volume, weights: &Volume, criteria: &StructureCriteria) -> Result<Self, Error> {
        let fewest = criteria.volume_mm3 / difference.geometry().voxel_volume_mm3();
        let mut structures = Vec::new();
        for sign in [1.0, -1.0] {
            let reached = ndarray::Zip::from(difference.voxels())
                .and(weights.voxels())
                .map_collect(|&d, &w| w > 0.0 && sign * f64::from(d) >= criteria.contrast);
            let pieces = components(&Mask::new(reached, difference.geometry().clone())?, Connectivity::Corners);
            // Volumes that are equal but for rounding count as reached.
            let kept = pieces.voxels.iter().take_while(|&&n| n as f64 >= fewest * (1.0 - 1e-9)).count();
            let mut voxels = vec![Vec::new(); kept];
            for (index, &label) in pieces.labels.as_slice().iter().enumerate() {
                let label = label as usize;
                if (1..=kept).contains(&label) {
                    voxels[label - 1].push(index);
                }
            }
            let own = difference.as_slice();
            structures.extend(voxels.into_iter().map(|v| {
                let mean = signed_mean(own, &v, sign);
                (sign, v, mean)
            }));
        }
        Ok(Self(structures))
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn missing_in(&self, difference: &[f32]) -> usize {
        let missing = |(sign, voxels, own): &&(f64, Vec<usize>, f64)| {
            signed_mean(difference, voxels, *sign) < 0.5 * own * (1.0 - 1e-6)
        };
        self.0.iter().filter(missing).count()
    }
}

fn signed_mean(difference: &[f32], voxels: &[usize], sign: f64) -> f64 {
    sign * voxels.iter().map(|&v| f64::from(difference[v])).sum::<f64>() / voxels.len() as f64
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    const WIDE: StructureCriteria = StructureCriteria { background_mm: 400.0, contrast: 60.0, volume_mm3: 1.0 };

    fn row(values: [f32; 8]) -> Volume {
        let voxels = Array3::from_shape_vec((1, 1, 8), values.to_vec()).unwrap();
        Volume::new(voxels, Geometry::axis_aligned([8, 1, 1], [1.0; 3]).unwrap(), Modality::Ct, Unit::Hounsfield)
            .unwrap()
    }

    fn counts(truth: [f32; 8], image: [f32; 8]) -> [usize; 4] {
        let mask = Mask::new(Array3::from_elem((1, 1, 8), true), row(truth).geometry().clone()).unwrap();
        let found = counted_truth(&row(truth), &row(image), Some(&mask), &WIDE).unwrap();
        [found.expected, found.found, found.lost, found.invented]
    }

    #[test]
    fn a_structure_is_lost_below_half_of_its_contrast() {
        let spot = |value| [0.0, 0.0, value, 0.0, 0.0, 0.0, 0.0, 0.0];
        let rows = [(80.0, [1, 1, 0, 0]), (40.0, [1, 0, 0, 0]), (36.0, [1, 0, 1, 0]), (0.0, [1, 0, 1, 0])];
        for (value, expected) in rows {
            assert_eq!(counts(spot(80.0), spot(value)), expected, "{value}");
        }
        assert_eq!(counts(spot(0.0), spot(80.0)), [0, 1, 0, 1]);
    }

    #[test]
    fn a_hole_does_not_stand_for_a_spot_nor_a_shifted_spot_for_its_place() {
        let at = |place: usize, value: f32| std::array::from_fn(|i| if i == place { value } else { 0.0 });
        assert_eq!(counts(at(2, 80.0), at(2, -80.0)), [1, 1, 1, 1]);
        assert_eq!(counts(at(2, 80.0), at(6, 80.0)), [1, 1, 1, 1]);
        assert_eq!(counts(at(2, -80.0), at(2, -80.0)), [1, 1, 0, 0]);
    }

    #[test]
    fn small_pieces_and_what_lies_outside_do_not_count() {
        let truth = row([0.0; 8]);
        let image = row([0.0, 90.0, 90.0, 0.0, 0.0, 90.0, 0.0, 0.0]);
        let pairs = StructureCriteria { volume_mm3: 2.0, contrast: 50.0, ..WIDE };
        assert_eq!(counted_truth(&truth, &image, None, &pairs).unwrap().invented, 1);
        let right = Array3::from_shape_fn((1, 1, 8), |(_, _, x)| x >= 4);
        let right = Mask::new(right, truth.geometry().clone()).unwrap();
        assert_eq!(counted_truth(&truth, &image, Some(&right), &pairs).unwrap().invented, 0);
        assert_eq!(counted_truth(&truth, &image, Some(&right), &WIDE).unwrap().invented, 1);
    }

    #[test]
    fn criteria_must_be_positive() {
        let flat = row([0.0; 8]);
        let refused = counted_truth(&flat, &flat, None, &StructureCriteria { contrast: 0.0, ..WIDE });
        assert!(matches!(refused, Err(Error::InvalidArgument { name: "contrast", .. })));
    }
}

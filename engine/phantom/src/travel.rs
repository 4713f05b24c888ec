use isoscan_imaging::{Affine3, Interpolation, LabelInterpolation, Volume, move_by, resample, resample_labels};

use crate::body::AIR_HU;
use crate::random::{Purpose, between, hash, keyed};
use crate::{Anatomy, Error, Grid, Pose};

/// One stay of a subject in a scanner: how it lies there, and the noise of that day.
///
/// ```
/// use isoscan_phantom::Visit;
/// assert_eq!(Visit::only(7).noise_seed, 7);
/// let (first, second) = (Visit::session(7, 0, "a-soft", 1), Visit::session(7, 0, "a-soft", 2));
/// assert_ne!(first.pose, second.pose);
/// assert_ne!(first.noise_seed, second.noise_seed);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Visit {
    /// How far the subject lies from where it was drawn.
    pub pose: Pose,
    /// Seed of the noise.
    pub noise_seed: u64,
}

impl Visit {
    /// The subject lies where it was drawn.
    pub fn only(seed: u64) -> Self {
        Self { pose: Pose::default(), noise_seed: seed }
    }

    /// A session of a travelling subject, counted from 1: moved by up to 3 mm along and turned by up to 2 degrees about
    /// every axis, with noise of its own. Another scanner is another place and another noise.
    pub fn session(seed: u64, subject: u32, scanner: &str, session: u32) -> Self {
        let mut random = keyed(seed, subject, Purpose::Visit(hash(scanner)), session, 0);
        let mut up_to = |most: f64| [0; 3].map(|_| between(&mut random, -most, most));
        let (translation_mm, rotation_rad) = (up_to(3.0), up_to(2f64.to_radians()));
        let noise_seed = rand::RngExt::random(&mut random);
        Self { pose: Pose { translation_mm, rotation_rad }, noise_seed }
    }
}

/// The motion of a pose that turns about `center_mm`: new from old place, and back.
pub(crate) fn rigid(pose: &Pose, center_mm: [f64; 3]) -> (Affine3, Affine3) {
    let matrix = pose.rotation();
    let turned = Affine3 { matrix, translation: [0.0; 3] };
    let about = turned.apply(center_mm);
    let translation: [f64; 3] = std::array::from_fn(|a| center_mm[a] - about[a] + pose.translation_mm[a]);
    let transposed = std::array::from_fn(|row| std::array::from_fn(|column| matrix[column][row]));
    let back = Affine3 { matrix: transposed, translation: [0.0; 3] };
    let translation_back = back.apply(translation).map(|t| -t);
    (Affine3 { matrix, translation }, Affine3 { matrix: transposed, translation: translation_back })
}

/// Room along z that a truth needs beyond what is scanned, so that it can be moved, mm: the shift and the turn of a body
/// of ordinary width.
const ROOM_MM: f64 = 12.0;

/// The anatomy of a subject as it lies in the scanner during a visit: `draw` makes it on a grid. Densities are moved by a
/// cubic B-spline, labels by majority; where the truth does not reach there is air.
pub(crate) fn visited(grid: &Grid, pose: &Pose, draw: impl Fn(&Grid) -> Anatomy) -> Result<Anatomy, Error> {
    if *pose == Pose::default() {
        return Ok(draw(grid));
    }
    let long = draw(&grid.longer(2.0 * ROOM_MM));
    let start_mm = long.start_mm + ROOM_MM;
    let middle = [0.0, 0.0, start_mm + 0.5 * grid.length_mm()];
    let (motion, _) = rigid(pose, middle);
    let moved = |volume: &Volume| move_by(volume, &motion);
    let truth = resample(&moved(&long.truth)?, long.truth.geometry(), Interpolation::BSpline, AIR_HU as f32);
    let labels = resample_labels(&moved(&long.labels)?, long.labels.geometry(), LabelInterpolation::Linear, 0.0);
    let mut findings = long.findings.clone();
    findings.iter_mut().for_each(|finding| finding.center_mm = motion.apply(finding.center_mm));
    Ok(Anatomy { truth, labels, findings, grid: *grid, start_mm, ..long })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{abdomen, labels_on, protocol, scan};

    #[test]
    fn a_rigid_motion_and_its_way_back_meet() {
        let pose = Pose { translation_mm: [1.0, -2.0, 3.0], rotation_rad: [0.02, -0.03, 0.01] };
        let (there, back) = rigid(&pose, [10.0, 0.0, -400.0]);
        let point = [55.0, -71.0, -380.0];
        for (found, expected) in back.apply(there.apply(point)).iter().zip(point) {
            assert!((found - expected).abs() < 1e-9);
        }
        let center = there.apply([10.0, 0.0, -400.0]);
        for (found, expected) in center.iter().zip([11.0, -2.0, -397.0]) {
            assert!((found - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn a_subject_that_travels_keeps_its_organs_and_densities() {
        let grid = Grid::new([64, 64], 5.0, 20.0).unwrap().with_truth_spacing(2.0, 2.0).unwrap();
        let draw = |grid: &Grid| abdomen(3, 1, grid);
        let soft = protocol("a-soft").unwrap();
        let visit = Visit::session(3, 1, soft.id, 1);
        let (home, away) =
            (visited(&grid, &Pose::default(), draw).unwrap(), visited(&grid, &visit.pose, draw).unwrap());
        let images = [scan(&home, soft, 3, 1).unwrap(), scan(&away, soft, visit.noise_seed, 1).unwrap()];
        assert_eq!(images[0].geometry(), images[1].geometry());
        assert_ne!(images[0].as_slice(), images[1].as_slice());
        let liver = |anatomy: &Anatomy, image: &Volume| {
            let labels = labels_on(anatomy, image.geometry());
            let inside = image.as_slice().iter().zip(labels.as_slice()).filter(|(_, label)| **label == 2.0);
            let (sum, count) = inside.fold((0.0, 0.0), |(s, n), (hu, _)| (s + f64::from(*hu), n + 1.0));
            (sum / count, count)
        };
        let [(hu, count), (hu_away, count_away)] = [liver(&home, &images[0]), liver(&away, &images[1])];
        assert!((hu - hu_away).abs() < 4.0, "{hu} and {hu_away} HU");
        assert!((count / count_away - 1.0).abs() < 0.1, "{count} and {count_away} voxels");
    }
}

use crate::abdomen::biology::Biology;
use crate::abdomen::phase::in_phase;
use crate::abdomen::plan::plan;
use crate::body::{Body, body_axes, truth_geometry};
use crate::random::{Purpose, keyed, table_position};
use crate::{Anatomy, Finding, Grid};

mod biology;
mod phase;
mod plan;

pub use phase::Phase;

/// The numbers of the abdomen's label map and what they mean; 0 is outside the body.
pub const ABDOMEN_LABELS: &[(i32, &str)] = &[
    (1, "body"),
    (2, "liver"),
    (3, "spleen"),
    (4, "muscle"),
    (5, "fat"),
    (6, "visceral-fat"),
    (7, "spine"),
    (8, "cortical-bone"),
    (9, "aorta"),
    (10, "vessel"),
    (11, "kidney"),
    (12, "lesion"),
    (13, "bowel"),
    (14, "gas"),
    (15, "fluid"),
];

/// One subject's upper abdomen in the portal-venous phase: fat, muscle, ribs, spine, liver with vessels and two to four
/// lesions, spleen, kidneys, aorta, stomach and bowel with gas.
///
/// Organs are superellipsoids, ellipsoids and capsules with roughened surfaces; their densities are Gaussian random
/// fields, their numbers the columns of [`Anatomy::row`], their lesions the [`Anatomy::findings`]. The same `(seed, subject)` give the same body on every grid up to its sampling; nothing of it
/// depends on a protocol. Truth and labels cover the body and no more, with the isocentre at x = y = 0 (LPS, mm).
///
/// ```
/// let grid = isoscan_phantom::Grid::new([64, 64], 5.0, 10.0)?;
/// let subject = isoscan_phantom::abdomen(1, 0, &grid);
/// assert_eq!(subject.truth.geometry(), subject.labels.geometry());
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
pub fn abdomen(seed: u64, subject: u32, grid: &Grid) -> Anatomy {
    abdomen_in_phase(seed, subject, grid, Phase::PortalVenous)
}

/// The body of [`abdomen`] in a phase after the injection of contrast agent: shapes, textures and labels are the same,
/// mean densities differ.
pub fn abdomen_in_phase(seed: u64, subject: u32, grid: &Grid, phase: Phase) -> Anatomy {
    let biology = in_phase(Biology::draw(seed, subject), phase);
    let mut random = keyed(seed, subject, Purpose::Anatomy, 0, 0);
    let middle_mm = table_position(&mut random);
    let start_mm = middle_mm - 0.5 * grid.length_mm();
    let (materials, solids, balls) = plan(&biology, &mut random);
    let geometry = truth_geometry(biology.half_width_mm, biology.half_depth_mm, grid, start_mm);
    let body = Body::new((seed, subject), 0, materials, solids, body_axes(&geometry, middle_mm));
    let (truth, labels) = body.draw(&geometry, |_, _| ());
    let mut row = biology.row();
    row.set_volumes(&labels, ABDOMEN_LABELS);
    let findings = balls
        .into_iter()
        .map(|ball| Finding {
            kind: "liver-lesion",
            label: 12,
            center_mm: [ball.center[0], ball.center[1], ball.center[2] + middle_mm],
            diameter_mm: 2.0 * ball.radius,
            mean_hu: ball.mean_hu,
        })
        .collect();
    Anatomy { body_part: "ABDOMEN", truth, labels, label_names: ABDOMEN_LABELS, findings, row, grid: *grid, start_mm }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use isoscan_imaging::Geometry;

    use crate::labels_on;
    use crate::texture::Tissue;

    fn coarse(length_mm: f64) -> Grid {
        Grid::new([64, 64], 5.0, length_mm).unwrap().with_truth_spacing(2.0, 2.0).unwrap()
    }

    /// Densities by label.
    fn densities(anatomy: &Anatomy) -> BTreeMap<i32, Vec<f64>> {
        let mut by_label: BTreeMap<i32, Vec<f64>> = BTreeMap::new();
        for (&hu, &label) in anatomy.truth.as_slice().iter().zip(anatomy.labels.as_slice()) {
            by_label.entry(label as i32).or_default().push(f64::from(hu));
        }
        by_label
    }

    #[test]
    fn every_subject_has_every_tissue_and_its_lesions() {
        for subject in 0..16 {
            let anatomy = abdomen(11, subject, &coarse(60.0));
            let by_label = densities(&anatomy);
            for (label, name) in ABDOMEN_LABELS {
                let voxels = by_label.get(label).map_or(0, Vec::len);
                assert!(voxels >= 50, "subject {subject}: {voxels} voxels of {name}");
            }
            // At least two balls of about the smallest radius that placing may fall back to.
            let lesions_mm3 = by_label[&12].len() as f64 * 8.0;
            assert!(lesions_mm3 > 2.0 * 4.0 / 3.0 * std::f64::consts::PI * 6f64.powi(3), "subject {subject}");
        }
    }

    #[test]
    fn densities_of_a_label_are_those_of_its_tissue() {
        let anatomy = abdomen(3, 1, &coarse(60.0));
        let by_label = densities(&anatomy);
        let b = Biology::draw(3, 1);
        for (label, Tissue { mean_hu, texture_hu, .. }) in
            [(2, b.liver), (3, b.spleen), (4, b.muscle), (5, b.fat), (7, b.spine), (11, b.kidney)]
        {
            let all = &by_label[&label];
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let deviation = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
            assert!((mean - mean_hu).abs() < 0.25 * texture_hu, "label {label}: mean {mean} for {mean_hu}");
            assert!((deviation / texture_hu - 1.0).abs() < 0.2, "label {label}: texture {deviation} for {texture_hu}");
        }
        assert!(by_label[&0].iter().all(|&hu| hu == -1000.0));
        assert!(by_label[&14].iter().all(|&hu| hu == -950.0));
    }

    #[test]
    fn a_body_is_the_same_in_every_length_that_looks_at_it() {
        let (short, long) = (abdomen(3, 1, &coarse(20.0)), abdomen(3, 1, &coarse(60.0)));
        assert_eq!(labels_on(&long, short.labels.geometry()), short.labels);
        let first = ((short.truth.geometry().origin_mm()[2] - long.truth.geometry().origin_mm()[2]) / 2.0) as usize;
        let plane = short.truth.voxels().dim().1 * short.truth.voxels().dim().2;
        assert_eq!(short.truth.as_slice(), &long.truth.as_slice()[first * plane..][..short.truth.as_slice().len()]);
    }

    #[test]
    fn labels_on_a_scan_are_the_nearest_of_the_truth() {
        let anatomy = abdomen(3, 1, &coarse(20.0));
        assert_eq!(labels_on(&anatomy, anatomy.labels.geometry()), anatomy.labels);
        let far = Geometry::new([2, 2, 2], [1.0; 3], [900.0; 3], anatomy.labels.geometry().direction()).unwrap();
        assert!(labels_on(&anatomy, &far).as_slice().iter().all(|&label| label == 0.0));
    }
}

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::abdomen::plan::{Material, plan};
use crate::random::{Purpose, between, keyed};
use crate::solid::{Canvas, SURFACE_LIMIT, Solid};
use crate::texture::RandomField;
use crate::{Anatomy, Biology, Grid};

mod plan;

/// Density of air, HU.
const AIR_HU: f64 = -1000.0;

/// Truth slices beyond the scanned range at either end.
const MARGIN_SLICES: usize = 2;

/// One subject's upper abdomen in the portal-venous phase: fat, muscle, ribs, spine, liver with vessels and two to four
/// lesions, spleen, kidneys, aorta, stomach and bowel with gas.
///
/// Organs are superellipsoids, ellipsoids and capsules with roughened surfaces; their densities are Gaussian random
/// fields ([`Biology`]). The same `(seed, subject)` give the same body on every grid up to its sampling; nothing of it
/// depends on a protocol. Truth and labels cover the body and no more, with the isocentre at x = y = 0 (LPS, mm).
///
/// ```
/// let grid = isoscan_phantom::Grid::new([64, 64], 5.0, 10.0)?;
/// let subject = isoscan_phantom::abdomen(1, 0, &grid);
/// assert_eq!(subject.truth.geometry(), subject.labels.geometry());
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
pub fn abdomen(seed: u64, subject: u32, grid: &Grid) -> Anatomy {
    let biology = Biology::draw(seed, subject);
    let mut random = keyed(seed, subject, Purpose::Anatomy, 0, 0);
    let middle_mm = table_position(&mut random);
    let start_mm = middle_mm - 0.5 * grid.length_mm();
    let (materials, solids) = plan(&biology, &mut random);
    let geometry = truth_geometry(&biology, grid, start_mm);
    let body = Body { seed, subject, materials, solids, axes: body_axes(&geometry, middle_mm) };
    let (truth, labels) = body.draw();
    let volume = |voxels: Array3<f32>, modality, unit| {
        Volume::new(voxels, geometry.clone(), modality, unit).expect("the body is drawn on the geometry's axes")
    };
    Anatomy {
        truth: volume(truth, Modality::Ct, Unit::Hounsfield),
        labels: volume(labels, Modality::Seg, Unit::Label),
        biology,
        grid: *grid,
        start_mm,
    }
}

/// Middle of the scanned range on the table, LPS z in steps of half a millimetre.
fn table_position(random: &mut ChaCha8Rng) -> f64 {
    -0.5 * between(random, 300.0, 900.0).floor()
}

fn truth_geometry(biology: &Biology, grid: &Grid, start_mm: f64) -> Geometry {
    let [dx, dy, dz] = grid.truth_spacing_mm();
    let half = |extent: f64, step: f64| ((extent + 3.0) / step).ceil();
    let (hx, hy) = (half(biology.half_width_mm, dx), half(biology.half_depth_mm, dy));
    let slices = (grid.length_mm() / dz).ceil() as usize + 2 * MARGIN_SLICES;
    let size = [2 * hx as usize + 1, 2 * hy as usize + 1, slices];
    let origin = [-hx * dx, -hy * dy, start_mm + (0.5 - MARGIN_SLICES as f64) * dz];
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Geometry::new(size, [dx, dy, dz], origin, axes).expect("a checked grid around a body of finite size is valid")
}

/// Voxel centres along x, y, z in body coordinates: as in patient space, but z counts from the middle of the scan.
fn body_axes(geometry: &Geometry, middle_mm: f64) -> [Vec<f64>; 3] {
    let world = geometry.world_from_voxel();
    std::array::from_fn(|axis| {
        let shift = if axis == 2 { middle_mm } else { 0.0 };
        (0..geometry.size()[axis])
            .map(|i| {
                let mut index = [0.0; 3];
                index[axis] = i as f64;
                world.apply(index)[axis] - shift
            })
            .collect()
    })
}

struct Body {
    seed: u64,
    subject: u32,
    materials: Vec<Material>,
    solids: Vec<Solid>,
    axes: [Vec<f64>; 3],
}

impl Body {
    /// Densities and labels, `[z, y, x]`.
    fn draw(&self) -> (Array3<f32>, Array3<f32>) {
        let [xs, ys, zs] = &self.axes;
        let surface = self.field(u32::MAX, 45.0);
        let textures: Vec<Option<RandomField>> = self
            .materials
            .iter()
            .enumerate()
            .map(|(i, m)| (m.tissue.texture_hu > 0.0).then(|| self.field(i as u32, m.tissue.texture_mm)))
            .collect();
        let mut truth = Array3::from_elem((zs.len(), ys.len(), xs.len()), AIR_HU as f32);
        let mut labels = Array3::zeros(truth.dim());
        let plane = xs.len() * ys.len();
        truth
            .as_slice_mut()
            .expect("a new array is contiguous")
            .par_chunks_mut(plane)
            .zip(labels.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(plane))
            .zip(zs)
            .for_each(|((truth, labels), &z)| self.draw_slice(z, &surface, &textures, truth, labels));
        (truth, labels)
    }

    fn draw_slice(
        &self,
        z: f64,
        surface: &RandomField,
        textures: &[Option<RandomField>],
        truth: &mut [f32],
        labels: &mut [f32],
    ) {
        let [xs, ys, _] = &self.axes;
        let limited = |row: Vec<f32>| row.into_iter().map(|v| v.clamp(-SURFACE_LIMIT, SURFACE_LIMIT)).collect();
        let rough: Vec<Vec<f32>> = ys.iter().map(|&y| limited(surface.row(xs, y, z))).collect();
        let mut painted = vec![0u8; truth.len()];
        let canvas = Canvas { xs, ys, z, surface: &rough };
        for solid in &self.solids {
            solid.paint(&canvas, &mut painted);
        }
        for (j, row) in painted.chunks(xs.len()).enumerate() {
            let mut rows: Vec<Option<Vec<f32>>> = vec![None; textures.len()];
            for (i, &material) in row.iter().enumerate() {
                let Material { label, tissue } = self.materials[usize::from(material)];
                let texture = textures[usize::from(material)]
                    .as_ref()
                    .map_or(0.0, |field| rows[usize::from(material)].get_or_insert_with(|| field.row(xs, ys[j], z))[i]);
                truth[j * xs.len() + i] = tissue.mean_hu as f32 + tissue.texture_hu as f32 * texture;
                labels[j * xs.len() + i] = label as f32;
            }
        }
    }

    /// A random field of this subject over the whole body.
    fn field(&self, which: u32, width_mm: f64) -> RandomField {
        let zs = &self.axes[2];
        let range = [zs[0], *zs.last().expect("every axis has a voxel")];
        RandomField::new(self.seed, self.subject, which, range, width_mm)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{LABELS, Tissue, labels_on};

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
            for (label, name) in LABELS {
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
        let b = &anatomy.biology;
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

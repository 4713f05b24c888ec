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
    let start_mm = table_position(&mut random);
    let (materials, solids) = plan(&biology, &mut random);
    let geometry = truth_geometry(&biology, grid, start_mm);
    let body = Body { seed, subject, materials, solids, axes: body_axes(&geometry, start_mm + 0.5 * grid.length_mm()) };
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

/// Lower face of the scanned range on the table, LPS z in steps of half a millimetre.
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

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use ndarray::Array3;
use rayon::prelude::*;

use crate::Grid;
use crate::solid::{Canvas, SURFACE_LIMIT, Solid};
use crate::texture::RandomField;
use crate::texture::Tissue;

/// Density of air, HU.
pub(crate) const AIR_HU: f64 = -1000.0;

/// Truth slices beyond the scanned range at either end.
const MARGIN_SLICES: usize = 2;

/// Width of the field that roughens all surfaces, mm.
const SURFACE_MM: f64 = 45.0;

/// What one solid is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Material {
    /// Number in the label map.
    pub(crate) label: u8,
    pub(crate) tissue: Tissue,
}

/// Painted solids on a grid, with a random field per material.
pub(crate) struct Body {
    materials: Vec<Material>,
    solids: Vec<Solid>,
    axes: [Vec<f64>; 3],
    surface: RandomField,
    textures: Vec<Option<RandomField>>,
}

/// One slice of a body, `[y, x]` with x fastest.
pub(crate) struct BodySlice {
    /// Index of the material.
    pub(crate) materials: Vec<u8>,
    /// Density, HU.
    pub(crate) hu: Vec<f32>,
    /// Number in the label map.
    pub(crate) labels: Vec<f32>,
}

/// Columns, rows and planes of a truth around a body of these half extents: the scanned length with a margin.
pub(crate) fn truth_geometry(half_width_mm: f64, half_depth_mm: f64, grid: &Grid, start_mm: f64) -> Geometry {
    let [dx, dy, dz] = grid.truth_spacing_mm();
    let half = |extent: f64, step: f64| ((extent + 3.0) / step).ceil();
    let (hx, hy) = (half(half_width_mm, dx), half(half_depth_mm, dy));
    let slices = (grid.length_mm() / dz).ceil() as usize + 2 * MARGIN_SLICES;
    let size = [2 * hx as usize + 1, 2 * hy as usize + 1, slices];
    let origin = [-hx * dx, -hy * dy, start_mm + (0.5 - MARGIN_SLICES as f64) * dz];
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Geometry::new(size, [dx, dy, dz], origin, axes).expect("a checked grid around a body of finite size is valid")
}

/// Voxel centres along x, y, z in body coordinates: as in patient space, but z counts from `middle_mm`.
pub(crate) fn body_axes(geometry: &Geometry, middle_mm: f64) -> [Vec<f64>; 3] {
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

impl Body {
    /// A body whose material `i` has the random field `first_field + i` of the subject.
    pub(crate) fn new(
        (seed, subject): (u64, u32),
        first_field: u32,
        materials: Vec<Material>,
        solids: Vec<Solid>,
        axes: [Vec<f64>; 3],
    ) -> Self {
        let zs = &axes[2];
        let range = [zs[0], *zs.last().expect("every axis has a voxel")];
        let field = |which, width_mm| RandomField::new(seed, subject, which, range, width_mm);
        let textures = (first_field..)
            .zip(&materials)
            .map(|(which, m)| (m.tissue.texture_hu > 0.0).then(|| field(which, m.tissue.texture_mm)))
            .collect();
        let surface = field(u32::MAX - first_field, SURFACE_MM);
        Self { materials, solids, axes, surface, textures }
    }

    /// Centres of the voxels along x, y, z in body coordinates, mm.
    pub(crate) fn axes(&self) -> &[Vec<f64>; 3] {
        &self.axes
    }

    /// Densities (HU) and labels on `geometry`, whose voxels are the body's axes; `retouch` may change each slice, whose
    /// position along z it is told.
    pub(crate) fn draw(&self, geometry: &Geometry, retouch: impl Fn(f64, &mut BodySlice) + Sync) -> (Volume, Volume) {
        let [xs, ys, zs] = &self.axes;
        let mut truth = Array3::from_elem((zs.len(), ys.len(), xs.len()), AIR_HU as f32);
        let mut labels = Array3::zeros(truth.dim());
        let plane = xs.len() * ys.len();
        truth
            .as_slice_mut()
            .expect("a new array is contiguous")
            .par_chunks_mut(plane)
            .zip(labels.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(plane))
            .zip(zs)
            .for_each(|((truth, labels), &z)| {
                let mut slice = self.slice(z);
                retouch(z, &mut slice);
                truth.copy_from_slice(&slice.hu);
                labels.copy_from_slice(&slice.labels);
            });
        let volume = |voxels: Array3<f32>, modality, unit| {
            Volume::new(voxels, geometry.clone(), modality, unit).expect("the body is drawn on the geometry's axes")
        };
        (volume(truth, Modality::Ct, Unit::Hounsfield), volume(labels, Modality::Seg, Unit::Label))
    }

    /// The cut at `z`.
    pub(crate) fn slice(&self, z: f64) -> BodySlice {
        let materials = self.paint(z);
        let [xs, ys, _] = &self.axes;
        let mut hu: Vec<f32> =
            materials.iter().map(|&m| self.materials[usize::from(m)].tissue.mean_hu as f32).collect();
        let labels = materials.iter().map(|&m| f32::from(self.materials[usize::from(m)].label)).collect();
        for (j, row) in materials.chunks(xs.len()).enumerate() {
            let mut of_material: Vec<Vec<usize>> = vec![Vec::new(); self.materials.len()];
            row.iter().enumerate().for_each(|(i, &material)| of_material[usize::from(material)].push(i));
            for ((field, columns), material) in self.textures.iter().zip(&of_material).zip(&self.materials) {
                let Some(field) = field.as_ref().filter(|_| !columns.is_empty()) else { continue };
                let at: Vec<f64> = columns.iter().map(|&i| xs[i]).collect();
                for (&i, value) in columns.iter().zip(field.row(&at, ys[j], z)) {
                    hu[j * xs.len() + i] += material.tissue.texture_hu as f32 * value;
                }
            }
        }
        BodySlice { materials, hu, labels }
    }

    fn paint(&self, z: f64) -> Vec<u8> {
        let [xs, ys, _] = &self.axes;
        let limited = |row: Vec<f32>| row.into_iter().map(|v| v.clamp(-SURFACE_LIMIT, SURFACE_LIMIT)).collect();
        let rough: Vec<Vec<f32>> = ys.iter().map(|&y| limited(self.surface.row(xs, y, z))).collect();
        let canvas = Canvas { xs, ys, z, surface: &rough };
        let mut painted = vec![0u8; xs.len() * ys.len()];
        for solid in &self.solids {
            solid.paint(&canvas, &mut painted);
        }
        painted
    }
}

use isoscan_imaging::{Geometry, Volume};
use ndarray::Array3;

use crate::{Error, Finding, Grid, Protocol, TruthRow};

/// One subject without any scanner: exact tissue densities and labels on a fine grid.
#[derive(Debug, Clone)]
pub struct Anatomy {
    /// The body part in the words of DICOM (0018,0015), e.g. `ABDOMEN`.
    pub body_part: &'static str,
    /// Noise-free densities in HU. In-plane pixel and step along z are those of [`Grid::truth_spacing_mm`].
    pub truth: Volume,
    /// The label of every voxel of the truth, on the same geometry; 0 is outside the body.
    pub labels: Volume,
    /// The numbers of the label map and what they mean.
    pub label_names: &'static [(i32, &'static str)],
    /// Lesions or nodules; those that a short truth does not reach are listed too.
    pub findings: Vec<Finding>,
    /// The numbers that the subject was drawn with, and the exact volume of every label within the truth.
    pub row: TruthRow,
    /// Where scans put their voxels.
    pub grid: Grid,
    /// Lower face of the scanned range, LPS z, mm.
    pub start_mm: f64,
}

impl Anatomy {
    /// The grid of a scan of this subject under `protocol`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when not one slice fits in the grid's length.
    pub fn scan_geometry(&self, protocol: &Protocol) -> Result<Geometry, Error> {
        self.grid.scan_geometry(protocol, self.start_mm)
    }
}

/// The labels of the subject on another grid, by the nearest voxel of the truth; 0 where the truth does not reach.
///
/// A slice thicker than the truth's step gets the labels of its middle plane.
pub fn labels_on(anatomy: &Anatomy, geometry: &Geometry) -> Volume {
    let fine_from_voxel = anatomy.labels.geometry().voxel_from_world().after(&geometry.world_from_voxel());
    let labels = anatomy.labels.voxels();
    let (depth, rows, columns) = labels.dim();
    let [nx, ny, nz] = geometry.size();
    let nearest = Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| {
        let [x, y, z] = fine_from_voxel.apply([i as f64, j as f64, k as f64]).map(|v| (v + 0.5).floor());
        let inside = |v: f64, count: usize| v >= 0.0 && v < count as f64;
        if !(inside(x, columns) && inside(y, rows) && inside(z, depth)) {
            return 0.0;
        }
        labels[[z as usize, y as usize, x as usize]]
    });
    Volume::new(nearest, geometry.clone(), anatomy.labels.modality(), anatomy.labels.unit())
        .expect("the array was made with the geometry's size")
}

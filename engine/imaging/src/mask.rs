use ndarray::{Array3, ArrayView3};

use crate::{Error, Geometry, Volume};

/// A region of interest: one bool per voxel `[z, y, x]` on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Mask {
    inside: Array3<bool>,
    geometry: Geometry,
}

impl Mask {
    /// Joins a region `[z, y, x]` to its grid.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the shape is not the geometry's size.
    pub fn new(inside: Array3<bool>, geometry: Geometry) -> Result<Self, Error> {
        let (nz, ny, nx) = inside.dim();
        if [nx, ny, nz] != geometry.size() {
            return Err(Error::SizeMismatch { expected: geometry.size(), found: [nx, ny, nz] });
        }
        let inside = if inside.is_standard_layout() { inside } else { inside.as_standard_layout().into_owned() };
        Ok(Self { inside, geometry })
    }

    /// The voxels of `labels` that equal `label`.
    pub fn of_label(labels: &Volume, label: i32) -> Self {
        Self { inside: labels.voxels().mapv(|v| v == label as f32), geometry: labels.geometry().clone() }
    }

    /// The region, `[z, y, x]`, contiguous, x fastest.
    pub fn inside(&self) -> ArrayView3<'_, bool> {
        self.inside.view()
    }

    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Number of voxels inside.
    pub fn count(&self) -> usize {
        self.inside.iter().filter(|&&inside| inside).count()
    }

    /// Requires at least one voxel inside.
    ///
    /// # Errors
    /// [`Error::EmptyMask`].
    pub fn require_any(&self) -> Result<(), Error> {
        if self.inside.iter().any(|&inside| inside) {
            return Ok(());
        }
        Err(Error::EmptyMask { voxels: self.inside.len() })
    }

    /// Smallest box that holds the region: first voxel `[x, y, z]` and size, or `None` when empty.
    pub fn bounding_box(&self) -> Option<([usize; 3], [usize; 3])> {
        let mut low = [usize::MAX; 3];
        let mut high = [0; 3];
        for ((z, y, x), &inside) in self.inside.indexed_iter() {
            if inside {
                for (axis, index) in [x, y, z].into_iter().enumerate() {
                    low[axis] = low[axis].min(index);
                    high[axis] = high[axis].max(index);
                }
            }
        }
        (low[0] != usize::MAX).then(|| (low, std::array::from_fn(|a| high[a] - low[a] + 1)))
    }
}

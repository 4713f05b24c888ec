use ndarray::{Array3, ArrayView3};

use crate::{Error, Geometry, Modality, Unit, Volume};

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

impl Mask {
    /// The region as a label map: 1 inside, 0 outside, [`Modality::Seg`] and [`Unit::Label`].
    pub fn to_volume(&self) -> Volume {
        let labels = self.inside.mapv(|inside| f32::from(u8::from(inside)));
        Volume::new(labels, self.geometry.clone(), Modality::Seg, Unit::Label).expect("a mask's shape fits its grid")
    }
}

/// The voxels in either region.
///
/// # Errors
/// [`Error::GeometryMismatch`] when the grids differ by more than 1e-3 mm.
pub fn union(a: &Mask, b: &Mask) -> Result<Mask, Error> {
    combined(a, b, |a, b| a | b)
}

/// The voxels in both regions.
///
/// # Errors
/// [`Error::GeometryMismatch`] when the grids differ by more than 1e-3 mm.
pub fn intersection(a: &Mask, b: &Mask) -> Result<Mask, Error> {
    combined(a, b, |a, b| a & b)
}

/// The voxels of `a` that are not in `b`.
///
/// # Errors
/// [`Error::GeometryMismatch`] when the grids differ by more than 1e-3 mm.
pub fn difference(a: &Mask, b: &Mask) -> Result<Mask, Error> {
    combined(a, b, |a, b| a & !b)
}

fn combined(a: &Mask, b: &Mask, rule: impl Fn(bool, bool) -> bool) -> Result<Mask, Error> {
    a.geometry.require_same(&b.geometry, 1e-3)?;
    let inside = ndarray::Zip::from(&a.inside).and(&b.inside).map_collect(|&a, &b| rule(a, b));
    Mask::new(inside, a.geometry.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(bits: [u8; 4]) -> Mask {
        let inside = Array3::from_shape_vec((1, 1, 4), bits.map(|b| b == 1).to_vec()).unwrap();
        Mask::new(inside, Geometry::axis_aligned([4, 1, 1], [1.0; 3]).unwrap()).unwrap()
    }

    #[test]
    fn set_operations() {
        let (a, b) = (mask([0, 0, 1, 1]), mask([0, 1, 0, 1]));
        assert_eq!(union(&a, &b), Ok(mask([0, 1, 1, 1])));
        assert_eq!(intersection(&a, &b), Ok(mask([0, 0, 0, 1])));
        assert_eq!(difference(&a, &b), Ok(mask([0, 0, 1, 0])));
        let elsewhere = Geometry::axis_aligned([4, 1, 1], [2.0, 1.0, 1.0]).unwrap();
        let other = Mask::new(b.inside().to_owned(), elsewhere).unwrap();
        assert!(matches!(union(&a, &other), Err(Error::GeometryMismatch { .. })));
    }

    #[test]
    fn a_mask_becomes_a_label_map_and_back() {
        let labels = mask([0, 1, 1, 0]).to_volume();
        assert_eq!((labels.as_slice(), labels.unit()), ([0.0, 1.0, 1.0, 0.0].as_slice(), Unit::Label));
        assert_eq!(Mask::of_label(&labels, 1), mask([0, 1, 1, 0]));
    }
}

//! What changed from one image to another: place, meaning, values, header.

mod header;
mod voxels;

use isoscan_imaging::{Modality, Orientation, Unit, Volume, reorient};
use serde::Serialize;

pub(crate) use header::Field;
pub use header::HeaderChange;
pub use voxels::{Range, VoxelChange};

use crate::{Series, SeriesKind, Source};

/// Grids closer than this at every corner are the same place, mm.
const SAME_PLACE_MM: f64 = 1e-4;

/// Every difference between two images. Holds no value of an attribute that identifies a patient.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Formats of both, when they differ or one was computed.
    pub kind: Option<[Option<SeriesKind>; 2]>,
    /// Number of files of both, when they differ.
    pub files: Option<[usize; 2]>,
    /// What differs in where the voxels lie.
    pub geometry: GeometryChange,
    /// Modality of both, when they differ.
    pub modality: Option<[Modality; 2]>,
    /// Unit of both, when they differ.
    pub unit: Option<[Unit; 2]>,
    /// Values of both.
    pub range: [Range; 2],
    /// Voxel by voxel, where both have the same voxels to compare.
    pub voxels: Option<VoxelChange>,
    /// Header fields that were added, removed or changed, in the order of the format; empty between formats.
    pub header: Vec<HeaderChange>,
}

impl Diff {
    /// Whether place, meaning and every voxel are the same; headers may differ.
    pub fn same_image(&self) -> bool {
        self.geometry.same_place
            && self.modality.is_none()
            && self.unit.is_none()
            && self.voxels.as_ref().is_some_and(|voxels| voxels.differing == 0)
    }

    /// Whether nothing differs at all, not even the storage order or a header field.
    pub fn is_empty(&self) -> bool {
        self.same_image()
            && self.geometry == GeometryChange { same_place: true, ..GeometryChange::default() }
            && self.kind.is_none()
            && self.files.is_none()
            && self.header.is_empty()
    }
}

/// Differences of two grids; a pair is `[first, second]`, present only where they differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GeometryChange {
    /// Both cover the same voxel centres within 1e-4 mm, whatever their storage order.
    pub same_place: bool,
    /// Storage order, such as `LPS` and `RAS`.
    pub orientation: Option<[String; 2]>,
    /// Voxels along x, y, z.
    pub size: Option<[[usize; 3]; 2]>,
    /// Distance between voxel centres, mm.
    pub spacing_mm: Option<[[f64; 3]; 2]>,
    /// First voxel centre, LPS mm.
    pub origin_mm: Option<[[f64; 3]; 2]>,
    /// Directions of the voxel axes in LPS; each row is one axis.
    pub direction: Option<[[[f64; 3]; 3]; 2]>,
    /// Largest distance of corresponding corner voxels after both are in one storage order, mm; `None` when the sizes
    /// differ or the grids are equal.
    pub corner_distance_mm: Option<f64>,
}

/// Compares two images, voxel by voxel after both are in the storage order of the first; grids of different sizes are not
/// compared voxel by voxel.
///
/// ```
/// # use isoscan_imaging::{Geometry, Modality, Unit, Volume};
/// # use isoscan_io::{Series, Source, diff};
/// let air = Volume::filled(-1000.0, Geometry::axis_aligned([4, 4, 4], [1.0; 3])?, Modality::Ct, Unit::Hounsfield);
/// let series = |volume| Series { volume, source: Source::None, padding: None, warnings: Vec::new() };
/// let changed = diff(&series(air.clone()), &series(air.map(|hu| hu + 2.0)));
/// let voxels = changed.voxels.unwrap();
/// assert_eq!((voxels.differing, voxels.largest), (64, 2.0));
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
pub fn diff(first: &Series, second: &Series) -> Diff {
    let orientation = Orientation::of(first.volume.geometry());
    let turned =
        (Orientation::of(second.volume.geometry()) != orientation).then(|| reorient(&second.volume, orientation));
    let aligned = turned.as_ref().unwrap_or(&second.volume);
    let geometry = geometry(&first.volume, &second.volume, aligned);
    let comparable = first.volume.geometry().size() == aligned.geometry().size();
    let voxels = comparable.then(|| voxels::compare(&first.volume, aligned, geometry.same_place));
    let kinds = [&first.source, &second.source].map(|source: &Source| source.kind());
    let files = [&first.source, &second.source].map(|source| source.paths().len());
    Diff {
        kind: (kinds[0] != kinds[1]).then_some(kinds),
        files: different(files[0], files[1]),
        geometry,
        modality: different(first.volume.modality(), second.volume.modality()),
        unit: different(first.volume.unit(), second.volume.unit()),
        range: [&first.volume, &second.volume].map(Range::of),
        voxels,
        header: if kinds[0] == kinds[1] { header::changes(&first.source, &second.source) } else { Vec::new() },
    }
}

fn geometry(first: &Volume, second: &Volume, aligned: &Volume) -> GeometryChange {
    let (a, b) = (first.geometry(), second.geometry());
    let distance = a.corner_distance_mm(aligned.geometry());
    GeometryChange {
        same_place: distance <= SAME_PLACE_MM,
        orientation: different(Orientation::of(a).to_string(), Orientation::of(b).to_string()),
        size: different(a.size(), b.size()),
        spacing_mm: different(a.spacing_mm(), b.spacing_mm()),
        origin_mm: different(a.origin_mm(), b.origin_mm()),
        direction: different(a.direction(), b.direction()),
        corner_distance_mm: (distance.is_finite() && distance > 0.0).then_some(distance),
    }
}

fn different<T: PartialEq>(first: T, second: T) -> Option<[T; 2]> {
    (first != second).then_some([first, second])
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::Geometry;
    use ndarray::Array3;

    use super::*;

    fn series(volume: Volume) -> Series {
        Series { volume, source: Source::None, padding: None, warnings: Vec::new() }
    }

    fn ramp() -> Volume {
        let voxels = Array3::from_shape_fn((3, 4, 5), |(z, y, x)| (100 * z + 10 * y + x) as f32);
        let geometry = Geometry::axis_aligned([5, 4, 3], [0.5, 1.0, 2.0]).unwrap();
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn another_storage_order_is_the_same_image() {
        let turned = reorient(&ramp(), "RAS".parse().unwrap());
        let changed = diff(&series(ramp()), &series(turned));
        assert!(changed.same_image() && !changed.is_empty());
        assert_eq!(changed.geometry.orientation, Some(["LPS".to_owned(), "RAS".to_owned()]));
        assert!(diff(&series(ramp()), &series(ramp())).is_empty());
    }

    #[test]
    fn a_moved_grid_is_told_in_mm_and_its_voxels_compared_by_index() {
        let geometry =
            Geometry::new([5, 4, 3], [0.5, 1.0, 2.0], [0.0, 3.0, 4.0], ramp().geometry().direction()).unwrap();
        let moved = Volume::new(ramp().into_voxels(), geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        let changed = diff(&series(ramp()), &series(moved));
        assert!(!changed.same_image());
        assert_eq!(changed.geometry.corner_distance_mm, Some(5.0));
        let voxels = changed.voxels.unwrap();
        assert_eq!((voxels.at_same_place, voxels.differing), (false, 0));
    }

    #[test]
    fn the_largest_change_is_told_with_its_place() {
        let mut voxels = ramp().into_voxels();
        voxels[[2, 1, 3]] -= 7.0;
        voxels[[0, 0, 1]] = f32::NAN;
        let changed = diff(&series(ramp()), &series(ramp().with_voxels(voxels).unwrap())).voxels.unwrap();
        assert_eq!((changed.differing, changed.largest, changed.not_finite), (2, 7.0, 1));
        assert_eq!(changed.largest_at, Some(([3, 1, 2], [1.5, 1.0, 4.0])));
        assert_eq!((changed.mean, changed.mean_absolute), (-7.0 / 59.0, 7.0 / 59.0));
    }
}

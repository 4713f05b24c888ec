use ndarray::{Array3, Axis, Slice};

use crate::orientation::Turn;
use crate::{Error, Geometry, Modality, Orientation, Unit};

/// Why slices could not be read or written; the storage's own error.
pub type StorageError = Box<dyn std::error::Error + Send + Sync>;

/// An image whose voxels need not be in memory together: its slices `[z]` are read a few at a time, x fastest.
pub trait Slices: Sync {
    /// The grid.
    fn geometry(&self) -> &Geometry;

    /// The modality.
    fn modality(&self) -> Modality;

    /// The intensity unit.
    fn unit(&self) -> Unit;

    /// Reads the slices from `first` on that `voxels` has room for.
    ///
    /// # Errors
    /// The storage's own error.
    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError>;
}

/// [`Slices`] that are also written.
pub trait SlicesMut: Slices {
    /// Writes whole slices from `first` on.
    ///
    /// # Errors
    /// The storage's own error.
    fn write(&mut self, first: usize, voxels: &[f32]) -> Result<(), StorageError>;
}

impl Slices for crate::Volume {
    fn geometry(&self) -> &Geometry {
        self.geometry()
    }

    fn modality(&self) -> Modality {
        self.modality()
    }

    fn unit(&self) -> Unit {
        self.unit()
    }

    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
        let [nx, ny, _] = self.geometry().size();
        let from = first * nx * ny;
        voxels.copy_from_slice(&self.as_slice()[from..from + voxels.len()]);
        Ok(())
    }
}

/// Copies every voxel of `source` to its place in `target`, whose grid holds the same voxel centres in any storage
/// order, with at most `depth` slices of either in memory. Where slices of the target run across those of the source, the
/// source is read once for every `depth` slices of the target.
///
/// # Errors
/// [`Error::SizeMismatch`] when the target is not the turned source; the storages' own errors.
pub fn turn_slices(source: &dyn Slices, target: &mut dyn SlicesMut, depth: usize) -> Result<(), StorageError> {
    let turn = Turn::between(Orientation::of(source.geometry()), Orientation::of(target.geometry()));
    let from = source.geometry().size();
    let to = target.geometry().size();
    if turn.from.map(|a| from[a]) != to {
        return Err(Error::SizeMismatch { expected: turn.from.map(|a| from[a]), found: to }.into());
    }
    let depth = depth.max(1);
    let along = turn.from[2] == 2;
    for first in (0..to[2]).step_by(depth) {
        let count = depth.min(to[2] - first);
        let slab = if along {
            let start = if turn.flip[2] { to[2] - first - count } else { first };
            turn.array(read_array(source, start, count)?.view())
        } else {
            across(source, turn, first, [to[0], to[1], count], depth)?
        };
        target.write(first, slab.as_slice().expect("a turned array is contiguous"))?;
    }
    Ok(())
}

/// The target slices from `first` on, gathered from all slices of the source.
fn across(
    source: &dyn Slices,
    turn: Turn,
    first: usize,
    [nx, ny, count]: [usize; 3],
    depth: usize,
) -> Result<Array3<f32>, StorageError> {
    let deep = source.geometry().size()[2];
    // The source axis along which the target's slices follow each other, and the target axis along the source's slices.
    let cut = turn.from[2];
    let place = turn.inverse().from[2];
    let length = source.geometry().size()[cut];
    let start = if turn.flip[2] { length - first - count } else { first };
    let mut slab = Array3::zeros((count, ny, nx));
    for at in (0..deep).step_by(depth) {
        let some = depth.min(deep - at);
        let read = read_array(source, at, some)?;
        let part = read.slice_axis(Axis(2 - cut), Slice::from(start..start + count));
        let turned = turn.array(part);
        let begin = if turn.flip[place] { deep - at - some } else { at };
        slab.slice_axis_mut(Axis(2 - place), Slice::from(begin..begin + some)).assign(&turned);
    }
    Ok(slab)
}

fn read_array(source: &dyn Slices, first: usize, count: usize) -> Result<Array3<f32>, StorageError> {
    let [nx, ny, _] = source.geometry().size();
    let mut slab = Array3::zeros((count, ny, nx));
    source.read(first, slab.as_slice_mut().expect("a new array is contiguous"))?;
    Ok(slab)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Volume, reorient};

    struct Kept(Volume);

    impl Slices for Kept {
        fn geometry(&self) -> &Geometry {
            self.0.geometry()
        }

        fn modality(&self) -> Modality {
            self.0.modality()
        }

        fn unit(&self) -> Unit {
            self.0.unit()
        }

        fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
            self.0.read(first, voxels)
        }
    }

    impl SlicesMut for Kept {
        fn write(&mut self, first: usize, voxels: &[f32]) -> Result<(), StorageError> {
            let mut all = self.0.voxels().to_owned();
            let plane = all.dim().1 * all.dim().2;
            all.as_slice_mut().unwrap()[first * plane..][..voxels.len()].copy_from_slice(voxels);
            self.0 = self.0.with_voxels(all)?;
            Ok(())
        }
    }

    #[test]
    fn slices_turn_as_the_whole_volume_does_in_all_48_orientations() {
        let voxels = Array3::from_shape_fn((5, 4, 3), |(k, j, i)| (100 * k + 10 * j + i) as f32);
        let geometry = Geometry::axis_aligned([3, 4, 5], [1.0, 1.5, 2.0]).unwrap();
        let source = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        for orientation in Orientation::all() {
            let expected = reorient(&source, orientation);
            let mut target = Kept(expected.map(|_| 0.0));
            turn_slices(&source, &mut target, 2).unwrap();
            assert_eq!(target.0, expected, "{orientation}");
        }
    }
}

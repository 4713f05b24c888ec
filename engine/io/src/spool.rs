use std::fs::{File, OpenOptions, remove_file};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use isoscan_imaging::{Geometry, Modality, Slices, SlicesMut, StorageError, Unit};

use crate::Error;

/// An image kept on disk instead of in memory: voxels as f32, 0 until written. Its file has no name from the start, so
/// nothing of it stays when the program ends, however it ends.
#[derive(Debug)]
pub struct Spool {
    file: File,
    folder: PathBuf,
    geometry: Geometry,
    modality: Modality,
    unit: Unit,
}

impl Spool {
    /// Storage in `folder` for an image of this grid and meaning.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder takes no file of that length.
    pub fn new(folder: &Path, geometry: &Geometry, modality: Modality, unit: Unit) -> Result<Self, Error> {
        static RUNNING: AtomicU64 = AtomicU64::new(0);
        let name = format!(".isoscan-{}-{}.spool", std::process::id(), RUNNING.fetch_add(1, Ordering::Relaxed));
        let path = folder.join(name);
        let failed = |source| Error::Io { action: "keep voxels in", path: folder.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(failed)?;
        remove_file(&path).map_err(failed)?;
        file.set_len(geometry.voxel_count() as u64 * 4).map_err(failed)?;
        Ok(Self { file, folder: folder.to_owned(), geometry: geometry.clone(), modality, unit })
    }

    fn place(&self, first: usize) -> u64 {
        let [nx, ny, _] = self.geometry.size();
        first as u64 * nx as u64 * ny as u64 * 4
    }

    fn failed(&self, source: std::io::Error) -> Error {
        Error::Io { action: "keep voxels in", path: self.folder.clone(), source }
    }

    /// [`SlicesMut::write`] with this crate's error.
    pub(crate) fn put(&mut self, first: usize, voxels: &[f32]) -> Result<(), Error> {
        let written = self.file.write_all_at(bytemuck::cast_slice(voxels), self.place(first));
        written.map_err(|source| self.failed(source))
    }
}

impl Slices for Spool {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn modality(&self) -> Modality {
        self.modality
    }

    fn unit(&self) -> Unit {
        self.unit
    }

    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
        let bytes = bytemuck::cast_slice_mut(voxels);
        Ok(self.file.read_exact_at(bytes, self.place(first)).map_err(|source| self.failed(source))?)
    }
}

impl SlicesMut for Spool {
    fn write(&mut self, first: usize, voxels: &[f32]) -> Result<(), StorageError> {
        Ok(self.put(first, voxels)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_come_back_as_written_and_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let geometry = Geometry::axis_aligned([3, 2, 4], [1.0; 3]).unwrap();
        let mut spool = Spool::new(folder.path(), &geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        let values: Vec<f32> = (0..12).map(|i| i as f32 - 0.5).collect();
        spool.write(1, &values).unwrap();
        let mut back = vec![7.0; 24];
        spool.read(0, &mut back).unwrap();
        assert_eq!((&back[..6], &back[6..18], &back[18..]), (&[0.0; 6][..], &values[..], &[0.0; 6][..]));
        assert!(spool.read(3, &mut [0.0; 12]).is_err(), "beyond the last slice");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

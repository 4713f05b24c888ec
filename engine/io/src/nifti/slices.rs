//! The slices of a NIfTI file without the whole volume.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use isoscan_imaging::{Geometry, Modality, Slices, StorageError, Unit};

use super::gzip::{PART, write_gzip};
use super::head::Head;
use super::load::{self, Layout};
use super::read::{NiftiSource, Opened, open};
use super::voxels::Stored;
use crate::{Derivation, Error, ReadOptions, Source, Spool, StoredSeries, write_atomically};

/// A plain file, read at its places.
struct PlainFile {
    source: NiftiSource,
    stored: Stored,
    modality: Modality,
    unit: Unit,
}

impl PlainFile {
    fn layout(&self) -> Layout<'_> {
        Layout::of(self.source.header(), self.stored, self.source.image_path())
    }
}

impl Slices for PlainFile {
    fn geometry(&self) -> &Geometry {
        self.source.geometry()
    }

    fn modality(&self) -> Modality {
        self.modality
    }

    fn unit(&self) -> Unit {
        self.unit
    }

    fn read(&self, first: usize, voxels: &mut [f32]) -> Result<(), StorageError> {
        let [nx, ny, _] = self.source.geometry().size();
        Ok(load::part(&self.layout(), self.source.volume() as u64, first * nx * ny, voxels)?)
    }
}

/// Opens the only volume of a file; a packed one is unpacked into `scratch`.
pub(crate) fn open_slices(path: &Path, options: &ReadOptions, scratch: &Path) -> Result<StoredSeries, Error> {
    let opened = open(path)?;
    if opened.volumes() > 1 {
        return Err(Error::SeveralVolumes { volumes: opened.volumes(), path: path.to_owned() });
    }
    let (modality, unit) = opened.meaning(options.modality, options.unit);
    let packed = load::is_packed(&opened.layout())?;
    let spool = if packed { Some(unpacked(&opened, modality, unit, scratch)?) } else { None };
    let stored = opened.stored();
    let (source, warnings) = opened.into_source(0);
    let slices: Box<dyn Slices> = match spool {
        Some(spool) => Box::new(spool),
        None => Box::new(PlainFile { source: source.clone(), stored, modality, unit }),
    };
    Ok(StoredSeries { slices, source: Source::Nifti(source), warnings })
}

fn unpacked(opened: &Opened, modality: Modality, unit: Unit, scratch: &Path) -> Result<Spool, Error> {
    let geometry = opened.geometry();
    let mut spool = Spool::new(scratch, geometry, modality, unit)?;
    let plane = geometry.size()[0] * geometry.size()[1];
    let mut waiting: Vec<f32> = Vec::new();
    let mut slice = 0;
    load::runs(&opened.layout(), 0, |voxels| {
        waiting.extend_from_slice(voxels);
        let whole = waiting.len() / plane;
        spool.put(slice, &waiting[..whole * plane])?;
        waiting.drain(..whole * plane);
        slice += whole;
        Ok(())
    })?;
    Ok(spool)
}

/// Writes an image whose voxels stay in storage, as [`write_nifti`](crate::write_nifti) writes one in memory: as float32,
/// label maps as int32. Memory holds a few MB and the slices that they lie in.
///
/// # Errors
/// [`Error::OutputName`] for another ending than `.nii` and `.nii.gz`, [`Error::Storage`] when the slices cannot be read,
/// [`Error::Io`] when the disk refuses.
pub fn write_nifti_slices(
    path: &Path,
    slices: &dyn Slices,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let packed = name.ends_with(".nii.gz");
    if !packed && !name.ends_with(".nii") {
        return Err(Error::OutputName { expected: ".nii or .nii.gz", path: path.to_owned() });
    }
    let source = match source {
        Some(Source::Nifti(source)) => Some(source),
        _ => None,
    };
    let stored = if slices.unit() == Unit::Label { Stored::I32 } else { Stored::F32 };
    let head = Head {
        volume: slices,
        volumes: 1,
        source,
        derivation,
        stored,
        big_endian: false,
        slope: (1.0, 0.0),
        quantised: None,
        time_step_s: None,
        pair: false,
    };
    let head = head.to_bytes(path);
    let failure = Mutex::new(None);
    let voxels = |from: usize, to: usize| {
        encoded(slices, stored, from, to).unwrap_or_else(|error| {
            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            vec![0; to - from]
        })
    };
    let total = head.len() + slices.geometry().voxel_count() * stored.bytes();
    let part = |index: usize| {
        let (first, last) = (index * PART, ((index + 1) * PART).min(total));
        let mut bytes = head[first.min(head.len())..last.min(head.len())].to_vec();
        bytes.extend(voxels(first.max(head.len()) - head.len(), last.max(head.len()) - head.len()));
        bytes
    };
    let written = write_atomically(path, |out| {
        match packed {
            true => write_gzip(out, total, part)?,
            false => (0..total.div_ceil(PART)).try_for_each(|index| out.write_all(&part(index)))?,
        }
        let failed = failure.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        if failed { Err(io::Error::other("slices that could not be read")) } else { Ok(()) }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(source) => Err(Error::Storage { source, path: path.to_owned() }),
        None => written,
    }
}

/// Bytes `from..to` of the stored numbers, out of the slices that hold them.
fn encoded(slices: &dyn Slices, stored: Stored, from: usize, to: usize) -> Result<Vec<u8>, StorageError> {
    if from == to {
        return Ok(Vec::new());
    }
    let width = stored.bytes();
    let plane = slices.geometry().size()[0] * slices.geometry().size()[1];
    let (first, last) = (from / width, to.div_ceil(width));
    let (begin, end) = (first / plane, last.div_ceil(plane));
    let mut voxels = vec![0.0; (end - begin) * plane];
    slices.read(begin, &mut voxels)?;
    let bytes = stored.encode(&voxels[first - begin * plane..last - begin * plane], None);
    Ok(bytes[from - first * width..to - first * width].to_vec())
}

use std::path::Path;

use isoscan_imaging::{Unit, Volume};

use super::forms;
use super::gzip::{PART, write_gzip};
use super::header::{Edition, Forms};
use super::meaning::{COMMENT, Comment, Meaning};
use super::read::{Extension, NiftiSource};
use super::voxels::Stored;
use crate::{Derivation, Error, Source, write_atomically};

/// Writes a volume as `.nii` or `.nii.gz`, whole or not at all.
///
/// Voxels are f32 with slope 1; label maps take the smallest integer type that holds them, and an image that comes
/// unchanged (no `derivation`) from a NIfTI file keeps that file's stored type and scaling when it gives every voxel back.
/// Both coordinate forms are written, with code 1 or the codes of a NIfTI source; on the source's own grid its forms are
/// copied as they are. Sheared axes have no qform. Extensions of a NIfTI source are kept, and one JSON comment with
/// modality, unit and `derivation` is added; derived images carry a mark in `descrip`. The bytes depend on nothing else,
/// in particular not on the number of threads. Axes beyond 32767 voxels are written as NIfTI-2.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::NotALabelMap`] for fractions in a label map, [`Error::Io`] when
/// the disk refuses.
pub fn write_nifti(
    path: &Path,
    volume: &Volume,
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
    let voxels = volume.as_slice();
    let (stored, scale) = stored_type(volume, source, derivation, path)?;
    let head = Head { volume, source, derivation, stored, scale }.to_bytes();
    let bytes_per_voxel = stored.bytes();
    write_atomically(path, |out| {
        if packed {
            let total = head.len() + voxels.len() * bytes_per_voxel;
            return write_gzip(out, total, |part| {
                let (first, last) = (part * PART, ((part + 1) * PART).min(total));
                run_of_file(&head, voxels, stored, scale, first, last)
            });
        }
        out.write_all(&head)?;
        voxels.chunks(1 << 16).try_for_each(|run| out.write_all(&stored.encode(run, scale)))
    })
}

/// Bytes `first..last` of the file that is `head` followed by the encoded voxels.
fn run_of_file(
    head: &[u8],
    voxels: &[f32],
    stored: Stored,
    scale: Option<(f64, f64)>,
    first: usize,
    last: usize,
) -> Vec<u8> {
    let mut bytes = head[first.min(head.len())..last.min(head.len())].to_vec();
    let width = stored.bytes();
    let (from, to) = (first.saturating_sub(head.len()), last.saturating_sub(head.len()));
    let voxel_from = from / width;
    let encoded = stored.encode(&voxels[voxel_from..to.div_ceil(width)], scale);
    let skipped = voxel_from * width;
    bytes.extend_from_slice(&encoded[from - skipped..to - skipped]);
    bytes
}

type StoredType = (Stored, Option<(f64, f64)>);

fn stored_type(
    volume: &Volume,
    source: Option<&NiftiSource>,
    derivation: Option<&Derivation>,
    path: &Path,
) -> Result<StoredType, Error> {
    let voxels = volume.as_slice();
    if let (Some(source), None) = (source, derivation) {
        let header = source.header();
        let kept = Stored::of(header, path).map(|stored| (stored, header.scale()));
        if let Ok((stored, scale)) = kept
            && stored.holds(voxels, scale)
        {
            return Ok((stored, scale));
        }
    }
    if volume.unit() != Unit::Label {
        return Ok((Stored::F32, None));
    }
    let whole = |&v: &f32| v.fract() == 0.0 && v.abs() <= 2f32.powi(30);
    if let Some(&found) = voxels.iter().find(|v| !whole(v)) {
        return Err(Error::NotALabelMap { found, path: path.to_owned() });
    }
    let (low, high) = voxels.iter().fold((0f32, 0f32), |(low, high), &v| (low.min(v), high.max(v)));
    let smallest = if low >= 0.0 && high <= 255.0 {
        Stored::U8
    } else if low >= -32768.0 && high <= 32767.0 {
        Stored::I16
    } else {
        Stored::I32
    };
    Ok((smallest, None))
}

/// What the bytes before the voxels are made of.
struct Head<'a> {
    volume: &'a Volume,
    source: Option<&'a NiftiSource>,
    derivation: Option<&'a Derivation>,
    stored: Stored,
    scale: Option<(f64, f64)>,
}

impl Head<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let longest = self.volume.geometry().size().into_iter().max().unwrap_or(0);
        let same_edition = self.source.map_or(Edition::One, |source| source.header().edition);
        let edition = if longest > i16::MAX as usize { Edition::Two } else { same_edition };
        let extensions = self.extensions();
        let offset = edition.header_length() + 4 + extensions.len();
        let mut bytes = match edition {
            Edition::One => self.first_edition(offset),
            Edition::Two => self.second_edition(offset),
        };
        bytes.extend_from_slice(&[u8::from(!extensions.is_empty()), 0, 0, 0]);
        bytes.extend_from_slice(&extensions);
        bytes
    }

    /// The source's extensions and our comment, each padded to a multiple of 16 bytes.
    fn extensions(&self) -> Vec<u8> {
        let meaning = Meaning {
            modality: self.volume.modality(),
            unit: self.volume.unit(),
            derivation: self.derivation.cloned(),
        };
        let json = serde_json::to_vec(&Comment { isoscan: meaning }).unwrap_or_default();
        let kept = self.source.map(NiftiSource::extensions).unwrap_or_default().iter().filter(|e| !e.is_ours());
        let ours = Extension { code: COMMENT, content: json };
        let mut bytes = Vec::new();
        for extension in kept.chain([&ours]) {
            let length = (extension.content.len() + 8).next_multiple_of(16);
            bytes.extend_from_slice(&(length as i32).to_le_bytes());
            bytes.extend_from_slice(&extension.code.to_le_bytes());
            bytes.extend_from_slice(&extension.content);
            bytes.resize(bytes.len() + length - 8 - extension.content.len(), 0);
        }
        bytes
    }

    fn forms(&self) -> Forms {
        let Some(source) = self.source else { return forms::forms(self.volume.geometry(), 1, 1) };
        let theirs = &source.header().forms;
        if source.geometry() == self.volume.geometry() {
            return theirs.clone();
        }
        let code = |first: i32, second: i32| [first, second, 1].into_iter().find(|&c| c > 0).unwrap_or(1);
        forms::forms(
            self.volume.geometry(),
            code(theirs.qform_code, theirs.sform_code),
            code(theirs.sform_code, theirs.qform_code),
        )
    }

    fn dim(&self) -> [i64; 8] {
        let [nx, ny, nz] = self.volume.geometry().size().map(|n| n as i64);
        [3, nx, ny, nz, 1, 1, 1, 1]
    }

    fn description(&self) -> [u8; 80] {
        let mark = self.derivation.map(|derivation| {
            let kind = if derivation.synthetic { "Isoscan synthetic" } else { "Isoscan derived" };
            format!("{kind}: {} {}", derivation.plugin_id, derivation.plugin_version)
        });
        let mut field = self.source.map_or([0; 80], |source| source.header().description);
        if let Some(mark) = mark {
            field = [0; 80];
            // The last byte stays 0: readers take the field as a C string.
            let end = (0..=mark.len().min(79)).rev().find(|&i| mark.is_char_boundary(i)).unwrap_or(0);
            field[..end].copy_from_slice(&mark.as_bytes()[..end]);
        }
        field
    }

    fn first_edition(&self, offset: usize) -> Vec<u8> {
        let forms = self.forms();
        let mut f = Fields(vec![0; 348]);
        f.put(0, 348i32.to_le_bytes());
        f.put(38, *b"r");
        f.put(39, [self.dim_info()]);
        f.each(40, self.dim().map(|d| (d as i16).to_le_bytes()));
        f.put(68, (self.intent_code() as i16).to_le_bytes());
        f.put(70, self.stored.code().to_le_bytes());
        f.put(72, (8 * self.stored.bytes() as i16).to_le_bytes());
        f.each(76, forms.pixdim.map(|x| (x as f32).to_le_bytes()));
        f.put(108, (offset as f32).to_le_bytes());
        let (slope, intercept) = self.scale.unwrap_or((1.0, 0.0));
        f.each(112, [slope, intercept].map(|x| (x as f32).to_le_bytes()));
        f.put(123, [forms.units as u8]);
        f.put(148, self.description());
        f.each(252, [forms.qform_code, forms.sform_code].map(|c| (c as i16).to_le_bytes()));
        f.each(256, forms.quaternion.map(|x| (x as f32).to_le_bytes()));
        f.each(268, forms.offset.map(|x| (x as f32).to_le_bytes()));
        f.each(280, forms.rows.concat().into_iter().map(|x| (x as f32).to_le_bytes()));
        f.put(328, self.intent_name());
        f.put(344, *b"n+1\0");
        f.0
    }

    fn second_edition(&self, offset: usize) -> Vec<u8> {
        let forms = self.forms();
        let mut f = Fields(vec![0; 540]);
        f.put(0, 540i32.to_le_bytes());
        f.put(4, *b"n+2\0\r\n\x1a\n");
        f.put(12, self.stored.code().to_le_bytes());
        f.put(14, (8 * self.stored.bytes() as i16).to_le_bytes());
        f.each(16, self.dim().map(i64::to_le_bytes));
        f.each(104, forms.pixdim.map(f64::to_le_bytes));
        f.put(168, (offset as i64).to_le_bytes());
        let (slope, intercept) = self.scale.unwrap_or((1.0, 0.0));
        f.each(176, [slope, intercept].map(f64::to_le_bytes));
        f.put(240, self.description());
        f.each(344, [forms.qform_code, forms.sform_code].map(i32::to_le_bytes));
        f.each(352, forms.quaternion.map(f64::to_le_bytes));
        f.each(376, forms.offset.map(f64::to_le_bytes));
        f.each(400, forms.rows.concat().into_iter().map(f64::to_le_bytes));
        f.put(500, forms.units.to_le_bytes());
        f.put(504, self.intent_code().to_le_bytes());
        f.put(508, self.intent_name());
        f.put(524, [self.dim_info()]);
        f.0
    }

    fn dim_info(&self) -> u8 {
        self.source.map_or(0, |source| source.header().dim_info)
    }

    fn intent_code(&self) -> i32 {
        const LABEL: i32 = 1002;
        match self.source {
            Some(source) if self.derivation.is_none() => source.header().intent_code,
            _ if self.volume.unit() == Unit::Label => LABEL,
            _ => 0,
        }
    }

    fn intent_name(&self) -> [u8; 16] {
        match self.source {
            Some(source) if self.derivation.is_none() => source.header().intent_name,
            _ => [0; 16],
        }
    }
}

/// A header being filled in at the offsets of the standard.
struct Fields(Vec<u8>);

impl Fields {
    fn put<const N: usize>(&mut self, at: usize, bytes: [u8; N]) {
        self.0[at..at + N].copy_from_slice(&bytes);
    }

    fn each<const N: usize>(&mut self, at: usize, fields: impl IntoIterator<Item = [u8; N]>) {
        fields.into_iter().enumerate().for_each(|(i, bytes)| self.put(at + i * N, bytes));
    }
}

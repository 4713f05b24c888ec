//! The bytes before the voxels: header, extender and extensions.

use std::path::Path;

use isoscan_imaging::{Slices, Unit};

use super::forms;
use super::header::{Edition, Forms, Header, SliceOrder};
use super::meaning::{COMMENT, Comment, LABEL_INTENT, Meaning, Quantised, told_by_name};
use super::read::{Extension, NiftiSource};
use super::voxels::Stored;
use crate::Derivation;

/// What a header is made of.
pub(crate) struct Head<'a> {
    /// The first volume; the others have its grid and meaning.
    pub(crate) volume: &'a dyn Slices,
    pub(crate) volumes: usize,
    pub(crate) source: Option<&'a NiftiSource>,
    pub(crate) derivation: Option<&'a Derivation>,
    pub(crate) stored: Stored,
    pub(crate) big_endian: bool,
    /// Slope and intercept, as they stand in the header.
    pub(crate) slope: (f64, f64),
    pub(crate) quantised: Option<Quantised>,
    pub(crate) time_step_s: Option<f64>,
    /// Voxels in a second file.
    pub(crate) pair: bool,
}

impl Head<'_> {
    /// The bytes of the file at `path` up to its voxels.
    pub(crate) fn to_bytes(&self, path: &Path) -> Vec<u8> {
        let header = self.header();
        let extensions = self.extensions(&header, path);
        let first_voxel = header.edition.header_length() + 4 + extensions.len();
        let header = Header { data_offset: if self.pair { 0 } else { first_voxel as u64 }, ..header };
        let mut bytes = match header.edition {
            Edition::One => first_edition(&header),
            Edition::Two => second_edition(&header),
        };
        bytes.extend_from_slice(&[u8::from(!extensions.is_empty()), 0, 0, 0]);
        bytes.extend_from_slice(&extensions);
        bytes
    }

    fn header(&self) -> Header {
        let theirs = self.source.map(NiftiSource::header);
        let same_image = theirs.filter(|_| self.derivation.is_none());
        let same_grid = theirs.filter(|_| self.source.is_some_and(|s| s.geometry() == self.volume.geometry()));
        let same_axes =
            theirs.filter(|h| h.volumes() == self.volumes as u64 && h.size() == self.volume.geometry().size());
        let same_directions = theirs
            .filter(|_| self.source.is_some_and(|s| s.geometry().direction() == self.volume.geometry().direction()));
        let dim = same_axes.map_or_else(|| self.dim(), |h| h.dim);
        let longest = dim.iter().copied().max().unwrap_or(0);
        let edition = theirs.map_or(Edition::One, |h| h.edition);
        let label = if self.volume.unit() == Unit::Label { LABEL_INTENT } else { 0 };
        let intent = same_image.and(same_axes);
        Header {
            edition: if longest > i64::from(i16::MAX) { Edition::Two } else { edition },
            big_endian: self.big_endian,
            pair: self.pair,
            dim,
            datatype: self.stored.code(),
            bits: 8 * self.stored.bytes() as i16,
            data_offset: 0,
            slope: self.slope.0,
            intercept: self.slope.1,
            forms: self.forms(same_grid),
            dim_info: same_directions.map_or(0, |h| h.dim_info),
            slices: same_grid.map_or(SliceOrder::default(), |h| h.slices),
            time_offset: same_axes.map_or(0.0, |h| h.time_offset),
            intent_code: intent.map_or(label, |h| h.intent_code),
            intent_parameters: intent.map_or([0.0; 3], |h| h.intent_parameters),
            intent_name: intent.map_or([0; 16], |h| h.intent_name),
            display: same_image.map_or([0.0; 2], |h| h.display),
            description: self.description(),
            other_file: same_image.map_or([0; 24], |h| h.other_file),
        }
    }

    fn dim(&self) -> [i64; 8] {
        let [nx, ny, nz] = self.volume.geometry().size().map(|n| n as i64);
        let volumes = self.volumes as i64;
        [if volumes > 1 { 4 } else { 3 }, nx, ny, nz, volumes, 1, 1, 1]
    }

    fn forms(&self, same_grid: Option<&Header>) -> Forms {
        const SPACE: i32 = 7;
        const SECOND: i32 = 8;
        let mut forms = match (same_grid, self.source) {
            (Some(header), _) => header.forms.clone(),
            (None, None) => forms::forms(self.volume.geometry(), 1, 1),
            (None, Some(source)) => {
                let theirs = &source.header().forms;
                let code = |first: i32, second: i32| [first, second].into_iter().find(|&c| c > 0).unwrap_or(1);
                let (qform_code, sform_code) = (theirs.qform_code, theirs.sform_code);
                let ours =
                    forms::forms(self.volume.geometry(), code(qform_code, sform_code), code(sform_code, qform_code));
                let mut pixdim = ours.pixdim;
                pixdim[4..].copy_from_slice(&theirs.pixdim[4..]);
                Forms { pixdim, units: ours.units | (theirs.units & !SPACE), ..ours }
            }
        };
        if let Some(step) = self.time_step_s {
            forms.pixdim[4] = step;
            forms.units = forms.units & SPACE | SECOND;
        }
        forms
    }

    fn description(&self) -> [u8; 80] {
        let Some(derivation) = self.derivation else {
            return self.source.map_or([0; 80], |source| source.header().description);
        };
        let kind = if derivation.synthetic { "Isoscan synthetic" } else { "Isoscan derived" };
        let mark = format!("{kind}: {} {}", derivation.plugin_id, derivation.plugin_version);
        let mut field = [0; 80];
        // The last byte stays 0: readers take the field as a C string.
        let end = mark.floor_char_boundary(79);
        field[..end].copy_from_slice(&mark.as_bytes()[..end]);
        field
    }

    /// The source's extensions and our comment, each padded to a multiple of 16 bytes. The comment is left out where a
    /// reader of the file at `path` knows all of it.
    fn extensions(&self, header: &Header, path: &Path) -> Vec<u8> {
        let derivation = self.derivation.cloned().or_else(|| self.source.and_then(NiftiSource::derivation));
        let (modality, unit) = (self.volume.modality(), self.volume.unit());
        let meaning = Meaning { modality, unit, derivation, quantised: self.quantised };
        let known = meaning.derivation.is_none()
            && meaning.quantised.is_none()
            && self.source.is_some()
            && told_by_name(path, header.intent_code) == (modality, unit);
        let theirs = self.source.map(NiftiSource::extensions).unwrap_or_default();
        let same = theirs.iter().find(|e| e.comment().is_some_and(|comment| comment.isoscan == meaning)).cloned();
        let ours = same.or_else(|| {
            let content = serde_json::to_vec(&Comment { isoscan: meaning }).unwrap_or_default();
            (!known).then_some(Extension { code: COMMENT, content })
        });
        let mut bytes = Vec::new();
        for extension in theirs.iter().filter(|e| e.comment().is_none()).chain(&ours) {
            let length = (extension.content.len() + 8).next_multiple_of(16);
            for number in [length as i32, extension.code] {
                bytes.extend_from_slice(&if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
            }
            bytes.extend_from_slice(&extension.content);
            bytes.resize(bytes.len() + length - 8 - extension.content.len(), 0);
        }
        bytes
    }
}

fn first_edition(h: &Header) -> Vec<u8> {
    let mut f = Fields { bytes: vec![0; 348], big_endian: h.big_endian };
    let single = |numbers: &[f64]| numbers.iter().map(|&x| (x as f32).to_le_bytes()).collect::<Vec<_>>();
    let short = |numbers: &[i64]| numbers.iter().map(|&n| (n as i16).to_le_bytes()).collect::<Vec<_>>();
    f.numbers(0, [348i32.to_le_bytes()]);
    f.text(38, b"r");
    f.text(39, &[h.dim_info]);
    f.numbers(40, short(&h.dim));
    f.numbers(56, single(&h.intent_parameters));
    f.numbers(68, [(h.intent_code as i16).to_le_bytes(), h.datatype.to_le_bytes(), h.bits.to_le_bytes()]);
    f.numbers(74, short(&[h.slices.first]));
    f.numbers(76, single(&h.forms.pixdim));
    f.numbers(108, single(&[h.data_offset as f64, h.slope, h.intercept]));
    f.numbers(120, short(&[h.slices.last]));
    f.text(122, &[h.slices.code as u8, h.forms.units as u8]);
    f.numbers(124, single(&[h.display[1], h.display[0], h.slices.duration, h.time_offset]));
    f.text(148, &h.description);
    f.text(228, &h.other_file);
    f.numbers(252, short(&[i64::from(h.forms.qform_code), i64::from(h.forms.sform_code)]));
    f.numbers(256, single(&h.forms.quaternion));
    f.numbers(268, single(&h.forms.offset));
    f.numbers(280, single(&h.forms.rows.concat()));
    f.text(328, &h.intent_name);
    f.text(344, if h.pair { b"ni1\0" } else { b"n+1\0" });
    f.bytes
}

fn second_edition(h: &Header) -> Vec<u8> {
    let mut f = Fields { bytes: vec![0; 540], big_endian: h.big_endian };
    let double = |numbers: &[f64]| numbers.iter().map(|x| x.to_le_bytes()).collect::<Vec<_>>();
    f.numbers(0, [540i32.to_le_bytes()]);
    f.text(4, if h.pair { b"ni2\0\r\n\x1a\n" } else { b"n+2\0\r\n\x1a\n" });
    f.numbers(12, [h.datatype.to_le_bytes(), h.bits.to_le_bytes()]);
    f.numbers(16, h.dim.map(i64::to_le_bytes));
    f.numbers(80, double(&h.intent_parameters));
    f.numbers(104, double(&h.forms.pixdim));
    f.numbers(168, [h.data_offset.to_le_bytes()]);
    f.numbers(176, double(&[h.slope, h.intercept, h.display[1], h.display[0], h.slices.duration, h.time_offset]));
    f.numbers(224, [h.slices.first.to_le_bytes(), h.slices.last.to_le_bytes()]);
    f.text(240, &h.description);
    f.text(320, &h.other_file);
    f.numbers(344, [h.forms.qform_code.to_le_bytes(), h.forms.sform_code.to_le_bytes()]);
    f.numbers(352, double(&h.forms.quaternion));
    f.numbers(376, double(&h.forms.offset));
    f.numbers(400, double(&h.forms.rows.concat()));
    f.numbers(496, [h.slices.code.to_le_bytes(), h.forms.units.to_le_bytes(), h.intent_code.to_le_bytes()]);
    f.text(508, &h.intent_name);
    f.text(524, &[h.dim_info]);
    f.bytes
}

/// A header being filled in at the offsets of the standard.
struct Fields {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Fields {
    fn text(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Numbers behind each other, given in little-endian order.
    fn numbers<const N: usize>(&mut self, at: usize, numbers: impl IntoIterator<Item = [u8; N]>) {
        for (i, mut bytes) in numbers.into_iter().enumerate() {
            if self.big_endian {
                bytes.reverse();
            }
            self.text(at + i * N, &bytes);
        }
    }
}

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;
use dicom_transfer_syntax_registry::entries;
use flate2::read::DeflateDecoder;
use isoscan_imaging::Modality;
use rayon::prelude::*;

use super::attributes::{numbers, text, texts, whole};
use super::fence::fenced;
use super::lut::Rescale;
use super::private::Private;
use super::scan::{self, BIG_ENDIAN, Encoding, Implicit, PixelElement, Scan, Stop};
use crate::Error;

/// One DICOM file, or one plane of it as if it were a file: its header without private attributes, and where the pixels
/// of the file lie.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    pub(crate) path: PathBuf,
    pub(crate) object: Arc<InMemDicomObject>,
    pub(crate) private: Private,
    /// Transfer syntax UID.
    pub(crate) syntax: String,
    pub(crate) pixels: Option<PixelElement>,
    /// The whole unpacked file, when its data set was deflated.
    pub(crate) unpacked: Option<Arc<Vec<u8>>>,
    pub(crate) sop_instance: String,
    pub(crate) series: String,
    pub(crate) instance_number: Option<i32>,
    /// Rows and columns, 0 when absent.
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    /// Image Orientation (Patient): direction of rows (x), then of columns (y).
    pub(crate) orientation: Option<[[f64; 3]; 2]>,
    /// Image Position (Patient), LPS mm.
    pub(crate) position: Option<[f64; 3]>,
    /// Distance of rows (y), then of columns (x), mm.
    pub(crate) pixel_spacing: Option<[f64; 2]>,
    /// The modality transformation of this plane, where it is not the one in `object`.
    pub(crate) rescale: Option<Rescale>,
}

impl Slice {
    /// Parses everything before the pixel data; reads no more of the file than that.
    pub(crate) fn read_header(path: &Path) -> Result<Self, Error> {
        let parsed = Bytes::locate(path)?;
        let mut object = parsed.parse(path)?;
        let private = Private::of(&object);
        object.retain(|element: &InMemElement| is_standard(element.header().tag));
        let [series, sop_instance] =
            [tags::SERIES_INSTANCE_UID, tags::SOP_INSTANCE_UID].map(|tag| text(&object, tag).unwrap_or_default());
        let orientation =
            numbers::<6>(&object, tags::IMAGE_ORIENTATION_PATIENT).map(|[a, b, c, d, e, f]| [[a, b, c], [d, e, f]]);
        Ok(Self {
            path: path.to_owned(),
            syntax: parsed.syntax,
            pixels: parsed.scan.pixels,
            unpacked: parsed.deflated.then(|| Arc::new(parsed.bytes)),
            sop_instance,
            series,
            instance_number: whole(&object, tags::INSTANCE_NUMBER),
            rows: whole(&object, tags::ROWS).unwrap_or(0),
            columns: whole(&object, tags::COLUMNS).unwrap_or(0),
            orientation,
            position: numbers(&object, tags::IMAGE_POSITION_PATIENT),
            pixel_spacing: pixel_spacing(&object),
            rescale: None,
            private,
            object: Arc::new(object),
        })
    }

    /// Whether the file holds pixels at all; reports, structure sets and the like do not.
    pub(crate) fn is_image(&self) -> bool {
        self.pixels.is_some() && self.rows > 0 && self.columns > 0
    }

    /// Whether the header speaks of an image that the file does not hold, as it does when its end is cut off.
    pub(crate) fn lacks_pixels(&self) -> bool {
        !self.is_image()
            && (self.rows > 0 || self.pixels.is_some() || !matches!(self.modality(), Modality::Ot | Modality::Seg))
    }

    pub(crate) fn modality(&self) -> Modality {
        match text(&self.object, tags::MODALITY).as_deref() {
            Some("CT") => Modality::Ct,
            Some("MR") => Modality::Mr,
            Some("PT") => Modality::Pt,
            Some("CR") => Modality::Cr,
            Some("DX") => Modality::Dx,
            Some("SEG") => Modality::Seg,
            _ => Modality::Ot,
        }
    }

    pub(crate) fn frames(&self) -> usize {
        whole(&self.object, tags::NUMBER_OF_FRAMES).unwrap_or(1).max(1)
    }

    /// The items of Per-Frame Functional Groups Sequence, one for each frame or none at all, and how many more there are.
    /// Without Number of Frames the pixels are those of one frame, and the items beyond the first describe nothing.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another number of items.
    pub(crate) fn frame_items(&self) -> Result<(&[InMemDicomObject], usize), Error> {
        let sequence = self.object.get(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
        let items = sequence.and_then(|element| element.items()).unwrap_or(&[]);
        let frames = self.frames();
        let is_told = self.object.get(tags::NUMBER_OF_FRAMES).is_some();
        match items.len() {
            0 => Ok((items, 0)),
            found if found == frames || found > frames && !is_told => Ok((&items[..frames], found - frames)),
            found => {
                let found = format!("{found} items for {frames} frames");
                Err(self.malformed("Per-Frame Functional Groups Sequence", "one item per frame", found))
            }
        }
    }

    pub(crate) fn image_type(&self) -> Vec<String> {
        texts(&self.object, tags::IMAGE_TYPE)
    }

    pub(crate) fn malformed(&self, field: &'static str, expected: &'static str, found: impl ToString) -> Error {
        Error::Malformed { field, expected, found: found.to_string(), path: self.path.clone() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::Unsupported { what: what.into(), path: self.path.clone() }
    }
}

/// Reads headers in parallel; the answers stand in the order of the paths.
pub(crate) fn read_headers(paths: &[PathBuf]) -> Vec<Result<Slice, Error>> {
    paths.par_iter().map(|path| Slice::read_header(path)).collect()
}

/// Distance of pixels in the patient, else at the detector.
fn pixel_spacing(object: &InMemDicomObject) -> Option<[f64; 2]> {
    [tags::PIXEL_SPACING, tags::IMAGER_PIXEL_SPACING, tags::NOMINAL_SCANNED_PIXEL_SPACING]
        .into_iter()
        .find_map(|tag| numbers(object, tag))
        .filter(|spacing: &[f64; 2]| spacing.iter().all(|&s| s > 0.0))
}

/// The checked bytes of a file from its start to at least the end of its header.
struct Bytes {
    bytes: Vec<u8>,
    scan: Scan,
    encoding: Encoding,
    syntax: String,
    deflated: bool,
}

impl Bytes {
    /// All elements of the header. Those of unknown VR, which some programs write for everything that they took from a
    /// file of implicit VR, are parsed apart from the others.
    fn parse(&self, path: &Path) -> Result<InMemDicomObject, Error> {
        let Range { start, end } = self.scan.header;
        if self.scan.implicit.is_empty() {
            return parse(&self.bytes[start..end], self.encoding, path);
        }
        let (mut explicit, mut implicit) = (Vec::new(), Vec::new());
        let mut at = start;
        for Implicit { tag, length, element, value } in &self.scan.implicit {
            explicit.extend_from_slice(&self.bytes[at..element.start]);
            at = element.end;
            implicit.extend([tag.group().to_le_bytes(), tag.element().to_le_bytes()].as_flattened());
            implicit.extend(length.unwrap_or(u32::MAX).to_le_bytes());
            implicit.extend_from_slice(&self.bytes[value.clone()]);
        }
        explicit.extend_from_slice(&self.bytes[at..end]);
        let mut object = parse(&explicit, self.encoding, path)?;
        for element in parse(&implicit, Encoding::ImplicitLittle, path)? {
            object.put(element);
        }
        Ok(object)
    }

    fn locate(path: &Path) -> Result<Self, Error> {
        const FIRST: usize = 1 << 14;
        let failed = |source| Error::Io { action: "read", path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let file_length = file.metadata().map_err(failed)?.len();
        let mut bytes = Vec::new();
        let mut wanted = FIRST;
        loop {
            let missing = wanted.saturating_sub(bytes.len()) as u64;
            Read::by_ref(&mut file).take(missing).read_to_end(&mut bytes).map_err(failed)?;
            match Self::scan(&bytes, file_length) {
                Ok((_, syntax, _)) if syntax == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
                    file.read_to_end(&mut bytes).map_err(failed)?;
                    return Self::inflate(&bytes, path);
                }
                Ok((encoding, syntax, scan)) => return Ok(Self { bytes, scan, encoding, syntax, deflated: false }),
                Err(Stop::NeedsMore(needed)) if (bytes.len() as u64) < file_length => {
                    wanted = needed.max(2 * bytes.len()).min(usize::try_from(file_length).unwrap_or(usize::MAX));
                }
                Err(stop) => return Err(stopped(stop, file_length, path)),
            }
        }
    }

    fn scan(bytes: &[u8], file_length: u64) -> Result<(Encoding, String, Scan), Stop> {
        let (start, syntax) = scan::meta(bytes, file_length)?;
        let encoding = match syntax.as_str() {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => Encoding::ImplicitLittle,
            BIG_ENDIAN => Encoding::ExplicitBig,
            uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
                return Ok((
                    Encoding::ExplicitLittle,
                    syntax,
                    Scan { header: start..start, implicit: Vec::new(), pixels: None },
                ));
            }
            _ => Encoding::ExplicitLittle,
        };
        let scan = scan::dataset(bytes, file_length, start, encoding)?;
        Ok((encoding, syntax, scan))
    }

    /// Replaces the deflated data set behind the meta group by its content, bounded against files made to explode.
    fn inflate(packed: &[u8], path: &Path) -> Result<Self, Error> {
        /// What a file of any size may unpack to, and how many times its size a larger one.
        const FREE: u64 = 1 << 23;
        const MOST_TIMES: u64 = 64;
        const MOST: u64 = 1 << 31;
        let (start, _) =
            scan::meta(packed, packed.len() as u64).map_err(|stop| stopped(stop, packed.len() as u64, path))?;
        let mut bytes = packed[..start].to_vec();
        let limit = ((packed.len() - start) as u64 * MOST_TIMES).clamp(FREE, MOST);
        let failed = |reason: String| Error::Decode {
            syntax: uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            reason,
            path: path.to_owned(),
        };
        let unpacked = DeflateDecoder::new(&packed[start..]).take(limit + 1).read_to_end(&mut bytes);
        if unpacked.map_err(|e| failed(e.to_string()))? as u64 > limit {
            return Err(failed(format!("expected at most {limit} bytes of data set")));
        }
        let length = bytes.len() as u64;
        let encoding = Encoding::ExplicitLittle;
        let scan = scan::dataset(&bytes, length, start, encoding).map_err(|stop| stopped(stop, length, path))?;
        let syntax = uids::EXPLICIT_VR_LITTLE_ENDIAN.to_owned();
        Ok(Self { bytes, scan, encoding, syntax, deflated: true })
    }
}

fn stopped(stop: Stop, file_length: u64, path: &Path) -> Error {
    let path = path.to_owned();
    match stop {
        Stop::NotDicom => Error::NotAnImage { path },
        Stop::Broken(found) => {
            Error::Malformed { field: "data set", expected: "well-formed elements", found: found.to_owned(), path }
        }
        Stop::PastEnd { expected } => Error::Truncated { what: "DICOM file", expected, found: file_length, path },
        Stop::NeedsMore(expected) => {
            Error::Truncated { what: "DICOM file", expected: expected as u64, found: file_length, path }
        }
    }
}

fn parse(header: &[u8], encoding: Encoding, path: &Path) -> Result<InMemDicomObject, Error> {
    let malformed = |found: String| Error::Malformed {
        field: "data set",
        expected: "well-formed elements",
        found,
        path: path.to_owned(),
    };
    let syntax = match encoding {
        Encoding::ImplicitLittle => entries::IMPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::ExplicitLittle => entries::EXPLICIT_VR_LITTLE_ENDIAN.erased(),
        Encoding::ExplicitBig => entries::EXPLICIT_VR_BIG_ENDIAN.erased(),
    };
    match fenced(|| InMemDicomObject::read_dataset_with_ts(header, &syntax)) {
        Some(Ok(object)) => Ok(object),
        Some(Err(error)) => Err(malformed(error.to_string())),
        None => Err(malformed("bytes that stop the parser".to_owned())),
    }
}

/// Neither private nor a group length.
fn is_standard(tag: Tag) -> bool {
    tag.group().is_multiple_of(2) && tag.element() != 0
}

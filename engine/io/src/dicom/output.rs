//! What derived and new series have in common: grid and pixel attributes, hashes, files.

use std::io;
use std::path::{Path, PathBuf};

use dicom_core::value::C;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use isoscan_imaging::{Modality, Slices, Unit, Volume};

use super::attributes::{decimal, put, put_decimals, put_items, put_u16, text};
use super::check::require_conformant;
use super::encode::{Plan, encode, inexactness, stored_range, stored_value};
use super::module::is_projection;
use super::multiframe::unit_code;
use super::pixels::SampleFormat;
use super::slicewise::map_slices;
use super::uid::uid;
use crate::provenance::sha256;
use crate::publish::write_synced;
use crate::{Error, publish_folder};

/// One object before its pixels are put in.
pub(crate) struct Draft {
    pub(crate) object: InMemDicomObject,
    /// Lowest and highest intensity that is padding.
    pub(crate) padding: Option<(f32, f32)>,
}

/// What the stored numbers are, and how truly they give the voxels back.
pub(crate) struct Content {
    /// SHA-256 of the pixel bytes and grid of each slice.
    pub(crate) hashes: Vec<String>,
    pub(crate) max_error: f64,
    pub(crate) clamped: usize,
}

impl Content {
    pub(crate) fn of(image: &dyn Slices, plan: &Plan, output: &Path) -> Result<Self, Error> {
        let grid = format!("{:?} {} {}", image.geometry(), image.modality(), image.unit());
        let each = map_slices(image, output, |k, plane| {
            let format = plan.format(k);
            let mut bytes = encode(format, plane);
            bytes.extend_from_slice(format!("{grid} {} {} {k}", format.slope, format.intercept).as_bytes());
            Ok((sha256(&bytes), inexactness(format, plane)))
        })?;
        let wider = |(error, clamped): (f64, usize), &(_, (e, c)): &(String, (f64, usize))| (error.max(e), clamped + c);
        let (max_error, clamped) = each.iter().fold((0.0, 0), wider);
        Ok(Self { hashes: each.into_iter().map(|(hash, _)| hash).collect(), max_error, clamped })
    }
}

/// Writes one file per slice into a folder that appears whole, with no finding that `sources` do not have, or not at all.
pub(crate) fn write_slices(
    dir: &Path,
    image: &dyn Slices,
    plan: &Plan,
    sources: &[PathBuf],
    object: impl Fn(usize) -> Draft + Sync,
) -> Result<Vec<PathBuf>, Error> {
    let name = |k: usize| format!("{:05}.dcm", k + 1);
    publish_folder(dir, |unfinished| {
        map_slices(image, dir, |k, plane| {
            let Draft { mut object, padding } = object(k);
            put(&mut object, tags::INSTANCE_NUMBER, VR::IS, (k + 1).to_string());
            put_pixels(&mut object, image, plan.format(k), plane, padding);
            write_object(&unfinished.join(name(k)), object)
        })?;
        require_conformant(unfinished, dir, sources)
    })?;
    Ok((0..image.geometry().size()[2]).map(|k| dir.join(name(k))).collect())
}

/// Position, orientation and pixel distances of slice `k`.
pub(crate) fn put_grid(object: &mut InMemDicomObject, image: &dyn Slices, k: usize) {
    let geometry = image.geometry();
    let [x_mm, y_mm, z_mm] = geometry.spacing_mm();
    put_decimals(object, tags::PIXEL_SPACING, &[y_mm, x_mm]);
    if is_projection(image.modality()) {
        put_decimals(object, tags::IMAGER_PIXEL_SPACING, &[y_mm, x_mm]);
        return;
    }
    let [x, y, _] = geometry.direction();
    let position = geometry.world_from_voxel().apply([0.0, 0.0, k as f64]);
    put_decimals(object, tags::IMAGE_ORIENTATION_PATIENT, &[x, y].concat());
    put_decimals(object, tags::IMAGE_POSITION_PATIENT, &position);
    if image.modality() == Modality::Mr {
        put_decimals(object, tags::SPACING_BETWEEN_SLICES, &[z_mm]);
    }
}

/// ASCII text of at most `length` characters without the two that DICOM reserves.
pub(crate) fn ascii(words: &str, length: usize) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    let separated = |c: char| if c == '\\' { '/' } else { c };
    words.chars().map(plain).map(separated).take(length).collect::<String>().trim().to_owned()
}

pub(crate) fn planes(volume: &Volume) -> impl Iterator<Item = &[f32]> {
    let [nx, ny, _] = volume.geometry().size();
    volume.as_slice().chunks(nx * ny)
}

/// The size of a plane and how its grey samples are stored.
pub(crate) fn put_samples(object: &mut InMemDicomObject, image: &dyn Slices, format: &SampleFormat) {
    let [nx, ny, _] = image.geometry().size();
    put(object, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, ny as u16),
        (tags::COLUMNS, nx as u16),
        (tags::BITS_ALLOCATED, format.bits_allocated),
        (tags::BITS_STORED, format.bits_stored),
        (tags::HIGH_BIT, format.high_bit),
        (tags::PIXEL_REPRESENTATION, u16::from(format.signed)),
    ] {
        put_u16(object, tag, value);
    }
}

fn put_pixels(
    object: &mut InMemDicomObject,
    image: &dyn Slices,
    format: &SampleFormat,
    plane: &[f32],
    padding: Option<(f32, f32)>,
) {
    put_samples(object, image, format);
    if object.get(tags::SMALLEST_IMAGE_PIXEL_VALUE).is_some() {
        let (low, high) = stored_range(format, plane);
        put_stored(object, tags::SMALLEST_IMAGE_PIXEL_VALUE, low, format.signed);
        put_stored(object, tags::LARGEST_IMAGE_PIXEL_VALUE, high, format.signed);
    }
    if let Some((low, high)) = padding
        && let (Some(first), Some(last)) = (stored_value(format, low), stored_value(format, high))
    {
        put_stored(object, tags::PIXEL_PADDING_VALUE, first, format.signed);
        if last != first {
            put_stored(object, tags::PIXEL_PADDING_RANGE_LIMIT, last, format.signed);
        }
    }
    put_rescale(object, image, format);
    let vr = if format.bits_allocated == 8 { VR::OB } else { VR::OW };
    let bytes: C<u8> = encode(format, plane).into();
    object.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::U8(bytes)));
}

/// Slope and intercept, where the class has them, needs them, or the source had them. The MR class has none of its own, so
/// a Real World Value Mapping says the same there.
fn put_rescale(object: &mut InMemDicomObject, image: &dyn Slices, format: &SampleFormat) {
    let identity = (format.slope, format.intercept) == (1.0, 0.0);
    let asked = matches!(image.modality(), Modality::Ct | Modality::Pt);
    let had = object.get(tags::RESCALE_SLOPE).is_some();
    if identity && !asked && !had {
        return;
    }
    // The source's own digits are kept where they say the same.
    for (tag, value) in [(tags::RESCALE_SLOPE, format.slope), (tags::RESCALE_INTERCEPT, format.intercept)] {
        if text(object, tag).and_then(|t| t.parse::<f64>().ok()) != Some(value) {
            put(object, tag, VR::DS, decimal(value));
        }
    }
    if image.modality() == Modality::Mr && !identity {
        put_items(object, tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE, vec![real_world_mapping(image.unit(), format)]);
    }
    match (image.modality(), image.unit()) {
        (Modality::Pt, _) => {}
        (Modality::Ct, Unit::Hounsfield) => put(object, tags::RESCALE_TYPE, VR::LO, "HU"),
        _ if had && object.get(tags::RESCALE_TYPE).is_some() => {}
        _ => put(object, tags::RESCALE_TYPE, VR::LO, "US"),
    }
}

pub(crate) fn real_world_mapping(unit: Unit, format: &SampleFormat) -> InMemDicomObject {
    let (first, last) = format.range();
    let mut item = InMemDicomObject::new_empty();
    put_stored(&mut item, tags::REAL_WORLD_VALUE_FIRST_VALUE_MAPPED, first, format.signed);
    put_stored(&mut item, tags::REAL_WORLD_VALUE_LAST_VALUE_MAPPED, last, format.signed);
    for (tag, value) in
        [(tags::REAL_WORLD_VALUE_INTERCEPT, format.intercept), (tags::REAL_WORLD_VALUE_SLOPE, format.slope)]
    {
        item.put(DataElement::new(tag, VR::FD, PrimitiveValue::from(value)));
    }
    put(&mut item, tags::LUT_EXPLANATION, VR::LO, format!("{unit} intensities"));
    put(&mut item, tags::LUT_LABEL, VR::SH, unit.to_string());
    put_items(&mut item, tags::MEASUREMENT_UNITS_CODE_SEQUENCE, vec![unit_code(unit)]);
    item
}

pub(crate) fn put_stored(object: &mut InMemDicomObject, tag: Tag, value: i64, signed: bool) {
    let (vr, value) = if signed {
        (VR::SS, PrimitiveValue::from(value as i16))
    } else {
        (VR::US, PrimitiveValue::from(value as u16))
    };
    object.put(DataElement::new(tag, vr, value));
}

pub(crate) fn write_object(path: &Path, object: InMemDicomObject) -> Result<(), Error> {
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .implementation_class_uid(uid(&["implementation"]))
        .implementation_version_name("ISOSCAN");
    let file = object.with_meta(meta).map_err(|e| failed(io::Error::other(e.to_string())))?;
    write_synced(path, |out| file.write_all(out).map_err(|e| io::Error::other(e.to_string()))).map_err(failed)
}

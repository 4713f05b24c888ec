//! The description of the pixels against the pixels.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::{Object, Report, rules, shown};
use crate::dicom::attributes::{number, text, texts, whole};
use crate::dicom::pixels::Frames;
use crate::dicom::scan::BIG_ENDIAN;

pub(crate) fn check(object: &Object, report: &mut Report) {
    if object.slice.pixels.is_none() {
        return;
    }
    samples(object, report);
    length(object, report);
    rescale(object, report);
    extremes(object, report);
    padding(object, report);
    window(object, report);
    lossy(object, report);
    let burned = text(&object.data, tags::BURNED_IN_ANNOTATION);
    if burned.is_some_and(|value| value != "YES" && value != "NO") {
        let tag = tags::BURNED_IN_ANNOTATION;
        report.add(&rules::BURNED_IN, &object.path, &[tag], shown(&object.data, tag));
    }
}

fn is_float(object: &Object) -> bool {
    object.slice.pixels.is_some_and(|pixels| pixels.tag != tags::PIXEL_DATA)
}

fn samples(object: &Object, report: &mut Report) {
    let data = &object.data;
    let of = |tag: Tag| whole::<i64>(data, tag);
    let (allocated, stored, high) = (of(tags::BITS_ALLOCATED), of(tags::BITS_STORED), of(tags::HIGH_BIT));
    let allocated_legal = allocated.is_none_or(|bits| matches!(bits, 1 | 8 | 16 | 32 | 64));
    let stored_legal = stored.is_none_or(|bits| bits >= 1 && allocated.is_none_or(|most| bits <= most));
    let high_legal = high.is_none_or(|high| stored.is_none_or(|bits| high == bits - 1));
    for (legal, tag) in
        [(allocated_legal, tags::BITS_ALLOCATED), (stored_legal, tags::BITS_STORED), (high_legal, tags::HIGH_BIT)]
    {
        if !legal {
            report.add(&rules::BITS, &object.path, &[tag], shown(data, tag));
        }
    }
    let tag = tags::PIXEL_REPRESENTATION;
    if of(tag).is_some_and(|value| value != 0 && value != 1) {
        report.add(&rules::REPRESENTATION, &object.path, &[tag], shown(data, tag));
    }
    let tag = tags::PHOTOMETRIC_INTERPRETATION;
    let photometric = text(data, tag).unwrap_or_else(|| "MONOCHROME2".to_owned());
    let monochrome = matches!(photometric.as_str(), "MONOCHROME1" | "MONOCHROME2" | "PALETTE COLOR");
    let one = of(tags::SAMPLES_PER_PIXEL).is_none_or(|samples| samples == 1);
    if monochrome != one || (object.ours && !monochrome) {
        report.add(&rules::PHOTOMETRIC, &object.path, &[tag], shown(data, tag));
    }
}

fn length(object: &Object, report: &mut Report) {
    let syntax = object.slice.syntax.as_str();
    let native = matches!(syntax, uids::IMPLICIT_VR_LITTLE_ENDIAN | uids::EXPLICIT_VR_LITTLE_ENDIAN | BIG_ENDIAN);
    let Some((pixels, found)) = object.slice.pixels.and_then(|pixels| Some((pixels, pixels.length?))) else { return };
    let of = |tag: Tag| whole::<u64>(&object.data, tag);
    let [Some(rows), Some(columns), Some(bits)] = [tags::ROWS, tags::COLUMNS, tags::BITS_ALLOCATED].map(of) else {
        return;
    };
    let (frames, samples) = (of(tags::NUMBER_OF_FRAMES).unwrap_or(1), of(tags::SAMPLES_PER_PIXEL).unwrap_or(1));
    // Two pixels share their colour.
    let halved = text(&object.data, tags::PHOTOMETRIC_INTERPRETATION).is_some_and(|words| words == "YBR_FULL_422");
    let samples = if halved { 2 } else { samples };
    let all = [columns, frames, samples, bits].into_iter().try_fold(rows, u64::checked_mul);
    let expected = all.map(|bits| bits.div_ceil(8).next_multiple_of(2));
    if native && expected != Some(found) {
        let expected = expected.map_or_else(|| "a length of 64 bits".to_owned(), |bytes| format!("{bytes} bytes"));
        report.add_expecting(&rules::PIXEL_LENGTH, &object.path, &[pixels.tag], format!("{found} bytes"), expected);
    }
}

fn rescale(object: &Object, report: &mut Report) {
    let data = &object.data;
    let (slope, intercept) = (number(data, tags::RESCALE_SLOPE), number(data, tags::RESCALE_INTERCEPT));
    if slope == Some(0.0) || slope.is_some() != intercept.is_some() {
        report.add(&rules::SLOPE, &object.path, &[tags::RESCALE_SLOPE], shown(data, tags::RESCALE_SLOPE));
    }
    if text(data, tags::SOP_CLASS_UID).as_deref() != Some(uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE) {
        return;
    }
    if intercept.is_some_and(|value| value != 0.0) {
        let tag = tags::RESCALE_INTERCEPT;
        report.add(&rules::PET_INTERCEPT, &object.path, &[tag], shown(data, tag));
    }
    const UNITS: [&str; 20] = [
        "CNTS",
        "NONE",
        "CM2",
        "CM2ML",
        "PCNT",
        "CPS",
        "BQML",
        "MGMINML",
        "UMOLMINML",
        "MLMING",
        "MLG",
        "1CM",
        "UMOLML",
        "PROPCNTS",
        "PROPCPS",
        "MLMINML",
        "MLML",
        "GML",
        "STDDEV",
        "SUV",
    ];
    if text(data, tags::UNITS).is_some_and(|units| !UNITS.contains(&units.as_str())) {
        report.add(&rules::PET_UNITS, &object.path, &[tags::UNITS], shown(data, tags::UNITS));
    }
}

/// Smallest and Largest Image Pixel Value, where they are present and the pixels can be read.
fn extremes(object: &Object, report: &mut Report) {
    let data = &object.data;
    let declared = |tag| whole::<i64>(data, tag);
    let (smallest, largest) = (declared(tags::SMALLEST_IMAGE_PIXEL_VALUE), declared(tags::LARGEST_IMAGE_PIXEL_VALUE));
    let judged = !is_float(object) && object.slice.frames() == 1 && object.ours;
    if (smallest.is_none() && largest.is_none()) || !judged {
        return;
    }
    let Ok(stored) = Frames::open(&object.slice).and_then(|frames| frames.stored(0, 0)) else { return };
    let low = stored.iter().copied().fold(f64::INFINITY, f64::min) as i64;
    let high = stored.iter().copied().fold(f64::NEG_INFINITY, f64::max) as i64;
    for (tag, value, truth) in
        [(tags::SMALLEST_IMAGE_PIXEL_VALUE, smallest, low), (tags::LARGEST_IMAGE_PIXEL_VALUE, largest, high)]
    {
        if value.is_some_and(|value| value != truth) {
            report.add_expecting(&rules::EXTREMES, &object.path, &[tag], shown(data, tag), truth.to_string());
        }
    }
}

fn padding(object: &Object, report: &mut Report) {
    let data = &object.data;
    let tag = tags::PIXEL_PADDING_VALUE;
    let (Some(element), Some(value), Some(bits)) =
        (data.get(tag), whole::<i64>(data, tag), whole::<u32>(data, tags::BITS_ALLOCATED).filter(|&bits| bits < 63))
    else {
        return;
    };
    let signed = whole::<u16>(data, tags::PIXEL_REPRESENTATION) == Some(1);
    let range = if signed { -(1i64 << (bits - 1))..1i64 << (bits - 1) } else { 0..1i64 << bits };
    let vr_fits = element.vr() == if signed { VR::SS } else { VR::US };
    if !range.contains(&value) || (object.ours && !vr_fits) {
        report.add(&rules::PADDING, &object.path, &[tag], shown(data, tag));
    }
}

fn window(object: &Object, report: &mut Report) {
    let data = &object.data;
    let (centres, widths) = (texts(data, tags::WINDOW_CENTER), texts(data, tags::WINDOW_WIDTH));
    if centres.is_empty() && widths.is_empty() {
        return;
    }
    let linear = text(data, tags::VOILUT_FUNCTION).is_none_or(|function| function == "LINEAR");
    let wide = |width: &String| width.parse::<f64>().is_ok_and(|w| if linear { w >= 1.0 } else { w > 0.0 });
    if centres.len() != widths.len() || !widths.iter().all(wide) {
        report.add(&rules::WINDOW, &object.path, &[tags::WINDOW_WIDTH], shown(data, tags::WINDOW_WIDTH));
    }
}

fn lossy(object: &Object, report: &mut Report) {
    let data = &object.data;
    let tag = tags::LOSSY_IMAGE_COMPRESSION;
    let declared = text(data, tag);
    if declared.as_ref().is_some_and(|value| value != "00" && value != "01") {
        report.add(&rules::LOSSY_FORM, &object.path, &[tag], shown(data, tag));
    }
    let with_loss = [uids::JPEG_BASELINE8_BIT, uids::JPEG_EXTENDED12_BIT, uids::JPEGLS_NEAR_LOSSLESS];
    if with_loss.contains(&object.slice.syntax.as_str()) && declared.as_deref() != Some("01") {
        report.add(&rules::LOSSY_SYNTAX, &object.path, &[tag], shown(data, tag));
    }
    let explained = [tags::LOSSY_IMAGE_COMPRESSION_RATIO, tags::LOSSY_IMAGE_COMPRESSION_METHOD];
    if declared.as_deref() == Some("01") && explained.iter().any(|&tag| text(data, tag).is_none()) {
        report.add(&rules::LOSSY, &object.path, &[tag], "01 alone");
    }
}

//! Integers for the voxels of an output.

use std::path::Path;

use isoscan_imaging::{Modality, Unit, Volume};

use super::attributes::decimal;
use super::pixels::SampleFormat;
use super::stack::DicomSource;
use crate::Error;

/// How the slices of an output are stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// As the source's slices, each with its own slope: possible when they hold every voxel exactly.
    AsSource(Vec<SampleFormat>),
    /// All slices alike.
    Alike(SampleFormat),
}

impl Plan {
    pub(crate) fn format(&self, slice: usize) -> &SampleFormat {
        match self {
            Self::AsSource(formats) => &formats[slice],
            Self::Alike(format) => format,
        }
    }
}

/// Chooses the storage of `volume`; `source` is the series whose grid, modality and unit it shares, if there is one.
pub(crate) fn plan(volume: &Volume, source: Option<&DicomSource>, path: &Path) -> Result<Plan, Error> {
    let voxels = volume.as_slice();
    let count = voxels.iter().filter(|v| !v.is_finite()).count();
    if count > 0 {
        return Err(Error::NotFinite { count, path: path.to_owned() });
    }
    if let Some(formats) = source.and_then(|source| source_formats(volume, source)) {
        return Ok(Plan::AsSource(formats));
    }
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = voxels.iter().fold(start, |(low, high), &v| (low.min(f64::from(v)), high.max(f64::from(v))));
    Ok(Plan::Alike(format_for(volume.modality(), volume.unit(), low, high)))
}

/// The source's formats, when they give every voxel back.
fn source_formats(volume: &Volume, source: &DicomSource) -> Option<Vec<SampleFormat>> {
    let [nx, ny, _] = volume.geometry().size();
    let planes = volume.as_slice().chunks(nx * ny);
    planes
        .zip(source.slices())
        .map(|(plane, slice)| {
            let format = SampleFormat::of(slice).ok()?;
            let format = SampleFormat { inverted: false, high_bit: format.bits_stored - 1, ..format };
            plane.iter().all(|&v| holds(&format, v)).then_some(format)
        })
        .collect()
}

fn holds(format: &SampleFormat, voxel: f32) -> bool {
    let (low, high) = format.range();
    let stored = to_stored(format, voxel);
    (low..=high).contains(&stored) && format.intensity(stored) == voxel
}

fn to_stored(format: &SampleFormat, voxel: f32) -> i64 {
    ((f64::from(voxel) - format.intercept) / format.slope).round_ties_even() as i64
}

/// 16-bit storage for intensities between `low` and `high`. CT in HU takes slope 1 and intercept −1024; other images
/// whose range is wide enough for whole numbers take slope 1 and intercept 0; PET takes intercept 0 as its standard asks;
/// all else is spread over the integers. No value is ever clamped.
fn format_for(modality: Modality, unit: Unit, low: f64, high: f64) -> SampleFormat {
    /// A range that loses at most a thousandth of itself by rounding to whole numbers.
    const WIDE: f64 = 500.0;
    let sixteen = |signed, slope, intercept| SampleFormat {
        bits_allocated: 16,
        bits_stored: 16,
        high_bit: 15,
        signed,
        inverted: false,
        slope,
        intercept,
    };
    let candidates = match (modality, unit) {
        (Modality::Ct, Unit::Hounsfield) => vec![sixteen(false, 1.0, -1024.0), sixteen(true, 1.0, -1024.0)],
        (Modality::Pt, _) => {
            let largest = high.abs().max(low.abs());
            let slope = rounded_up(largest / 32760.0);
            return sixteen(low < 0.0, if slope > 0.0 { slope } else { 1.0 }, 0.0);
        }
        _ if high - low >= WIDE => vec![sixteen(false, 1.0, 0.0), sixteen(true, 1.0, 0.0)],
        _ => Vec::new(),
    };
    let fits = |format: &SampleFormat| {
        let (first, last) = format.range();
        let stored = |value: f64| ((value - format.intercept) / format.slope).round_ties_even();
        stored(low) >= first as f64 && stored(high) <= last as f64
    };
    candidates.into_iter().find(fits).unwrap_or_else(|| {
        let slope = rounded_up((high - low) / 65500.0);
        let intercept = decimal(low).parse().unwrap_or(low);
        sixteen(false, if slope > 0.0 { slope } else { 1.0 }, intercept)
    })
}

/// A slope that a decimal string holds exactly and that is not smaller than asked for.
fn rounded_up(slope: f64) -> f64 {
    decimal(slope * 1.000_001).parse().unwrap_or(slope)
}

/// Little-endian pixel bytes of one slice, padded to an even number.
pub(crate) fn encode(format: &SampleFormat, voxels: &[f32]) -> Vec<u8> {
    let (low, high) = format.range();
    let mut bytes = Vec::with_capacity(voxels.len() * format.bytes() + 1);
    for &voxel in voxels {
        let stored = to_stored(format, voxel).clamp(low, high);
        bytes.extend_from_slice(&stored.to_le_bytes()[..format.bytes()]);
    }
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// Smallest and largest stored value of one slice.
pub(crate) fn stored_range(format: &SampleFormat, voxels: &[f32]) -> (i64, i64) {
    voxels.iter().map(|&v| to_stored(format, v)).fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)))
}

/// The stored value of an intensity, if the format has it.
pub(crate) fn stored_value(format: &SampleFormat, voxel: f32) -> Option<i64> {
    holds(format, voxel).then(|| to_stored(format, voxel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_fits_its_format_within_half_a_step() {
        for (modality, unit, low, high, slope, intercept) in [
            (Modality::Ct, Unit::Hounsfield, -1024.0, 3071.5, 1.0, -1024.0),
            (Modality::Ct, Unit::Hounsfield, -3024.0, 1254.0, 1.0, -1024.0),
            (Modality::Mr, Unit::Arbitrary, 0.0, 1198.4, 1.0, 0.0),
            (Modality::Mr, Unit::Arbitrary, -700.0, 1198.4, 1.0, 0.0),
        ] {
            let format = format_for(modality, unit, low, high);
            assert_eq!((format.slope, format.intercept), (slope, intercept), "{modality} {low} {high}");
        }
        for (modality, low, high) in [
            (Modality::Mr, -3.0, 3.0),
            (Modality::Pt, 0.0, 21.675),
            (Modality::Pt, 0.0, 0.0),
            (Modality::Ct, 0.0, 1.0),
            (Modality::Ct, 7.0, 7.0),
            (Modality::Mr, 0.0, 235659232.0),
        ] {
            let format = format_for(modality, Unit::Arbitrary, low, high);
            for value in [low as f32, high as f32, ((low + high) / 2.0) as f32] {
                let stored = to_stored(&format, value);
                let (first, last) = format.range();
                assert!((first..=last).contains(&stored), "{modality} {low} {high}: {stored}");
                let error = f64::from((format.intensity(stored) - value).abs());
                assert!(error <= 0.51 * format.slope, "{modality} {low} {high}: {error} of {}", format.slope);
            }
        }
    }

    #[test]
    fn slices_encode_as_little_endian_words() {
        let format = format_for(Modality::Ct, Unit::Hounsfield, -1000.0, 100.0);
        assert_eq!(encode(&format, &[-1000.0, 0.4, 100.0]), [24, 0, 0, 4, 100, 4]);
        assert_eq!(stored_range(&format, &[-1000.0, 0.4, 100.0]), (24, 1124));
        assert_eq!((stored_value(&format, -3024.0), stored_value(&format, -1024.0)), (None, Some(0)));
    }
}

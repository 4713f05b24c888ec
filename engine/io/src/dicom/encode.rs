//! Integers for the voxels of an output.

use std::path::Path;

use isoscan_imaging::{Modality, Slices, Unit};

use super::attributes::decimal;
use super::header::Slice;
use super::pixels::SampleFormat;
use super::slicewise::map_slices;
use super::stack::DicomSource;
use crate::Error;

/// How an output is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) storage: Storage,
    /// Lowest and highest intensity.
    pub(crate) range: (f32, f32),
}

/// How the slices of an output are stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Storage {
    /// As the source's slices, each with its own slope: possible when they hold every voxel exactly.
    AsSource(Vec<SampleFormat>),
    /// All slices alike.
    Alike(SampleFormat),
}

impl Plan {
    pub(crate) fn format(&self, slice: usize) -> &SampleFormat {
        match &self.storage {
            Storage::AsSource(formats) => &formats[slice],
            Storage::Alike(format) => format,
        }
    }
}

/// Chooses the storage of `image`; `source` is the series whose grid, modality and unit it shares, if there is one.
pub(crate) fn plan(image: &dyn Slices, source: Option<&DicomSource>, path: &Path) -> Result<Plan, Error> {
    let seen = map_slices(image, path, |k, plane| {
        let range = plane.iter().fold(NO_RANGE, |(low, high), &v| (low.min(v), high.max(v)));
        let format = source.and_then(|source| source_format(plane, &source.slices()[k]));
        let whole = plane.iter().all(|v| v.fract() == 0.0);
        Ok((plane.iter().filter(|v| !v.is_finite()).count(), range, whole, format))
    })?;
    let count = seen.iter().map(|(count, ..)| count).sum();
    if count > 0 {
        return Err(Error::NotFinite { count, path: path.to_owned() });
    }
    let wider = |(low, high): (f32, f32), (_, (a, b), ..): &(_, (f32, f32), _, _)| (low.min(*a), high.max(*b));
    let range = seen.iter().fold(NO_RANGE, wider);
    let whole = seen.iter().all(|(_, _, whole, _)| *whole);
    let storage = match seen.into_iter().map(|(.., format)| format).collect() {
        Some(formats) => Storage::AsSource(formats),
        None => {
            let (low, high) = (f64::from(range.0), f64::from(range.1));
            Storage::Alike(format_for(image.modality(), image.unit(), low, high, whole))
        }
    };
    Ok(Plan { storage, range })
}

const NO_RANGE: (f32, f32) = (f32::INFINITY, f32::NEG_INFINITY);

/// The format of the source's slice, when it gives every voxel back.
fn source_format(plane: &[f32], slice: &Slice) -> Option<SampleFormat> {
    let format = SampleFormat::of(slice).ok()?;
    let format = SampleFormat { inverted: false, high_bit: format.bits_stored - 1, ..format };
    plane.iter().all(|&v| holds(&format, v)).then_some(format)
}

fn holds(format: &SampleFormat, voxel: f32) -> bool {
    let (low, high) = format.range();
    let stored = to_stored(format, voxel);
    (low..=high).contains(&stored) && format.intensity(stored) == voxel
}

fn to_stored(format: &SampleFormat, voxel: f32) -> i64 {
    ((f64::from(voxel) - format.intercept) / format.slope).round_ties_even() as i64
}

/// 16-bit storage for intensities between `low` and `high`. CT in HU takes slope 1 and intercept −1024; other images of
/// `whole` numbers, or whose range is wide enough for them, take slope 1 and intercept 0; PET takes intercept 0 as its standard asks;
/// all else is spread over the integers. Only HU below −33792 or above 64511 are clamped, for an outlier must not cost the
/// other voxels their digits.
fn format_for(modality: Modality, unit: Unit, low: f64, high: f64, whole: bool) -> SampleFormat {
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
        _ if whole || high - low >= WIDE => vec![sixteen(false, 1.0, 0.0), sixteen(true, 1.0, 0.0)],
        _ => Vec::new(),
    };
    let fits = |format: &SampleFormat| {
        let (first, last) = format.range();
        let stored = |value: f64| ((value - format.intercept) / format.slope).round_ties_even();
        stored(low) >= first as f64 && stored(high) <= last as f64
    };
    if let Some(fitting) = candidates.iter().copied().find(fits) {
        return fitting;
    }
    if let [unsigned, signed] = candidates[..]
        && unit == Unit::Hounsfield
    {
        return if low < unsigned.intercept { signed } else { unsigned };
    }
    let slope = rounded_up((high - low) / 65500.0);
    let intercept = decimal(low).parse().unwrap_or(low);
    sixteen(false, if slope > 0.0 { slope } else { 1.0 }, intercept)
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

/// Largest distance of a voxel from what its stored value gives back, and the number of voxels that were clamped.
pub(crate) fn inexactness(format: &SampleFormat, voxels: &[f32]) -> (f64, usize) {
    let (low, high) = format.range();
    voxels.iter().fold((0.0, 0), |(largest, clamped), &voxel| {
        let stored = to_stored(format, voxel);
        let given = stored.clamp(low, high);
        let error = (f64::from(format.intensity(given)) - f64::from(voxel)).abs();
        (error.max(largest), clamped + usize::from(given != stored))
    })
}

/// Smallest and largest stored value of one slice.
pub(crate) fn stored_range(format: &SampleFormat, voxels: &[f32]) -> (i64, i64) {
    let (low, high) = format.range();
    voxels
        .iter()
        .map(|&v| to_stored(format, v).clamp(low, high))
        .fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)))
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
            (Modality::Ct, Unit::Hounsfield, -1e9, 40000.0, 1.0, -1024.0),
            (Modality::Mr, Unit::Arbitrary, 0.0, 1198.4, 1.0, 0.0),
            (Modality::Mr, Unit::Arbitrary, -700.0, 1198.4, 1.0, 0.0),
        ] {
            let format = format_for(modality, unit, low, high, false);
            assert_eq!((format.slope, format.intercept), (slope, intercept), "{modality} {low} {high}");
        }
        let few = format_for(Modality::Mr, Unit::Arbitrary, 0.0, 70.0, true);
        assert_eq!((few.slope, few.intercept), (1.0, 0.0), "whole numbers stay exact");
        for (modality, low, high) in [
            (Modality::Mr, -3.0, 3.0),
            (Modality::Pt, 0.0, 21.675),
            (Modality::Pt, 0.0, 0.0),
            (Modality::Ct, 0.0, 1.0),
            (Modality::Ct, 7.0, 7.0),
            (Modality::Mr, 0.0, 235659232.0),
        ] {
            let format = format_for(modality, Unit::Arbitrary, low, high, false);
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
        let format = format_for(Modality::Ct, Unit::Hounsfield, -1000.0, 100.0, false);
        assert_eq!(encode(&format, &[-1000.0, 0.4, 100.0]), [24, 0, 0, 4, 100, 4]);
        assert_eq!(stored_range(&format, &[-1000.0, 0.4, 100.0]), (24, 1124));
        assert_eq!(inexactness(&format, &[-1024.4, 0.25, 1e6]), (1e6 - 64511.0, 1));
        assert_eq!((stored_value(&format, -3024.0), stored_value(&format, -1024.0)), (None, Some(0)));
    }
}

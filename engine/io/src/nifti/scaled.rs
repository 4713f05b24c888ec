//! Intensities as int16 with slope and intercept.

use std::path::Path;

use isoscan_imaging::Volume;
use rayon::prelude::*;

use crate::Error;

type Scale = (f64, f64);

/// Voxels looked at by one core at a time.
const RUN: usize = 1 << 16;

/// Slope, intercept and the largest error of int16 storage: v ≈ n · slope + intercept with n = round((v − intercept) /
/// slope). Whole numbers over at most 65536 values are exact with slope 1. Otherwise slope = (max − min) / 65534 and
/// intercept = (max + min) / 2, in f32 as NIfTI-1 stores them and the slope rounded up, so that |n| stays below 32768; the
/// error is half a slope and the rounding of a voxel to f32, at most (max |v| + slope) · 2⁻²⁴. With voxels 0, 0.25 and
/// 65534 · 0.25 the slope is the f32 above 0.25 and no voxel is off by more than 0.1261.
///
/// # Errors
/// [`Error::NotFinite`] when a voxel is NaN or infinite.
pub(crate) fn int16(volumes: &[&Volume], path: &Path) -> Result<(Scale, f64), Error> {
    const STEPS: f64 = 65534.0;
    let mut seen = Seen::default();
    for volume in volumes {
        seen = seen.and(volume.as_slice().par_chunks(RUN).map(Seen::of).reduce(Seen::default, Seen::and));
    }
    let Seen { low, high, fractions, not_finite } = seen;
    if not_finite > 0 {
        return Err(Error::NotFinite { count: not_finite, path: path.to_owned() });
    }
    let (low, high) = (f64::from(low), f64::from(high));
    let exact_in_f32 = low.abs().max(high.abs()) <= 2f64.powi(24);
    if exact_in_f32 && high - low <= 65535.0 && !fractions {
        let fits = low >= -32768.0 && high <= 32767.0;
        return Ok(((1.0, if fits { 0.0 } else { low + 32768.0 }), 0.0));
    }
    let intercept = f64::from(((high + low) / 2.0) as f32);
    let reach = (high - intercept).max(intercept - low);
    let slope = if reach > 0.0 { ((2.0 * reach / STEPS) as f32).next_up().max(f32::MIN_POSITIVE) } else { 1.0 };
    let slope = f64::from(slope);
    let largest_error = slope / 2.0 + (low.abs().max(high.abs()) + slope) * 2f64.powi(-24);
    Ok(((slope, intercept), largest_error))
}

/// What some voxels are like; the order of joining does not matter.
#[derive(Clone, Copy)]
struct Seen {
    low: f32,
    high: f32,
    /// Whether a voxel is no whole number, or beyond i32.
    fractions: bool,
    not_finite: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { low: f32::INFINITY, high: f32::NEG_INFINITY, fractions: false, not_finite: 0 }
    }
}

impl Seen {
    fn of(voxels: &[f32]) -> Self {
        voxels.iter().fold(Self::default(), |seen, &v| Self {
            low: seen.low.min(v),
            high: seen.high.max(v),
            fractions: seen.fractions | ((v as i32) as f32 != v),
            not_finite: seen.not_finite + usize::from(!v.is_finite()),
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            low: self.low.min(other.low),
            high: self.high.max(other.high),
            fractions: self.fractions | other.fractions,
            not_finite: self.not_finite + other.not_finite,
        }
    }
}

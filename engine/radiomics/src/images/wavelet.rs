use std::f64::consts::SQRT_2;
use std::ops::Range;

use isoscan_imaging::Wavelet;

use super::Derived;
use super::periodic::{Periodic, Real};
use crate::image::{Bounds, Image};
use crate::prepare::Number;

/// The detail bands of each of `levels` (from 0) and, last, the approximation of the last one, in PyRadiomics' order.
///
/// Along an axis of `n` voxels (made even by its first voxel, once more at the end), with the filter `h` of `F` taps,
/// ```text
/// band[o] = Σ_j h[j] x[(o + F / 2 - j) mod n]
/// ```
/// The first of `axes` is filtered first; a name's letters say low or high along each. A further level filters the
/// approximation of the one before with the same taps. An f32 image is filtered in f32, any other in f64.
pub(super) fn wavelet_bands(
    image: &Image,
    bounds: Bounds,
    wavelet: Wavelet,
    levels: Range<u32>,
    axes: &[usize],
    keep: &(dyn Fn(Vec<f64>) -> Vec<f64> + Sync),
) -> Vec<Derived> {
    let scheme = Scheme { wavelet, levels, axes };
    if image.number() == Number::Single {
        return scheme.bands::<f32>(image, bounds, keep);
    }
    scheme.bands::<f64>(image, bounds, keep)
}

struct Scheme<'a> {
    wavelet: Wavelet,
    levels: Range<u32>,
    axes: &'a [usize],
}

impl Scheme<'_> {
    fn bands<T: Real>(
        &self,
        image: &Image,
        bounds: Bounds,
        keep: &(dyn Fn(Vec<f64>) -> Vec<f64> + Sync),
    ) -> Vec<Derived> {
        let [low, high] = [self.wavelet.low(), self.wavelet.high()].map(|taps| self.rounded::<T>(taps));
        let mut approximation = Periodic::<T>::around(image, bounds, self.axes, low.len(), self.levels.end as usize);
        let mut found: Vec<Derived> = Vec::new();
        let last = self.levels.end.saturating_sub(1);
        for level in 0..self.levels.end {
            if level >= self.levels.start {
                let near = approximation.near(bounds, self.axes, low.len());
                let mut bands = Vec::new();
                split(near, self.axes, String::new(), [&low, &high], &mut |name, band| {
                    let is_approximation = name.bytes().all(|letter| letter == b'L');
                    if !is_approximation || level == last {
                        bands.push((name, keep(band.values_in(bounds))));
                    }
                });
                if level == last && !bands.is_empty() {
                    bands.rotate_left(1);
                }
                let number = if T::IS_SINGLE { Number::Single } else { Number::Double };
                let depth = match level - self.levels.start {
                    0 => String::new(),
                    further => (further + 1).to_string(),
                };
                let named = |(name, values)| Derived { name: format!("wavelet{depth}-{name}"), number, values };
                found.extend(bands.into_iter().map(named));
            }
            if level < last {
                for &axis in self.axes {
                    approximation = approximation.filtered(axis, &low);
                }
            }
        }
        found
    }

    /// The taps as PyWavelets rounds them: it keeps those of a coiflet divided by √2 and multiplies once rounded.
    fn rounded<T: Real>(&self, taps: &[f64]) -> Vec<T> {
        let is_coiflet = T::IS_SINGLE && self.wavelet.name().starts_with("coif");
        let round = |&tap: &f64| if is_coiflet { T::of(tap / SQRT_2) * T::of(SQRT_2) } else { T::of(tap) };
        taps.iter().map(round).collect()
    }
}

/// Visits every band, low before high along each axis.
fn split<T: Real>(
    values: Periodic<T>,
    axes: &[usize],
    name: String,
    filters: [&[T]; 2],
    visit: &mut dyn FnMut(String, Periodic<T>),
) {
    let Some((&axis, rest)) = axes.split_first() else {
        return visit(name, values);
    };
    let [low, high] = [values.filtered(axis, filters[0]), values.filtered(axis, filters[1])];
    drop(values);
    split(low, rest, format!("{name}L"), filters, visit);
    split(high, rest, format!("{name}H"), filters, visit);
}

use rayon::prelude::*;

use crate::{Error, Mask, Volume};

/// The finite voxels of a volume inside a mask (all of them without one), above an intensity where one is given.
///
/// They are visited in pieces whose number depends on the size of the volume alone, so sums over pieces taken in order
/// do not depend on the number of threads.
pub(crate) struct Region<'a> {
    voxels: &'a [f32],
    inside: Option<&'a [bool]>,
    above: f32,
}

/// Count, range and sum of a [`Region`]. Without a voxel: minimum infinite, maximum minus infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) min: f32,
    pub(crate) max: f32,
    pub(crate) sum: f64,
}

/// Enough for the vector units of present machines.
const LANES: usize = 16;

impl Summary {
    const EMPTY: Self = Self { count: 0, min: f32::INFINITY, max: f32::NEG_INFINITY, sum: 0.0 };

    /// Both together.
    fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            sum: self.sum + other.sum,
        }
    }
}

impl<'a> Region<'a> {
    pub(crate) fn new(volume: &'a Volume, mask: Option<&'a Mask>) -> Result<Self, Error> {
        let voxels = volume.as_slice();
        let Some(mask) = mask else { return Ok(Self::of(voxels)) };
        volume.geometry().require_same(mask.geometry(), 1e-3)?;
        mask.require_any()?;
        let inside = mask.inside().to_slice().expect("a mask is contiguous by construction");
        Ok(Self { voxels, inside: Some(inside), above: f32::NEG_INFINITY })
    }

    /// All of `voxels`.
    pub(crate) fn of(voxels: &'a [f32]) -> Self {
        Self { voxels, inside: None, above: f32::NEG_INFINITY }
    }

    /// Only the voxels above `low`.
    pub(crate) fn above(self, low: f32) -> Self {
        Self { above: low, ..self }
    }

    /// Folds every piece on its own, from `start()`, by `step`; the pieces in order.
    pub(crate) fn fold<T: Send>(
        &self,
        start: impl Fn() -> T + Sync,
        step: impl Fn(&mut T, f32) + Sync + Copy,
    ) -> Vec<T> {
        self.pieces(|voxels, inside| {
            let mut result = start();
            match inside {
                None => voxels.iter().filter(|v| self.counts_in(**v)).for_each(|&v| step(&mut result, v)),
                Some(inside) => {
                    let chosen = voxels.iter().zip(inside).filter(|(v, inside)| **inside && self.counts_in(**v));
                    chosen.for_each(|(&v, _)| step(&mut result, v));
                }
            }
            result
        })
    }

    /// What `work` makes of every piece's voxels and mask; the pieces in order.
    fn pieces<T: Send>(&self, work: impl Fn(&[f32], Option<&[bool]>) -> T + Sync) -> Vec<T> {
        let piece = self.voxels.len().div_ceil(64).max(1 << 15);
        let inside = |number: usize, n: usize| self.inside.map(|inside| &inside[number * piece..][..n]);
        let pieces = self.voxels.par_chunks(piece).enumerate();
        pieces.map(|(number, voxels)| work(voxels, inside(number, voxels.len()))).collect()
    }

    fn counts_in(&self, voxel: f32) -> bool {
        voxel.is_finite() && voxel > self.above
    }

    pub(crate) fn summary(&self) -> Summary {
        let pieces = self.pieces(|voxels, inside| self.summary_of(voxels, inside));
        pieces.into_iter().fold(Summary::EMPTY, Summary::and)
    }

    /// One summary for each of [`LANES`] interleaved runs of voxels, so that no sum waits for the one before it.
    fn summary_of(&self, voxels: &[f32], inside: Option<&[bool]>) -> Summary {
        let (mut counts, mut sums) = ([0u32; LANES], [0.0f64; LANES]);
        let (mut lows, mut highs) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
        let mut add = |voxels: &[f32], inside: Option<&[bool]>| {
            for (lane, &voxel) in voxels.iter().enumerate() {
                let is_in = self.counts_in(voxel) & inside.is_none_or(|inside| inside[lane]);
                counts[lane] += u32::from(is_in);
                sums[lane] += if is_in { f64::from(voxel) } else { 0.0 };
                lows[lane] = if is_in & (voxel < lows[lane]) { voxel } else { lows[lane] };
                highs[lane] = if is_in & (voxel > highs[lane]) { voxel } else { highs[lane] };
            }
        };
        let whole = voxels.len() / LANES * LANES;
        match inside {
            None => voxels[..whole].chunks_exact(LANES).for_each(|row| add(row, None)),
            Some(inside) => {
                let rows = voxels[..whole].chunks_exact(LANES).zip(inside.chunks_exact(LANES));
                rows.for_each(|(row, inside)| add(row, Some(inside)));
            }
        }
        add(&voxels[whole..], inside.map(|inside| &inside[whole..]));
        (0..LANES).fold(Summary::EMPTY, |sum, lane| {
            sum.and(Summary { count: counts[lane].into(), min: lows[lane], max: highs[lane], sum: sums[lane] })
        })
    }

    /// Mean and population standard deviation; NaN without a voxel, deviation 0 for a single value.
    pub(crate) fn mean_and_deviation(&self) -> (f64, f64) {
        let Summary { count, min, max, sum } = self.summary();
        let mean = sum / count as f64;
        // A constant region must count as flat even when its mean is not an f32.
        if min >= max {
            return (mean, 0.0);
        }
        let pieces = self.fold(|| 0.0, |squares, v| *squares += (f64::from(v) - mean).powi(2));
        (mean, (pieces.into_iter().sum::<f64>() / count as f64).sqrt())
    }

    /// How many voxels fall into each of `bins`; voxels without a bin are not counted.
    pub(crate) fn counts(&self, bins: usize, bin: impl Fn(f32) -> Option<usize> + Sync + Copy) -> Vec<u64> {
        let pieces = self.fold(
            || vec![0u32; bins],
            |counts, v| {
                if let Some(bin) = bin(v) {
                    counts[bin] += 1;
                }
            },
        );
        let mut total = vec![0u64; bins];
        for piece in pieces {
            total.iter_mut().zip(piece).for_each(|(total, count)| *total += u64::from(count));
        }
        total
    }

    /// Percentiles of `of(x)` over the region, exact and linear between order statistics: of n sorted values, percentile
    /// p stands at rank `p / 100 · (n - 1)`. NaN when there is no voxel.
    pub(crate) fn percentiles(&self, percents: &[f64], of: impl Fn(f32) -> f32 + Sync + Copy) -> Vec<f64> {
        let high = self.counts(1 << 16, |v| Some((sortable(of(v)) >> 16) as usize));
        let count: u64 = high.iter().sum();
        if count == 0 {
            return vec![f64::NAN; percents.len()];
        }
        let places = percents.iter().map(|p| p / 100.0 * (count - 1) as f64).collect::<Vec<_>>();
        let mut ranks =
            places.iter().flat_map(|p| [p.floor() as u64, (p.floor() as u64 + 1).min(count - 1)]).collect::<Vec<_>>();
        ranks.sort_unstable();
        ranks.dedup();
        let values = self.ranked(&ranks, &high, of);
        let at = |rank: u64| f64::from(values[ranks.partition_point(|r| *r < rank)]);
        let between = |place: &f64| {
            let below = place.floor() as u64;
            at(below) + place.fract() * (at((below + 1).min(count - 1)) - at(below))
        };
        places.iter().map(between).collect()
    }

    /// The order statistics at `ranks` (ascending), given how often each upper half of a key occurs.
    fn ranked(&self, ranks: &[u64], high: &[u64], of: impl Fn(f32) -> f32 + Sync + Copy) -> Vec<f32> {
        let (mut bucket, mut before) = (0, 0);
        let mut homes = Vec::with_capacity(ranks.len());
        for &rank in ranks {
            while before + high[bucket] <= rank {
                before += high[bucket];
                bucket += 1;
            }
            homes.push((bucket, rank - before));
        }
        let mut buckets = homes.iter().map(|h| h.0).collect::<Vec<_>>();
        buckets.dedup();
        let mut slot_of = vec![u16::MAX; 1 << 16];
        buckets.iter().enumerate().for_each(|(slot, bucket)| slot_of[*bucket] = slot as u16);
        let pieces = self.fold(
            || vec![Vec::<u16>::new(); buckets.len()],
            |members, v| {
                let key = sortable(of(v));
                if let Some(member) = members.get_mut(usize::from(slot_of[(key >> 16) as usize])) {
                    member.push(key as u16);
                }
            },
        );
        let mut low = vec![vec![0u64; 1 << 16]; buckets.len()];
        for piece in pieces {
            for (low, members) in low.iter_mut().zip(piece) {
                members.into_iter().for_each(|key| low[usize::from(key)] += 1);
            }
        }
        let value = |(bucket, rank): (usize, u64)| {
            let counts = &low[usize::from(slot_of[bucket])];
            let mut before = 0;
            let key = counts.iter().position(|count| {
                before += count;
                before > rank
            });
            unsortable((bucket as u32) << 16 | key.expect("a rank below the bucket's count") as u32)
        };
        homes.into_iter().map(value).collect()
    }
}

/// A key that orders as [`f32::total_cmp`].
fn sortable(value: f32) -> u32 {
    let bits = value.to_bits();
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

fn unsortable(key: u32) -> f32 {
    f32::from_bits(key ^ if key >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let values = (0..70_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 * 1e-3 - 7000.0);
        let values = values.collect::<Vec<_>>();
        let mut sorted = values.clone();
        sorted.sort_by(f32::total_cmp);
        let percents = [0.0, 0.1, 25.0, 37.12345, 50.0, 99.0, 100.0];
        let volume = Volume::row(&values);
        let found = Region::new(&volume, None).unwrap().percentiles(&percents, |v| v);
        for (percent, found) in percents.into_iter().zip(found) {
            let place = percent / 100.0 * 70_000.0;
            let [low, high] = [place.floor(), place.ceil()].map(|rank| f64::from(sorted[rank as usize]));
            assert!((found - (low + (high - low) * place.fract())).abs() < 1e-9, "{percent}: {found}");
        }
    }

    #[test]
    fn values_that_are_not_finite_do_not_count() {
        let volume = Volume::row(&[f32::NAN, -2.0, f32::INFINITY, -0.0, 5.0, f32::NEG_INFINITY, 0.0]);
        let region = Region::new(&volume, None).unwrap();
        assert_eq!(region.summary(), Summary { count: 4, min: -2.0, max: 5.0, sum: 3.0 });
        assert_eq!(region.percentiles(&[0.0, 50.0, 100.0], |v| v), [-2.0, 0.0, 5.0]);
        assert_eq!(region.percentiles(&[0.0, 50.0], |v| -v), [-5.0, 0.0]);
        let none = Volume::row(&[f32::NAN]);
        assert!(Region::new(&none, None).unwrap().percentiles(&[50.0], |v| v)[0].is_nan());
    }
}

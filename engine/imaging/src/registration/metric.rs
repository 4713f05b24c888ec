use rayon::prelude::*;

use super::motion::Motion;
use super::pieces;
use super::sampling::{Grid, Region, Samples};
use crate::{Affine3, Error, Mask, Volume};

/// Mutual information of a fixed and a moving volume as a function of the map between them.
pub(super) struct MutualInformation<'a> {
    samples: &'a Samples,
    moving: Grid<'a>,
    moving_mask: Option<SoftMask>,
    voxel_from_world: Affine3,
    /// Bin of each sample's fixed value.
    fixed_bins: Vec<u16>,
    moving_scale: Scale,
    bins: usize,
    /// Volume that all samples stand for over the volume of the smaller region.
    share_of_all: f64,
}

/// The measure at one map.
pub(super) struct Evaluation {
    /// Mutual information, nats.
    pub(super) value: f64,
    /// Its derivative along the parameters of the motion, nats per mm, with the weights of the places held: what a
    /// larger or smaller overlap alone would gain is left out, so that background at the rim neither draws nor pushes.
    pub(super) gradient: Vec<f64>,
    /// Share of the smaller region that lies in the other.
    pub(super) overlap: f64,
}

/// Bins left free at both ends, so that every window lies on the histogram.
const RIM: usize = 2;

/// Intensities to histogram coordinates.
#[derive(Clone, Copy)]
struct Scale {
    low: f32,
    high: f32,
    per_bin: f32,
}

impl Scale {
    /// From percentile 0.2 to 99.8, or smallest to largest where these are equal.
    fn of(mut values: Vec<f32>, bins: usize) -> Result<Self, Error> {
        let mut percentile = |share: f64| {
            let rank = (share * values.len().saturating_sub(1) as f64).round() as usize;
            (rank < values.len()).then(|| *values.select_nth_unstable_by(rank, f32::total_cmp).1)
        };
        let (Some(lowest), Some(low)) = (percentile(0.0), percentile(0.002)) else {
            return Err(Error::FlatIntensities { value: f32::NAN });
        };
        let (Some(high), Some(highest)) = (percentile(0.998), percentile(1.0)) else {
            return Err(Error::FlatIntensities { value: f32::NAN });
        };
        let (low, high) = if low < high { (low, high) } else { (lowest, highest) };
        let per_bin = (high - low) / (bins - 2 * RIM) as f32;
        if !(per_bin.is_normal() && per_bin > 0.0) {
            return Err(Error::FlatIntensities { value: low });
        }
        Ok(Self { low, high, per_bin })
    }

    /// The place of a value, `RIM` to `bins - RIM`; bin `b` has its centre at `b + 0.5`.
    #[inline(always)]
    fn place(&self, value: f32) -> f32 {
        (value.clamp(self.low, self.high) - self.low) / self.per_bin + RIM as f32
    }
}

/// What the second pass needs of a sample.
#[derive(Clone, Copy)]
struct Seen {
    sample: u32,
    /// How much it counts: 1, less at the rim of the moving volume.
    weight: f32,
    /// Histogram coordinate of the moving value.
    place: f32,
    /// Derivative of the moving value along the voxel axes; 0 where the value is cut at the ends of the scale.
    slope: [f32; 3],
}

impl<'a> MutualInformation<'a> {
    pub(super) fn new(
        samples: &'a Samples,
        moving: &'a Volume,
        moving_mask: Option<&'a Mask>,
        bins: usize,
    ) -> Result<Self, Error> {
        let fixed_scale = Scale::of(samples.values.clone(), bins)?;
        let last = (bins - RIM - 1) as u16;
        let fixed_bins = samples.values.iter().map(|v| (fixed_scale.place(*v) as u16).min(last)).collect();
        let moving_scale = Scale::of(values_inside(moving, moving_mask.map(Region::of).as_ref()), bins)?;
        let moving_mm3 = moving_mask
            .map_or(moving.geometry().voxel_count() as f64 * moving.geometry().voxel_volume_mm3(), |mask| {
                mask.count() as f64 * mask.geometry().voxel_volume_mm3()
            });
        Ok(Self {
            samples,
            moving: Grid::of(moving),
            moving_mask: moving_mask.map(SoftMask::of),
            voxel_from_world: moving.geometry().voxel_from_world(),
            fixed_bins,
            moving_scale,
            bins,
            share_of_all: samples.region_mm3 / samples.region_mm3.min(moving_mm3),
        })
    }

    /// The measure where `parameters` lead.
    pub(super) fn at(&self, motion: &Motion, parameters: &[f64]) -> Evaluation {
        let map = motion.map(parameters);
        let from_center = Affine3 { matrix: map.matrix, translation: map.apply(self.samples.center) };
        let parts = pieces(self.samples.points.len(), |range| self.look(range, &from_center));
        let bins = self.bins;
        let mut joint = vec![0.0; bins * bins];
        for (histogram, _) in &parts {
            joint.iter_mut().zip(histogram).for_each(|(sum, part)| *sum += part);
        }
        let seen: f64 = joint.iter().sum();
        let overlap = (self.share_of_all * seen / self.samples.points.len() as f64).min(1.0);
        if seen <= 0.0 {
            return Evaluation { value: 0.0, gradient: vec![0.0; parameters.len()], overlap: 0.0 };
        }
        joint.iter_mut().for_each(|p| *p /= seen);
        let (value, logarithms) = information(&joint, bins);
        let moments: Vec<_> = parts.par_iter().map(|(_, list)| self.moment(list, &logarithms)).collect();
        let total = moments
            .iter()
            .fold([[0.0; 4]; 3], |sum, part| std::array::from_fn(|a| std::array::from_fn(|b| sum[a][b] + part[a][b])));
        let scale = 1.0 / seen;
        // From derivatives along voxel axes to those along world axes.
        let inverse = &self.voxel_from_world.matrix;
        let in_world: [[f64; 4]; 3] = std::array::from_fn(|r| {
            std::array::from_fn(|b| scale * (0..3).map(|a| inverse[a][r] * total[a][b]).sum::<f64>())
        });
        let along_linear = in_world.map(|row| [row[0], row[1], row[2]]);
        let gradient = motion.gradient(parameters, &along_linear, in_world.map(|row| row[3]));
        Evaluation { value, gradient, overlap }
    }

    /// The joint histogram of some samples, and those that lie in the moving volume.
    fn look(&self, range: std::ops::Range<usize>, world_from_point: &Affine3) -> (Vec<f64>, Vec<Seen>) {
        let voxel_from_point = self.voxel_from_world.after(world_from_point);
        let mut joint = vec![0.0; self.bins * self.bins];
        let mut list = Vec::with_capacity(range.len());
        for sample in range {
            let point = self.samples.points[sample].map(f64::from);
            let place = voxel_from_point.apply(point).map(|p| p as f32);
            let Some((value, slope)) = self.moving.at(place) else { continue };
            let inside = self.moving_mask.as_ref().map_or(1.0, |mask| mask.at(world_from_point.apply(point)));
            let weight = inside * self.moving.weight(place);
            if weight <= 0.0 || !value.is_finite() {
                continue;
            }
            let place = self.moving_scale.place(value);
            let cut = value < self.moving_scale.low || value > self.moving_scale.high;
            let slope = if cut { [0.0; 3] } else { slope.map(|s| s / self.moving_scale.per_bin) };
            let (first, weights) = window(place);
            let row = self.fixed_bins[sample] as usize * self.bins + first;
            let counts = joint[row..row + 4].iter_mut().zip(weights);
            counts.for_each(|(sum, part)| *sum += f64::from(weight * part));
            list.push(Seen { sample: sample as u32, weight, place, slope });
        }
        (joint, list)
    }

    /// `Σ w Σ_m B'(m) L(f, m) ∇m · [point, 1]` with `w` the weights and `L` the logarithms.
    fn moment(&self, list: &[Seen], logarithms: &[f64]) -> [[f64; 4]; 3] {
        let mut sum = [[0.0; 4]; 3];
        for seen in list {
            let sample = seen.sample as usize;
            let (first, slopes) = window_slope(seen.place);
            let row = self.fixed_bins[sample] as usize * self.bins + first;
            let logs = &logarithms[row..row + 4];
            let pull = f64::from(seen.weight) * (0..4).map(|k| f64::from(slopes[k]) * logs[k]).sum::<f64>();
            let [x, y, z] = self.samples.points[sample].map(f64::from);
            for (sum, slope) in sum.iter_mut().zip(seen.slope) {
                let along = pull * f64::from(slope);
                sum[0] += along * x;
                sum[1] += along * y;
                sum[2] += along * z;
                sum[3] += along;
            }
        }
        sum
    }
}

/// A mask that fades over one voxel.
struct SoftMask {
    mask: Volume,
    voxel_from_world: Affine3,
}

impl SoftMask {
    fn of(mask: &Mask) -> Self {
        Self { mask: mask.to_volume(), voxel_from_world: mask.geometry().voxel_from_world() }
    }

    /// How far a world position is inside, 0 to 1.
    fn at(&self, point: [f64; 3]) -> f32 {
        let place = self.voxel_from_world.apply(point).map(|p| p as f32);
        Grid::of(&self.mask).at(place).map_or(0.0, |(inside, _)| inside)
    }
}

/// The mutual information of a joint distribution (fixed value by rows), and `ln(p(f, m) / (p(f) p(m)))`, 0 where
/// `p(f, m)` is.
fn information(joint: &[f64], bins: usize) -> (f64, Vec<f64>) {
    let fixed: Vec<f64> = joint.chunks(bins).map(|row| row.iter().sum()).collect();
    let moving: Vec<f64> = (0..bins).map(|m| joint.iter().skip(m).step_by(bins).sum()).collect();
    let mut value = 0.0;
    let mut logarithms = vec![0.0; joint.len()];
    for (index, p) in joint.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        let logarithm = (p / (fixed[index / bins] * moving[index % bins])).ln();
        logarithms[index] = logarithm;
        value += p * logarithm;
    }
    (value, logarithms)
}

/// The first of the four bins that a value counts for, and how much: the cubic B-spline of the distance to the bins'
/// centres.
#[inline(always)]
fn window(place: f32) -> (usize, [f32; 4]) {
    let (first, t) = first_bin(place);
    let s = 1.0 - t;
    let middle = |u: f32| 2.0 / 3.0 - u * u * (1.0 - u / 2.0);
    (first, [s * s * s / 6.0, middle(t), middle(s), t * t * t / 6.0])
}

/// The derivative of [`window`].
#[inline(always)]
fn window_slope(place: f32) -> (usize, [f32; 4]) {
    let (first, t) = first_bin(place);
    let s = 1.0 - t;
    let middle = |u: f32| u * (1.5 * u - 2.0);
    (first, [-s * s / 2.0, middle(t), -middle(s), t * t / 2.0])
}

/// The first bin of the window at `place`, and how far `place` is behind the centre of the second.
#[inline(always)]
fn first_bin(place: f32) -> (usize, f32) {
    let from_second = place - 0.5;
    let second = from_second as usize;
    (second - 1, from_second - second as f32)
}

/// The finite voxels, those inside the region only where there is one.
fn values_inside(volume: &Volume, region: Option<&Region<'_>>) -> Vec<f32> {
    let [nx, ny, _] = volume.geometry().size();
    let world = volume.geometry().world_from_voxel();
    let voxel = |index: usize| [index % nx, index / nx % ny, index / (nx * ny)].map(|i| i as f64);
    let wanted = |index: usize| region.is_none_or(|r| r.holds(world.apply(voxel(index))));
    volume.as_slice().iter().enumerate().filter(|(i, v)| v.is_finite() && wanted(*i)).map(|(_, v)| *v).collect()
}

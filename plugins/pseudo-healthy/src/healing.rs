use isoscan_learned::{Failure, Place};
use isoscan_nn::{
    Error, Net,
    diffusion::{Denoiser, Diffusion, Extent, Trajectory, VoxelNoise, ddim, inverted},
};
use isoscan_sdk::{Param, Params, PluginError};
use tch::Tensor;

use crate::Recipe;

/// How the image becomes noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Noise is added: what is lost has to be made up, from healthy brains.
    Noise,
    /// The sampler is walked backwards: the way back is nearly exact, so little is healed.
    Inversion,
}

/// The way to noise and back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Healing {
    /// How the image becomes noise.
    pub encoding: Encoding,
    /// How far, as a share of the way to noise alone.
    pub level: f64,
    /// Network calls on the way back.
    pub strides: usize,
    /// Noise on the way back, 0 to 1.
    pub eta: f64,
    /// Ways that are averaged; those of an inversion without noise are all the same.
    pub samples: usize,
    /// Voxels whose mean difference, in widths of the image's range, is larger are taken from the second way; none where
    /// it is 0, and then there is no second way.
    pub threshold: f64,
    /// Pixels to each side over which the difference is averaged, with its sign: what is drawn anew of a fold is as much
    /// darker here as it is brighter there, a lesion is one of both throughout.
    pub reach: i64,
}

impl Healing {
    /// The parameters that [`Healing::of`] reads.
    pub(crate) fn params() -> Vec<Param> {
        vec![
            Param::choice("encode", &["noise", "inversion"], "add noise, or walk the sampler backwards"),
            Param::float("level", [0.001, 0.6], 0.25, "", "how far towards noise, as a share of the whole way"),
            Param::int("strides", [1, 1000], 5, "", "network calls on the way back"),
            Param::float("eta", [0.0, 1.0], 1.0, "", "noise that is added on the way back"),
            Param::int("samples", [1, 64], 4, "", "ways back that are averaged"),
            Param::float("threshold", [0.0, 1.0], 0.09, "", "keep voxels that differ less; 0 keeps none"),
            Param::int("reach", [0, 16], 2, "", "pixels to each side over which the difference is averaged"),
        ]
    }

    /// The way that checked parameters describe.
    pub(crate) fn of(params: &Params, recipe: &Recipe) -> Result<Self, PluginError> {
        let level = params.float("level")?;
        if level > recipe.deepest {
            let deepest = recipe.deepest;
            return Err(PluginError::invalid(format_args!(
                "parameter 'level' must be at most {deepest}, what the weights were trained for, found {level}"
            )));
        }
        Ok(Self {
            encoding: if params.choice("encode")? == "inversion" { Encoding::Inversion } else { Encoding::Noise },
            level,
            strides: params.int("strides")? as usize,
            eta: params.float("eta")?,
            samples: params.int("samples")? as usize,
            threshold: params.float("threshold")?,
            reach: params.int("reach")?,
        })
    }
}

/// The image as the network thinks it healthy, `[z, 1, y, x]` in the network's scale of -1 to 1.
pub(crate) fn healed(
    denoiser: &Net<Denoiser>,
    recipe: &Recipe,
    healing: &Healing,
    image: &Tensor,
    place: &Place<'_>,
) -> Result<Tensor, Failure> {
    let diffusion = Diffusion::new(&recipe.noise)?;
    let times = diffusion.path(recipe.time(healing.level), healing.strides);
    let size = image.size();
    let extent = Extent { origin: place.origin, size: [size[3], size[2], size[0]].map(|n| n as usize) };
    let noise = VoxelNoise { field: recipe.field, seed: place.seed, volume: 0 };
    let way = Way { denoiser, recipe, diffusion: &diffusion, times: &times, noise, extent };
    let first = way.mean(image, healing, None)?;
    if healing.threshold == 0.0 {
        return Ok(first);
    }
    let sick = sick(image, &first, 2.0 * healing.threshold, healing.reach)?;
    way.mean(image, healing, Some(&sick))
}

/// 1 where the mean difference over all within `reach` to each side exceeds `most`, or does so at a neighbour.
fn sick(image: &Tensor, healed: &Tensor, most: f64, reach: i64) -> Result<Tensor, Failure> {
    let difference = image.f_sub(healed)?;
    let width = 2 * reach + 1;
    let mean = difference.f_avg_pool2d([width, width], [1, 1], [reach, reach], false, false, None::<i64>)?;
    let beyond = mean.f_abs()?.f_gt(most)?.f_to_kind(tch::Kind::Float)?;
    Ok(beyond.f_max_pool2d([3, 3], [1, 1], [1, 1], [1, 1], false)?)
}

struct Way<'a> {
    denoiser: &'a Net<Denoiser>,
    recipe: &'a Recipe,
    diffusion: &'a Diffusion,
    times: &'a [usize],
    noise: VoxelNoise,
    extent: Extent,
}

impl Way<'_> {
    /// The mean of all ways; where `sick` is given, voxels outside of it are the image's own at every time.
    fn mean(&self, image: &Tensor, healing: &Healing, sick: Option<&Tensor>) -> Result<Tensor, Failure> {
        let mut sum = image.f_zeros_like()?;
        for sample in 0..healing.samples {
            sum = sum.f_add(&self.walk(image, healing, sample as u64, sick)?)?;
        }
        Ok(sum.f_div_scalar(healing.samples as f64)?)
    }

    fn walk(&self, image: &Tensor, healing: &Healing, sample: u64, sick: Option<&Tensor>) -> Result<Tensor, Failure> {
        let trajectory = Trajectory { diffusion: self.diffusion, target: self.recipe.target, times: self.times };
        let level = self.times[0];
        let start = match healing.encoding {
            Encoding::Noise => self.diffusion.noised(image, &self.drawn(level, FORWARD, sample)?, level)?,
            Encoding::Inversion => inverted(trajectory, image, 0, |x, t| self.predicted(x, t))?,
        };
        let Some(sick) = sick else {
            let noise = |s: usize| self.drawn(s, BACKWARD, sample);
            return Ok(ddim(trajectory, &start, healing.eta, |x, t| self.predicted(x, t), noise)?);
        };
        let mut x = start;
        for pair in self.times.windows(2) {
            let stride = Trajectory { times: pair, ..trajectory };
            let noise = |s: usize| self.drawn(s, BACKWARD, sample);
            let made = ddim(stride, &x, healing.eta, |x, t| self.predicted(x, t), noise)?;
            let own = self.diffusion.noised(image, &self.drawn(pair[1], FORWARD, sample)?, pair[1])?;
            x = own.f_add(&made.f_sub(&own)?.f_mul(sick)?)?;
        }
        Ok(x)
    }

    fn predicted(&self, x: &Tensor, t: usize) -> Result<Tensor, Error> {
        let batch = x.size()[0];
        let share = 1000.0 * t as f64 / self.diffusion.steps() as f64;
        let times = Tensor::f_full([batch], share, (tch::Kind::Float, tch::Device::Cpu))?;
        self.denoiser.forward(x, &times, None)
    }

    /// Noise on the slices at a time.
    fn drawn(&self, time: usize, purpose: u64, sample: u64) -> Result<Tensor, Error> {
        let voxels = self.noise.draw(self.extent, 2 * time as u64 + purpose, sample)?;
        Ok(isoscan_learned::into_slices(&voxels)?)
    }
}

/// Streams of noise: towards noise, and on the way back.
const FORWARD: u64 = 0;
const BACKWARD: u64 = 1;

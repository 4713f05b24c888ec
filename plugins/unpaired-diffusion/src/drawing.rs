use isoscan_learned::{Failure, Place, into_slices};
use isoscan_nn::{
    Error, Net, Random,
    diffusion::{Denoiser, Diffusion, Extent, NoiseField, Target, Trajectory, Variance, VoxelNoise, ancestral},
};
use isoscan_sdk::{Param, Params, PluginError};
use tch::Tensor;

use crate::{Recipe, couples::told};

/// How draws differ from one another beside their noise and latents.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Drawing {
    /// Draws of mean and spread.
    pub(crate) samples: u64,
    /// Whether every second draw is made of the mirrored slice, and mirrored back.
    pub(crate) mirror: bool,
    /// Standard deviation of the noise that is added to the slices, in the networks' scale of -1 to 1.
    pub(crate) jitter: f64,
    /// Pixels to each side over which the variance of the draws is averaged.
    pub(crate) reach: i64,
}

impl Drawing {
    /// The parameters that [`Drawing::of`] reads.
    pub(crate) fn params() -> Vec<Param> {
        vec![
            Param::int("samples", [1, 64], 8, "", "draws of mean and spread"),
            Param::bool("mirror", true, "make every second draw of the slice mirrored left to right"),
            Param::float("jitter", [0.0, 1.0], 0.03, "", "noise added to the image of each draw, of a range of 1"),
            Param::int("reach", [0, 8], 1, "", "pixels to each side over which the draws' variance is averaged"),
        ]
    }

    /// What checked parameters describe.
    pub(crate) fn of(params: &Params) -> Result<Self, PluginError> {
        Ok(Self {
            samples: params.int("samples")? as u64,
            mirror: params.bool("mirror")?,
            jitter: 2.0 * params.float("jitter")?,
            reach: params.int("reach")?,
        })
    }
}

/// Draws of the other kind of image of slices `[z, 1, y, x]`, both in the scale of -1 to 1, `[draw, z, 1, y, x]`; each
/// draw depends on seed, its number and the place of its voxels alone.
pub(crate) fn draws(
    denoiser: &Net<Denoiser>,
    recipe: &Recipe,
    slices: &Tensor,
    place: &Place<'_>,
    drawing: Drawing,
) -> Result<Tensor, Failure> {
    let diffusion = Diffusion::new(&recipe.noise)?;
    let times = diffusion.path(diffusion.steps(), diffusion.steps());
    let trajectory = Trajectory { diffusion: &diffusion, target: Target::Clean, times: &times };
    let size = slices.size();
    let extent = Extent { origin: place.origin, size: [size[3], size[2], size[0]].map(|n| n as usize) };
    let field = VoxelNoise { field: NoiseField::Gaussian, seed: place.seed, volume: 0 };
    let one = |sample: u64| {
        let noise = |time: usize| Ok::<_, Error>(into_slices(&field.draw(extent, time as u64, sample)?)?);
        let mirrored = drawing.mirror && sample % 2 == 1;
        let seen = match drawing.jitter > 0.0 {
            true => slices.f_add(&noise(JITTER)?.f_mul_scalar(drawing.jitter)?)?,
            false => slices.shallow_clone(),
        };
        let seen = if mirrored { seen.f_flip([3])? } else { seen };
        let predict = |noisy: &Tensor, time: usize| {
            let both = Tensor::f_cat(&[noisy, &seen], 1)?;
            let latent = latent(recipe, place, size[0], time as u64, sample)?;
            denoiser.forward(&both, &told(&vec![time; size[0] as usize], &diffusion)?, Some(&latent))
        };
        let made = ancestral(trajectory, &noise(diffusion.steps())?, Variance::FixedSmall, predict, noise)?;
        Ok::<_, Failure>(if mirrored { made.f_flip([3])? } else { made })
    };
    let made = (0..drawing.samples).map(one).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_stack(&made, 0)?)
}

/// Standard deviation of draws `[draw, z, 1, y, x]`, over n - 1, with the variance averaged over the pixels within
/// `reach` to each side: `[z, 1, y, x]`.
pub(crate) fn spread(draws: &Tensor, reach: i64) -> Result<Tensor, Failure> {
    let variance = draws.f_var_dim(Some([0_i64].as_slice()), true, false)?;
    let width = 2 * reach + 1;
    Ok(variance.f_avg_pool2d([width, width], [1, 1], [reach, reach], false, false, None::<i64>)?.f_sqrt()?)
}

/// A latent of its own for each slice, step and draw.
fn latent(recipe: &Recipe, place: &Place<'_>, slices: i64, time: u64, sample: u64) -> Result<Tensor, Error> {
    let width = recipe.denoiser.latent;
    let mut values = Vec::new();
    for slice in 0..slices {
        let z = place.origin[2].wrapping_add(slice) as u64;
        let random = Random::new(place.seed, &[LATENT, time, sample, z]);
        values.extend((0..width as u64).map(|i| random.normal(i) as f32));
    }
    Ok(Tensor::f_from_slice(&values)?.f_view([slices, width])?)
}

/// Keeps latents apart from other random numbers.
const LATENT: u64 = 0x6c61_7465_6e74;
/// Stands where noise is asked for that belongs to no time.
const JITTER: usize = 1 << 20;

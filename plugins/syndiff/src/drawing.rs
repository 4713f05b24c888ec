use isoscan_learned::{Failure, Place, into_slices};
use isoscan_nn::{
    Error, Net, Random,
    diffusion::{Denoiser, Diffusion, Extent, NoiseField, Target, Trajectory, Variance, VoxelNoise, ancestral},
};
use tch::Tensor;

use crate::{Recipe, couples::told};

/// Draws of the other contrast of slices `[z, 1, y, x]`, both in the scale of -1 to 1; each draw depends on seed, its
/// number and the place of its voxels alone.
pub(crate) fn draws(
    denoiser: &Net<Denoiser>,
    recipe: &Recipe,
    slices: &Tensor,
    place: &Place<'_>,
    samples: u64,
) -> Result<Vec<Tensor>, Failure> {
    let diffusion = Diffusion::new(&recipe.noise)?;
    let times = diffusion.path(diffusion.steps(), diffusion.steps());
    let trajectory = Trajectory { diffusion: &diffusion, target: Target::Clean, times: &times };
    let size = slices.size();
    let extent = Extent { origin: place.origin, size: [size[3], size[2], size[0]].map(|n| n as usize) };
    let field = VoxelNoise { field: NoiseField::Gaussian, seed: place.seed, volume: 0 };
    (0..samples)
        .map(|sample| {
            let noise = |time: usize| Ok::<_, Error>(into_slices(&field.draw(extent, time as u64, sample)?)?);
            let predict = |noisy: &Tensor, time: usize| {
                let both = Tensor::f_cat(&[noisy, slices], 1)?;
                let latent = latent(recipe, place, size[0], time as u64, sample)?;
                denoiser.forward(&both, &told(&vec![time; size[0] as usize], &diffusion)?, Some(&latent))
            };
            Ok(ancestral(trajectory, &noise(diffusion.steps())?, Variance::FixedSmall, predict, noise)?)
        })
        .collect()
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

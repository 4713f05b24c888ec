use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Architecture, Error, Linear, Parameters, TimeEmbedding, UNet, UNetRecipe, in_range, leaky_relu};

/// The numbers that define a [`Denoiser`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenoiserRecipe {
    /// The network; its `condition` is a multiple of 8 and carries the time.
    pub unet: UNetRecipe,
    /// Width of the latent that makes a prediction one of many; 0 for none.
    pub latent: i64,
}

/// A U-Net that knows the time, and where wanted a latent.
///
/// The latent is divided by its root mean square, goes through two layers and is added to the embedding of the time
/// (Xiao et al. 2022).
#[derive(Debug)]
pub struct Denoiser {
    time: TimeEmbedding,
    latent: Option<[Linear; 2]>,
    unet: UNet,
}

impl Architecture for Denoiser {
    type Recipe = DenoiserRecipe;

    fn build(p: &mut Parameters, recipe: &DenoiserRecipe) -> Result<Self, Error> {
        let width = recipe.unet.condition;
        if width < 8 || width % 8 != 0 {
            let expected = "multiples of 8".to_owned();
            return Err(Error::Recipe { field: "condition", expected, found: width as f64 });
        }
        in_range("latent", recipe.latent as f64, 0.0..=1024.0)?;
        let time = TimeEmbedding::new(p, "time", width / 4)?;
        let latent = match recipe.latent {
            0 => None,
            latent => {
                let deviation = |inputs: i64| (2.0 / inputs as f64).sqrt();
                let first = Linear::new(p, "latent.first", [latent, width], deviation(latent))?;
                Some([first, Linear::new(p, "latent.second", [width, width], deviation(width))?])
            }
        };
        Ok(Self { time, latent, unet: p.scoped("unet", |p| UNet::build(p, &recipe.unet))? })
    }
}

impl Denoiser {
    /// The prediction for `[batch, channels_in, (z,) y, x]` at a time each, `[batch]`, counted in thousandths of the whole way;
    /// `latent` is `[batch, width]` where the recipe has one.
    ///
    /// # Errors
    /// [`Error::Condition`] when the latent is missing or not wanted; else as [`UNet::forward`].
    pub fn forward(&self, image: &Tensor, times: &Tensor, latent: Option<&Tensor>) -> Result<Tensor, Error> {
        let mut condition = self.time.forward(times)?;
        match (&self.latent, latent) {
            (Some([first, second]), Some(latent)) => {
                let square = latent.f_square()?.f_mean_dim(Some([1_i64].as_slice()), true, tch::Kind::Float)?;
                let normal = latent.f_div(&square.f_add_scalar(1e-8)?.f_sqrt()?)?;
                let inner = leaky_relu(&first.forward(&normal)?, 0.2)?;
                condition = condition.f_add(&second.forward(&inner)?)?;
            }
            (None, None) => {}
            (wanted, _) => return Err(Error::Condition { expected: wanted.is_some() }),
        }
        self.unet.forward(image, Some(&condition))
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::{Net, probe};

    fn recipe(latent: i64) -> DenoiserRecipe {
        let unet = UNetRecipe { features: vec![2, 3], condition: 8, residual: None, ..UNetRecipe::default() };
        DenoiserRecipe { unet, latent }
    }

    #[test]
    fn time_and_latent_change_each_image_of_the_batch_for_itself() {
        let denoiser = probe::strong::<Denoiser>(&recipe(4));
        let row = probe::noise(&[1, 1, 4, 4], 1);
        let image = Tensor::cat(&[&row, &row, &row], 0);
        let times = Tensor::from_slice(&[100.0_f32, 100.0, 900.0]);
        let latent =
            Tensor::from_slice(&[1.0_f32, -1.0, 0.5, 2.0, 0.3, 0.3, -2.0, 1.0, 1.0, -1.0, 0.5, 2.0]).view([3, 4]);
        let made = no_grad(|| denoiser.forward(&image, &times, Some(&latent))).unwrap();
        assert_eq!(made.size(), [3, 1, 4, 4]);
        assert!(!made.get(0).equal(&made.get(1)) && !made.get(0).equal(&made.get(2)));
        let loud = no_grad(|| denoiser.forward(&image, &times, Some(&(latent * 5.0)))).unwrap();
        assert!((loud - made).abs().max().double_value(&[]) < 1e-4, "the length of the latent does not count");
    }

    #[test]
    fn a_latent_must_be_given_exactly_where_it_is_wanted() {
        let (image, times) = (probe::noise(&[1, 1, 4, 4], 1), Tensor::from_slice(&[5.0_f32]));
        let with = Net::<Denoiser>::new(&recipe(4), 1, 0).unwrap();
        assert!(matches!(with.forward(&image, &times, None), Err(Error::Condition { expected: true })));
        let without = Net::<Denoiser>::new(&recipe(0), 1, 0).unwrap();
        assert!(matches!(without.forward(&image, &times, Some(&times)), Err(Error::Condition { expected: false })));
        let narrow = DenoiserRecipe { unet: UNetRecipe { condition: 4, ..recipe(0).unet }, latent: 0 };
        assert!(matches!(Net::<Denoiser>::new(&narrow, 1, 0), Err(Error::Recipe { field: "condition", .. })));
    }
}

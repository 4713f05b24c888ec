use std::collections::BTreeMap;

use tch::Tensor;

use crate::{
    ADVERSARIAL_BETAS, Adversarial, Descent, DiscriminatorRecipe, Error, ImagePool, PatchGan, Trainee, descend,
};

/// The other side of an adversarial training: a [`PatchGan`] that learns to tell made images from real ones, with the
/// [`ImagePool`] of what it has seen made.
#[derive(Debug)]
pub struct Adversary {
    discriminator: Trainee<PatchGan>,
    pool: ImagePool,
    loss: Adversarial,
}

impl Adversary {
    /// A fresh discriminator with a pool of `pool` images; `network` numbers both among those of one training.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number of the recipe is out of its range.
    pub fn new(
        recipe: &DiscriminatorRecipe,
        loss: Adversarial,
        pool: usize,
        seed: u64,
        network: u64,
    ) -> Result<Self, Error> {
        let discriminator = Trainee::new(recipe, seed, network, ADVERSARIAL_BETAS)?;
        Ok(Self { discriminator, pool: ImagePool::new(pool, seed, network), loss })
    }

    /// What the generator loses by being told apart; a scalar tensor.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image is smaller than the discriminator's field or has other channels.
    pub fn judge(&self, made: &Tensor) -> Result<Tensor, Error> {
        self.loss.generator(&self.discriminator.live().forward(made)?)
    }

    /// One update on real images and on made ones by way of the pool; gives the loss before it.
    ///
    /// # Errors
    /// As [`Adversary::judge`].
    pub fn learn(&mut self, real: &Tensor, made: &Tensor, descent: Descent) -> Result<f64, Error> {
        let pooled = self.pool.exchange(made, descent.step)?;
        let [real, pooled] = [real, &pooled].map(|image| self.discriminator.live().forward(image));
        let loss = self.loss.discriminator(&real?, &pooled?)?;
        descend(&loss, &mut [self.discriminator.parts()], descent)?;
        Ok(loss.f_double_value(&[])?)
    }

    /// All that its next update depends on, as named tensors for a checkpoint.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut all = self.discriminator.named(prefix);
        all.extend(self.pool.named(&format!("{prefix}.pool")));
        all
    }

    /// Takes [`Adversary::named`] from a checkpoint.
    ///
    /// # Errors
    /// As [`Trainee::load`].
    pub fn load(&mut self, prefix: &str, file: &BTreeMap<String, Tensor>) -> Result<(), Error> {
        self.discriminator.load(prefix, file)?;
        self.pool.load(&format!("{prefix}.pool"), file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Norm, Random, image};

    fn noise(step: u64, deviation: f64) -> Tensor {
        let random = Random::new(5, &[step]);
        let voxels: Vec<f32> = (0..2 * 256).map(|i| (deviation * random.normal(i)) as f32).collect();
        image(&voxels, &[2, 1, 16, 16]).unwrap()
    }

    fn descent(step: u64) -> Descent {
        Descent { rate: 5e-3, step, clip: None }
    }

    #[test]
    fn it_learns_to_tell_loud_images_from_quiet_ones_and_a_resumed_one_goes_on_alike() {
        tch::set_num_threads(1);
        let recipe = DiscriminatorRecipe { width: 4, halvings: 1, norm: Norm::None, ..DiscriminatorRecipe::default() };
        let new = || Adversary::new(&recipe, Adversarial::LeastSquares, 3, 1, 0).unwrap();
        let mut adversary = new();
        let first = adversary.learn(&noise(0, 0.2), &noise(1000, 1.0), descent(0)).unwrap();
        for step in 1..60 {
            adversary.learn(&noise(step, 0.2), &noise(1000 + step, 1.0), descent(step)).unwrap();
        }
        let file = adversary.named("adversary").into_iter().collect();
        let mut resumed = new();
        resumed.load("adversary", &file).unwrap();
        let [last, again] = [&mut adversary, &mut resumed]
            .map(|adversary| adversary.learn(&noise(60, 0.2), &noise(1060, 1.0), descent(60)).unwrap());
        assert!(last < 0.5 * first, "{first} to {last}");
        assert_eq!(again, last);
        let [quiet, loud] = [0.2, 1.0].map(|sd| adversary.judge(&noise(99, sd)).unwrap().double_value(&[]));
        assert!(quiet < loud, "{quiet} {loud}");
    }
}

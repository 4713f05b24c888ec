use std::{fmt::Debug, marker::PhantomData};

use isoscan_learned::{Failure, Family, Losses, Place, Weights};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Dim, DiscriminatorRecipe, Net, Trainee, absolute_difference, descend,
};
use isoscan_sdk::{Axes, Descriptor, Param, Patching, PluginError, TrainConfig};
use tch::Tensor;

use crate::{Recipe, Reversible, ReversibleRecipe, Way};

/// Voxels to each side that a network may see.
pub(crate) const HALO: usize = 24;
const NETWORK: &str = "network";
const ADVERSARIES: [&str; 2] = ["adversary.mr", "adversary.pet"];
/// Numbers of the networks of one training, which key their random weights.
const NETWORK_NO: u64 = 0;
const ADVERSARY_NO: [u64; 2] = [1, 2];

/// The plugin of the family that a bundle is: which way it translates, and how it describes itself.
pub trait Side: Debug + Send + 'static {
    /// The way of its translations.
    const WAY: Way;

    /// As [`Family::descriptor`], with [`Side::patching`].
    fn descriptor() -> Descriptor;

    /// Volumes in patches with the margin of the deepest network.
    fn patching() -> Patching {
        let multiple = [ReversibleRecipe::MULTIPLE; 3];
        Patching { axes: Axes::Patches, size: [112; 3], multiple, halo: [HALO; 3], max_batch: 1 }
    }
}

/// The family of both plugins. A training learns both ways at once, from MR as source and PET as target.
#[derive(Debug)]
pub struct RevGan<S> {
    network: Trainee<Reversible>,
    /// Of MR, of PET.
    adversaries: Option<[Adversary; 2]>,
    side: PhantomData<S>,
}

impl<S: Side> Family for RevGan<S> {
    type Recipe = Recipe;
    type Networks = Net<Reversible>;
    const NAME: &'static str = "mr-pet";

    fn descriptor() -> Descriptor {
        S::descriptor()
    }

    fn params() -> Vec<Param> {
        Recipe::params()
    }

    fn recipe(config: &TrainConfig) -> Result<Recipe, PluginError> {
        Recipe::of(config)
    }

    fn begin(recipe: &Recipe) -> Result<Self, Failure> {
        recipe.check()?;
        let seed = recipe.schedule.seed;
        let discriminator = DiscriminatorRecipe {
            dim: Dim::Three,
            width: recipe.discriminator_width,
            halvings: 1,
            ..DiscriminatorRecipe::default()
        };
        let adversary = |number: u64| {
            let pool = recipe.pool.max(0) as usize;
            Adversary::new(&discriminator, Adversarial::LeastSquares, pool, seed, number)
        };
        let adversaries = match recipe.adversarial_weight > 0.0 {
            true => Some([adversary(ADVERSARY_NO[0])?, adversary(ADVERSARY_NO[1])?]),
            false => None,
        };
        let network = Trainee::averaged(&recipe.network, seed, NETWORK_NO, ADVERSARIAL_BETAS)?;
        Ok(Self { network, adversaries, side: PhantomData })
    }

    fn step(&mut self, recipe: &Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure> {
        let descent = recipe.schedule.descent(step);
        let [mr, pet] = [source.shallow_clone(), target.f_div_scalar(recipe.suv_scale)?];
        let network = self.network.live();
        let made_pet = network.forward(&mr, Way::MrToPet)?;
        let made_mr = network.forward(&pet, Way::PetToMr)?;
        let mut losses = Losses::new();
        let mut total = mr.f_sum(None)?.f_mul_scalar(0.0)?;
        let mut add = |name, loss: Tensor, weight: f64| -> Result<(), Failure> {
            losses.push((name, loss.f_double_value(&[])?));
            total = total.f_add(&loss.f_mul_scalar(weight)?)?;
            Ok(())
        };
        if recipe.paired {
            add("pet", absolute_difference(&made_pet, &pet)?, recipe.paired_weight)?;
            add("mr", absolute_difference(&made_mr, &mr)?, recipe.paired_weight)?;
        }
        if recipe.cycle_weight > 0.0 {
            let back_mr = network.forward(&made_pet, Way::PetToMr)?;
            let back_pet = network.forward(&made_mr, Way::MrToPet)?;
            add("cycle_mr", absolute_difference(&back_mr, &mr)?, recipe.cycle_weight)?;
            add("cycle_pet", absolute_difference(&back_pet, &pet)?, recipe.cycle_weight)?;
        }
        if let Some([of_mr, of_pet]) = &self.adversaries {
            add("adversarial_mr", of_mr.judge(&made_mr)?, recipe.adversarial_weight)?;
            add("adversarial_pet", of_pet.judge(&made_pet)?, recipe.adversarial_weight)?;
        }
        descend(&total, &mut [self.network.parts()], descent)?;
        self.network.average_in(recipe.schedule.average_decay, step)?;
        if let Some([of_mr, of_pet]) = &mut self.adversaries {
            losses.push(("discriminator_mr", of_mr.learn(&mr, &made_mr, descent)?));
            losses.push(("discriminator_pet", of_pet.learn(&pet, &made_pet, descent)?));
        }
        Ok(losses)
    }

    fn weights(&self) -> Vec<(String, Tensor)> {
        self.network.kept().parameters().named(NETWORK)
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let mut all = self.network.named(NETWORK);
        for (adversary, name) in self.adversaries.iter().flatten().zip(ADVERSARIES) {
            all.extend(adversary.named(name));
        }
        all
    }

    fn resume(&mut self, state: &Weights) -> Result<(), Failure> {
        self.network.load(NETWORK, state)?;
        for (adversary, name) in self.adversaries.iter_mut().flatten().zip(ADVERSARIES) {
            adversary.load(name, state)?;
        }
        Ok(())
    }

    fn load(recipe: &Recipe, weights: &Weights) -> Result<Net<Reversible>, Failure> {
        let mut network = Net::<Reversible>::new(&recipe.network, 0, NETWORK_NO)?;
        network.parameters_mut().load(NETWORK, weights)?;
        Ok(network)
    }

    fn translate(network: &Net<Reversible>, recipe: &Recipe, image: &Tensor, _: &Place<'_>) -> Result<Tensor, Failure> {
        match S::WAY {
            Way::MrToPet => Ok(network.forward(image, S::WAY)?.f_mul_scalar(recipe.suv_scale)?),
            Way::PetToMr => Ok(network.forward(&image.f_div_scalar(recipe.suv_scale)?, S::WAY)?),
        }
    }
}

use isoscan_learned::{Failure, Losses, Weights};
use isoscan_nn::{ADVERSARIAL_BETAS, Adversarial, Adversary, Error, Generator, Trainee, absolute_difference, descend};
use tch::Tensor;

use crate::Recipe;

/// Two generators and two discriminators under training, on unpaired patches of two domains.
///
/// One step updates the generators with the discriminators as they are,
/// ```text
/// (D_t(G(s)) - 1)^2 + (D_s(F(t)) - 1)^2 + cycle_weight (|F(G(s)) - s| + |G(F(t)) - t|)
///                                       + identity_weight (|G(t) - t| + |F(s) - s|)
/// ```
/// and then each discriminator on `(D(real) - 1)^2 + D(pooled)^2`.
#[derive(Debug)]
pub(crate) struct Couple {
    generators: [Trainee<Generator>; 2],
    adversaries: [Adversary; 2],
}

/// Names in weight files: the generators by direction, the discriminators by the domain they know.
pub(crate) const GENERATORS: [&str; 2] = ["forward", "backward"];
const ADVERSARIES: [&str; 2] = ["target", "source"];

impl Couple {
    /// Fresh networks; all random numbers follow from the recipe's seed.
    pub(crate) fn new(recipe: &Recipe) -> Result<Self, Error> {
        recipe.check()?;
        let seed = recipe.schedule.seed;
        let generators = [0, 1].map(|network| Trainee::averaged(&recipe.generator, seed, network, ADVERSARIAL_BETAS));
        let loss = Adversarial::LeastSquares;
        let adversaries = [2, 3].map(|network| Adversary::new(&recipe.discriminator, loss, recipe.pool, seed, network));
        Ok(Self { generators: both(generators)?, adversaries: both(adversaries)? })
    }

    /// One update of all four networks on `[batch, 1, y, x]` patches of each domain, in the networks' scale.
    pub(crate) fn update(
        &mut self,
        recipe: &Recipe,
        step: u64,
        [source, target]: [&Tensor; 2],
    ) -> Result<Losses, Failure> {
        let descent = recipe.schedule.descent(step);
        let [forward, backward] = self.generators.each_ref().map(Trainee::live);
        let [made_target, made_source] = [forward.forward(source)?, backward.forward(target)?];
        let adversarial = self.adversaries[0].judge(&made_target)?.f_add(&self.adversaries[1].judge(&made_source)?)?;
        let cycle = absolute_difference(&backward.forward(&made_target)?, source)?
            .f_add(&absolute_difference(&forward.forward(&made_source)?, target)?)?;
        let mut terms = vec![("adversarial", 1.0, adversarial), ("cycle", recipe.cycle_weight, cycle)];
        if recipe.identity_weight > 0.0 {
            let identity = absolute_difference(&forward.forward(target)?, target)?
                .f_add(&absolute_difference(&backward.forward(source)?, source)?)?;
            terms.push(("identity", recipe.identity_weight, identity));
        }
        let mut total = Tensor::f_zeros([], (tch::Kind::Float, tch::Device::Cpu))?;
        for (_, weight, term) in &terms {
            total = total.f_add(&term.f_mul_scalar(*weight)?)?;
        }
        descend(&total, &mut self.generators.each_mut().map(Trainee::parts), descent)?;
        let mut losses = Losses::new();
        for (name, _, term) in &terms {
            losses.push((name, term.f_double_value(&[])?));
        }
        let mut discriminator = 0.0;
        let sides = [(target, &made_target), (source, &made_source)];
        for (adversary, (real, made)) in self.adversaries.iter_mut().zip(sides) {
            discriminator += adversary.learn(real, made, descent)?;
        }
        losses.push(("discriminator", discriminator));
        for generator in &mut self.generators {
            generator.average_in(recipe.schedule.average_decay, step)?;
        }
        Ok(losses)
    }

    /// Both averaged generators, `forward.*` and `backward.*`.
    pub(crate) fn kept(&self) -> Vec<(String, Tensor)> {
        let named = self.generators.iter().zip(GENERATORS).flat_map(|(g, name)| g.kept().parameters().named(name));
        named.collect()
    }

    /// Weights, averages, moments and pools.
    pub(crate) fn named(&self) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        for (generator, name) in self.generators.iter().zip(GENERATORS) {
            all.extend(generator.named(&format!("generator.{name}")));
        }
        for (adversary, name) in self.adversaries.iter().zip(ADVERSARIES) {
            all.extend(adversary.named(&format!("discriminator.{name}")));
        }
        all
    }

    /// Takes [`Couple::named`] from a checkpoint.
    pub(crate) fn take(&mut self, state: &Weights) -> Result<(), Error> {
        for (generator, name) in self.generators.iter_mut().zip(GENERATORS) {
            generator.load(&format!("generator.{name}"), state)?;
        }
        for (adversary, name) in self.adversaries.iter_mut().zip(ADVERSARIES) {
            adversary.load(&format!("discriminator.{name}"), state)?;
        }
        Ok(())
    }
}

fn both<T>([first, second]: [Result<T, Error>; 2]) -> Result<[T; 2], Error> {
    Ok([first?, second?])
}

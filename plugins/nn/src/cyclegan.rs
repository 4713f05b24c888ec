use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    ADVERSARIAL_BETAS, Descent, DiscriminatorRecipe, Error, Generator, GeneratorRecipe, ImagePool, Net, PatchGan,
    Trainee, absolute_difference, descend, finite, in_range, least_squares, linear_decay, read_checkpoint,
    write_checkpoint, write_tensors,
};

/// Which way an image is translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Source to target.
    Forward,
    /// Target to source.
    Backward,
}

/// Everything that decides a CycleGAN training but its data, seed and number of threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleGanRecipe {
    /// Both generators.
    pub generator: GeneratorRecipe,
    /// Both discriminators.
    pub discriminator: DiscriminatorRecipe,
    /// Steps in all; decides the decay of the learning rate.
    pub steps: u64,
    /// Adam's rate before the decay.
    pub learning_rate: f64,
    /// Share of the steps at the full rate, 0 to 1; the rest decays linearly to 0.
    pub constant_share: f64,
    /// Weight of the cycle term, against 1 of the adversarial term.
    pub cycle_weight: f64,
    /// Weight of the identity term; at 0 it is not computed.
    pub identity_weight: f64,
    /// Images that each discriminator's pool holds.
    pub pool: usize,
    /// Decay of the averaged generators that are kept: see [`CycleGan::averaged`].
    pub average_decay: f64,
}

impl CycleGanRecipe {
    fn check(&self) -> Result<(), Error> {
        in_range("learning_rate", self.learning_rate, 0.0..=1.0)?;
        in_range("constant_share", self.constant_share, 0.0..=1.0)?;
        in_range("cycle_weight", self.cycle_weight, 0.0..=1e6)?;
        in_range("identity_weight", self.identity_weight, 0.0..=1e6)?;
        in_range("pool", self.pool as f64, 0.0..=9999.0)?;
        in_range("average_decay", self.average_decay, 0.0..=1.0)
    }
}

/// The losses of one step, before weighting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// Least-squares loss of the two generators, summed.
    pub adversarial: f64,
    /// L1 of both cycles, summed, in the image's scale.
    pub cycle: f64,
    /// L1 of both identities, summed, in the image's scale; 0 when its weight is 0.
    pub identity: f64,
    /// Least-squares loss of the two discriminators, summed: 1 when they cannot tell.
    pub discriminator: f64,
}

/// CycleGAN training (Zhu et al. 2017): unpaired patches of two domains, two generators, two discriminators.
///
/// One [`CycleGan::step`] updates the generators with the discriminators as they are,
/// ```text
/// (D_t(G(s)) - 1)^2 + (D_s(F(t)) - 1)^2 + cycle_weight (|F(G(s)) - s| + |G(F(t)) - t|)
///                                       + identity_weight (|G(t) - t| + |F(s) - s|)
/// ```
/// and then each discriminator on `(D(real) - 1)^2 + D(pooled)^2`, halved.
#[derive(Debug)]
pub struct CycleGan {
    recipe: CycleGanRecipe,
    generators: [Trainee<Generator>; 2],
    discriminators: [Trainee<PatchGan>; 2],
    pools: [ImagePool; 2],
}

/// Names in weight files: the generators by direction, the discriminators by the domain they know.
const GENERATORS: [&str; 2] = ["forward", "backward"];
const DISCRIMINATORS: [&str; 2] = ["target", "source"];

impl CycleGan {
    /// Fresh networks; all random numbers follow from `seed`.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number of the recipe is out of its range.
    pub fn new(recipe: &CycleGanRecipe, seed: u64) -> Result<Self, Error> {
        recipe.check()?;
        let betas = ADVERSARIAL_BETAS;
        let generators = [0, 1].map(|network| Trainee::averaged(&recipe.generator, seed, network, betas));
        let discriminators = [2, 3].map(|network| Trainee::new(&recipe.discriminator, seed, network, betas));
        Ok(Self {
            generators: both(generators)?,
            discriminators: both(discriminators)?,
            pools: [4, 5].map(|pool| ImagePool::new(recipe.pool, seed, pool)),
            recipe: recipe.clone(),
        })
    }

    /// One update of all four networks on `[batch, 1, y, x]` patches of each domain; `step` counts from 0.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the generators cannot take the patches, [`Error::Diverged`] when a loss is not finite.
    pub fn step(&mut self, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Error> {
        let recipe = self.recipe.clone();
        let constant = (recipe.steps as f64 * recipe.constant_share).round() as u64;
        let rate = linear_decay(recipe.learning_rate, step, constant, recipe.steps);
        let (mut losses, made) = self.step_generators(step, [source, target], rate)?;
        losses.discriminator = self.step_discriminators(step, [target, source], &made, rate)?;
        for generator in &mut self.generators {
            generator.average_in(recipe.average_decay, step)?;
        }
        finite(&losses.named(), step)?;
        Ok(losses)
    }

    fn step_generators(
        &mut self,
        step: u64,
        [source, target]: [&Tensor; 2],
        rate: f64,
    ) -> Result<(Losses, [Tensor; 2]), Error> {
        let (cycle_weight, identity_weight) = (self.recipe.cycle_weight, self.recipe.identity_weight);
        let [forward, backward] = self.generators.each_ref().map(Trainee::live);
        let (made_target, target_kept) = made_and_kept(forward, source, target, identity_weight)?;
        let (made_source, source_kept) = made_and_kept(backward, target, source, identity_weight)?;
        let adversarial = least_squares(&self.discriminators[0].live().forward(&made_target)?, true)?
            .f_add(&least_squares(&self.discriminators[1].live().forward(&made_source)?, true)?)?;
        let cycle = absolute_difference(&backward.forward(&made_target)?, source)?
            .f_add(&absolute_difference(&forward.forward(&made_source)?, target)?)?;
        let mut total = adversarial.f_add(&cycle.f_mul_scalar(cycle_weight)?)?;
        let mut identity_value = 0.0;
        if let (Some(target_kept), Some(source_kept)) = (target_kept, source_kept) {
            let identity =
                absolute_difference(&target_kept, target)?.f_add(&absolute_difference(&source_kept, source)?)?;
            total = total.f_add(&identity.f_mul_scalar(identity_weight)?)?;
            identity_value = identity.f_double_value(&[])?;
        }
        let mut parts = self.generators.each_mut().map(Trainee::parts);
        descend(&total, &mut parts, Descent { rate, step, clip: None })?;
        let losses = Losses {
            adversarial: adversarial.f_double_value(&[])?,
            cycle: cycle.f_double_value(&[])?,
            identity: identity_value,
            discriminator: 0.0,
        };
        Ok((losses, [made_target, made_source]))
    }

    fn step_discriminators(
        &mut self,
        step: u64,
        real: [&Tensor; 2],
        made: &[Tensor; 2],
        rate: f64,
    ) -> Result<f64, Error> {
        let mut terms = Vec::new();
        for (which, discriminator) in self.discriminators.iter().enumerate() {
            let pooled = self.pools[which].exchange(&made[which], step)?;
            terms.push(least_squares(&discriminator.live().forward(real[which])?, true)?);
            terms.push(least_squares(&discriminator.live().forward(&pooled)?, false)?);
        }
        let total = Tensor::f_stack(&terms, 0)?.f_sum(None)?;
        let mut parts = self.discriminators.each_mut().map(Trainee::parts);
        descend(&total.f_mul_scalar(0.5)?, &mut parts, Descent { rate, step, clip: None })?;
        Ok(total.f_double_value(&[])?)
    }

    /// The moving average of a generator: the one to translate with and to ship.
    pub fn averaged(&self, direction: Direction) -> &Net<Generator> {
        match direction {
            Direction::Forward => self.generators[0].kept(),
            Direction::Backward => self.generators[1].kept(),
        }
    }

    /// Writes both averaged generators, weights `forward.*` and `backward.*`, as one safetensors file.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be written.
    pub fn save_weights(&self, path: &Path) -> Result<(), Error> {
        let named = self.generators.iter().zip(GENERATORS).flat_map(|(g, name)| g.kept().parameters().named(name));
        write_tensors(path, &named.collect::<Vec<_>>())
    }

    /// Writes all that the next step depends on: weights, averages, moments, pools and the number of the next step.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be written.
    pub fn save_checkpoint(&self, path: &Path, next_step: u64) -> Result<(), Error> {
        let mut all = Vec::new();
        for (i, name) in GENERATORS.iter().enumerate() {
            all.extend(self.generators[i].named(&format!("generator.{name}")));
        }
        for (i, name) in DISCRIMINATORS.iter().enumerate() {
            all.extend(self.discriminators[i].named(&format!("discriminator.{name}")));
            all.extend(self.pools[i].named(&format!("pool.{name}")));
        }
        write_checkpoint(path, next_step, all)
    }

    /// Goes on from a checkpoint of the same recipe; gives the number of the next step.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when the checkpoint is of another architecture; the networks
    /// are then partly loaded and must not be used.
    pub fn resume(&mut self, path: &Path) -> Result<u64, Error> {
        let (next_step, file) = read_checkpoint(path)?;
        for (i, name) in GENERATORS.iter().enumerate() {
            self.generators[i].load(&format!("generator.{name}"), &file)?;
        }
        for (i, name) in DISCRIMINATORS.iter().enumerate() {
            self.discriminators[i].load(&format!("discriminator.{name}"), &file)?;
            self.pools[i].load(&format!("pool.{name}"), &file);
        }
        Ok(next_step)
    }
}

impl Losses {
    /// Name and value, for a log.
    pub fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("adversarial", self.adversarial),
            ("cycle", self.cycle),
            ("identity", self.identity),
            ("discriminator", self.discriminator),
        ]
    }
}

/// What the generator makes of its own domain's patches, and of the other domain's when the identity term is wanted.
fn made_and_kept(
    generator: &Generator,
    from: &Tensor,
    to: &Tensor,
    identity_weight: f64,
) -> Result<(Tensor, Option<Tensor>), Error> {
    if identity_weight == 0.0 {
        return Ok((generator.forward(from)?, None));
    }
    Ok((generator.forward(from)?, Some(generator.forward(to)?)))
}

fn both<T>([first, second]: [Result<T, Error>; 2]) -> Result<[T; 2], Error> {
    Ok([first?, second?])
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::{Random, read_tensors};

    fn tiny(steps: u64) -> CycleGanRecipe {
        CycleGanRecipe {
            generator: GeneratorRecipe { width: 4, blocks: 1, ..GeneratorRecipe::default() },
            discriminator: DiscriminatorRecipe { width: 4, halvings: 1, ..DiscriminatorRecipe::default() },
            steps,
            learning_rate: 2e-3,
            constant_share: 0.5,
            cycle_weight: 1.0,
            identity_weight: 0.5,
            pool: 3,
            average_decay: 0.95,
        }
    }

    /// White noise of standard deviation 1; with `smooth` its mean over 3x3, of standard deviation 1/3.
    fn texture(smooth: bool, step: u64) -> Tensor {
        let random = Random::new(9, &[u64::from(smooth), step]);
        let values: Vec<f32> = (0..2 * 18 * 18).map(|i| random.normal(i) as f32).collect();
        let white = Tensor::from_slice(&values).view([2, 1, 18, 18]);
        if smooth {
            white.avg_pool2d([3, 3], [1, 1], [0, 0], false, true, None)
        } else {
            white.narrow(2, 1, 16).narrow(3, 1, 16)
        }
    }

    fn train(training: &mut CycleGan, steps: std::ops::Range<u64>) -> Vec<Losses> {
        steps.map(|step| training.step(step, &texture(false, step), &texture(true, step)).unwrap()).collect()
    }

    fn weights(training: &CycleGan) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.safetensors");
        training.save_checkpoint(&path, 0).unwrap();
        std::fs::read(path).unwrap()
    }

    #[test]
    fn resumed_training_equals_an_uninterrupted_one_bit_for_bit() {
        tch::set_num_threads(1);
        let recipe = tiny(10);
        let mut whole = CycleGan::new(&recipe, 1).unwrap();
        let losses = train(&mut whole, 0..10);

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint.safetensors");
        let mut first = CycleGan::new(&recipe, 1).unwrap();
        train(&mut first, 0..6);
        first.save_checkpoint(&path, 6).unwrap();
        let mut second = CycleGan::new(&recipe, 1).unwrap();
        assert_eq!(second.resume(&path).unwrap(), 6);
        assert_eq!(train(&mut second, 6..10), losses[6..]);
        assert!(weights(&second) == weights(&whole), "weights, moments or pools differ");
    }

    #[test]
    fn another_seed_gives_other_weights() {
        let [one, two] = [1, 2].map(|seed| weights(&CycleGan::new(&tiny(1), seed).unwrap()));
        assert!(one != two);
    }

    #[test]
    fn training_closes_the_gap_between_two_textures() {
        let mut training = CycleGan::new(&tiny(400), 1).unwrap();
        train(&mut training, 0..400);
        let deviation = |t: &Tensor| t.std(true).double_value(&[]);
        let (source, target) = (texture(false, 1000), texture(true, 1000));
        let made = no_grad(|| training.averaged(Direction::Forward).forward(&source)).unwrap();
        let gap = |t: &Tensor| (deviation(t) / deviation(&target)).ln().abs();
        assert!(gap(&made) < 0.5 * gap(&source), "{} to {}", gap(&source), gap(&made));
    }

    #[test]
    fn saved_weights_translate_as_the_averaged_generator() {
        let mut training = CycleGan::new(&tiny(5), 1).unwrap();
        train(&mut training, 0..5);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        training.save_weights(&path).unwrap();
        let file = read_tensors(&path).unwrap();
        let image = texture(false, 7);
        for (direction, name) in [(Direction::Forward, "forward"), (Direction::Backward, "backward")] {
            let mut loaded = Net::<Generator>::new(&tiny(5).generator, 99, 9).unwrap();
            loaded.parameters_mut().load(name, &file).unwrap();
            let made = [&loaded, training.averaged(direction)].map(|g| no_grad(|| g.forward(&image)).unwrap());
            assert!(made[0].equal(&made[1]), "{name}");
        }
    }

    #[test]
    fn bad_recipes_and_patches_are_errors() {
        let refused = CycleGan::new(&CycleGanRecipe { average_decay: 1.5, ..tiny(1) }, 1);
        assert_eq!(refused.unwrap_err().to_string(), "recipe: average_decay must be in 0..=1, found 1.5");
        let mut training = CycleGan::new(&tiny(1), 1).unwrap();
        let nan = texture(false, 0) * f64::NAN;
        let refused = training.step(0, &nan, &texture(true, 0));
        assert!(matches!(refused, Err(Error::Diverged { step: 0, .. })), "{refused:?}");
    }
}

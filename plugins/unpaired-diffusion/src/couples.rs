use isoscan_learned::{Failure, Losses, Weights};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Adversary, Descent, Error, Random, Trainee, UNet, absolute_difference, descend,
    diffusion::{Denoiser, Diffusion},
    gradient_penalty,
};
use tch::{Kind, Tensor, no_grad};

use crate::{Critic, Recipe, structure::edges_of_its_own};

/// Both couples under training; of every pair the first serves the way to the target contrast, the second the way back.
#[derive(Debug)]
pub struct Couples {
    pub(crate) rough: [Trainee<UNet>; 2],
    /// The first judges images of the target contrast.
    adversaries: [Adversary; 2],
    /// The first makes images of the target contrast.
    pub(crate) denoisers: [Trainee<Denoiser>; 2],
    critics: [Trainee<Critic>; 2],
    diffusion: Diffusion,
}

/// One step of the diffusion of clean images beside a guess of the other contrast.
struct Stride {
    clean: Tensor,
    guess: Tensor,
    /// At one time less than `times`.
    earlier: Tensor,
    later: Tensor,
    times: Vec<usize>,
    /// Of the made earlier image.
    noise: Tensor,
    latent: Tensor,
}

impl Couples {
    /// Fresh networks; every random number follows from the recipe.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number of the recipe is out of its range.
    pub fn new(recipe: &Recipe) -> Result<Self, Error> {
        let seed = recipe.schedule.seed;
        let rough = |network| Trainee::averaged(&recipe.rough, seed, network, ADVERSARIAL_BETAS);
        let denoiser = |network| Trainee::averaged(&recipe.denoiser, seed, network, ADVERSARIAL_BETAS);
        let critic = |network| Trainee::new(&recipe.critic, seed, network, ADVERSARIAL_BETAS);
        let adversary =
            |network| Adversary::new(&recipe.discriminator, Adversarial::LeastSquares, recipe.pool, seed, network);
        Ok(Self {
            rough: [rough(0)?, rough(1)?],
            adversaries: [adversary(2)?, adversary(3)?],
            denoisers: [denoiser(4)?, denoiser(5)?],
            critics: [critic(6)?, critic(7)?],
            diffusion: Diffusion::new(&recipe.noise)?,
        })
    }

    /// One update of all networks on slices `[batch, 1, y, x]` of both contrasts, in the scale of -1 to 1.
    ///
    /// # Errors
    /// A [`Failure`] of the networks.
    pub fn step(&mut self, recipe: &Recipe, step: u64, images: [&Tensor; 2]) -> Result<Losses, Failure> {
        let descent = Descent { clip: Some(LONGEST), ..recipe.schedule.descent(step) };
        let [source, target] = images;
        let made = [self.rough[0].live().forward(source, None)?, self.rough[1].live().forward(target, None)?];
        let back = [self.rough[1].live().forward(&made[0], None)?, self.rough[0].live().forward(&made[1], None)?];
        let cycle = absolute_difference(&back[0], source)?.f_add(&absolute_difference(&back[1], target)?)?;
        let rough = self.adversaries[0].judge(&made[0])?.f_add(&self.adversaries[1].judge(&made[1])?)?;
        let structure = edges_of_its_own(&made[0], source)?.f_add(&edges_of_its_own(&made[1], target)?)?;
        let strides = [
            self.stride(recipe, step, 0, target, &made[1].detach())?,
            self.stride(recipe, step, 1, source, &made[0].detach())?,
        ];
        let mut steps = Vec::new();
        let (mut clean, mut diffusive) = (Tensor::from(0.0_f32), Tensor::from(0.0_f32));
        for (way, stride) in strides.iter().enumerate() {
            let times = told(&stride.times, &self.diffusion)?;
            let both = Tensor::f_cat(&[&stride.later, &stride.guess], 1)?;
            let predicted = self.denoisers[way].live().forward(&both, &times, Some(&stride.latent))?;
            let earlier = self.earlier(&predicted, stride)?;
            let scores = self.critics[way].live().forward(&earlier, &stride.later, &times)?;
            clean = clean.f_add(&absolute_difference(&predicted, &stride.clean)?)?;
            diffusive = diffusive.f_add(&Adversarial::Softplus.generator(&scores)?)?;
            steps.push(earlier.detach());
        }
        let loss = rough
            .f_add(&cycle.f_mul_scalar(recipe.cycle_weight)?)?
            .f_add(&structure.f_mul_scalar(recipe.structure_weight)?)?
            .f_add(&diffusive.f_mul_scalar(recipe.adversarial_weight)?)?
            .f_add(&clean.f_mul_scalar(recipe.clean_weight)?)?;
        let [forth, return_] = &mut self.rough;
        let [first, second] = &mut self.denoisers;
        descend(&loss, &mut [forth.parts(), return_.parts(), first.parts(), second.parts()], descent)?;

        let mut discriminator = 0.0;
        for (way, real) in [target, source].into_iter().enumerate() {
            discriminator += self.adversaries[way].learn(real, &made[way].detach(), descent)?;
        }
        let mut critic = 0.0;
        for (way, stride) in strides.iter().enumerate() {
            critic += self.learn_critic(recipe, way, stride, &steps[way], descent)?;
        }
        for trainee in &mut self.rough {
            trainee.average_in(recipe.schedule.average_decay, step)?;
        }
        for trainee in &mut self.denoisers {
            trainee.average_in(recipe.schedule.average_decay, step)?;
        }
        let value = |tensor: &Tensor| tensor.f_double_value(&[]);
        Ok(vec![
            ("rough", value(&rough)?),
            ("cycle", value(&cycle)?),
            ("structure", value(&structure)?),
            ("diffusive", value(&diffusive)?),
            ("clean", value(&clean)?),
            ("discriminator", discriminator),
            ("critic", critic),
        ])
    }

    fn learn_critic(
        &mut self,
        recipe: &Recipe,
        way: usize,
        stride: &Stride,
        made: &Tensor,
        descent: Descent,
    ) -> Result<f64, Failure> {
        let times = told(&stride.times, &self.diffusion)?;
        let critic = self.critics[way].live();
        let score = |image: &Tensor| critic.forward(image, &stride.later, &times);
        let real = score(&stride.earlier)?;
        let mut loss = Adversarial::Softplus.discriminator(&real, &score(made)?)?;
        let value = loss.f_double_value(&[])?;
        if recipe.penalty > 0.0 && descent.step.is_multiple_of(recipe.penalty_every) {
            let places = real.numel() as f64 / stride.times.len() as f64;
            let penalty = gradient_penalty(&stride.earlier, score)?;
            loss = loss.f_add(&penalty.f_mul_scalar(0.5 * recipe.penalty / places)?)?;
        }
        descend(&loss, &mut [self.critics[way].parts()], descent)?;
        Ok(value)
    }

    /// Takes each clean image to a time of its own.
    fn stride(&self, recipe: &Recipe, step: u64, way: u64, clean: &Tensor, guess: &Tensor) -> Result<Stride, Failure> {
        let batch = clean.size()[0] as u64;
        let random = Random::new(recipe.schedule.seed, &[STRIDES, step, way]);
        let steps = self.diffusion.steps();
        let times: Vec<usize> = (0..batch).map(|item| 1 + (random.uniform(item) * steps as f64) as usize).collect();
        let before: Vec<usize> = times.iter().map(|&t| t - 1).collect();
        let normal = |purpose: u64, shape: &[i64]| {
            let random = Random::new(recipe.schedule.seed, &[STRIDES, step, way, purpose]);
            let values: Vec<f32> =
                (0..shape.iter().product::<i64>().max(0) as u64).map(|i| random.normal(i) as f32).collect();
            Ok::<_, Failure>(Tensor::f_from_slice(&values)?.f_view(shape)?)
        };
        let size = clean.size();
        let earlier = self.diffusion.noised_each(clean, &normal(1, &size)?, &before)?;
        let kept = column(times.iter().map(|&t| self.diffusion.alpha_bar(t) / self.diffusion.alpha_bar(t - 1)))?;
        let rest = kept.f_neg()?.f_add_scalar(1.0)?.f_sqrt()?;
        let later = earlier.f_mul(&kept.f_sqrt()?)?.f_add(&normal(2, &size)?.f_mul(&rest)?)?;
        Ok(Stride {
            clean: clean.shallow_clone(),
            guess: guess.f_add(&normal(5, &size)?.f_mul_scalar(recipe.guess_noise)?)?,
            earlier,
            later,
            times,
            noise: normal(3, &size)?,
            latent: normal(4, &[size[0], recipe.denoiser.latent])?,
        })
    }

    /// A draw of the earlier image from the posterior of the predicted clean one.
    fn earlier(&self, predicted: &Tensor, stride: &Stride) -> Result<Tensor, Failure> {
        let posteriors: Vec<_> = stride.times.iter().map(|&t| self.diffusion.posterior(t - 1, t)).collect();
        let of_clean = column(posteriors.iter().map(|p| p.of_clean))?;
        let of_noisy = column(posteriors.iter().map(|p| p.of_noisy))?;
        let spread = column(posteriors.iter().map(|p| p.variance.sqrt()))?;
        Ok(predicted.f_mul(&of_clean)?.f_add(&stride.later.f_mul(&of_noisy)?)?.f_add(&stride.noise.f_mul(&spread)?)?)
    }

    /// All that the next step depends on.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let mut all = Vec::new();
        for (way, name) in WAYS.iter().enumerate() {
            all.extend(self.rough[way].named(&format!("rough.{name}")));
            all.extend(self.adversaries[way].named(&format!("adversary.{name}")));
            all.extend(self.denoisers[way].named(&format!("denoiser.{name}")));
            all.extend(self.critics[way].named(&format!("critic.{name}")));
        }
        all
    }

    /// Takes [`Couples::named`] from a checkpoint.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when it is of another architecture.
    pub fn load(&mut self, file: &Weights) -> Result<(), Error> {
        for (way, name) in WAYS.iter().enumerate() {
            self.rough[way].load(&format!("rough.{name}"), file)?;
            self.adversaries[way].load(&format!("adversary.{name}"), file)?;
            self.denoisers[way].load(&format!("denoiser.{name}"), file)?;
            self.critics[way].load(&format!("critic.{name}"), file)?;
        }
        Ok(())
    }

    /// The networks to translate with.
    pub fn kept(&self) -> Vec<(String, Tensor)> {
        no_grad(|| {
            let mut all = Vec::new();
            for (way, name) in WAYS.iter().enumerate() {
                all.extend(self.rough[way].kept().parameters().named(&format!("rough.{name}")));
                all.extend(self.denoisers[way].kept().parameters().named(&format!("denoiser.{name}")));
            }
            all
        })
    }
}

/// Names of the ways in files.
pub(crate) const WAYS: [&str; 2] = ["forward", "backward"];
/// Longest gradient of one update: those of critics that have just begun to see are long.
const LONGEST: f64 = 5.0;
/// Keeps the strides apart from other random numbers.
const STRIDES: u64 = 0x7374_7269_6465;

/// Times in thousandths of the whole way, as the networks are told them.
pub(crate) fn told(times: &[usize], diffusion: &Diffusion) -> Result<Tensor, Error> {
    let shares: Vec<f32> = times.iter().map(|&t| (1000.0 * t as f64 / diffusion.steps() as f64) as f32).collect();
    Ok(Tensor::f_from_slice(&shares)?.f_to_kind(Kind::Float)?)
}

/// One number per image, `[batch, 1, 1, 1]`.
fn column(values: impl Iterator<Item = f64>) -> Result<Tensor, Error> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([-1, 1, 1, 1])?)
}

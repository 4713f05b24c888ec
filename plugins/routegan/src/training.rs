use std::path::Path;

use isoscan_nn::{
    ADVERSARIAL_BETAS, Adversarial, Descent, DomainGan, DomainGanRecipe, Error, ImagePool, Net, Random, Trainee,
    absolute_difference, descend, finite, flat_regions, in_range, linear_decay, noise_power_difference,
    read_checkpoint, write_checkpoint, write_tensors,
};
use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use crate::{RoutedNet, RoutedRecipe, one_hot};

/// Everything that decides a RouteGAN training but its data, seed and number of threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteGanRecipe {
    /// The generator.
    pub generator: RoutedRecipe,
    /// The discriminator; it knows the generator's domains and has 2 channels, the image and its texture.
    pub discriminator: DomainGanRecipe,
    /// The adversarial loss.
    pub adversarial: Adversarial,
    /// Steps in all; decides the decay of the learning rate.
    pub steps: u64,
    /// Adam's rate before the decay.
    pub learning_rate: f64,
    /// Share of the steps at the full rate, 0 to 1; the rest decays linearly to 0.
    pub constant_share: f64,
    /// Weight of the domain term, against 1 of the adversarial term.
    pub domain_weight: f64,
    /// Weight of the way back to the own domain.
    pub cycle_weight: f64,
    /// Weight of the translation to the own domain.
    pub identity_weight: f64,
    /// Weight of equal content features before and after; at 0 it is not computed.
    pub content_weight: f64,
    /// Weight of equal results by way of another domain and directly; at 0 it is not computed.
    pub agreement_weight: f64,
    /// Weight of equal noise power in flat regions; at 0 it is not computed.
    pub noise_weight: f64,
    /// Images that the discriminator's pool holds.
    pub pool: usize,
    /// Decay of the averaged generator that is kept.
    pub average_decay: f64,
}

impl RouteGanRecipe {
    fn check(&self) -> Result<(), Error> {
        in_range("learning_rate", self.learning_rate, 0.0..=1.0)?;
        in_range("constant_share", self.constant_share, 0.0..=1.0)?;
        for (field, weight) in [
            ("domain_weight", self.domain_weight),
            ("cycle_weight", self.cycle_weight),
            ("identity_weight", self.identity_weight),
            ("content_weight", self.content_weight),
            ("agreement_weight", self.agreement_weight),
            ("noise_weight", self.noise_weight),
        ] {
            in_range(field, weight, 0.0..=1e6)?;
        }
        in_range("pool", self.pool as f64, 0.0..=9999.0)?;
        in_range("average_decay", self.average_decay, 0.0..=1.0)
    }
}

/// RouteGAN training: unpaired patches of K domains, one routable generator, one discriminator that also names the domain.
///
/// With x of domain d, a target domain t and y = G(x, t), one [`RouteGan::step`] updates the generator on
/// ```text
/// adversarial(y) + domain_weight * CE(D(y), t) + cycle_weight * |G(y, d) - x| + identity_weight * |G(x, d) - x|
///   + content_weight * |E(y) - E(x)| + agreement_weight * |G(y, u) - G(x, u)| + noise_weight * |log NPS(y) - log NPS(real t)|
/// ```
/// with a further domain u, and then the discriminator on real and pooled images and `domain_weight * CE(D(real), d)`.
#[derive(Debug)]
pub struct RouteGan {
    recipe: RouteGanRecipe,
    generator: Trainee<RoutedNet>,
    discriminator: Trainee<DomainGan>,
    pool: ImagePool,
    seed: u64,
}

/// Losses before weighting, by name.
pub type NamedLosses = Vec<(&'static str, f64)>;

/// Prefix of the generator in a weight file.
pub(crate) const GENERATOR: &str = "generator";
const DISCRIMINATOR: &str = "discriminator";
/// Purpose of the random numbers that choose target domains; the networks and the pool are 0 to 2.
const TARGETS: u64 = 3;
/// Bands of the noise power spectrum, and the change per voxel of 5-voxel means, in the network's scale, that is still flat.
const NOISE_BANDS: i64 = 8;
const FLAT: f64 = 0.05;
const TEXTURE_GAIN: f64 = 5.0;

impl RouteGan {
    /// Fresh networks; all random numbers follow from `seed`.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number of the recipe is out of its range.
    pub fn new(recipe: &RouteGanRecipe, seed: u64) -> Result<Self, Error> {
        recipe.check()?;
        let domains = recipe.discriminator.domains as f64;
        let expected = recipe.generator.domains as f64;
        in_range("discriminator domains", domains, expected..=expected)?;
        in_range("discriminator channels_in", recipe.discriminator.channels_in as f64, 2.0..=2.0)?;
        Ok(Self {
            generator: Trainee::averaged(&recipe.generator, seed, 0, ADVERSARIAL_BETAS)?,
            discriminator: Trainee::new(&recipe.discriminator, seed, 1, ADVERSARIAL_BETAS)?,
            pool: ImagePool::new(recipe.pool, seed, 2),
            recipe: recipe.clone(),
            seed,
        })
    }

    /// One update of both networks on two independent draws `[K n, 1, y, x]`, n patches of each domain in order; `step`
    /// counts from 0. Gives the losses before weighting, by name.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the batches are not that, [`Error::Diverged`] when a loss is not finite.
    pub fn step(&mut self, step: u64, source: &Tensor, real: &Tensor) -> Result<NamedLosses, Error> {
        let (own, target) = self.domains_of(step, source, real)?;
        let recipe = &self.recipe;
        let constant = (recipe.steps as f64 * recipe.constant_share).round() as u64;
        let rate = linear_decay(recipe.learning_rate, step, constant, recipe.steps);
        let descent = Descent { rate, step, clip: None };
        let (mut losses, made) = self.step_generator(descent, source, real, [&own, &target])?;
        losses.extend(self.step_discriminator(descent, real, &own, &made)?);
        self.generator.average_in(self.recipe.average_decay, step)?;
        finite(&losses, step)?;
        Ok(losses)
    }

    /// The domain of every image, and another one to translate it to; each domain is the target equally often.
    fn domains_of(&self, step: u64, source: &Tensor, real: &Tensor) -> Result<(Vec<usize>, Vec<usize>), Error> {
        let (shape, count) = (source.size(), self.recipe.generator.domains as usize);
        let batch = shape.first().copied().unwrap_or(0) as usize;
        if batch == 0 || !batch.is_multiple_of(count) || real.size() != shape {
            let expected = format!("two equal batches with equal shares of {count} domains");
            return Err(Error::ImageShape { expected, found: [shape, real.size()].concat() });
        }
        let share = batch / count;
        let random = Random::new(self.seed, &[TARGETS, step]);
        let away = |place: usize| 1 + (random.bits(place as u64) % (count as u64 - 1)) as usize;
        let own: Vec<usize> = (0..batch).map(|index| index / share).collect();
        let target = own.iter().enumerate().map(|(index, domain)| (domain + away(index % share)) % count).collect();
        Ok((own, target))
    }

    fn step_generator(
        &mut self,
        descent: Descent,
        source: &Tensor,
        real: &Tensor,
        [own, target]: [&[usize]; 2],
    ) -> Result<(NamedLosses, Tensor), Error> {
        let recipe = &self.recipe;
        let count = recipe.generator.domains as usize;
        let generator = self.generator.live();
        let [own_route, target_route] = [one_hot(own, count)?, one_hot(target, count)?];
        let made = generator.forward(source, &target_route)?;
        let (scores, logits) = self.discriminator.live().forward(&beside_texture(&made)?)?;
        let mut terms = vec![
            ("adversarial", 1.0, recipe.adversarial.generator(&scores)?),
            ("domain", recipe.domain_weight, cross_entropy(&logits, target)?),
            ("cycle", recipe.cycle_weight, absolute_difference(&generator.forward(&made, &own_route)?, source)?),
            ("identity", recipe.identity_weight, absolute_difference(&generator.forward(source, &own_route)?, source)?),
        ];
        if recipe.content_weight > 0.0 {
            let [before, after] = [generator.content(source, &target_route)?, generator.content(&made, &target_route)?];
            terms.push(("content", recipe.content_weight, absolute_difference(&after, &before)?));
        }
        if recipe.agreement_weight > 0.0 {
            let further: Vec<usize> = target.iter().map(|domain| (domain + 1) % count).collect();
            let route = one_hot(&further, count)?;
            let [around, direct] = [generator.forward(&made, &route)?, generator.forward(source, &route)?];
            terms.push(("agreement", recipe.agreement_weight, absolute_difference(&around, &direct)?));
        }
        if recipe.noise_weight > 0.0 {
            terms.push(("noise", recipe.noise_weight, noise_difference(source, &made, real, [own, target], count)?));
        }
        let weighted = terms.iter().map(|(_, weight, term)| Ok(term.f_mul_scalar(*weight)?));
        let total = Tensor::f_stack(&weighted.collect::<Result<Vec<_>, Error>>()?, 0)?.f_sum(None)?;
        descend(&total, &mut [self.generator.parts()], descent)?;
        let losses = terms.iter().map(|(name, _, term)| Ok((*name, term.f_double_value(&[])?)));
        Ok((losses.collect::<Result<_, Error>>()?, made))
    }

    fn step_discriminator(
        &mut self,
        descent: Descent,
        real: &Tensor,
        own: &[usize],
        made: &Tensor,
    ) -> Result<[(&'static str, f64); 2], Error> {
        let pooled = self.pool.exchange(made, descent.step)?;
        let (scores, logits) = self.discriminator.live().forward(&beside_texture(real)?)?;
        let (pooled_scores, _) = self.discriminator.live().forward(&beside_texture(&pooled)?)?;
        let adversarial = self.recipe.adversarial.discriminator(&scores, &pooled_scores)?;
        let domain = cross_entropy(&logits, own)?;
        let total = adversarial.f_add(&domain.f_mul_scalar(self.recipe.domain_weight)?)?;
        descend(&total, &mut [self.discriminator.parts()], descent)?;
        let [adversarial, domain] = [adversarial.f_double_value(&[])?, domain.f_double_value(&[])?];
        Ok([("discriminator", adversarial), ("discriminator_domain", domain)])
    }

    /// The moving average of the generator: the one to translate with and to ship.
    pub fn averaged(&self) -> &Net<RoutedNet> {
        self.generator.kept()
    }

    /// Writes the averaged generator, weights `generator.*`, as a safetensors file.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be written.
    pub fn save_weights(&self, path: &Path) -> Result<(), Error> {
        write_tensors(path, &self.averaged().parameters().named(GENERATOR))
    }

    /// Writes all that the next step depends on.
    ///
    /// # Errors
    /// [`Error::File`] when the folder cannot be written.
    pub fn save_checkpoint(&self, path: &Path, next_step: u64) -> Result<(), Error> {
        let mut all = self.generator.named(GENERATOR);
        all.extend(self.discriminator.named(DISCRIMINATOR));
        all.extend(self.pool.named("pool"));
        write_checkpoint(path, next_step, all)
    }

    /// Goes on from a checkpoint of the same recipe; gives the number of the next step.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when the checkpoint is of another architecture; the networks
    /// are then partly loaded and must not be used.
    pub fn resume(&mut self, path: &Path) -> Result<u64, Error> {
        let (next_step, file) = read_checkpoint(path)?;
        self.generator.load(GENERATOR, &file)?;
        self.discriminator.load(DISCRIMINATOR, &file)?;
        self.pool.load("pool", &file);
        Ok(next_step)
    }
}

/// What the discriminator sees: the image, and [`TEXTURE_GAIN`] times what its 3-voxel means leave over, since noise and
/// sharpness are small beside the contrast of tissues.
fn beside_texture(image: &Tensor) -> Result<Tensor, Error> {
    let mean = image.f_pad([1, 1, 1, 1], "replicate", None)?;
    let mean = mean.f_avg_pool2d([3, 3], [1, 1], [0, 0], false, true, None)?;
    let texture = image.f_sub(&mean)?.f_mul_scalar(TEXTURE_GAIN)?;
    Ok(Tensor::f_cat(&[image.shallow_clone(), texture], 1)?)
}

/// Mean of `-log softmax(logits)` at the domain of each image.
fn cross_entropy(logits: &Tensor, domains: &[usize]) -> Result<Tensor, Error> {
    let labels = Tensor::f_from_slice(&domains.iter().map(|&domain| domain as i64).collect::<Vec<_>>())?;
    Ok(logits.f_cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0)?)
}

/// Difference of the noise of what was made for each domain from its real patches, mean over the domains. The flat
/// regions of a made image are those of its source, whose anatomy it has.
fn noise_difference(
    source: &Tensor,
    made: &Tensor,
    real: &Tensor,
    [own, target]: [&[usize]; 2],
    count: usize,
) -> Result<Tensor, Error> {
    let (flat_source, flat_real) = (flat_regions(source, FLAT)?, flat_regions(real, FLAT)?);
    let chosen = |t: &Tensor, domains: &[usize], domain: usize| -> Result<Tensor, Error> {
        let places: Vec<i64> =
            domains.iter().enumerate().filter(|&(_, &d)| d == domain).map(|(i, _)| i as i64).collect();
        Ok(t.f_index_select(0, &Tensor::f_from_slice(&places)?)?)
    };
    let terms = (0..count).map(|domain| {
        let made = [&chosen(made, target, domain)?, &chosen(&flat_source, target, domain)?];
        let real = [&chosen(real, own, domain)?, &chosen(&flat_real, own, domain)?];
        noise_power_difference(made, real, NOISE_BANDS)
    });
    Ok(Tensor::f_stack(&terms.collect::<Result<Vec<_>, _>>()?, 0)?.f_mean(None)?)
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Dim, Norm, image};
    use tch::{Kind, no_grad};

    use super::*;
    use crate::{Conditioning, mixed};

    fn tiny(steps: u64) -> RouteGanRecipe {
        RouteGanRecipe {
            generator: RoutedRecipe {
                domains: 3,
                width: 4,
                levels: 1,
                routes: 2,
                conditioning: Conditioning::Both,
                norm: Norm::None,
            },
            discriminator: DomainGanRecipe { dim: Dim::Two, channels_in: 2, width: 4, halvings: 1, domains: 3 },
            adversarial: Adversarial::LeastSquares,
            steps,
            learning_rate: 2e-3,
            constant_share: 0.5,
            domain_weight: 1.0,
            cycle_weight: 1.0,
            identity_weight: 0.5,
            content_weight: 0.1,
            agreement_weight: 0.1,
            noise_weight: 1.0,
            pool: 4,
            average_decay: 0.95,
        }
    }

    /// Two patches per domain of white noise with standard deviation 0.5, 1 and 2.
    fn textures(step: u64, draw: u64) -> Tensor {
        let random = Random::new(9, &[draw, step]);
        let deviation = |i: usize| [0.5, 1.0, 2.0][i / (2 * 256)];
        let values: Vec<f32> = (0..6 * 256).map(|i| (deviation(i) * random.normal(i as u64)) as f32).collect();
        image(&values, &[6, 1, 16, 16]).unwrap()
    }

    fn train(training: &mut RouteGan, steps: std::ops::Range<u64>) -> Vec<Vec<(&'static str, f64)>> {
        steps.map(|step| training.step(step, &textures(step, 0), &textures(step, 1)).unwrap()).collect()
    }

    #[test]
    fn resumed_training_equals_an_uninterrupted_one_bit_for_bit() {
        tch::set_num_threads(1);
        let mut whole = RouteGan::new(&tiny(6), 1).unwrap();
        let losses = train(&mut whole, 0..6);
        let dir = tempfile::tempdir().unwrap();
        let [path, end] = ["state.safetensors", "end.safetensors"].map(|name| dir.path().join(name));
        let mut first = RouteGan::new(&tiny(6), 1).unwrap();
        train(&mut first, 0..3);
        first.save_checkpoint(&path, 3).unwrap();
        let mut second = RouteGan::new(&tiny(6), 1).unwrap();
        assert_eq!(second.resume(&path).unwrap(), 3);
        assert_eq!(train(&mut second, 3..6), losses[3..]);
        let bytes = |training: &RouteGan| {
            training.save_checkpoint(&end, 6).unwrap();
            std::fs::read(&end).unwrap()
        };
        assert!(bytes(&second) == bytes(&whole), "weights, moments or pool differ");
    }

    #[test]
    fn every_image_goes_to_another_domain_and_every_domain_is_a_target_equally_often() {
        let training = RouteGan::new(&tiny(1), 1).unwrap();
        for step in 0..20 {
            let batch = textures(step, 0);
            let (own, target) = training.domains_of(step, &batch, &batch).unwrap();
            assert_eq!(own, [0, 0, 1, 1, 2, 2]);
            assert!(own.iter().zip(&target).all(|(a, b)| a != b));
            assert!((0..3).all(|domain| target.iter().filter(|&&t| t == domain).count() == 2), "{target:?}");
        }
    }

    #[test]
    fn training_brings_the_noise_of_each_domain_nearer_to_its_own() {
        let mut training = RouteGan::new(&tiny(200), 1).unwrap();
        train(&mut training, 0..200);
        let source = textures(1000, 0).narrow(0, 2, 2);
        let deviation = |domain| {
            let made = no_grad(|| training.averaged().forward(&source, &mixed(domain, domain, 0.0, 3).unwrap()));
            made.unwrap().std(true).double_value(&[])
        };
        let [quiet, same, loud] = [0, 1, 2].map(deviation);
        assert!(quiet < 0.9 * same && loud > 1.03 * same, "{quiet} {same} {loud}");
    }

    #[test]
    fn cross_entropy_by_hand() {
        let logits = image(&[1.0, 3.0, 0.0, 0.0], &[2, 2]).unwrap();
        let expected = ((1.0 + 2_f64.exp()).ln() + 2_f64.ln()) / 2.0;
        let found = cross_entropy(&logits, &[0, 1]).unwrap().to_kind(Kind::Double).double_value(&[]);
        assert!((found - expected).abs() < 1e-6);
    }

    #[test]
    fn batches_without_equal_shares_and_bad_recipes_are_errors() {
        let mut training = RouteGan::new(&tiny(1), 1).unwrap();
        let five = textures(0, 0).narrow(0, 0, 5);
        assert!(matches!(training.step(0, &five, &five), Err(Error::ImageShape { .. })));
        let nan = textures(0, 0) * f64::NAN;
        assert!(matches!(training.step(0, &nan, &textures(0, 1)), Err(Error::Diverged { step: 0, .. })));
        let refused = RouteGan::new(&RouteGanRecipe { noise_weight: -1.0, ..tiny(1) }, 1).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "noise_weight", .. })));
        let four = DomainGanRecipe { domains: 4, ..tiny(1).discriminator };
        let refused = RouteGan::new(&RouteGanRecipe { discriminator: four, ..tiny(1) }, 1).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "discriminator domains", .. })));
    }
}

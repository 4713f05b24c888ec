use isoscan_learned::{Losses, Weights};
use isoscan_nn::{
    ADVERSARIAL_BETAS, Descent, DomainGan, Error, ImagePool, Random, Trainee, absolute_difference, descend,
    flat_regions, in_range, noise_power_difference,
};
use tch::{Reduction, Tensor};

use crate::{Recipe, RoutedNet, one_hot};

/// One routable generator and one discriminator that also names the domain, under training on unpaired patches of K domains.
///
/// With x of domain d, a target domain t and y = G(x, t), one step updates the generator on
/// ```text
/// adversarial(y) + domain_weight * CE(D(y), t) + cycle_weight * |G(y, d) - x| + identity_weight * |G(x, d) - x|
///   + content_weight * |E(y) - E(x)| + agreement_weight * |G(y, u) - G(x, u)| + noise_weight * |log NPS(y) - log NPS(real t)|
/// ```
/// with a further domain u, and then the discriminator on real and pooled images and `domain_weight * CE(D(real), d)`.
#[derive(Debug)]
pub(crate) struct Learner {
    generator: Trainee<RoutedNet>,
    discriminator: Trainee<DomainGan>,
    pool: ImagePool,
}

/// Prefix of the generator in a weight file.
pub(crate) const GENERATOR: &str = "generator";
const DISCRIMINATOR: &str = "discriminator";
/// Purpose of the random numbers that choose target domains; the networks and the pool are 0 to 2.
const TARGETS: u64 = 3;
/// Bands of the noise power spectrum, and the change per voxel of 5-voxel means, in the network's scale, that is still flat.
const NOISE_BANDS: i64 = 8;
const FLAT: f64 = 0.05;
const TEXTURE_GAIN: f64 = 5.0;

impl Learner {
    /// Fresh networks; all random numbers follow from the recipe's seed.
    pub(crate) fn new(recipe: &Recipe) -> Result<Self, Error> {
        recipe.check()?;
        let domains = recipe.discriminator.domains as f64;
        let expected = recipe.generator.domains as f64;
        in_range("discriminator domains", domains, expected..=expected)?;
        in_range("discriminator channels_in", recipe.discriminator.channels_in as f64, 2.0..=2.0)?;
        let seed = recipe.schedule.seed;
        Ok(Self {
            generator: Trainee::averaged(&recipe.generator, seed, 0, ADVERSARIAL_BETAS)?,
            discriminator: Trainee::new(&recipe.discriminator, seed, 1, ADVERSARIAL_BETAS)?,
            pool: ImagePool::new(recipe.pool, seed, 2),
        })
    }

    /// One update of both networks on two independent draws `[K n, 1, y, x]`, n patches of each domain in order, in the
    /// networks' scale. Gives the losses before weighting.
    pub(crate) fn update(
        &mut self,
        recipe: &Recipe,
        step: u64,
        source: &Tensor,
        real: &Tensor,
    ) -> Result<Losses, Error> {
        let (own, target) = domains_of(recipe, step, source, real)?;
        let descent = recipe.schedule.descent(step);
        let (mut losses, made) = self.step_generator(recipe, descent, source, real, [&own, &target])?;
        losses.extend(self.step_discriminator(recipe, descent, real, &own, &made)?);
        self.generator.average_in(recipe.schedule.average_decay, step)?;
        Ok(losses)
    }

    fn step_generator(
        &mut self,
        recipe: &Recipe,
        descent: Descent,
        source: &Tensor,
        real: &Tensor,
        [own, target]: [&[usize]; 2],
    ) -> Result<(Losses, Tensor), Error> {
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
        recipe: &Recipe,
        descent: Descent,
        real: &Tensor,
        own: &[usize],
        made: &Tensor,
    ) -> Result<[(&'static str, f64); 2], Error> {
        let pooled = self.pool.exchange(made, descent.step)?;
        let (scores, logits) = self.discriminator.live().forward(&beside_texture(real)?)?;
        let (pooled_scores, _) = self.discriminator.live().forward(&beside_texture(&pooled)?)?;
        let adversarial = recipe.adversarial.discriminator(&scores, &pooled_scores)?;
        let domain = cross_entropy(&logits, own)?;
        let total = adversarial.f_add(&domain.f_mul_scalar(recipe.domain_weight)?)?;
        descend(&total, &mut [self.discriminator.parts()], descent)?;
        let [adversarial, domain] = [adversarial.f_double_value(&[])?, domain.f_double_value(&[])?];
        Ok([("discriminator", adversarial), ("discriminator_domain", domain)])
    }

    /// The averaged generator, `generator.*`.
    pub(crate) fn kept(&self) -> Vec<(String, Tensor)> {
        self.generator.kept().parameters().named(GENERATOR)
    }

    /// Weights, averages, moments and the pool.
    pub(crate) fn named(&self) -> Vec<(String, Tensor)> {
        let mut all = self.generator.named(GENERATOR);
        all.extend(self.discriminator.named(DISCRIMINATOR));
        all.extend(self.pool.named("pool"));
        all
    }

    /// Takes [`Learner::named`] from a checkpoint.
    pub(crate) fn take(&mut self, state: &Weights) -> Result<(), Error> {
        self.generator.load(GENERATOR, state)?;
        self.discriminator.load(DISCRIMINATOR, state)?;
        self.pool.load("pool", state);
        Ok(())
    }
}

/// The domain of every image, and another one to translate it to; each domain is the target equally often.
fn domains_of(recipe: &Recipe, step: u64, source: &Tensor, real: &Tensor) -> Result<(Vec<usize>, Vec<usize>), Error> {
    let (shape, count) = (source.size(), recipe.generator.domains as usize);
    let batch = shape.first().copied().unwrap_or(0) as usize;
    if batch == 0 || !batch.is_multiple_of(count) || real.size() != shape {
        let expected = format!("two equal batches with equal shares of {count} domains");
        return Err(Error::ImageShape { expected, found: [shape, real.size()].concat() });
    }
    let share = batch / count;
    let random = Random::new(recipe.schedule.seed, &[TARGETS, step]);
    let away = |place: usize| 1 + (random.bits(place as u64) % (count as u64 - 1)) as usize;
    let own: Vec<usize> = (0..batch).map(|index| index / share).collect();
    let target = own.iter().enumerate().map(|(index, domain)| (domain + away(index % share)) % count).collect();
    Ok((own, target))
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
    use isoscan_learned::Schedule;
    use isoscan_nn::{Adversarial, Dim, DomainGanRecipe, Norm, image};
    use tch::{Kind, no_grad};

    use super::*;
    use crate::{Conditioning, RoutedRecipe, mixed};

    fn tiny(steps: u64) -> Recipe {
        Recipe {
            domains: ["quiet", "same", "loud"].map(str::to_owned).to_vec(),
            target: 0,
            two_sided: false,
            zero: 0.0,
            scale: 1.0,
            schedule: Schedule { seed: 1, steps, learning_rate: 2e-3, constant_share: 0.5, average_decay: 0.95 },
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
            domain_weight: 1.0,
            cycle_weight: 1.0,
            identity_weight: 0.5,
            content_weight: 0.1,
            agreement_weight: 0.1,
            noise_weight: 1.0,
            pool: 4,
        }
    }

    /// Two patches per domain of white noise with standard deviation 0.5, 1 and 2.
    fn textures(step: u64, draw: u64) -> Tensor {
        let random = Random::new(9, &[draw, step]);
        let deviation = |i: usize| [0.5, 1.0, 2.0][i / (2 * 256)];
        let values: Vec<f32> = (0..6 * 256).map(|i| (deviation(i) * random.normal(i as u64)) as f32).collect();
        image(&values, &[6, 1, 16, 16]).unwrap()
    }

    #[test]
    fn every_image_goes_to_another_domain_and_every_domain_is_a_target_equally_often() {
        for step in 0..20 {
            let batch = textures(step, 0);
            let (own, target) = domains_of(&tiny(1), step, &batch, &batch).unwrap();
            assert_eq!(own, [0, 0, 1, 1, 2, 2]);
            assert!(own.iter().zip(&target).all(|(a, b)| a != b));
            assert!((0..3).all(|domain| target.iter().filter(|&&t| t == domain).count() == 2), "{target:?}");
        }
    }

    #[test]
    fn training_brings_the_noise_of_each_domain_nearer_to_its_own() {
        let recipe = tiny(200);
        let mut training = Learner::new(&recipe).unwrap();
        for step in 0..200 {
            training.update(&recipe, step, &textures(step, 0), &textures(step, 1)).unwrap();
        }
        let source = textures(1000, 0).narrow(0, 2, 2);
        let deviation = |domain| {
            let made = no_grad(|| training.generator.kept().forward(&source, &mixed(domain, domain, 0.0, 3).unwrap()));
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
        let recipe = tiny(1);
        let mut training = Learner::new(&recipe).unwrap();
        let five = textures(0, 0).narrow(0, 0, 5);
        assert!(matches!(training.update(&recipe, 0, &five, &five), Err(Error::ImageShape { .. })));
        let refused = Learner::new(&Recipe { noise_weight: -1.0, ..tiny(1) }).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "noise_weight", .. })));
        let four = DomainGanRecipe { domains: 4, ..tiny(1).discriminator };
        let refused = Learner::new(&Recipe { discriminator: four, ..tiny(1) }).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "discriminator domains", .. })));
    }
}

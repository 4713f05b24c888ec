use std::{collections::BTreeMap, path::Path};

use tch::{Kind, Tensor};

use crate::{Adam, Architecture, Error, Net, Parameters, average_decay, read_tensors, write_tensors};

/// A network under training: its live weights, their moving average where wanted, and the optimiser's moments.
#[derive(Debug)]
pub struct Trainee<A> {
    live: Net<A>,
    average: Option<Net<A>>,
    adam: Adam,
}

impl<A: Architecture> Trainee<A> {
    /// A fresh network, as [`Net::new`], whose last weights count.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn new(recipe: &A::Recipe, seed: u64, network: u64, betas: [f64; 2]) -> Result<Self, Error> {
        let live = Net::<A>::new(recipe, seed, network)?;
        let adam = Adam::new(live.parameters(), betas)?;
        Ok(Self { live, average: None, adam })
    }

    /// A fresh network, as [`Net::new`], whose moving average is kept: [`Trainee::kept`].
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn averaged(recipe: &A::Recipe, seed: u64, network: u64, betas: [f64; 2]) -> Result<Self, Error> {
        let average = Some(Net::<A>::new(recipe, seed, network)?);
        Ok(Self { average, ..Self::new(recipe, seed, network, betas)? })
    }
}

impl<A> Trainee<A> {
    /// The network that the losses are computed with.
    pub fn live(&self) -> &Net<A> {
        &self.live
    }

    /// The network to translate with and to ship: the moving average where one is kept, else the live one.
    pub fn kept(&self) -> &Net<A> {
        self.average.as_ref().unwrap_or(&self.live)
    }

    /// Weights and optimiser, for [`descend`].
    pub fn parts(&mut self) -> (&Parameters, &mut Adam) {
        (self.live.parameters(), &mut self.adam)
    }

    /// Moves the average towards the live weights, with [`average_decay`].
    ///
    /// # Errors
    /// [`Error::Torch`] when libtorch refuses.
    pub fn average_in(&mut self, decay: f64, step: u64) -> Result<(), Error> {
        match &mut self.average {
            Some(average) => average.parameters_mut().average_in(self.live.parameters(), average_decay(decay, step)),
            None => Ok(()),
        }
    }

    /// All that its next update depends on, as named tensors for a checkpoint.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut all = self.live.parameters().named(&format!("{prefix}.live"));
        if let Some(average) = &self.average {
            all.extend(average.parameters().named(&format!("{prefix}.average")));
        }
        all.extend(self.adam.named(self.live.parameters(), &format!("{prefix}.adam")));
        all
    }

    /// Takes [`Trainee::named`] from a checkpoint.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when the checkpoint is of another architecture; the network
    /// is then partly loaded and must not be used.
    pub fn load(&mut self, prefix: &str, file: &BTreeMap<String, Tensor>) -> Result<(), Error> {
        self.live.parameters_mut().load(&format!("{prefix}.live"), file)?;
        if let Some(average) = &mut self.average {
            average.parameters_mut().load(&format!("{prefix}.average"), file)?;
        }
        self.adam.load(self.live.parameters(), &format!("{prefix}.adam"), file)
    }
}

/// How far one update goes.
#[derive(Debug, Clone, Copy)]
pub struct Descent {
    /// Learning rate.
    pub rate: f64,
    /// The step of the training, from 0.
    pub step: u64,
    /// Largest norm of all gradients together; longer ones are shortened to it.
    pub clip: Option<f64>,
}

/// Moves the weights of the given networks, and no others, down the gradient of `loss`.
///
/// # Errors
/// [`Error::Torch`] when the loss depends on none of them.
pub fn descend(loss: &Tensor, networks: &mut [(&Parameters, &mut Adam)], descent: Descent) -> Result<(), Error> {
    let weights: Vec<Tensor> = networks.iter().flat_map(|(parameters, _)| parameters.tensors()).collect();
    let mut gradients = Tensor::f_run_backward(&[loss], &weights, false, false)?;
    if let Some(most) = descent.clip {
        shorten(&mut gradients, most)?;
    }
    let mut rest = gradients.as_slice();
    for (parameters, adam) in networks {
        let (own, others) = rest.split_at(parameters.tensors().len());
        adam.step(parameters, own, descent.rate, descent.step + 1)?;
        rest = others;
    }
    Ok(())
}

fn shorten(gradients: &mut [Tensor], most: f64) -> Result<(), Error> {
    let mut squares = 0.0;
    for gradient in gradients.iter().filter(|gradient| gradient.defined()) {
        squares += gradient.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
    }
    let norm = squares.sqrt();
    if norm <= most {
        return Ok(());
    }
    for gradient in gradients.iter_mut().filter(|gradient| gradient.defined()) {
        let _ = gradient.f_mul_scalar_(most / norm)?;
    }
    Ok(())
}

/// Refuses losses that are not finite, by name.
///
/// # Errors
/// [`Error::Diverged`].
pub fn finite(losses: &[(&'static str, f64)], step: u64) -> Result<(), Error> {
    match losses.iter().find(|(_, value)| !value.is_finite()) {
        Some(&(loss, _)) => Err(Error::Diverged { step, loss }),
        None => Ok(()),
    }
}

/// Writes a checkpoint: the number of the next step and all named tensors.
///
/// # Errors
/// [`Error::File`] when the folder cannot be written.
pub fn write_checkpoint(path: &Path, next_step: u64, state: Vec<(String, Tensor)>) -> Result<(), Error> {
    // Two f32 halves of 24 bits each hold every step below 2^48 exactly.
    let halves = [(next_step >> 24) as f32, (next_step & 0xff_ffff) as f32];
    let mut all = vec![(NEXT_STEP.to_owned(), Tensor::f_from_slice(&halves)?)];
    all.extend(state);
    write_tensors(path, &all)
}

/// Reads a checkpoint: the number of the next step and all named tensors.
///
/// # Errors
/// As [`read_tensors`], and [`Error::MissingWeight`] or [`Error::WeightShape`] when the file is no checkpoint.
pub fn read_checkpoint(path: &Path) -> Result<(u64, BTreeMap<String, Tensor>), Error> {
    let file = read_tensors(path)?;
    let halves = file.get(NEXT_STEP).ok_or_else(|| Error::MissingWeight { name: NEXT_STEP.into() })?;
    if halves.size() != [2] {
        return Err(Error::WeightShape { name: NEXT_STEP.into(), expected: vec![2], found: halves.size() });
    }
    let [high, low] = [halves.f_double_value(&[0])?, halves.f_double_value(&[1])?];
    Ok((((high as u64) << 24) + low as u64, file))
}

const NEXT_STEP: &str = "next_step";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ADVERSARIAL_BETAS, Generator, GeneratorRecipe, Norm, Random, absolute_difference};

    fn fresh() -> Trainee<Generator> {
        let recipe = GeneratorRecipe { width: 3, kernel: 3, blocks: 1, norm: Norm::None, ..GeneratorRecipe::default() };
        Trainee::averaged(&recipe, 1, 0, ADVERSARIAL_BETAS).unwrap()
    }

    fn train(trainee: &mut Trainee<Generator>, steps: std::ops::Range<u64>) {
        for step in steps {
            let random = Random::new(8, &[step]);
            let values: Vec<f32> = (0..64).map(|i| random.normal(i) as f32).collect();
            let image = Tensor::from_slice(&values).view([1, 1, 8, 8]);
            let loss = absolute_difference(&trainee.live().forward(&image).unwrap(), &(&image * 2.0)).unwrap();
            descend(&loss, &mut [trainee.parts()], Descent { rate: 1e-2, step, clip: Some(1.0) }).unwrap();
            trainee.average_in(0.9, step).unwrap();
        }
    }

    fn bytes(trainee: &Trainee<Generator>) -> Vec<Vec<f32>> {
        let all = trainee.named("g").into_iter();
        all.map(|(_, tensor)| Vec::<f32>::try_from(tensor.detach().flatten(0, -1)).unwrap()).collect()
    }

    #[test]
    fn training_from_a_checkpoint_equals_an_uninterrupted_one_bit_for_bit() {
        tch::set_num_threads(1);
        let mut whole = fresh();
        train(&mut whole, 0..6);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.safetensors");
        let mut first = fresh();
        train(&mut first, 0..4);
        write_checkpoint(&path, (1 << 30) + 4, first.named("g")).unwrap();
        let (next, file) = read_checkpoint(&path).unwrap();
        assert_eq!(next, (1 << 30) + 4);
        let mut second = fresh();
        second.load("g", &file).unwrap();
        train(&mut second, 4..6);
        assert!(bytes(&second) == bytes(&whole));
        assert!(bytes(&first) != bytes(&whole));
    }

    #[test]
    fn gradients_are_shortened_together_and_only_when_too_long() {
        let mut gradients = [Tensor::from_slice(&[3.0_f32]), Tensor::from_slice(&[0.0_f32, 4.0])];
        shorten(&mut gradients, 5.0).unwrap();
        assert_eq!(gradients[0].double_value(&[0]), 3.0);
        shorten(&mut gradients, 1.0).unwrap();
        assert!((gradients[0].double_value(&[0]) - 0.6).abs() < 1e-6);
        assert!((gradients[1].double_value(&[1]) - 0.8).abs() < 1e-6);
    }

    #[test]
    fn a_file_without_a_step_is_no_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        write_tensors(&path, &fresh().named("g")).unwrap();
        assert!(matches!(read_checkpoint(&path), Err(Error::MissingWeight { name }) if name == "next_step"));
        assert!(matches!(finite(&[("a", 1.0), ("b", f64::NAN)], 3), Err(Error::Diverged { step: 3, loss: "b" })));
    }
}

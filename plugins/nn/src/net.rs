use std::{collections::BTreeMap, ops::Deref};

use tch::Tensor;

use crate::{Error, Parameters};

/// Layers that follow from a recipe.
pub trait Architecture: Sized {
    /// The numbers that define it.
    type Recipe;

    /// Adds the weights and gives the layers.
    ///
    /// # Errors
    /// [`Error::Recipe`] when a number is out of its range.
    fn build(parameters: &mut Parameters, recipe: &Self::Recipe) -> Result<Self, Error>;
}

/// An architecture and its weights; calls go to the architecture.
#[derive(Debug)]
pub struct Net<A> {
    parameters: Parameters,
    architecture: A,
}

impl<A: Architecture> Net<A> {
    /// Builds it with random weights that depend on `seed` and `network` (which of several) alone.
    ///
    /// # Errors
    /// As [`Architecture::build`].
    pub fn new(recipe: &A::Recipe, seed: u64, network: u64) -> Result<Self, Error> {
        let mut parameters = Parameters::new(seed, network);
        let architecture = A::build(&mut parameters, recipe)?;
        Ok(Self { parameters, architecture })
    }

    /// Builds it with the weights `prefix.*` of a file.
    ///
    /// # Errors
    /// As [`Architecture::build`] and [`Parameters::load`].
    pub fn loaded(recipe: &A::Recipe, prefix: &str, file: &BTreeMap<String, Tensor>) -> Result<Self, Error> {
        let mut net = Self::new(recipe, 0, 0)?;
        net.parameters.load(prefix, file)?;
        Ok(net)
    }
}

impl<A> Net<A> {
    /// Its weights.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Its weights, to load or average into.
    pub fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

impl<A> Deref for Net<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.architecture
    }
}

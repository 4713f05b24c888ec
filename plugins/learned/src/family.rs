use std::{collections::BTreeMap, fmt::Debug};

use isoscan_sdk::{Descriptor, Param, Params, PluginError, TrainConfig};
use serde::{Serialize, de::DeserializeOwned};
use tch::Tensor;

use crate::{Failure, Plane, from_slices, into_slices};

/// Named f32 tensors of a weights or checkpoint file.
pub type Weights = BTreeMap<String, Tensor>;

/// Losses of a step before weighting, by name.
pub type Losses = Vec<(&'static str, f64)>;

/// A family of networks: how they are described, trained and used. The value is a training under way.
///
/// Tensors are `[batch, channel, z, y, x]` in the units of the descriptor; [`crate::into_slices`] turns them into slices.
pub trait Family: Debug + Send + Sized + 'static {
    /// Everything that decides the networks and their training but the data: `weights/recipe.json`.
    type Recipe: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send;
    /// The networks that translate.
    type Networks: Debug + Send;
    /// Name of the weights file, without its ending.
    const NAME: &'static str;

    /// As [`isoscan_sdk::Translator::descriptor`].
    fn descriptor() -> Descriptor;

    /// As [`isoscan_sdk::Trainer::params`].
    fn params() -> Vec<Param>;

    /// The recipe that a checked training session describes.
    ///
    /// # Errors
    /// [`PluginError::Invalid`] when the family cannot learn from such data.
    fn recipe(config: &TrainConfig) -> Result<Self::Recipe, PluginError>;

    /// A fresh training; every random number follows from the recipe.
    ///
    /// # Errors
    /// [`isoscan_nn::Error::Recipe`] when a number of the recipe is out of its range.
    fn begin(recipe: &Self::Recipe) -> Result<Self, Failure>;

    /// One update on a batch laid out as [`isoscan_sdk::TrainContext`] says; `step` counts from 0. Losses that are not
    /// finite end the training.
    ///
    /// # Errors
    /// A [`Failure`] of the networks.
    fn step(&mut self, recipe: &Self::Recipe, step: u64, source: &Tensor, target: &Tensor) -> Result<Losses, Failure>;

    /// What to ship: all that [`Family::load`] needs.
    fn weights(&self) -> Vec<(String, Tensor)>;

    /// All that the next step depends on.
    fn state(&self) -> Vec<(String, Tensor)>;

    /// Takes [`Family::state`] from a checkpoint.
    ///
    /// # Errors
    /// [`isoscan_nn::Error::MissingWeight`] or [`isoscan_nn::Error::WeightShape`] when it is of another architecture.
    fn resume(&mut self, state: &Weights) -> Result<(), Failure>;

    /// The networks of [`Family::weights`].
    ///
    /// # Errors
    /// As [`Family::resume`].
    fn load(recipe: &Self::Recipe, weights: &Weights) -> Result<Self::Networks, Failure>;

    /// Translates one patch `[1, channel, z, y, x]`, one channel per declared input, into `[1, 1, z, y, x]` times what
    /// the descriptor refines by. No gradients are kept.
    ///
    /// # Errors
    /// [`isoscan_nn::Error::ImageShape`] when the networks cannot take the patch.
    fn translate(
        networks: &Self::Networks,
        recipe: &Self::Recipe,
        image: &Tensor,
        place: &Place<'_>,
    ) -> Result<Tensor, Failure>;
}

/// What a translation may depend on besides the patch.
pub struct Place<'a> {
    /// Values of the descriptor's parameters.
    pub params: &'a Params,
    /// Seed of the run.
    pub seed: u64,
    /// First voxel x, y, z of the patch in its volume: random numbers that are keyed by voxels do not depend on tiling.
    pub origin: [i64; 3],
    /// Voxel spacing x, y, z in mm; zeros where nobody told.
    pub spacing_mm: [f64; 3],
    /// Which of the declared inputs were given; a missing one is a channel of zeros.
    pub given: Vec<bool>,
    /// Tells the host which share is done; an error when the host wants the call to stop.
    pub progress: &'a dyn Fn(f32) -> Result<(), PluginError>,
}

/// Pixels of the slices that go through a network at the same time.
const PIXELS: i64 = 1 << 15;

impl Place<'_> {
    /// What `each` makes of slices `[n, channel, rows, columns]`, a few at a time, so that the host can stop in between.
    ///
    /// # Errors
    /// [`PluginError::Cancelled`] when the host stops it; as `each`.
    pub fn by_slices(
        &self,
        slices: &Tensor,
        mut each: impl FnMut(&Tensor) -> Result<Tensor, Failure>,
    ) -> Result<Tensor, Failure> {
        let size = slices.size();
        let count = size.first().copied().unwrap_or(0);
        let together = (PIXELS / size.iter().skip(2).product::<i64>().max(1)).max(1);
        let mut made = Vec::new();
        for first in (0..count).step_by(together as usize) {
            (self.progress)(first as f32 / count as f32)?;
            made.push(each(&slices.f_narrow(0, first, together.min(count - first))?)?);
        }
        Ok(Tensor::f_cat(&made, 0)?)
    }

    /// What `each` makes of the slices `[n, 1, rows, columns]` of `[1, 1, z, y, x]`, an image of one slice turned so that it
    /// is axial; edges are repeated until rows and columns are multiples of `multiple`, and cut off again.
    ///
    /// # Errors
    /// As [`Place::by_slices`].
    pub fn in_planes(
        &self,
        image: &Tensor,
        multiple: usize,
        each: impl FnMut(&Tensor) -> Result<Tensor, Failure>,
    ) -> Result<Tensor, Failure> {
        let plane = Plane::of(image);
        let turned = plane.turned(image)?;
        let slices = into_slices(&turned)?;
        let (_, _, rows, columns) = slices.size4()?;
        let missing = |extent: i64| (extent as usize).next_multiple_of(multiple) as i64 - extent;
        let whole = slices.f_pad([0, missing(columns), 0, missing(rows)], "replicate", None)?;
        let made = self.by_slices(&whole, each)?.f_narrow(2, 0, rows)?.f_narrow(3, 0, columns)?;
        Ok(plane.turned(&from_slices(&made, turned.size()[2])?)?)
    }
}

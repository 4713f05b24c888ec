use isoscan_nn::{Activation, Architecture, Conv, ConvShape, Dim, Error, Parameters, Up, UpKind, in_range};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Couplings, CouplingsRecipe};

/// From which image to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Through the core forwards.
    MrToPet,
    /// Through the core backwards.
    PetToMr,
}

/// The numbers that define a [`Reversible`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReversibleRecipe {
    /// MR contrasts, 1 to 8: channels of the MR.
    pub contrasts: i64,
    /// Channels on the full grid; the core, on half of it, has twice as many. 1 to 128.
    pub width: i64,
    /// Couplings of the core, 0 to 32.
    pub depth: i64,
}

impl ReversibleRecipe {
    /// Grid extents must be multiples of this.
    pub const MULTIPLE: usize = 2;

    /// Receptive field radius in voxels: 2 of the stem, 1 of the halving, 4 of each coupling (two 3x3x3 on half the grid), 3
    /// of the doubling and 1 of the head.
    pub fn halo(&self) -> usize {
        (7 + 4 * self.depth.clamp(0, 32) as usize).next_multiple_of(Self::MULTIPLE)
    }
}

/// The network: the way in and out of both images, and the core between.
#[derive(Debug)]
pub struct Reversible {
    contrasts: i64,
    mr: Ends,
    pet: Ends,
    core: Couplings,
}

/// The layers that one image has to itself.
#[derive(Debug)]
struct Ends {
    stem: Conv,
    halving: Conv,
    doubling: Up,
    head: Conv,
}

impl Architecture for Reversible {
    type Recipe = ReversibleRecipe;

    fn build(p: &mut Parameters, recipe: &ReversibleRecipe) -> Result<Self, Error> {
        in_range("contrasts", recipe.contrasts as f64, 1.0..=8.0)?;
        in_range("width", recipe.width as f64, 1.0..=128.0)?;
        let core = CouplingsRecipe { channels: 2 * recipe.width, depth: recipe.depth };
        let mut ends = |name: &str, channels| p.scoped(name, |p| Ends::new(p, channels, recipe.width));
        let (mr, pet) = (ends("mr", recipe.contrasts)?, ends("pet", 1)?);
        Ok(Self { contrasts: recipe.contrasts, mr, pet, core: p.scoped("core", |p| Couplings::build(p, &core))? })
    }
}

impl Reversible {
    /// The other image of `[batch, channels, z, y, x]`, each in the scale of training: MR has a channel per contrast, PET one.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when it has other channels or an odd extent.
    pub fn forward(&self, image: &Tensor, way: Way) -> Result<Tensor, Error> {
        let channels = match way {
            Way::MrToPet => self.contrasts,
            Way::PetToMr => 1,
        };
        Dim::Three.check(image, channels, &[ReversibleRecipe::MULTIPLE as i64; 3])?;
        match way {
            Way::MrToPet => self.pet.image(&self.core.forward(&self.mr.features(image)?)?),
            Way::PetToMr => self.mr.image(&self.core.backward(&self.pet.features(image)?)?),
        }
    }

    /// The core, which both ways share.
    pub fn core(&self) -> &Couplings {
        &self.core
    }
}

impl Ends {
    fn new(p: &mut Parameters, channels: i64, width: i64) -> Result<Self, Error> {
        let same = |channels, kernel| ConvShape::same(Dim::Three, channels, kernel);
        let halving = ConvShape { stride: 2, ..same([width, 2 * width], 3) };
        let head = same([width, channels], 3);
        Ok(Self {
            stem: Conv::new(p, "stem", same([channels, width], 5))?,
            halving: Conv::new(p, "halving", halving)?,
            doubling: Up::new(p, "doubling", Dim::Three, UpKind::Resize, [2 * width, width], head.deviation)?,
            head: Conv::new(p, "head", ConvShape { deviation: 0.1 * head.deviation, ..head })?,
        })
    }

    fn features(&self, image: &Tensor) -> Result<Tensor, Error> {
        self.halving.forward(&Activation::Leaky.apply(&self.stem.forward(image)?)?)
    }

    fn image(&self, features: &Tensor) -> Result<Tensor, Error> {
        let fine = self.doubling.forward(&Activation::Leaky.apply(features)?)?;
        self.head.forward(&Activation::Leaky.apply(&fine)?)
    }
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Net, Random, image};
    use tch::no_grad;

    use super::*;

    const RECIPE: ReversibleRecipe = ReversibleRecipe { contrasts: 1, width: 2, depth: 1 };

    fn noise(shape: [usize; 5]) -> Tensor {
        let random = Random::new(1, &[]);
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| random.normal(i as u64) as f32).collect();
        image(&values, &shape).unwrap()
    }

    fn made(net: &Net<Reversible>, image: &Tensor, way: Way) -> Tensor {
        no_grad(|| net.forward(image, way)).unwrap()
    }

    #[test]
    fn nothing_outside_the_halo_reaches_a_voxel_and_something_just_inside_does() {
        let net = Net::<Reversible>::new(&RECIPE, 1, 0).unwrap();
        let (volume, middle) = (noise([1, 1, 2, 2, 40]), 20);
        for way in [Way::MrToPet, Way::PetToMr] {
            let mut farthest = 0;
            for place in [middle, middle + 1] {
                let changed = volume.copy();
                let _ = changed.narrow(4, place, 1).g_add_scalar_(1.0);
                let [a, b] = [&volume, &changed].map(|v| made(&net, v, way));
                let differs = |x: i64| !a.narrow(4, x, 1).equal(&b.narrow(4, x, 1));
                farthest = (0..40).filter(|&x| differs(x)).map(|x| (x - place).abs()).max().unwrap().max(farthest);
            }
            let halo = RECIPE.halo() as i64;
            assert!((halo - 4..=halo).contains(&farthest), "{way:?}: {farthest} of {halo}");
        }
    }

    #[test]
    fn both_ways_share_the_core_and_nothing_else() {
        let net = Net::<Reversible>::new(&RECIPE, 1, 0).unwrap();
        let volume = noise([1, 1, 4, 4, 4]);
        for (scope, expected) in
            [("n.core.", [true, true]), ("n.mr.head.", [false, true]), ("n.mr.stem.", [true, false])]
        {
            let before = [Way::MrToPet, Way::PetToMr].map(|way| made(&net, &volume, way));
            let weights = net.parameters().named("n").into_iter().filter(|(name, _)| name.starts_with(scope));
            no_grad(|| weights.for_each(|(_, mut weight)| drop(weight.g_add_scalar_(0.1))));
            let after = [Way::MrToPet, Way::PetToMr].map(|way| made(&net, &volume, way));
            let changed = [0, 1].map(|way: usize| !before[way].equal(&after[way]));
            assert_eq!(changed, expected, "{scope}");
        }
    }

    #[test]
    fn every_contrast_is_a_channel_of_the_mr() {
        let net = Net::<Reversible>::new(&ReversibleRecipe { contrasts: 2, ..RECIPE }, 1, 0).unwrap();
        let [mr, pet] = [noise([1, 2, 4, 4, 4]), noise([1, 1, 4, 4, 4])];
        assert_eq!(made(&net, &mr, Way::MrToPet).size(), pet.size());
        assert_eq!(made(&net, &pet, Way::PetToMr).size(), mr.size());
        assert!(net.forward(&pet, Way::MrToPet).is_err() && net.forward(&mr, Way::PetToMr).is_err());
    }

    #[test]
    fn odd_extents_are_refused() {
        let net = Net::<Reversible>::new(&RECIPE, 1, 0).unwrap();
        assert!(matches!(net.forward(&noise([1, 1, 3, 4, 4]), Way::MrToPet), Err(Error::ImageShape { .. })));
    }
}

use isoscan_learned::{Failure, from_slices, into_slices};
use isoscan_nn::{Architecture, Dim, Edsr, EdsrRecipe, Error, Parameters};
use isoscan_sdk::PluginError;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Hybrid;

/// Which network doubles an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Residual blocks on the coarse grid and pixel shuffling.
    Edsr,
    /// [`Hybrid`]: spectrum, then image.
    Hybrid,
}

/// The numbers that define a [`Doubling`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoublingRecipe {
    /// The network.
    pub variant: Variant,
    /// Channels inside, of the hybrid on its full grid.
    pub width: i64,
    /// Residual blocks; of the hybrid per level and side.
    pub blocks: i64,
}

/// Doubles the grid along the last axis of planes `[batch, 1, y, x]`.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a plugin holds one")]
pub enum Doubling {
    /// See [`Variant::Edsr`].
    Edsr(Edsr),
    /// See [`Variant::Hybrid`].
    Hybrid(Box<Hybrid>),
}

impl Architecture for Doubling {
    type Recipe = DoublingRecipe;

    fn build(p: &mut Parameters, recipe: &DoublingRecipe) -> Result<Self, Error> {
        let DoublingRecipe { variant, width, blocks } = *recipe;
        Ok(match variant {
            Variant::Edsr => Self::Edsr(Edsr::build(
                p,
                &EdsrRecipe { dim: Dim::Two, channels: 1, width, blocks, factors: [1, 1, 2] },
            )?),
            Variant::Hybrid => Self::Hybrid(Box::new(Hybrid::build(p, recipe)?)),
        })
    }
}

impl Doubling {
    fn forward(&self, planes: &Tensor) -> Result<Tensor, Error> {
        match self {
            Self::Edsr(network) => network.forward(planes),
            Self::Hybrid(network) => network.forward(planes),
        }
    }

    /// Twice the columns of all planes, a few planes at a time.
    fn of_planes(&self, planes: &Tensor, ready: Ready<'_>) -> Result<Tensor, Failure> {
        let shape = planes.size();
        let together = (PIXELS / (shape[2] * shape[3]).max(1)).max(1);
        let made = (0..shape[0]).step_by(together as usize).map(|first| {
            ready()?;
            Ok(self.forward(&planes.f_narrow(0, first, together.min(shape[0] - first))?)?)
        });
        Ok(Tensor::f_cat(&made.collect::<Result<Vec<_>, Failure>>()?, 0)?)
    }
}

/// Pixels of the planes that go through a network at the same time.
const PIXELS: i64 = 1 << 15;

/// Asked before every few planes; an error when the host wants the call to stop.
pub(crate) type Ready<'a> = &'a dyn Fn() -> Result<(), PluginError>;

/// A volume `[batch, 1, z, y, x]` with `factors` z, y, x times the voxels, powers of 2: x and y in turn in axial planes,
/// then z in coronal ones.
///
/// # Errors
/// [`Error::ImageShape`] when the shape is not that, [`Error::Recipe`] for a factor that is no power of 2.
pub(crate) fn refined(
    network: &Doubling,
    image: &Tensor,
    factors: [i64; 3],
    ready: Ready<'_>,
) -> Result<Tensor, Failure> {
    for factor in factors {
        if factor < 1 || factor & (factor - 1) != 0 {
            return Err(Error::Recipe { field: "scale", expected: "a power of 2".into(), found: factor as f64 }.into());
        }
    }
    let mut image = image.shallow_clone();
    let mut done = [1; 3];
    while done[1..] != factors[1..] {
        for axis in [2, 1] {
            if done[axis] < factors[axis] {
                image = doubled(network, &image, axis, ready)?;
                done[axis] *= 2;
            }
        }
    }
    while done[0] < factors[0] {
        image = doubled(network, &image, 0, ready)?;
        done[0] *= 2;
    }
    Ok(image)
}

/// Twice the voxels along axis 0, 1, 2: z, y, x.
fn doubled(network: &Doubling, image: &Tensor, axis: usize, ready: Ready<'_>) -> Result<Tensor, Failure> {
    match axis {
        2 => Ok(from_slices(&network.of_planes(&into_slices(image)?, ready)?, image.size()[2])?),
        // The axis changes places with x, and so do the planes.
        1 => Ok(doubled(network, &image.f_transpose(3, 4)?, 2, ready)?.f_transpose(3, 4)?),
        _ => {
            let turned = image.f_permute([0, 1, 3, 4, 2])?;
            Ok(doubled(network, &turned, 2, ready)?.f_permute([0, 1, 4, 2, 3])?)
        }
    }
}

use isoscan_learned::{from_slices, into_slices};
use isoscan_nn::{Dim, Error};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// What the network sees at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dimensions {
    /// One axial slice.
    #[serde(rename = "2d")]
    Slices,
    /// An axial slice and its neighbours, as channels; it predicts the slice in the middle.
    #[serde(rename = "2.5d")]
    Stacks,
    /// A volume.
    #[serde(rename = "3d")]
    Volumes,
}

impl Dimensions {
    /// The words of the parameter `dimensions`, in its order.
    pub(crate) const WORDS: [&'static str; 3] = ["2d", "2.5d", "3d"];

    /// The word's meaning; slices for any other.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "2.5d" => Self::Stacks,
            "3d" => Self::Volumes,
            _ => Self::Slices,
        }
    }

    /// Axes of the network's convolutions.
    pub fn dim(self) -> Dim {
        match self {
            Self::Slices | Self::Stacks => Dim::Two,
            Self::Volumes => Dim::Three,
        }
    }

    /// Slices to each side that the network needs for the one in the middle.
    pub fn reach(self, neighbours: i64) -> i64 {
        match self {
            Self::Stacks => neighbours,
            Self::Slices | Self::Volumes => 0,
        }
    }

    /// `[batch, 1, z, y, x]` as the network takes it; beyond the first and last slice these are repeated.
    pub(crate) fn arranged(self, volume: &Tensor, neighbours: i64) -> Result<Tensor, Error> {
        Ok(match self {
            Self::Slices => into_slices(volume)?,
            Self::Stacks => into_slices(&beside(volume, neighbours)?)?,
            Self::Volumes => volume.shallow_clone(),
        })
    }

    /// What the network gave, as `[batch, channels, z, y, x]`.
    pub(crate) fn volume(self, made: &Tensor, z: i64) -> Result<Tensor, Error> {
        Ok(match self.dim() {
            Dim::Two => from_slices(made, z)?,
            Dim::Three => made.shallow_clone(),
        })
    }
}

/// Each slice with its `neighbours` to both sides as channels, the lowest first: `[batch, 2 n + 1, z, y, x]`.
fn beside(volume: &Tensor, neighbours: i64) -> Result<Tensor, Error> {
    let z = volume.size().get(2).copied().unwrap_or(0);
    let padded = volume.f_pad([0, 0, 0, 0, neighbours, neighbours], "replicate", None)?;
    let channels = (0..=2 * neighbours).map(|first| padded.f_narrow(2, first, z));
    Ok(Tensor::f_cat(&channels.collect::<Result<Vec<_>, _>>()?, 1)?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_stack_holds_the_slices_below_and_above_and_repeats_the_last() {
        let volume = Tensor::arange(3, (Kind::Float, Device::Cpu)).view([1, 1, 3, 1, 1]);
        let stacks = Dimensions::Stacks.arranged(&volume, 1).unwrap();
        let expected = Tensor::from_slice(&[0.0f32, 0.0, 1.0, 0.0, 1.0, 2.0, 1.0, 2.0, 2.0]).view([3, 3, 1, 1]);
        assert!(stacks.equal(&expected), "{stacks}");
        assert!(Dimensions::Slices.arranged(&volume, 1).unwrap().equal(&volume.view([3, 1, 1, 1])));
        let volumes = Dimensions::Volumes;
        assert!(volumes.volume(&volumes.arranged(&volume, 1).unwrap(), 3).unwrap().equal(&volume));
    }
}

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Error;

/// Spatial axes of the images of a network: `[batch, channel, y, x]` or `[batch, channel, z, y, x]`.
///
/// ```
/// use isoscan_nn::Dim;
///
/// assert_eq!(Dim::Three.axes(), 3);
/// assert_eq!(Dim::default(), Dim::Two);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Dim {
    /// Slices.
    #[default]
    #[serde(rename = "2d")]
    Two,
    /// Volumes.
    #[serde(rename = "3d")]
    Three,
}

impl Dim {
    /// 2 or 3.
    pub fn axes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
    }

    /// The same number for every spatial axis.
    pub(crate) fn each(self, value: i64) -> Vec<i64> {
        vec![value; self.axes()]
    }

    /// Numbers of the last axes of the tensor: the spatial ones.
    pub(crate) fn spatial(self) -> Vec<i64> {
        (0..self.axes() as i64).map(|axis| axis - self.axes() as i64).collect()
    }

    /// Refuses an image that has not `channels` channels, this many axes, and extents that are multiples.
    ///
    /// # Errors
    /// [`Error::ImageShape`].
    pub fn check(self, image: &Tensor, channels: i64, multiple: &[i64]) -> Result<(), Error> {
        let shape = image.size();
        let fits = shape.len() == self.axes() + 2
            && shape[1] == channels
            && shape[2..].iter().zip(multiple).all(|(extent, multiple)| extent % multiple == 0);
        if fits {
            return Ok(());
        }
        let (axes, list) = match self {
            Self::Two => ("y, x", "y and x"),
            Self::Three => ("z, y, x", "z, y and x"),
        };
        let mut expected = format!("[batch, {channels}, {axes}]");
        if multiple.iter().any(|&n| n != 1) {
            let alike = multiple.iter().all(|n| Some(n) == multiple.first());
            let multiples = if alike { multiple[0].to_string() } else { format!("{multiple:?}") };
            expected += &format!(" with {list} multiples of {multiples}");
        }
        Err(Error::ImageShape { expected, found: shape })
    }
}

/// Spatial axes of a tensor `[batch, channel, ...]`.
///
/// # Errors
/// [`Error::ImageShape`] when it has neither 4 nor 5 axes.
pub(crate) fn dim_of(image: &Tensor) -> Result<Dim, Error> {
    match image.dim() {
        4 => Ok(Dim::Two),
        5 => Ok(Dim::Three),
        _ => Err(Error::ImageShape { expected: "[batch, channel, y, x] or with z".into(), found: image.size() }),
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn a_shape_that_does_not_fit_is_named_in_words() {
        let image = Tensor::zeros([1, 2, 6, 8, 8], (Kind::Float, Device::Cpu));
        assert!(Dim::Three.check(&image, 2, &[2, 4, 4]).is_ok());
        for (dim, channels, multiple, expected) in [
            (Dim::Three, 1, [1, 1, 1], "[batch, 1, z, y, x]"),
            (Dim::Three, 2, [4, 4, 4], "[batch, 2, z, y, x] with z, y and x multiples of 4"),
            (Dim::Three, 2, [1, 3, 1], "[batch, 2, z, y, x] with z, y and x multiples of [1, 3, 1]"),
            (Dim::Two, 2, [1, 1, 1], "[batch, 2, y, x]"),
        ] {
            let message = dim.check(&image, channels, &multiple).unwrap_err().to_string();
            assert_eq!(message, format!("image must be {expected}, found [1, 2, 6, 8, 8]"));
        }
    }
}

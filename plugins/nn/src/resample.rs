use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Conv, ConvShape, Dim, Edge, Error, Parameters, conv::padded, dim::dim_of};

/// Divides the grid into phases: `[b, c, ..., f n]` to `[b, c f..., ..., n]`, lossless.
///
/// `factors` has one number per spatial axis. The phases of a channel follow one another, the last axis fastest, the
/// order of [`polyphase_merge`] and of pixel shuffling (Shi et al. 2016).
///
/// # Errors
/// [`Error::ImageShape`] when an extent is no multiple of its factor.
pub fn polyphase_split(image: &Tensor, factors: &[i64]) -> Result<Tensor, Error> {
    let shape = image.size();
    let fits = shape.len() == factors.len() + 2 && factors.iter().all(|&f| f > 0);
    if !fits || shape[2..].iter().zip(factors).any(|(extent, factor)| extent % factor != 0) {
        let expected = format!("[batch, channel, ...] with extents that are multiples of {factors:?}");
        return Err(Error::ImageShape { expected, found: shape });
    }
    let axes = factors.len() as i64;
    let mut divided = shape[..2].to_vec();
    divided.extend(shape[2..].iter().zip(factors).flat_map(|(extent, factor)| [extent / factor, *factor]));
    let mut order = vec![0, 1];
    order.extend((0..axes).map(|axis| 3 + 2 * axis));
    order.extend((0..axes).map(|axis| 2 + 2 * axis));
    let mut split = vec![shape[0], shape[1] * factors.iter().product::<i64>()];
    split.extend(shape[2..].iter().zip(factors).map(|(extent, factor)| extent / factor));
    Ok(image.f_view(divided.as_slice())?.f_permute(order.as_slice())?.f_reshape(split.as_slice())?)
}

/// Puts phases together again: `[b, c f..., ..., n]` to `[b, c, ..., f n]`, the inverse of [`polyphase_split`].
///
/// # Errors
/// [`Error::ImageShape`] when the channels are no multiple of the product of the factors.
pub fn polyphase_merge(phases: &Tensor, factors: &[i64]) -> Result<Tensor, Error> {
    let (shape, product) = (phases.size(), factors.iter().product::<i64>());
    let fits = shape.len() == factors.len() + 2 && factors.iter().all(|&f| f > 0);
    if !fits || shape[1] % product != 0 {
        let expected = format!("[batch, channel, ...] with channels that are a multiple of {product}");
        return Err(Error::ImageShape { expected, found: shape });
    }
    let axes = factors.len() as i64;
    let mut divided = vec![shape[0], shape[1] / product];
    divided.extend(factors);
    divided.extend(&shape[2..]);
    let mut order = vec![0, 1];
    order.extend((0..axes).flat_map(|axis| [2 + axes + axis, 2 + axis]));
    let mut merged = vec![shape[0], shape[1] / product];
    merged.extend(shape[2..].iter().zip(factors).map(|(extent, factor)| extent * factor));
    Ok(phases.f_reshape(divided.as_slice())?.f_permute(order.as_slice())?.f_reshape(merged.as_slice())?)
}

/// Enlarges by linear interpolation between voxel centres; `factors` has one number per spatial axis.
///
/// A factor of 2 is also the [1, 3, 3, 1]/4 filter of the published diffusion networks.
///
/// # Errors
/// [`Error::ImageShape`] when there is not one factor per axis, [`Error::Torch`] when the image is empty.
pub fn enlarged(image: &Tensor, factors: &[i64]) -> Result<Tensor, Error> {
    let shape = image.size();
    if shape.len() != factors.len() + 2 {
        let expected = format!("[batch, channel, ...] with {} spatial axes", factors.len());
        return Err(Error::ImageShape { expected, found: shape });
    }
    let extents: Vec<i64> = shape[2..].iter().zip(factors).map(|(extent, factor)| extent * factor).collect();
    Ok(match dim_of(image)? {
        Dim::Two => image.f_upsample_bilinear2d(extents, false, None, None)?,
        Dim::Three => image.f_upsample_trilinear3d(extents, false, None, None, None)?,
    })
}

/// Halves the grid behind the filter [1, 3, 3, 1]/8 along every axis (Zhang 2019); the edge is repeated.
///
/// # Errors
/// [`Error::Torch`] when an extent is smaller than 2.
pub fn blurred_down(image: &Tensor) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    let channels = image.size().get(1).copied().unwrap_or(0);
    let line = Tensor::f_from_slice(&[0.125_f32, 0.375, 0.375, 0.125])?;
    let mut kernel = line.shallow_clone();
    for _ in 1..dim.axes() {
        kernel = kernel.f_unsqueeze(-1)?.f_mul(&line)?;
    }
    let mut repeats = vec![channels, 1];
    repeats.extend(dim.each(1));
    let kernel = kernel.f_unsqueeze(0)?.f_unsqueeze(0)?.f_repeat(repeats.as_slice())?;
    let image = padded(image, dim, 1, Edge::Replicate)?;
    let [stride, zeros, ones] = [2, 0, 1].map(|n| dim.each(n));
    let none = None::<Tensor>;
    Ok(match dim {
        Dim::Two => image.f_conv2d(&kernel, none.as_ref(), stride, zeros, ones, channels)?,
        Dim::Three => image.f_conv3d(&kernel, none.as_ref(), stride, zeros, ones, channels)?,
    })
}

/// How the grid is doubled inside a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpKind {
    /// Linear interpolation, then 3x3: no checkerboard.
    #[default]
    Resize,
    /// 3x3 to 2^dim as many channels, then pixel shuffling.
    Shuffle,
    /// Transposed 4x4 with stride 2, as published; the cause of checkerboards.
    Transposed,
}

/// Doubles the grid.
#[derive(Debug)]
pub struct Up {
    dim: Dim,
    layer: UpLayer,
}

#[derive(Debug)]
enum UpLayer {
    Resize(Conv),
    Shuffle(Conv),
    Transposed { weight: Tensor, bias: Tensor },
}

impl Up {
    /// Adds the weights `name.*`; `channels` in and out, `deviation` of the initial weights.
    ///
    /// # Errors
    /// As [`Conv::new`].
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        dim: Dim,
        kind: UpKind,
        channels: [i64; 2],
        deviation: f64,
    ) -> Result<Self, Error> {
        let shape = ConvShape { deviation, ..ConvShape::same(dim, channels, 3) };
        let layer = match kind {
            UpKind::Resize => UpLayer::Resize(Conv::new(parameters, name, shape)?),
            UpKind::Shuffle => {
                let channels = [channels[0], channels[1] << dim.axes()];
                UpLayer::Shuffle(Conv::new(parameters, name, ConvShape { channels, ..shape })?)
            }
            UpKind::Transposed => {
                let mut extents = channels.to_vec();
                extents.extend(dim.each(4));
                let weight = parameters.normal(format!("{name}.weight"), &extents, deviation)?;
                UpLayer::Transposed { weight, bias: parameters.zeros(format!("{name}.bias"), &[channels[1]])? }
            }
        };
        Ok(Self { dim, layer })
    }

    /// The image on the doubled grid.
    ///
    /// # Errors
    /// [`Error::Torch`] when the image has other channels.
    pub fn forward(&self, image: &Tensor) -> Result<Tensor, Error> {
        let twos = self.dim.each(2);
        match &self.layer {
            UpLayer::Resize(conv) => conv.forward(&enlarged(image, &twos)?),
            UpLayer::Shuffle(conv) => polyphase_merge(&conv.forward(image)?, &twos),
            UpLayer::Transposed { weight, bias } => {
                let [zeros, ones] = [0, 1].map(|n| self.dim.each(n));
                let bias = Some(bias);
                Ok(match self.dim {
                    Dim::Two => image.f_conv_transpose2d(weight, bias, twos, ones.clone(), zeros, 1, ones)?,
                    Dim::Three => image.f_conv_transpose3d(weight, bias, twos, ones.clone(), zeros, 1, ones)?,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    fn ramp(shape: &[i64]) -> Tensor {
        Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu)).view(shape)
    }

    #[test]
    fn phases_of_a_grid_merge_back_bit_for_bit_in_the_order_of_pixel_shuffling() {
        let image = ramp(&[2, 3, 4, 6]);
        let phases = polyphase_split(&image, &[2, 2]).unwrap();
        assert!(phases.equal(&image.pixel_unshuffle(2)));
        assert!(polyphase_merge(&phases, &[2, 2]).unwrap().equal(&image));

        let volume = ramp(&[1, 2, 6, 2, 4]);
        let phases = polyphase_split(&volume, &[3, 1, 2]).unwrap();
        assert_eq!(phases.size(), [1, 12, 2, 2, 2]);
        // Channel 1, phase (z 2, x 1) is number 6 + 2 * 2 + 1; its first voxel is z 2, y 0, x 1.
        assert_eq!(phases.double_value(&[0, 11, 0, 0, 0]), volume.double_value(&[0, 1, 2, 0, 1]));
        assert!(polyphase_merge(&phases, &[3, 1, 2]).unwrap().equal(&volume));
    }

    #[test]
    fn extents_and_channels_that_cannot_be_divided_are_refused() {
        assert!(matches!(polyphase_split(&ramp(&[1, 1, 3, 4]), &[2, 2]), Err(Error::ImageShape { .. })));
        assert!(matches!(polyphase_split(&ramp(&[1, 1, 4, 4]), &[0, 2]), Err(Error::ImageShape { .. })));
        assert!(matches!(polyphase_merge(&ramp(&[1, 6, 2, 2]), &[2, 2]), Err(Error::ImageShape { .. })));
        assert!(matches!(enlarged(&ramp(&[1, 1, 2, 2]), &[2]), Err(Error::ImageShape { .. })));
    }

    #[test]
    fn enlarging_keeps_a_ramp_and_blurring_it_down_gives_the_means() {
        let line = ramp(&[1, 1, 1, 4]).repeat([1, 1, 2, 1]);
        let big = enlarged(&line, &[1, 2]).unwrap();
        let row = Vec::<f32>::try_from(big.select(2, 0).flatten(0, -1)).unwrap();
        assert_eq!(row, [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
        // Inside: (1 v0 + 3 v1 + 3 v2 + 1 v3)/8; at the edge the first voxel stands for the one outside.
        let small = blurred_down(&line).unwrap();
        let row = Vec::<f32>::try_from(small.flatten(0, -1)).unwrap();
        assert_eq!(row, [(0.0 + 0.0 + 3.0 + 2.0) / 8.0, (1.0 + 6.0 + 9.0 + 3.0) / 8.0]);
        let flat = Tensor::ones([1, 3, 4, 4, 4], (Kind::Float, Device::Cpu));
        assert!(blurred_down(&flat).unwrap().equal(&Tensor::ones([1, 3, 2, 2, 2], (Kind::Float, Device::Cpu))));
    }

    #[test]
    fn every_way_of_doubling_doubles() {
        for kind in [UpKind::Resize, UpKind::Shuffle, UpKind::Transposed] {
            for (dim, from, to) in
                [(Dim::Two, vec![1, 3, 2, 4], vec![1, 5, 4, 8]), (Dim::Three, vec![1, 3, 1, 2, 4], vec![1, 5, 2, 4, 8])]
            {
                let up = Up::new(&mut Parameters::new(1, 0), "u", dim, kind, [3, 5], 0.1).unwrap();
                assert_eq!(up.forward(&ramp(&from)).unwrap().size(), to, "{kind:?}");
            }
        }
    }
}

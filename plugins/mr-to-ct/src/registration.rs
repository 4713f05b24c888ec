use isoscan_nn::{Activation, Architecture, Dim, Error, Parameters, UNet, UNetRecipe};
use tch::{Device, Kind, Tensor};

/// A network that tells how a made image must be bent to lie on the real one.
#[derive(Debug)]
pub struct Registration {
    layers: UNet,
}

impl Architecture for Registration {
    type Recipe = Dim;

    fn build(p: &mut Parameters, dim: &Dim) -> Result<Self, Error> {
        let recipe = UNetRecipe {
            dim: *dim,
            channels_in: 2,
            channels_out: dim.axes() as i64,
            features: vec![8, 16],
            activation: Activation::Leaky,
            residual: None,
            ..UNetRecipe::default()
        };
        Ok(Self { layers: UNet::build(p, &recipe)? })
    }
}

impl Registration {
    /// The displacement `[batch, x y (z), (z,) y, x]` in voxels: where in the made image each voxel of the real one lies.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the images are not alike, of one channel and of even extents.
    pub fn field(&self, made: &Tensor, real: &Tensor) -> Result<Tensor, Error> {
        self.layers.forward(&Tensor::f_cat(&[made, real], 1)?, None)
    }
}

/// The image `[batch, channels, (z,) y, x]` read at every voxel's place plus its displacement, linearly between voxels; beyond
/// the image its edge stands.
///
/// # Errors
/// [`Error::ImageShape`] when the displacement has not one channel per axis, [`Error::Torch`] when the extents differ.
pub fn warped(image: &Tensor, displacement: &Tensor) -> Result<Tensor, Error> {
    let size = displacement.size();
    let extents: Vec<i64> = size.get(2..).unwrap_or_default().to_vec();
    let axes = extents.len() as i64;
    if !(2..=3).contains(&axes) || size[1] != axes {
        let expected = "a displacement [batch, axes, (z,) y, x]".to_owned();
        return Err(Error::ImageShape { expected, found: size });
    }
    let mut places = Vec::new();
    for (channel, &extent) in extents.iter().rev().enumerate() {
        let mut along = vec![1; axes as usize + 1];
        along[axes as usize - channel] = extent;
        let voxel = Tensor::f_arange(extent, (Kind::Float, Device::Cpu))?.f_view(along.as_slice())?;
        let place = displacement.f_select(1, channel as i64)?.f_add(&voxel)?;
        // grid_sampler counts from -1 at the first voxel's centre to 1 at the last one's.
        let half = (extent - 1).max(1) as f64 / 2.0;
        places.push(place.f_div_scalar(half)?.f_add_scalar(-1.0)?);
    }
    let (linear, edge) = (0, 1);
    Ok(image.f_grid_sampler(&Tensor::f_stack(&places, -1)?, linear, edge, true)?)
}

/// How rough a displacement is: the mean of its squared steps from voxel to voxel, summed over the axes. A scalar tensor.
///
/// # Errors
/// [`Error::Torch`] when the tensor has no spatial axes.
pub fn roughness(displacement: &Tensor) -> Result<Tensor, Error> {
    let mut total = displacement.f_sum(None)?.f_mul_scalar(0.0)?;
    for (axis, &extent) in displacement.size().iter().enumerate().skip(2).filter(|(_, extent)| **extent > 1) {
        let axis = axis as i64;
        let step = displacement.f_narrow(axis, 1, extent - 1)?.f_sub(&displacement.f_narrow(axis, 0, extent - 1)?)?;
        total = total.f_add(&step.f_square()?.f_mean(None)?)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Tensor {
        Tensor::arange(12, (Kind::Float, Device::Cpu)).view([1, 1, 3, 4])
    }

    fn displacement(dx: f64, dy: f64) -> Tensor {
        let plane = |d: f64| Tensor::full([1, 1, 3, 4], d, (Kind::Float, Device::Cpu));
        Tensor::cat(&[plane(dx), plane(dy)], 1)
    }

    fn farthest(a: &Tensor, b: &[f32]) -> f64 {
        (a - Tensor::from_slice(b).view(a.size().as_slice())).abs().max().double_value(&[])
    }

    #[test]
    fn a_displacement_reads_the_image_elsewhere_and_the_edge_stands_beyond() {
        assert!(
            farthest(&warped(&ramp(), &displacement(0.0, 0.0)).unwrap(), &Vec::from_iter((0..12u8).map(f32::from)))
                < 1e-5
        );
        let right = [1.0, 2.0, 3.0, 3.0, 5.0, 6.0, 7.0, 7.0, 9.0, 10.0, 11.0, 11.0];
        assert!(farthest(&warped(&ramp(), &displacement(1.0, 0.0)).unwrap(), &right) < 1e-5);
        let half_down = [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 8.0, 9.0, 10.0, 11.0];
        assert!(farthest(&warped(&ramp(), &displacement(0.0, 0.5)).unwrap(), &half_down) < 1e-5);
    }

    #[test]
    fn in_volumes_the_third_channel_runs_along_z() {
        let volume = ramp().view([1, 1, 3, 2, 2]);
        let zeros = Tensor::zeros([1, 2, 3, 2, 2], (Kind::Float, Device::Cpu));
        let up = Tensor::cat(&[zeros, Tensor::ones([1, 1, 3, 2, 2], (Kind::Float, Device::Cpu))], 1);
        let expected = [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 8.0, 9.0, 10.0, 11.0];
        assert!(farthest(&warped(&volume, &up).unwrap(), &expected) < 1e-5);
    }

    #[test]
    fn roughness_by_hand() {
        assert_eq!(roughness(&displacement(3.0, -2.0)).unwrap().double_value(&[]), 0.0);
        // x moves by 2 per column: 4 along x in one of two channels.
        let columns = Tensor::from_slice(&[0.0f32, 2.0, 4.0, 6.0]).expand([1, 1, 3, 4], false);
        let bent = Tensor::cat(&[columns, Tensor::zeros([1, 1, 3, 4], (Kind::Float, Device::Cpu))], 1);
        assert_eq!(roughness(&bent).unwrap().double_value(&[]), 2.0);
    }

    #[test]
    fn a_displacement_of_other_axes_is_refused() {
        let refused = warped(&ramp(), &ramp());
        assert!(matches!(refused, Err(Error::ImageShape { .. })));
    }
}

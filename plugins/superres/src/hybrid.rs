use isoscan_nn::{Activation, Architecture, Dim, Error, Parameters, UNet, UNetRecipe, enlarged};
use tch::{Device, Kind, Tensor};

use crate::DoublingRecipe;

/// Doubles one axis on the spectrum first and on the image then.
///
/// The plane is enlarged by interpolation and transformed; a U-Net corrects its spectrum, real and imaginary part as two
/// channels (a complex convolution as two real ones); the image of that beside the enlarged plane goes to a second
/// U-Net, which adds to the latter. Spectra of images fall with the frequency, so the network sees the spectrum times
/// the frequency and its correction is divided by it.
#[derive(Debug)]
pub struct Hybrid {
    spectrum: UNet,
    image: UNet,
}

impl Architecture for Hybrid {
    type Recipe = DoublingRecipe;

    fn build(p: &mut Parameters, recipe: &DoublingRecipe) -> Result<Self, Error> {
        let network = |channels: [i64; 2]| UNetRecipe {
            channels_in: channels[0],
            channels_out: channels[1],
            features: vec![recipe.width, 2 * recipe.width],
            blocks: recipe.blocks.clamp(1, 4),
            activation: Activation::Leaky,
            residual: (channels[1] == 1).then_some(0),
            ..UNetRecipe::default()
        };
        let spectrum = p.scoped("spectrum", |p| UNet::build(p, &network([2, 2])))?;
        let image = p.scoped("image", |p| UNet::build(p, &network([2, 1])))?;
        Ok(Self { spectrum, image })
    }
}

impl Hybrid {
    /// `[batch, 1, y, x]` with twice the columns.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when the shape is not that.
    pub fn forward(&self, plane: &Tensor) -> Result<Tensor, Error> {
        Dim::Two.check(plane, 1, &[1, 1])?;
        let enlarged = enlarged(plane, &[1, 2])?;
        let (rows, columns) = (enlarged.size()[2], enlarged.size()[3]);
        // Both networks halve the grid once.
        let whole = enlarged.f_pad([0, columns % 2, 0, rows % 2], "replicate", None)?;
        let weights = frequencies([rows + rows % 2, columns + columns % 2])?;
        let axes = Some(&[-2_i64, -1][..]);
        let spectrum = whole.f_fft_fft2(None::<i64>, &[-2_i64, -1][..], "ortho")?.f_fft_fftshift(axes)?;
        let parts = spectrum.f_view_as_real()?.f_squeeze_dim(1)?.f_permute([0, 3, 1, 2])?;
        let correction = self.spectrum.forward(&parts.f_mul(&weights)?, None)?.f_div(&weights)?;
        let parts = parts.f_add(&correction)?.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        let spectrum = parts.f_view_as_complex()?.f_fft_ifftshift(axes)?;
        let corrected = spectrum.f_fft_ifft2(None::<i64>, &[-2_i64, -1][..], "ortho")?.f_real()?.f_unsqueeze(1)?;
        let made = self.image.forward(&Tensor::f_cat(&[whole, corrected], 1)?, None)?;
        Ok(made.f_narrow(2, 0, rows)?.f_narrow(3, 0, columns)?)
    }
}

/// The frequency of each place of a shifted spectrum in cycles per voxel, at least 1/64, times 4.
fn frequencies([rows, columns]: [i64; 2]) -> Result<Tensor, Error> {
    let line = |n: i64| (0..n).map(move |i| (i - n / 2) as f64 / n as f64);
    let values: Vec<f32> =
        line(rows).flat_map(|v| line(columns).map(move |u| (4.0 * u.hypot(v).max(1.0 / 64.0)) as f32)).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([rows, columns])?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?)
}

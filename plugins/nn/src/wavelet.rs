use tch::Tensor;

use crate::{Error, dim::dim_of, polyphase_merge, polyphase_split};

/// Orthonormal Haar analysis over one level: `[b, c, y, x]` to `[b, 4 c, y/2, x/2]`, volumes to 8 c bands.
///
/// Bands of a channel follow one another: LL, LH, HL, HH (L mean, H difference; first letter y, second x), in 3-D with
/// z in front. `LL = (a + b + c + d) / 2` of the four phases `a b / c d`, `LH = (a - b + c - d) / 2`; energy is kept.
///
/// # Errors
/// [`Error::ImageShape`] when an extent is odd.
pub fn haar_analysis(image: &Tensor) -> Result<Tensor, Error> {
    let dim = dim_of(image)?;
    mixed(&polyphase_split(image, &dim.each(2))?, dim.axes() as u32)
}

/// The image of its Haar bands, the inverse of [`haar_analysis`].
///
/// # Errors
/// [`Error::ImageShape`] when the channels are no multiple of 4, or 8 in 3-D.
pub fn haar_synthesis(bands: &Tensor) -> Result<Tensor, Error> {
    let dim = dim_of(bands)?;
    let channels = bands.size()[1];
    if channels % (1 << dim.axes()) != 0 {
        let expected = format!("[batch, channel, ...] with channels that are a multiple of {}", 1 << dim.axes());
        return Err(Error::ImageShape { expected, found: bands.size() });
    }
    polyphase_merge(&mixed(bands, dim.axes() as u32)?, &dim.each(2))
}

/// The Hadamard matrix over the phases of each channel, symmetric and orthogonal: its own inverse.
fn mixed(phases: &Tensor, axes: u32) -> Result<Tensor, Error> {
    let (shape, count) = (phases.size(), 1_i64 << axes);
    let gain = (count as f64).sqrt().recip() as f32;
    let signs: Vec<f32> = (0..count * count)
        .map(|i| if ((i / count) & (i % count)).count_ones() % 2 == 0 { gain } else { -gain })
        .collect();
    let matrix = Tensor::f_from_slice(&signs)?.f_view([count, count])?;
    let apart = phases.f_reshape([shape[0], shape[1] / count, count, -1])?;
    Ok(matrix.f_matmul(&apart)?.f_reshape(shape.as_slice())?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn four_voxels_by_hand() {
        let image = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 6.0]).view([1, 1, 2, 2]);
        let bands = Vec::<f32>::try_from(haar_analysis(&image).unwrap().flatten(0, -1)).unwrap();
        // LL = 12/2, LH = (1-2+3-6)/2, HL = (1+2-3-6)/2, HH = (1-2-3+6)/2.
        assert_eq!(bands, [6.0, -2.0, -3.0, 1.0]);
    }

    #[test]
    fn synthesis_of_the_analysis_is_the_image_and_energy_is_kept() {
        for shape in [vec![2, 3, 4, 6], vec![1, 2, 4, 2, 6]] {
            let count = shape.iter().product::<i64>();
            let image = Tensor::arange(count, (Kind::Float, Device::Cpu)).sin().view(shape.as_slice());
            let bands = haar_analysis(&image).unwrap();
            let back = haar_synthesis(&bands).unwrap();
            assert!((&back - &image).abs().max().double_value(&[]) < 1e-6);
            let energy = |t: &Tensor| t.square().sum(Kind::Double).double_value(&[]);
            assert!((energy(&bands) / energy(&image) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn odd_extents_and_channels_are_refused() {
        let image = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        assert!(matches!(haar_analysis(&image(&[1, 1, 3, 4])), Err(Error::ImageShape { .. })));
        assert!(matches!(haar_synthesis(&image(&[1, 6, 3, 4])), Err(Error::ImageShape { .. })));
        assert!(matches!(haar_synthesis(&image(&[4, 4])), Err(Error::ImageShape { .. })));
    }
}

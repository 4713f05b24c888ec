use std::borrow::Cow;

use isoscan_abi::{Input, Normalize, Region};
use isoscan_imaging::{IntensityScale, Mask, Normalization, TissueMode, Volume, body, normalize};

use crate::Error;

/// The image with the intensities that the input declares, and the change that takes them back; the image itself when it
/// declares none.
pub(crate) fn normalized<'a>(
    image: &'a Volume,
    input: &Input,
) -> Result<(Cow<'a, Volume>, Option<IntensityScale>), Error> {
    let (normalization, region) = match input.normalize {
        None => return Ok((Cow::Borrowed(image), None)),
        Some(Normalize::ZScore { region }) => (Normalization::ZScore, region),
        Some(Normalize::Percentile { low, high, region }) => (Normalization::Percentile { low, high }, region),
        Some(Normalize::WhiteStripe {}) => {
            (Normalization::WhiteStripe { mode: TissueMode::Last, width: 0.05 }, Region::All)
        }
    };
    let (volume, scale) = normalize(image, mask(image, region)?.as_ref(), normalization)?;
    Ok((Cow::Owned(volume), Some(scale)))
}

fn mask(image: &Volume, region: Region) -> Result<Option<Mask>, Error> {
    Ok(match region {
        Region::All => None,
        Region::Body => Some(body(image)?),
        Region::Nonzero => Some(Mask::new(image.voxels().mapv(|v| v != 0.0), image.geometry().clone())?),
    })
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    /// A body of 8 x 8 voxels, 10 and 30 by turns, in air of 0.
    fn image() -> Volume {
        let voxels = Array3::from_shape_fn((1, 16, 16), |(_, y, x)| {
            let inside = (4..12).contains(&y) && (4..12).contains(&x);
            if inside { 10.0 + 20.0 * ((x + y) % 2) as f32 } else { 0.0 }
        });
        let geometry = Geometry::axis_aligned([16, 16, 1], [1.0; 3]).unwrap();
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn region_decides_which_voxels_count_and_the_scale_takes_the_change_back() {
        let rows = [
            (Normalize::ZScore { region: Region::Body }, 20.0, 10.0),
            (Normalize::ZScore { region: Region::Nonzero }, 20.0, 10.0),
            (Normalize::ZScore { region: Region::All }, 5.0, 10.0),
            (Normalize::Percentile { low: 0.0, high: 100.0, region: Region::Body }, 10.0, 20.0),
        ];
        for (declared, offset, scale) in rows {
            let input = Input { normalize: Some(declared), ..Input::any("image", "") };
            let image = image();
            let (seen, back) = normalized(&image, &input).unwrap();
            let back = back.unwrap();
            assert!(
                (back.offset() - offset).abs() < 1e-9 && (back.scale() - scale).abs() < 1e-9,
                "{declared:?}: {back:?}"
            );
            assert_eq!(seen.unit(), Unit::Normalized);
            for (found, expected) in back.undo(&seen, Unit::Arbitrary).as_slice().iter().zip(image.as_slice()) {
                assert!((found - expected).abs() < 1e-4, "{declared:?}");
            }
        }
    }

    #[test]
    fn input_that_declares_nothing_passes_as_it_is() {
        let image = image();
        let (seen, scale) = normalized(&image, &Input::any("image", "")).unwrap();
        assert!(matches!(seen, Cow::Borrowed(_)) && scale.is_none());
    }
}

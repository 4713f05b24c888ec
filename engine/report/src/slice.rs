//! Slices as PNG images: grey in the window, signed differences in two colours.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::Array2;

use crate::error::Error;

/// Grey image of a slice in a window, as a `data:` address.
///
/// Values at or below `centre - width / 2` are black, at or above `centre + width / 2` white, NaN black.
pub(crate) fn grey(slice: &Array2<f32>, window: [f64; 2]) -> Result<String, Error> {
    Ok(address(&png(slice.dim(), png::ColorType::Grayscale, window_bytes(slice, window))?))
}

/// Image of signed differences: blue below zero, white at zero, red above; `limit` and beyond are darkest.
pub(crate) fn signed(difference: &Array2<f32>, limit: f64) -> Result<String, Error> {
    let bytes = difference.iter().flat_map(|&value| signed_colour(f64::from(value) / limit)).collect();
    Ok(address(&png(difference.dim(), png::ColorType::Rgb, bytes)?))
}

/// A PNG picture of batches of patches: one row per batch, its patches side by side from left to right.
///
/// Each batch holds patches of `[width, height]` pixels one after the other, x fastest; batches may differ in length,
/// and the room that a shorter one leaves is black. `window` is centre and width.
///
/// # Errors
/// [`Error::PatchSize`] when a batch is no whole number of patches or there is none at all, [`Error::Png`] when the
/// picture cannot be encoded.
pub fn patch_strip(batches: &[&[f32]], patch: [usize; 2], window: [f64; 2]) -> Result<Vec<u8>, Error> {
    let [width, height] = patch;
    let pixels = width * height;
    let longest = batches.iter().map(|batch| batch.len()).max().unwrap_or(0);
    if let Some(odd) = batches.iter().find(|batch| pixels == 0 || batch.len() % pixels != 0) {
        return Err(Error::PatchSize { patch, found: odd.len() });
    }
    if longest == 0 {
        return Err(Error::PatchSize { patch, found: 0 });
    }
    let size = (height * batches.len(), longest / pixels * width);
    let picture = Array2::from_shape_fn(size, |(row, column)| {
        let index = column / width * pixels + row % height * width + column % width;
        batches[row / height].get(index).copied().unwrap_or(f32::NAN)
    });
    png(picture.dim(), png::ColorType::Grayscale, window_bytes(&picture, window))
}

fn window_bytes(slice: &Array2<f32>, [center, width]: [f64; 2]) -> Vec<u8> {
    let low = center - width / 2.0;
    slice.iter().map(|&value| (255.0 * (f64::from(value) - low) / width).round().clamp(0.0, 255.0) as u8).collect()
}

/// Anchors of the two arms from zero outwards; lightness falls evenly on both sides, so neither sign looks larger.
const BELOW: [[f64; 3]; 3] = [[255.0, 255.0, 255.0], [103.0, 169.0, 207.0], [5.0, 60.0, 110.0]];
const ABOVE: [[f64; 3]; 3] = [[255.0, 255.0, 255.0], [239.0, 138.0, 98.0], [122.0, 10.0, 35.0]];

/// Colour of a difference given as a fraction of the limit, from -1 to 1; NaN is white.
fn signed_colour(fraction: f64) -> [u8; 3] {
    let arm = if fraction < 0.0 { &BELOW } else { &ABOVE };
    let position = if fraction.is_nan() { 0.0 } else { fraction.abs().min(1.0) * 2.0 };
    let (near, far, weight) =
        if position < 1.0 { (arm[0], arm[1], position) } else { (arm[1], arm[2], position - 1.0) };
    [0, 1, 2].map(|channel| (near[channel] + weight * (far[channel] - near[channel])).round() as u8)
}

/// The colour scale of [`signed`] as a CSS gradient from `-limit` to `limit`.
pub(crate) fn signed_gradient() -> String {
    let stops: Vec<String> = (-4..=4)
        .map(|step| {
            let [red, green, blue] = signed_colour(f64::from(step) / 4.0);
            format!("rgb({red} {green} {blue})")
        })
        .collect();
    format!("linear-gradient(to right,{})", stops.join(","))
}

/// A round limit (1, 2 or 5 times a power of ten) that 99 % of the absolute differences stay within.
///
/// Gives 1 when there is no finite difference other than zero.
pub(crate) fn round_limit(difference: &Array2<f32>) -> f64 {
    let mut sizes: Vec<f32> =
        difference.iter().map(|value| value.abs()).filter(|size| size.is_finite() && *size > 0.0).collect();
    if sizes.is_empty() {
        return 1.0;
    }
    sizes.sort_by(f32::total_cmp);
    let typical = f64::from(sizes[(99 * sizes.len()).div_ceil(100) - 1]);
    let power = 10f64.powi(typical.log10().floor() as i32);
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|limit| *limit >= typical).unwrap_or(10.0 * power)
}

fn png(dim: (usize, usize), color: png::ColorType, bytes: Vec<u8>) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, dim.1 as u32, dim.0 as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Balanced);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()?;
    Ok(file)
}

fn address(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(png))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn pixels(address: &str) -> Vec<u8> {
        decoded(STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap())
    }

    fn decoded(file: Vec<u8>) -> Vec<u8> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_window_maps_its_ends_to_black_and_white() {
        let slice = array![[-160.0, 240.0, 40.0], [-1000.0, 3000.0, f32::NAN]];
        assert_eq!(pixels(&grey(&slice, [40.0, 400.0]).unwrap()), [0, 255, 128, 0, 255, 0]);
    }

    #[test]
    fn patches_stand_in_rows_of_batches() {
        let found = patch_strip(&[&[0.0, 1.0, 2.0, 3.0], &[4.0, 5.0]], [2, 1], [127.5, 255.0]).unwrap();
        assert_eq!(decoded(found), [0, 1, 2, 3, 4, 5, 0, 0]);
        let odd = patch_strip(&[&[0.0; 3]], [2, 1], [0.0, 1.0]);
        assert!(matches!(odd, Err(Error::PatchSize { patch: [2, 1], found: 3 })));
        assert!(matches!(patch_strip(&[], [2, 1], [0.0, 1.0]), Err(Error::PatchSize { found: 0, .. })));
    }

    #[test]
    fn differences_are_blue_below_and_red_above() {
        let found = pixels(&signed(&array![[-50.0, 0.0, 25.0, 90.0]], 50.0).unwrap());
        assert_eq!(found, [5, 60, 110, 255, 255, 255, 239, 138, 98, 122, 10, 35]);
    }

    #[test]
    fn limits_are_round_and_hold_nearly_all_differences() {
        let rows: [(&[f32], f64); 5] =
            [(&[0.0, 0.0], 1.0), (&[3.0, -42.0], 50.0), (&[20.0], 20.0), (&[0.013], 0.02), (&[f32::NAN], 1.0)];
        for (values, expected) in rows {
            let difference = Array2::from_shape_vec((1, values.len()), values.to_vec()).unwrap();
            assert!((round_limit(&difference) - expected).abs() < 1e-12, "{values:?}");
        }
    }
}

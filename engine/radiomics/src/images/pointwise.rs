use crate::image::{Bounds, Image};
use crate::settings::ImageType;

/// `f(x)` of every voxel of a box, in f64, scaled by the largest magnitude `m` of the whole image so that it stays in
/// the range of the image:
///
/// | image type | f(x) |
/// |---|---|
/// | Square | `(x / √m)²` |
/// | SquareRoot | `sign(x) √(m |x|)` |
/// | Logarithm | `sign(x) ln(|x| + 1) m / ln(m + 1)` |
/// | Exponential | `exp(x ln(m) / m)` |
pub(super) fn pointwise(kind: ImageType, image: &Image, bounds: Bounds) -> Vec<f64> {
    let largest = image.largest();
    let mut values = image.values_in(bounds);
    let apply = |values: &mut [f64], f: &dyn Fn(f64) -> f64| values.iter_mut().for_each(|v| *v = f(*v));
    match kind {
        ImageType::Square => {
            let scale = 1.0 / largest.sqrt();
            apply(&mut values, &|x| (scale * x) * (scale * x));
        }
        ImageType::SquareRoot => apply(&mut values, &|x| signed(x, |magnitude| (magnitude * largest).sqrt())),
        ImageType::Logarithm => {
            let scale = largest / (largest + 1.0).ln();
            apply(&mut values, &|x| signed(x, |magnitude| (magnitude + 1.0).ln()) * scale);
        }
        ImageType::Exponential => {
            let scale = largest.ln() / largest;
            apply(&mut values, &|x| (scale * x).exp());
        }
        _ => {}
    }
    values
}

/// `f` of the magnitude with the sign of `x`; 0 and NaN stay.
fn signed(x: f64, f: impl Fn(f64) -> f64) -> f64 {
    if x > 0.0 {
        f(x)
    } else if x < 0.0 {
        -f(-x)
    } else {
        x
    }
}

use isoscan_nn::Error;
use tch::{Kind, Tensor};

/// The share of the edges of `made` that have no edge of `source` along them, both `[batch, 1, y, x]` in a scale of -1 to 1:
///
/// `1 - sum w (grad s . grad m)^2 / ((|grad s|^2 + e^2) (|grad m|^2 + d^2)) / sum w`, `w = |grad m|`, `e` 0.06, `d` 0.001
///
/// over all pixels, gradients being differences to the next pixel (normalised gradient fields, Haber and Modersitzki 2006).
/// The weight passes no gradient, so that edges turn rather than fade. 0 where contrasts differ and edges do not; near 1
/// where all edges are invented. Worked case: two images with the same step of 1 give `1 - 1 / ((1 + e^2) (1 + d^2))`.
///
/// # Errors
/// [`Error::Torch`] when the images do not have the same shape.
pub(crate) fn edges_of_its_own(made: &Tensor, source: &Tensor) -> Result<Tensor, Error> {
    let [along_x, along_y] = gradient(made)?;
    let [source_x, source_y] = gradient(source)?;
    let square = along_x.f_square()?.f_add(&along_y.f_square()?)?;
    let source_square = source_x.f_square()?.f_add(&source_y.f_square()?)?;
    let product = along_x.f_mul(&source_x)?.f_add(&along_y.f_mul(&source_y)?)?;
    let scale = square.f_add_scalar(FLOOR * FLOOR)?.f_mul(&source_square.f_add_scalar(FAINT * FAINT)?)?;
    let shared = product.f_square()?.f_div(&scale)?;
    let weight = square.f_detach()?.f_sqrt()?;
    let share = shared.f_mul(&weight)?.f_sum(Kind::Float)?.f_div(&weight.f_sum(Kind::Float)?.f_add_scalar(FLOOR)?)?;
    Ok(share.f_neg()?.f_add_scalar(1.0)?)
}

/// Gradients of the source far below this are none.
const FAINT: f64 = 0.06;
/// Keeps flat images from being divided by 0.
const FLOOR: f64 = 0.001;

/// Differences to the next pixel along x and y, but for the last row and column.
fn gradient(image: &Tensor) -> Result<[Tensor; 2], Error> {
    let size = image.size();
    let [height, width] = [size[2] - 1, size[3] - 1];
    let here = image.f_narrow(2, 0, height)?.f_narrow(3, 0, width)?;
    Ok([
        image.f_narrow(2, 0, height)?.f_narrow(3, 1, width)?.f_sub(&here)?,
        image.f_narrow(2, 1, height)?.f_narrow(3, 0, width)?.f_sub(&here)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of `height` after the third of six columns, or of six rows.
    fn step(height: f32, across: bool) -> Tensor {
        let values: Vec<f32> =
            (0..36).map(|i| if (if across { i / 6 } else { i % 6 }) < 3 { 0.0 } else { height }).collect();
        Tensor::from_slice(&values).view([1, 1, 6, 6])
    }

    #[test]
    fn edges_count_by_place_and_not_by_contrast() {
        let own = |made: &Tensor, source: &Tensor| edges_of_its_own(made, source).unwrap().double_value(&[]);
        let shared = 1.0 / ((1.0 + FAINT * FAINT) * (1.0 + FLOOR * FLOOR));
        for (made, source, expected) in [
            (step(1.0, false), step(1.0, false), 1.0 - shared),
            (step(-1.0, false), step(1.0, false), 1.0 - shared),
            (step(1.0, true), step(1.0, false), 0.97),
            (step(1.0, false), step(0.0, false), 1.0),
            (step(0.0, false), step(1.0, false), 1.0),
        ] {
            let found = own(&made, &source);
            assert!((found - expected).abs() < 0.04, "{found}, not {expected}");
        }
        assert!((own(&step(1.0, false), &step(1.0, false)) - (1.0 - shared)).abs() < 1e-3);
    }
}

use std::f64::consts::TAU;

use isoscan_nn::Error;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How a scanner of lower resolution sees a fine image, axis by axis. Linear: along an axis it is a matrix `D` from `f n`
/// fine to `n` coarse voxels, and `U` back with `D U = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forward {
    /// The middle of k-space: `D` samples, at the coarse voxels, the waves of at most `n / 2` cycles; `U` fills the rest of
    /// k-space with zeros. MR.
    Kspace,
    /// The mean over the fine voxels in a coarse one; `U` repeats. Slices that touch and have a rectangular profile.
    Mean,
    /// The middle of k-space along x and y, the mean along z. MR in slices; thick slices of CT on a kept matrix.
    Slices,
}

impl Forward {
    /// The words of the parameter `forward`.
    pub const WORDS: [&'static str; 3] = ["slices", "kspace", "mean"];

    /// The model of a word; unknown ones are the first.
    pub fn of(word: &str) -> Self {
        match word {
            "kspace" => Self::Kspace,
            "mean" => Self::Mean,
            _ => Self::Slices,
        }
    }

    /// What the coarse scanner sees of `fine`, `[batch, channel, z, y, x]`; `factors` z, y, x.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when an extent is no multiple of its factor.
    pub fn degraded(self, fine: &Tensor, factors: [i64; 3]) -> Result<Tensor, Error> {
        let shape = fine.size();
        if shape.len() != 5 || (0..3).any(|axis| factors[axis] < 1 || shape[2 + axis] % factors[axis] != 0) {
            let expected = format!("[batch, channel, z, y, x] with extents that are multiples of {factors:?}");
            return Err(Error::ImageShape { expected, found: shape });
        }
        self.along_all(fine, factors, |way, axis, factor| way.down(shape[2 + axis] / factor, factor))
    }

    /// `fine + U (coarse - D fine)`: the nearest image to `fine` that degrades to `coarse`, in double precision.
    ///
    /// # Errors
    /// As [`Forward::degraded`]; [`Error::Torch`] when `coarse` is of another size.
    pub fn projected(self, fine: &Tensor, coarse: &Tensor, factors: [i64; 3]) -> Result<Tensor, Error> {
        let [fine, coarse] = [fine.f_to_kind(Kind::Double)?, coarse.f_to_kind(Kind::Double)?];
        let missing = coarse.f_sub(&self.degraded(&fine, factors)?)?;
        let shape = missing.size();
        let correction = self.along_all(&missing, factors, |way, axis, factor| way.up(shape[2 + axis], factor))?;
        Ok(fine.f_add(&correction)?)
    }

    fn along_all(
        self,
        image: &Tensor,
        factors: [i64; 3],
        matrix: impl Fn(Along, usize, i64) -> Result<Tensor, Error>,
    ) -> Result<Tensor, Error> {
        let mut image = image.shallow_clone();
        for axis in (0..3).filter(|&axis| factors[axis] > 1) {
            let way = match self {
                Self::Kspace => Along::Kspace,
                Self::Mean => Along::Mean,
                Self::Slices if axis == 0 => Along::Mean,
                Self::Slices => Along::Kspace,
            };
            let matrix = matrix(way, axis, factors[axis])?.f_to_kind(image.kind())?;
            let last = image.f_transpose(2 + axis as i64, -1)?;
            image = last.f_matmul(&matrix.f_transpose(0, 1)?)?.f_transpose(2 + axis as i64, -1)?;
        }
        Ok(image.f_contiguous()?)
    }
}

/// The model along one axis.
#[derive(Clone, Copy)]
enum Along {
    Kspace,
    Mean,
}

impl Along {
    /// `D`, `[n, f n]`.
    fn down(self, coarse: i64, factor: i64) -> Result<Tensor, Error> {
        let fine = coarse * factor;
        table([coarse, fine], |j, m| match self {
            Self::Mean => f64::from(u8::from(m / factor == j)) / factor as f64,
            // Both waves of n / 2 cycles are the same one at the coarse voxels: each counts in full.
            Self::Kspace => waves(j as f64 - place(m, factor), coarse, 2.0) / fine as f64,
        })
    }

    /// `U`, `[f n, n]`.
    fn up(self, coarse: i64, factor: i64) -> Result<Tensor, Error> {
        table([coarse * factor, coarse], |m, j| match self {
            Self::Mean => f64::from(u8::from(m / factor == j)),
            Self::Kspace => waves(place(m, factor) - j as f64, coarse, 1.0) / coarse as f64,
        })
    }
}

/// Centre of fine voxel `m` in coarse voxels: `(m + 1/2) / f - 1/2`.
fn place(m: i64, factor: i64) -> f64 {
    (m as f64 + 0.5) / factor as f64 - 0.5
}

/// `Σ_k cos(2π k t / n)` over `|k| < n / 2`, and for even `n` `nyquist` times the wave of `n / 2` cycles.
fn waves(t: f64, n: i64, nyquist: f64) -> f64 {
    let whole: f64 = (1..=(n - 1) / 2).map(|k| 2.0 * (TAU * k as f64 * t / n as f64).cos()).sum();
    let half = if n % 2 == 0 { nyquist * (TAU * t / 2.0).cos() } else { 0.0 };
    1.0 + whole + half
}

fn table([rows, columns]: [i64; 2], value: impl Fn(i64, i64) -> f64) -> Result<Tensor, Error> {
    let values: Vec<f64> = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| value(row, column))
        .collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([rows, columns])?)
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Random, image};

    use super::*;

    fn noise(shape: [usize; 5], seed: u64) -> Tensor {
        let random = Random::new(seed, &[1]);
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| random.normal(i as u64) as f32).collect();
        image(&values, &shape).unwrap()
    }

    fn largest(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn a_projected_image_degrades_to_its_input_whatever_it_was() {
        for forward in [Forward::Kspace, Forward::Mean, Forward::Slices] {
            for factors in [[1, 2, 2], [4, 1, 1], [2, 2, 4], [1, 3, 1]] {
                let [z, y, x] = [0, 1, 2].map(|axis| (factors[axis] * [3, 4, 5][axis]) as usize);
                let (coarse, fine) = (noise([1, 1, 3, 4, 5], 1) * 900.0, noise([1, 1, z, y, x], 2) * 900.0);
                let made = forward.projected(&fine, &coarse, factors).unwrap();
                let again = forward.degraded(&made, factors).unwrap();
                assert!(largest(&again, &coarse) < 1e-9, "{forward:?} {factors:?}");
                assert!(largest(&forward.projected(&made, &coarse, factors).unwrap(), &made) < 1e-9);
            }
        }
    }

    #[test]
    fn the_mean_of_blocks_by_hand() {
        let fine = image(&[1.0, 3.0, 5.0, 7.0, 2.0, 4.0, 6.0, 8.0], &[1, 1, 2, 1, 4]).unwrap();
        let coarse = Forward::Mean.degraded(&fine, [2, 1, 2]).unwrap().flatten(0, -1);
        assert_eq!(Vec::<f32>::try_from(coarse).unwrap(), [2.5, 6.5]);
    }

    #[test]
    fn a_slow_wave_is_sampled_at_the_coarse_voxels_and_a_fast_one_is_lost() {
        // 16 fine voxels, 8 coarse ones: 3 cycles are seen, 5 are not.
        for (cycles, seen) in [(3.0, 1.0), (5.0, 0.0)] {
            let wave = |t: f64| (TAU * cycles * t / 8.0).cos();
            let fine: Vec<f32> = (0..16).map(|m| wave(place(m, 2)) as f32).collect();
            let coarse = Forward::Kspace.degraded(&image(&fine, &[1, 1, 1, 1, 16]).unwrap(), [1, 1, 2]).unwrap();
            for j in 0..8_i64 {
                let found = coarse.double_value(&[0, 0, 0, 0, j]);
                assert!((found - seen * wave(j as f64)).abs() < 1e-6, "{cycles} cycles at {j}: {found}");
            }
        }
    }

    #[test]
    fn an_extent_that_is_no_multiple_is_refused() {
        let refused = Forward::Mean.degraded(&noise([1, 1, 3, 4, 4], 1), [2, 1, 1]);
        assert!(matches!(refused, Err(Error::ImageShape { .. })));
    }
}

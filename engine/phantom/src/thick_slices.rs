use isoscan_imaging::Volume;
use ndarray::Array3;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::Error;
use crate::mr::kspace::coarsened;
use crate::random::{Purpose, hash, keyed};

/// Shape of what a slice sees along its axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceProfile {
    /// All of the thickness and nothing else.
    Rectangular,
    /// A bell whose full width at half height is the thickness.
    Gaussian,
}

/// Slice sensitivity profile: what share each place along the slice axis has in a slice (Polacin, Kalender & Marchal,
/// Radiology 185, 1992).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SliceSensitivity {
    /// Its shape.
    pub profile: SliceProfile,
    /// Its full width at half height, mm. Above the distance of the slices they overlap, below there are gaps.
    pub thickness_mm: f64,
}

/// Evenly spaced planes along the slice axis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes {
    /// Place of the first one, mm.
    pub(crate) first_mm: f64,
    /// Distance of their middles, mm.
    pub(crate) step_mm: f64,
    /// How many.
    pub(crate) count: usize,
}

/// An image as a scanner with thicker slices would have made it: `factor` slices become one.
///
/// Slice `j` is `Σ_k w_jk x_k`, `w_jk` the share of slice `k` in the profile around the middle of the slices from `j f` to
/// `j f + f - 1`; the shares of a slice sum to one, also where its profile reaches past the ends of the image. A
/// rectangular profile as thick as `factor` slices gives their mean. `sigma` is the standard deviation of Gaussian noise
/// in the new image, in its unit. In-plane nothing changes, and modality and unit stay.
///
/// ```
/// use isoscan_imaging::{Geometry, Modality, Unit, Volume};
/// use isoscan_phantom::{SliceProfile, SliceSensitivity, thick_slices};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ramp = ndarray::Array3::from_shape_fn((4, 1, 1), |(k, _, _)| 10.0 * k as f32);
/// let thin = Volume::new(ramp, Geometry::axis_aligned([1, 1, 4], [1.0; 3])?, Modality::Ct, Unit::Hounsfield)?;
/// let sensitivity = SliceSensitivity { profile: SliceProfile::Rectangular, thickness_mm: 2.0 };
/// let thick = thick_slices(&thin, 2, sensitivity, 0.0, 1)?;
/// assert_eq!(thick.as_slice(), [5.0, 25.0]);
/// assert_eq!(thick.geometry().origin_mm(), [0.0, 0.0, 0.5]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::InvalidArgument`] for a factor that does not divide the number of slices, a thickness below the distance of
/// the image's slices, or a sigma below 0.
pub fn thick_slices(
    image: &Volume,
    factor: usize,
    sensitivity: SliceSensitivity,
    sigma: f64,
    seed: u64,
) -> Result<Volume, Error> {
    let geometry = image.geometry();
    let ([nx, ny, nz], step_mm) = (geometry.size(), geometry.spacing_mm()[2]);
    if factor == 0 || nz % factor != 0 {
        let (name, expected) = ("factor", "a divisor of the number of slices");
        return Err(Error::InvalidArgument { name, expected, found: factor as f64 });
    }
    let SliceSensitivity { thickness_mm, .. } = sensitivity;
    if !(thickness_mm.is_finite() && thickness_mm >= step_mm) {
        let (name, expected) = ("thickness_mm", "at least the distance of the slices");
        return Err(Error::InvalidArgument { name, expected, found: thickness_mm });
    }
    if !(sigma.is_finite() && sigma >= 0.0) {
        return Err(Error::InvalidArgument { name: "sigma", expected: "zero or more", found: sigma });
    }
    let planes = Planes { first_mm: 0.0, step_mm, count: nz };
    let slices: Vec<Vec<f32>> = (0..nz / factor)
        .into_par_iter()
        .map(|slice| {
            let middle_mm = ((slice * factor) as f64 + 0.5 * (factor as f64 - 1.0)) * step_mm;
            let mut sums = vec![0.0; nx * ny];
            for (k, share) in shares(planes, middle_mm, sensitivity) {
                for (sum, &value) in sums.iter_mut().zip(&image.as_slice()[k * nx * ny..]) {
                    *sum += share * f64::from(value);
                }
            }
            if sigma > 0.0 {
                add_noise(&mut sums, nx, |row| keyed(seed, 0, Purpose::Noise(hash("thick")), slice as u32, row), sigma);
            }
            sums.into_iter().map(|sum| sum as f32).collect()
        })
        .collect();
    let size = [nx, ny, nz / factor];
    let voxels = Array3::from_shape_vec((size[2], ny, nx), slices.concat()).expect("every slice keeps its pixels");
    Ok(Volume::new(voxels, coarsened(geometry, size)?, image.modality(), image.unit())?)
}

fn add_noise(slice: &mut [f64], width: usize, stream: impl Fn(u32) -> ChaCha8Rng, sigma: f64) {
    for (row, values) in slice.chunks_mut(width).enumerate() {
        let mut random = stream(row as u32);
        for value in values {
            let normal: f64 = StandardNormal.sample(&mut random);
            *value += sigma * normal;
        }
    }
}

/// The planes that a slice around `middle_mm` averages, and their shares, which sum to one.
pub(crate) fn shares(planes: Planes, middle_mm: f64, sensitivity: SliceSensitivity) -> Vec<(usize, f64)> {
    let SliceSensitivity { profile, thickness_mm } = sensitivity;
    let step = planes.step_mm;
    let weight = |k: usize| {
        let from = planes.first_mm + k as f64 * step - middle_mm;
        match profile {
            SliceProfile::Rectangular => {
                let half = 0.5 * thickness_mm;
                ((from + 0.5 * step).min(half) - (from - 0.5 * step).max(-half)).max(0.0)
            }
            SliceProfile::Gaussian => {
                let bell = (-4.0 * 2f64.ln() * (from / thickness_mm).powi(2)).exp();
                if bell > 1e-3 { bell } else { 0.0 }
            }
        }
    };
    let all: Vec<(usize, f64)> =
        (0..planes.count).map(|k| (k, weight(k))).filter(|(_, weight)| *weight > 1e-12).collect();
    let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
    all.into_iter().map(|(k, weight)| (k, weight / sum)).collect()
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};

    use super::*;

    fn sensitivity(profile: SliceProfile, thickness_mm: f64) -> SliceSensitivity {
        SliceSensitivity { profile, thickness_mm }
    }

    /// One column of slices 2 mm apart.
    fn column(value: impl Fn(usize) -> f32, slices: usize) -> Volume {
        let geometry = Geometry::axis_aligned([1, 1, slices], [1.0, 1.0, 2.0]).unwrap();
        let voxels = Array3::from_shape_fn((slices, 1, 1), |(k, _, _)| value(k));
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    fn made(image: &Volume, factor: usize, profile: SliceProfile, thickness_mm: f64) -> Vec<f32> {
        thick_slices(image, factor, sensitivity(profile, thickness_mm), 0.0, 1).unwrap().as_slice().to_vec()
    }

    #[test]
    fn a_constant_stays_and_a_ramp_keeps_its_values_away_from_the_ends() {
        for (factor, profile, thickness_mm, reach) in [
            (2, SliceProfile::Rectangular, 4.0, 0),
            (3, SliceProfile::Rectangular, 8.0, 1),
            (4, SliceProfile::Gaussian, 8.0, 2),
            (1, SliceProfile::Rectangular, 2.0, 0),
        ] {
            let flat = made(&column(|_| -40.0, 24), factor, profile, thickness_mm);
            assert!(flat.iter().all(|v| (v + 40.0).abs() < 1e-5), "{profile:?} {factor}");
            let ramp = made(&column(|k| 3.0 * k as f32, 24), factor, profile, thickness_mm);
            for (j, value) in ramp.iter().enumerate().take(ramp.len() - reach).skip(reach) {
                let expected = 3.0 * ((j * factor) as f64 + 0.5 * (factor as f64 - 1.0));
                assert!((f64::from(*value) - expected).abs() < 1e-4, "{profile:?} {factor} at {j}: {value}");
            }
        }
    }

    #[test]
    fn slices_that_touch_keep_the_total() {
        let thin = column(|k| ((k * k * 7) % 11) as f32, 12);
        for factor in [2, 3, 4, 6] {
            let thick = made(&thin, factor, SliceProfile::Rectangular, 2.0 * factor as f64);
            let (before, after) = (thin.as_slice().iter().sum::<f32>(), thick.iter().sum::<f32>() * factor as f32);
            assert!((before - after).abs() < 1e-4, "{factor}: {before} {after}");
        }
    }

    #[test]
    fn an_impulse_gives_the_profile() {
        // Slices of 6 mm every 4 mm see the halves of two more thin slices: shares 1, 2, 2, 1 of 6.
        let impulse = |at: usize| column(move |k| f32::from(u8::from(k == at)), 8);
        let seen = |at| made(&impulse(at), 2, SliceProfile::Rectangular, 6.0);
        let sixth = 1.0 / 6.0;
        for (at, expected) in [(3, [0.0, 2.0 * sixth, sixth, 0.0]), (4, [0.0, sixth, 2.0 * sixth, 0.0])] {
            assert!(seen(at).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{at}: {:?}", seen(at));
        }
        // A bell of 4 mm around 11 mm: thin slices at 10 and 12 mm have 2^(-1/4), those 2 mm farther 2^(-9/4).
        let bell = |mm: f64| 2f64.powf(-(mm / 2.0).powi(2));
        let sum: f64 = 2.0 * [1.0, 3.0, 5.0].map(bell).iter().sum::<f64>();
        for (at, mm) in [(5, 1.0), (6, 1.0), (4, 3.0), (8, 5.0)] {
            let wide = column(move |k| f32::from(u8::from(k == at)), 12);
            let found = made(&wide, 4, SliceProfile::Gaussian, 4.0)[1];
            assert!((f64::from(found) - bell(mm) / sum).abs() < 1e-6, "{at}: {found}");
        }
    }

    #[test]
    fn the_first_slice_lies_in_the_middle_of_those_that_it_is_made_of_and_the_unit_stays() {
        let direction = [[1.0, 0.0, 0.0], [0.0, 0.8, -0.6], [0.0, 0.6, 0.8]];
        let geometry = Geometry::new([2, 3, 6], [1.0, 1.0, 2.0], [5.0, 6.0, 7.0], direction).unwrap();
        let thin = Volume::filled(30.0, geometry, Modality::Ct, Unit::Hounsfield);
        let thick = thick_slices(&thin, 3, sensitivity(SliceProfile::Rectangular, 6.0), 0.0, 1).unwrap();
        assert_eq!((thick.modality(), thick.unit()), (Modality::Ct, Unit::Hounsfield));
        let found = thick.geometry();
        assert_eq!((found.size(), found.spacing_mm()), ([2, 3, 2], [1.0, 1.0, 6.0]));
        assert_eq!(found.direction(), thin.geometry().direction());
        let expected = thin.geometry().world_from_voxel().apply([0.0, 0.0, 1.0]);
        assert!((0..3).all(|a| (found.origin_mm()[a] - expected[a]).abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn noise_has_the_declared_sigma_and_follows_the_seed() {
        let geometry = Geometry::axis_aligned([64, 64, 8], [1.0; 3]).unwrap();
        let air = Volume::filled(-1000.0, geometry, Modality::Ct, Unit::Hounsfield);
        let noisy = |seed| thick_slices(&air, 2, sensitivity(SliceProfile::Rectangular, 2.0), 12.0, seed).unwrap();
        let found = noisy(5);
        let squares: f64 = found.as_slice().iter().map(|&v| (f64::from(v) + 1000.0).powi(2)).sum();
        let deviation = (squares / found.as_slice().len() as f64).sqrt();
        assert!((deviation / 12.0 - 1.0).abs() < 0.02, "{deviation}");
        assert_eq!(found.as_slice(), noisy(5).as_slice());
        assert_ne!(found.as_slice(), noisy(6).as_slice());
    }

    #[test]
    fn slices_that_do_not_divide_and_slices_thinner_than_the_image_has_are_refused() {
        let thin = column(|_| 0.0, 6);
        for (factor, thickness_mm, sigma, expected) in [
            (4, 8.0, 0.0, "factor must be a divisor of the number of slices, found 4"),
            (0, 8.0, 0.0, "factor must be a divisor of the number of slices, found 0"),
            (2, 1.5, 0.0, "thickness_mm must be at least the distance of the slices, found 1.5"),
            (2, 4.0, -1.0, "sigma must be zero or more, found -1"),
        ] {
            let refused = thick_slices(&thin, factor, sensitivity(SliceProfile::Rectangular, thickness_mm), sigma, 1);
            assert_eq!(refused.unwrap_err().to_string(), expected);
        }
    }
}

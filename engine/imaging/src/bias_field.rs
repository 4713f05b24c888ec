//! The method of N. J. Tustison et al., "N4ITK: improved N3 bias correction", IEEE Trans. Med. Imaging 29 (2010)
//! 1310-1320: `ln v = ln u + ln f` with a smooth field `f`. Each step sharpens the histogram of the corrected logarithms,
//! and fits a B-spline lattice to what the sharpened intensities leave over; the fits add up.

mod lattice;
mod samples;
mod sharpen;

use ndarray::Array3;
use rayon::prelude::*;

use self::lattice::{Axis, Lattice};
use self::samples::Samples;
use self::sharpen::Sharpening;
use crate::{Error, Mask, Unit, Volume};

/// Settings of [`correct_bias_field`]. The defaults are those of ITK's `N4BiasFieldCorrectionImageFilter`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct BiasFieldSettings {
    /// Most iterations per level; each level has twice the lattice spans of the one before. Default 50, 50, 50, 50.
    pub iterations: Vec<usize>,
    /// A level ends when the coefficient of variation of the change of the field falls to this. Default 0.001.
    pub convergence: f64,
    /// Control points of the first level along x, y, z, at least 4. Default 4.
    pub control_points: [usize; 3],
    /// The field is fitted to every n-th voxel along x, y, z, centred in the volume, at most the size of the axis; it is
    /// evaluated at every voxel. Default 1; 4 is usual for a head at 1 mm.
    pub shrink: [usize; 3],
    /// Bins of the histogram of logarithms, 2 to 65536. Default 200.
    pub bins: usize,
    /// Full width at half maximum of the Gaussian that the histogram is deconvolved by, in logarithmic units. Default 0.15.
    pub full_width_half_maximum: f64,
    /// Noise term of the Wiener filter. Default 0.01.
    pub noise: f64,
}

impl Default for BiasFieldSettings {
    fn default() -> Self {
        Self {
            iterations: vec![50; 4],
            convergence: 0.001,
            control_points: [4; 3],
            shrink: [1; 3],
            bins: 200,
            full_width_half_maximum: 0.15,
            noise: 0.01,
        }
    }
}

/// A corrected volume and the field that was taken out: source = volume · field.
#[derive(Debug, Clone, PartialEq)]
pub struct BiasCorrection {
    /// The source divided by the field, in the source's modality and unit.
    pub volume: Volume,
    /// The field on the source's grid, above 0, without a unit ([`Unit::Normalized`]).
    pub field: Volume,
    /// What each level did.
    pub levels: Vec<FittingLevel>,
}

/// How far a level of [`correct_bias_field`] came.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct FittingLevel {
    /// Control points along x, y, z.
    pub control_points: [usize; 3],
    /// Iterations made.
    pub iterations: usize,
    /// Coefficient of variation of the last change of the field; infinite without an iteration.
    pub convergence: f64,
}

/// Estimates the slowly varying gain of an MR and divides by it (N4).
///
/// The field is fitted to the finite voxels above 0 (others have no logarithm) inside the mask, all of them without one,
/// and, with weights, to those of finite weight above 0; a voxel's weight counts in the fit, not in the histogram. SimpleITK
/// without a mask takes voxels of 0 along as if they were 1; give it the mask of the positive voxels to compare.
///
/// The lattice spans the source's grid from the centre of the first voxel to that of the last, also when it is fitted to
/// fewer ([`shrink`](BiasFieldSettings::shrink)). Its overall factor is not determined by the data; it comes out near 1.
/// Voxels that are not finite stay so.
///
/// # Errors
/// [`Error::GeometryMismatch`] when mask or weights lie on another grid, [`Error::EmptyMask`],
/// [`Error::NoPositiveIntensity`] when no voxel is left to fit to, [`Error::FlatIntensities`] when all of them have one
/// value, [`Error::InvalidArgument`] for a setting out of its range.
pub fn correct_bias_field(
    volume: &Volume,
    mask: Option<&Mask>,
    weights: Option<&Volume>,
    settings: &BiasFieldSettings,
) -> Result<BiasCorrection, Error> {
    settings.check()?;
    let mut samples = Samples::new(volume, mask, weights, settings.shrink)?;
    let mut lattice = Lattice::flat(settings.control_points);
    let mut levels = Vec::with_capacity(settings.iterations.len());
    for (level, &iterations) in settings.iterations.iter().enumerate() {
        if level > 0 {
            lattice = lattice.refined();
        }
        levels.push(fit_level(&mut samples, &mut lattice, iterations, settings));
    }
    let (corrected, field) = divide(volume, &lattice);
    Ok(BiasCorrection {
        volume: volume.with_voxels(corrected)?,
        field: volume.with_voxels(field)?.with_meaning(volume.modality(), Unit::Normalized),
        levels,
    })
}

fn fit_level(
    samples: &mut Samples,
    lattice: &mut Lattice,
    iterations: usize,
    settings: &BiasFieldSettings,
) -> FittingLevel {
    let axes = samples.axes(lattice.size());
    let sums_of_squares = samples.sums_of_squares(&axes);
    let mut level = FittingLevel { control_points: lattice.size(), iterations: 0, convergence: f64::INFINITY };
    while level.iterations < iterations && level.convergence > settings.convergence {
        // Nothing is left to sharpen when the field explains every difference.
        let Some(sharpening) = Sharpening::of(samples, settings) else { break };
        lattice.add(&samples.fit_residual(&axes, &sharpening, &sums_of_squares));
        level.convergence = samples.update_field(&axes, lattice);
        level.iterations += 1;
    }
    level
}

/// The voxels over the field, and the field.
fn divide(volume: &Volume, lattice: &Lattice) -> (Array3<f32>, Array3<f32>) {
    let size = volume.geometry().size();
    let axes: [Axis; 3] = std::array::from_fn(|a| Axis::new(lattice.size()[a], size[a], 0..size[a]));
    let voxels = volume.as_slice();
    let mut corrected = vec![0.0; voxels.len()];
    let mut field = vec![0.0; voxels.len()];
    let slice = size[0] * size[1];
    let slices = corrected.par_chunks_mut(slice).zip(field.par_chunks_mut(slice)).zip(voxels.par_chunks(slice));
    slices.enumerate().for_each(|(k, ((corrected, field), voxels))| {
        let plane = lattice.plane(&axes[2], k);
        let rows = corrected.chunks_mut(size[0]).zip(field.chunks_mut(size[0])).zip(voxels.chunks(size[0]));
        for (j, ((corrected, field), voxels)) in rows.enumerate() {
            let row = plane.row(&axes[1], j);
            for (i, ((corrected, field), voxel)) in corrected.iter_mut().zip(field).zip(voxels).enumerate() {
                let gain = axes[0].at(i).value(&row).exp();
                *field = gain as f32;
                *corrected = (f64::from(*voxel) / gain) as f32;
            }
        }
    });
    let array = |values| Array3::from_shape_vec(volume.voxels().dim(), values).expect("one value per voxel");
    (array(corrected), array(field))
}

impl BiasFieldSettings {
    fn check(&self) -> Result<(), Error> {
        let refuse = |name, expected, found: String| Err(Error::InvalidArgument { name, expected, found });
        if self.iterations.is_empty() {
            return refuse("bias field iterations", "one level or more", "none".into());
        }
        // Keeps the finest lattice below 256 MiB.
        let finest = |points: &usize| {
            let spans = (*points as f64 - 3.0) * 2f64.powi(self.iterations.len() as i32 - 1);
            spans + 3.0
        };
        if self.control_points.iter().any(|n| *n < 4) || self.control_points.iter().map(finest).product::<f64>() > 3.3e7
        {
            return refuse(
                "bias field control points",
                "at least 4 along each axis, and at most 33 million on the finest level",
                format!("{:?} with {} levels", self.control_points, self.iterations.len()),
            );
        }
        if self.shrink.contains(&0) {
            return refuse("bias field shrink", "at least 1 along each axis", format!("{:?}", self.shrink));
        }
        if !(2..=1 << 16).contains(&self.bins) {
            return refuse("bias field bins", "2 to 65536", self.bins.to_string());
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !positive(self.full_width_half_maximum) || !positive(self.noise) {
            let found = format!("{} and {}", self.full_width_half_maximum, self.noise);
            return refuse("bias field width and noise", "finite and above 0", found);
        }
        if self.convergence >= 0.0 {
            return Ok(());
        }
        refuse("bias field convergence", "0 or more", self.convergence.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality};

    fn volume(size: [usize; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned(size, [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let source = volume([4, 4, 4], |[i, j, k]| (1 + i + j * k) as f32);
        let default = BiasFieldSettings::default;
        let rows = [
            BiasFieldSettings { iterations: vec![], ..default() },
            BiasFieldSettings { iterations: vec![1; 40], ..default() },
            BiasFieldSettings { control_points: [4, 3, 4], ..default() },
            BiasFieldSettings { shrink: [1, 0, 1], ..default() },
            BiasFieldSettings { bins: 1, ..default() },
            BiasFieldSettings { noise: 0.0, ..default() },
            BiasFieldSettings { full_width_half_maximum: f64::NAN, ..default() },
            BiasFieldSettings { convergence: f64::NAN, ..default() },
        ];
        for settings in rows {
            let found = correct_bias_field(&source, None, None, &settings);
            assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{settings:?}");
        }
    }

    #[test]
    fn volumes_without_a_logarithm_or_a_difference_are_refused() {
        let run = |source: Volume| correct_bias_field(&source, None, None, &BiasFieldSettings::default()).unwrap_err();
        assert_eq!(run(volume([3, 3, 3], |_| -1.0)), Error::NoPositiveIntensity { voxels: 27 });
        assert_eq!(run(volume([3, 3, 3], |_| f32::NAN)), Error::NoPositiveIntensity { voxels: 27 });
        assert!(
            matches!(run(volume([3, 3, 3], |_| 7.0)), Error::FlatIntensities { value } if (value - 7.0).abs() < 1e-5)
        );
    }

    #[test]
    fn a_single_slice_and_voxels_without_a_value_are_corrected_too() {
        let mut source = volume([24, 20, 1], |[i, j, _]| {
            let tissue = if (i / 4 + j / 4) % 2 == 0 { 100.0 } else { 200.0 };
            tissue * (0.03 * i as f32).exp()
        });
        source = source.map(|v| if v == 100.0 { f32::NAN } else { v });
        let found = correct_bias_field(&source, None, None, &BiasFieldSettings::default()).unwrap();
        for ((source, corrected), field) in
            source.as_slice().iter().zip(found.volume.as_slice()).zip(found.field.as_slice())
        {
            assert!(*field > 0.0 && field.is_finite());
            assert!(source.is_nan() && corrected.is_nan() || (corrected * field / source - 1.0).abs() < 1e-6);
        }
        let gain = found.field.as_slice()[23] / found.field.as_slice()[0];
        assert!((gain / (0.03f32 * 23.0).exp() - 1.0).abs() < 0.05, "{gain}");
    }
}

use std::f64::consts::{PI, TAU};

use isoscan_imaging::Wavelet;

use super::{Band, Boundary, LawsKernels, Pooling, RadialWavelet, Riesz};
use crate::Error;

/// Voxels to each side beyond which no kernel may reach.
const LARGEST_REACH: usize = 2048;

/// Highest level of a wavelet.
const LARGEST_LEVEL: u32 = 8;

/// Highest order of a Riesz transform.
const LARGEST_ORDER: u32 = 20;

/// Smallest step between the angles of a Gabor filter: a tenth of a degree.
const SMALLEST_STEP_RAD: f64 = PI / 1800.0;

/// Whether a filter takes each slice for itself or the volume as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Dimensions {
    /// Each slice across z.
    #[serde(rename = "2D")]
    Two,
    /// The volume.
    #[serde(rename = "3D")]
    Three,
}

/// A convolutional filter of IBSI-2 with its parameters; the four-character code is the manual's.
///
/// Kernels are sampled at the voxels, so voxels should be cubes (in 2-D: squares); lengths in mm are divided by the
/// spacing of each axis. As JSON or YAML: `{mean: {support: 5, dimensions: 3D, boundary: mirror}}`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Filter {
    /// The mean of a cube (square) of voxels, S60F: `h = Σ_k f[k - k'] / M^D`.
    Mean {
        /// Voxels M along each axis, YNOF. An even number reaches one voxel further back.
        support: usize,
        /// Slices or volume.
        dimensions: Dimensions,
        /// What lies beyond the image.
        boundary: Boundary,
    },
    /// Laplacian of Gaussian, L6PA: `g[k] = -1/σ² (1/√(2πσ²))^D (D - ‖k‖²/σ²) exp(-‖k‖²/(2σ²))`, lengths in voxels.
    LaplacianOfGaussian {
        /// Standard deviation σ, 41LN, mm.
        sigma_mm: f64,
        /// Standard deviations at which the kernel is cut off, WGPM: it reaches ⌊cutoff·σ + 1/2⌋ voxels along each
        /// axis. Default 4.
        #[serde(default = "four")]
        cutoff: f64,
        /// Slices or volume.
        dimensions: Dimensions,
        /// What lies beyond the image.
        boundary: Boundary,
        /// Riesz transform of the response. Default none.
        #[serde(default)]
        riesz: Option<Riesz>,
    },
    /// Laws kernels, JTXT: one normalised kernel along each axis.
    Laws {
        /// Kernels along x, y and z, such as `L5E5E5`; two kernels filter slices.
        kernels: LawsKernels,
        /// Pooling over the right-angled rotations of the filter, 24 of a volume and 4 of a slice, O1AQ. Default none:
        /// the filter as it is.
        #[serde(default)]
        rotations: Option<Pooling>,
        /// Chebyshev distance δ, I176, of the texture energy image, PQSD: the mean of |h| over (2δ + 1)^D voxels.
        /// Default none: the response itself.
        #[serde(default)]
        energy_distance: Option<usize>,
        /// What lies beyond the image, and beyond the response for its energy.
        boundary: Boundary,
    },
    /// Modulus of the response to a Gabor kernel in a plane, Q88H:
    /// `g = exp(-(u'² + γ²v'²)/(2σ²) + 2πi u'/λ)` with `u' = u cos θ + v sin θ`, `v' = v cos θ - u sin θ`, where u and v
    /// run along the voxels of the plane in the order x, y, z.
    Gabor {
        /// Standard deviation σ of the envelope along the wave, 41LN, mm.
        sigma_mm: f64,
        /// Wavelength λ, S4N6, mm.
        wavelength_mm: f64,
        /// Ratio γ of the envelope's extents along and across the wave, GDR5.
        gamma: f64,
        /// Angle θ of the wave, FQER, rad; the first one when there are several. Default 0.
        #[serde(default)]
        theta_rad: f64,
        /// Step Δθ, XTGK, rad: responses at θ, θ + Δθ, ... within a turn are pooled. Default none: only θ.
        #[serde(default)]
        theta_step_rad: Option<f64>,
        /// Pool responses in the planes across z, y and x. Default false: only across z.
        #[serde(default)]
        orthogonal_planes: bool,
        /// How angles and planes are pooled. Default average.
        #[serde(default)]
        pooling: Pooling,
        /// What lies beyond the image.
        boundary: Boundary,
    },
    /// Undecimated separable wavelet, 25BO: along each axis a filter of `F` taps, at level j with
    /// `u = 2^(j-1)` voxels between its taps (à trous): `h[o] = Σ_k w[k] f[o + u⌊F/2⌋ - u k]`.
    SeparableWavelet {
        /// The wavelet, by the names of PyWavelets.
        #[serde(with = "super::separable_wavelet::name")]
        wavelet: Wavelet,
        /// Low- or high-pass along x, y and z, such as `LLH`; two letters filter slices.
        band: Band,
        /// Level j, GCEK, from 1; the levels below are low-pass along every axis. Default 1.
        #[serde(default = "one")]
        level: u32,
        /// Pooling over the right-angled rotations of the filter, O1AQ. Default none.
        #[serde(default)]
        rotations: Option<Pooling>,
        /// What lies beyond the image, and beyond the response of each level.
        boundary: Boundary,
    },
    /// Wavelet that is the same in all directions, LODD: its transfer function depends on `‖ν‖` alone.
    NonSeparableWavelet {
        /// The wavelet.
        wavelet: RadialWavelet,
        /// Level j, GCEK, from 1: the band ends at 2^(1-j) of the highest frequency. Default 1.
        #[serde(default = "one")]
        level: u32,
        /// Slices or volume.
        dimensions: Dimensions,
        /// What lies beyond the image. Unless periodic, the image is continued by 16·2^j voxels to each side, at most by
        /// its own size. Default periodic.
        #[serde(default = "periodic")]
        boundary: Boundary,
        /// Riesz transform of the response. Default none.
        #[serde(default)]
        riesz: Option<Riesz>,
    },
}

fn one() -> u32 {
    1
}

fn four() -> f64 {
    4.0
}

fn periodic() -> Boundary {
    Boundary::Periodic
}

impl Filter {
    /// Refuses parameters outside their range on a grid of this spacing.
    pub(crate) fn check(&self, spacing_mm: [f64; 3]) -> Result<(), Error> {
        let finest = spacing_mm.into_iter().fold(f64::INFINITY, f64::min);
        let fits = |reach_mm: f64| reach_mm > 0.0 && reach_mm / finest <= LARGEST_REACH as f64;
        let require = |holds: bool, name: &str, expected: &'static str, found: String| match holds {
            true => Ok(()),
            false => Err(Error::InvalidSetting { name: name.to_owned(), expected, found }),
        };
        let require_level = |level: u32| {
            require((1..=LARGEST_LEVEL).contains(&level), "level", "a whole number from 1 to 8", level.to_string())
        };
        let require_order = |riesz: Option<Riesz>, dimensions: Dimensions| {
            let Some(Riesz { order }) = riesz else { return Ok(()) };
            let total = order.iter().fold(0u32, |sum, l| sum.saturating_add(*l));
            let legal = (1..=LARGEST_ORDER).contains(&total) && (dimensions == Dimensions::Three || order[2] == 0);
            require(
                legal,
                "riesz",
                "orders along x, y, z with a sum from 1 to 20, 0 along z in 2D",
                format!("{order:?}"),
            )
        };
        const LENGTH: &str = "a positive length whose kernel reaches at most 2048 voxels";
        match *self {
            Self::Mean { support, .. } => {
                let legal = (1..=LARGEST_REACH).contains(&support);
                require(legal, "support", "a whole number from 1 to 2048", support.to_string())
            }
            Self::LaplacianOfGaussian { sigma_mm, cutoff, riesz, dimensions, .. } => {
                require(cutoff.is_finite() && cutoff > 0.0, "cutoff", "a positive number", cutoff.to_string())?;
                require(sigma_mm > 0.0 && fits(sigma_mm * cutoff), "sigma_mm", LENGTH, sigma_mm.to_string())?;
                require_order(riesz, dimensions)
            }
            Self::Laws { energy_distance, .. } => {
                let distance = energy_distance.unwrap_or(0);
                let legal = distance <= LARGEST_REACH;
                require(legal, "energy_distance", "a whole number up to 2048", distance.to_string())
            }
            Self::Gabor { sigma_mm, wavelength_mm, gamma, theta_rad, theta_step_rad, .. } => {
                let positive = |x: f64| x.is_finite() && x > 0.0;
                let step = theta_step_rad.unwrap_or(TAU);
                let reach_mm = super::gabor::CUTOFF * sigma_mm / gamma.min(1.0);
                require(positive(gamma), "gamma", "a positive number", gamma.to_string())?;
                require(sigma_mm > 0.0 && fits(reach_mm), "sigma_mm", LENGTH, sigma_mm.to_string())?;
                require(positive(wavelength_mm), "wavelength_mm", "a positive length", wavelength_mm.to_string())?;
                require(theta_rad.is_finite(), "theta_rad", "an angle", theta_rad.to_string())?;
                let legal = (SMALLEST_STEP_RAD..=TAU).contains(&step);
                require(legal, "theta_step_rad", "an angle from a tenth of a degree to a turn", step.to_string())
            }
            Self::SeparableWavelet { level, .. } => require_level(level),
            Self::NonSeparableWavelet { level, riesz, dimensions, .. } => {
                require_level(level)?;
                require_order(riesz, dimensions)
            }
        }
    }

    /// The angles of a Gabor filter over a turn, and how often each occurs: the kernel at θ + π is the conjugate of that
    /// at θ and gives the same modulus.
    pub(super) fn angles(&self) -> Vec<(f64, usize)> {
        let Self::Gabor { theta_rad, theta_step_rad, .. } = *self else { return Vec::new() };
        let Some(step_rad) = theta_step_rad else { return vec![(theta_rad, 1)] };
        let count = (TAU / step_rad - 1e-9).ceil().max(1.0) as usize;
        let mut angles: Vec<(f64, usize)> = Vec::new();
        for angle in (0..count).map(|k| theta_rad + k as f64 * step_rad) {
            let apart = |other: f64| (angle - other).rem_euclid(PI);
            match angles.iter_mut().find(|(other, _)| apart(*other).min(PI - apart(*other)) < 1e-9) {
                Some((_, times)) => *times += 1,
                None => angles.push((angle, 1)),
            }
        }
        angles
    }

    /// What the names of features of the response begin with: the filter and its parameters, such as
    /// `laws_L5E5E5_max_energy_7`.
    pub fn prefix(&self) -> String {
        let pooled =
            |rotations: Option<Pooling>| rotations.map_or(String::new(), |pooling| format!("_{}", pooling.name()));
        let derived = |riesz: Option<Riesz>| {
            riesz.map_or(String::new(), |Riesz { order: [x, y, z] }| format!("_riesz_{x}_{y}_{z}"))
        };
        match *self {
            Self::Mean { support, dimensions, .. } => format!("mean_{support}_{}", dimensions.name()),
            Self::LaplacianOfGaussian { sigma_mm, dimensions, riesz, .. } => {
                format!("log_{sigma_mm}_{}{}", dimensions.name(), derived(riesz))
            }
            Self::Laws { kernels, rotations, energy_distance, .. } => {
                let energy = energy_distance.map_or(String::new(), |distance| format!("_energy_{distance}"));
                format!("laws_{}{}{energy}", String::from(kernels), pooled(rotations))
            }
            Self::Gabor {
                sigma_mm,
                wavelength_mm,
                gamma,
                theta_rad,
                theta_step_rad,
                orthogonal_planes,
                pooling,
                ..
            } => {
                let step = theta_step_rad.map_or(String::new(), |step| format!("_step_{step}"));
                let planes = if orthogonal_planes { "_planes" } else { "" };
                let pooled = if step.is_empty() && !orthogonal_planes { None } else { Some(pooling) };
                let pooled = pooled.map_or(String::new(), |pooling| format!("_{}", pooling.name()));
                format!("gabor_{sigma_mm}_{wavelength_mm}_{gamma}_{theta_rad}{step}{planes}{pooled}")
            }
            Self::SeparableWavelet { wavelet, band, level, rotations, .. } => {
                format!("wavelet_{}_{}_{level}{}", wavelet.name(), String::from(band), pooled(rotations))
            }
            Self::NonSeparableWavelet { wavelet, level, dimensions, riesz, .. } => {
                format!("{}_{level}_{}{}", wavelet.name(), dimensions.name(), derived(riesz))
            }
        }
    }
}

impl Dimensions {
    fn name(self) -> &'static str {
        if self == Self::Two { "2D" } else { "3D" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn filters_read_as_they_are_written_and_name_their_features() {
        let rows = [
            (r#"{"mean": {"support": 5, "dimensions": "2D", "boundary": "mirror"}}"#, "mean_5_2D"),
            (
                r#"{"laplacian_of_gaussian": {"sigma_mm": 1.5, "dimensions": "3D", "boundary": "zero", "riesz": [0, 2, 0]}}"#,
                "log_1.5_3D_riesz_0_2_0",
            ),
            (
                r#"{"laws": {"kernels": "L5E5E5", "rotations": "max", "energy_distance": 7, "boundary": "mirror"}}"#,
                "laws_L5E5E5_max_energy_7",
            ),
            (
                r#"{"gabor": {"sigma_mm": 5, "wavelength_mm": 2, "gamma": 1.5, "theta_step_rad": 0.5, "boundary": "mirror"}}"#,
                "gabor_5_2_1.5_0_step_0.5_average",
            ),
            (
                r#"{"separable_wavelet": {"wavelet": "db3", "band": "LLH", "rotations": "average", "boundary": "mirror"}}"#,
                "wavelet_db3_LLH_1_average",
            ),
            (
                r#"{"non_separable_wavelet": {"wavelet": "simoncelli", "level": 2, "dimensions": "3D"}}"#,
                "simoncelli_2_3D",
            ),
        ];
        for (text, prefix) in rows {
            let read = filter(text);
            assert_eq!(filter(&serde_json::to_string(&read).unwrap()), read);
            assert_eq!(read.prefix(), prefix);
            assert_eq!(read.check([1.0; 3]), Ok(()));
        }
        assert!(serde_json::from_str::<Filter>(r#"{"mean": {"suport": 5}}"#).is_err());
    }

    #[test]
    fn parameters_out_of_range_are_refused() {
        let rows = [
            (r#"{"mean": {"support": 0, "dimensions": "2D", "boundary": "mirror"}}"#, "support"),
            (r#"{"laplacian_of_gaussian": {"sigma_mm": 0, "dimensions": "3D", "boundary": "zero"}}"#, "sigma_mm"),
            (
                r#"{"laplacian_of_gaussian": {"sigma_mm": 1, "dimensions": "2D", "boundary": "zero", "riesz": [1, 0, 1]}}"#,
                "riesz",
            ),
            (r#"{"laws": {"kernels": "L5E5", "energy_distance": 9999, "boundary": "mirror"}}"#, "energy_distance"),
            (r#"{"gabor": {"sigma_mm": 1, "wavelength_mm": 2, "gamma": 1e-9, "boundary": "zero"}}"#, "sigma_mm"),
            (
                r#"{"gabor": {"sigma_mm": 1, "wavelength_mm": 2, "gamma": 1, "theta_step_rad": 0, "boundary": "zero"}}"#,
                "theta_step_rad",
            ),
            (r#"{"non_separable_wavelet": {"wavelet": "shannon", "level": 9, "dimensions": "3D"}}"#, "level"),
        ];
        for (text, expected) in rows {
            match filter(text).check([1.0; 3]) {
                Err(Error::InvalidSetting { name, .. }) => assert_eq!(name, expected),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    /// Steps of 90 degrees: 0 and 180, 90 and 270 give the same modulus.
    #[test]
    fn opposite_angles_are_one() {
        let angles = |step: f64| {
            let text = format!(
                r#"{{"gabor": {{"sigma_mm": 1, "wavelength_mm": 2, "gamma": 1, "theta_step_rad": {step}, "boundary": "zero"}}}}"#
            );
            filter(&text).angles().iter().map(|(_, times)| *times).collect::<Vec<_>>()
        };
        assert_eq!(angles(PI / 2.0), [2, 2]);
        assert_eq!(angles(TAU / 3.0), [1, 1, 1]);
        assert_eq!(angles(TAU), [1]);
    }
}

use isoscan_imaging::{Error as ImagingError, Unit, Volume, gaussian};

use crate::Error;

/// Greatest value of a processed image: 12 bit.
const WHITE: f64 = 4095.0;

/// What a workstation makes of an optical density `D`: two scales of detail are weighted, then a curve gives the grey
/// value.
///
/// With Gaussians `G(s)` of standard deviation `s`, the fine detail is `D - G(s₁)D`, the coarse `G(s₁)D - G(s₂)D`, the
/// base `G(s₂)D`, and what the curve gets is `fine·gain₁ + coarse·gain₂ + base·gain + (1 - gain)·1`: a base gain below
/// one draws wide areas towards a density of one. With `s₁ = 0` there is no fine detail of its own and the first gain
/// is not used.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Processing {
    /// Standard deviation (mm) and gain of the fine and of the coarse detail.
    pub bands: [(f64, f64); 2],
    /// Gain of the base.
    pub base: f64,
    /// From enhanced density to grey value.
    pub curve: Curve,
}

/// From density to grey value, 0 to 4095.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Curve {
    /// `4095 / (1 + exp(-(D - middle)/width))`.
    Sigmoid {
        /// Density of mid-grey.
        middle_od: f64,
        /// Density over which the curve rises from 1/2 to 0.73.
        width_od: f64,
    },
    /// Straight from `low_od` (0) to `high_od` (4095), held at both ends.
    Line {
        /// Density of black.
        low_od: f64,
        /// Density of white.
        high_od: f64,
    },
}

impl Processing {
    /// # Errors
    /// [`Error::InvalidArgument`] for the first number that makes no image.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (name, at_od, rise_od) = match self.curve {
            Curve::Sigmoid { middle_od, width_od } => ("width_od", middle_od, width_od),
            Curve::Line { low_od, high_od } => ("high_od - low_od", low_od, high_od - low_od),
        };
        if !(rise_od.is_finite() && rise_od > 0.0) {
            return Err(Error::InvalidArgument { name, expected: "positive and finite", found: rise_od });
        }
        let numbers = [at_od, self.bands[0].1, self.bands[1].1, self.base];
        match numbers.into_iter().find(|number| !number.is_finite()) {
            Some(found) => Err(Error::InvalidArgument { name: "processing", expected: "finite", found }),
            None => Ok(()),
        }
    }
}

impl Curve {
    fn grey(self, density: f64) -> f64 {
        let share = match self {
            Self::Sigmoid { middle_od, width_od } => 1.0 / (1.0 + (-(density - middle_od) / width_od).exp()),
            Self::Line { low_od, high_od } => ((density - low_od) / (high_od - low_od)).clamp(0.0, 1.0),
        };
        (WHITE * share).round()
    }
}

/// Processes an image of optical density.
///
/// # Errors
/// [`ImagingError::InvalidArgument`] for a standard deviation that is no length.
pub(crate) fn process(density: &Volume, processing: &Processing) -> Result<Volume, ImagingError> {
    let [(fine_mm, fine_gain), (coarse_mm, coarse_gain)] = processing.bands;
    let smooth = |sigma_mm: f64| gaussian(density, [sigma_mm, sigma_mm, 0.0]);
    let (fine, coarse) = (smooth(fine_mm)?, smooth(coarse_mm)?);
    let mut voxels = density.voxels().to_owned();
    for ((value, &fine), &coarse) in voxels.iter_mut().zip(fine.as_slice()).zip(coarse.as_slice()) {
        let (whole, fine, coarse) = (f64::from(*value), f64::from(fine), f64::from(coarse));
        let detail = fine_gain * (whole - fine) + coarse_gain * (fine - coarse);
        *value = processing.curve.grey(detail + processing.base * coarse + 1.0 - processing.base) as f32;
    }
    Ok(density.with_voxels(voxels)?.with_meaning(density.modality(), Unit::Arbitrary))
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality};

    use super::*;

    fn flat(density: f32) -> Volume {
        let geometry = Geometry::axis_aligned([20, 20, 1], [2.0; 3]).unwrap();
        Volume::filled(density, geometry, Modality::Dx, Unit::OpticalDensity)
    }

    #[test]
    fn wide_areas_take_the_curve_and_details_their_gain() {
        let line = Curve::Line { low_od: 0.0, high_od: 2.0 };
        let sigmoid = Curve::Sigmoid { middle_od: 1.5, width_od: 0.2 };
        let rows = [
            (1.0, line, 1.5, 3071.0),
            // Half a base gain leaves half of the distance to a density of one: 1.25 of 2.
            (0.5, line, 1.5, 2559.0),
            (1.0, line, 2.5, 4095.0),
            (1.0, sigmoid, 1.5, 2048.0),
            // 1/(1 + 1/e)
            (1.0, sigmoid, 1.7, 2994.0),
        ];
        for (base, curve, density, grey) in rows {
            let processing = Processing { bands: [(2.0, 3.0), (6.0, 2.0)], base, curve };
            let found = process(&flat(density), &processing).unwrap();
            assert!(
                found.as_slice().iter().all(|&v| (f64::from(v) - grey).abs() <= 1.0),
                "{curve:?}: {:?}",
                found.as_slice()[0]
            );
        }
        let mut point = flat(1.0).into_voxels();
        point[[0, 10, 10]] = 1.01;
        let point = flat(1.0).with_voxels(point).unwrap();
        let rise = |gain: f64| {
            let processing = Processing { bands: [(4.0, gain), (12.0, 1.0)], base: 1.0, curve: line };
            f64::from(process(&point, &processing).unwrap().voxels()[[0, 10, 10]]) - 2048.0
        };
        assert!((rise(3.0) / rise(1.0) - 3.0).abs() < 0.2, "{} and {}", rise(3.0), rise(1.0));
    }
}

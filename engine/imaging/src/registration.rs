//! Finding the affine map that lays one volume on another.

mod metric;
mod motion;
mod optimizer;
mod sampling;
mod start;

use rayon::prelude::*;

use crate::{Affine3, Error, Geometry, Interpolation, Mask, Volume, resample, with_spacing};
use metric::MutualInformation;
use motion::Motion;
use sampling::Samples;

/// What a registration may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freedom {
    /// Rotation and translation, 6 numbers; distances stay.
    Rigid,
    /// Any linear map and translation, 12 numbers.
    Affine,
}

/// Where a registration starts.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The positions that the two volumes already have.
    Identity,
    /// The centres of the two grids on each other.
    GeometryCenter,
    /// The centres of mass on each other, a voxel weighing its intensity above the smallest one.
    CenterOfMass,
    /// This map from the fixed to the moving volume's world, LPS mm.
    Given(Affine3),
}

/// How to register; [`RegistrationSettings::default`] says the usual values.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RegistrationSettings {
    /// What may change; rigid.
    pub freedom: Freedom,
    /// First guess; [`Start::Identity`].
    pub start: Start,
    /// Histogram bins per axis, 8 to 256; 32.
    pub bins: usize,
    /// One level for each, coarse to fine: both volumes are looked at on grids no finer than this many times the finest
    /// spacing of the two, smoothed as [`resample`] does when it shrinks, and no coarser than 12 voxels along an axis; 8, 4, 2, 1.
    pub shrink_factors: Vec<f64>,
    /// Places that are compared on each level, at least 100; 100,000. Small volumes use up to 8 per voxel.
    pub samples: usize,
    /// Steps of the optimizer on each level; 60.
    pub max_iterations: usize,
    /// A level ends when a step moves the volume by less than this many times the finest spacing of the two; 0.002.
    pub tolerance: f64,
    /// Share of the smaller of the two volumes (or masks) that must lie in the other all the time, above 0 to 1; 0.25.
    pub min_overlap: f64,
    /// Number that the places of comparison follow from; 0.
    pub seed: u64,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self {
            freedom: Freedom::Rigid,
            start: Start::Identity,
            bins: 32,
            shrink_factors: vec![8.0, 4.0, 2.0, 1.0],
            samples: 100_000,
            max_iterations: 60,
            tolerance: 0.002,
            min_overlap: 0.25,
            seed: 0,
        }
    }
}

/// The map that a registration found.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Registration {
    /// Where a point of the fixed volume's world lies in the moving volume's, LPS mm. The same direction as the
    /// transforms of ITK and SimpleITK.
    pub world_moving_from_fixed: Affine3,
    /// Mutual information on the last level, nats; more is better, 0 is none.
    pub metric: f64,
    /// Steps of the optimizer, all levels together.
    pub iterations: usize,
    /// Whether the last level ended because its steps became small, not because it ran out of them.
    pub converged: bool,
    /// Share of the smaller of the two volumes (or masks) that lies in the other.
    pub overlap: f64,
}

impl Registration {
    /// The inverse map: where a point of the moving volume's world lies in the fixed volume's, LPS mm.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the map has no inverse, which a file may hold but [`register`] does not give.
    pub fn world_fixed_from_moving(&self) -> Result<Affine3, Error> {
        inverse(&self.world_moving_from_fixed)
    }
}

/// Finds the rigid or affine map under which `moving` tells most about `fixed`.
///
/// The measure is the mutual information of the intensities `f` of the fixed and `m` of the moving volume at pairs of
/// places `x` and `T(x)`, so the two may be of different modalities:
/// ```text
/// I = Σ_f Σ_m p(f, m) ln( p(f, m) / (p(f) p(m)) )
/// ```
/// The joint histogram is a Parzen estimate: a pair counts for one bin of `f`, and for four bins of `m` by the cubic
/// B-spline of their distance, which makes `I` differentiable in the parameters of `T`. D. Mattes et al., PET-CT image
/// registration in the chest using free-form deformations, IEEE Trans. Med. Imaging 22 (2003) 120-128, eq. 3-8; P.
/// Thévenaz, M. Unser, Optimization of mutual information for multiresolution image registration, IEEE Trans. Image
/// Process. 9 (2000) 2083-2099. Intensities beyond the 0.2 and 99.8 % percentiles count as those.
///
/// On each level the places are voxel centres of the fixed volume, evenly chosen among all (or those of `fixed_mask`),
/// each moved by up to half a voxel so that the grids' beat does not enter the measure; where and how far follows from
/// a counter. Both volumes are interpolated linearly. The parameters are mm at the distance of a typical voxel from the
/// centre of the fixed volume, so that a turn and a shift of equal size weigh the same; steps are those of the BFGS
/// method with a line search by halving. J. Nocedal, S. Wright, Numerical Optimization (2006), eq. 6.17.
///
/// Places without a value (NaN), outside the moving volume or outside `moving_mask` do not count. The masks may lie on
/// grids of their own. Uses all cores; the result does not depend on their number.
///
/// # Errors
/// [`Error::FlatIntensities`] when one of the volumes has one value only where it is looked at, [`Error::EmptyMask`],
/// [`Error::TooLittleOverlap`] when the start or the end leaves less than `min_overlap`, [`Error::InvalidArgument`] for
/// settings out of range and for a start without inverse.
pub fn register(
    fixed: &Volume,
    moving: &Volume,
    fixed_mask: Option<&Mask>,
    moving_mask: Option<&Mask>,
    settings: &RegistrationSettings,
) -> Result<Registration, Error> {
    check(settings)?;
    fixed_mask.map_or(Ok(()), Mask::require_any)?;
    moving_mask.map_or(Ok(()), Mask::require_any)?;
    require_varying(fixed)?;
    require_varying(moving)?;
    let start = start::map(fixed, moving, fixed_mask, moving_mask, settings.start)?;
    let finest_mm = finest_spacing_mm(fixed).min(finest_spacing_mm(moving));
    let coarsest = most_shrinking(fixed, finest_mm).min(most_shrinking(moving, finest_mm));
    let mut motion = Motion::around(fixed, fixed_mask, settings.freedom, start);
    let mut curvature = optimizer::Curvature::unknown(motion.parameters());
    let mut iterations = 0;
    let mut last = None;
    for factor in &settings.shrink_factors {
        let level_mm = factor.min(coarsest) * finest_mm;
        let (fixed, moving) = (coarse(fixed, level_mm)?, coarse(moving, level_mm)?);
        let samples = Samples::of(&fixed, fixed_mask, motion.center(), settings.samples, settings.seed)?;
        let measure = MutualInformation::new(&samples, &moving, moving_mask, settings.bins)?;
        let least = settings.min_overlap;
        let steps = optimizer::Steps {
            first_mm: level_mm,
            smallest_mm: settings.tolerance * finest_mm,
            most: settings.max_iterations,
        };
        let end = optimizer::climb(&measure, &motion, least, &steps, &mut curvature)?;
        motion = motion.restarted(&end.parameters);
        iterations += end.iterations;
        last = Some(end);
    }
    let end = last.expect("the settings hold at least one level");
    Ok(Registration {
        world_moving_from_fixed: motion.start(),
        metric: end.value,
        iterations,
        converged: end.converged,
        overlap: end.overlap,
    })
}

fn require_varying(volume: &Volume) -> Result<(), Error> {
    let finite = volume.as_slice().iter().copied().filter(|v| v.is_finite());
    let (low, high) = finite.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low < high {
        return Ok(());
    }
    Err(Error::FlatIntensities { value: if low.is_finite() { low } else { f32::NAN } })
}

/// How many times the finest spacing a grid may have that leaves 12 voxels along every axis that has as many.
fn most_shrinking(volume: &Volume, finest_mm: f64) -> f64 {
    const FEWEST: usize = 12;
    let (size, spacing) = (volume.geometry().size(), volume.geometry().spacing_mm());
    let along = |a: usize| size[a] as f64 * spacing[a] / (FEWEST as f64 * finest_mm);
    (0..3).filter(|&a| size[a] >= FEWEST).map(along).fold(f64::INFINITY, f64::min).max(1.0)
}

/// The moving volume at the voxel centres of `fixed`, under the map that [`register`] found: [`resample`] of the volume
/// with its grid moved, so every voxel is interpolated once.
///
/// # Errors
/// As [`move_by`].
pub fn resample_moved(
    moving: &Volume,
    world_moving_from_fixed: &Affine3,
    fixed: &Geometry,
    interpolation: Interpolation,
    fill: f32,
) -> Result<Volume, Error> {
    let moved = move_by(moving, &inverse(world_moving_from_fixed)?)?;
    Ok(resample(&moved, fixed, interpolation, fill))
}

/// The same voxels on a grid that `world_to_from_world` has moved: the alignment of a header, no voxel changes.
///
/// To lay the moving volume of a [`register`] on the fixed one, give the inverse of its map. Taken back exactly by
/// [`Restoration::move_by`](crate::Restoration::move_by).
///
/// # Errors
/// [`Error::InvalidGeometry`] when the map leaves no valid grid, for example because it has no inverse.
pub fn move_by(volume: &Volume, world_to_from_world: &Affine3) -> Result<Volume, Error> {
    let world_from_voxel = world_to_from_world.after(&volume.geometry().world_from_voxel());
    let geometry = Geometry::from_affine(volume.geometry().size(), &world_from_voxel)?;
    Volume::new(volume.voxels().to_owned(), geometry, volume.modality(), volume.unit())
}

fn inverse(map: &Affine3) -> Result<Affine3, Error> {
    let finite = map.matrix.iter().flatten().chain(&map.translation).all(|x| x.is_finite());
    map.inverse().filter(|_| finite).ok_or_else(|| Error::InvalidArgument {
        name: "affine map",
        expected: "finite and with an inverse",
        found: format!("{:?} with translation {:?}", map.matrix, map.translation),
    })
}

fn check(settings: &RegistrationSettings) -> Result<(), Error> {
    let refuse = |name, expected, found| Err(Error::InvalidArgument { name, expected, found });
    if !(8..=256).contains(&settings.bins) {
        return refuse("bins", "8 to 256", settings.bins.to_string());
    }
    let factors = &settings.shrink_factors;
    if factors.is_empty() || !factors.iter().all(|f| f.is_finite() && *f >= 1.0) {
        return refuse("shrink factors", "one or more numbers of at least 1", format!("{factors:?}"));
    }
    if !(100..=100_000_000).contains(&settings.samples) {
        return refuse("samples", "100 to 100,000,000", settings.samples.to_string());
    }
    if settings.max_iterations == 0 {
        return refuse("max iterations", "at least 1", "0".to_owned());
    }
    if !(settings.tolerance.is_finite() && settings.tolerance > 0.0) {
        return refuse("tolerance", "a number above 0", settings.tolerance.to_string());
    }
    if !(settings.min_overlap > 0.0 && settings.min_overlap <= 1.0) {
        return refuse("smallest overlap", "above 0, at most 1", settings.min_overlap.to_string());
    }
    Ok(())
}

fn finest_spacing_mm(volume: &Volume) -> f64 {
    volume.geometry().spacing_mm().into_iter().fold(f64::INFINITY, f64::min)
}

/// The volume on a grid whose spacings are at least `level_mm`, or as wide as the volume where it is thinner than that.
fn coarse(volume: &Volume, level_mm: f64) -> Result<Volume, Error> {
    let (spacing_mm, size) = (volume.geometry().spacing_mm(), volume.geometry().size());
    let wanted = std::array::from_fn(|a| {
        // At least 8 voxels stay along each axis that has them.
        let widest = spacing_mm[a] * ((size[a] - 1) as f64 / 7.0).max(1.0);
        level_mm.min(widest).max(spacing_mm[a])
    });
    if wanted == spacing_mm {
        return Ok(volume.clone());
    }
    let grid = with_spacing(volume.geometry(), wanted)?;
    Ok(resample(volume, &grid, Interpolation::Linear, volume.lowest()))
}

/// Sums of `part` over pieces of `0..count`, in the order of the pieces whatever the number of threads.
fn pieces<T: Send>(count: usize, part: impl Fn(std::ops::Range<usize>) -> T + Sync + Send) -> Vec<T> {
    const PIECES: usize = 64;
    let length = count.div_ceil(PIECES).max(1);
    let starts: Vec<usize> = (0..count).step_by(length).collect();
    starts.into_par_iter().map(|begin| part(begin..(begin + length).min(count))).collect()
}

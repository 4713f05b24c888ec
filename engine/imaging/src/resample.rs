mod labels;
mod oblique;
mod separable;
mod slabs;
mod spline;
mod taps;

use ndarray::Array3;
use rayon::prelude::*;

use crate::orientation::Turn;
use crate::{Affine3, Error, Geometry, Mask, Volume};
use taps::AxisTaps;

pub use labels::{LabelInterpolation, resample_labels};
pub use slabs::SlabResampling;

/// How a value between voxel centres is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// The nearest voxel; halfway between two, the one with the larger index.
    Nearest,
    /// Between the 8 voxels around, linear along each axis.
    Linear,
    /// Cubic B-spline through the voxels, mirrored about the centres of the edge voxels.
    #[serde(rename = "bspline")]
    BSpline,
    /// Windowed sinc over 6 voxels along each axis, mirrored like `BSpline`.
    Lanczos3,
    /// Windowed sinc over 8 voxels.
    Lanczos4,
    /// Windowed sinc over 10 voxels.
    Lanczos5,
}

impl std::str::FromStr for Interpolation {
    type Err = Error;

    /// Parses `nearest`, `linear`, `bspline`, `lanczos3`, `lanczos4`, `lanczos5`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word {
            "nearest" => Self::Nearest,
            "linear" => Self::Linear,
            "bspline" => Self::BSpline,
            "lanczos3" => Self::Lanczos3,
            "lanczos4" => Self::Lanczos4,
            "lanczos5" => Self::Lanczos5,
            _ => {
                return Err(Error::InvalidArgument {
                    name: "interpolation",
                    expected: "one of nearest, linear, bspline, lanczos3, lanczos4, lanczos5",
                    found: word.to_owned(),
                });
            }
        })
    }
}

/// The volume's intensities at the voxel centres of `geometry`; modality and unit stay.
///
/// Voxels have extent, so a target voxel belongs to the volume up to half a voxel beyond the outermost centres: half a
/// source voxel, or half a target voxel where that is larger (`max(1, f_a) / 2` source voxels, `f_a` as below). There
/// `Linear` keeps the edge value, `BSpline` and `Lanczos` mirror. Further out the result is `fill`. So no grid made by
/// [`with_spacing`](crate::with_spacing) ends in a rim of fill.
///
/// # Windowed sinc
/// `Lanczos3` to `Lanczos5` weigh the voxels at distance `x < a` by `sinc(x) sinc(x / a)`, `sinc(x) = sin(πx) / (πx)`,
/// divided by the sum of the weights, so that a constant stays one. K. Turkowski, Filters for common resampling tasks,
/// Graphics gems 1990.
///
/// # Shrinking
/// Except with `Nearest` a coarser target grid is anti-aliased ([`interpolate`] does without): along voxel axis `a` the
/// source is blurred first by a Gaussian with, in source voxels,
/// ```text
/// sigma_a² = (f_a² - 1) / (8 ln 2),   f_a² = Σ_b M_ab²,   M = matrix of voxel_from_target
/// ```
/// when `f_a > 1`: a voxel is taken as a Gaussian point spread of full width at half maximum one spacing, and the blur
/// widens it from the source's to the target's. For grids with common axes `f_a` is the ratio of the spacings; a
/// rotation alone blurs nothing. M. Cardoso et al., Scale factor point spread function matching, MICCAI 2015. The
/// Gaussian is sampled at the voxel centres up to 4 sigma and sums to one; taps below 1e-6 of the centre are dropped, so
/// ratios up to about 1.1 are plain interpolation. Worked case: 1 mm to 2 mm, `f = 2`, sigma = √(3 / 5.545) = 0.7355.
///
/// # Voxels that are no number
/// NaN and infinities mean "no value". A target voxel whose nearest source voxel has none takes it over; elsewhere they
/// count as `fill` (as 0 when `fill` is no number either).
///
/// Computed in f32, weights in f64. The result does not depend on the number of threads. Besides the result, grids with
/// common axes need a few MB; others need a second copy of the source for `BSpline` and for a blur.
pub fn resample(volume: &Volume, geometry: &Geometry, interpolation: Interpolation, fill: f32) -> Volume {
    complete_or_not(volume, geometry, interpolation, fill, interpolation != Interpolation::Nearest)
}

/// [`resample`] without anti-aliasing: the interpolated values themselves, also on a coarser grid, as the resampling
/// filters of SimpleITK and SciPy give them.
pub fn interpolate(volume: &Volume, geometry: &Geometry, interpolation: Interpolation, fill: f32) -> Volume {
    complete_or_not(volume, geometry, interpolation, fill, false)
}

fn complete_or_not(volume: &Volume, geometry: &Geometry, way: Interpolation, fill: f32, blurs: bool) -> Volume {
    let has_gaps = way != Interpolation::Nearest && volume.as_slice().par_iter().any(|v| !v.is_finite());
    if !has_gaps {
        return on(volume, geometry, values(volume.as_slice(), volume.geometry(), geometry, way, fill, blurs));
    }
    let stand_in = if fill.is_finite() { fill } else { 0.0 };
    let complete = volume.map(|v| if v.is_finite() { v } else { stand_in });
    let mut smooth = values(complete.as_slice(), volume.geometry(), geometry, way, fill, blurs);
    let nearest = values(volume.as_slice(), volume.geometry(), geometry, Interpolation::Nearest, fill, false);
    for (smooth, nearest) in smooth.iter_mut().zip(nearest) {
        if !nearest.is_finite() {
            *smooth = nearest;
        }
    }
    on(volume, geometry, smooth)
}

/// The region on another grid: a voxel is inside when its nearest source voxel is; outside the source grid nothing is.
pub fn resample_mask(mask: &Mask, geometry: &Geometry) -> Mask {
    let flags: Vec<f32> = mask.inside().iter().map(|&inside| f32::from(u8::from(inside))).collect();
    let moved = values(&flags, mask.geometry(), geometry, Interpolation::Nearest, 0.0, false);
    let inside = shaped(moved.into_iter().map(|v| v != 0.0).collect(), geometry.size());
    Mask::new(inside, geometry.clone()).expect("one bool per voxel")
}

fn on(volume: &Volume, geometry: &Geometry, voxels: Vec<f32>) -> Volume {
    Volume::new(shaped(voxels, geometry.size()), geometry.clone(), volume.modality(), volume.unit())
        .expect("one value per voxel")
}

fn shaped<T>(voxels: Vec<T>, [nx, ny, nz]: [usize; 3]) -> Array3<T> {
    Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel")
}

/// Bytes that the half-done spline may need beyond the result before the slower way without them is taken.
const SPARE_BYTES: usize = 32 << 20;

fn values(source: &[f32], from: &Geometry, to: &Geometry, way: Interpolation, fill: f32, blurs: bool) -> Vec<f32> {
    let voxel_from_target = from.voxel_from_world().after(&to.world_from_voxel());
    let shrink = shrink_factors(&voxel_from_target);
    let blur = if blurs { shrink } else { [1.0; 3] };
    let Some(target_axis) = common_axes(&voxel_from_target, to.size()) else {
        let along = oblique::Along { voxel_from_target, shrink, fill };
        return oblique::evaluate(source, from.size(), &along, to.size(), way, blur);
    };
    let positions = |a: usize| {
        let (step, start) = (voxel_from_target.matrix[a][target_axis[a]], voxel_from_target.translation[a]);
        (0..to.size()[target_axis[a]]).map(move |i| start + step * i as f64)
    };
    let axes: [AxisTaps; 3] =
        std::array::from_fn(|a| AxisTaps::new(positions(a), from.size()[a], way, shrink[a], blur[a]));
    let [nx, ny, nz] = target_axis.map(|b| to.size()[b]);
    let excess = nx * ny * from.size()[2].saturating_sub(nz) * size_of::<f32>();
    let values = if way == Interpolation::BSpline && excess > SPARE_BYTES {
        let with_inverse = |a: usize| AxisTaps::with_inverse(positions(a), from.size()[a], shrink[a], blur[a]);
        let [x, _, _] = axes;
        separable::by_slabs(source, from.size(), &[x, with_inverse(1), with_inverse(2)], true, fill)
    } else {
        separable::evaluate(source, from.size(), &axes, way == Interpolation::BSpline, fill)
    };
    if target_axis == [0, 1, 2] {
        return values;
    }
    let turn = Turn { from: target_axis, flip: [false; 3] };
    let along_source = shaped(values, target_axis.map(|b| to.size()[b]));
    turn.inverse().array(along_source.view()).into_raw_vec_and_offset().0
}

/// `max(1, f_a)` along each source axis: how many source voxels wide a target voxel is; see [`resample`].
fn shrink_factors(voxel_from_target: &Affine3) -> [f64; 3] {
    voxel_from_target.matrix.map(|row| row.iter().map(|m| m * m).sum::<f64>().sqrt().max(1.0))
}

/// For each source axis the one target axis that moves along it, when the grids share their axes: nowhere in the target
/// do the other two move a point by 1e-5 voxel.
fn common_axes(voxel_from_target: &Affine3, target_size: [usize; 3]) -> Option<[usize; 3]> {
    let reach = |a: usize, b: usize| voxel_from_target.matrix[a][b].abs() * (target_size[b] - 1) as f64;
    let fits = |p: &[usize; 3]| (0..3).all(|a| (0..3).filter(|&b| b != p[a]).map(|b| reach(a, b)).sum::<f64>() < 1e-5);
    let candidates = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    candidates.into_iter().find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Modality, Orientation, Unit, reorient, with_spacing};

    const ALL: [Interpolation; 6] = [
        Interpolation::Nearest,
        Interpolation::Linear,
        Interpolation::BSpline,
        Interpolation::Lanczos3,
        Interpolation::Lanczos4,
        Interpolation::Lanczos5,
    ];

    fn made(geometry: Geometry, value: impl Fn([f64; 3]) -> f64) -> Volume {
        let world = geometry.world_from_voxel();
        let [nx, ny, nz] = geometry.size();
        let voxels =
            Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| value(world.apply([i as f64, j as f64, k as f64])) as f32);
        Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }

    fn row(values: &[f32]) -> Volume {
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]).unwrap();
        made(geometry, |[x, _, _]| f64::from(values[x.round() as usize]))
    }

    fn onto(values: &[f32], origin: f64, spacing: f64, count: usize, interpolation: Interpolation) -> Vec<f32> {
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let target = Geometry::new([count, 1, 1], [spacing, 1.0, 1.0], [origin, 0.0, 0.0], identity).unwrap();
        resample(&row(values), &target, interpolation, -7.0).as_slice().to_vec()
    }

    #[test]
    fn values_along_a_row() {
        let source = [10.0, 20.0, 40.0];
        type Row = (f64, f64, Interpolation, &'static [f32]);
        let rows: [Row; 7] = [
            // Positions -1, -0.5, 0, ..., 3: ties go up, half a voxel beyond the centres is inside.
            (-1.0, 0.5, Interpolation::Nearest, &[-7.0, 10.0, 10.0, 20.0, 20.0, 40.0, 40.0, 40.0, -7.0]),
            (-1.0, 0.5, Interpolation::Linear, &[-7.0, 10.0, 10.0, 15.0, 20.0, 30.0, 40.0, 40.0, -7.0]),
            (0.0, 1.0, Interpolation::BSpline, &[10.0, 20.0, 40.0, -7.0]),
            (0.25, 1.0, Interpolation::Linear, &[12.5, 25.0, 40.0, -7.0]),
            // A target voxel of 3 mm at 3 overlaps the source, one at 4 does not.
            (0.0, 3.0, Interpolation::Nearest, &[10.0, 40.0, -7.0]),
            (1.0, 3.0, Interpolation::Nearest, &[20.0, -7.0]),
            (9.0, 1.0, Interpolation::Linear, &[-7.0, -7.0]),
        ];
        for (origin, spacing, interpolation, expected) in rows {
            let found = onto(&source, origin, spacing, expected.len(), interpolation);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-5, "{interpolation:?} {found} {expected}");
            }
        }
    }

    #[test]
    fn a_b_spline_between_the_samples_0_1_0() {
        // Coefficients -1 2 -1, mirrored: at 0.5 the weights 1/48 23/48 23/48 1/48 on 2 -1 2 -1 give 24/48.
        let found = onto(&[0.0, 1.0, 0.0], 0.5, 1.0, 1, Interpolation::BSpline);
        assert!((found[0] - 0.5).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn lanczos_halfway_between_voxels() {
        // sinc(x) sinc(x/3) at 0.5, 1.5, 2.5: 0.607927 -0.135095 0.024317, sum 0.497149 to each side.
        let [near, next, far] = [0.607_927, -0.135_095, 0.024_317].map(|w| w / (2.0 * 0.497_149));
        let mut spike = [0.0; 12];
        spike[6] = 1.0;
        let found = onto(&spike, 3.5, 1.0, 6, Interpolation::Lanczos3);
        for (found, expected) in found.into_iter().zip([far, next, near, near, next, far]) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found} {expected}");
        }
        for interpolation in [Interpolation::Lanczos3, Interpolation::Lanczos4, Interpolation::Lanczos5] {
            assert!(onto(&[7.0; 9], -0.4, 0.37, 23, interpolation).iter().all(|v| (v - 7.0).abs() < 1e-5));
        }
    }

    #[test]
    fn interpolation_alone_takes_the_voxels_as_they_are() {
        let source = row(&[0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        let coarse = with_spacing(source.geometry(), [2.0, 1.0, 1.0]).unwrap();
        for interpolation in ALL {
            let found = interpolate(&source, &coarse, interpolation, 0.0);
            assert!(found.as_slice().iter().all(|v| v.abs() < 1e-6), "{interpolation:?}");
        }
        assert!(resample(&source, &coarse, Interpolation::Linear, 0.0).as_slice()[1] > 0.4);
    }

    #[test]
    fn a_spline_with_its_inverse_in_the_weights_is_the_same_spline() {
        let source = made(Geometry::axis_aligned([12, 40, 37], [1.0; 3]).unwrap(), |[x, y, z]| {
            (x * 7.0 + y * 3.0 + z * 11.0) % 13.0
        });
        let size = source.geometry().size();
        let positions = |a: usize| (0..9).map(move |i| [0.3, -0.4, 0.1][a] + [1.2, 4.5, 4.1][a] * f64::from(i));
        let spline = |a: usize| AxisTaps::new(positions(a), size[a], Interpolation::BSpline, 1.0, 1.0);
        let whole = |a: usize| AxisTaps::with_inverse(positions(a), size[a], 1.0, 1.0);
        let expected = separable::evaluate(source.as_slice(), size, &[spline(0), spline(1), spline(2)], true, 0.0);
        let found = separable::by_slabs(source.as_slice(), size, &[spline(0), whole(1), whole(2)], true, 0.0);
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{found} {expected}");
        }
    }

    #[test]
    fn blur_before_shrinking_by_two() {
        // sigma = 0.7355: bell 0.5424 0.2152 0.0135 0.0001; a single 1 at voxel 6 seen from the voxels 4 6 8.
        let mut spike = [0.0; 13];
        spike[6] = 1.0;
        let found = onto(&spike, 0.0, 2.0, 7, Interpolation::Linear);
        let sigma_squared = 3.0 / (8.0 * std::f64::consts::LN_2);
        let bell: Vec<f64> = (-3..=3).map(|i: i32| (-0.5 * f64::from(i * i) / sigma_squared).exp()).collect();
        let total: f64 = bell.iter().sum();
        for (target, expected) in [(2, bell[1] / total), (3, bell[3] / total), (4, bell[5] / total), (0, 0.0)] {
            assert!((f64::from(found[target]) - expected).abs() < 1e-6, "{found:?}");
        }
    }

    #[test]
    fn a_checkerboard_finer_than_the_target_turns_grey() {
        let source = made(Geometry::axis_aligned([24, 24, 6], [1.0; 3]).unwrap(), |[x, y, _]| (x + y) % 2.0);
        let coarse = with_spacing(source.geometry(), [3.0, 3.0, 1.0]).unwrap();
        for interpolation in [Interpolation::Linear, Interpolation::BSpline] {
            let grey = resample(&source, &coarse, interpolation, 0.0);
            assert!(grey.as_slice().iter().all(|v| (v - 0.5).abs() < 0.01), "{interpolation:?}");
        }
        let aliased = resample(&source, &coarse, Interpolation::Nearest, 0.0);
        assert!(aliased.as_slice().iter().all(|v| *v == 0.0 || *v == 1.0));
    }

    fn oblique(size: [usize; 3], spacing: [f64; 3], origin: [f64; 3]) -> Geometry {
        let (c, s) = (0.3f64.cos(), 0.3f64.sin());
        Geometry::new(size, spacing, origin, [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]).unwrap()
    }

    /// Target grids over the inside of `0..=19` cubed: same axes, turned axes, rotated.
    fn inner_targets() -> [Geometry; 3] {
        let turned = [[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
        [
            Geometry::new([9, 8, 7], [0.7, 0.6, 0.9], [6.0; 3], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
                .unwrap(),
            Geometry::new([9, 8, 7], [0.7, 0.6, 0.9], [12.0, 6.0, 12.0], turned).unwrap(),
            oblique([7, 6, 5], [0.8, 0.9, 0.7], [8.0; 3]),
        ]
    }

    #[test]
    fn linear_reproduces_a_ramp_and_b_spline_a_cubic_inside() {
        let grid = Geometry::axis_aligned([20, 20, 20], [1.0; 3]).unwrap();
        let ramp = |[x, y, z]: [f64; 3]| 3.0 * x - 2.0 * y + 0.5 * z - 4.0;
        let cubic = |[x, y, z]: [f64; 3]| {
            let [x, y, z] = [x - 9.5, y - 9.5, z - 9.5];
            0.1 * x * x * x - 0.2 * y * y * z + 0.3 * x * y + z
        };
        for target in inner_targets() {
            let expected = made(target.clone(), ramp);
            let found = resample(&made(grid.clone(), ramp), &target, Interpolation::Linear, 0.0);
            for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
                assert!((found - expected).abs() < 2e-5, "{target}: {found} {expected}");
            }
            // The mirrored border falls off by |z| = 0.268 per voxel: 6 voxels in, a kink of ~25 leaves about 1e-2.
            let expected = made(target.clone(), cubic);
            let found = resample(&made(grid.clone(), cubic), &target, Interpolation::BSpline, 0.0);
            for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
                assert!((found - expected).abs() < 1e-2, "{target}: {found} {expected}");
            }
        }
    }

    #[test]
    fn the_way_along_axes_and_the_way_through_space_agree() {
        let grid = Geometry::axis_aligned([20, 19, 18], [1.0; 3]).unwrap();
        let source = made(grid, |[x, y, z]| (x * 7.0 + y * 3.0 + z * 11.0) % 13.0);
        // The first target is coarser along x, so both ways blur.
        let coarse = Geometry::axis_aligned([11, 20, 17], [1.9, 0.9, 1.1]).unwrap();
        for (target, interpolation) in
            inner_targets().into_iter().chain([coarse]).flat_map(|t| ALL.map(|i| (t.clone(), i)))
        {
            let map = source.geometry().voxel_from_world().after(&target.world_from_voxel());
            let shrink = shrink_factors(&map);
            let size = source.geometry().size();
            let blur = if interpolation == Interpolation::Nearest { [1.0; 3] } else { shrink };
            let along = oblique::Along { voxel_from_target: map, shrink, fill: -1.0 };
            let direct = oblique::evaluate(source.as_slice(), size, &along, target.size(), interpolation, blur);
            let found = resample(&source, &target, interpolation, -1.0);
            for (found, direct) in found.as_slice().iter().zip(direct) {
                assert!((found - direct).abs() < 2e-5, "{interpolation:?} {target}: {found} {direct}");
            }
        }
    }

    #[test]
    fn the_same_grid_gives_the_same_voxels_in_every_orientation() {
        let source =
            made(oblique([6, 5, 4], [0.8, 0.9, 2.0], [1.0, 2.0, 3.0]), |[x, y, z]| (x * 5.0 + y * 9.0 + z) % 7.0);
        for orientation in Orientation::all() {
            let expected = reorient(&source, orientation);
            for interpolation in ALL {
                let found = resample(&source, expected.geometry(), interpolation, 0.0);
                assert_eq!(found.geometry(), expected.geometry());
                for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
                    assert!((found - expected).abs() < 1e-5, "{orientation} {interpolation:?}");
                }
            }
        }
    }

    #[test]
    fn axes_of_one_voxel_hold_their_value_for_half_a_voxel() {
        let slice = made(Geometry::axis_aligned([4, 4, 1], [1.0, 1.0, 5.0]).unwrap(), |[x, _, _]| x);
        let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let target = Geometry::new([4, 4, 4], [1.0, 1.0, 2.0], [0.0, 0.0, -2.0], identity).unwrap();
        for interpolation in ALL {
            let found = resample(&slice, &target, interpolation, 9.0);
            let along_z: Vec<f32> = (0..4).map(|k| found.voxels()[[k, 2, 3]]).collect();
            for (found, expected) in along_z.into_iter().zip([3.0, 3.0, 3.0, 9.0]) {
                assert!((found - expected).abs() < 1e-5, "{interpolation:?}");
            }
        }
    }

    #[test]
    fn a_voxel_without_value_stays_one_and_spoils_no_other() {
        for interpolation in [Interpolation::Linear, Interpolation::BSpline] {
            for gap in [f32::NAN, f32::INFINITY] {
                let mut values = [5.0; 9];
                values[4] = gap;
                let found = onto(&values, 0.0, 0.5, 17, interpolation);
                let gaps: Vec<usize> = (0..17).filter(|&i| !found[i].is_finite()).collect();
                // Positions 3.5 and 4.0 are nearest to voxel 4 (ties go up).
                assert_eq!(gaps, [7, 8], "{interpolation:?}");
                assert_eq!(found[0].round(), 5.0);
            }
        }
    }

    #[test]
    fn a_region_moves_with_its_grid() {
        let grid = Geometry::axis_aligned([4, 4, 2], [1.0; 3]).unwrap();
        let mask = Mask::new(Array3::from_shape_fn((2, 4, 4), |(_, j, i)| i >= 2 && j < 2), grid.clone()).unwrap();
        let fine = with_spacing(&grid, [0.25, 0.25, 1.0]).unwrap();
        let found = resample_mask(&mask, &fine);
        // x from 1.5 to 3: 7 of 13; y from 0 below 1.5: 6 of 13.
        assert_eq!((found.count(), found.bounding_box()), (7 * 6 * 2, Some(([6, 0, 0], [7, 6, 2]))));
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_bit() {
        let source =
            made(oblique([40, 37, 21], [0.8, 0.9, 2.0], [0.0; 3]), |[x, y, z]| (x * 5.3 + y * 9.1 + z * 3.3) % 7.7);
        let along = with_spacing(source.geometry(), [1.0; 3]).unwrap();
        let across = Geometry::axis_aligned([30, 30, 30], [1.0; 3]).unwrap();
        for (target, interpolation) in [along, across].iter().flat_map(|t| ALL.map(|i| (t, i))) {
            let runs = [1, 2, 5].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| resample(&source, target, interpolation, 0.0))
            });
            assert!(runs.iter().all(|run| run == &runs[0]), "{interpolation:?}");
        }
    }
}

use ndarray::Array3;
use rayon::prelude::*;

use crate::lines::{Edge, LANES, Lanes, filter_lines};
use crate::{Error, Geometry, Mask, Modality, Unit, Volume};

/// The distance in mm from every voxel centre to the nearest voxel centre of the region, 0 inside it.
///
/// Exact for any spacing: squared distances are built axis by axis from lower envelopes of parabolas (P. Felzenszwalb,
/// D. Huttenlocher, Distance transforms of sampled functions, Theory of Computing 8 (2012) 415-428) in f64 and stored as
/// f32, so the result is right to 1e-6 of itself. The same as `distance_transform_edt` of SciPy on the region's inverse.
///
/// # Errors
/// [`Error::EmptyMask`] for a region without voxels, [`Error::InvalidGeometry`] when the grid's axes are not at right
/// angles to 1e-4.
pub fn distance(mask: &Mask) -> Result<Volume, Error> {
    require_right_angles(mask.geometry())?;
    mask.require_any()?;
    on_grid(mask, to_nearest(mask, true))
}

/// [`distance`] outside the region and, negative, the distance to the nearest voxel centre outside it for the voxels
/// inside; `-inf` everywhere when the region fills the grid.
///
/// No voxel is at 0: neighbours across the border are at plus and minus one spacing.
///
/// # Errors
/// As [`distance`].
pub fn signed_distance(mask: &Mask) -> Result<Volume, Error> {
    require_right_angles(mask.geometry())?;
    mask.require_any()?;
    let mut outside = to_nearest(mask, true);
    let inside = to_nearest(mask, false);
    outside.par_iter_mut().zip(inside).for_each(|(outside, inside)| *outside -= inside);
    on_grid(mask, outside)
}

fn on_grid(mask: &Mask, distances_mm: Vec<f32>) -> Result<Volume, Error> {
    let voxels = Array3::from_shape_vec(mask.inside().dim(), distances_mm).expect("one value per voxel");
    Volume::new(voxels, mask.geometry().clone(), Modality::Ot, Unit::Arbitrary)
}

fn require_right_angles(geometry: &Geometry) -> Result<(), Error> {
    let d = geometry.direction();
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let cosine: f64 = (0..3).map(|c| d[a][c] * d[b][c]).sum();
        if cosine.abs() > 1e-4 {
            let reason =
                format!("distances need axes at right angles, found a cosine of {cosine:.4} between two of them");
            return Err(Error::InvalidGeometry { reason });
        }
    }
    Ok(())
}

/// The distance to the nearest voxel that equals `value`; infinite when there is none.
fn to_nearest(mask: &Mask, value: bool) -> Vec<f32> {
    let geometry = mask.geometry();
    let mut squared: Vec<f32> =
        mask.inside().iter().map(|&inside| if inside == value { 0.0 } else { f32::INFINITY }).collect();
    for axis in (0..3).filter(|&axis| geometry.size()[axis] > 1) {
        let spacing = geometry.spacing_mm()[axis];
        filter_lines(&mut squared, geometry.size(), axis, [0, 0], Edge::Replicate, |lines, out| {
            let mut envelope = Vec::with_capacity(lines.len());
            for lane in 0..LANES {
                lower_envelope(lines, lane, spacing, &mut envelope);
                evaluate(&envelope, lane, spacing, out);
            }
        });
    }
    squared.par_iter_mut().for_each(|v| *v = v.sqrt());
    squared
}

/// One parabola of the envelope: `height + (x - apex)²`, the lowest from `begin` on; all in mm.
struct Parabola {
    apex: f64,
    height: f64,
    begin: f64,
}

fn lower_envelope(lines: &[Lanes], lane: usize, spacing: f64, envelope: &mut Vec<Parabola>) {
    envelope.clear();
    for (i, lanes) in lines.iter().enumerate().filter(|(_, lanes)| lanes[lane].is_finite()) {
        let (apex, height) = (i as f64 * spacing, lanes[lane]);
        let mut begin = f64::NEG_INFINITY;
        while let Some(last) = envelope.last() {
            let lift = (height + apex * apex) - (last.height + last.apex * last.apex);
            begin = lift / (2.0 * (apex - last.apex));
            if begin > last.begin {
                break;
            }
            envelope.pop();
            begin = f64::NEG_INFINITY;
        }
        envelope.push(Parabola { apex, height, begin });
    }
}

fn evaluate(envelope: &[Parabola], lane: usize, spacing: f64, out: &mut [Lanes]) {
    let mut lowest = 0;
    for (i, out) in out.iter_mut().enumerate() {
        let x = i as f64 * spacing;
        while envelope.get(lowest + 1).is_some_and(|next| next.begin < x) {
            lowest += 1;
        }
        out[lane] = envelope.get(lowest).map_or(f64::INFINITY, |p| p.height + (x - p.apex) * (x - p.apex));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(size: [usize; 3], spacing_mm: [f64; 3], inside: impl Fn([usize; 3]) -> bool) -> Mask {
        let inside = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| inside([i, j, k]));
        Mask::new(inside, Geometry::axis_aligned(size, spacing_mm).unwrap()).unwrap()
    }

    #[test]
    fn distances_to_scattered_voxels_are_those_of_every_pair() {
        let seeds = [[0, 0, 0], [6, 4, 3], [10, 8, 6], [10, 0, 6], [3, 7, 1]];
        let spacing = [0.9, 1.1, 2.5];
        let source = mask([11, 9, 7], spacing, |v| seeds.contains(&v));
        let found = distance(&source).unwrap();
        for ((k, j, i), found) in found.voxels().indexed_iter() {
            let to = |s: &[usize; 3]| {
                let step = |a: usize, at: usize| (at as f64 - s[a] as f64) * spacing[a];
                (step(0, i).powi(2) + step(1, j).powi(2) + step(2, k).powi(2)).sqrt()
            };
            let expected = seeds.iter().map(to).fold(f64::INFINITY, f64::min);
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{i} {j} {k}: {found} {expected}");
        }
    }

    #[test]
    fn the_signed_distance_changes_sign_across_the_border() {
        let half = mask([6, 3, 2], [2.0, 1.0, 1.0], |[i, _, _]| i < 3);
        let found = signed_distance(&half).unwrap();
        assert_eq!(found.as_slice()[..6], [-6.0, -4.0, -2.0, 2.0, 4.0, 6.0]);
        let full = signed_distance(&mask([3, 3, 3], [1.0; 3], |_| true)).unwrap();
        assert!(full.as_slice().iter().all(|v| *v == f32::NEG_INFINITY));
    }

    #[test]
    fn an_empty_region_and_a_sheared_grid_are_refused() {
        assert!(matches!(distance(&mask([3, 3, 3], [1.0; 3], |_| false)), Err(Error::EmptyMask { .. })));
        let sheared =
            Geometry::new([2, 2, 2], [1.0; 3], [0.0; 3], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 1.0]]).unwrap();
        let source = Mask::new(Array3::from_elem((2, 2, 2), true), sheared).unwrap();
        assert!(matches!(signed_distance(&source), Err(Error::InvalidGeometry { .. })));
    }
}

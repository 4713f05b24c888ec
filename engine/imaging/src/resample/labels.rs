use rayon::prelude::*;

use super::{on, shrink_factors, taps};
use crate::{Error, Geometry, Volume};

/// How the label between voxel centres is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelInterpolation {
    /// The label of the nearest voxel; halfway between two, of the one with the larger index.
    Nearest,
    /// The label with the largest share of the tent that reaches one voxel to each side.
    Linear,
    /// The label with the largest share of a Gaussian with a standard deviation of one voxel, cut at 3: smoother borders,
    /// but regions thinner than about two voxels get lost.
    Gaussian,
}

impl std::str::FromStr for LabelInterpolation {
    type Err = Error;

    /// Parses `nearest`, `linear`, `gaussian`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        Ok(match word {
            "nearest" => Self::Nearest,
            "linear" => Self::Linear,
            "gaussian" => Self::Gaussian,
            _ => {
                return Err(Error::InvalidArgument {
                    name: "interpolation of labels",
                    expected: "one of nearest, linear, gaussian",
                    found: word.to_owned(),
                });
            }
        })
    }
}

/// The label map on another grid; no label appears that `labels` or `fill` does not have.
///
/// The voxels around a target voxel vote with the weight of a tent or a Gaussian along each voxel axis, in source voxels,
/// or in target voxels along the axes where those are larger (`f_a` of [`resample`](super::resample)), so that small
/// voxels are pooled when shrinking. Of equal votes the label of the nearest voxel wins, else the smallest. As in
/// [`resample`](super::resample), a target voxel belongs to the volume up to half a voxel beyond the outermost centres;
/// further out it is `fill`. `Gaussian` votes like the label-Gaussian interpolator of ITK.
pub fn resample_labels(labels: &Volume, geometry: &Geometry, way: LabelInterpolation, fill: f32) -> Volume {
    let size = labels.geometry().size();
    let voxel_from_target = labels.geometry().voxel_from_world().after(&geometry.world_from_voxel());
    let shrink = shrink_factors(&voxel_from_target);
    let source = labels.as_slice();
    let [nx, ny, nz] = geometry.size();
    let mut voxels = vec![fill; nx * ny * nz];
    voxels.par_chunks_mut(nx).enumerate().for_each_init(Votes::default, |votes, (row, out)| {
        for (i, out) in out.iter_mut().enumerate() {
            let position = voxel_from_target.apply([i, row % ny, row / ny].map(|index| index as f64));
            if (0..3).all(|a| taps::is_inside(position[a], size[a], shrink[a])) {
                *out = votes.winner(source, size, position, shrink, way);
            }
        }
    });
    on(labels, geometry, voxels)
}

/// What the voxels around one position vote for.
#[derive(Default)]
struct Votes {
    /// Voxel and weight along each axis.
    near: [Vec<(usize, f64)>; 3],
    shares: Vec<(f32, f64)>,
}

impl Votes {
    fn winner(
        &mut self,
        source: &[f32],
        size: [usize; 3],
        at: [f64; 3],
        shrink: [f64; 3],
        way: LabelInterpolation,
    ) -> f32 {
        // The shift is that of `taps::kernel`.
        let place: [usize; 3] = std::array::from_fn(|a| ((at[a] + 0.5 + 1e-9).max(0.0) as usize).min(size[a] - 1));
        let label = |[x, y, z]: [usize; 3]| source[(z * size[1] + y) * size[0] + x];
        let nearest = label(place);
        if way == LabelInterpolation::Nearest {
            return nearest;
        }
        for a in 0..3 {
            gather(at[a], size[a], shrink[a], way, &mut self.near[a]);
        }
        self.shares.clear();
        for &(z, weight_z) in &self.near[2] {
            for &(y, weight_y) in &self.near[1] {
                for &(x, weight_x) in &self.near[0] {
                    let (label, weight) = (label([x, y, z]), weight_x * weight_y * weight_z);
                    match self.shares.iter_mut().find(|(known, _)| known.to_bits() == label.to_bits()) {
                        Some((_, share)) => *share += weight,
                        None => self.shares.push((label, weight)),
                    }
                }
            }
        }
        let most = self.shares.iter().map(|(_, share)| *share).fold(0.0, f64::max) * (1.0 - 1e-9);
        let best = || self.shares.iter().filter(|(_, share)| *share >= most).map(|(label, _)| *label);
        if best().any(|label| label.to_bits() == nearest.to_bits()) {
            return nearest;
        }
        best().min_by(f32::total_cmp).unwrap_or(nearest)
    }
}

/// The voxels of an axis that vote at `position`, with their weights.
fn gather(position: f64, size: usize, shrink: f64, way: LabelInterpolation, near: &mut Vec<(usize, f64)>) {
    let reach = if way == LabelInterpolation::Linear { shrink } else { 3.0 * shrink };
    let position = position.clamp(0.0, (size - 1) as f64);
    let (first, last) = ((position - reach).ceil().max(0.0) as usize, ((position + reach) as usize).min(size - 1));
    near.clear();
    near.extend((first..=last).map(|voxel| {
        let away = (voxel as f64 - position) / shrink;
        (voxel, if way == LabelInterpolation::Linear { 1.0 - away.abs() } else { (-0.5 * away * away).exp() })
    }));
    near.retain(|(_, weight)| *weight > 1e-9);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interpolation, Modality, Unit, resample, with_spacing};

    fn labels(size: [usize; 3], label: impl Fn([usize; 3]) -> f32) -> Volume {
        let voxels = ndarray::Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| label([i, j, k]));
        Volume::new(voxels, Geometry::axis_aligned(size, [1.0; 3]).unwrap(), Modality::Seg, Unit::Label).unwrap()
    }

    const WAYS: [LabelInterpolation; 3] =
        [LabelInterpolation::Nearest, LabelInterpolation::Linear, LabelInterpolation::Gaussian];

    #[test]
    fn no_label_appears_between_two() {
        let source = labels([9, 8, 7], |[i, j, k]| [0.0, 5.0, 2.0, 9.0][(i / 3 + j / 4 + k / 2) % 4]);
        let (c, s) = (0.4f64.cos(), 0.4f64.sin());
        let turned = Geometry::new([12, 12, 12], [0.6; 3], [-1.0; 3], [[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]]);
        let grids = [turned.unwrap(), with_spacing(source.geometry(), [2.0, 3.0, 1.5]).unwrap()];
        for (grid, way) in grids.iter().flat_map(|grid| WAYS.map(|way| (grid, way))) {
            let found = resample_labels(&source, grid, way, 7.0);
            assert!(found.as_slice().iter().all(|v| [0.0, 2.0, 5.0, 9.0, 7.0].contains(v)), "{way:?}");
            assert_eq!(found.unit(), Unit::Label);
        }
        assert_eq!(
            resample_labels(&source, &grids[0], LabelInterpolation::Nearest, 7.0),
            resample(&source, &grids[0], Interpolation::Nearest, 7.0)
        );
    }

    #[test]
    fn the_largest_share_wins_and_the_own_grid_changes_nothing() {
        let source = labels([5, 1, 1], |[i, _, _]| [4.0, 4.0, 1.0, 1.0, 3.0][i]);
        for way in [LabelInterpolation::Nearest, LabelInterpolation::Linear] {
            assert_eq!(resample_labels(&source, source.geometry(), way, 0.0), source);
        }
        // Voxels of 2 mm at 1 and 3: of the tent over 0..2 mm 4 has 3/4; over 2..4 mm 1 has 3/4.
        let coarse = Geometry::new([2, 1, 1], [2.0, 1.0, 1.0], [1.0, 0.0, 0.0], source.geometry().direction()).unwrap();
        assert_eq!(resample_labels(&source, &coarse, LabelInterpolation::Linear, 0.0).as_slice(), [4.0, 1.0]);
    }
}

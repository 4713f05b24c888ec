use crate::settings::{Settings, WeightingNorm};

/// Steps from a voxel to its partners, x, y, z: one of each opposite pair, at the `distances` by the maximum norm, none
/// along the axis `across` (x is 0), and short enough to stay in a box of `size` voxels.
pub(crate) fn directions(size: [usize; 3], distances: &[u32], across: Option<usize>) -> Vec<[i64; 3]> {
    let reach = distances.iter().copied().max().unwrap_or(1);
    let reach = i64::from(reach).min(size.into_iter().max().unwrap_or(1) as i64);
    let mut found = Vec::new();
    for z in 0..=reach {
        for y in -reach..=reach {
            for x in -reach..=reach {
                let step = [x, y, z];
                let is_first_of_pair = z > 0 || y > 0 || (y == 0 && x > 0);
                let distance = step.iter().map(|s| s.unsigned_abs() as u32).max().unwrap_or(0);
                let fits = (0..3).all(|a| step[a].unsigned_abs() < size[a] as u64);
                if is_first_of_pair
                    && fits
                    && distances.contains(&distance)
                    && across.is_none_or(|axis| step[axis] == 0)
                {
                    found.push(step);
                }
            }
        }
    }
    found
}

/// Axis across the slices that textures are confined to, x is 0.
pub(crate) fn slice_axis(settings: &Settings) -> Option<usize> {
    settings.force_2d.then_some(2 - settings.force_2d_dimension)
}

/// Length of a step in mm by a norm; `None` without a norm.
pub(crate) fn length_mm(norm: WeightingNorm, step: [i64; 3], spacing_mm: [f64; 3]) -> Option<f64> {
    let step_mm: [f64; 3] = std::array::from_fn(|a| step[a].abs() as f64 * spacing_mm[a]);
    match norm {
        WeightingNorm::Manhattan => Some(step_mm.iter().sum()),
        WeightingNorm::Euclidean => Some(step_mm.iter().map(|s| s * s).sum::<f64>().sqrt()),
        WeightingNorm::Infinity => Some(step_mm.iter().copied().fold(0.0, f64::max)),
        WeightingNorm::NoWeighting => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_neighbours_and_no_step_out_of_the_box() {
        type Row = ([usize; 3], &'static [u32], Option<usize>, usize);
        let rows: [Row; 6] = [
            ([5, 5, 5], &[1], None, 13),
            ([5, 5, 1], &[1], None, 4),
            ([2, 1, 1], &[1], None, 1),
            ([5, 5, 5], &[1, 2], None, 62),
            ([5, 5, 5], &[2], None, 49),
            ([5, 5, 5], &[1], Some(0), 4),
        ];
        for (size, distances, across, count) in rows {
            let found = directions(size, distances, across);
            assert_eq!(found.len(), count);
            assert!(across.is_none_or(|axis| found.iter().all(|step| step[axis] == 0)));
        }
    }

    #[test]
    fn slices_lie_across_the_axis_that_pyradiomics_counts_from_z() {
        let mut settings = Settings::default();
        assert_eq!(slice_axis(&settings), None);
        settings.force_2d = true;
        assert_eq!(slice_axis(&settings), Some(2));
        settings.force_2d_dimension = 2;
        assert_eq!(slice_axis(&settings), Some(0));
    }

    #[test]
    fn steps_are_measured_in_mm() {
        let rows = [
            (WeightingNorm::Manhattan, Some(6.0)),
            (WeightingNorm::Euclidean, Some(20f64.sqrt())),
            (WeightingNorm::Infinity, Some(4.0)),
            (WeightingNorm::NoWeighting, None),
        ];
        for (norm, expected) in rows {
            assert_eq!(length_mm(norm, [-1, 0, 1], [2.0, 9.0, 4.0]), expected);
        }
    }
}

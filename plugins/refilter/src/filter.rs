use rustfft::{Fft, FftPlanner, num_complex::Complex64};

/// Filters one slice of `size` (x, y) voxels: mirrored by `margin` voxels at its edges, transformed, multiplied with the
/// gain at each spatial frequency (lp/cm), transformed back, cut.
pub(crate) fn filter_slice(
    slice: &[f32],
    size: [usize; 2],
    spacing_mm: [f64; 2],
    margin: usize,
    gain: impl Fn(f64) -> f64,
    out: &mut [f32],
) {
    let [nx, ny] = size.map(|n| n + 2 * margin);
    let mut wide: Vec<Complex64> = (0..nx * ny)
        .map(|i| {
            let x = mirrored((i % nx) as isize - margin as isize, size[0]);
            let y = mirrored((i / nx) as isize - margin as isize, size[1]);
            Complex64::new(f64::from(slice[y * size[0] + x]), 0.0)
        })
        .collect();
    let mut planner = FftPlanner::new();
    transform(&mut wide, [nx, ny], |n| planner.plan_fft_forward(n));
    for (i, value) in wide.iter_mut().enumerate() {
        *value *= gain(frequency_per_cm(i, [nx, ny], spacing_mm)) / (nx * ny) as f64;
    }
    transform(&mut wide, [nx, ny], |n| planner.plan_fft_inverse(n));
    for (y, row) in out.chunks_exact_mut(size[0]).enumerate() {
        for (x, value) in row.iter_mut().enumerate() {
            *value = wide[(y + margin) * nx + x + margin].re as f32;
        }
    }
}

/// Spatial frequency, in lp/cm, of value `index` of a transform of `size` (x, y) values.
pub(crate) fn frequency_per_cm(index: usize, [nx, ny]: [usize; 2], spacing_mm: [f64; 2]) -> f64 {
    let along = |index: usize, n: usize, spacing: f64| index.min(n - index) as f64 * 10.0 / (n as f64 * spacing);
    along(index % nx, nx, spacing_mm[0]).hypot(along(index / nx, ny, spacing_mm[1]))
}

/// Transforms the rows, then the columns, of `size` (x, y) values.
pub(crate) fn transform(
    values: &mut [Complex64],
    [nx, ny]: [usize; 2],
    mut plan: impl FnMut(usize) -> std::sync::Arc<dyn Fft<f64>>,
) {
    plan(nx).process(values);
    let columns = plan(ny);
    let mut column = vec![Complex64::default(); ny];
    for x in 0..nx {
        for (y, value) in column.iter_mut().enumerate() {
            *value = values[y * nx + x];
        }
        columns.process(&mut column);
        for (y, value) in column.iter().enumerate() {
            values[y * nx + x] = *value;
        }
    }
}

/// An index mirrored about the outer faces of the first and last voxel: -1 is 0, n is n - 1.
fn mirrored(index: isize, count: usize) -> usize {
    let period = 2 * count as isize;
    let inside = index.rem_euclid(period);
    if inside < count as isize { inside as usize } else { (period - 1 - inside) as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_mirrored_about_the_outer_faces() {
        let found: Vec<usize> = (-4..7).map(|i| mirrored(i, 3)).collect();
        assert_eq!(found, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0].map(|i| i)[..].to_vec());
    }

    #[test]
    fn gain_of_one_gives_the_slice_back() {
        let slice: Vec<f32> = (0..35).map(|i| ((i * 7) % 11) as f32).collect();
        let mut out = vec![0.0; 35];
        filter_slice(&slice, [7, 5], [1.0, 0.8], 3, |_| 1.0, &mut out);
        for (found, expected) in out.iter().zip(&slice) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
    }

    #[test]
    fn gain_at_zero_frequency_alone_gives_the_mean() {
        let slice: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let mut out = vec![0.0; 24];
        filter_slice(&slice, [6, 4], [1.0; 2], 0, |f| if f == 0.0 { 1.0 } else { 0.0 }, &mut out);
        assert!(out.iter().all(|value| (value - 11.5).abs() < 1e-5), "{out:?}");
    }
}

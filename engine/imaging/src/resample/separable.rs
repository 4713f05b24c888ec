use rayon::prelude::*;

use super::spline::prefilter;
use super::taps::AxisTaps;

/// Rows of the target that one task finishes along z; neighbours share memory pages.
const ROWS_PER_TASK: usize = 4;

/// Resamples axis by axis: first x and y of every source slice, then z of every row of columns.
///
/// The half-done volume (target x and y, source z) lives in the memory of the result.
pub(super) fn evaluate(source: &[f32], size: [usize; 3], axes: &[AxisTaps; 3], spline: bool, fill: f32) -> Vec<f32> {
    let [nx, ny, nz] = [0, 1, 2].map(|a: usize| axes[a].start.len());
    if axes.iter().any(|axis| axis.inside.is_empty()) {
        return vec![fill; nx * ny * nz];
    }
    let needed = if spline { 0..size[2] } else { axes[2].needed() };
    let mut voxels = vec![0.0; nx * ny * nz.max(needed.len())];
    let slices = source.par_chunks(size[0] * size[1]).skip(needed.start).take(needed.len());
    voxels.par_chunks_mut(nx * ny).zip(slices).for_each_init(Vec::new, |scratch, (out, slice)| {
        resample_slice(slice, size[0], &axes[0], &axes[1], spline, out, scratch);
    });
    let mut columns: Vec<Vec<&mut [f32]>> = (0..ny).map(|_| Vec::with_capacity(nz)).collect();
    for (row, values) in voxels.chunks_exact_mut(nx).enumerate() {
        columns[row % ny].push(values);
    }
    columns.par_chunks_mut(ROWS_PER_TASK).enumerate().for_each_init(Vec::new, |scratch, (task, group)| {
        for (offset, rows) in group.iter_mut().enumerate() {
            if axes[1].inside.contains(&(task * ROWS_PER_TASK + offset)) {
                resample_columns(rows, needed.clone(), axes, spline, fill, scratch);
            } else {
                rows.iter_mut().for_each(|row| row.fill(fill));
            }
        }
    });
    voxels.truncate(nx * ny * nz);
    voxels
}

/// One slice onto the target's x and y.
fn resample_slice(
    slice: &[f32],
    width: usize,
    x: &AxisTaps,
    y: &AxisTaps,
    spline: bool,
    out: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    if spline {
        scratch.extend_from_slice(slice);
        prefilter(scratch, width);
    }
    let plane = scratch.len();
    scratch.resize(plane + width, 0.0);
    let (filtered, row) = scratch.split_at_mut(plane);
    let rows: &[f32] = if spline { filtered } else { slice };
    for j in y.inside.clone() {
        let first = y.start[j] * width;
        combine(&rows[first..first + y.width * width], y.weights_of(j), row);
        if spline {
            prefilter(row, 1);
        }
        let target = &mut out[j * x.start.len()..][..x.start.len()];
        pick(row, x, target);
    }
}

/// All target z of one row of columns; `rows[k]` holds source slice `needed.start + k` on entry, target slice `k` on
/// return.
fn resample_columns(
    rows: &mut [&mut [f32]],
    needed: std::ops::Range<usize>,
    axes: &[AxisTaps; 3],
    spline: bool,
    fill: f32,
    scratch: &mut Vec<f32>,
) {
    let (x, z) = (&axes[0].inside, &axes[2]);
    scratch.clear();
    rows[..needed.len()].iter().for_each(|row| scratch.extend_from_slice(&row[x.clone()]));
    let width = x.len();
    if spline {
        prefilter(scratch, width);
    }
    for (k, row) in rows.iter_mut().take(z.start.len()).enumerate() {
        if !z.inside.contains(&k) {
            row.fill(fill);
            continue;
        }
        let first = (z.start[k] - needed.start) * width;
        combine(&scratch[first..first + z.width * width], z.weights_of(k), &mut row[x.clone()]);
        row[..x.start].fill(fill);
        row[x.end..].fill(fill);
    }
}

/// `out = Σ_t weights[t] · rows[t]`, rows as long as `out`.
fn combine(rows: &[f32], weights: &[f32], out: &mut [f32]) {
    let n = out.len();
    match *weights {
        [] => out.fill(0.0),
        [a] => out.iter_mut().zip(rows).for_each(|(out, p)| *out = a * p),
        [a, b] => {
            let (p, q) = rows.split_at(n);
            out.iter_mut().zip(p.iter().zip(q)).for_each(|(out, (p, q))| *out = a * p + b * q);
        }
        [a, b, c, d] => {
            let (p, rest) = rows.split_at(n);
            let (q, rest) = rest.split_at(n);
            let (r, s) = rest.split_at(n);
            let terms = p.iter().zip(q).zip(r.iter().zip(s));
            out.iter_mut().zip(terms).for_each(|(out, ((p, q), (r, s)))| *out = a * p + b * q + (c * r + d * s));
        }
        _ => {
            out.fill(0.0);
            for (row, weight) in rows.chunks_exact(n).zip(weights) {
                out.iter_mut().zip(row).for_each(|(out, p)| *out += weight * p);
            }
        }
    }
}

/// `combine` along the row itself: each inside voxel of `out` from its stretch of `row`.
fn pick(row: &[f32], x: &AxisTaps, out: &mut [f32]) {
    match x.width {
        1 => pick_from::<1>(row, x, out),
        2 => pick_from::<2>(row, x, out),
        4 => pick_from::<4>(row, x, out),
        6 => pick_from::<6>(row, x, out),
        _ => {
            for i in x.inside.clone() {
                let window = &row[x.start[i]..][..x.width];
                out[i] = window.iter().zip(x.weights_of(i)).map(|(v, w)| v * w).sum();
            }
        }
    }
}

/// `pick` for a width known to the compiler.
fn pick_from<const WIDTH: usize>(row: &[f32], x: &AxisTaps, out: &mut [f32]) {
    let weights = &x.weights.as_chunks::<WIDTH>().0[x.inside.clone()];
    let taps = x.start[x.inside.clone()].iter().zip(weights);
    for (out, (&start, weights)) in out[x.inside.clone()].iter_mut().zip(taps) {
        let window = &row[start..start + WIDTH];
        let mut sum = window[0] * weights[0];
        for tap in 1..WIDTH {
            sum += window[tap] * weights[tap];
        }
        *out = sum;
    }
}

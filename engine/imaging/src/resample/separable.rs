use rayon::prelude::*;

use super::spline::prefilter;
use super::taps::AxisTaps;

/// Rows of the target that one task finishes along z; neighbours share memory pages.
const ROWS_PER_TASK: usize = 4;

/// Resamples axis by axis: x and y, then z.
pub(super) fn evaluate(source: &[f32], size: [usize; 3], axes: &[AxisTaps; 3], spline: bool, fill: f32) -> Vec<f32> {
    if axes.iter().any(|axis| axis.inside.is_empty()) {
        return vec![fill; axes.iter().map(|axis| axis.start.len()).product()];
    }
    if spline { spline_by_slices(source, size, axes, fill) } else { by_slabs(source, size, axes, false, fill) }
}

/// Slab by slab of the target; needs no memory beyond the result but the rows of one slab. With `spline_x` the rows hold
/// samples of a spline along x, and y and z bring their inverse filter along.
pub(super) fn by_slabs(source: &[f32], size: [usize; 3], axes: &[AxisTaps; 3], spline_x: bool, fill: f32) -> Vec<f32> {
    let [x, y, z] = axes;
    let [nx, ny, nz] = [0, 1, 2].map(|a: usize| axes[a].start.len());
    let depth = (nz / (8 * rayon::current_num_threads())).clamp(4, 32);
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels.par_chunks_mut(nx * ny * depth).enumerate().for_each_init(Vec::new, |scratch, (slab, out)| {
        let targets = slab * depth..slab * depth + out.len() / (nx * ny);
        let needed = z.needed_by(targets.clone());
        scratch.clear();
        scratch.resize(size[0] + needed.len() * x.inside.len(), 0.0);
        let (row, rows) = scratch.split_at_mut(size[0]);
        for j in 0..ny {
            let inside = y.inside.contains(&j);
            for (k, made) in needed.clone().zip(rows.chunks_exact_mut(x.inside.len())).filter(|_| inside) {
                let first = (k * size[1] + y.start[j]) * size[0];
                combine(&source[first..first + y.width * size[0]], y.weights_of(j), row);
                if spline_x {
                    prefilter(row, 1);
                }
                pick(row, x, made);
            }
            for (k, slice) in targets.clone().zip(out.chunks_exact_mut(nx * ny)) {
                let target = &mut slice[j * nx..][..nx];
                if !(inside && z.inside.contains(&k)) {
                    target.fill(fill);
                    continue;
                }
                let first = (z.start[k] - needed.start) * x.inside.len();
                let near = &rows[first..first + z.width * x.inside.len()];
                combine(near, z.weights_of(k), &mut target[x.inside.clone()]);
                target[..x.inside.start].fill(fill);
                target[x.inside.end..].fill(fill);
            }
        }
    });
    voxels
}

/// First x and y of every source slice, then z of every row of columns. The half-done volume (target x and y, source z)
/// lives in the memory of the result.
fn spline_by_slices(source: &[f32], size: [usize; 3], axes: &[AxisTaps; 3], fill: f32) -> Vec<f32> {
    let [nx, ny, nz] = [0, 1, 2].map(|a: usize| axes[a].start.len());
    let mut voxels = vec![0.0; nx * ny * nz.max(size[2])];
    voxels.par_chunks_mut(nx * ny).zip(source.par_chunks(size[0] * size[1])).for_each_init(
        Vec::new,
        |scratch, (out, slice)| {
            resample_slice(slice, size[0], &axes[0], &axes[1], out, scratch);
        },
    );
    let mut columns: Vec<Vec<&mut [f32]>> = (0..ny).map(|_| Vec::with_capacity(nz)).collect();
    for (row, values) in voxels.chunks_exact_mut(nx).enumerate() {
        columns[row % ny].push(values);
    }
    columns.par_chunks_mut(ROWS_PER_TASK).enumerate().for_each_init(Vec::new, |scratch, (task, group)| {
        for (offset, rows) in group.iter_mut().enumerate() {
            if axes[1].inside.contains(&(task * ROWS_PER_TASK + offset)) {
                resample_columns(rows, size[2], axes, fill, scratch);
            } else {
                rows.iter_mut().for_each(|row| row.fill(fill));
            }
        }
    });
    voxels.truncate(nx * ny * nz);
    voxels
}

/// One slice of samples onto the target's x and y.
fn resample_slice(slice: &[f32], width: usize, x: &AxisTaps, y: &AxisTaps, out: &mut [f32], scratch: &mut Vec<f32>) {
    scratch.clear();
    scratch.extend_from_slice(slice);
    prefilter(scratch, width);
    let plane = scratch.len();
    scratch.resize(plane + width, 0.0);
    let (rows, row) = scratch.split_at_mut(plane);
    for j in y.inside.clone() {
        let first = y.start[j] * width;
        combine(&rows[first..first + y.width * width], y.weights_of(j), row);
        prefilter(row, 1);
        pick(row, x, &mut out[j * x.start.len()..][x.inside.clone()]);
    }
}

/// All target z of one row of columns; `rows[k]` holds source slice `k` of `depth` on entry, target slice `k` on return.
fn resample_columns(rows: &mut [&mut [f32]], depth: usize, axes: &[AxisTaps; 3], fill: f32, scratch: &mut Vec<f32>) {
    let (x, z) = (&axes[0].inside, &axes[2]);
    scratch.clear();
    rows[..depth].iter().for_each(|row| scratch.extend_from_slice(&row[x.clone()]));
    let width = x.len();
    prefilter(scratch, width);
    for (k, row) in rows.iter_mut().take(z.start.len()).enumerate() {
        if !z.inside.contains(&k) {
            row.fill(fill);
            continue;
        }
        let first = z.start[k] * width;
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

/// `combine` along the row itself: `out` are the inside voxels, each from its stretch of `row`.
fn pick(row: &[f32], x: &AxisTaps, out: &mut [f32]) {
    match x.width {
        1 => pick_from::<1>(row, x, out),
        2 => pick_from::<2>(row, x, out),
        4 => pick_from::<4>(row, x, out),
        6 => pick_from::<6>(row, x, out),
        8 => pick_from::<8>(row, x, out),
        10 => pick_from::<10>(row, x, out),
        _ => {
            for (i, out) in x.inside.clone().zip(out) {
                let window = &row[x.start[i]..][..x.width];
                *out = window.iter().zip(x.weights_of(i)).map(|(v, w)| v * w).sum();
            }
        }
    }
}

/// `pick` for a width known to the compiler.
fn pick_from<const WIDTH: usize>(row: &[f32], x: &AxisTaps, out: &mut [f32]) {
    let weights = &x.weights.as_chunks::<WIDTH>().0[x.inside.clone()];
    let taps = x.start[x.inside.clone()].iter().zip(weights);
    for (out, (&start, weights)) in out.iter_mut().zip(taps) {
        let window = &row[start..start + WIDTH];
        let mut sum = window[0] * weights[0];
        for tap in 1..WIDTH {
            sum += window[tap] * weights[tap];
        }
        *out = sum;
    }
}

use rayon::prelude::*;

/// Lines that are filtered side by side, one per lane of a block.
pub(crate) const LANES: usize = 16;

/// One voxel position of all lines of a block.
pub(crate) type Lanes = [f64; LANES];

/// Voxels along x that one task of the y and z axes takes.
const PIECE: usize = 4 * LANES;

/// What a line is taken to be beyond its ends, for a line `a b c d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edge {
    /// `a a | a b c d | d d`.
    Replicate,
    /// `c b | a b c d | c b`: mirrored about the end voxels.
    Mirror,
    /// `c d | a b c d | a b`.
    Wrap,
}

impl Edge {
    /// The voxel of a line of `size` that stands at `index`.
    pub(crate) fn place(self, index: i64, size: usize) -> usize {
        let n = size as i64;
        let place = match self {
            Self::Replicate => index.clamp(0, n - 1),
            Self::Wrap => index.rem_euclid(n),
            Self::Mirror if n == 1 => 0,
            Self::Mirror => {
                let place = index.rem_euclid(2 * n - 2);
                place.min(2 * n - 2 - place)
            }
        };
        place as usize
    }
}

/// Replaces every line along `axis` (0 = x) by what `filter` makes of it, on all cores.
///
/// `filter(lines, out)` gets blocks of [`LANES`] lines: `lines` is the line with `halo[0]` positions before and `halo[1]`
/// after it by the rule `edge`, `out` as long as the line. Everything in between is f64; each pass rounds to f32 once.
pub(crate) fn filter_lines(
    voxels: &mut [f32],
    size: [usize; 3],
    axis: usize,
    halo: [usize; 2],
    edge: Edge,
    filter: impl Fn(&[Lanes], &mut [Lanes]) + Sync,
) {
    let [nx, ny, nz] = size;
    let block = || Block::new(size[axis], halo);
    if axis == 0 {
        voxels.par_chunks_mut(nx * LANES).for_each_init(block, |block, rows| {
            for (lane, row) in rows.chunks_exact(nx).enumerate() {
                block.line_mut().iter_mut().zip(row).for_each(|(lanes, v)| lanes[lane] = f64::from(*v));
            }
            block.run(edge, &filter);
            for (lane, row) in rows.chunks_exact_mut(nx).enumerate() {
                row.iter_mut().zip(&block.out).for_each(|(v, lanes)| *v = lanes[lane] as f32);
            }
        });
        return;
    }
    let (planes, pieces) = (if axis == 1 { nz } else { ny }, nx.div_ceil(PIECE));
    let mut tasks: Vec<Vec<&mut [f32]>> = (0..planes * pieces).map(|_| Vec::with_capacity(size[axis])).collect();
    for (row, values) in voxels.chunks_exact_mut(nx).enumerate() {
        let plane = if axis == 1 { row / ny } else { row % ny };
        for (piece, values) in values.chunks_mut(PIECE).enumerate() {
            tasks[plane * pieces + piece].push(values);
        }
    }
    tasks.par_iter_mut().for_each_init(block, |block, rows| {
        let width = rows.first().map_or(0, |row| row.len());
        for first in (0..width).step_by(LANES) {
            let columns = first..(first + LANES).min(width);
            for (lanes, row) in block.line_mut().iter_mut().zip(rows.iter()) {
                lanes.iter_mut().zip(&row[columns.clone()]).for_each(|(lane, v)| *lane = f64::from(*v));
            }
            block.run(edge, &filter);
            for (row, lanes) in rows.iter_mut().zip(&block.out) {
                row[columns.clone()].iter_mut().zip(lanes).for_each(|(v, lane)| *v = *lane as f32);
            }
        }
    });
}

/// [`LANES`] lines with their halo, and room for the result.
struct Block {
    lines: Vec<Lanes>,
    out: Vec<Lanes>,
    halo: [usize; 2],
}

impl Block {
    fn new(size: usize, halo: [usize; 2]) -> Self {
        Self { lines: vec![[0.0; LANES]; size + halo[0] + halo[1]], out: vec![[0.0; LANES]; size], halo }
    }

    fn line_mut(&mut self) -> &mut [Lanes] {
        &mut self.lines[self.halo[0]..][..self.out.len()]
    }

    fn run(&mut self, edge: Edge, filter: impl Fn(&[Lanes], &mut [Lanes])) {
        let (size, before) = (self.out.len(), self.halo[0]);
        for index in (-(before as i64)..0).chain((size as i64..).take(self.halo[1])) {
            self.lines[(index + before as i64) as usize] = self.lines[before + edge.place(index, size)];
        }
        filter(&self.lines, &mut self.out);
    }
}

/// `out[i] = half[0] x[i] + Σ_t half[t] (x[i-t] + x[i+t])`; `lines` has `half.len() - 1` positions of halo on each side.
pub(crate) fn symmetric(lines: &[Lanes], half: &[f64], out: &mut [Lanes]) {
    let reach = half.len() - 1;
    for (i, out) in out.iter_mut().enumerate() {
        let mut sum = lines[i + reach].map(|v| v * half[0]);
        for (t, weight) in half.iter().enumerate().skip(1) {
            let (before, after) = (&lines[i + reach - t], &lines[i + reach + t]);
            for lane in 0..LANES {
                sum[lane] += weight * (before[lane] + after[lane]);
            }
        }
        *out = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_along_each_axis_at_every_edge() {
        // Voxel (i, j, k) of a 70x3x4 grid holds i + 100 j + 1000 k; difference of the next and the previous voxel.
        let size = [70, 3, 4];
        let value = |i: usize| ((i % 70) + 100 * (i / 70 % 3) + 1000 * (i / 210)) as f32;
        let source: Vec<f32> = (0..840).map(value).collect();
        for (axis, step) in [1.0f32, 100.0, 1000.0].into_iter().enumerate() {
            let last = (size[axis] - 1) as f32;
            let rows = [
                (Edge::Replicate, step, step),
                (Edge::Mirror, 0.0, 0.0),
                (Edge::Wrap, step * (1.0 - last), step * (1.0 - last)),
            ];
            for (edge, at_first, at_last) in rows {
                let mut found = source.clone();
                filter_lines(&mut found, size, axis, [1, 1], edge, |lines, out| {
                    for (i, out) in out.iter_mut().enumerate() {
                        *out = std::array::from_fn(|lane| lines[i + 2][lane] - lines[i][lane]);
                    }
                });
                for (index, found) in found.into_iter().enumerate() {
                    let place = [index % 70, index / 70 % 3, index / 210][axis];
                    let inside = if place == 0 { at_first } else { at_last };
                    let expected = if place > 0 && place < size[axis] - 1 { 2.0 * step } else { inside };
                    assert_eq!(found, expected, "axis {axis} {edge:?} voxel {index}");
                }
            }
        }
    }
}

use std::ops::Range;

use rayon::prelude::*;

use super::Boundary;
use super::block::{Block, Window};

/// Weights of a line: `out[o] = Σ_j taps[j] x[o + centre - j]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kernel {
    pub(super) taps: Vec<f64>,
    pub(super) centre: usize,
}

/// How a kernel looks when its line is walked the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parity {
    /// The same.
    Even,
    /// The same with the other sign.
    Odd,
    /// Another kernel.
    Neither,
}

impl Kernel {
    /// The kernel with its centre at the middle tap, or just past the middle of an even number of taps.
    pub(super) fn centred(taps: Vec<f64>) -> Self {
        let centre = taps.len() / 2;
        Self { taps, centre }
    }

    /// The kernel of the line walked the other way.
    pub(super) fn flipped(&self) -> Self {
        let taps: Vec<f64> = self.taps.iter().rev().copied().collect();
        Self { centre: taps.len() - 1 - self.centre, taps }
    }

    /// How this compares with [`flipped`](Self::flipped).
    pub(super) fn parity(&self) -> Parity {
        let flipped = self.flipped();
        if flipped == *self {
            return Parity::Even;
        }
        let opposite = flipped.centre == self.centre && flipped.taps.iter().zip(&self.taps).all(|(a, b)| *a == -b);
        if opposite { Parity::Odd } else { Parity::Neither }
    }

    /// The kernel with its taps `apart` voxels apart (à trous).
    pub(super) fn spread(&self, apart: usize) -> Self {
        let mut taps = vec![0.0; (self.taps.len() - 1) * apart + 1];
        taps.iter_mut().step_by(apart).zip(&self.taps).for_each(|(wide, tap)| *wide = *tap);
        Self { taps, centre: self.centre * apart }
    }

    /// First and last position that `out` reads, before the boundary is thought of.
    fn reach(&self, out: &Range<usize>) -> (i64, i64) {
        let low = (out.start + self.centre) as i64 - (self.taps.len() as i64 - 1);
        (low, (out.end - 1 + self.centre) as i64)
    }

    /// The part of a line of `length` voxels that `out` depends on.
    pub(super) fn needs(&self, out: &Range<usize>, length: usize, boundary: Boundary) -> Range<usize> {
        let (low, high) = self.reach(out);
        let places = (low..=high).filter_map(|index| boundary.place(index, length));
        let (first, last) = places.fold((out.start, out.end - 1), |(a, b), place| (a.min(place), b.max(place)));
        first..last + 1
    }
}

/// The mean of `support` voxels.
pub(super) fn mean(support: usize) -> Kernel {
    Kernel::centred(vec![1.0 / support as f64; support])
}

/// The kernels of one axis, applied one after the other; each meets the boundary anew.
pub(super) type Chain = Vec<Kernel>;

/// The part of a line that a chain needs for `out`.
pub(super) fn chain_needs(chain: &[Kernel], out: &Range<usize>, length: usize, boundary: Boundary) -> Range<usize> {
    chain.iter().rev().fold(out.clone(), |out, kernel| kernel.needs(&out, length, boundary))
}

/// The part of the image that chains along x, y and z need for `out`.
pub(super) fn needed(chains: &[Chain; 3], out: &Window, image_size: [usize; 3], boundary: Boundary) -> Window {
    std::array::from_fn(|a| chain_needs(&chains[a], &out[a], image_size[a], boundary))
}

/// Slices of a slab that are filtered together along z by a chain: more where several kernels overlap between slabs.
pub(super) fn slab(chain: &[Kernel]) -> usize {
    4 + 2 * chain.iter().skip(1).map(|kernel| kernel.taps.len()).sum::<usize>()
}

/// `block` filtered by a chain along `axis`, for the positions `out` of that axis.
pub(super) fn filter_axis(
    block: &Block,
    axis: usize,
    chain: &[Kernel],
    image_length: usize,
    boundary: Boundary,
    out: &Range<usize>,
) -> Block {
    let Some((kernel, rest)) = chain.split_first() else {
        let mut window = block.window();
        window[axis] = out.clone();
        return block.cut(&window);
    };
    let middle = chain_needs(rest, out, image_length, boundary);
    let filtered = convolve(block, axis, kernel, image_length, boundary, &middle);
    if rest.is_empty() { filtered } else { filter_axis(&filtered, axis, rest, image_length, boundary, out) }
}

/// `block` filtered by chains along z, then y, then x.
pub(super) fn filter_axes(
    block: &Block,
    chains: &[Chain; 3],
    image_size: [usize; 3],
    boundary: Boundary,
    out: &Window,
) -> Block {
    Block::by_slabs(out, slab(&chains[2]), |out| {
        let along_z = filter_axis(block, 2, &chains[2], image_size[2], boundary, &out[2]);
        let along_y = filter_axis(&along_z, 1, &chains[1], image_size[1], boundary, &out[1]);
        filter_axis(&along_y, 0, &chains[0], image_size[0], boundary, &out[0])
    })
}

fn convolve(
    block: &Block,
    axis: usize,
    kernel: &Kernel,
    image_length: usize,
    boundary: Boundary,
    out: &Range<usize>,
) -> Block {
    let (low, high) = kernel.reach(out);
    let first = block.first[axis];
    // Position in the block of every index the kernel reads.
    let places: Vec<Option<usize>> =
        (low..=high).map(|index| boundary.place(index, image_length).map(|place| place - first)).collect();
    let last = kernel.taps.len() - 1;
    let taps: Vec<(usize, f64)> =
        kernel.taps.iter().enumerate().filter(|(_, tap)| **tap != 0.0).map(|(j, tap)| (last - j, *tap)).collect();
    let mut window = block.window();
    window[axis] = out.clone();
    let mut result = Block::zeros(&window);
    let [nx, ny, _] = result.size;
    let [mx, my, _] = block.size;
    let row_of = |y: usize, z: usize| &block.values[(z * my + y) * mx..][..mx];
    if axis == 0 {
        result.values.par_chunks_mut(nx).enumerate().for_each_init(
            || vec![0.0; places.len()],
            |line, (row, sums)| {
                let source = row_of(row % ny, row / ny);
                line.iter_mut().zip(&places).for_each(|(v, place)| *v = place.map_or(0.0, |place| source[place]));
                combine(sums, &taps.iter().map(|(offset, tap)| (*tap, &line[*offset..])).collect::<Vec<_>>());
            },
        );
        return result;
    }
    result.values.par_chunks_mut(nx).enumerate().for_each(|(row, sums)| {
        let (y, z) = (row % ny, row / ny);
        let position = if axis == 1 { y } else { z };
        let line = |(offset, tap): &(usize, f64)| {
            let place = places[position + offset]?;
            Some((*tap, if axis == 1 { row_of(place, z) } else { row_of(y, place) }))
        };
        combine(sums, &taps.iter().filter_map(line).collect::<Vec<_>>());
    });
    result
}

/// Values summed side by side.
const LANES: usize = 16;

/// The weighted sum of lines that are at least as long as `sums`.
fn combine(sums: &mut [f64], lines: &[(f64, &[f64])]) {
    for (chunk, sums) in sums.chunks_mut(LANES).enumerate() {
        let first = chunk * LANES;
        let mut lanes = [0.0; LANES];
        for (weight, line) in lines {
            let values = &line[first..first + sums.len()];
            match <&[f64; LANES]>::try_from(values) {
                Ok(values) => lanes.iter_mut().zip(values).for_each(|(lane, v)| *lane += weight * v),
                Err(_) => lanes.iter_mut().zip(values).for_each(|(lane, v)| *lane += weight * v),
            }
        }
        sums.copy_from_slice(&lanes[..sums.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(values: &[f64]) -> Block {
        Block { first: [0; 3], size: [values.len(), 1, 1], values: values.to_vec() }
    }

    fn filtered(values: &[f64], kernel: &Kernel, boundary: Boundary) -> Vec<f64> {
        convolve(&line(values), 0, kernel, values.len(), boundary, &(0..values.len())).values
    }

    #[test]
    fn an_impulse_gives_the_kernel() {
        let kernel = Kernel::centred(vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(filtered(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0], &kernel, Boundary::Zero), [0.0, 1.0, 2.0, 3.0, 4.0, 0.0]);
        let flipped = kernel.flipped();
        assert_eq!(filtered(&[0.0, 0.0, 1.0, 0.0, 0.0, 0.0], &flipped, Boundary::Zero), [0.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
        assert_eq!(kernel.spread(2).taps, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0]);
    }

    #[test]
    fn the_boundary_rule_fills_what_is_missing() {
        // Next minus previous of 1 4 9.
        let difference = Kernel::centred(vec![1.0, 0.0, -1.0]);
        let rows = [
            (Boundary::Zero, [4.0, 8.0, -4.0]),
            (Boundary::Nearest, [3.0, 8.0, 5.0]),
            (Boundary::Periodic, [-5.0, 8.0, -3.0]),
            (Boundary::Mirror, [3.0, 8.0, 5.0]),
        ];
        for (boundary, expected) in rows {
            assert_eq!(filtered(&[1.0, 4.0, 9.0], &difference, boundary), expected, "{boundary:?}");
        }
    }

    #[test]
    fn a_window_is_filtered_as_within_the_whole_image() {
        let values: Vec<f64> = (0..7 * 6 * 5).map(|i| f64::from(i * i % 31)).collect();
        let image = Block { first: [0; 3], size: [7, 6, 5], values };
        let asymmetric = Kernel::centred(vec![0.5, -1.0, 2.0, 3.0]);
        let wide = Kernel::centred(vec![1.0; 9]);
        let chains = [vec![asymmetric.clone(), wide.clone()], vec![asymmetric.flipped()], vec![asymmetric.spread(2)]];
        for boundary in [Boundary::Zero, Boundary::Nearest, Boundary::Periodic, Boundary::Mirror] {
            let whole = filter_axes(&image, &chains, image.size, boundary, &image.window());
            for out in [[0..2, 1..4, 4..5], [5..7, 5..6, 0..3], [3..4, 2..3, 2..3]] {
                let part = image.cut(&needed(&chains, &out, image.size, boundary));
                let found = filter_axes(&part, &chains, image.size, boundary, &out);
                assert_eq!(found, whole.cut(&out), "{boundary:?} {out:?}");
            }
        }
    }

    #[test]
    fn parity_tells_which_kernels_turn_into_themselves() {
        let rows = [
            (vec![1.0, 4.0, 6.0, 4.0, 1.0], Parity::Even),
            (vec![-1.0, -2.0, 0.0, 2.0, 1.0], Parity::Odd),
            (vec![1.0, 1.0], Parity::Neither),
        ];
        for (taps, expected) in rows {
            assert_eq!(Kernel::centred(taps).parity(), expected);
        }
    }
}

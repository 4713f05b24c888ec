use std::collections::BTreeMap;

use super::block::{Block, Source, Window};
use super::convolve::{Chain, Kernel, Parity, chain_needs, filter_axis, slab};
use super::{Boundary, Dimensions};

/// How response maps of several orientations become one, voxel by voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean.
    #[default]
    Average,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Pooling {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Average => "average",
            Self::Max => "max",
            Self::Min => "min",
        }
    }
}

/// Response maps pooled so far.
pub(super) struct Pool {
    pooling: Pooling,
    pooled: Option<Block>,
}

impl Pool {
    pub(super) fn new(pooling: Pooling) -> Self {
        Self { pooling, pooled: None }
    }

    /// Adds `weight · map`. For a mean the weights sum to 1; for an extreme they are signs.
    pub(super) fn add(&mut self, map: &Block, weight: f64) {
        let pooled = match &mut self.pooled {
            Some(pooled) => pooled,
            None => {
                let mut first = Block::zeros(&map.window());
                first.add(weight, map);
                self.pooled = Some(first);
                return;
            }
        };
        match self.pooling {
            Pooling::Average => pooled.add(weight, map),
            Pooling::Max => pooled.merge(map, |pooled, v| pooled.max(weight * v)),
            Pooling::Min => pooled.merge(map, |pooled, v| pooled.min(weight * v)),
        }
    }

    /// The pooled map; 0 when nothing was added.
    pub(super) fn finish(self, out: &Window) -> Block {
        self.pooled.unwrap_or_else(|| Block::zeros(out))
    }
}

/// The right-angled rotations of a grid: for each axis, which axis of the filter lies along it and whether backwards.
///
/// 24 in 3-D, the proper signed permutations; the 4 about z in 2-D.
pub(super) fn rotations(dimensions: Dimensions) -> Vec<[(usize, bool); 3]> {
    const PERMUTATIONS: [([usize; 3], bool); 6] = [
        ([0, 1, 2], false),
        ([1, 2, 0], false),
        ([2, 0, 1], false),
        ([1, 0, 2], true),
        ([0, 2, 1], true),
        ([2, 1, 0], true),
    ];
    let signs = (0..8usize).map(|bits| [bits & 1 == 1, bits & 2 == 2, bits & 4 == 4]);
    let proper = PERMUTATIONS.into_iter().flat_map(|(axes, odd)| {
        signs
            .clone()
            .filter(move |flips| (flips.iter().filter(|f| **f).count() % 2 == 1) == odd)
            .map(move |flips| std::array::from_fn(|a| (axes[a], flips[a])))
    });
    proper.filter(|turn: &[(usize, bool); 3]| dimensions == Dimensions::Three || turn[2] == (2, false)).collect()
}

/// A separable filter in one or all orientations.
pub(super) struct Oriented {
    /// Distinct chains of any axis.
    chains: Vec<Chain>,
    /// Indices of the chains along z, y, x, and how many orientations have them with sign + and -.
    orientations: BTreeMap<[usize; 3], [usize; 2]>,
    pooling: Pooling,
}

impl Oriented {
    /// The filter with `chains` along x, y, z, pooled over its right-angled rotations when a pooling is given.
    pub(super) fn new(chains: [Chain; 3], rotations: Option<Pooling>, dimensions: Dimensions) -> Self {
        match rotations {
            None => Self::fixed(chains),
            Some(pooling) => Self::rotated(&chains, pooling, dimensions),
        }
    }

    /// The filter with `chains` along x, y, z as it is.
    pub(super) fn fixed(chains: [Chain; 3]) -> Self {
        let orientations = BTreeMap::from([([2, 1, 0], [1, 0])]);
        Self { chains: chains.into(), orientations, pooling: Pooling::Average }
    }

    fn rotated(chains: &[Chain; 3], pooling: Pooling, dimensions: Dimensions) -> Self {
        let mut oriented = Self { chains: Vec::new(), orientations: BTreeMap::new(), pooling };
        for turn in rotations(dimensions) {
            let along: [(usize, bool); 3] = turn.map(|(axis, backwards)| oriented.chain(&chains[axis], backwards));
            let negative = along.iter().filter(|(_, negative)| *negative).count() % 2;
            let [x, y, z] = along.map(|(index, _)| index);
            oriented.orientations.entry([z, y, x]).or_default()[negative] += 1;
        }
        oriented
    }

    /// Index of a chain, and whether it is the chain there with the other sign.
    fn chain(&mut self, chain: &Chain, backwards: bool) -> (usize, bool) {
        let parities = || chain.iter().map(Kernel::parity);
        let own_image = parities().all(|parity| parity != Parity::Neither);
        let negative = backwards && own_image && parities().filter(|parity| *parity == Parity::Odd).count() % 2 == 1;
        let chain: Chain =
            if backwards && !own_image { chain.iter().map(Kernel::flipped).collect() } else { chain.clone() };
        let index = self.chains.iter().position(|known| *known == chain).unwrap_or_else(|| {
            self.chains.push(chain);
            self.chains.len() - 1
        });
        (index, negative)
    }

    /// The part of the image that the response in `out` depends on.
    fn needs(&self, out: &Window, image_size: [usize; 3], boundary: Boundary) -> Window {
        let mut window = out.clone();
        for along in self.orientations.keys() {
            for (axis, index) in [2, 1, 0].into_iter().zip(along) {
                let range = chain_needs(&self.chains[*index], &out[axis], image_size[axis], boundary);
                window[axis] = window[axis].start.min(range.start)..window[axis].end.max(range.end);
            }
        }
        window
    }

    /// The response in `out`.
    pub(super) fn respond(&self, source: &Source, boundary: Boundary, out: &Window) -> Block {
        let (image, size) = (source.block(&self.needs(out, source.size, boundary)), source.size);
        let slices = self.orientations.keys().map(|[z, ..]| slab(&self.chains[*z])).max().unwrap_or(1);
        Block::by_slabs(out, slices, |out| self.respond_slab(&image, size, boundary, out))
    }

    /// The response in a slab. Orientations that share their chains along z, or z and y, share those passes.
    fn respond_slab(&self, image: &Block, image_size: [usize; 3], boundary: Boundary, out: &Window) -> Block {
        let pass = |block: &Block, axis: usize, index: usize| {
            filter_axis(block, axis, &self.chains[index], image_size[axis], boundary, &out[axis])
        };
        let mut pool = Pool::new(self.pooling);
        // Sums of what chains along z and y made of the image, for each chain along x: the mean needs one pass for each.
        let mut sums: BTreeMap<usize, Block> = BTreeMap::new();
        let (mut along_z, mut along_y) = (None, None);
        for ([z, y, x], &[positive, negative]) in &self.orientations {
            if along_z.as_ref().is_none_or(|(index, _)| index != z) {
                along_z = Some((*z, pass(image, 2, *z)));
                along_y = None;
            }
            if along_y.as_ref().is_none_or(|(index, _)| index != y) {
                along_y = along_z.as_ref().map(|(_, block)| (*y, pass(block, 1, *y)));
            }
            let Some((_, block)) = &along_y else { continue };
            if self.pooling == Pooling::Average {
                let sum = sums.entry(*x).or_insert_with(|| Block::zeros(&block.window()));
                sum.add(positive as f64 - negative as f64, block);
                continue;
            }
            let map = pass(block, 0, *x);
            if positive > 0 {
                pool.add(&map, 1.0);
            }
            if negative > 0 {
                pool.add(&map, -1.0);
            }
        }
        let weight = 1.0 / self.orientations.values().flatten().sum::<usize>() as f64;
        for (x, sum) in sums {
            pool.add(&pass(&sum, 0, x), weight);
        }
        pool.finish(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_proper_and_distinct() {
        for (dimensions, count) in [(Dimensions::Two, 4), (Dimensions::Three, 24)] {
            let turns = rotations(dimensions);
            let distinct: std::collections::BTreeSet<_> = turns.iter().collect();
            assert_eq!((turns.len(), distinct.len()), (count, count));
        }
    }

    /// L3 E3 in the plane: E3 is odd, so the four rotations are two maps with both signs.
    #[test]
    fn odd_kernels_share_a_pass_with_their_mirror_image() {
        let low = vec![Kernel::centred(vec![1.0, 2.0, 1.0])];
        let edge = vec![Kernel::centred(vec![-1.0, 0.0, 1.0])];
        let oriented = |pooling| Oriented::rotated(&[low.clone(), edge.clone(), vec![]], pooling, Dimensions::Two);
        assert_eq!(oriented(Pooling::Max).orientations.values().collect::<Vec<_>>(), [&[1, 1], &[1, 1]]);
        let image = Block { first: [0; 3], size: [3, 3, 1], values: (0..9).map(f64::from).collect() };
        let values = |window: &Window| image.cut(window).values;
        let source = Source { size: [3, 3, 1], spacing_mm: [1.0; 3], values: &values };
        let respond = |pooling| oriented(pooling).respond(&source, Boundary::Nearest, &image.window());
        // At the middle: low along x, next minus previous along y: 3·2·4 = 24; the other way 4·2·1 = 8.
        assert_eq!(respond(Pooling::Max).values[4], 24.0);
        assert_eq!(respond(Pooling::Min).values[4], -24.0);
        assert_eq!(respond(Pooling::Average).values[4], 0.0);
    }
}

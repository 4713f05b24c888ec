use std::ops::Range;

use isoscan_imaging::Volume;
use rayon::prelude::*;

use super::Boundary;
use crate::roi::Roi;

/// Half-open ranges of voxels along x, y, z.
pub(crate) type Window = [Range<usize>; 3];

/// A box of f64 values of an image, x fastest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Block {
    /// First voxel of the box in the image, x, y, z.
    pub(crate) first: [usize; 3],
    /// Voxels of the box along x, y, z.
    pub(crate) size: [usize; 3],
    /// The values.
    pub(crate) values: Vec<f64>,
}

/// The image that is filtered.
pub(crate) struct Source<'a> {
    /// Voxels of the image along x, y, z.
    pub(crate) size: [usize; 3],
    /// Spacing, x, y, z in mm.
    pub(crate) spacing_mm: [f64; 3],
    /// The intensities in a window of the image, x fastest.
    pub(crate) values: &'a dyn Fn(&Window) -> Vec<f64>,
}

impl Source<'_> {
    pub(super) fn block(&self, window: &Window) -> Block {
        let first = std::array::from_fn(|a| window[a].start);
        Block { first, size: std::array::from_fn(|a| window[a].len()), values: (self.values)(window) }
    }
}

impl Block {
    /// The voxels of `volume` in `window`.
    pub(super) fn of(volume: &Volume, window: &Window) -> Self {
        let mut block = Self::zeros(window);
        let [nx, ny, _] = volume.geometry().size();
        let (voxels, size, first) = (volume.as_slice(), block.size, block.first);
        block.values.par_chunks_mut(size[0]).enumerate().for_each(|(row, values)| {
            let start = ((first[2] + row / size[1]) * ny + first[1] + row % size[1]) * nx + first[0];
            values.iter_mut().zip(&voxels[start..]).for_each(|(value, voxel)| *value = f64::from(*voxel));
        });
        block
    }

    /// This box with `margin` more voxels on each side of x, y, z, by the rule `boundary` and as if the box were the
    /// whole image; the first voxel of the result counts as 0, 0, 0.
    pub(super) fn extended(&self, margin: [usize; 3], boundary: Boundary) -> Self {
        let window: Window = std::array::from_fn(|a| 0..self.size[a] + 2 * margin[a]);
        let places: [Vec<Option<usize>>; 3] = std::array::from_fn(|a| {
            let place = |index: usize| boundary.place(index as i64 - margin[a] as i64, self.size[a]);
            window[a].clone().map(place).collect()
        });
        let mut block = Self::zeros(&window);
        let size = block.size;
        block.values.par_chunks_mut(size[0]).enumerate().for_each(|(row, values)| {
            let Some((y, z)) = places[1][row % size[1]].zip(places[2][row / size[1]]) else { return };
            let source = &self.values[(z * self.size[1] + y) * self.size[0]..][..self.size[0]];
            values.iter_mut().zip(&places[0]).for_each(|(value, place)| *value = place.map_or(0.0, |x| source[x]));
        });
        block
    }

    pub(super) fn zeros(window: &Window) -> Self {
        let size = std::array::from_fn(|a| window[a].len());
        let first = std::array::from_fn(|a| window[a].start);
        Self { first, size, values: vec![0.0; size.iter().product()] }
    }

    /// The block that `part` makes slab by slab: of `slices` slices of `window` at a time, which fit the processor's cache,
    /// on all cores. `part` gives the block of the window it is called with.
    pub(super) fn by_slabs(window: &Window, slices: usize, part: impl Fn(&Window) -> Self + Sync) -> Self {
        let mut block = Self::zeros(window);
        let plane = block.size[0] * block.size[1];
        block.values.par_chunks_mut(plane * slices).enumerate().for_each(|(slab, values)| {
            let first = window[2].start + slab * slices;
            let out = [window[0].clone(), window[1].clone(), first..first + values.len() / plane];
            values.copy_from_slice(&part(&out).values);
        });
        block
    }

    /// Adds `weight` times another block of the same window.
    pub(super) fn add(&mut self, weight: f64, other: &Self) {
        self.merge(other, |value, v| value + weight * v);
    }

    /// Replaces every value by what `f` makes of it and that of another block of the same window.
    pub(super) fn merge(&mut self, other: &Self, f: impl Fn(f64, f64) -> f64 + Sync) {
        self.values.par_iter_mut().zip(&other.values).for_each(|(value, v)| *value = f(*value, *v));
    }

    /// The values in a box given by its first voxel and size, which lies inside this one.
    pub(crate) fn values_in(&self, (first, size): ([usize; 3], [usize; 3])) -> Vec<f64> {
        self.cut(&std::array::from_fn(|a| first[a]..first[a] + size[a])).values
    }

    /// The values of a region's voxels, x fastest; its box lies inside this one.
    pub(crate) fn gather(&self, roi: &Roi) -> Vec<f64> {
        let values = self.values_in((roi.first, roi.size));
        values.into_iter().zip(&roi.inside).filter(|(_, inside)| **inside).map(|(value, _)| value).collect()
    }

    pub(super) fn window(&self) -> Window {
        std::array::from_fn(|a| self.first[a]..self.first[a] + self.size[a])
    }

    /// The part in `window`, which lies inside this box.
    pub(super) fn cut(&self, window: &Window) -> Self {
        if *window == self.window() {
            return self.clone();
        }
        let mut part = Self::zeros(window);
        let (size, offset): (_, [usize; 3]) = (part.size, std::array::from_fn(|a| part.first[a] - self.first[a]));
        for (row, values) in part.values.chunks_exact_mut(size[0]).enumerate() {
            let start =
                ((offset[2] + row / size[1]) * self.size[1] + offset[1] + row % size[1]) * self.size[0] + offset[0];
            values.copy_from_slice(&self.values[start..start + size[0]]);
        }
        part
    }
}

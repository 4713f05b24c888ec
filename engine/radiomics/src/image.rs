use std::sync::OnceLock;

use isoscan_imaging::{Geometry, Volume};
use rayon::prelude::*;

use crate::interpolate::{GridMap, Sampler};
use crate::prepare::{Normalizer, Number};
use crate::roi::Roi;
use crate::settings::Interpolator;

/// The image that filters see: the normalised volume, a crop of it, or its resampled crop.
pub(crate) struct Image<'a> {
    volume: &'a Volume,
    normalizer: Option<Normalizer>,
    grid: Grid,
    geometry: Geometry,
    number: Number,
    largest: OnceLock<f64>,
}

/// A box of voxels on an image's grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    /// First voxel, x, y, z.
    pub(crate) first: [usize; 3],
    /// Voxels along x, y, z.
    pub(crate) size: [usize; 3],
}

impl Bounds {
    /// The box of a region.
    pub(crate) fn of(region: &Roi) -> Self {
        Self { first: region.first, size: region.size }
    }

    /// This box and `margin` voxels around it, as far as an image of `size` voxels reaches.
    pub(crate) fn widened(self, margin: [usize; 3], size: [usize; 3]) -> Self {
        let first: [usize; 3] = std::array::from_fn(|a| self.first[a].saturating_sub(margin[a]));
        let size = std::array::from_fn(|a| (self.first[a] + self.size[a] + margin[a]).min(size[a]) - first[a]);
        Self { first, size }
    }

    /// Number of voxels.
    pub(crate) fn count(self) -> usize {
        self.size.iter().product()
    }
}

/// Neighbouring voxels along x.
pub(crate) enum Row<'a> {
    /// As the volume holds them.
    Stored(&'a [f32]),
    /// Normalised or interpolated.
    Computed(Vec<f64>),
}

/// Where the voxels of an image come from.
enum Grid {
    /// The volume's own, from this voxel on.
    Own { first: [usize; 3] },
    /// Interpolated, as a whole only when a filter asks.
    Resampled { method: Interpolator, values: OnceLock<Vec<f64>> },
}

impl<'a> Image<'a> {
    /// The whole volume.
    pub(crate) fn whole(volume: &'a Volume, normalizer: Option<Normalizer>, number: Number) -> Self {
        let geometry = volume.geometry().clone();
        Self { volume, normalizer, grid: Grid::Own { first: [0; 3] }, geometry, number, largest: OnceLock::new() }
    }

    /// The crop of a whole volume that starts at voxel `first` and has the grid `geometry`.
    pub(crate) fn cropped(&self, first: [usize; 3], geometry: Geometry) -> Self {
        Self { grid: Grid::Own { first }, geometry, largest: OnceLock::new(), ..*self }
    }

    /// A whole volume interpolated on the grid `geometry`.
    pub(crate) fn resampled(&self, geometry: Geometry, method: Interpolator) -> Self {
        let grid = Grid::Resampled { method, values: OnceLock::new() };
        Self { grid, geometry, largest: OnceLock::new(), ..*self }
    }

    /// The grid.
    pub(crate) fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Type of the intensities at this point of PyRadiomics' processing.
    pub(crate) fn number(&self) -> Number {
        self.number
    }

    /// Intensities of the voxels of `region`, x fastest.
    pub(crate) fn values_of(&self, region: &Roi) -> Vec<f64> {
        if let Grid::Resampled { method, values } = &self.grid
            && values.get().is_none()
        {
            return self.sample(region, *method);
        }
        let mut values = vec![0.0; region.count()];
        let mut rest = values.as_mut_slice();
        let [x, y, z] = region.first;
        for run in region.runs() {
            let (out, after) = rest.split_at_mut(run.end - run.start);
            self.copy_row([x + run.start, y + run.row % region.size[1], z + run.row / region.size[1]], out);
            rest = after;
        }
        values
    }

    /// Intensities of a box, x fastest.
    pub(crate) fn values_in(&self, bounds: Bounds) -> Vec<f64> {
        let mut values = vec![0.0; bounds.count()];
        let [x, y, z] = bounds.first;
        for (row, out) in values.chunks_exact_mut(bounds.size[0]).enumerate() {
            self.copy_row([x, y + row % bounds.size[1], z + row / bounds.size[1]], out);
        }
        values
    }

    /// Intensities of all voxels, x fastest.
    pub(crate) fn all_values(&self) -> Vec<f64> {
        self.values_in(Bounds { first: [0; 3], size: self.geometry.size() })
    }

    /// The `length` voxels from `[x, y, z]` on along x.
    pub(crate) fn row(&self, [x, y, z]: [usize; 3], length: usize) -> Row<'_> {
        if let (Grid::Own { first }, None) = (&self.grid, &self.normalizer) {
            let [nx, ny, _] = self.volume.geometry().size();
            let start = ((first[2] + z) * ny + first[1] + y) * nx + first[0] + x;
            return Row::Stored(&self.volume.as_slice()[start..start + length]);
        }
        let mut values = vec![0.0; length];
        self.copy_row([x, y, z], &mut values);
        Row::Computed(values)
    }

    /// Copies the voxels from `[x, y, z]` on along x to `out`.
    pub(crate) fn copy_row(&self, [x, y, z]: [usize; 3], out: &mut [f64]) {
        match &self.grid {
            Grid::Own { first } => {
                let [nx, ny, _] = self.volume.geometry().size();
                let start = ((first[2] + z) * ny + first[1] + y) * nx + first[0] + x;
                let row = &self.volume.as_slice()[start..start + out.len()];
                match &self.normalizer {
                    Some(normalizer) => out.iter_mut().zip(row).for_each(|(o, &v)| *o = normalizer.apply(f64::from(v))),
                    None => out.iter_mut().zip(row).for_each(|(o, &v)| *o = f64::from(v)),
                }
            }
            Grid::Resampled { method, values } => {
                let [nx, ny, _] = self.geometry.size();
                let start = (z * ny + y) * nx + x;
                let values = values.get_or_init(|| self.sample(&Roi::of_box([0; 3], self.geometry.size()), *method));
                out.copy_from_slice(&values[start..start + out.len()]);
            }
        }
    }

    /// The largest magnitude of the whole image.
    pub(crate) fn largest(&self) -> f64 {
        *self.largest.get_or_init(|| {
            let [nx, ny, nz] = self.geometry.size();
            let of_row = |row: usize| {
                let mut values = vec![0.0; nx];
                self.copy_row([0, row % ny, row / ny], &mut values);
                values.iter().fold(0.0f64, |largest, v| if v.is_nan() { f64::NAN } else { largest.max(v.abs()) })
            };
            // NumPy's maximum is NaN when any element is.
            let larger = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
            (0..ny * nz).into_par_iter().map(of_row).reduce(|| 0.0, larger)
        })
    }

    /// Interpolated intensities of the voxels of `region`, in the image's own type.
    fn sample(&self, region: &Roi, method: Interpolator) -> Vec<f64> {
        let volume_from_grid = GridMap::new(&self.geometry, self.volume.geometry());
        let (mut low, mut high) = ([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
        for corner in 0..8usize {
            let voxel = std::array::from_fn(|a| region.first[a] + (corner >> a & 1) * (region.size[a] - 1));
            let position = volume_from_grid.voxel(voxel);
            low = std::array::from_fn(|a| low[a].min(position[a]));
            high = std::array::from_fn(|a| high[a].max(position[a]));
        }
        let intensity = |voxel: f32| {
            let voxel = f64::from(voxel);
            self.normalizer.as_ref().map_or(voxel, |normalizer| normalizer.apply(voxel))
        };
        let sampler = Sampler::new(self.volume, method, low, high, intensity);
        let positions: Vec<[usize; 3]> = region.voxels().map(|(_, position)| position).collect();
        positions.par_iter().map(|p| self.number.store(sampler.at(volume_from_grid.voxel(*p)))).collect()
    }
}

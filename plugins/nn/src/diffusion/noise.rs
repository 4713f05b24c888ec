use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Random, diffusion::Simplex, image};

/// Which voxels of a volume: the first x, y, z and how many along each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First voxel x, y, z; a margin outside the volume counts below 0.
    pub origin: [i64; 3],
    /// Voxels along x, y, z.
    pub size: [usize; 3],
}

/// The kind of noise, of unit variance.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NoiseField {
    /// Independent normal voxels.
    #[default]
    Gaussian,
    /// Noise of many scales (Wyatt et al. 2022).
    Simplex(Simplex),
}

/// Noise that follows from seed, volume, step, sample and absolute voxel: two patches agree where they overlap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoxelNoise {
    /// Its kind.
    pub field: NoiseField,
    /// Seed of the run.
    pub seed: u64,
    /// Which volume, where several share a seed.
    pub volume: u64,
}

impl VoxelNoise {
    /// The noise of some voxels, `[1, 1, z, y, x]`.
    ///
    /// # Errors
    /// [`Error::Torch`] when memory is short.
    pub fn draw(&self, extent: Extent, step: u64, sample: u64) -> Result<Tensor, Error> {
        let [nx, ny, nz] = extent.size;
        let mut voxels = Vec::with_capacity(nx * ny * nz);
        let at = |axis: usize, index: usize| extent.origin[axis].wrapping_add(index as i64);
        for z in 0..nz {
            let random = Random::new(self.seed, &[PURPOSE, self.volume, step, sample, at(2, z) as u64]);
            for y in 0..ny {
                for x in 0..nx {
                    voxels.push(match &self.field {
                        NoiseField::Gaussian => random.normal(counter(at(0, x), at(1, y))) as f32,
                        NoiseField::Simplex(simplex) => {
                            let random = Random::new(self.seed, &[PURPOSE, self.volume, step, sample]);
                            simplex.at([at(0, x), at(1, y), at(2, z)], &random) as f32
                        }
                    });
                }
            }
        }
        image(&voxels, &[1, 1, nz, ny, nx])
    }
}

/// Keeps this stream apart from those of weights and pools.
const PURPOSE: u64 = 0x6e6f_6973_6500;

/// One number per place of a slice: 31 bits of y above 32 of x, since a normal takes two counters.
fn counter(x: i64, y: i64) -> u64 {
    ((y as u64 & 0x7fff_ffff) << 32) | (x as u64 & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noises() -> [VoxelNoise; 2] {
        [NoiseField::Gaussian, NoiseField::Simplex(Simplex::default())].map(|field| VoxelNoise {
            field,
            seed: 7,
            volume: 0,
        })
    }

    #[test]
    fn patches_agree_where_they_overlap_also_outside_of_the_volume() {
        for noise in noises() {
            let whole = noise.draw(Extent { origin: [-3, -2, -1], size: [12, 10, 4] }, 5, 1).unwrap();
            let part = noise.draw(Extent { origin: [-1, 2, 0], size: [4, 5, 2] }, 5, 1).unwrap();
            assert!(part.equal(&whole.narrow(2, 1, 2).narrow(3, 4, 5).narrow(4, 2, 4)), "{:?}", noise.field);
        }
    }

    #[test]
    fn another_seed_volume_step_sample_or_slice_gives_other_noise() {
        let extent = Extent { origin: [0; 3], size: [8, 8, 1] };
        for noise in noises() {
            let first = noise.draw(extent, 5, 1).unwrap();
            let others = [
                VoxelNoise { seed: 8, ..noise }.draw(extent, 5, 1),
                VoxelNoise { volume: 1, ..noise }.draw(extent, 5, 1),
                noise.draw(extent, 6, 1),
                noise.draw(extent, 5, 2),
                noise.draw(Extent { origin: [0, 0, 1], ..extent }, 5, 1),
            ];
            for (which, other) in others.into_iter().enumerate() {
                assert!(!other.unwrap().equal(&first), "{which}");
            }
        }
    }

    #[test]
    fn noise_has_mean_zero_and_unit_variance() {
        for noise in noises() {
            let samples: Vec<Tensor> = (0..12)
                .map(|sample| noise.draw(Extent { origin: [sample * 500, 0, 0], size: [48, 48, 3] }, 0, 0).unwrap())
                .collect();
            let all = Tensor::stack(&samples, 0);
            let (mean, deviation) = (all.mean(None).double_value(&[]), all.std(false).double_value(&[]));
            // Simplex noise of frequency 64 has few independent places.
            assert!(mean.abs() < 0.2 && (deviation - 1.0).abs() < 0.12, "{:?}: {mean} {deviation}", noise.field);
        }
    }
}

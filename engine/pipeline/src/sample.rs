use isoscan_imaging::{Volume, body};

use crate::Error;

/// Draws 2-D training patches that lie on the body from prepared volumes.
///
/// The n-th patch depends on the seed and n alone, so training resumes where it stopped.
pub struct PatchSampler {
    volumes: Vec<Volume>,
    centers: Vec<Vec<[usize; 3]>>,
    size: [usize; 2],
    seed: u64,
}

/// Patch centres lie on every fourth voxel of a row and every fourth row.
const STRIDE: usize = 4;

impl PatchSampler {
    /// Finds where patches of `size` (x, y) voxels may lie in each volume: their centre is on the body.
    ///
    /// # Errors
    /// [`Error::NoPatch`] for a volume that is smaller than a patch or shows no body.
    pub fn new(volumes: Vec<Volume>, size: [usize; 2], seed: u64) -> Result<Self, Error> {
        let mut centers = Vec::with_capacity(volumes.len());
        for (index, volume) in volumes.iter().enumerate() {
            let no_patch = |reason| Error::NoPatch { volume: index, size: [size[0], size[1], 1], reason };
            let [nx, ny, _] = volume.geometry().size();
            if nx < size[0] || ny < size[1] || size.contains(&0) {
                return Err(no_patch("its slices are smaller"));
            }
            let mask = body(volume)?;
            let fits = |&(_, y, x): &(usize, usize, usize)| {
                let margin = |c: usize, half: usize, n: usize, whole: usize| c >= half && c + (whole - half) <= n;
                y % STRIDE == 0
                    && x % STRIDE == 0
                    && margin(x, size[0] / 2, nx, size[0])
                    && margin(y, size[1] / 2, ny, size[1])
            };
            let inside = mask.inside();
            let places = inside.indexed_iter().filter(|(_, inside)| **inside).map(|(place, _)| place).filter(fits);
            let list: Vec<[usize; 3]> = places.map(|(z, y, x)| [x, y, z]).collect();
            if list.is_empty() {
                return Err(no_patch("no patch centred on the body lies inside"));
            }
            centers.push(list);
        }
        Ok(Self { volumes, centers, size, seed })
    }

    /// Number of volumes.
    pub fn volumes(&self) -> usize {
        self.volumes.len()
    }

    /// Writes patch number `index` into `out`, x fastest, mirrored left to right every other time.
    pub fn draw(&self, index: u64, out: &mut [f32]) {
        let mut random = Counter { key: self.seed, count: index.wrapping_mul(4) };
        let volume = random.below(self.volumes.len());
        let [x, y, z] = self.centers[volume][random.below(self.centers[volume].len())];
        let mirrored = random.below(2) == 1;
        let voxels = self.volumes[volume].voxels();
        let [nx, ny] = self.size;
        let (x0, y0) = (x - nx / 2, y - ny / 2);
        for (row, line) in out.chunks_exact_mut(nx).take(ny).enumerate() {
            for (column, value) in line.iter_mut().enumerate() {
                let i = if mirrored { nx - 1 - column } else { column };
                *value = voxels[[z, y0 + row, x0 + i]];
            }
        }
    }
}

/// Random numbers by counter: SplitMix64's output function (Steele, Lea and Flood 2014) over a key and a count.
struct Counter {
    key: u64,
    count: u64,
}

impl Counter {
    fn below(&mut self, bound: usize) -> usize {
        self.count = self.count.wrapping_add(1);
        let mut z = self.key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.count.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((u128::from(z) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    #[test]
    fn every_patch_lies_inside_and_depends_on_its_number_alone() {
        let geometry = Geometry::axis_aligned([24, 20, 2], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((2, 20, 24), |(z, y, x)| {
            if (4..16).contains(&y) && (4..20).contains(&x) { (z * 1000 + y * 30 + x) as f32 } else { -1000.0 }
        });
        let volume = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
        let sampler = PatchSampler::new(vec![volume], [8, 8], 3).unwrap();
        let draw = |index| {
            let mut out = vec![0.0; 64];
            sampler.draw(index, &mut out);
            out
        };
        let first: Vec<Vec<f32>> = (0..20).map(draw).collect();
        let again: Vec<Vec<f32>> = (0..20).rev().map(draw).collect();
        assert!(first.iter().eq(again.iter().rev()));
        assert!(first.iter().any(|patch| patch != &first[0]));
        assert!(first.iter().all(|patch| patch[4 * 8 + 4] > -300.0 || patch[4 * 8 + 3] > -300.0));
    }

    #[test]
    fn a_volume_smaller_than_a_patch_is_refused() {
        let volume =
            Volume::filled(0.0, Geometry::axis_aligned([4, 4, 1], [1.0; 3]).unwrap(), Modality::Ct, Unit::Hounsfield);
        assert!(matches!(PatchSampler::new(vec![volume], [8, 8], 0), Err(Error::NoPatch { volume: 0, .. })));
    }
}

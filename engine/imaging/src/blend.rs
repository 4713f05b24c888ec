use std::collections::BTreeMap;

use ndarray::Array3;

use crate::{Error, Patch, PatchGrid};

/// How the answers of neighbouring patches are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blend {
    /// Each voxel comes from the one patch whose core holds it. Exact when the halo is the receptive field.
    Constant,
    /// Each voxel is the mean of all patches that hold it, halos included, weighted by a Gaussian of the distance to
    /// the patch centre with sigma = patch size / 8 per axis. Smooths the joints of a plugin whose answer depends on
    /// the patch (global normalisation inside, receptive field larger than the halo).
    Gaussian,
}

/// Joins patch answers to one volume.
///
/// Weights of a voxel sum to one: along each axis `w_p(i) = g(i - c_p) / Σ_q g(i - c_q)` over the patches `q` that hold
/// voxel `i`, and the weight of a voxel is the product over the axes, which sums to one because the grid is a product of
/// axes. The bytes of the result do not depend on the order of [`add`](Self::add): patches are summed in grid order,
/// and a patch that comes early waits as a copy.
#[derive(Debug)]
pub struct Blender {
    blend: Blend,
    patches: Vec<Patch>,
    size: [usize; 3],
    /// For each axis and each step of the grid along it, one weight per patch voxel.
    weights: [Vec<Vec<f32>>; 3],
    count: [usize; 3],
    voxels: Vec<f32>,
    next: usize,
    early: BTreeMap<usize, Vec<f32>>,
    added: Vec<bool>,
}

impl Blender {
    /// An empty volume of the grid's size.
    pub fn new(grid: &PatchGrid, blend: Blend) -> Self {
        Self {
            blend,
            patches: grid.patches().to_vec(),
            size: grid.size(),
            weights: std::array::from_fn(|axis| axis_weights(grid, axis, blend)),
            count: grid.count(),
            voxels: vec![0.0; grid.size().iter().product()],
            next: 0,
            early: BTreeMap::new(),
            added: vec![false; grid.patches().len()],
        }
    }

    /// Adds a patch's answer, x fastest, one value per voxel of the patch with its halo.
    ///
    /// # Errors
    /// [`Error::ForeignPatch`] for a patch that is not of this grid, [`Error::PatchLength`] when values are missing or
    /// too many, [`Error::RepeatedPatch`] for one that was added before.
    pub fn add(&mut self, patch: &Patch, values: &[f32]) -> Result<(), Error> {
        let index = patch.index;
        if self.patches.get(index) != Some(patch) {
            return Err(Error::ForeignPatch { index, patches: self.patches.len() });
        }
        if values.len() != patch.voxel_count() {
            return Err(Error::PatchLength { index, expected: patch.voxel_count(), found: values.len() });
        }
        if std::mem::replace(&mut self.added[index], true) {
            return Err(Error::RepeatedPatch { index });
        }
        match self.blend {
            Blend::Constant => self.copy_core(patch, values),
            Blend::Gaussian if index == self.next => {
                self.sum(patch, values);
                self.next += 1;
                while let Some(values) = self.early.remove(&self.next) {
                    let patch = self.patches[self.next];
                    self.sum(&patch, &values);
                    self.next += 1;
                }
            }
            Blend::Gaussian => {
                self.early.insert(index, values.to_vec());
            }
        }
        Ok(())
    }

    /// The joined voxels `[z, y, x]`.
    ///
    /// # Errors
    /// [`Error::MissingPatches`] unless every patch of the grid was added.
    pub fn finish(self) -> Result<Array3<f32>, Error> {
        let missing = self.added.iter().filter(|added| !**added).count();
        if let Some(first) = self.added.iter().position(|added| !added) {
            return Err(Error::MissingPatches { first, missing, patches: self.patches.len() });
        }
        let [nx, ny, nz] = self.size;
        Ok(Array3::from_shape_vec((nz, ny, nx), self.voxels).expect("one value per voxel"))
    }

    fn copy_core(&mut self, patch: &Patch, values: &[f32]) {
        let inset: [usize; 3] = std::array::from_fn(|a| (patch.core_first[a] as i64 - patch.first[a]) as usize);
        let [nx, ny, _] = self.size;
        for k in 0..patch.core_size[2] {
            for j in 0..patch.core_size[1] {
                let from = ((inset[2] + k) * patch.size[1] + inset[1] + j) * patch.size[0] + inset[0];
                let to = ((patch.core_first[2] + k) * ny + patch.core_first[1] + j) * nx + patch.core_first[0];
                self.voxels[to..to + patch.core_size[0]].copy_from_slice(&values[from..from + patch.core_size[0]]);
            }
        }
    }

    fn sum(&mut self, patch: &Patch, values: &[f32]) {
        let [count_x, count_y, _] = self.count;
        let step = [patch.index % count_x, patch.index / count_x % count_y, patch.index / count_x / count_y];
        let [wx, wy, wz]: [&[f32]; 3] = std::array::from_fn(|a| self.weights[a][step[a]].as_slice());
        // The part of the patch inside the volume, in patch voxels.
        let begin: [usize; 3] = std::array::from_fn(|a| (-patch.first[a]).max(0) as usize);
        let end: [usize; 3] =
            std::array::from_fn(|a| patch.size[a].min((self.size[a] as i64 - patch.first[a]).max(0) as usize));
        let [nx, ny, _] = self.size;
        for (k, wz) in (begin[2]..end[2]).zip(&wz[begin[2]..]) {
            for (j, wy) in (begin[1]..end[1]).zip(&wy[begin[1]..]) {
                let weight = wz * wy;
                let from = (k * patch.size[1] + j) * patch.size[0];
                let [x, y, z] = [begin[0] as i64, j as i64, k as i64];
                let to = ((patch.first[2] + z) as usize * ny + (patch.first[1] + y) as usize) * nx
                    + (patch.first[0] + x) as usize;
                let length = end[0] - begin[0];
                let row = &mut self.voxels[to..to + length];
                let terms = values[from + begin[0]..from + end[0]].iter().zip(&wx[begin[0]..end[0]]);
                row.iter_mut().zip(terms).for_each(|(out, (value, wx))| *out += weight * wx * value);
            }
        }
    }
}

/// Weights along one axis that sum to one over the steps of the grid for every voxel.
fn axis_weights(grid: &PatchGrid, axis: usize, blend: Blend) -> Vec<Vec<f32>> {
    if blend == Blend::Constant {
        return Vec::new();
    }
    let stride: usize = grid.count()[..axis].iter().product();
    let firsts: Vec<i64> = (0..grid.count()[axis]).map(|step| grid.patches()[step * stride].first[axis]).collect();
    let length = grid.patch_size()[axis];
    let (center, sigma) = ((length as f64 - 1.0) / 2.0, length as f64 / 8.0);
    let bell: Vec<f64> = (0..length).map(|i| (-0.5 * ((i as f64 - center) / sigma).powi(2)).exp()).collect();
    let mut total = vec![0.0; grid.size()[axis]];
    let place = |first: i64, i: usize| usize::try_from(first + i as i64).ok();
    for &first in &firsts {
        for (i, g) in bell.iter().enumerate() {
            if let Some(sum) = place(first, i).and_then(|voxel| total.get_mut(voxel)) {
                *sum += g;
            }
        }
    }
    let share =
        |first, i: usize, g: f64| place(first, i).and_then(|v| total.get(v)).map_or(0.0, |sum| (g / sum) as f32);
    firsts.iter().map(|&first| bell.iter().enumerate().map(|(i, g)| share(first, i, *g)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid_4x4() -> PatchGrid {
        // Cores 2x2, halo 1: four patches of 4x4.
        PatchGrid::new([4, 4, 1], [4, 4, 1], [1, 1, 0], [1; 3]).unwrap()
    }

    fn blended(grid: &PatchGrid, blend: Blend, order: &[usize], answer: impl Fn(&Patch) -> Vec<f32>) -> Array3<f32> {
        let mut blender = Blender::new(grid, blend);
        for &index in order {
            let patch = &grid.patches()[index];
            blender.add(patch, &answer(patch)).unwrap();
        }
        blender.finish().unwrap()
    }

    #[test]
    fn constant_blend_takes_each_core() {
        let found = blended(&grid_4x4(), Blend::Constant, &[2, 0, 3, 1], |p| vec![p.index as f32; 16]);
        #[rustfmt::skip]
        let expected = [
            0.0, 0.0, 1.0, 1.0,
            0.0, 0.0, 1.0, 1.0,
            2.0, 2.0, 3.0, 3.0,
            2.0, 2.0, 3.0, 3.0,
        ];
        assert_eq!(found.as_slice().unwrap(), expected);
    }

    #[test]
    fn gaussian_blend_of_a_4x4_grid() {
        // Along an axis patch 0 holds voxels -1..2 and patch 1 holds 1..4, sigma = 0.5, centre 1.5. Voxel 1 is place 2
        // of patch 0 (0.5 off centre) and place 0 of patch 1 (1.5 off): weights e^-0.5 and e^-4.5, so patch 1 has
        // 1 / (1 + e^4) = 0.0179862 there, and 1 - that at voxel 2; voxels 0 and 3 have one patch each.
        let s = 1.0 / (1.0 + 4f64.exp());
        let share = [0.0, s, 1.0 - s, 1.0];
        let found = blended(&grid_4x4(), Blend::Gaussian, &[0, 1, 2, 3], |p| vec![p.index as f32; 16]);
        for ((_, j, i), &value) in found.indexed_iter() {
            let expected = share[i] + 2.0 * share[j];
            assert!((f64::from(value) - expected).abs() < 1e-6, "{i} {j}: {value} {expected}");
        }
    }

    #[test]
    fn weights_sum_to_one() {
        for (size, patch, halo) in [([9, 7, 5], [5, 4, 5], [2, 1, 2]), ([17, 3, 1], [8, 8, 1], [3, 2, 0])] {
            let grid = PatchGrid::new(size, patch, halo, [1; 3]).unwrap();
            let order: Vec<usize> = (0..grid.patches().len()).collect();
            for blend in [Blend::Constant, Blend::Gaussian] {
                let found = blended(&grid, blend, &order, |p| vec![1.0; p.voxel_count()]);
                assert!(found.iter().all(|v| (v - 1.0).abs() < 1e-6), "{found:?}");
            }
        }
    }

    #[test]
    fn the_order_of_patches_does_not_change_a_bit() {
        let grid = PatchGrid::new([23, 17, 9], [8, 8, 7], [3, 2, 3], [1; 3]).unwrap();
        let answer = |p: &Patch| (0..p.voxel_count()).map(|v| ((v * 31 + p.index * 7) % 1009) as f32 / 3.0).collect();
        let n = grid.patches().len();
        let forward: Vec<usize> = (0..n).collect();
        let backward: Vec<usize> = (0..n).rev().collect();
        let mixed: Vec<usize> = (0..n).map(|i| i * 37 % n).collect();
        assert!(!n.is_multiple_of(37) && n > 50);
        let expected = blended(&grid, Blend::Gaussian, &forward, answer);
        for order in [backward, mixed] {
            let found = blended(&grid, Blend::Gaussian, &order, answer);
            assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
    }

    #[test]
    fn wrong_patches_are_refused() {
        let grid = grid_4x4();
        let patch = grid.patches()[1];
        let mut blender = Blender::new(&grid, Blend::Gaussian);
        assert_eq!(blender.add(&patch, &[0.0; 15]), Err(Error::PatchLength { index: 1, expected: 16, found: 15 }));
        let foreign = Patch { first: [0; 3], ..patch };
        assert_eq!(blender.add(&foreign, &[0.0; 16]), Err(Error::ForeignPatch { index: 1, patches: 4 }));
        assert_eq!(blender.add(&patch, &[0.0; 16]), Ok(()));
        assert_eq!(blender.add(&patch, &[0.0; 16]), Err(Error::RepeatedPatch { index: 1 }));
        assert_eq!(blender.finish(), Err(Error::MissingPatches { first: 0, missing: 3, patches: 4 }));
    }
}

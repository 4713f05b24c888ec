use crate::{Error, Volume};

/// How a volume is cut into equal patches whose cores tile it.
///
/// Every patch is a core with a halo on both sides of each axis. Cores start at voxel 0, follow each other without gap
/// or overlap, and the last one of an axis is cut at the volume's end. The halo, and what a patch has beyond the volume,
/// is read but belongs to its neighbours. When the halo is at least the receptive field of the plugin, a core never
/// depends on where the cuts lie, so there can be no seam.
///
/// ```text
/// size 10, patch 6, halo 1:  core 4, three cores
/// voxels          0 1 2 3 4 5 6 7 8 9
/// patch 0    [h | c c c c | h]
/// patch 1             [h | c c c c | h]
/// patch 2                     [h | c c . . | h]     . = beyond the volume, read by reflection
/// ```
///
/// A 2D plugin takes patches of one slice: patch z = 1, halo z = 0.
///
/// ```
/// use isoscan_imaging::PatchGrid;
/// let grid = PatchGrid::new([10, 10, 3], [6, 6, 1], [1, 1, 0], [1, 1, 1])?;
/// assert_eq!(grid.patches().len(), 3 * 3 * 3);
/// assert_eq!(grid.patches()[1].first, [3, -1, 0]);
/// assert_eq!((grid.patches()[1].core_first, grid.patches()[1].core_size), ([4, 0, 0], [4, 4, 1]));
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchGrid {
    size: [usize; 3],
    patch_size: [usize; 3],
    halo: [usize; 3],
    count: [usize; 3],
    patches: Vec<Patch>,
}

/// A box that is read, with the part of the volume that it answers for. All voxel numbers are (x, y, z).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patch {
    /// Place in the order of the grid: x fastest, then y, then z.
    pub index: usize,
    /// Volume voxel of the patch's first voxel; negative where the halo reaches outside.
    pub first: [i64; 3],
    /// Voxels along x, y, z; the same for all patches of a grid.
    pub size: [usize; 3],
    /// Volume voxel where the core begins.
    pub core_first: [usize; 3],
    /// Voxels of the core, inside the volume.
    pub core_size: [usize; 3],
}

impl Patch {
    /// Number of voxels, core and halo.
    pub fn voxel_count(&self) -> usize {
        self.size.iter().fold(1, |n: usize, &s| n.saturating_mul(s))
    }

    /// The same box in the volume [refined](crate::refined) by `factors`.
    pub fn refined(&self, factors: [usize; 3]) -> Self {
        let times = |voxels: [usize; 3]| std::array::from_fn(|a| voxels[a].saturating_mul(factors[a]));
        Self {
            index: self.index,
            first: std::array::from_fn(|a| self.first[a].saturating_mul(factors[a] as i64)),
            size: times(self.size),
            core_first: times(self.core_first),
            core_size: times(self.core_size),
        }
    }
}

impl PatchGrid {
    /// Cuts `size` voxels into patches of at most `patch` voxels, halo included on both sides.
    ///
    /// `multiple` is what the patch size must be divisible by (the plugin's stride). A patch is made as small as the
    /// number of cores allows: a volume that needs one core gets `size + 2 · halo` rounded up to `multiple`, even when
    /// `patch` is larger; so `usize::MAX` asks for one patch along that axis.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size, patch or multiple of 0, and for a patch that has to be cut but is not a
    /// multiple of `multiple` or leaves no core beside its halo.
    pub fn new(size: [usize; 3], patch: [usize; 3], halo: [usize; 3], multiple: [usize; 3]) -> Result<Self, Error> {
        let mut patch_size = [0; 3];
        let mut core = [0; 3];
        for a in 0..3 {
            (patch_size[a], core[a]) = cut(size[a], patch[a], halo[a], multiple[a])?;
        }
        require_in_memory(size, patch_size)?;
        let count: [usize; 3] = std::array::from_fn(|a| size[a].div_ceil(core[a]));
        let place = |index: usize| {
            let step = [index % count[0], index / count[0] % count[1], index / count[0] / count[1]];
            let core_first: [usize; 3] = std::array::from_fn(|a| step[a] * core[a]);
            Patch {
                index,
                first: std::array::from_fn(|a| core_first[a] as i64 - halo[a] as i64),
                size: patch_size,
                core_first,
                core_size: std::array::from_fn(|a| core[a].min(size[a] - core_first[a])),
            }
        };
        let patches = (0..count.iter().product()).map(place).collect();
        Ok(Self { size, patch_size, halo, count, patches })
    }

    /// The same cuts of the volume [refined](crate::refined) by `factors`: every number of voxels is multiplied.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the refined volume or its patches fit no memory.
    pub fn refined(&self, factors: [usize; 3]) -> Result<Self, Error> {
        let times = |voxels: [usize; 3]| std::array::from_fn(|a| voxels[a].saturating_mul(factors[a]));
        let (size, patch_size) = (times(self.size), times(self.patch_size));
        require_in_memory(size, patch_size)?;
        let patches = self.patches.iter().map(|patch| patch.refined(factors)).collect();
        Ok(Self { size, patch_size, halo: times(self.halo), count: self.count, patches })
    }

    /// Voxels of the volume along x, y, z.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Voxels of every patch along x, y, z, halo included.
    pub fn patch_size(&self) -> [usize; 3] {
        self.patch_size
    }

    /// Voxels that each patch reads beyond its core, per side.
    pub fn halo(&self) -> [usize; 3] {
        self.halo
    }

    /// Patches along x, y, z.
    pub fn count(&self) -> [usize; 3] {
        self.count
    }

    /// The patches in order, x fastest.
    pub fn patches(&self) -> &[Patch] {
        &self.patches
    }
}

/// Copies the patch out of the volume into `out`, x fastest; voxels beyond the volume are its mirror image about the
/// centre of the edge voxel (`c b | a b c`), repeated as often as needed.
///
/// # Errors
/// [`Error::PatchLength`] when `out` has not one place per voxel of the patch.
pub fn gather(volume: &Volume, patch: &Patch, out: &mut [f32]) -> Result<(), Error> {
    if patch.voxel_count() != out.len() {
        return Err(Error::PatchLength { index: patch.index, expected: patch.voxel_count(), found: out.len() });
    }
    if out.is_empty() {
        return Ok(());
    }
    let size = volume.geometry().size();
    let source = volume.as_slice();
    let [nx, ny, _] = patch.size;
    // The stretch of a row that needs no reflection, in patch voxels.
    let begin = patch.first[0].saturating_neg().clamp(0, nx as i64) as usize;
    let end = (size[0] as i64).saturating_sub(patch.first[0]).clamp(begin as i64, nx as i64) as usize;
    for (row_index, row) in out.chunks_exact_mut(nx).enumerate() {
        let y = reflected(patch.first[1], row_index % ny, size[1]);
        let z = reflected(patch.first[2], row_index / ny, size[2]);
        let line = &source[(z * size[1] + y) * size[0]..][..size[0]];
        if begin < end {
            let start = (patch.first[0] + begin as i64) as usize;
            row[begin..end].copy_from_slice(&line[start..start + end - begin]);
        }
        for i in (0..begin).chain(end..nx) {
            row[i] = line[reflected(patch.first[0], i, size[0])];
        }
    }
    Ok(())
}

fn require_in_memory(size: [usize; 3], patch_size: [usize; 3]) -> Result<(), Error> {
    for (of, voxels) in [("volume", size), ("patch", patch_size)] {
        if voxels.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).is_none_or(|n| n > isize::MAX as usize / 4) {
            return Err(Error::InvalidArgument {
                name: "patch grid",
                expected: "a volume and patches that fit in memory",
                found: format!("a {of} of {voxels:?} voxels"),
            });
        }
    }
    Ok(())
}

/// Patch size and core size along one axis.
fn cut(size: usize, patch: usize, halo: usize, multiple: usize) -> Result<(usize, usize), Error> {
    let refuse = |expected| {
        Err(Error::InvalidArgument {
            name: "patch",
            expected,
            found: format!("size {size}, patch {patch}, halo {halo}, multiple {multiple}"),
        })
    };
    if size == 0 || patch == 0 || multiple == 0 {
        return refuse("a size, a patch and a multiple of at least 1");
    }
    let reach = 1 << 40;
    if size > reach || halo > reach || multiple > reach {
        return refuse("a size, a halo and a multiple within 2^40 voxels");
    }
    let whole = (size + 2 * halo).next_multiple_of(multiple);
    if patch >= whole {
        return Ok((whole, size));
    }
    if !patch.is_multiple_of(multiple) {
        return refuse("a multiple of the plugin's stride");
    }
    if patch <= 2 * halo {
        return refuse("larger than its two halos");
    }
    let cores = size.div_ceil(patch - 2 * halo);
    let even = (size.div_ceil(cores) + 2 * halo).next_multiple_of(multiple);
    Ok((even, even - 2 * halo))
}

/// The voxel of an axis of `size` voxels that `first + step` mirrors to.
fn reflected(first: i64, step: usize, size: usize) -> usize {
    let period = 2 * (size as i128 - 1);
    if period == 0 {
        return 0;
    }
    let place = (i128::from(first) + step as i128).rem_euclid(period);
    place.min(period - place) as usize
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Blend, Blender, Geometry, Modality, Unit};

    fn volume(size: [usize; 3]) -> Volume {
        let voxels =
            Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| ((i * 7 + j * 13 + k * 29) % 31) as f32);
        Volume::new(voxels, Geometry::axis_aligned(size, [1.0; 3]).unwrap(), Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn patches_of_an_axis() {
        // size, patch, halo, multiple -> patch size, (first, core first, core size) of each.
        type Row = (usize, usize, usize, usize, usize, &'static [(i64, usize, usize)]);
        let rows: [Row; 8] = [
            (10, 6, 1, 1, 6, &[(-1, 0, 4), (3, 4, 4), (7, 8, 2)]),
            (4, 2, 0, 1, 2, &[(0, 0, 2), (2, 2, 2)]),
            (4, 8, 0, 1, 4, &[(0, 0, 4)]),
            (5, usize::MAX, 2, 4, 12, &[(-2, 0, 5)]),
            (1, 1, 0, 1, 1, &[(0, 0, 1)]),
            // Two cores are needed, and 6 + 2 each is enough: patches shrink from 12 to 8.
            (12, 12, 1, 4, 8, &[(-1, 0, 6), (5, 6, 6)]),
            (12, 4, 1, 4, 4, &[(-1, 0, 2), (1, 2, 2), (3, 4, 2), (5, 6, 2), (7, 8, 2), (9, 10, 2)]),
            (3, 8, 2, 8, 8, &[(-2, 0, 3)]),
        ];
        for (size, patch, halo, multiple, patch_size, expected) in rows {
            let grid = PatchGrid::new([1, size, 1], [1, patch, 1], [0, halo, 0], [1, multiple, 1]).unwrap();
            assert_eq!(grid.patch_size(), [1, patch_size, 1]);
            let found: Vec<_> = grid.patches().iter().map(|p| (p.first[1], p.core_first[1], p.core_size[1])).collect();
            assert_eq!(found, expected, "size {size} patch {patch}");
        }
    }

    #[test]
    fn cuts_that_cannot_be_made_are_refused() {
        for (size, patch, halo, multiple) in [
            (0, 4, 0, 1),
            (8, 0, 0, 1),
            (8, 4, 0, 0),
            (8, 4, 2, 1),
            (8, 5, 0, 4),
            (usize::MAX, 4, 0, 1),
            (8, 4, usize::MAX, 1),
            (1 << 40, 1 << 39, 0, 1),
        ] {
            let found = PatchGrid::new([size; 3], [patch; 3], [halo; 3], [multiple; 3]);
            assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{size} {patch} {halo} {multiple}");
        }
    }

    #[test]
    fn what_lies_beyond_the_volume_is_mirrored() {
        let row = volume([3, 1, 1]);
        let [a, b, c] = [0.0, 7.0, 14.0];
        let patch = Patch { index: 0, first: [-3, 0, 0], size: [9, 1, 1], core_first: [0; 3], core_size: [3, 1, 1] };
        let mut out = [0.0; 9];
        gather(&row, &patch, &mut out).unwrap();
        assert_eq!(out, [b, c, b, a, b, c, b, a, b]);
        let far = Patch { first: [i64::MAX, i64::MIN, 5], size: [2, 2, 1], ..patch };
        gather(&row, &far, &mut out[..4]).unwrap();
        assert_eq!(out[0], out[2]);
        assert_eq!(gather(&row, &patch, &mut out[..8]), Err(Error::PatchLength { index: 0, expected: 9, found: 8 }));
    }

    #[test]
    fn a_refined_grid_joins_what_was_cut_on_the_coarse_one() {
        let source = volume([7, 5, 3]);
        let grid = PatchGrid::new([7, 5, 3], [4, 3, 1], [1, 1, 0], [1; 3]).unwrap();
        let fine = grid.refined([2, 3, 1]).unwrap();
        assert_eq!((fine.size(), fine.patch_size(), fine.halo()), ([14, 15, 3], [8, 9, 1], [2, 3, 0]));
        let mut blender = Blender::new(&fine, Blend::Constant);
        for patch in grid.patches() {
            let mut values = vec![0.0; patch.voxel_count()];
            gather(&source, patch, &mut values).unwrap();
            let [nx, ny, nz] = patch.size;
            let finer = Array3::from_shape_fn((nz, 3 * ny, 2 * nx), |(k, j, i)| values[(k * ny + j / 3) * nx + i / 2]);
            blender.add(&patch.refined([2, 3, 1]), finer.as_slice().unwrap()).unwrap();
        }
        let joined = blender.finish().unwrap();
        assert!(joined.indexed_iter().all(|((k, j, i), &value)| value == source.voxels()[[k, j / 3, i / 2]]));
        assert!(matches!(grid.refined([usize::MAX; 3]), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn cores_tile_every_volume_once() {
        for (size, patch, halo) in [([7, 5, 3], [4, 3, 1], [1, 1, 0]), ([9, 8, 6], [6, 6, 6], [1, 2, 2])] {
            let grid = PatchGrid::new(size, patch, halo, [1; 3]).unwrap();
            let mut covered = Array3::<u8>::zeros((size[2], size[1], size[0]));
            for patch in grid.patches() {
                for offset in 0..patch.core_size.iter().product::<usize>() {
                    let [cx, cy, _] = patch.core_size;
                    let [x, y, z] = patch.core_first;
                    covered[[z + offset / cx / cy, y + offset / cx % cy, x + offset % cx]] += 1;
                }
            }
            assert!(covered.iter().all(|&n| n == 1), "{size:?}");
        }
    }

    /// A 3x3x3 filter; a patch whose neighbours are missing takes 0 for them.
    fn filtered(values: &[f32], [nx, ny, nz]: [usize; 3]) -> Vec<f32> {
        let at = |i: i64, j: i64, k: i64| {
            let inside = (0..nx as i64).contains(&i) && (0..ny as i64).contains(&j) && (0..nz as i64).contains(&k);
            if inside { values[(k as usize * ny + j as usize) * nx + i as usize] } else { 0.0 }
        };
        let steps = || (0..27).map(|s| [s % 3 - 1, s / 3 % 3 - 1, s / 9 - 1]);
        (0..nx * ny * nz)
            .map(|v| [(v % nx) as i64, (v / nx % ny) as i64, (v / nx / ny) as i64])
            .map(|[i, j, k]| steps().enumerate().map(|(s, [x, y, z])| (s as f32 - 9.5) * at(i + x, j + y, k + z)).sum())
            .collect()
    }

    fn patchwise(source: &Volume, grid: &PatchGrid) -> Array3<f32> {
        let mut blender = Blender::new(grid, Blend::Constant);
        for patch in grid.patches() {
            let mut values = vec![0.0; patch.voxel_count()];
            gather(source, patch, &mut values).unwrap();
            // Two filters in a row: a receptive field of 2 voxels per side.
            blender.add(patch, &filtered(&filtered(&values, patch.size), patch.size)).unwrap();
        }
        blender.finish().unwrap()
    }

    #[test]
    fn a_halo_of_the_receptive_field_leaves_no_seam() {
        let source = volume([13, 11, 9]);
        let whole = |halo| PatchGrid::new([13, 11, 9], [usize::MAX; 3], [halo; 3], [1; 3]).unwrap();
        let expected = patchwise(&source, &whole(2));
        for patch in [[6, 7, 8], [5, 5, 5], [9, 13, 6]] {
            let grid = PatchGrid::new([13, 11, 9], patch, [2; 3], [1; 3]).unwrap();
            assert!(grid.patches().len() > 4);
            assert_eq!(patchwise(&source, &grid), expected);
        }
        let narrow = PatchGrid::new([13, 11, 9], [6; 3], [1; 3], [1; 3]).unwrap();
        assert_ne!(patchwise(&source, &narrow), expected);
    }
}

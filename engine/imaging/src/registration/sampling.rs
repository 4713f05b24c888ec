use crate::{Error, Mask, Volume};

/// Places of the fixed volume at which the two volumes are compared.
pub(super) struct Samples {
    /// World positions relative to the centre of motion, mm.
    pub(super) points: Vec<[f32; 3]>,
    /// The fixed volume there; finite.
    pub(super) values: Vec<f32>,
    /// The centre of motion, LPS mm.
    pub(super) center: [f64; 3],
    /// Volume of the region that the places stand for, mm³.
    pub(super) region_mm3: f64,
}

/// A voxel is compared at most so often.
const PER_VOXEL: usize = 8;

impl Samples {
    /// `count` places, at most [`PER_VOXEL`] for each voxel of the region; the voxels are split into as many equal
    /// stretches and one is drawn from each.
    pub(super) fn of(
        fixed: &Volume,
        mask: Option<&Mask>,
        center: [f64; 3],
        count: usize,
        seed: u64,
    ) -> Result<Self, Error> {
        let geometry = fixed.geometry();
        let size = geometry.size();
        let world = geometry.world_from_voxel();
        let inside = mask.map(Region::of);
        let voxel = |index: usize| [index % size[0], index / size[0] % size[1], index / (size[0] * size[1])];
        let allowed: Option<Vec<usize>> = inside.as_ref().map(|region| {
            let wanted = |index: &usize| region.holds(world.apply(voxel(*index).map(|i| i as f64)));
            (0..geometry.voxel_count()).filter(wanted).collect()
        });
        let voxels = allowed.as_ref().map_or(geometry.voxel_count(), Vec::len);
        if voxels == 0 {
            return Err(Error::EmptyMask { voxels: geometry.voxel_count() });
        }
        let count = count.min(voxels.saturating_mul(PER_VOXEL));
        let grid = Grid::of(fixed);
        let places = super::pieces(count, |range| {
            let mut found = Vec::with_capacity(range.len());
            for sample in range {
                let mut draw = Draw::new(seed, sample as u64);
                let stretch = (sample as f64 + draw.unit()) * voxels as f64 / count as f64;
                let position = (stretch as usize).min(voxels - 1);
                let [i, j, k] = voxel(allowed.as_ref().map_or(position, |list| list[position]));
                let place = [(i, 0), (j, 1), (k, 2)]
                    .map(|(index, a)| (index as f64 + draw.unit() - 0.5).clamp(0.0, (size[a] - 1) as f64));
                let Some((value, _)) = grid.at(place.map(|p| p as f32)).filter(|(value, _)| value.is_finite()) else {
                    continue;
                };
                let point = world.apply(place);
                found.push((std::array::from_fn(|a| (point[a] - center[a]) as f32), value));
            }
            found
        });
        let (points, values): (Vec<[f32; 3]>, Vec<f32>) = places.into_iter().flatten().unzip();
        let region_mm3 = voxels as f64 * geometry.voxel_volume_mm3();
        Ok(Self { points, values, center, region_mm3 })
    }
}

/// Voxels for linear interpolation between the outermost centres.
pub(super) struct Grid<'a> {
    voxels: &'a [f32],
    size: [usize; 3],
    last: [f32; 3],
}

impl<'a> Grid<'a> {
    pub(super) fn of(volume: &'a Volume) -> Self {
        let size = volume.geometry().size();
        Self { voxels: volume.as_slice(), size, last: size.map(|n| (n - 1) as f32) }
    }

    /// The value at a voxel position and its derivative along the voxel axes; `None` outside the grid. Half a voxel
    /// beyond the outermost centres still belongs to the grid and has the value of the edge.
    #[inline(always)]
    pub(super) fn at(&self, place: [f32; 3]) -> Option<(f32, [f32; 3])> {
        let mut first = [0usize; 3];
        let mut part = [0f32; 3];
        let mut step = [0usize; 3];
        let strides = [1, self.size[0], self.size[0] * self.size[1]];
        for a in 0..3 {
            if !(place[a] >= -0.5 && place[a] <= self.last[a] + 0.5) {
                return None;
            }
            let clamped = place[a].clamp(0.0, self.last[a]);
            let index = (clamped as usize).min(self.size[a].saturating_sub(2));
            (first[a], part[a]) = (index, clamped - index as f32);
            step[a] = if self.size[a] > 1 { strides[a] } else { 0 };
        }
        let start = first[0] + first[1] * strides[1] + first[2] * strides[2];
        let v = |x: usize, y: usize, z: usize| self.voxels[start + x * step[0] + y * step[1] + z * step[2]];
        let [u, t, s] = part;
        let along = |a: f32, b: f32, p: f32| a + (b - a) * p;
        let (v00, v10) = (along(v(0, 0, 0), v(1, 0, 0), u), along(v(0, 1, 0), v(1, 1, 0), u));
        let (v01, v11) = (along(v(0, 0, 1), v(1, 0, 1), u), along(v(0, 1, 1), v(1, 1, 1), u));
        let (v0, v1) = (along(v00, v10, t), along(v01, v11, t));
        let dx0 = along(v(1, 0, 0) - v(0, 0, 0), v(1, 1, 0) - v(0, 1, 0), t);
        let dx1 = along(v(1, 0, 1) - v(0, 0, 1), v(1, 1, 1) - v(0, 1, 1), t);
        Some((along(v0, v1, s), [along(dx0, dx1, s), along(v10 - v00, v11 - v01, s), v1 - v0]))
    }
}

impl Grid<'_> {
    /// How much a position inside the grid counts: 1, falling to 0 over the last voxel of each axis, so that nothing
    /// jumps when a place leaves the grid.
    #[inline(always)]
    pub(super) fn weight(&self, place: [f32; 3]) -> f32 {
        let along = |a: usize| {
            let distance = (place[a] + 0.5).min(self.last[a] + 0.5 - place[a]).max(0.0);
            // An axis of one voxel rises and falls within it.
            (if self.size[a] > 1 { distance } else { 2.0 * distance }).min(1.0)
        };
        along(0) * along(1) * along(2)
    }
}

/// A mask that is asked at world positions.
pub(super) struct Region<'a> {
    inside: &'a [bool],
    size: [usize; 3],
    voxel_from_world: crate::Affine3,
}

impl<'a> Region<'a> {
    pub(super) fn of(mask: &'a Mask) -> Self {
        Self {
            inside: mask.inside().to_slice().expect("a mask's voxels are contiguous by construction"),
            size: mask.geometry().size(),
            voxel_from_world: mask.geometry().voxel_from_world(),
        }
    }

    /// Whether the nearest voxel is inside.
    #[inline]
    pub(super) fn holds(&self, point: [f64; 3]) -> bool {
        let place = self.voxel_from_world.apply(point).map(|p| (p + 0.5).floor());
        if !(0..3).all(|a| place[a] >= 0.0 && place[a] < self.size[a] as f64) {
            return false;
        }
        let [i, j, k] = place.map(|p| p as usize);
        self.inside[(k * self.size[1] + j) * self.size[0] + i]
    }
}

/// Numbers that follow from a seed and a counter: the mixer of G. Steele et al., Fast splittable pseudorandom number
/// generators, OOPSLA 2014.
struct Draw(u64);

impl Draw {
    fn new(seed: u64, counter: u64) -> Self {
        Self(mixed(seed.wrapping_mul(0xD134_2543_DE82_EF95) ^ counter))
    }

    /// The next number, 0 to below 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        (mixed(self.0) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

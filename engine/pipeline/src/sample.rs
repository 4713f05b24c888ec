use isoscan_imaging::{Unit, Volume, body};

use crate::Error;

/// One subject of a training, its images in the plugin's frame, and where patches of it may lie: they are centred on the
/// body, with their first voxels 4 apart along x and y.
pub struct Subject {
    inputs: Vec<Image>,
    truth: Option<Image>,
    refine: [usize; 3],
    size: [usize; 3],
    firsts: Vec<[u32; 3]>,
}

struct Image {
    volume: Volume,
    /// Smallest and largest finite intensity.
    range: [f32; 2],
}

/// How patches are varied; every variation follows from the seed and the number of the patch alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Augmentation {
    /// Mirror half of the patches along x, y, z.
    pub flip: [bool; 3],
    /// Turn by a multiple of 90 degrees in the x, y plane; patches must be square.
    pub rotate: bool,
    /// Turn by up to 10 degrees and scale by 0.9 to 1.1 in the x, y plane, interpolated linearly.
    pub affine: bool,
    /// Gamma 0.75 to 1.33 and gain 0.9 to 1.1 over the range of each image; of paired training, the source only.
    pub intensity: bool,
    /// `intensity` also where numbers have a physical meaning: HU, SUV, optical density.
    pub any_unit: bool,
}

/// Patches per subject before the next one comes to its place, and subjects that are drawn from in turn.
const DWELL: u64 = 16;
const LANES: u64 = 8;
const STRIDE: usize = 4;

impl Subject {
    /// Finds where patches of `size` voxels along x, y, z may lie. All `inputs` have one grid; `truth` lies on it refined
    /// by `refine`.
    ///
    /// # Errors
    /// [`Error::NoPatch`] with `number` for a subject that is smaller than a patch or shows no body,
    /// [`Error::Imaging`] for images on different grids.
    pub fn new(
        number: usize,
        inputs: Vec<Volume>,
        truth: Option<Volume>,
        refine: [usize; 3],
        size: [usize; 3],
    ) -> Result<Self, Error> {
        let no_patch = |reason| Error::NoPatch { volume: number, size, reason };
        let Some(first) = inputs.first() else { return Err(no_patch("it has no image")) };
        let extent = first.geometry().size();
        if (0..3).any(|a| size[a] == 0 || size[a] > extent[a]) {
            return Err(no_patch("it is smaller"));
        }
        for input in &inputs {
            first.geometry().require_same(input.geometry(), 0.01)?;
        }
        if let Some(truth) = &truth {
            isoscan_imaging::refined(first.geometry(), refine)?.require_same(truth.geometry(), 0.01)?;
        }
        let mask = body(first)?;
        let inside = mask.inside();
        let mut firsts = Vec::new();
        for z in 0..=extent[2] - size[2] {
            for y in (0..=extent[1] - size[1]).step_by(STRIDE) {
                for x in (0..=extent[0] - size[0]).step_by(STRIDE) {
                    if inside[[z + size[2] / 2, y + size[1] / 2, x + size[0] / 2]] {
                        firsts.push([x, y, z].map(|at| at as u32));
                    }
                }
            }
        }
        if firsts.is_empty() {
            return Err(no_patch("no patch centred on the body lies inside"));
        }
        let (inputs, truth) = (inputs.into_iter().map(Image::new).collect(), truth.map(Image::new));
        Ok(Self { inputs, truth, refine, size, firsts })
    }

    /// Memory that the subject takes, bytes.
    pub fn bytes(&self) -> u64 {
        let voxels = |image: &Image| 4 * image.volume.geometry().voxel_count() as u64;
        self.inputs.iter().chain(&self.truth).map(voxels).sum::<u64>() + 12 * self.firsts.len() as u64
    }

    /// Spacing of the inputs, mm.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.inputs.first().map_or([0.0; 3], |image| image.volume.geometry().spacing_mm())
    }

    /// Writes patch number `index` into `source`, one channel per input, x fastest, and the truth of the same place under
    /// the same variation into `truth`, which is left as it is where the subject has none.
    pub fn draw(&self, seed: u64, index: u64, vary: &Augmentation, source: &mut [f32], truth: Option<&mut [f32]>) {
        let mut random = Counter::new(seed, index);
        let first = self.firsts[random.below(self.firsts.len())].map(|at| at as usize);
        let warp = Warp::draw(&mut random, vary, self.size);
        let voxels = source.len() / self.inputs.len().max(1);
        for (image, out) in self.inputs.iter().zip(source.chunks_exact_mut(voxels.max(1))) {
            warp.fill(&image.volume, first, self.size, out);
            if vary.changes(image.volume.unit()) {
                image.vary_intensity(warp.gamma, warp.gain, out);
            }
        }
        if let (Some(image), Some(out)) = (&self.truth, truth) {
            let times = |voxels: [usize; 3]| std::array::from_fn(|a| voxels[a] * self.refine[a]);
            warp.fill(&image.volume, times(first), times(self.size), out);
        }
    }
}

impl Image {
    fn new(volume: Volume) -> Self {
        let finite = volume.as_slice().iter().copied().filter(|v| v.is_finite());
        let range = finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| [low.min(v), high.max(v)]);
        Self { volume, range }
    }

    /// `low + gain (high - low) ((v - low) / (high - low))^gamma`
    fn vary_intensity(&self, gamma: f64, gain: f64, patch: &mut [f32]) {
        let [low, high] = self.range.map(f64::from);
        let width = high - low;
        if width > 0.0 {
            let varied = |v: f32| low + gain * width * ((f64::from(v) - low) / width).clamp(0.0, 1.0).powf(gamma);
            patch.iter_mut().for_each(|v| *v = varied(*v) as f32);
        }
    }
}

impl Augmentation {
    fn changes(&self, unit: Unit) -> bool {
        let is_free = matches!(unit, Unit::Arbitrary | Unit::Normalized);
        self.intensity && (is_free || self.any_unit)
    }
}

/// The subject that patch number `index` comes from, of `subjects`. Every subject has its turn before one comes again, and
/// few are drawn from at the same time, so that the others need not be in memory.
pub fn subject_of(subjects: usize, seed: u64, index: u64) -> usize {
    if subjects < 2 {
        return 0;
    }
    let turn = index / LANES / DWELL * LANES + index % LANES;
    let mut order: Vec<usize> = (0..subjects).collect();
    let mut random = Counter::new(seed ^ 0x5ca1_ab1e, turn / subjects as u64);
    for last in (1..subjects).rev() {
        order.swap(last, random.below(last + 1));
    }
    order[(turn % subjects as u64) as usize]
}

/// The variation of one patch.
struct Warp {
    flip: [bool; 3],
    turns: usize,
    /// Turn in radians and scale.
    affine: Option<[f64; 2]>,
    gamma: f64,
    gain: f64,
}

impl Warp {
    fn draw(random: &mut Counter, vary: &Augmentation, size: [usize; 3]) -> Self {
        let mut even = |low: f64, high: f64| low + (high - low) * random.below(1 << 30) as f64 / (1u64 << 30) as f64;
        let affine = [even(-1.0, 1.0) * 10_f64.to_radians(), even(0.9, 1.1)];
        let (gamma, gain) = (even(-1.0, 1.0) * 0.75_f64.ln().abs(), even(0.9, 1.1));
        Self {
            flip: vary.flip.map(|flips| random.below(2) == 1 && flips),
            turns: if vary.rotate && size[0] == size[1] { random.below(4) } else { 0 },
            affine: vary.affine.then_some(affine),
            gamma: gamma.exp(),
            gain,
        }
    }

    /// The box of `size` voxels from `first` on, varied.
    fn fill(&self, volume: &Volume, first: [usize; 3], size: [usize; 3], out: &mut [f32]) {
        let [nx, ny, _] = size;
        let turns = if nx == ny { self.turns } else { 0 };
        let voxels = volume.voxels();
        let mirrored = |flips: bool, at: usize, n: usize| if flips { n - 1 - at } else { at };
        for (index, value) in out.iter_mut().enumerate() {
            let (i, j, k) = (index % nx, index / nx % ny, index / (nx * ny));
            let [x, y] = match turns {
                0 => [i, j],
                1 => [j, nx - 1 - i],
                2 => [nx - 1 - i, nx - 1 - j],
                _ => [nx - 1 - j, i],
            };
            let at = [(x, nx), (y, ny), (k, size[2])];
            let [x, y, z] = [0, 1, 2].map(|a| first[a] + mirrored(self.flip[a], at[a].0, at[a].1));
            *value = match self.affine {
                None => voxels[[z, y, x]],
                Some(affine) => {
                    let centre = [0, 1].map(|a| first[a] as f64 + (size[a] - 1) as f64 / 2.0);
                    in_plane(volume, affine, centre, [x, y], z)
                }
            };
        }
    }
}

/// The value where `place` of slice `z` comes from when the slice is turned and scaled about `centre`; linear, the edge
/// beyond the slice.
fn in_plane(volume: &Volume, [angle_rad, scale]: [f64; 2], centre: [f64; 2], place: [usize; 2], z: usize) -> f32 {
    let [sx, sy, _] = volume.geometry().spacing_mm();
    let [dx_mm, dy_mm] = [(place[0] as f64 - centre[0]) * sx, (place[1] as f64 - centre[1]) * sy];
    let (sin, cos) = angle_rad.sin_cos();
    let turned = [scale * (cos * dx_mm - sin * dy_mm) / sx, scale * (sin * dx_mm + cos * dy_mm) / sy];
    let voxels = volume.voxels();
    let size = volume.geometry().size();
    let [(x, u), (y, v)] = [0, 1].map(|a| {
        let at = (centre[a] + turned[a]).clamp(0.0, (size[a] - 1) as f64);
        let below = (at.floor() as usize).min(size[a].saturating_sub(2));
        (below, at - below as f64)
    });
    let value = |y: usize, x: usize| f64::from(voxels[[z, y.min(size[1] - 1), x.min(size[0] - 1)]]);
    let row = |y: usize| (1.0 - u) * value(y, x) + u * value(y, x + 1);
    ((1.0 - v) * row(y) + v * row(y + 1)) as f32
}

/// Random numbers by counter: SplitMix64's output function (Steele, Lea and Flood 2014) over a key and a count.
struct Counter {
    key: u64,
    count: u64,
}

impl Counter {
    /// The numbers of patch `index`; 64 belong to it alone.
    fn new(seed: u64, index: u64) -> Self {
        Self { key: seed, count: index.wrapping_mul(64) }
    }

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
    use isoscan_imaging::{Geometry, Modality};
    use ndarray::Array3;

    use super::*;

    const PLAIN: Augmentation =
        Augmentation { flip: [false; 3], rotate: false, affine: false, intensity: false, any_unit: false };

    fn ramp(size: [usize; 3], spacing_mm: [f64; 3], unit: Unit) -> Volume {
        let geometry = Geometry::axis_aligned(size, spacing_mm).unwrap();
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(z, y, x)| (z * 1000 + y * 30 + x) as f32);
        let modality = if unit == Unit::Hounsfield { Modality::Ct } else { Modality::Mr };
        Volume::new(voxels, geometry, modality, unit).unwrap()
    }

    fn subject(size: [usize; 3]) -> Subject {
        Subject::new(0, vec![ramp([24, 20, 3], [1.0; 3], Unit::Hounsfield)], None, [1; 3], size).unwrap()
    }

    fn drawn(subject: &Subject, index: u64, vary: &Augmentation) -> Vec<f32> {
        let mut out = vec![0.0; subject.size.iter().product::<usize>() * subject.inputs.len()];
        subject.draw(3, index, vary, &mut out, None);
        out
    }

    #[test]
    fn every_patch_depends_on_its_number_alone() {
        let subject = subject([8, 8, 1]);
        let all = Augmentation { flip: [true; 3], rotate: true, affine: true, intensity: true, any_unit: true };
        for vary in [PLAIN, all] {
            let first: Vec<Vec<f32>> = (0..20).map(|index| drawn(&subject, index, &vary)).collect();
            let again: Vec<Vec<f32>> = (0..20).rev().map(|index| drawn(&subject, index, &vary)).collect();
            assert!(first.iter().eq(again.iter().rev()));
            assert!(first.iter().any(|patch| patch != &first[0]));
        }
    }

    #[test]
    fn flips_and_turns_move_voxels_without_changing_one() {
        let subject = subject([8, 8, 2]);
        let sorted = |mut patch: Vec<f32>| {
            patch.sort_by(f32::total_cmp);
            patch
        };
        let vary = Augmentation { flip: [true; 3], rotate: true, ..PLAIN };
        let pairs: Vec<_> = (0..40).map(|n| (drawn(&subject, n, &PLAIN), drawn(&subject, n, &vary))).collect();
        assert!(pairs.iter().all(|(plain, varied)| sorted(plain.clone()) == sorted(varied.clone())));
        let moved = pairs.iter().filter(|(plain, varied)| plain != varied).count();
        assert!((30..40).contains(&moved), "{moved}");
    }

    #[test]
    fn the_truth_is_drawn_from_the_same_place_under_the_same_variation() {
        let coarse = ramp([24, 20, 3], [2.0, 2.0, 3.0], Unit::Hounsfield);
        let grid = isoscan_imaging::refined(coarse.geometry(), [2, 2, 1]).unwrap();
        let fine = Array3::from_shape_fn((3, 40, 48), |(z, y, x)| coarse.voxels()[[z, y / 2, x / 2]]);
        let fine = Volume::new(fine, grid, Modality::Ct, Unit::Hounsfield).unwrap();
        let subject = Subject::new(0, vec![coarse.clone(), coarse], Some(fine), [2, 2, 1], [6, 6, 2]).unwrap();
        let vary = Augmentation { flip: [true; 3], rotate: true, ..PLAIN };
        for index in 0..30 {
            let (mut source, mut truth) = (vec![0.0; 2 * 72], vec![0.0; 4 * 72]);
            subject.draw(1, index, &vary, &mut source, Some(&mut truth));
            assert_eq!(source[..72], source[72..]);
            for (at, &value) in truth.iter().enumerate() {
                let (x, y, z) = (at % 12, at / 12 % 12, at / 144);
                assert_eq!(value, source[(z * 6 + y / 2) * 6 + x / 2], "{index}");
            }
        }
    }

    #[test]
    fn an_affine_variation_of_a_plane_is_a_plane() {
        // A turn and a scale take a linear function to a linear one: second differences vanish.
        let volume = ramp([64, 64, 1], [1.0; 3], Unit::Arbitrary);
        let subject = Subject::new(0, vec![volume], None, [1; 3], [16, 16, 1]);
        let subject = Subject { firsts: vec![[24, 24, 0]], ..subject.unwrap() };
        for index in 0..20 {
            let patch = drawn(&subject, index, &Augmentation { affine: true, ..PLAIN });
            for row in patch.chunks(16) {
                assert!(row.windows(3).all(|w| (w[0] - 2.0 * w[1] + w[2]).abs() < 1e-2), "{row:?}");
            }
            let slope = f64::from(patch[1] - patch[0]).hypot(f64::from(patch[16] - patch[0]));
            assert!((0.89..1.11).contains(&(slope / 30f64.hypot(1.0))), "{slope}");
        }
    }

    #[test]
    fn intensities_with_a_physical_meaning_are_not_varied_unless_asked() {
        for (unit, any_unit, varies) in [
            (Unit::Arbitrary, false, true),
            (Unit::Normalized, false, true),
            (Unit::Hounsfield, false, false),
            (Unit::Suv, false, false),
            (Unit::Hounsfield, true, true),
        ] {
            let subject = Subject::new(0, vec![ramp([24, 20, 3], [1.0; 3], unit)], None, [1; 3], [8, 8, 1]).unwrap();
            let vary = Augmentation { intensity: true, any_unit, ..PLAIN };
            let changed = (0..5).any(|n| drawn(&subject, n, &vary) != drawn(&subject, n, &PLAIN));
            assert_eq!(changed, varies, "{unit} {any_unit}");
        }
    }

    #[test]
    fn every_subject_has_its_turn_and_few_at_a_time() {
        let turns: Vec<usize> = (0..LANES * DWELL * 20).map(|n| subject_of(32, 7, n)).collect();
        // 20 rounds of 8 lanes with 16 patches each: 160 turns of 32 subjects, 5 each.
        let mut counts = [0; 32];
        turns.iter().for_each(|&subject| counts[subject] += 1);
        assert_eq!(counts, [5 * 16; 32]);
        let distinct = |window: &[usize]| window.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert!(turns.chunks(128).all(|round| distinct(round) <= 8));
        assert!((0..9).all(|n| subject_of(1, 7, n) == 0));
    }

    #[test]
    fn a_subject_smaller_than_a_patch_or_on_two_grids_is_refused() {
        let volume = |size| ramp(size, [1.0; 3], Unit::Arbitrary);
        let refused = |inputs, truth, size| Subject::new(7, inputs, truth, [1; 3], size).err();
        let small = refused(vec![volume([8, 8, 2])], None, [8, 8, 3]);
        assert!(matches!(small, Some(Error::NoPatch { volume: 7, .. })), "{small:?}");
        let whole = Subject::new(7, vec![volume([9, 8, 2])], None, [1; 3], [9, 8, 2]).unwrap();
        assert_eq!(whole.firsts, [[0, 0, 0]]);
        let other = refused(vec![volume([8, 8, 2]), volume([8, 9, 2])], None, [4, 4, 1]);
        assert!(matches!(other, Some(Error::Imaging(_))), "{other:?}");
        let truth = refused(vec![volume([8, 8, 2])], Some(volume([9, 8, 2])), [4, 4, 1]);
        assert!(matches!(truth, Some(Error::Imaging(_))), "{truth:?}");
    }
}

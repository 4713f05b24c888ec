mod gaussian;
#[cfg(test)]
mod simple_itk;
mod windowed_sinc;

use isoscan_imaging::{Affine3, Geometry, Volume};

use crate::settings::Interpolator;

/// Voxels around the sampled box that still change a B-spline coefficient: the pole's 32nd power is below 1e-18.
pub(crate) const SPLINE_REACH: i64 = 32;

/// Pole of the cubic B-spline's inverse filter, √3 - 2.
pub(crate) const POLE: f64 = -0.267_949_192_431_122_8;

/// Voxels that ITK sums for the first coefficient of a longer line: the pole's 18th power is below 1e-10.
const HORIZON: usize = 18;

/// Values of an image at positions between its voxels, computed in f64.
///
/// [`isoscan_imaging::resample`] is not used: it rounds to f32 and filters against aliasing, while PyRadiomics does
/// neither.
pub(crate) struct Sampler {
    method: Interpolator,
    /// Box of voxels kept: first voxel and size.
    first: [i64; 3],
    size: [usize; 3],
    /// Size of the whole image, at whose borders the samples mirror or go on.
    image_size: [usize; 3],
    spacing_mm: [f64; 3],
    /// Intensities, or B-spline coefficients, of the box, x fastest.
    values: Vec<f64>,
    /// Whether all values are numbers.
    is_finite: bool,
}

impl Sampler {
    /// A sampler for the box of continuous indices `low..=high` of `volume`, whose voxels `intensity` maps first.
    pub(crate) fn new(
        volume: &Volume,
        method: Interpolator,
        low: [f64; 3],
        high: [f64; 3],
        intensity: impl Fn(f32) -> f64,
    ) -> Self {
        let image_size = volume.geometry().size();
        let margin = match method {
            Interpolator::BSpline => SPLINE_REACH,
            Interpolator::WindowedSinc(_) => windowed_sinc::RADIUS as i64,
            Interpolator::Gaussian | Interpolator::LabelGaussian => gaussian::REACH,
            Interpolator::Nearest | Interpolator::Linear => 2,
        };
        let mut first = [0; 3];
        let mut size = [1; 3];
        for axis in 0..3 {
            let last = image_size[axis] as i64 - 1;
            first[axis] = (low[axis].floor() as i64 - margin).clamp(0, last);
            let end = (high[axis].ceil() as i64 + margin).clamp(0, last);
            size[axis] = (end - first[axis] + 1) as usize;
        }
        let voxels = volume.as_slice();
        let mut values = Vec::with_capacity(size.iter().product());
        for z in 0..size[2] {
            for y in 0..size[1] {
                let start = ((first[2] as usize + z) * image_size[1] + first[1] as usize + y) * image_size[0]
                    + first[0] as usize;
                values.extend(voxels[start..start + size[0]].iter().map(|&v| intensity(v)));
            }
        }
        if method == Interpolator::BSpline {
            to_coefficients(&mut values, size);
        }
        let is_finite = values.iter().all(|value| value.is_finite());
        Self { method, first, size, image_size, spacing_mm: volume.geometry().spacing_mm(), values, is_finite }
    }

    /// The value at a continuous voxel index; 0 more than half a voxel outside the image.
    pub(crate) fn at(&self, index: [f64; 3]) -> f64 {
        if !is_inside(index, self.image_size) {
            return 0.0;
        }
        match self.method {
            Interpolator::Nearest => self.value(index.map(|x| (x + 0.5).floor() as i64)),
            Interpolator::Linear => self.linear(index),
            Interpolator::BSpline => self.spline(index),
            Interpolator::Gaussian => gaussian::mean(self, index),
            Interpolator::LabelGaussian => gaussian::most_frequent(self, index),
            Interpolator::WindowedSinc(window) => windowed_sinc::value(self, index, window),
        }
    }

    /// Place in the box of voxel `index` of an axis, or of the image's nearest to it.
    fn clamped(&self, axis: usize, index: i64) -> usize {
        let inside = index.clamp(0, self.image_size[axis] as i64 - 1);
        (inside - self.first[axis]).clamp(0, self.size[axis] as i64 - 1) as usize
    }

    fn value(&self, index: [i64; 3]) -> f64 {
        let [i, j, k]: [usize; 3] = std::array::from_fn(|a| {
            let mirrored = mirror(index[a], self.image_size[a] as i64);
            (mirrored - self.first[a]).clamp(0, self.size[a] as i64 - 1) as usize
        });
        self.values[(k * self.size[1] + j) * self.size[0] + i]
    }

    fn linear(&self, index: [f64; 3]) -> f64 {
        let index: [f64; 3] = std::array::from_fn(|a| index[a].clamp(0.0, self.image_size[a] as f64 - 1.0));
        let base = index.map(f64::floor);
        let share: [f64; 3] = std::array::from_fn(|a| index[a] - base[a]);
        let at = |corner: usize| {
            let offset = |a: usize| (corner >> a & 1) as i64;
            self.value(std::array::from_fn(|a| {
                let last = self.image_size[a] as i64 - 1;
                (base[a] as i64 + offset(a)).min(last)
            }))
        };
        let along = |share: f64, a: f64, b: f64| a + (b - a) * share;
        let along_x = |corner: usize| along(share[0], at(corner), at(corner + 1));
        let along_y = |corner: usize| along(share[1], along_x(corner), along_x(corner + 2));
        along(share[2], along_y(0), along_y(4))
    }

    fn spline(&self, index: [f64; 3]) -> f64 {
        let base = index.map(|x| x.floor() as i64 - 1);
        let weights: [[f64; 4]; 3] = std::array::from_fn(|a| spline_weights(index[a] - (base[a] + 1) as f64));
        let mut sum = 0.0;
        for (k, wz) in weights[2].iter().enumerate() {
            for (j, wy) in weights[1].iter().enumerate() {
                for (i, wx) in weights[0].iter().enumerate() {
                    sum += wx * wy * wz * self.value([base[0] + i as i64, base[1] + j as i64, base[2] + k as i64]);
                }
            }
        }
        sum
    }
}

/// Map from voxels of one grid to continuous voxel indices of another, rounding as ITK does.
///
/// Positions that should fall half way between voxels, or on one, come out a rounding error beside it; nearest neighbour
/// and truncation turn that into another voxel or another number. So positions go through patient space, and those of
/// a row are interpolated between the row's first voxel and the one after its last.
pub(crate) struct GridMap {
    from: Affine3,
    row_length: f64,
    to_origin_mm: [f64; 3],
    to_from_mm: [[f64; 3]; 3],
}

impl GridMap {
    pub(crate) fn new(from: &Geometry, to: &Geometry) -> Self {
        let (direction, spacing_mm) = (to.direction(), to.spacing_mm());
        let dot = |a: [f64; 3], b: [f64; 3]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let oblique = |a: usize, b: usize| dot(direction[a], direction[b]).abs() > 1e-12;
        let sheared = oblique(0, 1) || oblique(1, 2) || oblique(2, 0);
        let to_from_mm = if sheared {
            to.voxel_from_world().matrix
        } else if direction.iter().all(|axis| axis.iter().filter(|component| **component != 0.0).count() == 1) {
            // A cosine read from a file may be 1 but for its last digit.
            let inverse = |a: usize, c: f64| if c == 0.0 { 0.0 } else { 1.0 / (c * spacing_mm[a]) };
            std::array::from_fn(|a| direction[a].map(|component| inverse(a, component)))
        } else {
            std::array::from_fn(|a| direction[a].map(|component| component / spacing_mm[a]))
        };
        Self {
            from: from.world_from_voxel(),
            row_length: from.size()[0] as f64,
            to_origin_mm: to.origin_mm(),
            to_from_mm,
        }
    }

    /// The continuous index that corresponds to a voxel.
    pub(crate) fn voxel(&self, [x, y, z]: [usize; 3]) -> [f64; 3] {
        let start = self.point([0.0, y as f64, z as f64]);
        let end = self.point([self.row_length, y as f64, z as f64]);
        let share = x as f64 / self.row_length;
        std::array::from_fn(|a| start[a] + share * (end[a] - start[a]))
    }

    /// The continuous index that corresponds to another.
    pub(crate) fn point(&self, index: [f64; 3]) -> [f64; 3] {
        let world = self.from.apply(index);
        let offset: [f64; 3] = std::array::from_fn(|r| world[r] - self.to_origin_mm[r]);
        self.to_from_mm.map(|row| row.iter().zip(offset).map(|(m, o)| m * o).sum())
    }
}

/// Whether a continuous index lies in the image, whose voxels reach half a voxel around their centres.
pub(crate) fn is_inside(index: [f64; 3], size: [usize; 3]) -> bool {
    (0..3).all(|a| index[a] >= -0.5 && index[a] < size[a] as f64 - 0.5)
}

/// Index inside `0..n` after reflection at the first and last voxel.
pub(crate) fn mirror(index: i64, n: i64) -> i64 {
    if n == 1 {
        return 0;
    }
    let folded = index.rem_euclid(2 * (n - 1));
    folded.min(2 * (n - 1) - folded)
}

/// Cubic B-spline weights of the voxels at -1, 0, 1, 2 for a position `w` in 0..1.
pub(crate) fn spline_weights(w: f64) -> [f64; 4] {
    let fourth = w * w * w / 6.0;
    let first = 1.0 / 6.0 + 0.5 * w * (w - 1.0) - fourth;
    let third = w + first - 2.0 * fourth;
    [first, 1.0 - first - third - fourth, third, fourth]
}

/// Replaces intensities by cubic B-spline coefficients, axis by axis (Unser 1999), mirrored at the box.
fn to_coefficients(values: &mut [f64], size: [usize; 3]) {
    (0..3).for_each(|axis| filter_axis(values, size, axis));
}

/// Inverse filter of the cubic B-spline along one axis.
pub(crate) fn filter_axis(values: &mut [f64], size: [usize; 3], axis: usize) {
    if size[axis] == 1 {
        return;
    }
    let strides = [1, size[0], size[0] * size[1]];
    let mut line = vec![0.0; size[axis]];
    let (u, v) = ((axis + 1) % 3, (axis + 2) % 3);
    for b in 0..size[v] {
        for a in 0..size[u] {
            let start = a * strides[u] + b * strides[v];
            for (k, value) in line.iter_mut().enumerate() {
                *value = values[start + k * strides[axis]];
            }
            filter_line(&mut line);
            for (k, value) in line.iter().enumerate() {
                values[start + k * strides[axis]] = *value;
            }
        }
    }
}

/// In the order of ITK's sums, with its first coefficient: beyond [`HORIZON`] the pole's powers are left out.
fn filter_line(line: &mut [f64]) {
    let n = line.len();
    let gain = (1.0 - POLE) * (1.0 - 1.0 / POLE);
    line.iter_mut().for_each(|c| *c *= gain);
    let mut power = POLE;
    let mut sum = line[0];
    if HORIZON < n {
        for c in &line[1..HORIZON] {
            sum += power * c;
            power *= POLE;
        }
        line[0] = sum;
    } else {
        let mut from_end = POLE.powi(n as i32 - 1);
        sum += from_end * line[n - 1];
        from_end *= from_end / POLE;
        for c in &line[1..n - 1] {
            sum += (power + from_end) * c;
            power *= POLE;
            from_end /= POLE;
        }
        line[0] = sum / (1.0 - power * power);
    }
    for k in 1..n {
        line[k] += POLE * line[k - 1];
    }
    line[n - 1] = POLE / (POLE * POLE - 1.0) * (POLE * line[n - 2] + line[n - 1]);
    for k in (0..n - 1).rev() {
        line[k] = POLE * (line[k + 1] - line[k]);
    }
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Modality, Unit};
    use ndarray::Array3;

    use super::*;

    fn ramp() -> Volume {
        let geometry = Geometry::axis_aligned([60, 5, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((1, 5, 60), |(_, y, x)| (x * x + 7 * y) as f32);
        Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
    }

    #[test]
    fn every_method_returns_the_voxels_at_their_centres() {
        let volume = ramp();
        for method in [Interpolator::Nearest, Interpolator::Linear, Interpolator::BSpline] {
            let sampler = Sampler::new(&volume, method, [0.0; 3], [59.0, 4.0, 0.0], f64::from);
            for (x, y) in [(0, 0), (1, 4), (59, 2), (30, 3)] {
                let found = sampler.at([x as f64, y as f64, 0.0]);
                assert!((found - (x * x + 7 * y) as f64).abs() < 1e-6, "{method:?} {x} {y}: {found}");
            }
        }
    }

    /// A cubic B-spline reproduces x² inside: 20.5² = 420.25; linear gives (400 + 441)/2.
    #[test]
    fn half_way_between_squares() {
        let volume = ramp();
        let rows = [(Interpolator::Nearest, 441.0), (Interpolator::Linear, 420.5), (Interpolator::BSpline, 420.25)];
        for (method, expected) in rows {
            let found =
                Sampler::new(&volume, method, [20.0, 0.0, 0.0], [21.0, 0.0, 0.0], f64::from).at([20.5, 0.0, 0.0]);
            assert!((found - expected).abs() < 1e-6, "{method:?}: {found}");
        }
    }

    /// Slice 7 of 2 mm from 4.05 mm lies at 18.05 mm, half way between slices 9 and 10 of 1.9 mm. ITK takes 10, also when
    /// the cosine read from an NRRD file is 1 less its last digit.
    #[test]
    fn a_cosine_beside_one_leaves_half_way_half_way() {
        let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0 - f64::EPSILON / 2.0]];
        let fine = Geometry::new([3, 3, 15], [1.0, 1.0, 1.9], [0.0; 3], axes).unwrap();
        let coarse = Geometry::new([3, 3, 9], [1.0, 1.0, 2.0], [0.0, 0.0, 4.049_999_999_999_999], axes).unwrap();
        assert_eq!(GridMap::new(&coarse, &fine).voxel([0, 0, 7])[2], 9.5);
    }

    #[test]
    fn outside_the_image_there_is_nothing() {
        let sampler = Sampler::new(&ramp(), Interpolator::Linear, [0.0; 3], [59.0, 4.0, 0.0], f64::from);
        assert_eq!(sampler.at([-0.51, 0.0, 0.0]), 0.0);
        assert_eq!(sampler.at([59.5, 0.0, 0.0]), 0.0);
        assert_eq!(sampler.at([59.4, 0.0, 0.0]), 3481.0);
    }

    #[test]
    fn indices_reflect_at_both_borders() {
        for (index, n, expected) in [(-1, 4, 1), (-3, 4, 3), (4, 4, 2), (5, 4, 1), (3, 4, 3), (-2, 1, 0)] {
            assert_eq!(mirror(index, n), expected);
        }
    }
}

use ndarray::Array3;
use rayon::prelude::*;

use crate::lines::Edge;
use crate::{Error, Volume};

/// How [`non_local_means`] compares and averages.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NonLocalMeans {
    /// Voxels that a patch reaches to each side; usually 1.
    pub patch_radius: usize,
    /// Voxels that the search reaches to each side; usually 3 to 5.
    pub search_radius: usize,
    /// Standard deviation of the noise, in intensities; see [`noise_sigma`].
    pub sigma: f64,
    /// Strength: patches whose mean squared difference exceeds that of noise alone by `(strength sigma)²` weigh 1/e.
    pub strength: f64,
    /// Whether intensities are magnitudes of complex noise (MR): squares are averaged and `2 sigma²` is taken off.
    pub rician: bool,
}

/// Each voxel becomes the mean of the voxels around whose patches look like its own.
///
/// ```text
/// out(p) = Σ_q w f(q) / Σ_q w,   w = exp(-max(d²(p,q) - 2 sigma², 0) / (strength sigma)²), 0 below e⁻⁵
/// ```
/// with `d²` the mean squared difference of the two patches and `q` within the search box; the grid is mirrored about its
/// edge voxels. With `rician`, `out = √max(Σ w f² / Σ w - 2 sigma², 0)`. An axis of one voxel has neither patch nor
/// search. A. Buades et al., CVPR 2005; P. Coupé et al., IEEE TMI 27 (2008) 425-441; N. Wiest-Daesslé et al., MICCAI
/// 2008. Differences of patches are f32, sums f64.
///
/// # Errors
/// [`Error::InvalidArgument`] for a sigma or strength that is not positive and finite, a radius above 20, a volume with
/// a voxel that is no number.
pub fn non_local_means(volume: &Volume, settings: NonLocalMeans) -> Result<Volume, Error> {
    require_sound(volume, settings)?;
    let frame = Frame::of(volume, settings);
    let [nx, ny, nz] = frame.size;
    let mut voxels = vec![0.0; nx * ny * nz];
    voxels.par_chunks_mut(nx * ROWS).enumerate().for_each_init(Scratch::default, |scratch, (task, out)| {
        for (offset, out) in out.chunks_exact_mut(nx).enumerate() {
            let row = task * ROWS + offset;
            frame.row([row % ny, row / ny], settings, scratch, out);
        }
    });
    volume.with_voxels(Array3::from_shape_vec((nz, ny, nx), voxels).expect("one value per voxel"))
}

/// The standard deviation of the noise, from what each voxel differs from the mean of its 6 neighbours.
///
/// ```text
/// e = √(6/7) (f - mean of the 6 neighbours),   sigma = 1.4826 median |e - median e|
/// ```
/// over the voxels that have all their neighbours (along the axes of more than two voxels; `√(n/(n+1))` for `n` of
/// them). P. Coupé et al., Medical Image Analysis 14 (2010) 483-493, from T. Gasser et al., Biometrika 73 (1986).
///
/// # Errors
/// [`Error::EmptyMask`] when no voxel has all its neighbours and is a number.
pub fn noise_sigma(volume: &Volume) -> Result<f64, Error> {
    let [nx, ny, nz] = volume.geometry().size();
    let strides = [(nx, 1), (ny, nx), (nz, nx * ny)].map(|(n, stride)| (n > 2).then_some(stride));
    let steps: Vec<usize> = strides.into_iter().flatten().collect();
    let source = volume.as_slice();
    let count = 2.0 * steps.len() as f64;
    let scale = (count / (count + 1.0)).sqrt();
    let within = |index: usize, size: usize| size <= 2 || (index > 0 && index < size - 1);
    let residual = |index: usize| {
        let place = [index % nx, index / nx % ny, index / (nx * ny)];
        if steps.is_empty() || !(0..3).all(|a| within(place[a], [nx, ny, nz][a])) {
            return None;
        }
        let around: f64 = steps.iter().map(|s| f64::from(source[index - s]) + f64::from(source[index + s])).sum();
        Some((scale * (f64::from(source[index]) - around / count)) as f32).filter(|e| e.is_finite())
    };
    let mut residuals: Vec<f32> = (0..source.len()).into_par_iter().filter_map(residual).collect();
    let middle = residuals.len() / 2;
    if residuals.is_empty() {
        return Err(Error::EmptyMask { voxels: source.len() });
    }
    let centre = *residuals.select_nth_unstable_by(middle, f32::total_cmp).1;
    residuals.iter_mut().for_each(|e| *e = (*e - centre).abs());
    Ok(1.4826 * f64::from(*residuals.select_nth_unstable_by(middle, f32::total_cmp).1))
}

fn require_sound(volume: &Volume, settings: NonLocalMeans) -> Result<(), Error> {
    let refuse = |name, expected, found: String| Err(Error::InvalidArgument { name, expected, found });
    let NonLocalMeans { patch_radius, search_radius, sigma, strength, .. } = settings;
    if patch_radius.max(search_radius) > 20 {
        return refuse("radius", "at most 20 voxels", format!("patch {patch_radius}, search {search_radius}"));
    }
    if !(sigma * strength > 0.0 && sigma > 0.0 && (sigma * strength).is_finite()) {
        return refuse("sigma and strength", "positive and finite", format!("{sigma} and {strength}"));
    }
    if volume.as_slice().par_iter().any(|v| !v.is_finite()) {
        return refuse("volume", "finite everywhere", "a voxel that is no number".to_owned());
    }
    Ok(())
}

/// Rows of the result that one task finishes.
const ROWS: usize = 4;

/// The volume with a mirrored margin as wide as search and patch reach.
struct Frame {
    values: Vec<f32>,
    size: [usize; 3],
    wide: [usize; 3],
    patch: [usize; 3],
    search: [usize; 3],
}

#[derive(Default)]
struct Scratch {
    columns: Vec<f32>,
    means: Vec<(f64, f64)>,
}

impl Frame {
    fn of(volume: &Volume, settings: NonLocalMeans) -> Self {
        let size = volume.geometry().size();
        let radius = |r: usize| size.map(|n| if n == 1 { 0 } else { r });
        let (patch, search) = (radius(settings.patch_radius), radius(settings.search_radius));
        let margin: [usize; 3] = std::array::from_fn(|a| patch[a] + search[a]);
        let wide: [usize; 3] = std::array::from_fn(|a| size[a] + 2 * margin[a]);
        let source = volume.as_slice();
        let place = |a: usize, index: usize| Edge::Mirror.place(index as i64 - margin[a] as i64, size[a]);
        let mut values = vec![0.0; wide.iter().product()];
        values.par_chunks_mut(wide[0]).enumerate().for_each(|(row, out)| {
            let (y, z) = (place(1, row % wide[1]), place(2, row / wide[1]));
            let line = &source[(z * size[1] + y) * size[0]..][..size[0]];
            out.iter_mut().enumerate().for_each(|(x, out)| *out = line[place(0, x)]);
        });
        Self { values, size, wide, patch, search }
    }

    /// The row of `length` values that begins at `[x, y, z]` of the frame.
    fn line(&self, [x, y, z]: [usize; 3], length: usize) -> &[f32] {
        &self.values[(z * self.wide[1] + y) * self.wide[0] + x..][..length]
    }

    fn row(&self, [y, z]: [usize; 2], settings: NonLocalMeans, scratch: &mut Scratch, out: &mut [f32]) {
        let NonLocalMeans { sigma, strength, rician, .. } = settings;
        let [patch, search] = [self.patch, self.search];
        let count: usize = patch.iter().map(|r| 2 * r + 1).product();
        let scale = 1.0 / (count as f64 * (strength * sigma).powi(2));
        let noise = 2.0 * sigma * sigma * count as f64;
        let length = out.len() + 2 * patch[0];
        scratch.means.clear();
        scratch.means.resize(out.len(), (0.0, 0.0));
        for (step_z, step_y, step_x) in steps(search) {
            scratch.columns.clear();
            scratch.columns.resize(length, 0.0);
            for (patch_z, patch_y) in (0..=2 * patch[2]).flat_map(|k| (0..=2 * patch[1]).map(move |j| (k, j))) {
                let here = self.line([search[0], y + search[1] + patch_y, z + search[2] + patch_z], length);
                let there = self.line([step_x, y + step_y + patch_y, z + step_z + patch_z], length);
                for (sum, (a, b)) in scratch.columns.iter_mut().zip(here.iter().zip(there)) {
                    *sum += (a - b) * (a - b);
                }
            }
            let centres = self.line([step_x + patch[0], y + step_y + patch[1], z + step_z + patch[2]], out.len());
            let windows = scratch.columns.windows(2 * patch[0] + 1);
            for ((mean, value), window) in scratch.means.iter_mut().zip(centres).zip(windows) {
                let difference = f64::from(window.iter().sum::<f32>());
                let exponent = (difference - noise).max(0.0) * scale;
                if exponent <= 5.0 {
                    let (weight, value) = ((-exponent).exp(), f64::from(*value));
                    *mean = (mean.0 + weight * if rician { value * value } else { value }, mean.1 + weight);
                }
            }
        }
        for (out, (sum, weight)) in out.iter_mut().zip(&scratch.means) {
            let mean = sum / weight;
            *out = if rician { (mean - 2.0 * sigma * sigma).max(0.0).sqrt() } else { mean } as f32;
        }
    }
}

/// Places of the search box, `[0, 0, 0]` its first corner.
fn steps([x, y, z]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..=2 * z).flat_map(move |k| (0..=2 * y).flat_map(move |j| (0..=2 * x).map(move |i| (k, j, i))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Geometry, Modality, Unit};

    fn volume(size: [usize; 3], value: impl Fn([usize; 3]) -> f64) -> Volume {
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]) as f32);
        Volume::new(voxels, Geometry::axis_aligned(size, [1.0; 3]).unwrap(), Modality::Mr, Unit::Arbitrary).unwrap()
    }

    /// Two numbers of a fixed sequence as two Gaussian ones.
    fn noise(seed: usize) -> [f64; 2] {
        let mix =
            |n: usize| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11;
        let unit = |n: usize| (mix(n) as f64 + 0.5) / (1u64 << 53) as f64;
        let (radius, angle) = ((-2.0 * unit(2 * seed).ln()).sqrt(), std::f64::consts::TAU * unit(2 * seed + 1));
        [radius * angle.cos(), radius * angle.sin()]
    }

    const SETTINGS: NonLocalMeans =
        NonLocalMeans { patch_radius: 1, search_radius: 3, sigma: 5.0, strength: 0.8, rician: false };

    #[test]
    fn noise_falls_and_an_edge_stays() {
        let truth = |[i, ..]: [usize; 3]| if i < 10 { 100.0 } else { 200.0 };
        let source = volume([20, 16, 12], |v| truth(v) + 5.0 * noise(1 + v[0] + 20 * v[1] + 320 * v[2])[0]);
        // The edge adds to what a ninth of the voxels differ from their neighbours.
        let sigma = noise_sigma(&source).unwrap();
        assert!((sigma - 5.0).abs() < 1.0, "{sigma}");
        let found = non_local_means(&source, SETTINGS).unwrap();
        let rms = |v: &Volume| {
            let squares = v.as_slice().iter().enumerate();
            let squares = squares.map(|(index, v)| (f64::from(*v) - truth([index % 20, 0, 0])).powi(2));
            (squares.sum::<f64>() / (20.0 * 16.0 * 12.0)).sqrt()
        };
        assert!(rms(&found) < 0.35 * rms(&source), "{} {}", rms(&found), rms(&source));
    }

    #[test]
    fn magnitudes_of_weak_signal_lose_their_bias() {
        let source = volume([16, 16, 16], |[i, j, k]| {
            let [real, imaginary] = noise(7 + i + 16 * j + 256 * k);
            ((8.0 + 5.0 * real).powi(2) + (5.0 * imaginary).powi(2)).sqrt()
        });
        let mean = |v: &Volume| v.as_slice().iter().map(|v| f64::from(*v)).sum::<f64>() / 4096.0;
        let plain = non_local_means(&source, NonLocalMeans { strength: 5.0, ..SETTINGS }).unwrap();
        let rician = non_local_means(&source, NonLocalMeans { strength: 5.0, rician: true, ..SETTINGS }).unwrap();
        assert!((mean(&rician) - 8.0).abs() < 0.4 && mean(&plain) > 9.0, "{} {}", mean(&rician), mean(&plain));
    }

    #[test]
    fn settings_without_meaning_are_refused() {
        let source = volume([4, 4, 1], |_| 1.0);
        let rows = [
            NonLocalMeans { sigma: 0.0, ..SETTINGS },
            NonLocalMeans { strength: f64::NAN, ..SETTINGS },
            NonLocalMeans { search_radius: 21, ..SETTINGS },
        ];
        for settings in rows {
            assert!(matches!(non_local_means(&source, settings), Err(Error::InvalidArgument { .. })));
        }
        assert!(non_local_means(&source, SETTINGS).unwrap().as_slice().iter().all(|v| *v == 1.0));
        let gap = volume([4, 4, 1], |v| if v == [1, 1, 0] { f64::NAN } else { 1.0 });
        assert!(matches!(non_local_means(&gap, SETTINGS), Err(Error::InvalidArgument { .. })));
        assert_eq!(noise_sigma(&volume([2, 2, 2], |_| 1.0)), Err(Error::EmptyMask { voxels: 8 }));
    }
}

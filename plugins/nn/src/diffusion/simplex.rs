use serde::{Deserialize, Serialize};

use crate::Random;

/// Simplex noise (Perlin 2001) in several octaves, each with half the wavelength of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simplex {
    /// Number of octaves, 1 to 12.
    pub octaves: u32,
    /// Amplitude of an octave in that of the one before.
    pub persistence: f64,
    /// Wavelength of the first octave in voxels.
    pub frequency: f64,
}

impl Default for Simplex {
    /// As published for anomaly detection (Wyatt et al. 2022): 6 octaves, 0.8, 64 voxels.
    fn default() -> Self {
        Self { octaves: 6, persistence: 0.8, frequency: 64.0 }
    }
}

impl Simplex {
    /// The noise at a voxel x, y, z, with gradients that follow from `random`. Its variance over space is 1.
    pub fn at(&self, voxel: [i64; 3], random: &Random) -> f64 {
        let (mut sum, mut squares) = (0.0, 0.0);
        let (mut amplitude, mut wavelength) = (1.0, self.frequency);
        for octave in 0..self.octaves.clamp(1, 12) {
            // An offset of its own, so that the zeros at the lattice points of the octaves do not meet.
            let shift = |axis: u64| 1000.0 * random.uniform(u64::from(octave) * 4 + axis);
            let place = [0, 1, 2].map(|axis| voxel[axis] as f64 / wavelength + shift(axis as u64));
            sum += amplitude * simplex(place, random, octave);
            squares += amplitude * amplitude;
            amplitude *= self.persistence;
            wavelength /= 2.0;
        }
        sum / (squares.sqrt() * DEVIATION)
    }
}

/// Standard deviation of [`simplex`] over space, measured on 1.5 10^7 places.
const DEVIATION: f64 = 0.005_105;

/// Sum over the four corners of the simplex around the place of `max(0, 1/2 - r^2)^4 (gradient . distance)`.
fn simplex([x, y, z]: [f64; 3], random: &Random, octave: u32) -> f64 {
    let skew = (x + y + z) / 3.0;
    let cell = [x + skew, y + skew, z + skew].map(f64::floor);
    let unskew = (cell[0] + cell[1] + cell[2]) / 6.0;
    let first = [x - cell[0] + unskew, y - cell[1] + unskew, z - cell[2] + unskew];
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| first[b].total_cmp(&first[a]));
    let mut corner = [0.0; 3];
    let mut sum = 0.0;
    for step in 0..4 {
        if step > 0 {
            corner[order[step - 1]] = 1.0;
        }
        let away: [f64; 3] = std::array::from_fn(|axis| first[axis] - corner[axis] + step as f64 / 6.0);
        let near = 0.5 - away.iter().map(|d| d * d).sum::<f64>();
        if near > 0.0 {
            let lattice = [0, 1, 2].map(|axis| (cell[axis] + corner[axis]) as i64);
            let gradient = gradient(lattice, random, octave);
            sum += near.powi(4) * gradient.iter().zip(away).map(|(g, d)| g * d).sum::<f64>();
        }
    }
    sum
}

/// One of the twelve middles of the edges of a cube, by lattice point.
fn gradient([i, j, k]: [i64; 3], random: &Random, octave: u32) -> [f64; 3] {
    let counter = [j, k].iter().fold(i as u64, |sum, &n| sum.wrapping_mul(0x1_0000_01b3).wrapping_add(n as u64));
    let edge = random.bits(counter.wrapping_mul(16).wrapping_add(u64::from(octave))) % 12;
    let [a, b] = [edge & 1, edge >> 1 & 1].map(|sign| 1.0 - 2.0 * sign as f64);
    match edge / 4 {
        0 => [a, b, 0.0],
        1 => [a, 0.0, b],
        _ => [0.0, a, b],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_zero_at_lattice_points_and_continuous() {
        let random = Random::new(3, &[]);
        // The skewed lattice point (1, 2, 3) lies at each coordinate less a sixth of their sum.
        let here = |at: f64| simplex([at + 1.0 - 1.0, at + 2.0 - 1.0, at + 3.0 - 1.0], &random, 0);
        assert!(here(0.0).abs() < 1e-12);
        for step in 0..2000 {
            let at = f64::from(step) * 0.01;
            let (one, next) = (here(at), here(at + 1e-5));
            assert!((one - next).abs() < 1e-5, "{at}: {one} {next}");
        }
    }

    #[test]
    fn one_octave_has_unit_variance_and_neighbours_below_its_wavelength_agree() {
        let (noise, random) = (Simplex { octaves: 1, persistence: 1.0, frequency: 4.0 }, Random::new(3, &[]));
        let (mut squares, mut products, n) = (0.0, 0.0, 40_000);
        for i in 0..n {
            let voxel = [i % 200, i / 200, 7 * (i / 200)];
            let value = noise.at(voxel, &random);
            squares += value * value;
            products += value * noise.at([voxel[0] + 1, voxel[1], voxel[2]], &random);
        }
        assert!((squares / n as f64 - 1.0).abs() < 0.1, "{}", squares / n as f64);
        assert!(products > 0.5 * squares);
    }
}

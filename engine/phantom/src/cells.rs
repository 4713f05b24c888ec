/// Random points, one in every cube of a lattice: the space nearest to one of them is its cell (Worley, *A cellular
/// texture basis function*, SIGGRAPH 1996). Points are hashes of their cube, so cells need no memory and no extent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cells {
    key: u64,
    size_mm: f64,
}

/// What [`Cells::at`] finds around a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cell {
    /// A number of the cell, uniform in 0..1.
    pub(crate) share: f64,
    /// Distance to the point of the cell, mm.
    pub(crate) center_mm: f64,
    /// Distance to the plane half way to the next nearest point, mm: the wall between the two cells.
    pub(crate) wall_mm: f64,
}

impl Cells {
    /// Cells of `size_mm` mean diameter.
    pub(crate) fn new(key: u64, size_mm: f64) -> Self {
        Self { key, size_mm }
    }

    /// The cell that holds `point`.
    pub(crate) fn at(&self, point: [f64; 3]) -> Cell {
        let scaled = point.map(|v| v / self.size_mm);
        let cube = scaled.map(|v| v.floor() as i64);
        let mut nearest = [(f64::INFINITY, [0.0; 3], 0u64); 2];
        for step in 0..27i64 {
            let at = [cube[0] + step % 3 - 1, cube[1] + step / 3 % 3 - 1, cube[2] + step / 9 - 1];
            let number = self.hash(at);
            let seed: [f64; 3] = std::array::from_fn(|axis| at[axis] as f64 + jitter(number, axis));
            let distance = (0..3).map(|axis| (scaled[axis] - seed[axis]).powi(2)).sum::<f64>();
            if distance < nearest[0].0 {
                nearest = [(distance, seed, number), nearest[0]];
            } else if distance < nearest[1].0 {
                nearest[1] = (distance, seed, number);
            }
        }
        let [(first, a, number), (second, b, _)] = nearest;
        let apart = (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        Cell {
            share: fraction(mix(number ^ 0x5bd1_e995)),
            center_mm: first.sqrt() * self.size_mm,
            wall_mm: (second - first) / (2.0 * apart) * self.size_mm,
        }
    }

    fn hash(&self, cube: [i64; 3]) -> u64 {
        cube.iter().fold(self.key, |hash, &v| mix(hash ^ v.cast_unsigned()))
    }
}

/// Place of a cube's point along an axis, 0.05..0.95 of the cube.
fn jitter(number: u64, axis: usize) -> f64 {
    0.05 + 0.9 * fraction(mix(number.wrapping_add(axis as u64)))
}

fn fraction(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// One step of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_one_point_per_cube_and_walls_half_way() {
        let cells = Cells::new(7, 6.0);
        let samples = 20_000;
        let points = (0..samples).map(|n| {
            let at = |axis: u64| 120.0 * fraction(mix(mix(n) ^ axis));
            [at(1), at(2), at(3)]
        });
        let found: Vec<Cell> = points.map(|p| cells.at(p)).collect();
        assert!(found.iter().all(|c| c.wall_mm >= 0.0 && c.center_mm < 6.0 * 1.5));
        // Within r of a point with r below half the least distance of two points: 4/3 π r³ of every cube of 216 mm³.
        let near = found.iter().filter(|c| c.center_mm < 1.5).count() as f64 / samples as f64;
        let expected = 4.0 / 3.0 * std::f64::consts::PI * 1.5f64.powi(3) / 216.0;
        assert!((near / expected - 1.0).abs() < 0.1, "{near} for {expected}");
        let share = found.iter().map(|c| c.share).sum::<f64>() / samples as f64;
        assert!((share - 0.5).abs() < 0.03, "{share}");
    }

    #[test]
    fn cells_do_not_depend_on_where_one_looks_from() {
        let [a, b] = [Cells::new(1, 5.0), Cells::new(2, 5.0)].map(|cells| cells.at([-3.2, 40.1, 7.7]));
        assert_eq!(a, Cells::new(1, 5.0).at([-3.2, 40.1, 7.7]));
        assert_ne!(a, b);
    }
}

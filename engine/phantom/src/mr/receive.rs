use std::f64::consts::TAU;

/// Receive coils around the head, and what the radio field adds: how brightness depends on the place.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Receive {
    /// Loops on a ring about the z axis, at least 1.
    pub elements: usize,
    /// Radius of the ring, mm.
    pub ring_mm: f64,
    /// Radius of a loop, mm: the smaller, the faster its sensitivity falls with the distance.
    pub loop_mm: f64,
    /// Exponent of the combined sensitivity: 0 for an image that a prescan has evened out, 1 for a raw one.
    pub strength: f64,
    /// Relative brightening of the middle by standing waves, which grows with the field.
    pub dielectric: f64,
}

/// Width of the standing wave's bright middle, standard deviation, mm.
const DIELECTRIC_MM: f64 = 55.0;

impl Receive {
    /// No dependence on the place.
    pub const EVEN: Self = Self { elements: 1, ring_mm: 140.0, loop_mm: 80.0, strength: 0.0, dielectric: 0.0 };

    /// Relative brightness at a point of the scanner (mm from the coil's middle), 1 at the middle but for the dielectric
    /// part.
    ///
    /// A loop of radius a has on its axis the field `(1 + d²/a²)^(-3/2)` (Biot & Savart), taken here for every direction
    /// at the distance d of its centre; elements combine as the root of the sum of squares (Roemer et al., Magn Reson
    /// Med 16, 1990).
    pub(crate) fn at(&self, point: [f64; 3]) -> f64 {
        let even = 1.0 + self.dielectric * (-0.5 * square(point) / DIELECTRIC_MM.powi(2)).exp();
        if self.strength == 0.0 {
            return even;
        }
        (self.power(point) / self.power([0.0; 3])).powf(0.5 * self.strength) * even
    }

    /// Sum over the elements of their squared sensitivity.
    fn power(&self, [x, y, z]: [f64; 3]) -> f64 {
        (0..self.elements)
            .map(|element| {
                let (sin, cos) = (TAU * element as f64 / self.elements as f64).sin_cos();
                let from = [x - self.ring_mm * cos, y - self.ring_mm * sin, z];
                (1.0 + square(from) / self.loop_mm.powi(2)).powi(-3)
            })
            .sum()
    }
}

fn square(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_falls_as_its_formula() {
        let one = Receive { elements: 1, ring_mm: 100.0, loop_mm: 50.0, strength: 1.0, dielectric: 0.0 };
        // Distances 100 and 50 mm: (1 + 4)^-1.5 and (1 + 1)^-1.5.
        assert!((one.at([50.0, 0.0, 0.0]) - 2.5f64.powf(1.5)).abs() < 1e-12);
        assert!((one.at([0.0; 3]) - 1.0).abs() < 1e-12);
        assert_eq!(Receive::EVEN.at([80.0, 10.0, -30.0]), 1.0);
    }

    #[test]
    fn a_ring_is_brighter_at_the_rim_and_standing_waves_in_the_middle() {
        let ring = Receive { elements: 8, ring_mm: 140.0, loop_mm: 80.0, strength: 1.0, dielectric: 0.0 };
        assert!(ring.at([80.0, 0.0, 0.0]) > 1.2 && ring.at([0.0, 0.0, 60.0]) < 1.0);
        let wave = Receive { strength: 0.0, dielectric: 0.3, ..ring };
        assert!((wave.at([0.0; 3]) - 1.3).abs() < 1e-12 && wave.at([80.0, 0.0, 0.0]) < 1.12);
    }
}

use std::f64::consts::TAU;

/// What random numbers are drawn for: equal counters of different purposes are independent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Noise,
    Growth,
    Contour,
}

/// Random numbers that depend on nothing but a key and a counter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64, purpose: Purpose, repetition: u32) -> Self {
        let purpose = match purpose {
            Purpose::Noise => 1,
            Purpose::Growth => 2,
            Purpose::Contour => 3,
        };
        Self(mixed(mixed(mixed(seed) ^ purpose) ^ u64::from(repetition)))
    }

    pub(super) fn whole(self, counter: u64) -> u64 {
        mixed(self.0 ^ mixed(counter))
    }

    /// Uniform in [0, 1).
    pub(super) fn uniform(self, counter: u64) -> f64 {
        (self.whole(counter) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normal with mean 0 and standard deviation 1, by Box and Muller.
    pub(super) fn normal(self, counter: u64) -> f64 {
        let (u, v) = (1.0 - self.uniform(2 * counter), self.uniform(2 * counter + 1));
        (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
    }
}

/// The output function of SplitMix64 after one step of its counter: G. Steele, D. Lea, C. Flood, Fast splittable
/// pseudorandom number generators, OOPSLA 2014.
fn mixed(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_their_moments() {
        let draws = Draws::new(5, Purpose::Noise, 0);
        let n = 100_000u64;
        let moment = |power| (0..n).map(|k| draws.normal(k).powi(power)).sum::<f64>() / n as f64;
        assert!(moment(1).abs() < 0.01 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.1);
    }
}

/// Random numbers that are a function of a key and a counter, with no state between calls.
///
/// The function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over key and counter.
///
/// ```
/// use isoscan_nn::Random;
///
/// let random = Random::new(7, &[1, 2]);
/// assert_eq!(random.bits(3), Random::new(7, &[1, 2]).bits(3));
/// assert_ne!(random.bits(3), Random::new(7, &[2, 1]).bits(3));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Random {
    key: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The stream of a seed for one purpose, named by numbers such as (network, weight) or (pool, step).
    pub fn new(seed: u64, purpose: &[u64]) -> Self {
        let key = purpose.iter().fold(mix(seed ^ GOLDEN), |key, &word| mix(key.wrapping_add(GOLDEN) ^ mix(word)));
        Self { key }
    }

    /// 64 uniform bits.
    pub fn bits(&self, counter: u64) -> u64 {
        mix(self.key.wrapping_add(counter.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// Uniform in `0..1`, a multiple of 2^-53.
    pub fn uniform(&self, counter: u64) -> f64 {
        (self.bits(counter) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by the Box-Muller transform of the uniforms `2 counter` and `2 counter + 1`.
    pub fn normal(&self, counter: u64) -> f64 {
        let (u, v) = (1.0 - self.uniform(2 * counter), self.uniform(2 * counter + 1));
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normals_have_mean_zero_and_unit_variance() {
        let random = Random::new(1, &[]);
        let n = 20_000;
        let values: Vec<f64> = (0..n).map(|i| random.normal(i)).collect();
        let mean = values.iter().sum::<f64>() / n as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        // Four standard errors: 4/sqrt(n) and 4 sqrt(2/n).
        assert!(mean.abs() < 0.028, "{mean}");
        assert!((variance - 1.0).abs() < 0.04, "{variance}");
    }

    #[test]
    fn first_output_of_splitmix64_with_key_zero() {
        // SplitMix64 seeded with 0 starts with this number (reference implementation by Vigna).
        assert_eq!(Random { key: 0 }.bits(0), 0xe220_a839_7b1d_cdaf);
    }
}

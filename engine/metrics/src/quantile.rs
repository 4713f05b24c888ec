use statrs::distribution::{Continuous, ContinuousCDF};

/// Quantile `q` in 0..=1 of ascending values, linear between neighbours (Hyndman and Fan type 7).
pub(crate) fn sorted_quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

/// Quantile `q` of a distribution, polished by Newton steps on its distribution function.
pub(crate) fn polished<D: ContinuousCDF<f64, f64> + Continuous<f64, f64>>(distribution: &D, q: f64) -> f64 {
    let mut x = distribution.inverse_cdf(q);
    for _ in 0..4 {
        let step = (distribution.cdf(x) - q) / distribution.pdf(x);
        if !step.is_finite() {
            break;
        }
        x -= step;
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 2.5), (1.0, 4.0)] {
            assert_eq!(sorted_quantile(&[1.0, 2.0, 3.0, 4.0], q), expected);
        }
    }
}

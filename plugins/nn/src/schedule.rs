/// Learning rate of `step` (from 0): `base` until `decay_from`, then a straight line that would reach 0 at `steps`.
///
/// `base * (steps - step) / (steps - decay_from)` on the second part, the rule of Zhu et al. 2017 in steps instead of
/// epochs. A step at or past `steps` gets 0.
///
/// ```
/// use isoscan_nn::linear_decay;
///
/// let rates: Vec<f64> = (0..6).map(|step| linear_decay(1.0, step, 2, 6)).collect();
/// assert_eq!(rates, [1.0, 1.0, 1.0, 0.75, 0.5, 0.25]);
/// ```
pub fn linear_decay(base: f64, step: u64, decay_from: u64, steps: u64) -> f64 {
    if step < decay_from.min(steps) {
        return base;
    }
    let span = steps.saturating_sub(decay_from).max(1);
    base * steps.saturating_sub(step) as f64 / span as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_constant_then_linear_then_zero() {
        for (step, decay_from, steps, expected) in [
            (0, 5, 10, 2.0),
            (5, 5, 10, 2.0),
            (6, 5, 10, 1.6),
            (10, 5, 10, 0.0),
            (11, 5, 10, 0.0),
            (3, 10, 10, 2.0),
            (0, 0, 0, 0.0),
        ] {
            assert_eq!(linear_decay(2.0, step, decay_from, steps), expected, "step {step}");
        }
    }
}

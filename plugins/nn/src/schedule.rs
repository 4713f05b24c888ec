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

/// Learning rate of `step` (from 0): half a cosine from `base` at step 0 to `last` at `steps` and after.
///
/// `last + (base - last) (1 + cos(pi step / steps)) / 2` (Loshchilov and Hutter 2017, one period).
///
/// ```
/// use isoscan_nn::cosine_decay;
///
/// assert_eq!([0, 4, 8].map(|step| cosine_decay(1.0, 0.5, step, 8)), [1.0, 0.75, 0.5]);
/// ```
pub fn cosine_decay(base: f64, last: f64, step: u64, steps: u64) -> f64 {
    let share = step.min(steps) as f64 / steps.max(1) as f64;
    last + (base - last) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// `rate * (step + 1) / span` while `step < span`, then `rate`: a straight rise at the start of a training.
///
/// ```
/// use isoscan_nn::warm_up;
///
/// assert_eq!([0, 1, 3, 4, 9].map(|step| warm_up(2.0, step, 4)), [0.5, 1.0, 2.0, 2.0, 2.0]);
/// ```
pub fn warm_up(rate: f64, step: u64, span: u64) -> f64 {
    if step >= span { rate } else { rate * (step + 1) as f64 / span as f64 }
}

/// Decay of a moving average at `step` (from 0): `decay`, at first `(1 + step) / (10 + step)`, so that the random start is
/// soon forgotten.
///
/// ```
/// use isoscan_nn::average_decay;
///
/// assert_eq!([0, 8, 1000].map(|step| average_decay(0.9, step)), [0.1, 0.5, 0.9]);
/// ```
pub fn average_decay(decay: f64, step: u64) -> f64 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64))
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

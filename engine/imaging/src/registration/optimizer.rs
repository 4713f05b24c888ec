use super::metric::{Evaluation, MutualInformation};
use super::motion::Motion;
use crate::Error;

/// Lengths of steps, mm of the parameters.
pub(super) struct Steps {
    /// Length of the first step and half of the longest.
    pub(super) first_mm: f64,
    /// A shorter step ends the climb.
    pub(super) smallest_mm: f64,
    /// Most steps.
    pub(super) most: usize,
}

/// Where a climb ended.
pub(super) struct End {
    pub(super) parameters: Vec<f64>,
    pub(super) value: f64,
    pub(super) overlap: f64,
    pub(super) iterations: usize,
    pub(super) converged: bool,
}

/// Follows the gradient of the measure from the motion's start to where it vanishes, by BFGS steps. `curvature` is what
/// is known of it before and after.
///
/// Only slopes decide about a step: values at two places with different overlaps do not compare. A step along `d` is
/// halved until the slope behind it, `g(p + d) · d`, has not turned to less than `-½ g(p) · d`, and the overlap stays.
pub(super) fn climb(
    measure: &MutualInformation<'_>,
    motion: &Motion,
    min_overlap: f64,
    steps: &Steps,
    curvature: &mut Curvature,
) -> Result<End, Error> {
    let mut here = vec![0.0; motion.parameters()];
    let mut found = measure.at(motion, &here);
    if found.overlap < min_overlap {
        return Err(Error::TooLittleOverlap { expected: min_overlap, found: found.overlap });
    }
    let mut iterations = 0;
    let mut converged = false;
    while iterations < steps.most && !converged {
        iterations += 1;
        let mut direction = curvature.direction(&found.gradient);
        let wanted_mm = length(&direction);
        let longest_mm = if curvature.is_known { 2.0 * steps.first_mm } else { steps.first_mm };
        if wanted_mm == 0.0 || curvature.is_known && wanted_mm < steps.smallest_mm {
            converged = true;
            continue;
        }
        let factor = if curvature.is_known { (longest_mm / wanted_mm).min(1.0) } else { longest_mm / wanted_mm };
        direction.iter_mut().for_each(|d| *d *= factor);
        match search(measure, motion, min_overlap, &here, &found, &direction, steps.smallest_mm) {
            Some((next, evaluation)) => {
                let step: Vec<f64> = next.iter().zip(&here).map(|(a, b)| a - b).collect();
                curvature.learn(&step, &found.gradient, &evaluation.gradient);
                (here, found) = (next, evaluation);
            }
            // The learnt curvature misleads: once more straight uphill.
            None if curvature.is_known => *curvature = Curvature::unknown(here.len()),
            None => converged = true,
        }
    }
    Ok(End { parameters: here, value: found.value, overlap: found.overlap, iterations, converged })
}

/// The first of `direction`, a half of it, a quarter, … behind which the slope has not turned too far; `None` when none
/// above the smallest length is.
fn search(
    measure: &MutualInformation<'_>,
    motion: &Motion,
    min_overlap: f64,
    here: &[f64],
    found: &Evaluation,
    direction: &[f64],
    smallest_mm: f64,
) -> Option<(Vec<f64>, Evaluation)> {
    let slope = dot(&found.gradient, direction);
    let mut part = 1.0;
    while slope > 0.0 && part * length(direction) >= smallest_mm {
        let next: Vec<f64> = here.iter().zip(direction).map(|(p, d)| p + part * d).collect();
        let evaluation = measure.at(motion, &next);
        if evaluation.overlap >= min_overlap && dot(&evaluation.gradient, direction) >= -0.5 * slope {
            return Some((next, evaluation));
        }
        part /= 2.0;
    }
    None
}

/// The inverse Hessian of the negative measure as the steps so far tell it.
pub(super) struct Curvature {
    inverse: Vec<Vec<f64>>,
    is_known: bool,
}

impl Curvature {
    pub(super) fn unknown(n: usize) -> Self {
        let inverse = (0..n).map(|a| (0..n).map(|b| f64::from(u8::from(a == b))).collect()).collect();
        Self { inverse, is_known: false }
    }

    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        self.inverse.iter().map(|row| dot(row, gradient)).collect()
    }

    /// The BFGS update `H ← (1 - ρ s yᵀ) H (1 - ρ y sᵀ) + ρ s sᵀ`, `ρ = 1 / yᵀs`; skipped where the measure curves upward.
    fn learn(&mut self, step: &[f64], before: &[f64], after: &[f64]) {
        let y: Vec<f64> = before.iter().zip(after).map(|(b, a)| b - a).collect();
        let along = dot(&y, step);
        if along <= 1e-10 * length(&y) * length(step) {
            return;
        }
        if !self.is_known {
            let scale = along / dot(&y, &y);
            self.inverse.iter_mut().enumerate().for_each(|(a, row)| row[a] = scale);
            self.is_known = true;
        }
        let rho = 1.0 / along;
        let hy = self.direction(&y);
        let yhy = dot(&y, &hy);
        for (a, row) in self.inverse.iter_mut().enumerate() {
            for (b, h) in row.iter_mut().enumerate() {
                *h += rho * ((1.0 + rho * yhy) * step[a] * step[b] - hy[a] * step[b] - step[a] * hy[b]);
            }
        }
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn length(v: &[f64]) -> f64 {
    dot(v, v).sqrt()
}

use crate::Error;

/// A linear classifier of cases with and without a finding, learned from numbers that describe them.
///
/// Features are standardised by mean and standard deviation of all learned cases; with the class means `m₁` (with the
/// finding) and `m₀`, the pooled covariance `C` within the classes (divisor `n - 2`) and the shrinkage `λ` (Friedman, J Am
/// Stat Assoc 84 (1989) 165, his gamma towards the identity),
/// ```text
/// w = ((1 - λ) C + λ I)⁻¹ (m₁ - m₀)        score(x) = wᵀ (x - (m₁ + m₀) / 2)
/// ```
/// so that a score above 0 says *with the finding*, both kinds being taken as equally frequent. Features that do not vary
/// have no weight. Worked case: of one feature with 1, 3 without and 7, 9 with the finding, mean 5 and standard deviation
/// √(40/3), the within-class variance is 2 / (40/3) = 0.15 and the means are 6 / √(40/3) apart; without shrinkage
/// x = 9 scores (6 / 0.15) · 4 / (40/3) = 12.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearDiscriminant {
    middle: Vec<f64>,
    /// Of features in their own units.
    weights: Vec<f64>,
}

impl LinearDiscriminant {
    /// Learns from cases, one list of features each; `shrinkage` is above 0 to 1, or 0 where cases outnumber features.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] when a case has no label or another number of features than the first,
    /// [`Error::NotFinite`] with the feature's place, [`Error::TooFewSubjects`] for fewer than two cases of either kind,
    /// [`Error::InvalidArgument`] for a shrinkage outside 0 to 1, [`Error::Undefined`] when features depend on each other
    /// and nothing is shrunk.
    pub fn learned(cases: &[Vec<f64>], has_finding: &[bool], shrinkage: f64) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&shrinkage) {
            return Err(Error::InvalidArgument { name: "shrinkage", expected: "0 to 1", found: shrinkage });
        }
        if cases.len() != has_finding.len() {
            return Err(Error::LengthMismatch { x: cases.len(), y: has_finding.len() });
        }
        let with = has_finding.iter().filter(|&&finding| finding).count();
        let fewest = with.min(cases.len() - with);
        if fewest < 2 {
            return Err(Error::TooFewSubjects { needed: 2, found: fewest });
        }
        let features = cases[0].len();
        cases.iter().try_for_each(|case| require_features(case, features))?;
        let (mean, deviation) = spread(cases, features);
        let varying: Vec<usize> = (0..features).filter(|&f| deviation[f] > 0.0).collect();
        let scaled = |case: &Vec<f64>| varying.iter().map(|&f| (case[f] - mean[f]) / deviation[f]).collect();
        let scaled: Vec<Vec<f64>> = cases.iter().map(scaled).collect();
        let means = [false, true].map(|kind| {
            let of_kind = scaled.iter().zip(has_finding).filter(|(_, finding)| **finding == kind);
            mean_case(&of_kind.map(|(case, _)| case).collect::<Vec<_>>(), varying.len())
        });
        let matrix = shrunk_covariance(&scaled, has_finding, &means, shrinkage);
        let difference = means[1].iter().zip(&means[0]).map(|(with, without)| with - without).collect();
        let direction = solved(matrix, difference)
            .ok_or(Error::Undefined { statistic: "a linear discriminant of features that depend on each other" })?;
        let (mut middle, mut weights) = (mean, vec![0.0; features]);
        for (place, &f) in varying.iter().enumerate() {
            middle[f] += deviation[f] * 0.5 * (means[0][place] + means[1][place]);
            weights[f] = direction[place] / deviation[f];
        }
        Ok(Self { middle, weights })
    }

    /// Above 0 for a case that looks more like those with the finding.
    ///
    /// # Errors
    /// [`Error::LengthMismatch`] for another number of features than was learned from, [`Error::NotFinite`].
    pub fn score(&self, case: &[f64]) -> Result<f64, Error> {
        require_features(case, self.weights.len())?;
        Ok(case.iter().zip(&self.middle).zip(&self.weights).map(|((x, middle), w)| w * (x - middle)).sum())
    }
}

fn require_features(case: &[f64], features: usize) -> Result<(), Error> {
    if case.len() != features {
        return Err(Error::LengthMismatch { x: features, y: case.len() });
    }
    match case.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite { index, value: case[index] }),
        None => Ok(()),
    }
}

/// Mean and standard deviation (divisor n - 1) of each feature; a spread that is rounding alone counts as none.
fn spread(cases: &[Vec<f64>], features: usize) -> (Vec<f64>, Vec<f64>) {
    let mean = mean_case(&cases.iter().collect::<Vec<_>>(), features);
    let deviation = |f: usize| {
        let squares = cases.iter().map(|case| (case[f] - mean[f]).powi(2)).sum::<f64>();
        let deviation = (squares / (cases.len() as f64 - 1.0)).sqrt();
        if deviation > 1e-12 * mean[f].abs() { deviation } else { 0.0 }
    };
    let deviation = (0..features).map(deviation).collect();
    (mean, deviation)
}

fn mean_case(cases: &[&Vec<f64>], features: usize) -> Vec<f64> {
    (0..features).map(|f| cases.iter().map(|case| case[f]).sum::<f64>() / cases.len() as f64).collect()
}

fn shrunk_covariance(cases: &[Vec<f64>], has_finding: &[bool], means: &[Vec<f64>; 2], shrinkage: f64) -> Vec<Vec<f64>> {
    let features = means[0].len();
    let mut matrix = vec![vec![0.0; features]; features];
    for (case, &finding) in cases.iter().zip(has_finding) {
        let away: Vec<f64> = case.iter().zip(&means[usize::from(finding)]).map(|(x, mean)| x - mean).collect();
        for (row, &left) in matrix.iter_mut().zip(&away) {
            row.iter_mut().zip(&away).for_each(|(entry, &right)| *entry += left * right);
        }
    }
    let share = (1.0 - shrinkage) / (cases.len() as f64 - 2.0);
    for (f, row) in matrix.iter_mut().enumerate() {
        row.iter_mut().for_each(|entry| *entry *= share);
        row[f] += shrinkage;
    }
    matrix
}

/// `matrix⁻¹ right` by the Cholesky decomposition; nothing unless the matrix is positive definite.
fn solved(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let n = right.len();
    for i in 0..n {
        for j in 0..=i {
            let rest = matrix[i][j] - (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum::<f64>();
            if i == j && rest <= 1e-12 * matrix[i][i] {
                return None;
            }
            matrix[i][j] = if i == j { rest.sqrt() } else { rest / matrix[j][j] };
        }
        let known: f64 = (0..i).map(|k| matrix[i][k] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    for i in (0..n).rev() {
        let known: f64 = (i + 1..n).map(|k| matrix[k][i] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [bool; 4] = [false, false, true, true];

    fn column(values: [f64; 4]) -> Vec<Vec<f64>> {
        values.map(|value| vec![value]).to_vec()
    }

    #[test]
    fn one_feature_scores_by_its_distance_from_the_middle() {
        let learned = LinearDiscriminant::learned(&column([1.0, 3.0, 7.0, 9.0]), &KINDS, 0.0).unwrap();
        for (value, expected) in [(9.0, 12.0), (5.0, 0.0), (4.0, -3.0)] {
            let found = learned.score(&[value]).unwrap();
            assert!((found - expected).abs() < 1e-12, "{value}: {found}");
        }
    }

    /// Two features whose noise is shared: their difference tells the kinds apart, neither does alone.
    #[test]
    fn shared_noise_is_taken_off() {
        let noise = [-3.0, -1.0, 0.5, 2.0, 3.5, -2.5, 1.0, 0.0];
        let kinds: Vec<bool> = (0..8).map(|case| case % 2 == 1).collect();
        let cases: Vec<Vec<f64>> = noise
            .iter()
            .zip(&kinds)
            .enumerate()
            .map(|(case, (&noise, &finding))| {
                let own = 0.05 * (case * case % 5) as f64;
                vec![noise + if finding { 0.5 } else { 0.0 }, noise + own, 7.0]
            })
            .collect();
        let learned = LinearDiscriminant::learned(&cases, &kinds, 1e-3).unwrap();
        for (case, finding) in cases.iter().zip(&kinds) {
            assert_eq!(learned.score(case).unwrap() > 0.0, *finding, "{case:?}");
        }
    }

    #[test]
    fn units_of_the_features_do_not_matter() {
        let cases = vec![vec![1.0, 5.0], vec![2.0, 4.0], vec![4.0, 4.5], vec![5.5, 6.0]];
        let other: Vec<Vec<f64>> = cases.iter().map(|case| vec![1000.0 * case[0] - 7.0, 0.01 * case[1]]).collect();
        let scores = |cases: &[Vec<f64>]| {
            let learned = LinearDiscriminant::learned(cases, &KINDS, 0.5).unwrap();
            cases.iter().map(|case| learned.score(case).unwrap()).collect::<Vec<_>>()
        };
        for (first, second) in scores(&cases).iter().zip(scores(&other)) {
            assert!((first - second).abs() < 1e-9, "{first} and {second}");
        }
    }

    #[test]
    fn cases_that_teach_nothing_are_refused() {
        let cases = column([1.0, 3.0, 7.0, 9.0]);
        let learned = LinearDiscriminant::learned;
        assert_eq!(learned(&cases, &KINDS[..3], 0.5), Err(Error::LengthMismatch { x: 4, y: 3 }));
        assert_eq!(learned(&cases, &[true; 4], 0.5), Err(Error::TooFewSubjects { needed: 2, found: 0 }));
        assert!(matches!(learned(&cases, &KINDS, 1.5), Err(Error::InvalidArgument { name: "shrinkage", .. })));
        let twice: Vec<Vec<f64>> = cases.iter().map(|case| vec![case[0], case[0]]).collect();
        assert!(matches!(learned(&twice, &KINDS, 0.0), Err(Error::Undefined { .. })));
        assert!(learned(&twice, &KINDS, 0.1).is_ok());
        let known = learned(&cases, &KINDS, 0.0).unwrap();
        assert_eq!(known.score(&[1.0, 2.0]), Err(Error::LengthMismatch { x: 1, y: 2 }));
        assert!(matches!(known.score(&[f64::NAN]), Err(Error::NotFinite { index: 0, .. })));
    }
}

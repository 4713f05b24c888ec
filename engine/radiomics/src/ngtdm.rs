use crate::family::Named;
use crate::neighbourhoods::Neighbourhoods;
use crate::table::{NanReason, Outcome};

/// Alphabetical.
pub(crate) const NAMES: [Named; 5] = [
    ("Busyness", Some("NQ30")),
    ("Coarseness", Some("QCDE")),
    ("Complexity", Some("HDEZ")),
    ("Contrast", Some("65HE")),
    ("Strength", Some("1X9X")),
];

/// Features of the neighbouring grey tone difference matrix of a region; every one has a value.
pub(crate) struct Ngtdm(ToneFeatures);

impl Ngtdm {
    pub(crate) fn of(neighbourhoods: &Neighbourhoods) -> Self {
        Self::of_differences(&neighbourhoods.tone_differences(true))
    }

    /// The features of the tone differences.
    pub(crate) fn of_differences(differences: &ToneDifferences) -> Self {
        Self(differences.features())
    }

    /// The value of one feature of [`NAMES`].
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        match name {
            "Busyness" => Ok(self.0.busyness),
            "Coarseness" => Ok(self.0.coarseness),
            "Complexity" => Ok(self.0.complexity),
            "Contrast" => Ok(self.0.contrast),
            "Strength" => Ok(self.0.strength),
            _ => Err(NanReason::Undefined),
        }
    }
}

/// For each grey level i: n_i voxels that count, and s_i, the sum of their distances to the mean level of their
/// neighbours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ToneDifferences {
    /// Grey levels, ascending.
    pub(crate) grey: Vec<u32>,
    /// n_i.
    pub(crate) counts: Vec<f64>,
    /// s_i.
    pub(crate) sums: Vec<f64>,
}

/// With p_i = n_i / N, N = Σ n_i and Ng levels of p_i > 0, sums over those levels only:
///
/// - coarseness: 1 / Σ p_i s_i, or 10⁶ where the sum is 0
/// - contrast: Σᵢⱼ p_i p_j (i - j)² / (Ng (Ng - 1)) · Σ s_i / N, or 0 for one level
/// - busyness: Σ p_i s_i / Σᵢⱼ |i p_i - j p_j|, or 0 where the divisor is 0
/// - complexity: Σᵢⱼ |i - j| (p_i s_i + p_j s_j) / (p_i + p_j) / N
/// - strength: Σᵢⱼ (p_i + p_j) (i - j)² / Σ s_i, or 0 where the divisor is 0
///
/// Source: Amadasun and King 1989, doi 10.1109/21.44046; IBSI 3.10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ToneFeatures {
    pub(crate) coarseness: f64,
    pub(crate) contrast: f64,
    pub(crate) busyness: f64,
    pub(crate) complexity: f64,
    pub(crate) strength: f64,
}

impl ToneDifferences {
    /// Sum of several, level by level.
    pub(crate) fn sum_of<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut levels = std::collections::BTreeMap::new();
        for part in parts {
            for ((&grey, &count), &sum) in part.grey.iter().zip(&part.counts).zip(&part.sums) {
                let entry = levels.entry(grey).or_insert((0.0, 0.0));
                *entry = (entry.0 + count, entry.1 + sum);
            }
        }
        Self {
            grey: levels.keys().copied().collect(),
            counts: levels.values().map(|(count, _)| *count).collect(),
            sums: levels.values().map(|(_, sum)| *sum).collect(),
        }
    }

    pub(crate) fn features(&self) -> ToneFeatures {
        let voxels: f64 = self.counts.iter().sum();
        let rows = self.grey.iter().zip(&self.counts).zip(&self.sums).filter(|((_, n), _)| **n > 0.0);
        let rows: Vec<(f64, f64, f64)> = rows.map(|((&i, n), &s)| (f64::from(i), n / voxels, s)).collect();
        let levels = rows.len() as f64;
        let differences: f64 = rows.iter().map(|(_, _, s)| s).sum();
        let weighted: f64 = rows.iter().map(|(_, p, s)| p * s).sum();
        let (mut spread, mut busy, mut complexity, mut strength) = (0.0, 0.0, 0.0, 0.0);
        for (k, &(i, p, s)) in rows.iter().enumerate() {
            for &(j, q, t) in &rows[..k] {
                let squared = (i - j) * (i - j);
                spread += 2.0 * p * q * squared;
                busy += 2.0 * (i * p - j * q).abs();
                complexity += 2.0 * (i - j).abs() * (p * s + q * t) / (p + q);
                strength += 2.0 * (p + q) * squared;
            }
        }
        let or_zero = |numerator: f64, divisor: f64| if divisor == 0.0 { 0.0 } else { numerator / divisor };
        ToneFeatures {
            coarseness: if weighted == 0.0 { 1e6 } else { 1.0 / weighted },
            contrast: or_zero(spread * or_zero(differences, voxels), levels * (levels - 1.0)),
            busyness: or_zero(weighted, busy),
            complexity: or_zero(complexity, voxels),
            strength: or_zero(strength, differences),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels 1 and 3 with n = 3, 1 and s = 1, 2: p = 3/4, 1/4, N = 4.
    #[test]
    fn two_levels_by_hand() {
        let half = ToneDifferences { grey: vec![1, 3], counts: vec![2.0, 0.0], sums: vec![1.0, 0.0] };
        let other = ToneDifferences { grey: vec![1, 3], counts: vec![1.0, 1.0], sums: vec![0.0, 2.0] };
        let found = ToneDifferences::sum_of([&half, &other]).features();
        let expected = ToneFeatures {
            coarseness: 1.0 / 1.25,
            contrast: 2.0 * 0.75 * 0.25 * 4.0 / 2.0 * 3.0 / 4.0,
            busyness: 0.0,
            complexity: 2.0 * 2.0 * 1.25 / 4.0,
            strength: 2.0 * 4.0 / 3.0,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn one_level_has_no_contrast() {
        let flat = ToneDifferences { grey: vec![4], counts: vec![9.0], sums: vec![0.0] };
        let expected = ToneFeatures { coarseness: 1e6, contrast: 0.0, busyness: 0.0, complexity: 0.0, strength: 0.0 };
        assert_eq!(flat.features(), expected);
        assert_eq!(ToneDifferences::sum_of([]).features(), expected);
    }
}

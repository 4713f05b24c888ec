/// How many groups of voxels (runs, zones, dependences) have which grey level and which size: the common form of GLRLM,
/// GLSZM, GLDM, GLDZM and NGLDM, without empty rows and columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SizeMatrix {
    /// Grey levels of the rows, ascending.
    pub(crate) grey: Vec<u32>,
    /// Sizes of the columns, ascending.
    pub(crate) sizes: Vec<u32>,
    /// Groups of each level and size, row by row; whole numbers unless weighted.
    pub(crate) counts: Vec<f64>,
}

impl SizeMatrix {
    /// The matrix of rows of `columns` counts, where column c counts size c + 1; `grey` names the rows.
    pub(crate) fn of_table(grey: &[u32], columns: usize, table: &[u64]) -> Self {
        let rows = || table.chunks_exact(columns.max(1));
        let mut totals = vec![0; columns];
        rows().for_each(|row| totals.iter_mut().zip(row).for_each(|(total, count)| *total += count));
        let used: Vec<usize> = (0..columns).filter(|&c| totals[c] > 0).collect();
        let used_rows = || grey.iter().zip(rows()).filter(|(_, row)| row.iter().any(|&count| count > 0));
        Self {
            grey: used_rows().map(|(&level, _)| level).collect(),
            sizes: used.iter().map(|&c| c as u32 + 1).collect(),
            counts: used_rows().flat_map(|(_, row)| used.iter().map(|&c| row[c] as f64)).collect(),
        }
    }

    /// The matrix of groups listed as (position of the level in `grey`, size, number of such groups).
    pub(crate) fn of_groups(grey: &[u32], groups: &[(usize, u32, u64)]) -> Self {
        let mut sizes: Vec<u32> = groups.iter().map(|&(_, size, _)| size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut table = vec![0; grey.len() * sizes.len()];
        for (row, size, count) in groups {
            if let Ok(column) = sizes.binary_search(size) {
                table[row * sizes.len() + column] += count;
            }
        }
        let dense = Self::of_table(grey, sizes.len(), &table);
        let sizes = dense.sizes.iter().map(|&column| sizes[column as usize - 1]).collect();
        Self { sizes, ..dense }
    }

    /// Sum of matrices, each times its weight.
    pub(crate) fn sum_of<'a>(weighted: impl IntoIterator<Item = (f64, &'a Self)>) -> Self {
        let weighted: Vec<(f64, &Self)> = weighted.into_iter().collect();
        let all = |of: fn(&Self) -> &[u32]| -> Vec<u32> {
            let mut values: Vec<u32> = weighted.iter().flat_map(|(_, matrix)| of(matrix)).copied().collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let (grey, sizes) = (all(|m| &m.grey), all(|m| &m.sizes));
        let mut counts = vec![0.0; grey.len() * sizes.len()];
        for (weight, matrix) in &weighted {
            for (level, row) in matrix.rows() {
                let start = grey.partition_point(|&g| g < level) * sizes.len();
                for (size, count) in matrix.sizes.iter().zip(row) {
                    counts[start + sizes.partition_point(|s| s < size)] += weight * count;
                }
            }
        }
        Self { grey, sizes, counts }
    }

    /// Each grey level with its counts.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u32, &[f64])> {
        self.grey.iter().copied().zip(self.counts.chunks_exact(self.sizes.len().max(1)))
    }

    /// Number of voxels in the groups, Σ size · count.
    pub(crate) fn voxels(&self) -> f64 {
        self.rows().flat_map(|(_, row)| row.iter().zip(&self.sizes)).map(|(count, &size)| count * f64::from(size)).sum()
    }

    /// The features; `None` when there is no group. `voxels` is the number that the percentage refers to; `epsilon` is
    /// added inside the logarithm of the entropy (PyRadiomics' guard against log 0; 0 for IBSI).
    pub(crate) fn emphases(&self, voxels: f64, epsilon: f64) -> Option<Emphases> {
        let by_grey: Vec<f64> = self.rows().map(|(_, row)| row.iter().sum()).collect();
        let mut by_size = vec![0.0; self.sizes.len()];
        self.rows().for_each(|(_, row)| by_size.iter_mut().zip(row).for_each(|(sum, count)| *sum += count));
        let total: f64 = by_grey.iter().sum();
        if total == 0.0 {
            return None;
        }
        let squares = |values: &[u32]| -> Vec<f64> { values.iter().map(|&v| f64::from(v).powi(2)).collect() };
        let (grey2, size2) = (squares(&self.grey), squares(&self.sizes));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / total;
        let quotient = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a / b).sum::<f64>() / total;
        let (mut joint, mut entropy, mut energy) = ([0.0; 4], 0.0, 0.0);
        for ((_, row), g2) in self.rows().zip(&grey2) {
            let (mut small, mut large) = (0.0, 0.0);
            for (&count, s2) in row.iter().zip(&size2).filter(|(count, _)| **count != 0.0) {
                small += count / s2;
                large += count * s2;
                let p = count / total;
                entropy -= p * (p + epsilon).log2();
                energy += p * p;
            }
            let terms = [small / g2, small * g2, large / g2, large * g2];
            joint.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term / total);
        }
        Some(Emphases {
            small: quotient(&by_size, &size2),
            large: dot(&by_size, &size2),
            low_grey: quotient(&by_grey, &grey2),
            high_grey: dot(&by_grey, &grey2),
            small_low_grey: joint[0],
            small_high_grey: joint[1],
            large_low_grey: joint[2],
            large_high_grey: joint[3],
            grey_non_uniformity: dot(&by_grey, &by_grey),
            grey_non_uniformity_normalised: dot(&by_grey, &by_grey) / total,
            size_non_uniformity: dot(&by_size, &by_size),
            size_non_uniformity_normalised: dot(&by_size, &by_size) / total,
            percentage: total / voxels,
            grey_variance: variance(&by_grey, &self.grey, total),
            size_variance: variance(&by_size, &self.sizes, total),
            entropy,
            energy,
        })
    }
}

fn variance(counts: &[f64], values: &[u32], total: f64) -> f64 {
    let moment = |about: f64, power| -> f64 {
        counts.iter().zip(values).map(|(count, &v)| count / total * (f64::from(v) - about).powi(power)).sum()
    };
    moment(moment(0.0, 1), 2)
}

/// Features of a [`SizeMatrix`] with counts P(i, j) of level i and size j, N = Σ P, p = P / N.
///
/// `small` is Σ P/j² / N, `large` is Σ P·j² / N, `low_grey` and `high_grey` the same of i, and the pairs of both; a
/// non-uniformity is Σ (marginal)² / N, normalised Σ (marginal)² / N²; `percentage` is N / voxels; variances are of
/// p's marginals; `entropy` is -Σ p log₂(p + ε); `energy` is Σ p².
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Emphases {
    pub(crate) small: f64,
    pub(crate) large: f64,
    pub(crate) low_grey: f64,
    pub(crate) high_grey: f64,
    pub(crate) small_low_grey: f64,
    pub(crate) small_high_grey: f64,
    pub(crate) large_low_grey: f64,
    pub(crate) large_high_grey: f64,
    pub(crate) grey_non_uniformity: f64,
    pub(crate) grey_non_uniformity_normalised: f64,
    pub(crate) size_non_uniformity: f64,
    pub(crate) size_non_uniformity_normalised: f64,
    pub(crate) percentage: f64,
    pub(crate) grey_variance: f64,
    pub(crate) size_variance: f64,
    pub(crate) entropy: f64,
    pub(crate) energy: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels 1 and 3, sizes 1 and 2: P = [2 1; 0 1], N = 4, voxels 2·1 + 1·2 + 1·2 = 6.
    fn matrix() -> SizeMatrix {
        SizeMatrix::of_table(&[1, 2, 3], 3, &[2, 1, 0, 0, 0, 0, 0, 1, 0])
    }

    #[test]
    fn empty_rows_and_columns_are_left_out() {
        let expected = SizeMatrix { grey: vec![1, 3], sizes: vec![1, 2], counts: vec![2.0, 1.0, 0.0, 1.0] };
        assert_eq!(matrix(), expected);
        assert_eq!(SizeMatrix::of_groups(&[1, 2, 3], &[(0, 2, 1), (2, 2, 1), (0, 1, 1), (0, 1, 1)]), expected);
        assert_eq!(expected.voxels(), 6.0);
    }

    #[test]
    fn a_sum_has_every_level_and_size() {
        let other = SizeMatrix { grey: vec![2, 3], sizes: vec![2, 5], counts: vec![0.0, 4.0, 1.0, 0.0] };
        let sum = SizeMatrix::sum_of([(1.0, &matrix()), (0.5, &other)]);
        let counts = vec![2.0, 1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 1.5, 0.0];
        assert_eq!(sum, SizeMatrix { grey: vec![1, 2, 3], sizes: vec![1, 2, 5], counts });
        assert_eq!(SizeMatrix::sum_of([]).emphases(1.0, 0.0), None);
    }

    #[test]
    fn emphases_by_hand() {
        let found = matrix().emphases(6.0, 0.0).unwrap();
        let expected = Emphases {
            small: (2.0 + 0.5) / 4.0,
            large: (2.0 + 8.0) / 4.0,
            low_grey: (3.0 + 1.0 / 9.0) / 4.0,
            high_grey: (3.0 + 9.0) / 4.0,
            small_low_grey: (2.25 + 0.25 / 9.0) / 4.0,
            small_high_grey: (2.25 + 0.25 * 9.0) / 4.0,
            large_low_grey: (6.0 + 4.0 / 9.0) / 4.0,
            large_high_grey: (6.0 + 36.0) / 4.0,
            grey_non_uniformity: (9.0 + 1.0) / 4.0,
            grey_non_uniformity_normalised: 10.0 / 16.0,
            size_non_uniformity: (4.0 + 4.0) / 4.0,
            size_non_uniformity_normalised: 0.5,
            percentage: 4.0 / 6.0,
            grey_variance: 0.75 * 0.25 + 0.25 * 2.25,
            size_variance: 0.25,
            entropy: 1.5,
            energy: 0.375,
        };
        assert_eq!(found, expected);
    }
}

use super::kernel::{Kernel, View};
use super::spectrum::spectral_radius;
use crate::glcm::{maximal_correlation, weight};
use crate::settings::Settings;
use crate::table::{NanReason, Outcome, or_nan};

/// The features in the order of the values here.
const NAMES: [&str; 24] = [
    "Autocorrelation",
    "JointAverage",
    "ClusterProminence",
    "ClusterShade",
    "ClusterTendency",
    "Contrast",
    "Correlation",
    "DifferenceAverage",
    "DifferenceEntropy",
    "DifferenceVariance",
    "JointEnergy",
    "JointEntropy",
    "Imc1",
    "Imc2",
    "Idm",
    "Idmn",
    "Id",
    "Idn",
    "InverseVariance",
    "MaximumProbability",
    "SumAverage",
    "SumEntropy",
    "SumSquares",
    "MCC",
];

/// Information below this is rounding.
const NO_INFORMATION: f64 = 1e-12;

/// The features of GLCM of one kernel after the other: those of [`crate::glcm::Glcm`], for matrices of a few dozen pairs
/// that are never laid out as a whole.
///
/// In terms of counts c of N pairs every entropy is `log₂ N - Σ c log₂ c / N`; and as `Σ p(i,j) log₂ px(i)py(j)` is the
/// sum of the marginals' entropies, so are HXY1 and HXY2. PyRadiomics' ε inside the logarithms changes the results by
/// less than 1e-11.
pub(super) struct Glcm<'a> {
    kernel: &'a Kernel,
    /// Weight of each step when the directions are merged.
    weights: Option<Vec<f64>>,
    symmetrical: bool,
    /// Highest grey level of the region.
    highest: f64,
    /// Number of the region's grey levels.
    levels: usize,
    with_mcc: bool,
    logs: &'a Logs,
    grey: Vec<f64>,
    /// Pairs of each two rows, and which of them there are.
    table: Vec<f64>,
    cells: Vec<(u16, u16)>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    differences: Histogram,
    sums: Histogram,
    matrix: Vec<f64>,
    off: Vec<f64>,
}

impl<'a> Glcm<'a> {
    pub(super) fn of(
        kernel: &'a Kernel,
        region_grey: &[u32],
        spacing_mm: [f64; 3],
        settings: &Settings,
        with_mcc: bool,
        logs: &'a Logs,
    ) -> Self {
        let weights = |norm| kernel.pairs.iter().map(move |along| weight(norm, along.step, spacing_mm)).collect();
        Self {
            kernel,
            weights: settings.weighting_norm.map(weights),
            symmetrical: settings.symmetrical_glcm,
            highest: region_grey.last().copied().map_or(0.0, f64::from),
            levels: region_grey.len(),
            with_mcc,
            logs,
            grey: Vec::new(),
            table: Vec::new(),
            cells: Vec::new(),
            rows: Vec::new(),
            columns: Vec::new(),
            differences: Histogram::default(),
            sums: Histogram::default(),
            matrix: Vec::new(),
            off: Vec::new(),
        }
    }

    /// The values of [`NAMES`]; NaN when no pair lies in the kernel.
    pub(super) fn features(&mut self, view: &View) -> [f64; NAMES.len()] {
        let side = view.grey.len();
        self.grey.clear();
        self.grey.extend(view.grey.iter().map(|&level| f64::from(level)));
        if self.table.len() < side * side {
            self.table.resize(side * side, 0.0);
        }
        let kernel = self.kernel;
        let (mut sums, mut matrices) = ([0.0; NAMES.len()], 0.0);
        for (index, along) in kernel.pairs.iter().enumerate() {
            let weight = self.weights.as_ref().map_or(1.0, |weights| weights[index]);
            self.count(view, &along.voxels, weight);
            if self.weights.is_none() && !self.cells.is_empty() {
                sums.iter_mut().zip(self.of_cells(side)).for_each(|(sum, value)| *sum += value);
                matrices += 1.0;
            }
        }
        if self.weights.is_some() && !self.cells.is_empty() {
            return self.of_cells(side);
        }
        sums.map(|sum| sum / matrices)
    }

    fn count(&mut self, view: &View, pairs: &[(u32, u32)], weight: f64) {
        let side = view.grey.len();
        for &(a, b) in pairs {
            let (i, j) = (view.rows[a as usize], view.rows[b as usize]);
            if i == 0 || j == 0 {
                continue;
            }
            let (i, j) = if self.symmetrical { (i.min(j) - 1, i.max(j) - 1) } else { (i - 1, j - 1) };
            let pairs = &mut self.table[usize::from(i) * side + usize::from(j)];
            if *pairs == 0.0 {
                self.cells.push((i, j));
            }
            *pairs += weight;
        }
    }

    /// The features of the pairs counted, which are forgotten.
    fn of_cells(&mut self, side: usize) -> [f64; NAMES.len()] {
        let total = self.marginals(side);
        let logs = self.logs;
        let mean = |marginal: &[f64]| -> f64 { dot(marginal, &self.grey) / total };
        let (mean_x, mean_y) = (mean(&self.rows), mean(&self.columns));
        let variance = |marginal: &[f64], mean: f64| -> f64 {
            marginal.iter().zip(&self.grey).map(|(count, g)| count * (g - mean).powi(2)).sum::<f64>() / total
        };
        let (variance_x, variance_y) = (variance(&self.rows, mean_x), variance(&self.columns, mean_y));
        let (mut autocorrelation, mut covariance, mut energy, mut maximum, mut joint) = (0.0, 0.0, 0.0, 0.0f64, 0.0);
        let lowest = self.grey[0];
        for &(i, j) in &self.cells {
            let (i, j) = (usize::from(i), usize::from(j));
            let (count, orders) = orders(self.symmetrical, i, j, self.table[i * side + j]);
            let (x, y) = (self.grey[i], self.grey[j]);
            let share = orders * count;
            autocorrelation += share * x * y;
            covariance += share * (x - mean_x) * (y - mean_y);
            energy += share * count;
            maximum = maximum.max(count);
            joint += orders * logs.plog(count);
            self.differences.add((x - y).abs() as usize, share);
            self.sums.add((x + y - 2.0 * lowest) as usize, share);
        }
        let mcc = if self.with_mcc { self.maximal_correlation(side, total) } else { f64::NAN };
        let entropy = |plogs: f64| logs.log(total) - plogs / total;
        let plogs = |counts: &[f64]| counts.iter().map(|&count| logs.plog(count)).sum::<f64>();
        let (entropy_x, entropy_y) = (entropy(plogs(&self.rows)), entropy(plogs(&self.columns)));
        let joint_entropy = entropy(joint);
        let information = entropy_x + entropy_y - joint_entropy;
        let information = if information < NO_INFORMATION { 0.0 } else { information };
        let larger = entropy_x.max(entropy_y);

        let (mut difference_average, mut contrast, mut difference_logs) = (0.0, 0.0, 0.0);
        let (mut idm, mut idmn, mut id, mut idn, mut inverse) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (k, share) in self.differences.bins() {
            difference_average += share * k;
            contrast += share * k * k;
            difference_logs += logs.plog(share);
            id += share / (1.0 + k);
            idm += share / (1.0 + k * k);
            idn += share / (1.0 + k / self.highest);
            idmn += share / (1.0 + k * k / (self.highest * self.highest));
            inverse += if k == 0.0 { 0.0 } else { share / (k * k) };
        }
        difference_average /= total;
        let spread = self.differences.bins().map(|(k, share)| share * (k - difference_average).powi(2)).sum::<f64>();
        let (mut cluster, mut sum_average, mut sum_logs) = ([0.0; 3], 0.0, 0.0);
        for (k, share) in self.sums.bins() {
            let sum = k + 2.0 * lowest;
            let deviation = sum - mean_x - mean_y;
            sum_average += share * sum;
            sum_logs += logs.plog(share);
            let square = deviation * deviation;
            cluster.iter_mut().zip([square, square * deviation, square * square]).for_each(|(c, t)| *c += share * t);
        }
        let (difference_entropy, sum_entropy) = (entropy(difference_logs), entropy(sum_logs));
        let deviations = variance_x.sqrt() * variance_y.sqrt();
        for &(i, j) in &self.cells {
            self.table[usize::from(i) * side + usize::from(j)] = 0.0;
        }
        self.cells.clear();
        self.differences.clear();
        self.sums.clear();
        [
            autocorrelation / total,
            mean_x,
            cluster[2] / total,
            cluster[1] / total,
            cluster[0] / total,
            contrast / total,
            if deviations == 0.0 { 1.0 } else { covariance / total / (deviations + f64::EPSILON) },
            difference_average,
            difference_entropy,
            spread / total,
            energy / (total * total),
            joint_entropy,
            if larger < NO_INFORMATION { 0.0 } else { -information / larger },
            (1.0 - (-2.0 * information).exp()).sqrt(),
            idm / total,
            idmn / total,
            id / total,
            idn / total,
            inverse / total,
            maximum / total,
            sum_average / total,
            sum_entropy,
            variance_x,
            mcc,
        ]
    }

    /// Sums the rows and columns of the matrix; returns the sum of all.
    fn marginals(&mut self, side: usize) -> f64 {
        for marginal in [&mut self.rows, &mut self.columns] {
            marginal.clear();
            marginal.resize(side, 0.0);
        }
        let mut total = 0.0;
        for &(i, j) in &self.cells {
            let (i, j) = (usize::from(i), usize::from(j));
            let pairs = self.table[i * side + j];
            self.rows[i] += pairs;
            self.columns[j] += pairs;
            total += pairs;
        }
        if !self.symmetrical {
            return total;
        }
        for (row, column) in self.rows.iter_mut().zip(&mut self.columns) {
            *row += *column;
            *column = *row;
        }
        2.0 * total
    }

    /// The root of the second largest eigenvalue of Q, see [`crate::glcm`].
    ///
    /// `S = D^-½ P D^-½` (`A Aᵀ` of an asymmetric `A = Dx^-½ P Dy^-½`) has the eigenvalue 1 with the vector √px; taking it
    /// away leaves the second as the spectral radius. 1 when the levels fall into groups that never meet.
    fn maximal_correlation(&mut self, side: usize, total: f64) -> f64 {
        if self.levels < 2 {
            return 1.0;
        }
        if self.weights.is_some() {
            return self.with_epsilon(side, total);
        }
        let occupied: Vec<usize> = (0..side).filter(|&i| self.rows[i] > 0.0).collect();
        if occupied.len() < 2 {
            return 0.0;
        }
        if self.falls_apart(side) {
            return 1.0;
        }
        if self.symmetrical
            && let [i, j] = occupied[..]
        {
            let share = |i: usize, j: usize| orders(true, i, j, self.table[i * side + j]).0 / total;
            let second = second_of_two([share(i, i), share(i, j), share(j, j)]);
            return if second < 0.0 && self.levels > 2 { 0.0 } else { second.sqrt() };
        }
        let n = occupied.len();
        let mut index = vec![0; side];
        occupied.iter().enumerate().for_each(|(k, &i)| index[i] = k);
        self.matrix.clear();
        self.matrix.resize(n * n, 0.0);
        let root = |count: f64| count.sqrt();
        for (a, &i) in occupied.iter().enumerate() {
            for (b, &j) in occupied.iter().enumerate() {
                self.matrix[a * n + b] = -root(self.rows[i]) * root(self.rows[j]) / total;
            }
        }
        if self.symmetrical {
            for &(i, j) in &self.cells {
                let (i, j) = (usize::from(i), usize::from(j));
                let (pairs, _) = orders(self.symmetrical, i, j, self.table[i * side + j]);
                let element = pairs / (root(self.rows[i]) * root(self.rows[j]));
                let (a, b) = (index[i], index[j]);
                self.matrix[a * n + b] += element;
                if a != b {
                    self.matrix[b * n + a] += element;
                }
            }
            return spectral_radius(&mut self.matrix, n, &mut self.off);
        }
        for &(i, k) in &self.cells {
            for &(j, l) in &self.cells {
                if k == l {
                    let (i, j, k) = (usize::from(i), usize::from(j), usize::from(k));
                    let element = self.table[i * side + k] * self.table[j * side + k]
                        / (root(self.rows[i]) * root(self.rows[j]) * self.columns[k]);
                    self.matrix[index[i] * n + index[j]] += element;
                }
            }
        }
        spectral_radius(&mut self.matrix, n, &mut self.off).sqrt()
    }

    /// Weights may be so small that ε counts.
    fn with_epsilon(&self, side: usize, total: f64) -> f64 {
        let mut p = vec![0.0; side * side];
        for &(i, j) in &self.cells {
            let (i, j) = (usize::from(i), usize::from(j));
            let (pairs, _) = orders(self.symmetrical, i, j, self.table[i * side + j]);
            p[i * side + j] = pairs / total;
            if self.symmetrical {
                p[j * side + i] = pairs / total;
            }
        }
        let share = |counts: &[f64]| -> Vec<f64> { counts.iter().map(|count| count / total).collect() };
        let occupied = self.rows.iter().filter(|count| **count > 0.0).count();
        if occupied < 2 { 0.0 } else { maximal_correlation(&p, &share(&self.rows), &share(&self.columns)) }
    }

    /// Whether rows and columns form groups without a cell in common.
    fn falls_apart(&mut self, side: usize) -> bool {
        let column = if self.symmetrical { 0 } else { side };
        let mut group: Vec<usize> = (0..side + column).collect();
        let find = |group: &mut [usize], mut a: usize| {
            while group[a] != a {
                group[a] = group[group[a]];
                a = group[a];
            }
            a
        };
        for &(i, j) in &self.cells {
            let (a, b) = (find(&mut group, usize::from(i)), find(&mut group, usize::from(j) + column));
            group[a.max(b)] = a.min(b);
        }
        let roots = (0..side).filter(|&i| self.rows[i] > 0.0).map(|i| find(&mut group, i));
        let mut roots: Vec<usize> = roots.collect();
        roots.dedup();
        roots.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// The value of one feature among those of [`NAMES`].
pub(super) fn feature(values: &[f64; NAMES.len()], name: &str) -> Outcome {
    let index = NAMES.iter().position(|known| *known == name).ok_or(NanReason::Undefined)?;
    or_nan(
        values[index],
        if name == "MCC" && !values[0].is_nan() { NanReason::NoConvergence } else { NanReason::NoPairs },
    )
}

/// Pairs in the cell (i, j) and in how many cells: counted both ways, a cell off the diagonal stands for two.
fn orders(symmetrical: bool, i: usize, j: usize, pairs: f64) -> (f64, f64) {
    match (symmetrical, i == j) {
        (false, _) => (pairs, 1.0),
        (true, true) => (2.0 * pairs, 1.0),
        (true, false) => (pairs, 2.0),
    }
}

/// log₂ of small whole numbers, and of any other.
pub(super) struct Logs(Vec<f64>);

impl Logs {
    pub(super) fn new() -> Self {
        Self((0..4096).map(|count| f64::from(count.max(1)).log2()).collect())
    }

    fn log(&self, count: f64) -> f64 {
        let whole = count as usize;
        if whole < self.0.len() && whole as f64 == count { self.0[whole] } else { count.log2() }
    }

    /// c log₂ c, 0 for 0.
    fn plog(&self, count: f64) -> f64 {
        if count == 0.0 { 0.0 } else { count * self.log(count) }
    }
}

/// The smaller eigenvalue of Q for the symmetric probabilities p00, p01, p11 of two levels.
///
/// Where the levels are independent it is 0, and rounding leaves ±1e-16: a root of 1e-8, or of a negative number. So that
/// such a direction has the value that PyRadiomics averages, Q is summed as there and solved as LAPACK's `dlanv2` solves
/// a block of two rows.
fn second_of_two([p00, p01, p11]: [f64; 3]) -> f64 {
    let (x, y) = (p00 + p01, p01 + p11);
    let q = |a: [f64; 2], b: [f64; 2], marginal: f64| {
        a[0] * b[0] / (marginal * x + f64::EPSILON) + a[1] * b[1] / (marginal * y + f64::EPSILON)
    };
    let (first, second) = ([p00, p01], [p01, p11]);
    let (a, b, c, d) = (q(first, first, x), q(first, second, x), q(second, first, y), q(second, second, y));
    let half = 0.5 * (a - d);
    let (larger, smaller) = (b.max(c), b.min(c));
    if larger == 0.0 {
        return a.min(d);
    }
    let scale = half.abs().max(larger);
    let square = half / scale * half + larger / scale * smaller;
    let root = half + (scale.sqrt() * square.sqrt()).copysign(half);
    (d + root).min(d - larger / root * smaller)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Sums by a small whole number, of which few occur.
#[derive(Default)]
struct Histogram {
    sums: Vec<f64>,
    occupied: Vec<usize>,
}

impl Histogram {
    fn add(&mut self, bin: usize, share: f64) {
        if bin >= self.sums.len() {
            self.sums.resize(bin + 1, 0.0);
        }
        if self.sums[bin] == 0.0 {
            self.occupied.push(bin);
        }
        self.sums[bin] += share;
    }

    fn bins(&self) -> impl Iterator<Item = (f64, f64)> {
        self.occupied.iter().map(|&bin| (bin as f64, self.sums[bin]))
    }

    fn clear(&mut self) {
        self.occupied.drain(..).for_each(|bin| self.sums[bin] = 0.0);
    }
}

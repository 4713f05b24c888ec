use std::ops::Range;

/// Lines that are filtered side by side.
pub(super) const LANES: usize = 8;

/// Terms of each sum, and the fewest positions of a line.
pub(super) const ORDER: usize = 4;

/// One position of all lines of a block.
pub(super) type Lanes = [f64; LANES];

/// The recursive filter of a Gaussian or of its second derivative along a line.
///
/// R. Deriche, Recursively implementing the Gaussian and its derivatives, INRIA 1893 (1993), with the coefficients of
/// G. Farnebäck and C.-F. Westin, Improving Deriche-style recursive Gaussian filters (2006), as ITK has them. The fourth
/// order causal and anticausal parts add up; both start as if the end voxels went on for ever. Every product and sum is
/// rounded in ITK's order, so that a line filtered whole is equal to ITK's to the last bit.
#[derive(Debug, Clone, Copy)]
pub(super) struct RecursiveGaussian {
    /// Causal weights of voxels at 0, -1, -2, -3.
    n: [f64; 4],
    /// Anticausal weights of voxels at 1, 2, 3, 4.
    m: [f64; 4],
    /// Feedback of results at 1 to 4 before or after.
    d: [f64; 4],
    /// Feedback of the end voxel before the first and after the last result.
    bn: [f64; 4],
    bm: [f64; 4],
}

/// Amplitudes and frequencies of the two damped oscillations that fit a Gaussian (0) and its second derivative (2).
const A1: [f64; 2] = [1.3530, -1.3563];
const B1: [f64; 2] = [1.8151, 5.2318];
const A2: [f64; 2] = [-0.3531, 0.3446];
const B2: [f64; 2] = [0.0902, -2.2355];
const W1: f64 = 0.6681;
const L1: f64 = -1.3932;
const W2: f64 = 2.0787;
const L2: f64 = -1.3732;

/// The weights of one of the two filters and their sums `Σ n`, `Σ k n` and `Σ k² n`.
struct Causal {
    n: [f64; 4],
    sums: [f64; 3],
}

impl Causal {
    fn of(sigma: f64, order: usize) -> Self {
        let (a1, b1, a2, b2) = (A1[order], B1[order], A2[order], B2[order]);
        let ((sin1, cos1), (sin2, cos2)) = ((W1 / sigma).sin_cos(), (W2 / sigma).sin_cos());
        let (exp1, exp2) = ((L1 / sigma).exp(), (L2 / sigma).exp());
        let n0 = a1 + a2;
        let mut n1 = exp2 * (b2 * sin2 - (a2 + 2.0 * a1) * cos2);
        n1 += exp1 * (b1 * sin1 - (a1 + 2.0 * a2) * cos1);
        let mut n2 = (a1 + a2) * cos2 * cos1;
        n2 -= b1 * cos2 * sin1 + b2 * cos1 * sin2;
        n2 *= 2.0 * exp1 * exp2;
        n2 += a2 * exp1 * exp1 + a1 * exp2 * exp2;
        let mut n3 = exp2 * exp1 * exp1 * (b2 * sin2 - a2 * cos2);
        n3 += exp1 * exp2 * exp2 * (b1 * sin1 - a1 * cos1);
        let sums = [n0 + n1 + n2 + n3, n1 + 2.0 * n2 + 3.0 * n3, n1 + 4.0 * n2 + 9.0 * n3];
        Self { n: [n0, n1, n2, n3], sums }
    }
}

/// Feedback weights and their sums `1 + Σ d`, `Σ k d` and `Σ k² d`.
fn feedback(sigma: f64) -> ([f64; 4], [f64; 3]) {
    let (cos1, cos2) = ((W1 / sigma).cos(), (W2 / sigma).cos());
    let (exp1, exp2) = ((L1 / sigma).exp(), (L2 / sigma).exp());
    let d4 = exp1 * exp1 * exp2 * exp2;
    let mut d3 = -2.0 * cos1 * exp1 * exp2 * exp2;
    d3 += -2.0 * cos2 * exp2 * exp1 * exp1;
    let mut d2 = 4.0 * cos2 * cos1 * exp1 * exp2;
    d2 += exp1 * exp1 + exp2 * exp2;
    let d1 = -2.0 * (exp2 * cos2 + exp1 * cos1);
    let sums = [1.0 + d1 + d2 + d3 + d4, d1 + 2.0 * d2 + 3.0 * d3 + 4.0 * d4, d1 + 4.0 * d2 + 9.0 * d3 + 16.0 * d4];
    ([d1, d2, d3, d4], sums)
}

impl RecursiveGaussian {
    /// The smoothing filter for a standard deviation in voxels.
    pub(super) fn smoothing(sigma: f64) -> Self {
        let (d, [sd, ..]) = feedback(sigma);
        let Causal { n, sums } = Causal::of(sigma, 0);
        let gain = 2.0 * sums[0] / sd - n[0];
        Self::symmetric(n.map(|n| n * (1.0 / gain)), d)
    }

    /// The second derivative, times `scale`, for a standard deviation in voxels.
    pub(super) fn second_derivative(sigma: f64, scale: f64) -> Self {
        let (d, [sd, dd, ed]) = feedback(sigma);
        let (smooth, curved) = (Causal::of(sigma, 0), Causal::of(sigma, 1));
        let beta = -(2.0 * curved.sums[0] - sd * curved.n[0]) / (2.0 * smooth.sums[0] - sd * smooth.n[0]);
        let n: [f64; 4] = std::array::from_fn(|k| curved.n[k] + beta * smooth.n[k]);
        let [sn, dn, en]: [f64; 3] = std::array::from_fn(|k| curved.sums[k] + beta * smooth.sums[k]);
        let mut gain = en * sd * sd - ed * sn * sd - 2.0 * dn * dd * sd + 2.0 * dd * dd * sn;
        gain /= sd * sd * sd;
        Self::symmetric(n.map(|n| n * (scale / gain)), d)
    }

    /// The filter whose anticausal part mirrors the causal one.
    fn symmetric(n: [f64; 4], d: [f64; 4]) -> Self {
        let m = [n[1] - d[0] * n[0], n[2] - d[1] * n[0], n[3] - d[2] * n[0], -d[3] * n[0]];
        let sn = n[0] + n[1] + n[2] + n[3];
        let sm = m[0] + m[1] + m[2] + m[3];
        let sd = 1.0 + d[0] + d[1] + d[2] + d[3];
        Self { n, m, d, bn: d.map(|d| d * sn / sd), bm: d.map(|d| d * sm / sd) }
    }

    /// Voxels after which what lies beyond no longer changes a result: the slower pole, of magnitude `exp(L2 / sigma)`,
    /// has fallen below 2^-50, which changes the last bit of an f32 result in less than one of ten million.
    pub(super) fn reach(sigma: f64) -> usize {
        (50.0 * std::f64::consts::LN_2 / -L2 * sigma).ceil() as usize + 2
    }

    /// The causal and the anticausal results of the lines in `voxels`, of at least [`ORDER`] positions, at the positions `kept`;
    /// their sum is the result. Neither part is followed beyond them.
    pub(super) fn filter(&self, voxels: &[Lanes], kept: Range<usize>, causal: &mut [Lanes], anticausal: &mut [Lanes]) {
        self.forward(voxels, kept.end, causal);
        self.backward(voxels, kept.start, anticausal);
    }

    fn forward(&self, voxels: &[Lanes], end: usize, out: &mut [Lanes]) {
        let first = voxels[0];
        for i in 0..ORDER {
            let voxel = |k: usize| if k <= i { &voxels[i - k] } else { &first };
            let result = |k: usize| if k < i { &out[i - 1 - k] } else { &first };
            let feed = std::array::from_fn(|k| if k < i { self.d[k] } else { self.bn[k] });
            out[i] = step([voxel(0), voxel(1), voxel(2), voxel(3)], &self.n, [0, 1, 2, 3].map(result), &feed);
        }
        for i in ORDER..end {
            let (done, rest) = out.split_at_mut(i);
            let (Some([v3, v2, v1, v0]), Some([r3, r2, r1, r0])) = (voxels[..=i].last_chunk(), done.last_chunk())
            else {
                return;
            };
            rest[0] = step([v0, v1, v2, v3], &self.n, [r0, r1, r2, r3], &self.d);
        }
    }

    fn backward(&self, voxels: &[Lanes], start: usize, out: &mut [Lanes]) {
        let size = voxels.len();
        let last = voxels[size - 1];
        for i in 0..ORDER {
            let voxel = |k: usize| if k < i { &voxels[size - i + k] } else { &last };
            let result = |k: usize| if k < i { &out[size - i + k] } else { &last };
            let feed = std::array::from_fn(|k| if k < i { self.d[k] } else { self.bm[k] });
            out[size - 1 - i] =
                step([voxel(0), voxel(1), voxel(2), voxel(3)], &self.m, [0, 1, 2, 3].map(result), &feed);
        }
        for i in (start..size - ORDER).rev() {
            let (rest, done) = out.split_at_mut(i + 1);
            let (Some([v0, v1, v2, v3]), Some([r0, r1, r2, r3])) = (voxels[i + 1..].first_chunk(), done.first_chunk())
            else {
                return;
            };
            rest[i] = step([v0, v1, v2, v3], &self.m, [r0, r1, r2, r3], &self.d);
        }
    }
}

/// `Σ weights · voxels - Σ feed · results`, each sum from the nearest position outward.
#[inline(always)]
fn step(voxels: [&Lanes; ORDER], weights: &[f64; ORDER], results: [&Lanes; ORDER], feed: &[f64; ORDER]) -> Lanes {
    let sum = |terms: [&Lanes; ORDER], factors: &[f64; ORDER], lane: usize| {
        terms[0][lane] * factors[0]
            + terms[1][lane] * factors[1]
            + terms[2][lane] * factors[2]
            + terms[3][lane] * factors[3]
    };
    std::array::from_fn(|lane| sum(voxels, weights, lane) - sum(results, feed, lane))
}

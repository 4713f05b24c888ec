use std::collections::BTreeMap;

/// Patches of one size, one after the other: `channels` images of `size` voxels x, y, z each.
#[derive(Debug, Clone, Copy)]
pub struct Patches<'a> {
    /// Voxels, x fastest.
    pub voxels: &'a [f32],
    /// Voxels of a patch along x, y, z.
    pub size: [usize; 3],
    /// Images per patch.
    pub channels: usize,
}

/// How good a translation of held-out patches is; lower is better.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The sum that a training is judged by.
    pub score: f64,
    /// Its terms by name.
    pub terms: BTreeMap<&'static str, f64>,
}

/// A gradient below this share of the truth's range is none.
const FLAT: f64 = 0.02;
/// Gradients far below this share of the range are alike, whatever their ratio.
const FAINT: f64 = 0.002;

/// Scores translations against their truth: `score = mae + invented`.
///
/// Both are shares of the truth's range `r`, its 99th less its 1st percentile. `mae` is the mean of `|t - y|`. `invented`
/// is the root of the mean of `|grad (t - y)|^2` over the voxels where the truth is flat, `|grad y| <= 0.02 r`: what is
/// structure there was made up. Gradients are differences to the next voxel along each axis. Worked case: a truth of 0 and
/// 100 in two flat halves and a translation that is right but for one voxel of 8 that is off by 10 has `mae = 1/80`; the
/// differences on both sides of that voxel are its invention.
pub fn score_against_truth(translated: &Patches<'_>, truth: &Patches<'_>) -> Score {
    let range = spread(truth.voxels);
    let pairs = || translated.voxels.iter().zip(truth.voxels).map(|(t, y)| f64::from(*t) - f64::from(*y));
    let count = translated.voxels.len().max(1) as f64;
    let mae = pairs().map(f64::abs).sum::<f64>() / count / range;
    let error: Vec<f32> = pairs().map(|error| error as f32).collect();
    let error = Patches { voxels: &error, ..*truth };
    let (mut sum, mut flat) = (0.0, 0u64);
    for at in 0..truth.voxels.len() {
        if norm(truth.gradient(at)) <= FLAT * range {
            sum += norm(error.gradient(at)).powi(2);
            flat += 1;
        }
    }
    let invented = if flat > 0 { (sum / flat as f64).sqrt() / range } else { 0.0 };
    Score::of([("mae", mae), ("invented", invented)], mae + invented)
}

/// Scores translations without a truth: `score = intensity + texture + 1 - structure`.
///
/// `intensity` is the mean distance between the 1st to 99th percentiles of translations and targets, as a share of the
/// targets' range; `texture` is the mean of `|ln((a + f) / (b + f))|` over the same percentiles of the lengths of gradients,
/// `f` 0.002 of that range, so that noise counts as much as edges do. `structure` is the share of the translations'
/// gradients that lies along a gradient of the source: the mean, weighted by `|grad t|`, of
/// `max over channels of (grad s . grad t)^2 / ((|grad s|^2 + e^2) |grad t|^2)` with `e` 0.02 of the source's range
/// (normalised gradient fields, Haber and Modersitzki 2006). Edges that the source does not have lower it, whatever the
/// contrast. A finer translation is compared after taking the mean over each coarse voxel, of size `source.size`.
pub fn score_without_truth(translated: &Patches<'_>, source: &Patches<'_>, target: &Patches<'_>) -> Score {
    let intensity = distance(translated.voxels, target.voxels, spread(target.voxels));
    let [of_translated, of_target] = [translated, target].map(Patches::gradient_lengths);
    let texture = ratio(&of_translated, &of_target, FAINT * spread(target.voxels));
    let structure = structure(&translated.mean_over(source.size), source);
    let terms = [("intensity", intensity), ("texture", texture), ("structure", structure)];
    Score::of(terms, intensity + texture + 1.0 - structure)
}

impl Score {
    /// The mean of scores with the same terms.
    pub fn mean(scores: &[Self]) -> Self {
        let mean = |of: &dyn Fn(&Self) -> f64| scores.iter().map(of).sum::<f64>() / scores.len().max(1) as f64;
        let names = scores.first().map(|score| score.terms.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
        let terms = names.into_iter().map(|name| (name, mean(&|score| score.terms[name]))).collect();
        Self { score: mean(&|score| score.score), terms }
    }

    fn of<const N: usize>(terms: [(&'static str, f64); N], score: f64) -> Self {
        Self { score, terms: terms.into() }
    }
}

impl Patches<'_> {
    /// Difference to the next voxel along x, y and z, inside one image of one patch; 0 at its end.
    fn gradient(&self, at: usize) -> [f64; 3] {
        let [nx, ny, nz] = self.size;
        let steps = [(at % nx + 1 < nx, 1), (at / nx % ny + 1 < ny, nx), (at / (nx * ny) % nz + 1 < nz, nx * ny)];
        steps.map(
            |(inside, step)| {
                if inside { f64::from(self.voxels[at + step]) - f64::from(self.voxels[at]) } else { 0.0 }
            },
        )
    }

    fn gradient_lengths(&self) -> Vec<f32> {
        (0..self.voxels.len()).map(|at| norm(self.gradient(at)) as f32).collect()
    }

    /// The mean over boxes, so that a patch has `size` voxels.
    fn mean_over(&self, size: [usize; 3]) -> Vec<f32> {
        let f: [usize; 3] = std::array::from_fn(|a| (self.size[a] / size[a].max(1)).max(1));
        if f == [1; 3] {
            return self.voxels.to_vec();
        }
        let [nx, ny, _] = size;
        let image: usize = self.size.iter().product();
        let mean = |base: usize, at: usize| {
            let first = [at % nx * f[0], at / nx % ny * f[1], at / (nx * ny) * f[2]];
            let steps = (0..f[2]).flat_map(|k| (0..f[1]).flat_map(move |j| (0..f[0]).map(move |i| [i, j, k])));
            let values = steps.map(|[i, j, k]| {
                let place = ((first[2] + k) * self.size[1] + first[1] + j) * self.size[0] + first[0] + i;
                f64::from(self.voxels[base + place])
            });
            (values.sum::<f64>() / f.iter().product::<usize>() as f64) as f32
        };
        let coarse: usize = size.iter().product();
        let images = self.voxels.len() / image.max(1);
        (0..images).flat_map(|n| (0..coarse).map(move |at| (n, at))).map(|(n, at)| mean(n * image, at)).collect()
    }
}

/// See [`score_without_truth`]; `translated` has one image for each patch of the source.
fn structure(translated: &[f32], source: &Patches<'_>) -> f64 {
    let voxels: usize = source.size.iter().product();
    let small = (FLAT * spread(source.voxels)).powi(2);
    let made = Patches { voxels: translated, size: source.size, channels: 1 };
    let (mut aligned, mut weight) = (0.0, 0.0);
    for at in 0..translated.len() {
        let t = made.gradient(at);
        let length = norm(t);
        if length <= 0.0 {
            continue;
        }
        let of_channel = |channel: usize| {
            let place = (at / voxels * source.channels + channel) * voxels + at % voxels;
            let s = source.gradient(place);
            let along: f64 = s.iter().zip(t).map(|(s, t)| s * t).sum();
            along.powi(2) / ((norm(s).powi(2) + small) * length.powi(2)).max(f64::MIN_POSITIVE)
        };
        aligned += length * (0..source.channels).map(of_channel).fold(0.0, f64::max);
        weight += length;
    }
    if weight > 0.0 { aligned / weight } else { 1.0 }
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The 99th less the 1st percentile, or 1 where they are the same.
fn spread(values: &[f32]) -> f64 {
    let [low, high] = percentiles(values, [1, 99]);
    if high > low { high - low } else { 1.0 }
}

/// The mean distance between the 1st to 99th percentiles, in units of `range`.
fn distance(a: &[f32], b: &[f32], range: f64) -> f64 {
    let all: [usize; 99] = std::array::from_fn(|p| p + 1);
    let [a, b] = [a, b].map(|values| percentiles(values, all));
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 99.0 / range
}

/// The mean distance between the logarithms of the 1st to 99th percentiles, each raised by `faint`.
fn ratio(a: &[f32], b: &[f32], faint: f64) -> f64 {
    let all: [usize; 99] = std::array::from_fn(|p| p + 1);
    let [a, b] = [a, b].map(|values| percentiles(values, all));
    a.iter().zip(b).map(|(a, b)| ((a + faint) / (b + faint)).ln().abs()).sum::<f64>() / 99.0
}

/// Values below which so many hundredths lie: the nearest rank.
fn percentiles<const N: usize>(values: &[f32], wanted: [usize; N]) -> [f64; N] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let last = sorted.len().saturating_sub(1);
    wanted.map(|p| sorted.get((p * last + 50) / 100).map_or(0.0, |&v| f64::from(v)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patches(voxels: &[f32]) -> Patches<'_> {
        Patches { voxels, size: [8, 1, 1], channels: 1 }
    }

    #[test]
    fn the_truth_itself_has_score_0() {
        let truth = [0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0];
        assert_eq!(score_against_truth(&patches(&truth), &patches(&truth)).score, 0.0);
    }

    #[test]
    fn what_stands_where_the_truth_is_flat_is_invented() {
        let truth = [0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0];
        let mut made = truth;
        made[1] = 10.0;
        let score = score_against_truth(&patches(&made), &patches(&truth));
        assert!((score.terms["mae"] - 1.0 / 80.0).abs() < 1e-9);
        // Seven of eight voxels are flat; two have a difference of 0.1.
        assert!((score.terms["invented"] - (2.0_f64 * 0.01 / 7.0).sqrt()).abs() < 1e-9);
        // The same error spread evenly invents nothing.
        let moved = truth.map(|v| v + 10.0 / 8.0);
        let even = score_against_truth(&patches(&moved), &patches(&truth));
        assert!((even.terms["mae"] - score.terms["mae"]).abs() < 1e-9 && even.terms["invented"] == 0.0);
        assert!(even.score < score.score);
    }

    #[test]
    fn unpaired_edges_that_the_source_lacks_cost_structure() {
        let source = [0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0];
        let target: [f32; 8] = source.map(|v| 200.0 - v);
        let (from, to) = (patches(&source), patches(&target));
        let inverted = score_without_truth(&patches(&target), &from, &to);
        assert!(inverted.terms["intensity"] == 0.0 && inverted.terms["texture"] == 0.0, "{inverted:?}");
        assert!((inverted.terms["structure"] - 1.0 / 1.0004).abs() < 1e-9);
        let mut made = target;
        made[6] = 200.0;
        let worse = score_without_truth(&patches(&made), &from, &to);
        // A third of the gradient stands where the source has an edge.
        assert!((worse.terms["structure"] - 1.0 / 3.0 / 1.0004).abs() < 1e-9, "{worse:?}");
        assert!(worse.score > inverted.score + 0.6);
        let untouched = score_without_truth(&from, &from, &to);
        assert!(untouched.terms["intensity"] > 0.9, "{untouched:?}");
    }

    #[test]
    fn noise_twice_as_strong_as_the_target_s_costs_the_logarithm_of_two() {
        // Steps of 0, 10, 0, 10 ... on a target whose range is 10, and twice that.
        let target: Vec<f32> = (0..64).map(|i| if i % 2 == 0 { 0.0 } else { 10.0 }).collect();
        let loud: Vec<f32> = target.iter().map(|v| 2.0 * v).collect();
        let long = |voxels| Patches { voxels, size: [64, 1, 1], channels: 1 };
        let (made, goal) = (long(&loud), long(&target));
        let [found, none] = [&made, &goal].map(|made| score_without_truth(made, &made.clone(), &goal));
        let expected = (20.02_f64 / 10.02).ln();
        // All gradients but that behind the last voxel, which is none.
        assert!((found.terms["texture"] - expected).abs() < 0.02, "{found:?}");
        assert_eq!(none.terms["texture"], 0.0);
        let mean = Score::mean(&[found.clone(), none.clone()]);
        assert!((mean.terms["texture"] - found.terms["texture"] / 2.0).abs() < 1e-12);
        assert!((mean.score - (found.score + none.score) / 2.0).abs() < 1e-12);
    }

    #[test]
    fn several_channels_and_finer_translations_are_compared_with_the_source() {
        let edge = [0.0, 0.0, 0.0, 0.0, 100.0, 100.0, 100.0, 100.0];
        let two: Vec<f32> = [0.0; 8].into_iter().chain(edge).collect();
        let source = Patches { voxels: &two, size: [8, 1, 1], channels: 2 };
        let found = score_without_truth(&patches(&edge), &source, &patches(&edge));
        assert!(found.terms["structure"] > 0.999);
        let fine: Vec<f32> = edge.iter().flat_map(|&v| [v, v]).collect();
        let fine = Patches { voxels: &fine, size: [16, 1, 1], channels: 1 };
        assert!(score_without_truth(&fine, &source, &fine).terms["structure"] > 0.999);
    }
}

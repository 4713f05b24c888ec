use crate::histogram::{Region, Summary};
use crate::{Error, IntensityCurve, Mask, Volume};

/// How [`match_histogram`] takes landmarks from a histogram. The default is that of ITK: 256 bins, 1 point, threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HistogramMatching {
    /// Number of bins, 2 to 2^20.
    pub bins: usize,
    /// Number of quantiles between the ends, 1 to 4096.
    pub points: usize,
    /// Leaves the voxels below the mean (most of them air) out of the histogram.
    pub threshold_at_mean: bool,
}

impl Default for HistogramMatching {
    fn default() -> Self {
        Self { bins: 256, points: 1, threshold_at_mean: true }
    }
}

/// Changes the intensities of `source` so that its landmarks lie where those of `reference` do, and gives the curve that
/// [takes it back](IntensityCurve::inverse). The modality stays, the unit becomes the reference's.
///
/// Landmarks of an image, over the finite voxels of its region (all without a mask), with `m` = `points`:
///
/// - the minimum, the threshold `t` (the mean; the minimum without `threshold_at_mean`) and the maximum;
/// - the quantiles `j / (m + 1)`, `j = 1..m`, of the histogram that counts the voxels of at least `t` in `bins` bins of
///   equal width from `t` to the maximum. A quantile lies in its bin at the same part of the bin's width as its share lies
///   between those before and after the bin; for this the first bin begins at the minimum. Shares below 1/2 are
///   cumulated from below, others from above.
///
/// The curve is linear between landmarks and applies to every voxel; outside the region's range its outer pieces go on.
/// Everything, the f32 bin edges too, is as in ITK's `HistogramMatchingImageFilter`, with one difference: a quantile that
/// falls below `t`, because the first bin holds much and begins at the minimum, is raised to `t`, so that the curve
/// never falls. L. G. Nyúl, J. K. Udupa, X. Zhang, IEEE Trans. Med. Imaging 19 (2000) 143-150.
///
/// The bundled plugin `histogram` does the same inside a bundle, with the first bin beginning at `t`; it may not use the
/// engine, so it has code of its own.
///
/// # Errors
/// [`Error::InvalidArgument`] for bins or points out of range, [`Error::GeometryMismatch`] and [`Error::EmptyMask`] for a
/// mask, [`Error::FlatIntensities`] when a region has no two different finite values (NaN when it has none).
pub fn match_histogram(
    source: &Volume,
    source_mask: Option<&Mask>,
    reference: &Volume,
    reference_mask: Option<&Mask>,
    rule: HistogramMatching,
) -> Result<(Volume, IntensityCurve), Error> {
    if !(2..=1 << 20).contains(&rule.bins) || !(1..=4096).contains(&rule.points) {
        return Err(Error::InvalidArgument {
            name: "histogram matching",
            expected: "2 to 1048576 bins and 1 to 4096 points",
            found: format!("{} bins, {} points", rule.bins, rule.points),
        });
    }
    let from = landmarks(&Region::new(source, source_mask)?, rule)?;
    let to = landmarks(&Region::new(reference, reference_mask)?, rule)?;
    let curve = IntensityCurve::new(from, to)?;
    Ok((curve.apply(source, reference.unit()), curve))
}

fn landmarks(region: &Region, rule: HistogramMatching) -> Result<Vec<f64>, Error> {
    let Summary { count, min, max, sum } = region.summary();
    if min >= max || count == 0 {
        return Err(Error::FlatIntensities { value: if count == 0 { f32::NAN } else { min } });
    }
    let low = if rule.threshold_at_mean { ((sum / count as f64) as f32).clamp(min, max) } else { min };
    let edges = edges(low, min, max, rule.bins);
    let per_unit = rule.bins as f32 / (max - low);
    let counts =
        region.counts(rule.bins, |v| (v >= low).then(|| bin(&edges, ((v - low) * per_unit) as u32 as usize, v)));
    let mut landmarks = if rule.threshold_at_mean { vec![f64::from(min)] } else { Vec::new() };
    landmarks.push(f64::from(low));
    let points = rule.points as f64 + 1.0;
    for point in 1..=rule.points {
        let quantile = quantile(&counts, &edges, point as f64 * (1.0 / points));
        let before = landmarks[landmarks.len() - 1];
        landmarks.push(quantile.clamp(before, f64::from(max)));
    }
    landmarks.push(f64::from(max));
    Ok(landmarks)
}

/// The lower edges of the bins and the upper edge of the last, in f32 as ITK has them.
fn edges(low: f32, min: f32, max: f32, bins: usize) -> Vec<f32> {
    let width = (max - low) / bins as f32;
    let mut edges = (0..bins).map(|bin| low + bin as f32 * width).collect::<Vec<_>>();
    edges[0] = min;
    edges.push(max);
    edges
}

fn bin(edges: &[f32], guess: usize, value: f32) -> usize {
    let mut bin = guess.min(edges.len() - 2);
    while bin > 0 && value < edges[bin] {
        bin -= 1;
    }
    while bin + 2 < edges.len() && value >= edges[bin + 1] {
        bin += 1;
    }
    bin
}

fn quantile(counts: &[u64], edges: &[f32], share: f64) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    let ends = |bin: usize| (f64::from(edges[bin]), f64::from(edges[bin + 1]));
    let mut sum = 0;
    if share < 0.5 {
        let mut before = 0.0;
        for (bin, &count) in counts.iter().enumerate() {
            sum += count;
            let after = sum as f64 / total;
            if after >= share {
                let (low, high) = ends(bin);
                return low + (share - before) / (count as f64 / total) * (high - low);
            }
            before = after;
        }
    }
    let mut after = 1.0;
    for (bin, &count) in counts.iter().enumerate().rev() {
        sum += count;
        let before = 1.0 - sum as f64 / total;
        if before <= share {
            let (low, high) = ends(bin);
            return high - (after - share) / (count as f64 / total) * (high - low);
        }
        after = before;
    }
    f64::from(edges[0])
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Geometry, Modality, Unit};

    fn row(values: &[f32], unit: Unit) -> Volume {
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        Volume::new(voxels, geometry, Modality::Mr, unit).unwrap()
    }

    #[test]
    fn landmarks_of_a_row() {
        // Bins [0,2) 4, [2,4) 1, [4,6) 0, [6,8] 1: the half lies at 3/4 of the first bin. Mean 2 leaves 3, 2, 8, of which
        // [2,3.5) holds 2: the half lies at 3/4 of that bin, which begins at the minimum -1.
        let rows: [(&[f32], bool, &[f64]); 2] = [
            (&[0.0, 0.0, 0.0, 1.0, 2.0, 8.0, f32::NAN], false, &[0.0, 1.5, 8.0]),
            (&[-1.0, 0.0, 0.0, 3.0, 2.0, 8.0], true, &[-1.0, 2.0, 2.375, 8.0]),
        ];
        for (values, threshold_at_mean, expected) in rows {
            let volume = row(values, Unit::Arbitrary);
            let rule = HistogramMatching { bins: 4, points: 1, threshold_at_mean };
            let found = landmarks(&Region::new(&volume, None).unwrap(), rule).unwrap();
            let largest = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(found.len() == expected.len() && largest < 1e-12, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn a_volume_matched_to_itself_stays_and_takes_the_unit() {
        let source = row(&[0.0, 1.0, 2.0, 5.0, 9.0, f32::NAN], Unit::Arbitrary);
        let reference = source.clone().with_meaning(Modality::Ct, Unit::Normalized);
        let (found, _) = match_histogram(&source, None, &reference, None, HistogramMatching::default()).unwrap();
        assert_eq!((found.modality(), found.unit()), (Modality::Mr, Unit::Normalized));
        assert_eq!(found.as_slice()[..5], source.as_slice()[..5]);
        assert!(found.as_slice()[5].is_nan());
    }

    #[test]
    fn what_cannot_be_matched_is_refused() {
        let source = row(&[0.0, 1.0], Unit::Arbitrary);
        let run =
            |source: &Volume, mask: Option<&Mask>, rule| match_histogram(source, mask, source, None, rule).unwrap_err();
        let default = HistogramMatching::default();
        for rule in [HistogramMatching { bins: 1, ..default }, HistogramMatching { points: 0, ..default }] {
            assert!(matches!(run(&source, None, rule), Error::InvalidArgument { .. }));
        }
        assert_eq!(run(&row(&[3.0; 2], Unit::Arbitrary), None, default), Error::FlatIntensities { value: 3.0 });
        let nothing = run(&row(&[f32::NAN; 2], Unit::Arbitrary), None, default);
        assert!(matches!(nothing, Error::FlatIntensities { value } if value.is_nan()));
        let empty = Mask::new(Array3::from_elem((1, 1, 2), false), source.geometry().clone()).unwrap();
        assert_eq!(run(&source, Some(&empty), default), Error::EmptyMask { voxels: 2 });
    }
}

use crate::histogram::Region;

/// Which peak of the smoothed histogram stands for the tissue that intensities are scaled by.
///
/// The histogram is smoothed by a Gaussian kernel of Scott's width, `sd · n^(-1/5)`, and read at 80 equally spaced
/// intensities from minimum to maximum; a peak is higher than both neighbors. Without any peak the highest place counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TissueMode {
    /// The peak of lowest intensity among the lower 99 %: proton density.
    First,
    /// The highest place: T2 and FLAIR.
    Largest,
    /// The peak of highest intensity among the lower 96 %: T1, where it is white matter.
    Last,
}

/// Mean and standard deviation of the voxels around the mode; the mode and 0 when there are none.
pub(crate) fn stripe(region: &Region, mode: TissueMode, width: f64) -> (f64, f64) {
    let mode = tissue_mode(region, mode);
    let shares = region.counts(2, |v| Some(usize::from(f64::from(v) < mode)));
    let below = shares[1] as f64 / (shares[0] + shares[1]) as f64;
    let ends = [below - width, below + width].map(|share| 100.0 * share.clamp(0.0, 1.0));
    let ends = region.percentiles(&ends, |v| v);
    let (low, high) = (ends[0], ends[1]);
    let inside = move |v: f32| f64::from(v) > low && f64::from(v) < high;
    let sums = region.fold(
        || (0u64, 0.0),
        |(n, sum), v| {
            if inside(v) {
                *n += 1;
                *sum += f64::from(v);
            }
        },
    );
    let (n, sum) = sums.into_iter().fold((0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
    if n == 0 {
        return (mode, 0.0);
    }
    let mean = sum / n as f64;
    let squares =
        region.fold(|| 0.0, |squares, v| *squares += if inside(v) { (f64::from(v) - mean).powi(2) } else { 0.0 });
    (mean, (squares.into_iter().sum::<f64>() / n as f64).sqrt())
}

/// The intensity of the mode; NaN when the region is empty.
pub(crate) fn tissue_mode(region: &Region, mode: TissueMode) -> f64 {
    let percent = match mode {
        TissueMode::First => 99.0,
        TissueMode::Largest => 100.0,
        TissueMode::Last => 96.0,
    };
    let high = region.percentiles(&[percent], |v| v)[0];
    let places = smoothed(region, high);
    let peaks = || places.windows(3).filter(|w| w[1].1 > w[0].1 && w[1].1 > w[2].1).map(|w| w[1].0);
    let highest = || places.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a }).map_or(high, |p| p.0);
    match mode {
        TissueMode::First => peaks().next().unwrap_or_else(highest),
        TissueMode::Largest => highest(),
        TissueMode::Last => peaks().next_back().unwrap_or_else(highest),
    }
}

/// `(intensity, density)` at 80 places from the minimum of the region to the highest value up to `high`; the density is
/// not normalized. Empty when these are the same.
fn smoothed(region: &Region, high: f64) -> Vec<(f64, f64)> {
    const PLACES: usize = 80;
    let kept = move |v: f32| f64::from(v) <= high;
    let sums = region.fold(
        || (0u64, 0.0, f32::INFINITY, f32::NEG_INFINITY),
        |(n, sum, min, max), v| {
            if kept(v) {
                *n += 1;
                *sum += f64::from(v);
                (*min, *max) = (min.min(v), max.max(v));
            }
        },
    );
    let (n, sum, min, max) = sums
        .into_iter()
        .fold((0, 0.0, f32::INFINITY, f32::NEG_INFINITY), |a, b| (a.0 + b.0, a.1 + b.1, a.2.min(b.2), a.3.max(b.3)));
    if min >= max {
        return Vec::new();
    }
    let (n, min, range) = (n as f64, f64::from(min), f64::from(max) - f64::from(min));
    let mean = sum / n;
    let squares =
        region.fold(|| 0.0, |squares, v| *squares += if kept(v) { (f64::from(v) - mean).powi(2) } else { 0.0 });
    let width = (squares.into_iter().sum::<f64>() / (n - 1.0)).sqrt() * n.powf(-0.2);

    // Cells much narrower than the kernel stand for the voxels; every place is the middle of a cell.
    let gap = range / (PLACES - 1) as f64;
    let fine = (32.0 * gap / width).ceil().clamp(1.0, 2048.0) as usize;
    let cell = gap / fine as f64;
    let cells = region.counts((PLACES - 1) * fine + 1, |v| {
        kept(v).then(|| (((f64::from(v) - min) / cell).round() as usize).min((PLACES - 1) * fine))
    });
    let reach = ((9.0 * width / cell) as usize).min(cells.len());
    let kernel = (0..=reach).map(|d| (-0.5 * (d as f64 * cell / width).powi(2)).exp()).collect::<Vec<_>>();
    let density = |place: usize| {
        let middle = place * fine;
        let near = middle.saturating_sub(reach)..(middle + reach + 1).min(cells.len());
        near.map(|c| cells[c] as f64 * kernel[c.abs_diff(middle)]).sum::<f64>()
    };
    (0..PLACES).map(|place| (min + place as f64 * gap, density(place))).collect()
}

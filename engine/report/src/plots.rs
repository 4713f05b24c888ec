//! The figures of the page.

use isoscan_metrics::{BlandAltman, bland_altman};

use crate::figure::{Figure, Tone};
use crate::model::CccRow;

/// Agreement before against agreement after, one point per feature; points below the diagonal got worse.
pub(crate) fn agreement(rows: &[CccRow], threshold: f64, id: &str) -> String {
    let pairs: Vec<[f64; 2]> = rows
        .iter()
        .filter_map(|row| Some([row.before.as_ref()?.estimate, row.after.as_ref()?.estimate]))
        .filter(|pair| pair.iter().all(|value| value.is_finite()))
        .collect();
    let lowest = pairs.iter().flatten().copied().fold(0.0, f64::min);
    let range = [(lowest * 5.0).floor() / 5.0, 1.0];
    let (worse, better) = pairs.into_iter().partition(|[before, after]| after < before);
    let figure = Figure {
        x_label: "CCC before",
        y_label: "CCC after",
        x_range: range,
        y_range: range,
        points: vec![(better, Tone::After), (worse, Tone::Worse)],
        segments: vec![([[range[0]; 2], [range[1]; 2]], Tone::Ink)],
        verticals: vec![(threshold, Tone::Ink)],
        horizontals: vec![(threshold, String::new(), Tone::Ink)],
        band: None,
        size: [400.0, 380.0],
    };
    figure.svg("Concordance of each feature before and after translation", id)
}

/// Bland-Altman plots of the same feature before and after, on one scale.
pub(crate) struct Differences {
    pub(crate) before: Result<(String, BlandAltman), String>,
    pub(crate) after: Result<(String, BlandAltman), String>,
}

/// Draws differences to the reference against the mean of both; pairs that are not finite are left out.
pub(crate) fn differences(before: &[[f64; 2]], after: &[[f64; 2]], id: &str) -> Differences {
    let arms = [before, after].map(|pairs| {
        let finite: Vec<[f64; 2]> =
            pairs.iter().copied().filter(|pair| pair.iter().all(|value| value.is_finite())).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = finite.iter().map(|&[x, y]| (x, y)).unzip();
        let points: Vec<[f64; 2]> = finite.iter().map(|[x, y]| [(x + y) / 2.0, x - y]).collect();
        (points, bland_altman(&x, &y).map_err(|error| error.to_string()))
    });
    let means = arms.iter().flat_map(|(points, _)| points.iter().map(|point| point[0]));
    let limits = arms.iter().filter_map(|(_, limits)| limits.as_ref().ok()).flat_map(|limits| limits.limits);
    let offsets = arms.iter().flat_map(|(points, _)| points.iter().map(|point| point[1]));
    let x_range = padded(means);
    let y_range = padded(offsets.chain(limits).chain([0.0]));
    let [(before, before_limits), (after, after_limits)] = arms;
    let draw = |points: Vec<[f64; 2]>, limits: Result<BlandAltman, String>, tone, arm: &str| {
        let limits = limits?;
        let figure = difference_figure(points, &limits, x_range, y_range, tone);
        let name = "Differences to the reference against their mean, with limits of agreement";
        Ok((figure.svg(name, &format!("{id}-{arm}")), limits))
    };
    Differences {
        before: draw(before, before_limits, Tone::Before, "before"),
        after: draw(after, after_limits, Tone::After, "after"),
    }
}

fn difference_figure(
    points: Vec<[f64; 2]>,
    limits: &BlandAltman,
    x_range: [f64; 2],
    y_range: [f64; 2],
    tone: Tone,
) -> Figure {
    let [low, high] = limits.limits;
    let room_for_labels = high - low > 0.15 * (y_range[1] - y_range[0]);
    let label = |y| if room_for_labels { significant(y) } else { String::new() };
    Figure {
        x_label: "mean of image and reference",
        y_label: "image − reference",
        x_range,
        y_range,
        points: vec![(points, tone)],
        segments: vec![([[x_range[0], 0.0], [x_range[1], 0.0]], Tone::Ink)],
        verticals: Vec::new(),
        horizontals: [low, limits.mean_difference, high].map(|y| (y, label(y), tone)).into(),
        band: Some(([low, high], tone)),
        size: [440.0, 320.0],
    }
}

/// Smallest and largest value with a margin of 8 %; a range around 0 when there is none.
fn padded(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return [-1.0, 1.0];
    }
    let margin = if high > low { 0.08 * (high - low) } else { 1.0f64.max(low.abs()) * 0.08 };
    [low - margin, high + margin]
}

/// A number with four significant digits for reading, a true minus among them.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "undefined".to_owned();
    }
    let size = value.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e6).contains(&size) {
        format!("{size:.3e}")
    } else {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{size:.decimals$}")
    };
    if value < 0.0 { format!("−{text}") } else { text }
}

/// [`significant`] without zeros after the last digit that counts, for settings rather than measurements.
pub(crate) fn plain(value: f64) -> String {
    let text = significant(value);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_four_digits() {
        let rows = [
            (0.0, "0"),
            (-12.3456, "−12.35"),
            (123_456.0, "123456"),
            (0.001_234_56, "0.001235"),
            (1.5e-7, "1.500e-7"),
            (2.5e9, "2.500e9"),
            (f64::NAN, "undefined"),
        ];
        for (value, expected) in rows {
            assert_eq!(significant(value), expected);
        }
    }

    #[test]
    fn settings_are_printed_without_trailing_zeros() {
        for (value, expected) in [(400.0, "400"), (0.05, "0.05"), (-1024.0, "−1024"), (2.5e9, "2.500e9")] {
            assert_eq!(plain(value), expected);
        }
    }

    #[test]
    fn both_arms_share_one_scale_and_a_missing_arm_says_why() {
        let found = differences(&[[1.0, 2.0], [2.0, 4.0], [f64::NAN, 1.0]], &[[1.0, 1.0]], "a");
        let (_, limits) = found.before.unwrap();
        assert_eq!((limits.n, limits.mean_difference), (2, -1.5));
        assert_eq!(found.after.err().as_deref(), Some("needs at least 2 subjects, found 1"));
    }
}

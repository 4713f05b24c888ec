//! Slices grouped so that each untranslated slice stands once, beside every method's result.

use ndarray::Array2;
use serde::Serialize;

use crate::error::Error;
use crate::model::SliceFigure;
use crate::plots::{plain, significant};
use crate::slice;

/// One slice of one subject under all methods.
#[derive(Serialize)]
pub(super) struct SliceView<'a> {
    subject: &'a str,
    place: &'a str,
    unit: &'a str,
    window: String,
    ratio: String,
    before: String,
    reference: Option<(String, String)>,
    methods: Vec<MethodSlice<'a>>,
    /// Ends of the difference scale, the same for all methods.
    limit: String,
}

#[derive(Serialize)]
struct MethodSlice<'a> {
    name: &'a str,
    after: String,
    synthetic: bool,
    difference: String,
    mean: String,
}

/// Groups the figures that show the same slice, in order of first appearance.
pub(super) fn slice_views(figures: &[SliceFigure]) -> Result<Vec<SliceView<'_>>, Error> {
    let mut groups: Vec<Vec<&SliceFigure>> = Vec::new();
    for figure in figures {
        match groups.iter_mut().find(|group| shows_same_slice(group[0], figure)) {
            Some(group) => group.push(figure),
            None => groups.push(vec![figure]),
        }
    }
    groups.iter().map(|group| slice_view(group)).collect()
}

fn shows_same_slice(left: &SliceFigure, right: &SliceFigure) -> bool {
    (&left.subject, &left.place, &left.unit) == (&right.subject, &right.place, &right.unit)
        && left.window == right.window
        && left.pixel_mm == right.pixel_mm
        && left.before == right.before
        && left.reference == right.reference
}

fn slice_view<'a>(group: &[&'a SliceFigure]) -> Result<SliceView<'a>, Error> {
    let first = group[0];
    let differences = group.iter().map(|figure| difference(figure)).collect::<Result<Vec<_>, Error>>()?;
    let limit = differences.iter().map(slice::round_limit).fold(0.0, f64::max);
    let methods = group.iter().zip(&differences).map(|(figure, difference)| {
        let sum: f64 = difference.iter().map(|&value| f64::from(value.abs())).sum();
        Ok(MethodSlice {
            name: &figure.method,
            after: slice::grey(&figure.after, figure.window)?,
            synthetic: figure.synthetic,
            difference: slice::signed(difference, limit)?,
            mean: significant(sum / difference.len() as f64),
        })
    });
    let [width_mm, height_mm] = first.pixel_mm;
    let ratio = |slice: &Array2<f32>| {
        format!("{:.3} / {:.3}", slice.ncols() as f64 * width_mm, slice.nrows() as f64 * height_mm)
    };
    let reference = first.reference.as_ref().map(|reference| slice::grey(reference, first.window)).transpose()?;
    Ok(SliceView {
        subject: &first.subject,
        place: &first.place,
        unit: &first.unit,
        window: format!("centre {}, width {}", plain(first.window[0]), plain(first.window[1])),
        ratio: ratio(&first.before),
        before: slice::grey(&first.before, first.window)?,
        reference: reference.zip(first.reference.as_ref().map(ratio)),
        methods: methods.collect::<Result<_, Error>>()?,
        limit: plain(limit),
    })
}

fn difference(figure: &SliceFigure) -> Result<Array2<f32>, Error> {
    let size = |slice: &Array2<f32>| [slice.nrows(), slice.ncols()];
    if size(&figure.before) != size(&figure.after) {
        return Err(Error::SliceSize { before: size(&figure.before), after: size(&figure.after) });
    }
    if figure.before.is_empty() || figure.reference.as_ref().is_some_and(|reference| reference.is_empty()) {
        return Err(Error::EmptySlice { subject: figure.subject.clone() });
    }
    Ok(&figure.after - &figure.before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn methods_of_one_slice_share_its_untranslated_picture_and_scale() {
        let mut figures = sample::report().slices;
        figures.push(SliceFigure { subject: "P-04".into(), ..figures[0].clone() });
        let views = slice_views(&figures).unwrap();
        let names: Vec<Vec<&str>> =
            views.iter().map(|view| view.methods.iter().map(|method| method.name).collect()).collect();
        assert_eq!(names, [vec!["cyclegan", "histogram"], vec!["cyclegan"]]);
        assert_eq!((views[0].limit.as_str(), views[1].subject), ("50", "P-04"));
    }
}

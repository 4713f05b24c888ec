//! Plots as SVG text; the only file that knows the plotting crate.

use kuva::backend::svg::SvgBackend;
use kuva::plot::LinePlot;
use kuva::plot::scatter::ScatterPlot;
use kuva::render::annotations::{ReferenceLine, ShadedRegion};
use kuva::render::layout::{AxisLine, Layout};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use kuva::render::theme::Theme;

/// Colours are the page's own CSS variables, so a figure follows the page into dark mode and print.
#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Before,
    After,
    Worse,
    Ink,
}

impl Tone {
    fn css(self) -> &'static str {
        match self {
            Tone::Before => "var(--before)",
            Tone::After => "var(--after)",
            Tone::Worse => "var(--worse)",
            Tone::Ink => "var(--faint)",
        }
    }
}

/// A scatter plot with straight lines: enough for every figure of the page.
pub(crate) struct Figure {
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) x_range: [f64; 2],
    pub(crate) y_range: [f64; 2],
    pub(crate) points: Vec<(Vec<[f64; 2]>, Tone)>,
    /// Lines between two points.
    pub(crate) segments: Vec<([[f64; 2]; 2], Tone)>,
    /// Dashed lines across the plot at one x.
    pub(crate) verticals: Vec<(f64, Tone)>,
    /// Dashed lines across the plot at one y, with a label.
    pub(crate) horizontals: Vec<(f64, String, Tone)>,
    /// A shaded range of y.
    pub(crate) band: Option<([f64; 2], Tone)>,
    /// Width and height of the drawing; text is 12 units high.
    pub(crate) size: [f64; 2],
}

impl Figure {
    /// The figure as an `<svg>` element that scales with its container.
    ///
    /// `name` is read out by screen readers; `id` keeps the ids inside apart from those of the page's other figures.
    /// Neither may hold characters of markup.
    pub(crate) fn svg(&self, name: &str, id: &str) -> String {
        let mut plots: Vec<Plot> = Vec::new();
        for (ends, tone) in &self.segments {
            let line =
                LinePlot::new().with_data(ends.map(|[x, y]| (x, y))).with_color(tone.css()).with_stroke_width(1.0);
            plots.push(line.into());
        }
        for (points, tone) in &self.points {
            let scatter = ScatterPlot::new()
                .with_data(points.iter().map(|&[x, y]| (x, y)))
                .with_color(tone.css())
                .with_size(3.5)
                .with_marker_opacity(0.7);
            plots.push(scatter.into());
        }
        let layout = self.layout(&plots);
        let svg = SvgBackend::default().render_scene(&render_multiple(plots, layout));
        with_view_box(&with_own_ids(&svg, id), name)
    }

    fn layout(&self, plots: &[Plot]) -> Layout {
        let mut layout = Layout::auto_from_plots(plots)
            .with_width(self.size[0])
            .with_height(self.size[1])
            .with_x_label(self.x_label)
            .with_y_label(self.y_label)
            .with_x_axis_min(self.x_range[0])
            .with_x_axis_max(self.x_range[1])
            .with_y_axis_min(self.y_range[0])
            .with_y_axis_max(self.y_range[1])
            .with_axis_line(AxisLine::Box)
            .with_show_grid(false)
            .with_label_size(13)
            .with_tick_size(11)
            .with_theme(theme());
        for &(x, tone) in &self.verticals {
            layout = layout.with_reference_line(ReferenceLine::vertical(x).with_color(tone.css()));
        }
        for (y, label, tone) in &self.horizontals {
            let line = ReferenceLine::horizontal(*y).with_color(tone.css());
            layout = layout.with_reference_line(if label.is_empty() { line } else { line.with_label(label.as_str()) });
        }
        if let Some(([low, high], tone)) = self.band {
            let region = ShadedRegion::horizontal(low, high).with_color(tone.css()).with_opacity(0.09);
            layout = layout.with_shaded_region(region);
        }
        layout
    }
}

fn theme() -> Theme {
    Theme {
        background: "none".into(),
        axis_color: "var(--faint)".into(),
        tick_color: "var(--faint)".into(),
        grid_color: "var(--line)".into(),
        text_color: "var(--soft)".into(),
        font_family: Some("inherit".into()),
        show_grid: false,
        ..Theme::light()
    }
}

/// Renames the ids of clip paths, which the plotting crate counts over the whole process.
fn with_own_ids(svg: &str, id: &str) -> String {
    const COUNTED: &str = "kuva-clip-";
    let mut numbers: Vec<&str> = Vec::new();
    let mut parts = svg.split(COUNTED);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.find(|character: char| !character.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        let index = numbers.iter().position(|known| *known == number).unwrap_or_else(|| {
            numbers.push(number);
            numbers.len() - 1
        });
        text.push_str(&format!("{id}-{index}{rest}"));
    }
    text
}

/// Turns the fixed size into a view box: without one the drawing is cropped, not scaled, by a narrow page.
fn with_view_box(svg: &str, name: &str) -> String {
    let size = |attribute: &str| {
        let start = svg.find(attribute)? + attribute.len();
        svg[start..].split('"').next()
    };
    let (Some(width), Some(height), Some(end)) = (size(" width=\""), size(" height=\""), svg.find('>')) else {
        return svg.to_owned();
    };
    let body = &svg[end + 1..];
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\" \
         font-family=\"inherit\" fill=\"var(--soft)\">{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_scales_and_keeps_the_pages_colours() {
        let figure = Figure {
            x_label: "before",
            y_label: "after",
            x_range: [0.0, 1.0],
            y_range: [0.0, 1.0],
            points: vec![(vec![[0.2, 0.9]], Tone::After)],
            segments: vec![([[0.0, 0.0], [1.0, 1.0]], Tone::Ink)],
            verticals: vec![(0.8, Tone::Ink)],
            horizontals: vec![(0.8, "0.80".into(), Tone::Ink)],
            band: None,
            size: [420.0, 400.0],
        };
        let svg = figure.svg("CCC", "a");
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 420 400\" role=\"img\""),
            "{svg}"
        );
        assert!(svg.contains("fill=\"var(--after)\"") && svg.ends_with("</svg>"), "{svg}");
        assert!(svg.contains("clipPath id=\"a-0\"") && svg.contains("url(#a-0)"), "{svg}");
        assert_eq!(svg, figure.svg("CCC", "a"));
    }
}

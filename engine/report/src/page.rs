use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};

use crate::error::Error;
use crate::model::Report;
use crate::view::View;

const STYLE: &str = include_str!("style.css");

/// The report as one HTML page: pictures and styles inside, no script, nothing fetched.
///
/// The page's own policy forbids everything but its inline styles and pictures. Every text of the report is escaped.
///
/// # Errors
/// [`Error::SliceSize`] when the two slices of a figure differ in size, [`Error::EmptySlice`] for one without pixels,
/// [`Error::Png`] and [`Error::Template`] when the libraries underneath refuse.
pub fn page(report: &Report) -> Result<String, Error> {
    rendered("page.html", include_str!("page.html"), Serde(View::new(report)?))
}

/// A template with the style of all pages.
pub(crate) fn rendered(name: &str, template: &str, view: impl Into<Value>) -> Result<String, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("style.css", STYLE)?;
    environment.add_template(name, template)?;
    Ok(environment.get_template(name)?.render(view.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Origin, Outcome};
    use crate::sample;

    #[test]
    fn markup_in_any_text_is_escaped() {
        let mut report = sample::report();
        let attack = "<script>alert('x')</script>";
        report.title = attack.into();
        report.subjects[0].id = attack.into();
        report.subjects[0].outcome = Outcome::Failed { stage: attack.into(), message: attack.into() };
        report.methods[0].name = attack.into();
        report.methods[0].ccc[0].roi = attack.into();
        report.methods[0].ccc[0].feature = attack.into();
        report.slices[0].subject = attack.into();
        report.bland_altman[0].roi = attack.into();
        report.warnings[0] = attack.into();
        report.provenance[0] = (attack.into(), attack.into());
        let html = page(&report).unwrap();
        assert!(!html.contains("<script"));
        assert!(html.contains("&lt;script&gt;"));
    }

    #[test]
    fn the_page_fetches_nothing_and_says_so() {
        let html = page(&sample::report()).unwrap();
        assert!(html.contains("content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""));
        for fetched in ["src=\"http", "href=\"http", "url(http", "@import", "<link", "<script"] {
            assert!(!html.contains(fetched), "{fetched}");
        }
    }

    #[test]
    fn the_same_report_gives_the_same_bytes() {
        let [first, second] = [0, 1].map(|_| page(&sample::report()).unwrap());
        assert!(first == second);
    }

    #[test]
    fn each_fault_costs_one_row() {
        let html = page(&sample::report()).unwrap();
        let rows: Vec<&str> = html.split("<tr class=\"fault\">").skip(1).collect();
        let expected = [
            ["P-05", "cyclegan", "translate", "crashed with signal 11"],
            ["P-08", "cyclegan", "translate", "passed its deadline"],
            ["P-11", "all", "read", "NIfTI file ends"],
        ];
        assert_eq!(rows.len(), expected.len());
        for (row, words) in rows.iter().zip(expected) {
            let row = row.split("</tr>").next().unwrap();
            assert!(words.iter().all(|word| row.contains(word)), "{row}");
        }
    }

    #[test]
    fn phantoms_are_named_as_phantoms_only_when_they_are() {
        let words = "phantoms prove the machinery, not clinical performance";
        let mut report = sample::report();
        assert!(page(&report).unwrap().contains(words));
        report.origin = Origin::Acquired;
        assert!(!page(&report).unwrap().contains(words));
    }

    #[test]
    fn a_study_without_reference_or_figures_still_has_a_page() {
        let mut report = sample::report();
        report.reference = None;
        report.methods = vec![sample::method("cyclegan", None)];
        report.slices.clear();
        report.bland_altman.clear();
        let html = page(&report).unwrap();
        assert!(html.contains("cyclegan cannot be judged: no reference."));
    }

    #[test]
    fn a_study_without_methods_cannot_be_judged() {
        let mut report = sample::report();
        report.methods.clear();
        assert!(page(&report).unwrap().contains("Nothing can be judged: no method was run."));
    }

    #[test]
    fn slices_of_different_size_are_refused() {
        let mut report = sample::report();
        report.slices[0].after = ndarray::Array2::zeros((3, 2));
        let found = page(&report);
        assert!(matches!(found, Err(Error::SliceSize { before: [160, 220], after: [3, 2] })));
    }
}

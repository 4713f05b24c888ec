//! Report pages, figures and tables from plain values.
//!
//! A [`Report`] holds the results of a study; [`page`] turns it into one HTML page that needs no network and no script,
//! [`features_csv`] and [`ccc_csv`] into tables; a [`Comparison`] of methods becomes a table by [`comparison_markdown`] and
//! a page by [`comparison_page`]. [`verdict`] says in words what a method's numbers show. Everything is a pure function of
//! its argument: no clock, no file, the same bytes each time. Writing files is the caller's.
//!
//! ```
//! use isoscan_report::{FeatureRow, Stage, features_csv};
//! let row = FeatureRow {
//!     subject: "P-01".into(),
//!     roi: "liver".into(),
//!     stage: Stage::Source,
//!     values: vec![("original_firstorder_Mean".into(), 54.25)],
//! };
//! let expected = "subject,roi,stage,method,original_firstorder_Mean\nP-01,liver,source,,54.25\n";
//! assert_eq!(features_csv(&[row])?, expected);
//! # Ok::<(), isoscan_report::Error>(())
//! ```

mod comparison;
mod comparison_page;
mod error;
mod figure;
mod model;
mod page;
mod plots;
#[cfg(test)]
mod sample;
mod slice;
mod tables;
mod verdict;
mod view;

pub use comparison::{Comparison, Observation, Pooled, comparison_csv, comparison_markdown};
pub use comparison_page::{Making, comparison_page};
pub use error::Error;
pub use model::{
    CccRow, DifferencePlot, FeatureRow, MethodResult, Origin, Outcome, PluginVersion, Report, Role, Script,
    SimilarityRow, SliceFigure, Stage, SubjectRow,
};
pub use page::page;
pub use slice::patch_strip;
pub use tables::{ccc_csv, features_csv, features_table_csv};
pub use verdict::{Finding, Verdict, verdict};

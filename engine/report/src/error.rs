/// Why a page or a table cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The slices of a figure differ in size.
    #[error("slice before translation is {before:?} pixels, after translation {after:?} (rows, columns)")]
    SliceSize {
        /// Rows and columns before translation.
        before: [usize; 2],
        /// Rows and columns after translation.
        after: [usize; 2],
    },
    /// A slice holds no pixel.
    #[error("slice of subject {subject} is empty")]
    EmptySlice {
        /// Pseudonym of the subject.
        subject: String,
    },
    /// A batch is not made of whole patches.
    #[error("{found} values are no whole number of patches of {patch:?} pixels (width, height)")]
    PatchSize {
        /// Width and height of a patch.
        patch: [usize; 2],
        /// Values in the batch.
        found: usize,
    },
    /// An image could not be encoded.
    #[error("cannot encode a PNG image: {0}")]
    Png(#[from] png::EncodingError),
    /// The page could not be filled in.
    #[error("cannot fill in the report page: {0}")]
    Template(#[from] minijinja::Error),
    /// A statistic of a table could not be computed.
    #[error(transparent)]
    Metrics(#[from] isoscan_metrics::Error),
    /// A table could not be written.
    #[error("cannot write a table: {0}")]
    Csv(#[from] csv::Error),
}

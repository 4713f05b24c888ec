use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Source, dicom, nifti};

/// One header field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderChange {
    /// The field by the name of its format, such as `(0018,0060) KVP` or `sform_code`; items of sequences are counted
    /// from 1: `(0008,2112)[1] > (0008,1150) ReferencedSOPClassUID`.
    pub field: String,
    /// Value in the first image; `None` when absent.
    pub first: Option<String>,
    /// Value in the second image; `None` when absent.
    pub second: Option<String>,
}

/// One header field as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Decides equality; never shown.
    pub(crate) value: String,
    /// What may be shown of it.
    pub(crate) shown: String,
}

pub(super) fn changes(first: &Source, second: &Source) -> Vec<HeaderChange> {
    let [first, second] = [first, second].map(fields);
    let mut paired: BTreeMap<&str, [Option<&Field>; 2]> = BTreeMap::new();
    for (side, fields) in [&first, &second].into_iter().enumerate() {
        for field in fields {
            paired.entry(&field.name).or_default()[side] = Some(field);
        }
    }
    paired
        .into_iter()
        .filter(|(_, [a, b])| a.map(|field| &field.value) != b.map(|field| &field.value))
        .map(|(name, pair)| {
            let [first, second] = pair.map(|field| field.map(|field| field.shown.clone()));
            HeaderChange { field: name.to_owned(), first, second }
        })
        .collect()
}

fn fields(source: &Source) -> Vec<Field> {
    match source {
        Source::Nifti(source) => nifti::fields(source),
        Source::Dicom(source) => dicom::fields(source),
        _ => Vec::new(),
    }
}

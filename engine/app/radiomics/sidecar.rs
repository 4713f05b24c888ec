use std::path::Path;

use serde::Serialize;

use super::{batch::Growing, made::Made};
use crate::failure::Failure;

/// Writes `TABLE.provenance.json`: what made the table, and of each case the SHA-256 of image and mask and what was
/// assumed while reading.
pub(crate) fn write(table: &Path, made: &Made, growing: &mut Growing) -> Result<(), Failure> {
    let path = table.with_extension("provenance.json");
    let mut inputs = Vec::new();
    for case in 0..made.cases {
        let record = growing.journal.case(case)?.unwrap_or_default();
        let digest = |n: usize| record.inputs.get(n).map(|input| input.sha256.clone());
        inputs.push(Inputs { image_sha256: digest(0), mask_sha256: digest(1), warnings: record.warnings });
    }
    let name = table.file_name().unwrap_or_default().to_string_lossy();
    let told = Provenance { table: &name, made, inputs };
    let mut text = serde_json::to_string_pretty(&told).map_err(Failure::new)?;
    text.push('\n');
    Ok(isoscan_io::write_atomically(&path, |out| out.write_all(text.as_bytes()))?)
}

#[derive(Serialize)]
struct Provenance<'a> {
    table: &'a str,
    #[serde(flatten)]
    made: &'a Made,
    inputs: Vec<Inputs>,
}

#[derive(Serialize)]
struct Inputs {
    image_sha256: Option<String>,
    mask_sha256: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

//! Tables beside the scans: truth, names of labels, how the phantoms were made.

use std::path::Path;

use isoscan_phantom::{Facts, Order, Truth};
use serde_json::{Value, json};

use super::{Args, layout::Layout};
use crate::failure::Failure;

/// `truth.csv` with one line, and `truth.json` with one object, per subject and session.
pub(super) fn write(folder: &Path, truths: &[Truth]) -> Result<(), Failure> {
    write_json(&folder.join("truth.json"), &serde_json::to_value(truths).map_err(Failure::new)?)?;
    let mut columns: Vec<&str> = Vec::new();
    for (column, _) in truths.iter().flat_map(|truth| truth.row.columns()) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let travels = truths.iter().any(|truth| truth.session.is_some());
    let mut table = csv::Writer::from_writer(Vec::new());
    let session = travels.then_some("session");
    let head = ["subject"].into_iter().chain(session).chain(["kind", "condition"]).chain(columns.iter().copied());
    table.write_record(head).map_err(Failure::new)?;
    for truth in truths {
        let session = travels.then(|| truth.session.clone().unwrap_or_default());
        let numbers = columns.iter().map(|column| truth.row.number(column).map_or_else(String::new, |v| v.to_string()));
        let row = [format!("sub-{:03}", truth.subject)].into_iter().chain(session);
        let row = row.chain([truth.kind.id().to_owned(), truth.condition.clone()]).chain(numbers);
        table.write_record(row).map_err(Failure::new)?;
    }
    let bytes = table.into_inner().map_err(Failure::new)?;
    write_bytes(&folder.join("truth.csv"), &bytes)
}

/// Centre lines and radii of a subject's arteries, where it has any.
pub(super) fn write_arteries(path: &Path, truth: &Truth) -> Result<(), Failure> {
    let trees = truth.details.trees();
    if trees.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(trees).map_err(Failure::new)?;
    write_bytes(path, text.as_bytes())
}

/// Names of labels, as BIDS writes them.
pub(super) fn write_names(path: &Path, names: &[(i32, &str)]) -> Result<(), Failure> {
    let rows: String = names.iter().map(|(label, name)| format!("{label}\t{name}\n")).collect();
    write_bytes(path, format!("index\tname\n{rows}").as_bytes())
}

/// How the phantoms were made, the names of the labels, and for travelling subjects what makes the folder a dataset.
pub(super) fn write_made(folder: &Path, args: &Args, order: &Order, layout: &Layout) -> Result<(), Failure> {
    let offers = order.kind.offers();
    let made = json!({
        "kind": order.kind, "condition": order.condition, "seed": args.seed, "first_subject": args.first_subject,
        "subjects": args.subjects, "source": args.source, "reference": args.reference, "protocol": args.protocol,
        "scanned": layout.protocols(), "pixels": order.grid.size()[0], "pixel_mm": order.grid.pixel_mm(),
        "length_mm": order.grid.length_mm(), "protocols": offers, "engine_version": env!("CARGO_PKG_VERSION"),
    });
    write_json(&folder.join("phantom.json"), &made)?;
    write_names(&folder.join("dseg.tsv"), order.kind.label_names())?;
    if let Layout::Travel { sessions, .. } = layout {
        let described = json!({
            "Name": format!("Travelling phantoms: {}", order.kind.described()), "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "GeneratedBy": [{"Name": "isoscan phantom", "Version": env!("CARGO_PKG_VERSION")}],
            "Isoscan": {"Synthetic": true, "Sessions": sessions},
        });
        write_json(&folder.join("dataset_description.json"), &described)?;
        let rows: String =
            (0..args.subjects).map(|n| format!("sub-{:03}\t{}\n", args.first_subject + n, order.condition)).collect();
        write_bytes(&folder.join("participants.tsv"), format!("participant_id\tcondition\n{rows}").as_bytes())?;
    }
    Ok(())
}

/// What BIDS tells of an image beside it.
pub(super) fn sidecar(facts: &Facts) -> Value {
    json!({
        "Manufacturer": facts.manufacturer, "ManufacturersModelName": facts.model,
        "SeriesDescription": facts.description, "BodyPartExamined": facts.body_part,
        "SliceThickness": facts.thickness_mm, "Isoscan": {"Synthetic": true, "Acquisition": facts.acquired},
    })
}

pub(super) fn write_json(path: &Path, value: &Value) -> Result<(), Failure> {
    write_bytes(path, serde_json::to_string_pretty(value).map_err(Failure::new)?.as_bytes())
}

fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(isoscan_io::write_atomically(path, |out| out.write_all(bytes))?)
}

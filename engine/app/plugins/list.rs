use isoscan_host::{Record, open_bundle};
use serde_json::json;

use super::Where;
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
}

/// One line per version: nothing is loaded.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.place.folders()?.is_empty() {
        return Err(Failure::new("no plugins folder beside the program").help("name one with --plugins DIR"));
    }
    let shelf = args.place.shelf(1, 1)?;
    let trust = args.place.trust()?;
    let records = shelf.records();
    if args.json {
        let rows: Vec<_> = records.iter().map(row).collect();
        say(&serde_json::to_string_pretty(&rows).map_err(Failure::new)?);
        return Ok(());
    }
    for record in &records {
        say(&line(record, &trust));
    }
    Ok(())
}

fn row(record: &Record) -> serde_json::Value {
    json!({"id": record.version.id, "version": record.version.version, "state": record.state.to_string(),
        "manifest_sha256": record.version.manifest_sha256, "folder": record.folder, "refusal": record.rejection})
}

fn line(record: &Record, trust: &isoscan_host::Trust) -> String {
    if let Some(refusal) = &record.rejection {
        return format!("{:10} {}", record.state, refusal);
    }
    let bundle = open_bundle(&record.folder);
    let judged = bundle.as_ref().map_err(ToString::to_string).and_then(|b| trust.judge(b).map_err(|e| e.to_string()));
    let trust = judged.map_or_else(|refusal| refusal, |level| level.to_string());
    let summary =
        bundle.ok().and_then(|b| b.manifest.descriptor).map(|d| format!("; {}", d.summary)).unwrap_or_default();
    format!("{:10} {} {} ({trust}){summary}", record.state, record.version.id, record.version.version)
}

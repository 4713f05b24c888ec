use std::path::PathBuf;

use isoscan_host::{Named, Record, State, Trust};
use serde::Serialize;

use super::{Where, place::judged};
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
    let trust = args.place.trust()?;
    let rows: Vec<Row> = args.place.shelf(1, 1)?.records().into_iter().map(|record| row(record, &trust)).collect();
    if args.json {
        say(&serde_json::to_string_pretty(&rows).map_err(Failure::new)?);
    } else {
        rows.iter().for_each(|row| say(&line(row)));
    }
    Ok(())
}

#[derive(Serialize)]
struct Row {
    id: String,
    version: String,
    state: String,
    trust: Option<String>,
    summary: Option<String>,
    manifest_sha256: String,
    folder: PathBuf,
    refusal: Option<String>,
}

fn row(record: Record, trust: &Trust) -> Row {
    let Record { version: Named { id, version, manifest_sha256 }, folder, state, rejection, .. } = record;
    let mut row = Row {
        id,
        version,
        state: state.to_string(),
        trust: None,
        summary: None,
        manifest_sha256,
        folder,
        refusal: rejection,
    };
    match judged(&row.folder, trust) {
        Ok(bundle) => {
            row.trust = Some(bundle.level.to_string());
            row.summary = bundle.manifest.descriptor.map(|descriptor| descriptor.summary);
        }
        Err(error) if row.refusal.is_none() => {
            row.state = State::Refused.to_string();
            row.refusal = Some(format!("{error}; {} must act", error.party()));
        }
        Err(_) => {}
    }
    row
}

fn line(row: &Row) -> String {
    let Row { id, version, state, trust, summary, refusal, .. } = row;
    if let Some(refusal) = refusal {
        let named = if refusal.starts_with("plugin ") { String::new() } else { format!("plugin {id} {version}: ") };
        return format!("{state:10} {named}{refusal}");
    }
    let [trust, summary] = [trust, summary].map(|text| text.as_deref().unwrap_or_default());
    format!("{state:10} {id} {version} ({trust}); {summary}")
}

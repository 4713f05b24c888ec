use isoscan_host::{Named, Record, State, Store, Withdrawal};

use super::{Where, place::judged};
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Id of the plugin
    id: String,
    /// Let the versions that were withdrawn, by hand or by an engine, serve again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    place: Where,
}

/// The withdrawal is noted in the store, which running engines look at with their next scan.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let shelf = args.place.shelf(1, 1)?;
    if args.undo {
        shelf.restore(&args.id)?;
        say(&format!("every version of {} may serve again", args.id));
        return Ok(());
    }
    let records = shelf.records();
    let trust = args.place.trust()?;
    let could_serve = |record: &&Record| {
        record.version.id == args.id && record.state == State::Seen && judged(&record.folder, &trust).is_ok()
    };
    let mut versions = records.iter().filter(could_serve).rev().map(|record| &record.version);
    let Some(newest) = versions.next() else {
        return Err(
            Failure::new(format!("no version of plugin {} could serve", args.id)).help("see `isoscan plugins list`")
        );
    };
    let Some(before) = versions.next() else {
        return Err(Failure::new(format!("{newest} is the only version that could serve"))
            .help("install the version that should serve instead, then roll back"));
    };
    let Named { id, version, manifest_sha256 } = newest.clone();
    let reason = "by the operator".to_owned();
    Store::open(&args.place.store()?)?.withdraw(&Withdrawal { id, version, manifest_sha256, reason })?;
    say(&format!(
        "{newest} is withdrawn, {} serves instead; running engines follow with their next scan",
        before.version
    ));
    Ok(())
}

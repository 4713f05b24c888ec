//! Travelling subjects: each in several scanners, several times, in the folders of BIDS.

use std::path::Path;

use isoscan_phantom::{Order, Truth, Visit, draw};

use super::{
    require_going_on,
    write::{Writer, make_folder},
};
use crate::{failure::Failure, phantom::tables};

/// All sessions of one subject; gives what is known of it in each.
pub(super) fn subject(
    writer: &Writer<'_>,
    folder: &Path,
    order: &Order,
    scanners: &[String],
    sessions: u32,
) -> Result<Vec<Truth>, Failure> {
    let mut truths = Vec::new();
    for scanner in scanners {
        for number in 1..=sessions {
            require_going_on(writer.cancel)?;
            let visit = Visit::session(order.seed, order.subject, scanner, number);
            let subject = draw(order, &visit)?;
            let made = subject.acquire(scanner)?;
            let session = format!("{}{number:02}", word(scanner));
            let [datatype, suffix] = made.facts.bids;
            let name = format!("sub-{:03}", order.subject);
            let place = folder.join(&name).join(format!("ses-{session}")).join(datatype);
            make_folder(&place)?;
            let entities = format!("{name}_ses-{session}_acq-{}", word(scanner));
            let image = place.join(format!("{entities}_{suffix}"));
            writer.scan(&image, order, &session, &made)?;
            tables::write_json(&place.join(format!("{entities}_{suffix}.json")), &tables::sidecar(&made.facts))?;
            for map in &made.maps {
                let described = if map.name == "labels" { String::new() } else { format!("_desc-{}", word(map.name)) };
                let stem = format!("{entities}{described}_dseg");
                super::write::labels(&place.join(format!("{stem}.nii.gz")), &map.volume)?;
                tables::write_names(&place.join(format!("{stem}.tsv")), map.names)?;
            }
            let truth = subject.truth()?;
            tables::write_arteries(&place.join(format!("{entities}_arteries.json")), &truth)?;
            truths.push(Truth { session: Some(session), ..truth });
        }
    }
    Ok(truths)
}

/// A word of letters and digits, as BIDS has its values.
fn word(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

//! What is known of every version.

use std::sync::{Arc, PoisonError};

use super::Inner;
use crate::{
    Named, Record, State,
    place::Finding,
    slot::{Generation, Slot},
};

impl Inner {
    pub(super) fn records(&self) -> Vec<Record> {
        let table = self.table();
        let withdrawn = self.store.withdrawn().unwrap_or_else(|_| table.withdrawn.values().cloned().collect());
        let slots = self.slots.load();
        let state_of = |generation: &Arc<Generation>| {
            let stands = |place: fn(&Slot) -> Option<Arc<Generation>>| {
                slots.values().any(|slot| place(slot).is_some_and(|other| Arc::ptr_eq(&other, generation)))
            };
            match () {
                () if stands(Slot::current) => State::Serving,
                () if stands(Slot::candidate) => State::Candidate,
                () if stands(Slot::previous) => State::Previous,
                () => State::Draining,
            }
        };
        let mut records: Vec<Record> = self.alive().iter().map(|g| g.record(state_of(g))).collect();
        let past: Vec<Record> = self.past.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        for (folder, place) in &table.places.by_path {
            let version = place.head.as_ref().map_or_else(Named::nothing, |head| head.named.clone());
            if records.iter().any(|record| record.version == version && version != Named::nothing()) {
                continue;
            }
            let content = &version.manifest_sha256;
            let (state, level, rejection) = match (&place.finding, table.refused.get(content)) {
                (Finding::Waiting(waiting), _) => {
                    let state = if waiting.is_copy { State::Incomplete } else { State::Refused };
                    (state, None, Some(waiting.fault.to_string()))
                }
                (_, Some((fault, level))) => (State::Refused, level.clone(), Some(fault.to_string())),
                _ => (State::Seen, None, None),
            };
            let before = past.iter().find(|record| record.version == version).cloned();
            let record = before.unwrap_or_else(|| Record::of(version));
            let level = level.or(record.level);
            records.push(Record { folder: folder.clone(), state, level, rejection, ..record });
        }
        let known: Vec<Named> = records.iter().map(|record| record.version.clone()).collect();
        records.extend(past.into_iter().filter(|record| !known.contains(&record.version)));
        for record in &mut records {
            if let Some(withdrawal) = withdrawn.iter().find(|w| w.manifest_sha256 == record.version.manifest_sha256) {
                record.rejection = Some(format!("withdrawn: {}", withdrawal.reason));
                if matches!(record.state, State::Gone | State::Seen) {
                    record.state = State::Withdrawn;
                }
            }
        }
        let key = |record: &Record| {
            (record.version.id.clone(), semver::Version::parse(&record.version.version).ok(), record.state)
        };
        records.sort_by_cached_key(key);
        records
    }
}

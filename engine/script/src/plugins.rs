use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use isoscan_host::{Fault, Pin, Shelf};
use semver::VersionReq;

use crate::Error;

/// The plugin versions of a run: pinned at first use and kept until the run ends, so that every subject meets the same
/// version whatever is installed meanwhile.
pub struct Pins {
    shelf: Arc<Shelf>,
    held: Mutex<BTreeMap<(String, String), Held>>,
}

#[derive(Clone)]
struct Held {
    pin: Pin,
    fault: Option<Fault>,
}

impl Pins {
    /// Nothing pinned yet.
    pub fn new(shelf: Arc<Shelf>) -> Self {
        Self { shelf, held: Mutex::default() }
    }

    /// True when a plugin failed in the run, whether or not the script caught it.
    pub fn met_faults(&self) -> bool {
        self.held().values().any(|held| held.fault.is_some())
    }

    /// The versions for the whole run once more, where those that failed in it are new ones that may be to blame:
    /// others take their places. `None` when there is nobody to blame or to take over.
    pub fn alternatives(&self) -> Option<Self> {
        let mut replaced = false;
        let mut other = |held: &Held| {
            let other = held.fault.as_ref().and_then(|fault| held.pin.alternative(fault));
            replaced |= other.is_some();
            Held { pin: other.unwrap_or_else(|| held.pin.clone()), fault: None }
        };
        let held = self.held().iter().map(|(asked, held)| (asked.clone(), other(held))).collect();
        replaced.then(|| Self { shelf: self.shelf.clone(), held: Mutex::new(held) })
    }

    /// Lets the faults of this run not count against its versions: others failed as well.
    pub fn excuse(&self) {
        self.held().values().filter(|held| held.fault.is_some()).for_each(|held| held.pin.excuse());
    }

    /// The newest version of plugin `id` that fulfils `requirement`, such as `=1.4` or `*`.
    ///
    /// # Errors
    /// Those of [`pin`].
    pub(crate) fn get(&self, id: &str, requirement: &str) -> Result<Pin, Error> {
        let mut held = self.held();
        let asked = (id.to_owned(), requirement.to_owned());
        if let Some(held) = held.get(&asked) {
            return Ok(held.pin.clone());
        }
        let pin = pin(&self.shelf, id, requirement)?;
        held.insert(asked, Held { pin: pin.clone(), fault: None });
        Ok(pin)
    }

    /// Notes that the version behind `pin` failed; the first fault of each is kept.
    pub(crate) fn note(&self, pin: &Pin, fault: &Fault) {
        for held in self.held().values_mut().filter(|held| held.pin.version() == pin.version()) {
            held.fault.get_or_insert_with(|| fault.clone());
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<(String, String), Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pins a version of plugin `id` for a job.
///
/// # Errors
/// [`Error::UnknownPlugin`] with the ids there are, [`Error::Argument`] for a requirement that is none, or the refusal
/// of the version.
pub fn pin(shelf: &Shelf, id: &str, requirement: &str) -> Result<Pin, Error> {
    let wanted = VersionReq::parse(requirement).map_err(|error| Error::Argument {
        what: "the version of a plugin".to_owned(),
        expected: "a requirement such as \"=1.4\", \"^1.4.2\" or \"*\"".to_owned(),
        found: format!("\"{requirement}\" ({error})"),
    })?;
    let ids: BTreeSet<String> = shelf.records().into_iter().map(|record| record.version.id).collect();
    if !ids.contains(id) {
        let known = if ids.is_empty() { "none".to_owned() } else { Vec::from_iter(ids).join(", ") };
        return Err(Error::UnknownPlugin { id: id.to_owned(), known });
    }
    shelf.pin(id, &wanted).map_err(|fault| Error::Pipeline(isoscan_pipeline::Error::Fault(fault)))
}

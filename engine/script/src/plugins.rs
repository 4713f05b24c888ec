use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use isoscan_host::{Bundle, Options, Plugin};

use crate::Error;

/// The plugins of a run: found in the granted folders, opened at first use and kept until the run ends, so that every
/// subject meets the same version.
pub(crate) struct Plugins {
    folders: Vec<PathBuf>,
    options: Options,
    open: Mutex<BTreeMap<String, Plugin>>,
}

impl Plugins {
    pub(crate) fn new(folders: Vec<PathBuf>, options: Options) -> Self {
        Self { folders, options, open: Mutex::default() }
    }

    /// The newest version of plugin `id`.
    ///
    /// # Errors
    /// [`Error::UnknownPlugin`], or the refusal of its bundle.
    pub(crate) fn get(&self, id: &str) -> Result<Plugin, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = open.get(id) {
            return Ok(plugin.clone());
        }
        let bundle = find_bundle(&self.folders, id)?;
        let plugin = Plugin::open(&bundle, self.options.clone()).map_err(isoscan_pipeline::Error::Fault)?;
        open.insert(id.to_owned(), plugin.clone());
        Ok(plugin)
    }
}

/// The newest version of plugin `id` in the last of `folders` that has one.
///
/// # Errors
/// [`Error::UnknownPlugin`] with the ids there are, or the refusal of the only bundle that carries the id.
pub fn find_bundle(folders: &[PathBuf], id: &str) -> Result<Bundle, Error> {
    let mut found: Vec<Bundle> = Vec::new();
    let mut refusal = None;
    for folder in folders {
        for bundle in isoscan_host::discover(folder) {
            match bundle {
                Ok(bundle) => found.push(bundle),
                Err(error) if error.to_string().contains(id) => refusal = Some(error),
                Err(_) => {}
            }
        }
    }
    if let Some(bundle) = found.iter().rfind(|bundle| bundle.id == id) {
        return Ok(bundle.clone());
    }
    if let Some(refusal) = refusal {
        return Err(refusal.into());
    }
    let mut ids: Vec<&str> = found.iter().map(|bundle| bundle.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let known = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
    Err(Error::UnknownPlugin { id: id.to_owned(), known })
}

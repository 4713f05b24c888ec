use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use rhai::AST;

use crate::{Access, Error, budget::Budget, ledger::Ledger, limits::Stop, plugins::Pins};

/// Where a run shows how far it is.
pub trait Progress: Send + Sync {
    /// Work of `total` steps starts.
    fn begin(&self, label: &str, total: usize);
    /// One step is done; `what` names it.
    fn advance(&self, what: &str);
    /// The work is over.
    fn end(&self);
    /// A line from the script.
    fn print(&self, line: &str);
}

/// Everything that the verbs of one run share.
pub(crate) struct Run {
    pub(crate) access: Access,
    pub(crate) seed: u64,
    pub(crate) made_at: Option<u64>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) plugins: Arc<Pins>,
    pub(crate) stop: Stop,
    pub(crate) progress: Arc<dyn Progress>,
    pub(crate) overrides: BTreeMap<String, String>,
    pub(crate) script_name: String,
    pub(crate) script_sha256: String,
    pub(crate) ast: OnceLock<AST>,
    pub(crate) ledger: Mutex<Ledger>,
}

impl Run {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a file that was written below the output folder.
    pub(crate) fn wrote(&self, path: &std::path::Path) -> Result<(), Error> {
        let sha256 = isoscan_io::sha256_file(path)?;
        let told = path.strip_prefix(self.access.output()).unwrap_or(path).display().to_string();
        self.ledger().outputs.insert(told, sha256);
        Ok(())
    }
}

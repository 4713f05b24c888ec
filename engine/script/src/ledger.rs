use std::collections::BTreeMap;

use serde::Serialize;

/// The making of a run: what `provenance.json` tells. It holds no time and no absolute path, so two equal runs write
/// equal bytes.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ledger {
    pub(crate) settings: BTreeMap<String, serde_json::Value>,
    pub(crate) inputs: BTreeMap<String, String>,
    pub(crate) plugins: BTreeMap<String, PluginRecord>,
    pub(crate) steps: BTreeMap<String, Vec<serde_json::Value>>,
    pub(crate) outputs: BTreeMap<String, String>,
}

/// A plugin that a run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PluginRecord {
    pub(crate) version: String,
    pub(crate) library_sha256: String,
    pub(crate) weights_sha256: Option<String>,
}

use std::collections::BTreeMap;

use serde::Serialize;

/// The making of a run: what `provenance.json` tells. It holds no time and no absolute path, so two equal runs write
/// equal bytes.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Ledger {
    pub(crate) settings: BTreeMap<String, serde_json::Value>,
    pub(crate) inputs: BTreeMap<String, String>,
    /// By id and version.
    pub(crate) plugins: BTreeMap<(String, String), PluginRecord>,
    pub(crate) steps: BTreeMap<String, Vec<serde_json::Value>>,
    pub(crate) outputs: BTreeMap<String, String>,
}

/// A plugin that a run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PluginRecord {
    pub(crate) id: String,
    pub(crate) version: String,
    /// What vouched for it: `built-in`, `signed by NAME` or `unsigned`.
    pub(crate) trust: String,
    pub(crate) manifest_sha256: String,
    pub(crate) library_sha256: String,
    pub(crate) weights_sha256: Option<String>,
}

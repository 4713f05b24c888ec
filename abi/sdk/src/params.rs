use std::collections::BTreeMap;

use isoscan_abi::{Param, ParamValue, check_params};

use crate::PluginError;

/// Parameter values of one call, checked against the descriptor, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    values: BTreeMap<String, ParamValue>,
}

impl Params {
    /// The value of the float parameter `id`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the descriptor declares no float of that id.
    pub fn float(&self, id: &str) -> Result<f64, PluginError> {
        match self.values.get(id) {
            Some(ParamValue::Float(value)) => Ok(*value),
            _ => Err(undeclared(id, "float")),
        }
    }

    /// The value of the integer parameter `id`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the descriptor declares no integer of that id.
    pub fn int(&self, id: &str) -> Result<i64, PluginError> {
        match self.values.get(id) {
            Some(ParamValue::Int(value)) => Ok(*value),
            _ => Err(undeclared(id, "int")),
        }
    }

    /// The value of the yes-or-no parameter `id`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the descriptor declares no bool of that id.
    pub fn bool(&self, id: &str) -> Result<bool, PluginError> {
        match self.values.get(id) {
            Some(ParamValue::Bool(value)) => Ok(*value),
            _ => Err(undeclared(id, "bool")),
        }
    }

    /// The chosen word of the parameter `id`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the descriptor declares no choice of that id.
    pub fn choice(&self, id: &str) -> Result<&str, PluginError> {
        match self.values.get(id) {
            Some(ParamValue::Choice(value)) => Ok(value),
            _ => Err(undeclared(id, "choice")),
        }
    }

    /// Every value by id, in the order of the ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ParamValue)> {
        self.values.iter().map(|(id, value)| (id.as_str(), value))
    }

    /// The values of the parameters `declared` by plugin `id`: those that `over` has too, and defaults.
    ///
    /// # Errors
    /// [`PluginError::Invalid`] when a value of `over` is out of the declared range.
    pub fn shared(over: &Params, id: &str, declared: &[Param]) -> Result<Self, PluginError> {
        let given = over.iter().filter(|(name, _)| declared.iter().any(|param| param.id == *name));
        Self::check(&given.map(|(name, value)| (name.to_owned(), serde_json::json!(value))).collect(), id, declared)
    }

    /// The values by id, as the descriptor's own functions take them.
    pub(crate) fn values(&self) -> &BTreeMap<String, ParamValue> {
        &self.values
    }

    /// Reads the JSON object `text`, checks it against what the plugin `id` declares and fills in defaults.
    pub(crate) fn parse(text: &str, id: &str, declared: &[Param]) -> Result<Self, PluginError> {
        let text = if text.is_empty() { "{}" } else { text };
        let given = serde_json::from_str(text)
            .map_err(|error| PluginError::invalid(format_args!("parameters are not a JSON object: {error}")))?;
        Self::check(&given, id, declared)
    }

    /// Checks `given` against what the plugin `id` declares and fills in defaults.
    pub(crate) fn check(
        given: &BTreeMap<String, serde_json::Value>,
        id: &str,
        declared: &[Param],
    ) -> Result<Self, PluginError> {
        Ok(Self { values: check_params(id, declared, given).map_err(PluginError::Invalid)? })
    }
}

fn undeclared(id: &str, kind: &str) -> PluginError {
    PluginError::failed(format_args!("the descriptor declares no {kind} parameter '{id}'"))
}

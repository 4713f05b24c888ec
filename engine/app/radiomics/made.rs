use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What makes a table beside its inputs; the same gives the same table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Made {
    /// Version of the engine.
    pub(crate) engine_version: String,
    /// Whose definitions the values follow.
    pub(crate) mode: String,
    /// Every setting.
    pub(crate) settings: serde_json::Value,
    /// Perturbations of image and mask, when stability is measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) perturbations: Option<serde_json::Value>,
    /// Number of cases.
    pub(crate) cases: usize,
    /// SHA-256 of the list of cases: paths, regions and columns carried to the table.
    pub(crate) cases_sha256: String,
}

impl Made {
    /// Refuses to continue a table that was made in another way.
    pub(crate) fn require_same(&self, found: &Self) -> Result<(), Failure> {
        let changed = |what: &str, before: &str, now: &str| {
            Err(Failure::new(format!("cannot continue: {what} changed from {before} to {now}"))
                .help("give the same settings and cases, or remove the .part and .journal files to begin anew"))
        };
        if found.engine_version != self.engine_version {
            return changed("the version of isoscan", &found.engine_version, &self.engine_version);
        }
        if found.mode != self.mode {
            return changed("the mode", &found.mode, &self.mode);
        }
        if let Some((name, before, now)) = first_difference("", &found.settings, &self.settings) {
            return changed(&format!("the setting {name}"), &before, &now);
        }
        if found.perturbations != self.perturbations {
            return changed("the perturbations", "others", "these");
        }
        if found.cases != self.cases || found.cases_sha256 != self.cases_sha256 {
            return changed("the cases", &told(found), &told(self));
        }
        Ok(())
    }
}

fn told(made: &Made) -> String {
    format!("{} (list {:.12})", made.cases, made.cases_sha256)
}

/// The first setting whose values differ.
fn first_difference(
    name: &str,
    before: &serde_json::Value,
    now: &serde_json::Value,
) -> Option<(String, String, String)> {
    if before == now {
        return None;
    }
    let (Some(old), Some(new)) = (before.as_object(), now.as_object()) else {
        return Some((name.to_owned(), before.to_string(), now.to_string()));
    };
    let absent = serde_json::Value::Null;
    let below = |key: &String| if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
    let keys = old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)));
    keys.filter_map(|key| {
        first_difference(&below(key), old.get(key).unwrap_or(&absent), new.get(key).unwrap_or(&absent))
    })
    .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_changed_is_named() {
        let before = serde_json::json!({"setting": {"binWidth": 25.0, "label": 1}});
        let now = serde_json::json!({"setting": {"binWidth": 10.0, "label": 1}});
        let found = first_difference("", &before, &now);
        assert_eq!(found, Some(("setting.binWidth".into(), "25.0".into(), "10.0".into())));
        assert_eq!(first_difference("", &now, &now), None);
    }
}

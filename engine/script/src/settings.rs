use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};

use crate::{
    Error,
    state::Run,
    value::{argument, json, told},
};

/// Registers `settings(#{...})`: the script's settings with their defaults, overridden by `--set`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("settings", move |defaults: Map| -> Result<Map, Box<EvalAltResult>> {
        Ok(merge(&shared, defaults)?)
    });
    let shared = run.clone();
    engine.register_fn("seed", move || shared.seed as i64);
}

/// True when every override found a script that declares settings.
pub(crate) fn were_used(run: &Run) -> bool {
    run.overrides.is_empty() || !run.ledger().settings.is_empty()
}

fn merge(run: &Run, mut settings: Map) -> Result<Map, Error> {
    for (key, text) in &run.overrides {
        let Some(default) = settings.get(key.as_str()) else {
            let known = settings.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::UnknownSetting { key: key.clone(), known });
        };
        let value = convert(key, text, default)?;
        settings.insert(key.as_str().into(), value);
    }
    let mut ledger = run.ledger();
    for (key, value) in &settings {
        ledger.settings.insert(key.to_string(), json(key, value)?);
    }
    drop(ledger);
    Ok(settings)
}

/// The text of `--set key=text` in the type of the setting's default; a list is parted by commas or blanks.
fn convert(key: &str, text: &str, default: &Dynamic) -> Result<Dynamic, Error> {
    let what = format!("setting '{key}'");
    if default.is_int() {
        return text.parse().map(Dynamic::from_int).map_err(|_| argument(&what, "a whole number", text));
    }
    if default.is_float() {
        let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
        return value.map(Dynamic::from_float).ok_or_else(|| argument(&what, "a number", text));
    }
    if default.is_bool() {
        return text.parse().map(Dynamic::from_bool).map_err(|_| argument(&what, "true or false", text));
    }
    if let Some(list) = default.read_lock::<Array>() {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        return match list.first() {
            Some(first) => parts.map(|part| convert(key, part, first)).collect::<Result<Array, _>>().map(Into::into),
            None => Ok(parts.map(|part| part.to_owned().into()).collect::<Array>().into()),
        };
    }
    if default.is_string() {
        return Ok(text.to_owned().into());
    }
    Err(argument(&what, "left as it is: its default is no number, text, truth value or list", told(default)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_takes_the_type_of_its_default() {
        let list: Dynamic = vec![Dynamic::from_float(1.0)].into();
        let rows: [(&str, Dynamic, Result<&str, &str>); 6] = [
            ("3", 1_i64.into(), Ok("3")),
            ("3", 1.5.into(), Ok("3.0")),
            ("x", 1.5.into(), Err("setting 'k' must be a number, found x")),
            ("true", false.into(), Ok("true")),
            ("40, 400", list, Ok("[40.0, 400.0]")),
            ("1.5", 1_i64.into(), Err("setting 'k' must be a whole number, found 1.5")),
        ];
        for (text, default, expected) in rows {
            let found = convert("k", text, &default).map(|value| value.to_string()).map_err(|error| error.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected);
        }
    }
}

use rhai::{Array, Dynamic};

use crate::Error;

/// The refusal of an argument: its name, what is legal, what was found.
pub(crate) fn argument(what: &str, expected: &str, found: impl ToString) -> Error {
    Error::Argument { what: what.to_owned(), expected: expected.to_owned(), found: found.to_string() }
}

/// A finite number, written with or without a point.
pub(crate) fn number(what: &str, value: &Dynamic) -> Result<f64, Error> {
    let number = value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64)).ok();
    number.filter(|n| n.is_finite()).ok_or_else(|| argument(what, "a number", told(value)))
}

/// Three numbers x, y, z.
pub(crate) fn numbers3(what: &str, values: &Array) -> Result<[f64; 3], Error> {
    let [x, y, z] = values.as_slice() else {
        return Err(argument(what, "three numbers [x, y, z]", format!("{} values", values.len())));
    };
    Ok([number(what, x)?, number(what, y)?, number(what, z)?])
}

/// Three whole numbers x, y, z.
pub(crate) fn integers3(what: &str, values: &Array) -> Result<[i64; 3], Error> {
    let whole =
        |value: &Dynamic| value.as_int().map_err(|_| argument(what, "three whole numbers [x, y, z]", told(value)));
    let [x, y, z] = values.as_slice() else {
        return Err(argument(what, "three whole numbers [x, y, z]", format!("{} values", values.len())));
    };
    Ok([whole(x)?, whole(y)?, whole(z)?])
}

/// A script value as JSON; images and other handles are refused.
pub(crate) fn json(what: &str, value: &Dynamic) -> Result<serde_json::Value, Error> {
    rhai::serde::from_dynamic(value)
        .map_err(|_| argument(what, "plain values (numbers, texts, lists, maps)", told(value)))
}

/// A short text of any value for a message.
pub(crate) fn told(value: &Dynamic) -> String {
    if value.is_unit() { "nothing".to_owned() } else { value.to_string() }
}

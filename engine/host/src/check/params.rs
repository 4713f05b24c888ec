//! Parameters that the plugin itself must refuse or accept.

use isoscan_abi::{Param, ParamKind, Refine, STATUS_INVALID};
use serde_json::{Value, json};

use super::{
    Rule, Words,
    bench::{Bench, Stop, Verdict, image, told},
};
use crate::raw::{Raw, RawCall};

pub(super) const RULES: [Rule<Bench>; 4] = [
    Rule {
        words: Words {
            name: "parameter-ends",
            rule: "both ends of every declared range, every choice and both truth values are accepted, because an \
                   operator may set them",
            remedy: "declare the range that works",
        },
        check: ends_are_accepted,
    },
    Rule {
        words: Words {
            name: "parameter-range",
            rule: "a value outside its declared range is refused by the plugin itself, because another host may not \
                   check",
            remedy: "compare every value with its declared range and return ISO_STATUS_INVALID with a message",
        },
        check: range_is_kept,
    },
    Rule {
        words: Words {
            name: "parameter-type",
            rule: "a value of another type, and a text that is no JSON object, is refused by the plugin itself",
            remedy: "read the parameters with a JSON parser that knows types, and return ISO_STATUS_INVALID with a \
                     message",
        },
        check: type_is_kept,
    },
    Rule {
        words: Words {
            name: "parameter-names",
            rule: "a parameter that was not declared is refused, because a misspelt one must not go unnoticed",
            remedy: "go through the names that were given, and return ISO_STATUS_INVALID with a message for one that \
                     is not declared",
        },
        check: names_are_kept,
    },
];

fn ends_are_accepted(bench: &Bench) -> Verdict {
    let params = &bench.descriptor.params;
    if params.is_empty() {
        return Err(Stop::Skip("it has no parameters".into()));
    }
    let mut raw = bench.start()?;
    let mut count = 0;
    for param in params {
        for (end, value) in ends(param).into_iter().enumerate() {
            count += 1;
            let alone = try_with(bench, &mut raw, &[(&param.id, value.clone())])?;
            // Two parameters may bound each other, as the ends of a window do: then they are moved together.
            let together: Vec<(&str, Value)> = params
                .iter()
                .map(|other| (other.id.as_str(), if other.id == param.id { value.clone() } else { end_of(other, end) }))
                .collect();
            if alone.is_err() && try_with(bench, &mut raw, &together)?.is_err() {
                let found = alone.err().unwrap_or_default();
                return Err(Stop::Fail(format!("{} = {value} was refused with {found}", param.id)));
            }
        }
    }
    Ok(format!("{count} values of {} parameters accepted", params.len()))
}

/// Whether a call with these values gives an image, or what was said instead.
fn try_with(bench: &Bench, raw: &mut Raw<'_>, values: &[(&str, Value)]) -> Result<Result<(), String>, Stop> {
    let mut call = small(bench, bench.params(values));
    call.output_shape = Refine::output_shape(bench.refine(values), call.inputs[0].shape);
    let reply = raw.call(&call, None)?;
    let told = told(&reply);
    Ok(image(reply).map(|_| ()).map_err(|_| told))
}

fn range_is_kept(bench: &Bench) -> Verdict {
    let rows =
        bench.descriptor.params.iter().flat_map(|param| beyond(param).into_iter().map(move |value| (param, value)));
    let rows: Vec<(&Param, Value)> = rows.collect();
    if rows.is_empty() {
        return Err(Stop::Skip("it has no parameter with a range".into()));
    }
    let calls = rows
        .iter()
        .map(|(param, value)| (format!("{} = {value}", param.id), bench.params(&[(&param.id, value.clone())])));
    refused(bench, calls)
}

fn type_is_kept(bench: &Bench) -> Verdict {
    let rows =
        bench.descriptor.params.iter().flat_map(|param| foreign(param).into_iter().map(move |value| (param, value)));
    let calls = rows.map(|(param, value)| (format!("{} = {value}", param.id), bench.params(&[(&param.id, value)])));
    let texts = ["[1]", "{\"a\"", "true"].map(|text| (format!("the text {text}"), text.to_owned()));
    refused(bench, calls.chain(texts))
}

fn names_are_kept(bench: &Bench) -> Verdict {
    let unknown = ["no-such-parameter", ""].map(|name| (format!("'{name}' = 1"), bench.params(&[(name, json!(1))])));
    refused(bench, unknown.into_iter())
}

/// Passes when each of the calls, given by what is wrong and its parameters, is refused as invalid.
fn refused(bench: &Bench, calls: impl Iterator<Item = (String, String)>) -> Verdict {
    let mut raw = bench.start()?;
    let mut count = 0;
    for (wrong, params) in calls {
        let reply = raw.call(&small(bench, params), None)?;
        if reply.status != STATUS_INVALID {
            return Err(Stop::Fail(format!("{wrong} was answered with {}", told(&reply))));
        }
        count += 1;
    }
    Ok(format!("{count} wrong values refused"))
}

/// A small call with these parameters, JSON.
fn small(bench: &Bench, params: String) -> RawCall {
    RawCall { params, ..bench.usual(bench.size([8, 8, 2])) }
}

/// Smallest and largest value, or every choice.
fn ends(param: &Param) -> Vec<Value> {
    match &param.kind {
        ParamKind::Float { min, max, .. } => vec![json!(min), json!(max)],
        ParamKind::Int { min, max, .. } => vec![json!(min), json!(max)],
        ParamKind::Bool { .. } => vec![json!(false), json!(true)],
        ParamKind::Choice { choices, .. } => choices.iter().map(|choice| json!(choice)).collect(),
    }
}

/// The end of that number, or the default of a choice.
fn end_of(param: &Param, end: usize) -> Value {
    match &param.kind {
        ParamKind::Choice { default, .. } => json!(default),
        _ => ends(param).swap_remove(end.min(1)),
    }
}

fn beyond(param: &Param) -> Vec<Value> {
    match &param.kind {
        ParamKind::Float { min, max, .. } => {
            let step = ((max - min) / 1024.0).max(1e-6 * min.abs().max(max.abs())).max(f64::MIN_POSITIVE);
            vec![json!(min - step), json!(max + step), json!(-1e300), json!(1e300)]
        }
        ParamKind::Int { min, max, .. } => {
            [min.checked_sub(1), max.checked_add(1)].into_iter().flatten().map(|value| json!(value)).collect()
        }
        ParamKind::Bool { .. } => Vec::new(),
        ParamKind::Choice { choices, .. } => {
            let longer = format!("{}x", choices.first().map_or("", String::as_str));
            ["no-such-choice".to_owned(), String::new(), longer]
                .into_iter()
                .filter(|word| !choices.contains(word))
                .map(|word| json!(word))
                .collect()
        }
    }
}

fn foreign(param: &Param) -> Vec<Value> {
    match &param.kind {
        ParamKind::Float { default, .. } => {
            vec![json!(default.to_string()), json!(true), json!([default]), Value::Null]
        }
        ParamKind::Int { default, .. } => vec![json!(default.to_string()), json!(true), json!(0.5), Value::Null],
        ParamKind::Bool { .. } => vec![json!(1), json!("true"), Value::Null],
        ParamKind::Choice { .. } => vec![json!(0), json!(true), Value::Null],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_beyond_a_range_lie_outside_it() {
        for param in [Param::float("a", [0.0, 1.0], 0.5, "", ""), Param::int("b", [i64::MIN, 3], 0, "", "")] {
            for value in beyond(&param) {
                let given: BTreeMap<String, Value> = [(param.id.clone(), value.clone())].into();
                assert!(isoscan_abi::check_params("x", std::slice::from_ref(&param), &given).is_err(), "{value}");
            }
        }
        assert_eq!(beyond(&Param::int("b", [i64::MIN, 3], 0, "", "")), [json!(4)]);
    }
}

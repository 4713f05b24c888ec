//! Checks that what a plugin declares makes sense, so that nobody behind this door has to.

use std::collections::BTreeSet;

use isoscan_abi::{Descriptor, Input, Normalize, Param, ParamKind, Refine};
use serde_json::Value;

use crate::error::line;

/// Most output voxels in the place of one along an axis.
const MAX_REFINE: usize = 16;

/// Parses and checks a descriptor document.
///
/// # Errors
/// A sentence naming the field, what was expected and what was found.
pub(crate) fn parse(text: &str) -> Result<Descriptor, String> {
    let (limit, found) = (crate::link::MAX_BODY, text.len());
    require(found <= limit, || format!("its descriptor may take {limit} bytes, found {found}"))?;
    let descriptor: Descriptor =
        serde_json::from_str(text).map_err(|e| format!("its descriptor cannot be read: {e}"))?;
    check(&descriptor)?;
    Ok(descriptor)
}

pub(crate) fn check(descriptor: &Descriptor) -> Result<(), String> {
    let Descriptor { id, version, inputs, patching, params, .. } = descriptor;
    require(is_id(id), || format!("expected an id of lower-case letters, digits, '.', '-' and '_', found '{id}'"))?;
    require(is_version(version), || format!("expected a version like 1.2.3, found '{version}'"))?;
    require(!inputs.is_empty(), || "expected at least one input, found none".to_owned())?;
    let names = inputs.iter().map(|input| input.name.as_str());
    require(all_differ(names), || "expected inputs of different names".to_owned())?;
    require(inputs.is_sorted_by_key(|input| input.optional) && !inputs[0].optional, || {
        "expected the first input to be required and optional ones to come last".to_owned()
    })?;
    require(!inputs[0].aligned, || "expected only further inputs to be aligned, found the first".to_owned())?;
    inputs.iter().try_for_each(check_input)?;
    require(patching.multiple.iter().all(|&n| n > 0), || {
        format!("expected patch multiples above 0, found {:?}", patching.multiple)
    })?;
    require(patching.max_batch > 0, || "expected max_batch above 0, found 0".to_owned())?;
    require(all_differ(params.iter().map(|param| param.id.as_str())), || {
        "expected parameters of different ids".to_owned()
    })?;
    params.iter().try_for_each(check_param)?;
    check_refine(&descriptor.output.refine, params)
}

/// What the manifest says must be what the library describes.
///
/// # Errors
/// A sentence with the first field that differs.
pub(crate) fn agree(said: &Descriptor, described: &Descriptor) -> Result<(), String> {
    if said == described {
        return Ok(());
    }
    let [said, described] = [said, described].map(|d| serde_json::to_value(d).unwrap_or_default());
    let (field, said, described) = difference("", &said, &described).unwrap_or_default();
    Err(line(&format!("{field}: expected {said} as plugin.toml says, found {described}")))
}

/// Place and both values of the first difference.
fn difference(place: &str, said: &Value, described: &Value) -> Option<(String, String, String)> {
    if said == described {
        return None;
    }
    let inside = match (said, described) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys = a.keys().chain(b.keys());
            let below = |key: &String| format!("{place}{}{key}", if place.is_empty() { "" } else { "." });
            let value = |side: &serde_json::Map<String, Value>, key| side.get(key).cloned().unwrap_or_default();
            keys.find_map(|key| difference(&below(key), &value(a, key), &value(b, key)))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let mut pairs = a.iter().zip(b).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&format!("{place}[{i}]"), a, b))
        }
        _ => None,
    };
    inside.or_else(|| Some((place.to_owned(), said.to_string(), described.to_string())))
}

fn check_input(input: &Input) -> Result<(), String> {
    let name = &input.name;
    require(is_id(name), || format!("expected an input name of lower-case letters, found '{name}'"))?;
    let spacing_is_legal = input.spacing_mm.iter().flatten().all(|[low, high]| *low > 0.0 && low <= high);
    require(spacing_is_legal, || format!("input '{name}': expected spacings above 0, smallest first"))?;
    let range_is_legal = input.range.iter().all(|[low, high]| low < high);
    require(range_is_legal, || format!("input '{name}': expected a range, smallest first, found {:?}", input.range))?;
    let Some(Normalize::Percentile { low, high, .. }) = input.normalize else { return Ok(()) };
    require(0.0 <= low && low < high && high <= 100.0, || {
        format!("input '{name}': expected percentiles in 0..100, smallest first, found {low} and {high}")
    })
}

fn check_refine(refine: &Refine, params: &[Param]) -> Result<(), String> {
    let listed: Vec<[usize; 3]> = match refine {
        Refine::Fixed(factors) => vec![*factors],
        Refine::Chosen { param, factors } => {
            let kind = params.iter().find(|declared| declared.id == *param).map(|declared| &declared.kind);
            let Some(ParamKind::Choice { choices, .. }) = kind else {
                return Err(format!("output refine: expected a parameter with choices, found '{param}'"));
            };
            let all = factors.len() == choices.len() && choices.iter().all(|choice| factors.contains_key(choice));
            require(all, || format!("output refine: expected factors for each of {}", choices.join(", ")))?;
            factors.values().copied().collect()
        }
    };
    let is_legal = |factors: &[usize; 3]| factors.iter().all(|factor| (1..=MAX_REFINE).contains(factor));
    match listed.iter().find(|factors| !is_legal(factors)) {
        None => Ok(()),
        Some(found) => Err(format!("output refine: expected factors from 1 to {MAX_REFINE}, found {found:?}")),
    }
}

fn check_param(param: &Param) -> Result<(), String> {
    let id = &param.id;
    require(is_id(id), || format!("expected a parameter id of lower-case letters, found '{id}'"))?;
    let default_is_legal = match &param.kind {
        ParamKind::Float { min, max, default } => min.is_finite() && max.is_finite() && (min..=max).contains(&default),
        ParamKind::Int { min, max, default } => (min..=max).contains(&default),
        ParamKind::Bool { .. } => true,
        ParamKind::Choice { choices, default } => choices.contains(default),
    };
    require(default_is_legal, || format!("parameter '{id}': expected a default inside its range"))
}

pub(crate) fn is_id(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.len() <= 100 && text.chars().all(legal)
}

fn is_version(text: &str) -> bool {
    let numbers = text.split(['-', '+']).next().unwrap_or_default().split('.');
    numbers.clone().count() == 3 && numbers.into_iter().all(|n| n.parse::<u32>().is_ok())
}

fn all_differ<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    names.into_iter().all(|name| seen.insert(name))
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

#[cfg(test)]
mod tests {
    use isoscan_abi::{Axes, Output, Patching};

    use super::*;

    fn legal() -> Descriptor {
        let input = Input::any("image", "");
        Descriptor {
            id: "gain".into(),
            version: "1.0.0".into(),
            name: String::new(),
            summary: String::new(),
            family: "example".into(),
            inputs: vec![input],
            output: Output::like_input(""),
            patching: Patching { axes: Axes::Slices, size: [0; 3], multiple: [1; 3], halo: [0; 3], max_batch: 1 },
            params: vec![Param::float("gain", [0.0, 2.0], 1.0, "", "")],
            deterministic: true,
            synthetic: false,
        }
    }

    fn refusal(edit: fn(&mut Descriptor)) -> String {
        let mut descriptor = legal();
        edit(&mut descriptor);
        parse(&serde_json::to_string(&descriptor).unwrap()).unwrap_err()
    }

    #[test]
    fn a_legal_descriptor_is_taken_as_it_is() {
        assert_eq!(parse(&serde_json::to_string(&legal()).unwrap()), Ok(legal()));
    }

    #[test]
    fn a_descriptor_that_makes_no_sense_is_refused_by_field() {
        type Row = (fn(&mut Descriptor), &'static str);
        let rows: [Row; 14] = [
            (|d| d.id = "Gain Max".into(), "id"),
            (|d| d.version = "1.0".into(), "version"),
            (|d| d.inputs.clear(), "at least one input"),
            (|d| d.inputs[0].optional = true, "first input"),
            (|d| d.inputs.push(d.inputs[0].clone()), "different names"),
            (|d| d.inputs[0].range = Some([1.0, -1.0]), "range"),
            (|d| d.inputs[0].spacing_mm = Some([[0.0, 1.0]; 3]), "spacings"),
            (|d| d.patching.multiple = [1, 0, 1], "multiples"),
            (|d| d.patching.max_batch = 0, "max_batch"),
            (|d| d.params = vec![Param::int("n", [0, 3], 4, "", "")], "default"),
            (|d| d.inputs[0].aligned = true, "aligned"),
            (|d| d.output.refine = Refine::Fixed([2, 0, 1]), "factors from 1 to 16"),
            (|d| d.output.refine = Refine::chosen("gain", &[]), "a parameter with choices"),
            (
                |d| {
                    d.params = vec![Param::choice("scale", &["2", "3"], "")];
                    d.output.refine = Refine::chosen("scale", &[("2", [2, 2, 1])]);
                },
                "each of 2, 3",
            ),
        ];
        for (edit, field) in rows {
            assert!(refusal(edit).contains(field), "{}", refusal(edit));
        }
    }

    #[test]
    fn text_that_is_no_descriptor_is_refused_with_its_place() {
        assert_eq!(
            parse("{"),
            Err("its descriptor cannot be read: EOF while parsing an object at line 1 column 1".into())
        );
    }
}

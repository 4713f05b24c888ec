use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a plugin says of itself, as the JSON text of `describe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Stable id, such as `cyclegan` or `org.vendor.t1-to-t2`.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// Name for people.
    pub name: String,
    /// What it does, one sentence.
    pub summary: String,
    /// Model family: `identity`, `classical`, `cyclegan`, ...
    pub family: String,
    /// Tensors in, in call order; the first is the image that the output copies its grid from.
    pub inputs: Vec<Input>,
    /// The tensor out.
    pub output: Output,
    /// How a volume is cut for `run`.
    pub patching: Patching,
    /// Parameters, each declared here once.
    pub params: Vec<Param>,
    /// True when the same call gives the same bytes.
    pub deterministic: bool,
    /// True when outputs are generated content and must be marked synthetic.
    pub synthetic: bool,
}

/// One input tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Name in scripts, such as `image` or `reference`.
    pub name: String,
    /// Accepted modalities; empty accepts all.
    pub modalities: Vec<Modality>,
    /// Accepted intensity units; empty accepts all.
    pub units: Vec<Unit>,
    /// Voxel spacing the plugin was made for, smallest and largest per axis x, y, z in mm; `None` accepts all.
    pub spacing_mm: Option<[[f64; 2]; 3]>,
    /// Intensities the plugin was made for; voxels outside are reported, not changed.
    pub range: Option<[f64; 2]>,
    /// True when a call may leave it out (the tensor is then missing from the end of the list).
    pub optional: bool,
    /// One line of text.
    pub text: String,
}

/// The output tensor: same grid as the first input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Modality of the output; `None` keeps the input's.
    pub modality: Option<Modality>,
    /// Unit of the output; `None` keeps the input's.
    pub unit: Option<Unit>,
    /// One line of text.
    pub text: String,
}

/// How a volume is cut into calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patching {
    /// Slices, patches or the whole volume.
    pub axes: Axes,
    /// Preferred patch size x, y, z in voxels; 0 takes the whole extent.
    pub size: [usize; 3],
    /// Patch sizes must be multiples of this, x, y, z.
    pub multiple: [usize; 3],
    /// Receptive field radius x, y, z: voxels of margin that make seams impossible.
    pub halo: [usize; 3],
    /// Most patches in one call.
    pub max_batch: usize,
}

/// The kind of cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Axes {
    /// The whole volume in one call.
    Volume,
    /// Axial slices (x, y planes), one z each, batched.
    Slices,
    /// 3-D patches, batched.
    Patches,
}

/// Imaging modality, DICOM (0008,0060) defined terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "DICOM defined terms")]
pub enum Modality {
    Ct,
    Mr,
    Pt,
    Cr,
    Dx,
    Ot,
}

/// Meaning of intensities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the serialised word says it")]
pub enum Unit {
    #[serde(rename = "HU")]
    Hounsfield,
    #[serde(rename = "SUV")]
    Suv,
    #[serde(rename = "arbitrary")]
    Arbitrary,
    #[serde(rename = "normalized")]
    Normalized,
    #[serde(rename = "optical-density")]
    OpticalDensity,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Id in scripts and on the command line.
    pub id: String,
    /// Type, range and default.
    #[serde(flatten)]
    pub kind: ParamKind,
    /// Unit of the value, or empty.
    pub unit: String,
    /// One line of text.
    pub text: String,
}

/// Type, range and default of a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "range and default of each type")]
pub enum ParamKind {
    Float { min: f64, max: f64, default: f64 },
    Int { min: i64, max: i64, default: i64 },
    Bool { default: bool },
    Choice { choices: Vec<String>, default: String },
}

/// A checked parameter value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "one per parameter type")]
pub enum ParamValue {
    Bool(bool),
    Int(i64),
    Float(f64),
    Choice(String),
}

/// Where the patches of a call come from: the JSON of `IsoCall.context`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// Seed of the run.
    pub seed: u64,
    /// Voxel spacing x, y, z in mm.
    pub spacing_mm: [f64; 3],
    /// First voxel x, y, z of each patch of the batch, in the volume.
    pub patch_origins: Vec<[i64; 3]>,
}

impl Param {
    /// A real number in `min..=max`.
    pub fn float(id: &str, [min, max]: [f64; 2], default: f64, unit: &str, text: &str) -> Self {
        Self { id: id.into(), kind: ParamKind::Float { min, max, default }, unit: unit.into(), text: text.into() }
    }

    /// A whole number in `min..=max`.
    pub fn int(id: &str, [min, max]: [i64; 2], default: i64, unit: &str, text: &str) -> Self {
        Self { id: id.into(), kind: ParamKind::Int { min, max, default }, unit: unit.into(), text: text.into() }
    }

    /// Yes or no.
    pub fn bool(id: &str, default: bool, text: &str) -> Self {
        Self { id: id.into(), kind: ParamKind::Bool { default }, unit: String::new(), text: text.into() }
    }

    /// One of `choices`; the first is the default.
    pub fn choice(id: &str, choices: &[&str], text: &str) -> Self {
        let default = choices.first().copied().unwrap_or_default().to_owned();
        let choices = choices.iter().map(|&c| c.to_owned()).collect();
        Self { id: id.into(), kind: ParamKind::Choice { choices, default }, unit: String::new(), text: text.into() }
    }
}

impl Input {
    /// A required input of any modality, unit, spacing and range.
    pub fn any(name: &str, text: &str) -> Self {
        Self {
            name: name.into(),
            modalities: Vec::new(),
            units: Vec::new(),
            spacing_mm: None,
            range: None,
            optional: false,
            text: text.into(),
        }
    }
}

impl Patching {
    /// Whole extents, one at a time, no margin.
    pub fn whole(axes: Axes) -> Self {
        Self { axes, size: [0; 3], multiple: [1; 3], halo: [0; 3], max_batch: 1 }
    }
}

impl Descriptor {
    /// Fills defaults into `given` and checks every value; see [`check_params`].
    ///
    /// # Errors
    /// A sentence naming the parameter, what was expected and what was found.
    pub fn check_params(
        &self,
        given: &BTreeMap<String, serde_json::Value>,
    ) -> Result<BTreeMap<String, ParamValue>, String> {
        check_params(&self.id, &self.params, given)
    }
}

/// Fills defaults into `given` and checks every value against `declared`, the parameters of plugin `id`.
///
/// # Errors
/// A sentence naming the parameter, what was expected and what was found.
pub fn check_params(
    id: &str,
    declared: &[Param],
    given: &BTreeMap<String, serde_json::Value>,
) -> Result<BTreeMap<String, ParamValue>, String> {
    if let Some(unknown) = given.keys().find(|id| declared.iter().all(|p| &&p.id != id)) {
        let known: Vec<&str> = declared.iter().map(|p| p.id.as_str()).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        return Err(format!("plugin {id} has no parameter '{unknown}': {known}"));
    }
    declared.iter().map(|p| Ok((p.id.clone(), p.kind.check(&p.id, given.get(&p.id))?))).collect()
}

impl From<bool> for ParamValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for ParamValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for ParamValue {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for ParamValue {
    fn from(value: &str) -> Self {
        Self::Choice(value.to_owned())
    }
}

impl ParamKind {
    fn check(&self, id: &str, given: Option<&serde_json::Value>) -> Result<ParamValue, String> {
        let wrong = |expected: String| {
            let found = given.map_or_else(String::new, ToString::to_string);
            format!("parameter '{id}' must be {expected}, found {found}")
        };
        match self {
            Self::Float { min, max, default } => {
                let value = given.map_or(Some(*default), serde_json::Value::as_f64);
                let legal = value.filter(|v| (*min..=*max).contains(v));
                legal.map(ParamValue::Float).ok_or_else(|| wrong(format!("a number in {min}..{max}")))
            }
            Self::Int { min, max, default } => {
                let value = given.map_or(Some(*default), serde_json::Value::as_i64);
                let legal = value.filter(|v| (*min..=*max).contains(v));
                legal.map(ParamValue::Int).ok_or_else(|| wrong(format!("a whole number in {min}..{max}")))
            }
            Self::Bool { default } => {
                let value = given.map_or(Some(*default), serde_json::Value::as_bool);
                value.map(ParamValue::Bool).ok_or_else(|| wrong("true or false".to_owned()))
            }
            Self::Choice { choices, default } => {
                let value = given.map_or(Some(default.as_str()), serde_json::Value::as_str);
                let legal = value.filter(|v| choices.iter().any(|c| c == v));
                legal
                    .map(|v| ParamValue::Choice(v.to_owned()))
                    .ok_or_else(|| wrong(format!("one of {}", choices.join(", "))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Param> {
        vec![
            Param::float("strength", [0.0, 1.0], 0.5, "", "how much"),
            Param::int("steps", [1, 50], 10, "", "how often"),
            Param::bool("fast", true, "less exact"),
            Param::choice("kernel", &["soft", "sharp"], "reconstruction"),
        ]
    }

    #[test]
    fn given_values_are_typed_and_the_rest_take_their_defaults() {
        let rows = [
            ("{}", r#"{"fast":true,"kernel":"soft","steps":10,"strength":0.5}"#),
            (r#"{"strength": 1}"#, r#"{"fast":true,"kernel":"soft","steps":10,"strength":1.0}"#),
            (
                r#"{"kernel": "sharp", "fast": false, "steps": 50}"#,
                r#"{"fast":false,"kernel":"sharp","steps":50,"strength":0.5}"#,
            ),
        ];
        for (given, expected) in rows {
            let checked = check_params("net", &declared(), &serde_json::from_str(given).unwrap()).unwrap();
            assert_eq!(serde_json::to_string(&checked).unwrap(), expected, "{given}");
        }
    }

    #[test]
    fn wrong_values_are_refused_with_what_was_expected() {
        let rows = [
            (r#"{"strenght": 1}"#, "plugin net has no parameter 'strenght': it has strength, steps, fast, kernel"),
            (r#"{"strength": 1.5}"#, "parameter 'strength' must be a number in 0..1, found 1.5"),
            (r#"{"strength": "1"}"#, "parameter 'strength' must be a number in 0..1, found \"1\""),
            (r#"{"steps": 0}"#, "parameter 'steps' must be a whole number in 1..50, found 0"),
            (r#"{"steps": 2.5}"#, "parameter 'steps' must be a whole number in 1..50, found 2.5"),
            (r#"{"fast": 1}"#, "parameter 'fast' must be true or false, found 1"),
            (r#"{"kernel": "hard"}"#, "parameter 'kernel' must be one of soft, sharp, found \"hard\""),
        ];
        for (given, message) in rows {
            let refused = check_params("net", &declared(), &serde_json::from_str(given).unwrap()).unwrap_err();
            assert_eq!(refused, message, "{given}");
        }
        let refused = check_params("net", &[], &serde_json::from_str(r#"{"a": 1}"#).unwrap()).unwrap_err();
        assert_eq!(refused, "plugin net has no parameter 'a': it has none");
    }

    #[test]
    fn document_of_a_parameter_is_flat() {
        let text = serde_json::to_string(&declared()[1]).unwrap();
        let expected = r#"{"id":"steps","type":"int","min":1,"max":50,"default":10,"unit":"","text":"how often"}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Param>(&text).unwrap(), declared()[1]);
    }
}

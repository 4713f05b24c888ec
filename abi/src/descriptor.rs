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
    /// True for a further image that lies on the grid of the first and is cut with it, patch by patch, such as another
    /// contrast of the same session; false for one that comes whole with every call.
    #[serde(default, skip_serializing_if = "is_false")]
    pub aligned: bool,
    /// What the host does to the intensities of the whole image before the plugin gets it; `None` for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    /// One line of text.
    pub text: String,
}

/// A linear change of intensities that takes statistics of the whole image, which no patch could give.
///
/// An output that keeps modality and unit of the image goes back through the change of the first input; any other output
/// stays as the plugin makes it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Normalize {
    /// `(x - mean) / sd` of the region, sd over n.
    ZScore {
        /// The voxels that count.
        #[serde(default)]
        region: Region,
    },
    /// `(x - p_low) / (p_high - p_low)`, percentiles of the region; what lies beyond is not clipped.
    Percentile {
        /// Percentile that becomes 0, in 0..100.
        low: f64,
        /// Percentile that becomes 1, in 0..100, above `low`.
        high: f64,
        /// The voxels that count.
        #[serde(default)]
        region: Region,
    },
    /// Mean and sd of the voxels around the last peak of the histogram of the voxels above 0: white matter of a T1
    /// (Shinohara et al., NeuroImage: Clinical 6, 2014).
    WhiteStripe {},
}

/// Voxels that statistics are taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// The patient: the largest piece above the level of air, filled.
    #[default]
    Body,
    /// Voxels other than 0.
    Nonzero,
    /// All.
    All,
}

/// The output tensor: the grid of the first input, or a refined one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Modality of the output; `None` keeps the input's.
    pub modality: Option<Modality>,
    /// Unit of the output; `None` keeps the input's.
    pub unit: Option<Unit>,
    /// Output voxels per input voxel.
    #[serde(default, skip_serializing_if = "Refine::is_none")]
    pub refine: Refine,
    /// One line of text.
    pub text: String,
}

/// How many output voxels lie along x, y and z in the place of one voxel of the first input.
///
/// The fine voxels fill the coarse one: with factor `f` the spacing is `s / f`, and the first fine voxel's centre lies
/// `(1 / f - 1) / 2` coarse voxels from the first coarse one's. In the descriptor it is a list, `[2, 2, 1]`, or
/// `{"param": "scale", "factors": {"2": [2, 2, 1], "4": [4, 4, 1]}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Refine {
    /// Always the same factors x, y, z.
    Fixed([usize; 3]),
    /// Factors by the value of a `choice` parameter.
    Chosen {
        /// Id of the parameter.
        param: String,
        /// Factors x, y, z of each of its choices.
        factors: BTreeMap<String, [usize; 3]>,
    },
}

impl Default for Refine {
    fn default() -> Self {
        Self::Fixed([1; 3])
    }
}

impl Refine {
    /// Factors by the choices of the parameter `param`.
    pub fn chosen(param: &str, factors: &[(&str, [usize; 3])]) -> Self {
        let factors = factors.iter().map(|&(choice, factors)| (choice.to_owned(), factors)).collect();
        Self::Chosen { param: param.to_owned(), factors }
    }

    /// True when the output lies on the grid of the first input whatever the parameters.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The factors x, y, z under checked parameters; 1 along each axis where the parameter has another value than those
    /// that are listed.
    pub fn factors(&self, params: &BTreeMap<String, ParamValue>) -> [usize; 3] {
        match self {
            Self::Fixed(factors) => *factors,
            Self::Chosen { param, factors } => match params.get(param) {
                Some(ParamValue::Choice(choice)) => factors.get(choice).copied().unwrap_or([1; 3]),
                _ => [1; 3],
            },
        }
    }

    /// The shape `[batch, 1, z, y, x]` of the output for an image of shape `image`.
    pub fn output_shape(factors: [usize; 3], [batch, _, z, y, x]: [usize; 5]) -> [usize; 5] {
        [batch, 1, z.saturating_mul(factors[2]), y.saturating_mul(factors[1]), x.saturating_mul(factors[0])]
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What the patches of a training are: part of the `begin` config of `isoscan.train/1`.
///
/// The source tensor is `[batch, channel, z, y, x]` with one channel per declared input, in their order; the target
/// tensor has one channel and `refine` times the voxels. For K `domains` the batch is a multiple of K and holds equal
/// shares in their order: item `i` is of domain `i / (batch / K)`. The target tensor then is a second, independent draw
/// of the same layout, or the paired truth when `paired`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainContext {
    /// True when every target patch is the truth of the source patch of the same index.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paired: bool,
    /// Names of the domains; empty for training between two sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// The domain that translations go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_domain: Option<String>,
    /// Voxels of a source patch along x, y, z; zeros when the host does not tell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub patch: [usize; 3],
    /// Channels of the source tensor.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub inputs: usize,
    /// Output voxels per source voxel along x, y, z.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub refine: [usize; 3],
    /// Mean voxel spacing of the source patches along x, y, z in mm; zeros when the host does not tell.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spacing_mm: [f64; 3],
}

impl Default for TrainContext {
    fn default() -> Self {
        Self {
            paired: false,
            domains: Vec::new(),
            target_domain: None,
            patch: [0; 3],
            inputs: 1,
            refine: [1; 3],
            spacing_mm: [0.0; 3],
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

fn ones() -> [usize; 3] {
    [1; 3]
}

fn are_ones(value: &[usize; 3]) -> bool {
    *value == [1; 3]
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
            aligned: false,
            normalize: None,
            text: text.into(),
        }
    }
}

impl Output {
    /// An image that keeps the modality, unit and grid of the first input.
    pub fn like_input(text: &str) -> Self {
        Self { modality: None, unit: None, refine: Refine::default(), text: text.into() }
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
    fn fields_of_a_newer_contract_are_left_out_where_they_say_nothing() {
        let output = Output::like_input("the image");
        let text = serde_json::to_string(&output).unwrap();
        assert_eq!(text, r#"{"modality":null,"unit":null,"text":"the image"}"#);
        assert_eq!(serde_json::from_str::<Output>(&text).unwrap(), output);
        assert!(!serde_json::to_string(&Input::any("image", "")).unwrap().contains("aligned"));
        assert_eq!(serde_json::to_string(&TrainContext::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<TrainContext>("{}").unwrap(), TrainContext::default());
    }

    #[test]
    fn refinement_is_a_list_or_follows_a_choice() {
        let rows = [
            ("[2,2,1]", Refine::Fixed([2, 2, 1])),
            (
                r#"{"param":"scale","factors":{"2":[2,2,1],"4":[4,4,1]}}"#,
                Refine::chosen("scale", &[("2", [2, 2, 1]), ("4", [4, 4, 1])]),
            ),
        ];
        for (text, refine) in rows {
            assert_eq!(serde_json::to_string(&refine).unwrap(), text);
            assert_eq!(serde_json::from_str::<Refine>(text).unwrap(), refine);
        }
        let chosen = Refine::chosen("scale", &[("2", [2, 2, 1]), ("4", [4, 4, 1])]);
        assert_eq!(chosen.factors(&[("scale".to_owned(), "4".into())].into()), [4, 4, 1]);
        assert_eq!(chosen.factors(&BTreeMap::new()), [1; 3]);
        assert_eq!(Refine::output_shape([4, 3, 2], [5, 2, 7, 8, 9]), [5, 1, 14, 24, 36]);
    }

    #[test]
    fn document_of_a_parameter_is_flat() {
        let text = serde_json::to_string(&declared()[1]).unwrap();
        let expected = r#"{"id":"steps","type":"int","min":1,"max":50,"default":10,"unit":"","text":"how often"}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Param>(&text).unwrap(), declared()[1]);
    }
}

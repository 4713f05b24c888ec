//! `plugin.toml`: what a bundle is, readable without loading any of its code.

use std::{collections::BTreeMap, time::Duration};

use isoscan_abi::{ABI_MAJOR, Descriptor};
use serde::{Deserialize, Serialize};

use crate::{descriptor, error::line};

/// Name of the manifest inside a bundle.
pub(crate) const MANIFEST: &str = "plugin.toml";
/// Name of its detached signature.
pub(crate) const SIGNATURE: &str = "plugin.toml.minisig";
/// Largest manifest, bytes.
pub(crate) const MANIFEST_BYTES: u64 = 1 << 20;
/// Most files and folders of one bundle.
pub(crate) const MOST_FILES: u64 = 10_000;

/// The content of `plugin.toml`.
///
/// A developer writes the short form: id, version, library, and what only a person knows. `isoscan plugins pack` adds
/// what the library says of itself ([`Manifest::descriptor`]) and the hash of every file ([`Manifest::files`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Plugin id, such as `org.vendor.t1-to-t2`.
    pub id: String,
    /// Semantic version.
    pub version: String,
    /// File name of the shared library.
    pub library: String,
    /// File or folder of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The model card: intended use, training data, limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// The contract that the plugin needs.
    #[serde(default)]
    pub abi: Abi,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Task>,
    /// The networks or methods inside, such as `CycleGAN generator, 32 channels`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
    /// What a library that serves many bundles needs to know of this one; the host does not look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<toml::Table>,
    /// Golden vectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub selftest: Vec<Golden>,
    /// What `describe` answers; `None` in the short form.
    #[serde(skip)]
    pub descriptor: Option<Descriptor>,
    /// SHA-256 of every other file, `sha256:` and 64 hexadecimal digits; `None` in the short form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, String>>,
}

/// The contract that a plugin needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abi {
    /// Major version.
    pub major: u32,
    /// Smallest minor version.
    #[serde(default)]
    pub needs: u32,
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Task {
    Harmonization,
    StyleTransfer,
    SuperResolution,
    BoneSuppression,
    Synthesis,
    Denoising,
    Test,
    Other,
}

/// What a plugin may use; the engine enforces it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Private memory of one worker, MiB.
    pub memory_mb: u64,
    /// Most threads of one worker that it can make use of; `None` takes what the engine gives.
    pub threads: Option<usize>,
    /// Longest time of one call, seconds; `None` leaves it to the engine.
    pub deadline_s: Option<f64>,
    /// Longest time between two reports of progress, seconds; `None` for a plugin that does not report.
    pub max_silence_s: Option<f64>,
}

/// One golden vector: an input and what the plugin must make of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// A safetensors file with one f32 tensor `[batch, channel, z, y, x]` per input by its name, and `expected`.
    pub file: String,
    /// Parameters of the call; the rest take their defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, serde_json::Value>,
    /// Voxel spacing x, y, z in mm.
    #[serde(default = "one_mm")]
    pub spacing_mm: [f64; 3],
    /// Seed of the call.
    #[serde(default)]
    pub seed: u64,
    /// Largest absolute difference between output and `expected`, in the output's unit.
    pub tolerance: f64,
    /// Largest absolute difference between the outputs of this version and of the one it replaces, in the output's
    /// unit; `None` accepts any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<f64>,
}

/// The keys of `plugin.toml` that are the descriptor's; id and version are both sides'.
const DESCRIBED: [&str; 9] =
    ["name", "summary", "family", "inputs", "output", "patching", "params", "deterministic", "synthetic"];

/// Keys in the order that people read them.
const ORDER: [&str; 21] = [
    "id",
    "version",
    "name",
    "summary",
    "family",
    "task",
    "models",
    "library",
    "weights",
    "card",
    "deterministic",
    "synthetic",
    "abi",
    "limits",
    "network",
    "inputs",
    "output",
    "patching",
    "params",
    "selftest",
    "files",
];

impl Manifest {
    /// Reads the text of a `plugin.toml`.
    ///
    /// # Errors
    /// A sentence with the line and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |e: toml::de::Error| line(&e.to_string());
        let mut own: toml::Table = toml::from_str(text).map_err(wrong)?;
        let described: toml::Table =
            DESCRIBED.iter().filter_map(|&key| own.remove(key).map(|value| (key.to_owned(), value))).collect();
        let descriptor = if described.is_empty() {
            None
        } else {
            let mut document = described;
            for key in ["id", "version"] {
                document.extend(own.get(key).map(|value| (key.to_owned(), value.clone())));
            }
            Some(document.try_into::<Descriptor>().map_err(wrong)?)
        };
        let manifest = Self { descriptor, ..own.try_into().map_err(wrong)? };
        manifest.check().map(|()| manifest).map_err(|e| line(&e))
    }

    /// The text of a `plugin.toml` that [`Manifest::parse`] reads as this again.
    ///
    /// # Errors
    /// A sentence, where a value cannot be written as TOML (a whole number above 2^63 - 1, a parameter that is null).
    pub fn to_toml(&self) -> Result<String, String> {
        let wrong = |e: toml::ser::Error| line(&e.to_string());
        let mut document = toml::Table::try_from(&self.descriptor).unwrap_or_default();
        document.extend(toml::Table::try_from(self).map_err(wrong)?);
        let is_table = |value: &toml::Value| match value {
            toml::Value::Table(_) => true,
            toml::Value::Array(items) => items.first().is_some_and(toml::Value::is_table),
            _ => false,
        };
        let (tables, values): (Vec<_>, Vec<_>) = ORDER
            .iter()
            .filter_map(|&key| document.remove(key).map(|value| (key.to_owned(), value)))
            .partition(|(_, value)| is_table(value));
        let mut text = String::new();
        for (key, value) in values {
            text += &toml::to_string(&toml::Table::from_iter([(key, value)])).map_err(wrong)?;
        }
        for (key, value) in tables {
            text += "\n";
            text += &toml::to_string(&toml::Table::from_iter([(key, value)])).map_err(wrong)?;
        }
        Ok(text)
    }

    /// What a value must be beyond its type.
    fn check(&self) -> Result<(), String> {
        let Self { id, version, limits, selftest, descriptor, files, .. } = self;
        let legal_id = descriptor::is_id(id) && id.starts_with(|c: char| c.is_ascii_alphanumeric());
        require(legal_id, || format!("expected an id of lower-case letters, digits, '.', '-' and '_', found '{id}'"))?;
        semver::Version::parse(version)
            .map_err(|e| format!("expected a version like 1.2.3, found '{version}': {e}"))?;
        limits.check()?;
        selftest.iter().try_for_each(Golden::check)?;
        descriptor.as_ref().map_or(Ok(()), descriptor::check)?;
        let listed = files.iter().flatten().map(|(name, _)| name.as_str());
        if let Some(name) = self.named_files().chain(listed).find(|name| [MANIFEST, SIGNATURE].contains(name)) {
            return Err(format!("expected no hash and no use of {name} itself"));
        }
        let Some(files) = files else {
            return Ok(());
        };
        require(files.len() as u64 <= MOST_FILES, || {
            format!("expected at most {MOST_FILES} files, found {}", files.len())
        })?;
        match files.iter().find(|(_, hash)| !is_hash(hash)) {
            Some((name, hash)) => {
                Err(format!("file '{name}': expected sha256: and 64 hexadecimal digits, found '{hash}'"))
            }
            None => Ok(()),
        }
    }
}

impl Manifest {
    /// Files and folders that the manifest names beside its `[files]` table.
    pub(crate) fn named_files(&self) -> impl Iterator<Item = &str> {
        let single = [Some(&self.library), self.weights.as_ref(), self.card.as_ref()];
        single.into_iter().flatten().chain(self.selftest.iter().map(|golden| &golden.file)).map(String::as_str)
    }

    /// That of a library without a manifest.
    pub(crate) fn bare(id: &str, library: &std::path::Path) -> Self {
        let library = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            id: id.to_owned(),
            version: String::new(),
            library,
            weights: None,
            card: None,
            abi: Abi::default(),
            task: None,
            models: Vec::new(),
            limits: Limits::default(),
            network: None,
            selftest: Vec::new(),
            descriptor: None,
            files: None,
        }
    }
}

fn require(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn is_hash(text: &str) -> bool {
    let digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.chars().all(digit))
}

impl Golden {
    fn check(&self) -> Result<(), String> {
        let Self { file, spacing_mm, tolerance, drift, .. } = self;
        let legal = |difference: &f64| difference.is_finite() && *difference >= 0.0;
        require(legal(tolerance), || {
            format!("selftest {file}: expected a tolerance of at least 0, found {tolerance}")
        })?;
        require(drift.iter().all(legal), || {
            format!("selftest {file}: expected a drift of at least 0, found {drift:?}")
        })?;
        require(spacing_mm.iter().all(|mm| mm.is_finite() && *mm > 0.0), || {
            format!("selftest {file}: expected spacings above 0, found {spacing_mm:?}")
        })
    }
}

impl Limits {
    /// MiB, about a thousand times the memory of today's largest machines.
    const MOST_MEMORY_MB: u64 = 1 << 34;
    /// About thirty years.
    const LONGEST_S: f64 = 1e9;

    fn check(&self) -> Result<(), String> {
        let Self { memory_mb, threads, deadline_s, max_silence_s } = self;
        require((1..=Self::MOST_MEMORY_MB).contains(memory_mb), || {
            format!("limits.memory_mb: expected 1 to {}, found {memory_mb}", Self::MOST_MEMORY_MB)
        })?;
        require(*threads != Some(0), || "limits.threads: expected at least 1, found 0".to_owned())?;
        for (name, seconds) in [("deadline_s", deadline_s), ("max_silence_s", max_silence_s)] {
            // A duration counts whole nanoseconds.
            let legal = seconds.is_none_or(|seconds| (1e-9..=Self::LONGEST_S).contains(&seconds));
            require(legal, || {
                let found = seconds.unwrap_or_default();
                format!("limits.{name}: expected seconds above 0, at most {}, found {found}", Self::LONGEST_S)
            })?;
        }
        Ok(())
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline_s.map(Duration::from_secs_f64)
    }

    pub(crate) fn max_silence(&self) -> Option<Duration> {
        self.max_silence_s.map(Duration::from_secs_f64)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_mb: 8192, threads: None, deadline_s: None, max_silence_s: None }
    }
}

impl Default for Abi {
    fn default() -> Self {
        Self { major: ABI_MAJOR, needs: 0 }
    }
}

fn one_mm() -> [f64; 3] {
    [1.0; 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &str = "id = \"gain\"\nversion = \"1.0.0\"\nlibrary = \"plugin.so\"\n";

    /// Every key that a manifest can have.
    fn full() -> String {
        let hash = format!("sha256:{}", "0a".repeat(32));
        format!(
            r#"
id = "org.vendor.gain"
version = "1.0.0-rc.1"
name = "Gain"
summary = "Multiplies"
family = "example"
task = "super-resolution"
models = ["one factor"]
library = "plugin.so"
weights = "weights"
card = "CARD.md"
deterministic = true
synthetic = false
abi = {{ major = 1, needs = 0 }}
limits = {{ memory_mb = 512, threads = 2, deadline_s = 60.0, max_silence_s = 5.0 }}
network = {{ dims = "2d", output = {{ scale = 2.0 }} }}
output = {{ modality = "CT", unit = "HU", text = "" }}
patching = {{ axes = "slices", size = [0, 0, 1], multiple = [1, 1, 1], halo = [0, 0, 0], max_batch = 4 }}
[[inputs]]
name = "image"
modalities = ["CT"]
units = ["HU"]
spacing_mm = [[0.1, 5.0], [0.1, 5.0], [0.1, 9.0]]
range = [-1024.0, 3071.0]
optional = false
text = ""
[[params]]
id = "gain"
type = "float"
min = 0.0
max = 2.0
default = 1.0
unit = ""
text = ""
[[selftest]]
file = "golden.safetensors"
params = {{ gain = 1.5 }}
spacing_mm = [1.0, 1.0, 2.0]
seed = 7
tolerance = 1e-3
drift = 0.5
[files]
"plugin.so" = "{hash}"
"#
        )
    }

    /// Parses; what is taken is written and parsed again as the same, what is not is told in one short line.
    fn verdict(text: &str) -> Result<(), String> {
        match Manifest::parse(text) {
            Ok(manifest) => {
                if let Ok(written) = manifest.to_toml() {
                    assert_eq!(Manifest::parse(&written), Ok(manifest), "{text}");
                }
                Ok(())
            }
            Err(message) => {
                assert!(!message.is_empty() && message.len() < 1500 && !message.contains('\n'), "{message:?}");
                Err(message)
            }
        }
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(verdict(SHORT), Ok(()));
        assert_eq!(verdict(&full()), Ok(()));
    }

    #[test]
    fn a_value_of_another_type_is_refused_by_its_key() {
        let whole: toml::Table = toml::from_str(&full()).unwrap();
        let mut refused = 0;
        for path in paths(&toml::Value::Table(whole.clone()), &[]) {
            for wrong in ["{ a = { b = 1 } }", "[[[]]]"] {
                let mut changed = toml::Value::Table(whole.clone());
                let wrong: toml::Table = toml::from_str(&format!("wrong = {wrong}")).unwrap();
                *at(&mut changed, &path) = wrong["wrong"].clone();
                let Err(message) = verdict(&toml::to_string(&changed).unwrap()) else {
                    let params = ["selftest".to_owned(), "0".into(), "params".into()];
                    assert!(path[0] == "network" || path.starts_with(&params), "{path:?}");
                    continue;
                };
                // The kind of a parameter is read after its table, so only the table is known.
                let named = if path[0] == "params" { &path[..1] } else { &path[..] };
                let key = named.iter().rfind(|step| step.parse::<usize>().is_err()).unwrap();
                assert!(message.contains(key.as_str()), "{path:?}: {message}");
                refused += 1;
            }
        }
        assert!(refused > 100, "{refused}");
    }

    /// Keys and indices to every value.
    fn paths(value: &toml::Value, before: &[String]) -> Vec<Vec<String>> {
        let inside: Vec<(String, &toml::Value)> = match value {
            toml::Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
            toml::Value::Array(items) => items.iter().enumerate().map(|(i, value)| (i.to_string(), value)).collect(),
            _ => Vec::new(),
        };
        let below = |(step, value): (String, &toml::Value)| {
            let path = [before, &[step]].concat();
            [vec![path.clone()], paths(value, &path)].concat()
        };
        inside.into_iter().flat_map(below).collect()
    }

    fn at<'a>(value: &'a mut toml::Value, path: &[String]) -> &'a mut toml::Value {
        path.iter().fold(value, |value, step| match step.parse::<usize>() {
            Ok(index) => &mut value[index],
            Err(_) => &mut value[step.as_str()],
        })
    }

    #[test]
    fn mutants_are_read_or_refused_but_never_panic() {
        const WORDS: [&str; 16] = [
            "99999999999999999999",
            "-1",
            "9223372036854775807",
            "1e400",
            "nan",
            "-inf",
            "0",
            "true",
            "\"\"",
            "\"../x\"",
            "[]",
            "{}",
            "'",
            "\"\"\"",
            "a.b.c",
            "\u{0}\u{feff}",
        ];
        let seeds = [SHORT.to_owned(), full()];
        let mut state = 1u64;
        let mut roll = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below.max(1)
        };
        let (mut taken, mut refused) = (0, 0);
        for round in 0..6000 {
            let mut bytes = seeds[round % 2].clone().into_bytes();
            for _ in 0..=roll(2) {
                let place = roll(bytes.len());
                let line = bytes[place..].iter().position(|&byte| byte == b'=').map(|ahead| place + ahead + 1);
                let end =
                    |from: usize| bytes[from..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| from + n);
                match (roll(6), line) {
                    (0, _) => bytes.truncate(place),
                    (1 | 2, _) if place < bytes.len() => bytes[place] ^= 1 << roll(7),
                    (3 | 4, Some(value)) => {
                        let range = value..end(value);
                        bytes.splice(range, WORDS[roll(WORDS.len())].bytes());
                    }
                    (5, _) => {
                        let copied = bytes[place..end(place)].to_vec();
                        let target = roll(bytes.len());
                        bytes.splice(target..target, copied);
                    }
                    _ => bytes.extend(WORDS[roll(WORDS.len())].bytes()),
                }
            }
            match verdict(&String::from_utf8_lossy(&bytes)) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(taken > 100 && refused > 3000, "{taken} read, {refused} refused");
    }

    #[test]
    fn nesting_and_length_without_end_are_refused() {
        for deep in [
            format!("{SHORT}models = {}", "[".repeat(100_000)),
            format!("{SHORT}limits = {}", "{a=".repeat(100_000)),
            format!("{SHORT}{} = 1", vec!["a"; 50_000].join(".")),
            format!("{SHORT}[{}]", vec!["a"; 50_000].join(".")),
            format!("{SHORT}id = \"{}\"", "a".repeat(1_000_000)),
            SHORT.replace("1.0.0", &"1".repeat(100_000)),
            SHORT.replace("gain", &"a".repeat(100_000)),
        ] {
            assert!(verdict(&deep).is_err(), "{:.80}", deep);
        }
    }
}

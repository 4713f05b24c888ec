//! What a training is told: a recipe file, the command line over it, defaults under both.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use isoscan_abi::ParamValue;
use isoscan_imaging::Modality;
use isoscan_pipeline::Augmentation;
use isoscan_radiomics::suggestion;
use serde::{Deserialize, Serialize};

use crate::{failure::Failure, memory::Bytes, run::cores};

/// Options as a recipe file or the command line gives them; what is left out comes from elsewhere.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Given {
    pub(super) plugin: Option<String>,
    pub(super) source: Option<Folders>,
    pub(super) target: Option<PathBuf>,
    pub(super) domains: Option<BTreeMap<String, PathBuf>>,
    pub(super) target_domain: Option<String>,
    pub(super) paired: Option<bool>,
    pub(super) resample: Option<bool>,
    pub(super) steps: Option<u64>,
    pub(super) batch: Option<usize>,
    pub(super) patch: Option<Patch>,
    pub(super) seed: Option<u64>,
    pub(super) augment: Option<Vec<String>>,
    pub(super) validation: Option<BTreeMap<String, PathBuf>>,
    pub(super) validation_share: Option<f64>,
    pub(super) validation_patches: Option<usize>,
    pub(super) validate_every: Option<u64>,
    pub(super) patience: Option<u64>,
    pub(super) checkpoint_every: Option<u64>,
    pub(super) memory: Option<String>,
    pub(super) threads: Option<usize>,
    pub(super) modality: Option<Modalities>,
    pub(super) params: Option<BTreeMap<String, toml::Value>>,
}

/// Every key of a recipe file.
const KEYS: &str = "plugin, source, target, domains, target_domain, paired, resample, steps, batch, patch, seed, augment, \
                    validation, validation_share, validation_patches, validate_every, patience, checkpoint_every, memory, \
                    threads, modality, params";

/// One folder, or one per input of the plugin.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Folders {
    One(PathBuf),
    Several(BTreeMap<String, PathBuf>),
}

/// One modality for all images, or one per group.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Modalities {
    One(String),
    Several(BTreeMap<String, String>),
}

/// Voxels of a patch along x, y, z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PatchText")]
pub(super) struct Patch(pub(super) [usize; 3]);

#[derive(Deserialize)]
#[serde(untagged)]
enum PatchText {
    Side(usize),
    Text(String),
}

impl TryFrom<PatchText> for Patch {
    type Error = String;

    fn try_from(text: PatchText) -> Result<Self, String> {
        match text {
            PatchText::Side(side) => side.to_string().parse(),
            PatchText::Text(text) => text.parse(),
        }
    }
}

impl FromStr for Patch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected a patch such as 64, 64x64x3 or 32x32x32, found {text}");
        let numbers: Vec<usize> = text.split('x').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
        let size = match numbers[..] {
            [side] => [side, side, 1],
            [x, y] => [x, y, 1],
            [x, y, z] => [x, y, z],
            _ => return Err(wrong()),
        };
        if size.contains(&0) { Err(wrong()) } else { Ok(Self(size)) }
    }
}

impl fmt::Display for Patch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.0;
        write!(f, "{x}x{y}x{z}")
    }
}

/// A whole recipe. Written as TOML it is a recipe file, whose relative paths count from where the training was started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Recipe {
    pub(super) plugin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_domain: Option<String>,
    pub(super) paired: bool,
    pub(super) resample: bool,
    pub(super) steps: u64,
    pub(super) batch: usize,
    pub(super) patch: String,
    pub(super) seed: u64,
    pub(super) augment: Vec<String>,
    pub(super) validation_share: f64,
    pub(super) validation_patches: usize,
    pub(super) validate_every: u64,
    pub(super) patience: u64,
    pub(super) checkpoint_every: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) threads: Option<usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) source: BTreeMap<String, PathBuf>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) domains: BTreeMap<String, PathBuf>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) validation: BTreeMap<String, PathBuf>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) modality: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) params: BTreeMap<String, toml::Value>,
}

/// The name under which a modality holds for every group.
const ALL: &str = "all";

/// Reads a recipe file; its paths are relative to its folder.
pub(super) fn read(path: &Path) -> Result<Given, Failure> {
    let wrong = |error: &dyn fmt::Display| Failure::new(format!("recipe: {error}: {}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| wrong(&error))?;
    if let Some(unknown) = table.keys().find(|key| KEYS.split(", ").all(|known| known != *key)) {
        let near = suggestion(unknown, KEYS);
        return Err(wrong(&format!("unknown key {unknown}{near}")).help(format!("a recipe has the keys {KEYS}")));
    }
    let mut given: Given = table.try_into().map_err(|error| wrong(&error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let place = |path: &mut PathBuf| *path = folder.join(&*path);
    match &mut given.source {
        Some(Folders::One(path)) => place(path),
        Some(Folders::Several(paths)) => paths.values_mut().for_each(place),
        None => {}
    }
    given.target.iter_mut().for_each(place);
    given.domains.iter_mut().chain(&mut given.validation).for_each(|paths| paths.values_mut().for_each(place));
    Ok(given)
}

impl Given {
    /// These options, and those of `under` where these have none. Parameters are joined one by one.
    pub(super) fn over(self, under: Self) -> Self {
        let params = match (self.params, under.params) {
            (Some(over), Some(mut under)) => {
                under.extend(over);
                Some(under)
            }
            (over, under) => over.or(under),
        };
        Self {
            plugin: self.plugin.or(under.plugin),
            source: self.source.or(under.source),
            target: self.target.or(under.target),
            domains: self.domains.or(under.domains),
            target_domain: self.target_domain.or(under.target_domain),
            paired: self.paired.or(under.paired),
            resample: self.resample.or(under.resample),
            steps: self.steps.or(under.steps),
            batch: self.batch.or(under.batch),
            patch: self.patch.or(under.patch),
            seed: self.seed.or(under.seed),
            augment: self.augment.or(under.augment),
            validation: self.validation.or(under.validation),
            validation_share: self.validation_share.or(under.validation_share),
            validation_patches: self.validation_patches.or(under.validation_patches),
            validate_every: self.validate_every.or(under.validate_every),
            patience: self.patience.or(under.patience),
            checkpoint_every: self.checkpoint_every.or(under.checkpoint_every),
            memory: self.memory.or(under.memory),
            threads: self.threads.or(under.threads),
            modality: self.modality.or(under.modality),
            params,
        }
    }

    /// The whole recipe, defaults filled in.
    pub(super) fn complete(self) -> Result<Recipe, Failure> {
        let plugin = self.plugin.ok_or_else(|| Failure::new("no plugin is named"))?;
        let source = match self.source {
            None => BTreeMap::new(),
            Some(Folders::One(folder)) => [(String::new(), folder)].into(),
            Some(Folders::Several(folders)) => folders,
        };
        let modality = match self.modality {
            None => BTreeMap::new(),
            Some(Modalities::One(word)) => [(ALL.to_owned(), word)].into(),
            Some(Modalities::Several(words)) => words,
        };
        let checkpoint_every = self.checkpoint_every.unwrap_or(250);
        let recipe = Recipe {
            plugin,
            target: self.target,
            target_domain: self.target_domain,
            paired: self.paired.unwrap_or(false),
            resample: self.resample.unwrap_or(false),
            steps: self.steps.unwrap_or(3000),
            batch: self.batch.unwrap_or(4),
            patch: self.patch.unwrap_or(Patch([64, 64, 1])).to_string(),
            seed: self.seed.unwrap_or(0),
            augment: self.augment.unwrap_or_else(|| vec!["flip".to_owned()]),
            validation_share: self.validation_share.unwrap_or(0.1),
            validation_patches: self.validation_patches.unwrap_or(16),
            validate_every: self.validate_every.unwrap_or(checkpoint_every),
            patience: self.patience.unwrap_or(0),
            checkpoint_every,
            memory: self.memory,
            threads: self.threads,
            source,
            domains: self.domains.unwrap_or_default(),
            validation: self.validation.unwrap_or_default(),
            modality,
            params: self.params.unwrap_or_default(),
        };
        recipe.check()?;
        Ok(recipe)
    }
}

impl Recipe {
    fn check(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::new(text));
        let sides = !self.source.is_empty() || self.target.is_some();
        match (sides, self.domains.len()) {
            (true, 0) if self.source.is_empty() || self.target.is_none() => {
                return wrong("a training between two sides takes --source and --target");
            }
            (true, 0) => {}
            (true, _) => return wrong("a training takes --source and --target, or --domain for each domain"),
            (false, 0) => return wrong("a training takes --source and --target, or --domain for each domain"),
            (false, 1) => return wrong("a training between domains takes two or more of them"),
            (false, _) => {}
        }
        if let Some(name) = self.target_domain.as_ref().filter(|name| !self.domains.contains_key(*name)) {
            let known: Vec<&str> = self.domains.keys().map(String::as_str).collect();
            return wrong(&format!("expected a target domain of {}, found {name}", known.join(", ")));
        }
        let counts = [
            ("steps", self.steps > 0),
            ("batch", self.batch > 0),
            ("validate_every", self.validate_every > 0),
            ("checkpoint_every", self.checkpoint_every > 0),
            ("validation_patches", self.validation_patches > 0),
            ("threads", self.threads != Some(0)),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, is_legal)| !is_legal) {
            return wrong(&format!("expected {name} of at least 1, found 0"));
        }
        if !self.batch.is_multiple_of(self.domains.len().max(1)) {
            let (batch, domains) = (self.batch, self.domains.len());
            return wrong(&format!("expected a batch that {domains} domains can share evenly, found {batch}"));
        }
        if !(0.0..1.0).contains(&self.validation_share) {
            return wrong(&format!("expected a validation share from 0 to below 1, found {}", self.validation_share));
        }
        self.augmentation()?;
        self.memory_bytes()?;
        self.modality.keys().try_for_each(|group| self.modality_of(group).map(|_| ()))
    }

    /// Voxels of a patch along x, y, z.
    pub(super) fn patch_size(&self) -> Result<[usize; 3], Failure> {
        Ok(self.patch.parse::<Patch>().map_err(Failure::new)?.0)
    }

    /// The variations by their words.
    pub(super) fn augmentation(&self) -> Result<Augmentation, Failure> {
        const WORDS: &str = "flip, flip-y, flip-z, rotate, affine, intensity, any-unit, none";
        let mut vary = Augmentation::default();
        for word in &self.augment {
            match word.as_str() {
                "flip" => vary.flip[0] = true,
                "flip-y" => vary.flip[1] = true,
                "flip-z" => vary.flip[2] = true,
                "rotate" => vary.rotate = true,
                "affine" => vary.affine = true,
                "intensity" => vary.intensity = true,
                "any-unit" => vary.any_unit = true,
                "none" => {}
                unknown => {
                    let near = suggestion(unknown, WORDS);
                    return Err(Failure::new(format!("unknown augmentation {unknown}{near}"))
                        .help(format!("there are {WORDS}")));
                }
            }
        }
        let [x, y, _] = self.patch_size()?;
        if vary.rotate && x != y {
            return Err(Failure::new(format!("patches of {} cannot be turned", self.patch))
                .help("leave rotate out, or take patches as wide as high"));
        }
        Ok(vary)
    }

    /// Memory for images, bytes.
    pub(super) fn memory_bytes(&self) -> Result<Option<u64>, Failure> {
        let parse = |text: &String| text.parse::<Bytes>().map(|bytes| bytes.0).map_err(Failure::new);
        self.memory.as_ref().map(parse).transpose()
    }

    /// Threads of the plugin.
    pub(super) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(cores)
    }

    /// The modality of images of a group whose files do not tell it.
    pub(super) fn modality_of(&self, group: &str) -> Result<Option<Modality>, Failure> {
        let word = self.modality.get(group).or_else(|| self.modality.get(ALL));
        word.map(|word| word.parse().map_err(Failure::new)).transpose()
    }

    /// The training parameters of the plugin.
    pub(super) fn param_values(&self) -> Result<BTreeMap<String, ParamValue>, Failure> {
        let value = |(id, value): (&String, &toml::Value)| {
            let value = match value {
                toml::Value::Integer(number) => ParamValue::Int(*number),
                toml::Value::Float(number) => ParamValue::Float(*number),
                toml::Value::Boolean(word) => ParamValue::Bool(*word),
                toml::Value::String(word) => ParamValue::Choice(word.clone()),
                other => return Err(Failure::new(format!("parameter {id} must be a number or a word, found {other}"))),
            };
            Ok((id.clone(), value))
        };
        self.params.iter().map(value).collect()
    }

    /// Recipe file text.
    pub(super) fn to_toml(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(Failure::new)
    }

    /// What the weights depend on: all but memory, threads and how often the state is kept.
    pub(super) fn identity(&self) -> Self {
        Self { memory: None, threads: None, checkpoint_every: 0, ..self.clone() }
    }
}

/// `64` is a whole number, `0.5` a number, `true` a truth value, anything else a word.
pub(super) fn param(text: &str) -> toml::Value {
    text.parse()
        .map(toml::Value::Integer)
        .or_else(|_| text.parse().map(toml::Value::Float))
        .or_else(|_| text.parse().map(toml::Value::Boolean))
        .unwrap_or_else(|_| toml::Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(text: &str) -> Result<Recipe, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        std::fs::write(&path, text).unwrap();
        let told = |failure: Failure| failure.told().0.replace(&format!(": {}", path.display()), "");
        read(&path).and_then(Given::complete).map_err(told)
    }

    const SIDES: &str = "plugin = \"p\"\nsource = \"a\"\ntarget = \"b\"\n";

    #[test]
    fn a_recipe_that_is_written_reads_as_itself() {
        let text = "plugin = \"p\"\ntarget = \"/b\"\npaired = true\nsteps = 7\npatch = \"32x32x3\"\naugment = [\"rotate\"]\n\
                    memory = \"1GiB\"\nthreads = 1\n[source]\nt1 = \"/a\"\nt2 = \"/c\"\n[modality]\ntarget = \"CT\"\n[params]\nrate = 0.5\nname = \"x\"\n";
        let first = recipe(text).unwrap();
        assert_eq!((first.steps, first.patch_size().unwrap(), first.batch), (7, [32, 32, 3], 4));
        assert_eq!(first.param_values().unwrap()["rate"], ParamValue::Float(0.5));
        assert_eq!(recipe(&first.to_toml().unwrap()), Ok(first));
    }

    #[test]
    fn wrong_recipes_are_refused_with_what_was_expected() {
        let rows = [
            ("stepps = 3", "recipe: unknown key stepps, did you mean steps"),
            ("batch = 0", "expected batch of at least 1, found 0"),
            ("patch = \"64x64x3x3\"", "expected a patch such as 64, 64x64x3 or 32x32x32"),
            ("patch = 0", "expected a patch such as 64"),
            ("augment = [\"fliip\"]", "unknown augmentation fliip, did you mean flip"),
            ("augment = [\"rotate\"]\npatch = \"64x32\"", "patches of 64x32x1 cannot be turned"),
            ("validation_share = 1.0", "expected a validation share from 0 to below 1, found 1"),
            ("threads = 0", "expected threads of at least 1, found 0"),
            ("memory = \"1\"", "expected a number with KiB"),
            ("[domains]\na = \"x\"", "a training takes --source and --target, or --domain"),
            ("[params]\nx = [1]", "parameter x must be a number or a word"),
        ];
        for (text, expected) in rows {
            let told =
                recipe(&format!("{SIDES}{text}")).and_then(|r| r.param_values().map_err(|e| e.told().0.to_owned()));
            let told = told.expect_err(text);
            assert!(told.contains(expected), "{told}");
        }
        let domains = "plugin = \"p\"\nbatch = 4\n[domains]\na = \"x\"\nb = \"y\"\nc = \"z\"\n";
        assert!(recipe(domains).unwrap_err().contains("3 domains can share evenly"));
        assert!(recipe("plugin = \"p\"\nsource = \"a\"\n").unwrap_err().contains("takes --source and --target"));
    }

    #[test]
    fn the_command_line_stands_over_the_file() {
        let file: Given = toml::from_str("plugin = \"p\"\nsteps = 5\nbatch = 2\n[params]\na = 1\nb = 2\n").unwrap();
        let line = Given { steps: Some(9), params: Some([("b".to_owned(), param("x"))].into()), ..Given::default() };
        let both = line.over(file);
        assert_eq!((both.steps, both.batch), (Some(9), Some(2)));
        assert_eq!(both.params.unwrap(), [("a".to_owned(), param("1")), ("b".to_owned(), param("x"))].into());
    }
}

//! What MONAI's preprocessing does, as far as a declaration can say it.

use toml::{Table, Value};

use super::config::{Config, Entry};
use super::intensities::Intensities;
use crate::failure::Failure;

/// What the transforms of a chain amount to.
pub(super) struct Prepared {
    pub(super) intensities: Intensities,
    /// Letters such as RAS.
    pub(super) orientation: Option<String>,
    /// Millimetres along the tensor's axes; 0 or less for any.
    pub(super) spacing_mm: Option<Vec<f64>>,
    /// Multiples that the image is padded to, along the tensor's axes.
    pub(super) multiple: Option<Vec<f64>>,
}

/// Transforms that Isoscan does by itself, or that change no voxel.
const DONE: [&str; 11] = [
    "LoadImage",
    "EnsureChannelFirst",
    "AddChannel",
    "AsChannelFirst",
    "EnsureType",
    "ToTensor",
    "CastToType",
    "ToDevice",
    "Identity",
    "Invert",
    "SaveImage",
];

/// Transforms that a declaration can say.
const SAID: [&str; 8] = [
    "Orientation",
    "Spacing",
    "ScaleIntensityRange",
    "ScaleIntensity",
    "ScaleIntensityRangePercentiles",
    "NormalizeIntensity",
    "ShiftIntensity",
    "DivisiblePad",
];

/// One transform with its settings.
struct Transform<'a> {
    config: &'a Config,
    entry: &'a Entry,
    name: String,
}

/// Reads the chain at `entry`, a `Compose` or a list. `channels` is how many channels the image has.
pub(super) fn read(config: &Config, entry: &Entry, channels: usize, skipped: &[String]) -> Result<Prepared, Failure> {
    let mut prepared =
        Prepared { intensities: Intensities::unchanged(), orientation: None, spacing_mm: None, multiple: None };
    let list = config.inside(entry, "transforms")?.unwrap_or_else(|| entry.clone());
    for item in config.items(&list)? {
        let Some(name) = config.inside(&item, "_target_")? else {
            return Err(config.wrong(&item, "a transform with a _target_"));
        };
        let name = name.text().unwrap_or_default().rsplit('.').next().unwrap_or_default().to_owned();
        let transform = Transform { config, entry: &item, name };
        let disabled = transform.flag("_disabled_", false)?;
        if disabled || skipped.iter().any(|name| *name == transform.name || name == transform.base()) {
            continue;
        }
        transform.add_to(&mut prepared, channels)?;
    }
    Ok(prepared)
}

impl Transform<'_> {
    /// The name without the ending of transforms of dictionaries.
    fn base(&self) -> &str {
        let name = self.name.as_str();
        if SAID.contains(&name) {
            return name;
        }
        name.strip_suffix("Dict").or_else(|| name.strip_suffix(['d', 'D'])).unwrap_or(name)
    }

    fn add_to(&self, prepared: &mut Prepared, channels: usize) -> Result<(), Failure> {
        let now = &mut prepared.intensities;
        match self.base() {
            base if DONE.contains(&base) => Ok(()),
            "Orientation" => {
                let Some(letters) = self.text("axcodes")? else { return Err(self.unsaid("without axcodes")) };
                prepared.orientation = Some(letters);
                Ok(())
            }
            "Spacing" => self.spacing(prepared),
            "ScaleIntensityRange" => self.range(now),
            "ScaleIntensity" => self.scale(now, channels),
            "ScaleIntensityRangePercentiles" => self.percentiles(now, channels),
            "NormalizeIntensity" => self.normalize(now, channels),
            "ShiftIntensity" => {
                now.line(1.0, self.needed("offset")?);
                Ok(())
            }
            "DivisiblePad" => {
                prepared.multiple = self.numbers("k")?;
                Ok(())
            }
            _ => Err(self.unsaid("at all")),
        }
    }

    fn spacing(&self, prepared: &mut Prepared) -> Result<(), Failure> {
        let Some(pixdim) = self.numbers("pixdim")? else { return Err(self.unsaid("without pixdim")) };
        let isotropic = pixdim.windows(2).all(|pair| pair[0] == pair[1]);
        if prepared.orientation.is_none() && !isotropic {
            return Err(self.unsaid("before an Orientation, where its axes are not known"));
        }
        if self.text("mode")?.is_some_and(|mode| mode != "bilinear") {
            return Err(self.unsaid("with another mode than bilinear"));
        }
        prepared.spacing_mm = Some(pixdim);
        Ok(())
    }

    fn range(&self, now: &mut Intensities) -> Result<(), Failure> {
        let [a_min, a_max] = [self.needed("a_min")?, self.needed("a_max")?];
        let ends = [self.number("b_min")?, self.number("b_max")?];
        if a_min == a_max {
            return Err(self.unsaid("with a_min = a_max"));
        }
        now.line(1.0 / (a_max - a_min), -a_min / (a_max - a_min));
        if let [Some(b_min), Some(b_max)] = ends {
            now.line(b_max - b_min, b_min);
        }
        self.cut(now, ends)
    }

    /// A cut at `ends` where `clip` asks for it.
    fn cut(&self, now: &mut Intensities, ends: [Option<f64>; 2]) -> Result<(), Failure> {
        match (self.flag("clip", false)?, ends) {
            (false, _) => Ok(()),
            (true, [Some(low), Some(high)]) => {
                now.cut(low, high).map_err(|reason| self.unsaid(&format!("here: {reason}")))
            }
            (true, _) => Err(self.unsaid("with clip and without b_min and b_max")),
        }
    }

    fn scale(&self, now: &mut Intensities, channels: usize) -> Result<(), Failure> {
        if let Some(factor) = self.number("factor")? {
            now.line(1.0 + factor, 0.0);
            return Ok(());
        }
        let (low, high) = (self.number("minv")?.unwrap_or(0.0), self.number("maxv")?.unwrap_or(1.0));
        self.per_channel(channels)?;
        self.statistics(now, percentile(0.0, 100.0))?;
        now.line(high - low, low);
        Ok(())
    }

    fn percentiles(&self, now: &mut Intensities, channels: usize) -> Result<(), Failure> {
        if self.flag("relative", false)? {
            return Err(self.unsaid("with relative = true"));
        }
        self.per_channel(channels)?;
        self.statistics(now, percentile(self.needed("lower")?, self.needed("upper")?))?;
        let ends = [self.number("b_min")?, self.number("b_max")?];
        if let [Some(b_min), Some(b_max)] = ends {
            now.line(b_max - b_min, b_min);
        }
        self.cut(now, ends)
    }

    fn normalize(&self, now: &mut Intensities, channels: usize) -> Result<(), Failure> {
        if self.flag("nonzero", false)? {
            return Err(self.unsaid("with nonzero = true, which leaves the zeros as they are"));
        }
        match (self.number("subtrahend")?, self.number("divisor")?) {
            (Some(mean), Some(deviation)) if deviation != 0.0 => now.line(1.0 / deviation, -mean / deviation),
            (None, None) => {
                self.per_channel(channels)?;
                let word = |word: &str| Value::String(word.to_owned());
                let table = [("method".to_owned(), word("z-score")), ("region".to_owned(), word("all"))];
                self.statistics(now, Table::from_iter(table))?;
            }
            _ => return Err(self.unsaid("with one of subtrahend and divisor, or a divisor of 0")),
        }
        Ok(())
    }

    fn statistics(&self, now: &mut Intensities, normalize: Table) -> Result<(), Failure> {
        now.statistics(normalize).map_err(|reason| self.unsaid(&format!("here: {reason}")))
    }

    /// Statistics are taken of each input by itself.
    fn per_channel(&self, channels: usize) -> Result<(), Failure> {
        if channels > 1 && !self.flag("channel_wise", false)? {
            return Err(self.unsaid("with statistics over several channels together"));
        }
        Ok(())
    }

    fn unsaid(&self, how: &str) -> Failure {
        let place = &self.entry.place;
        Failure::new(format!("{place}: the transform {} cannot be expressed {how}", self.name))
            .help(format!("--skip {} leaves it out, where the network can do without", self.name))
    }

    fn setting(&self, key: &str) -> Result<Option<Entry>, Failure> {
        self.config.inside(self.entry, key)
    }

    fn number(&self, key: &str) -> Result<Option<f64>, Failure> {
        let Some(entry) = self.setting(key)? else { return Ok(None) };
        entry.number().map(Some).ok_or_else(|| self.config.wrong(&entry, "a number"))
    }

    fn needed(&self, key: &str) -> Result<f64, Failure> {
        self.number(key)?.ok_or_else(|| self.unsaid(&format!("without {key}")))
    }

    fn flag(&self, key: &str, otherwise: bool) -> Result<bool, Failure> {
        let Some(entry) = self.setting(key)? else { return Ok(otherwise) };
        entry.value.as_bool().ok_or_else(|| self.config.wrong(&entry, "true or false"))
    }

    /// A word, or the first of a list of words that are all the same.
    fn text(&self, key: &str) -> Result<Option<String>, Failure> {
        let Some(entry) = self.setting(key)? else { return Ok(None) };
        let words = match entry.value {
            serde_json::Value::Array(_) => self.config.items(&entry)?,
            _ => vec![entry.clone()],
        };
        let same = words.windows(2).all(|pair| pair[0].value == pair[1].value);
        let word = words.first().and_then(Entry::text).filter(|_| same);
        word.map(|word| Some(word.to_owned())).ok_or_else(|| self.config.wrong(&entry, "one word"))
    }

    /// A number, or several.
    fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, Failure> {
        let Some(entry) = self.setting(key)? else { return Ok(None) };
        numbers(self.config, &entry).map(Some)
    }
}

/// A number, or a list of them.
pub(super) fn numbers(config: &Config, entry: &Entry) -> Result<Vec<f64>, Failure> {
    if let Some(number) = entry.number() {
        return Ok(vec![number]);
    }
    let items = config.items(entry).map_err(|_| config.wrong(entry, "numbers"))?;
    items.iter().map(|item| item.number().ok_or_else(|| config.wrong(item, "a number"))).collect()
}

fn percentile(low: f64, high: f64) -> Table {
    let word = |word: &str| Value::String(word.to_owned());
    Table::from_iter([
        ("method".to_owned(), word("percentile")),
        ("low".to_owned(), Value::Float(low)),
        ("high".to_owned(), Value::Float(high)),
        ("region".to_owned(), word("all")),
    ])
}

use rhai::{Array, Dynamic, Map};
use serde_json::Value;

use crate::{
    Error,
    scan::{Roi, Scan},
    value::{argument, json, number, told},
};

/// The named options of a verb. Every one has a default; a name that the verb does not know is refused.
pub(crate) struct Options<'a>(&'a Map);

impl<'a> Options<'a> {
    pub(crate) fn new(verb: &str, given: &'a Map, known: &[&str]) -> Result<Self, Error> {
        let Some(unknown) = given.keys().find(|key| !known.contains(&key.as_str())) else {
            return Ok(Self(given));
        };
        let expected = if known.is_empty() { "left out".to_owned() } else { format!("one of {}", known.join(", ")) };
        Err(argument(&format!("option of {verb}"), &expected, unknown))
    }

    /// The value as the script gave it; `()` counts as left out.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Dynamic> {
        self.0.get(name).filter(|value| !value.is_unit())
    }

    pub(crate) fn number(&self, name: &str, default: f64) -> Result<f64, Error> {
        self.get(name).map_or(Ok(default), |value| number(name, value))
    }

    pub(crate) fn whole(&self, name: &str, default: usize) -> Result<usize, Error> {
        self.get(name).map_or(Ok(default), |value| whole(name, value))
    }

    pub(crate) fn whole3(&self, name: &str, default: [usize; 3]) -> Result<[usize; 3], Error> {
        self.get(name).map_or(Ok(default), |value| whole3(name, value))
    }

    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, Error> {
        let flag = |value: &Dynamic| value.as_bool().map_err(|_| argument(name, "true or false", told(value)));
        self.get(name).map_or(Ok(default), flag)
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    pub(crate) fn choice<T: Clone>(&self, name: &str, among: &[(&str, T)], default: T) -> Result<T, Error> {
        self.text(name)?.map_or(Ok(default), |word| choice(name, among, &word))
    }

    /// The items of a list, each by `item`.
    pub(crate) fn list<T>(
        &self,
        name: &str,
        default: &[T],
        item: impl Fn(&str, &Dynamic) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error>
    where
        T: Clone,
    {
        match self.get(name) {
            None => Ok(default.to_vec()),
            Some(value) => list(name, value)?.iter().map(|value| item(name, value)).collect(),
        }
    }

    pub(crate) fn mask(&self, name: &str) -> Result<Option<Roi>, Error> {
        self.get(name).map(|value| mask(name, value)).transpose()
    }

    /// The options as a step of an image's making; a region is told by its voxels.
    pub(crate) fn told(&self) -> Result<Value, Error> {
        let value = |(name, value): (&rhai::Identifier, &Dynamic)| {
            let told = match value.read_lock::<Roi>() {
                Some(roi) => Value::from(format!("mask of {} voxels", roi.mask.count())),
                None => json(name, value)?,
            };
            Ok((name.to_string(), told))
        };
        self.0.iter().map(value).collect::<Result<serde_json::Map<_, _>, Error>>().map(Value::Object)
    }
}

/// The one of `among` that has this name.
pub(crate) fn choice<T: Clone>(what: &str, among: &[(&str, T)], word: &str) -> Result<T, Error> {
    match among.iter().find(|(name, _)| *name == word) {
        Some((_, chosen)) => Ok(chosen.clone()),
        None => {
            let names: Vec<&str> = among.iter().map(|(name, _)| *name).collect();
            Err(argument(what, &format!("one of {}", names.join(", ")), word))
        }
    }
}

/// A whole number from 0.
pub(crate) fn whole(what: &str, value: &Dynamic) -> Result<usize, Error> {
    let whole = value.as_int().ok().and_then(|n| usize::try_from(n).ok());
    whole.ok_or_else(|| argument(what, "a whole number from 0", told(value)))
}

/// Three whole numbers from 0 for x, y, z, or one for all of them.
pub(crate) fn whole3(what: &str, value: &Dynamic) -> Result<[usize; 3], Error> {
    let Some(list) = value.read_lock::<Array>() else {
        return Ok([whole(what, value)?; 3]);
    };
    let numbers = list.iter().map(|n| whole(what, n)).collect::<Result<Vec<_>, _>>()?;
    let refused =
        |list: Vec<usize>| argument(what, "a whole number or three [x, y, z]", format!("{} values", list.len()));
    numbers.try_into().map_err(refused)
}

/// A text.
pub(crate) fn text(what: &str, value: &Dynamic) -> Result<String, Error> {
    value.clone().into_string().map_err(|_| argument(what, "a text", told(value)))
}

/// A list.
pub(crate) fn list(what: &str, value: &Dynamic) -> Result<Array, Error> {
    value.read_lock::<Array>().map(|list| list.to_vec()).ok_or_else(|| argument(what, "a list", told(value)))
}

/// An image.
pub(crate) fn image(what: &str, value: &Dynamic) -> Result<Scan, Error> {
    value.clone().try_cast().ok_or_else(|| argument(what, "an image", told(value)))
}

/// A region.
pub(crate) fn mask(what: &str, value: &Dynamic) -> Result<Roi, Error> {
    value.clone().try_cast().ok_or_else(|| argument(what, "a mask", told(value)))
}

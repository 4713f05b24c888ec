use serde_json::Value;

use super::{Interpolator, LbpMethod, ResegmentMode, Sigma, StoredType, WeightingNorm};
use crate::Error;

/// A setting's name and the value to read.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
}

impl Field<'_> {
    fn refuse<T>(self, expected: &'static str) -> Result<T, Error> {
        Err(invalid(self.name, expected, self.value))
    }

    pub(super) fn optional<T>(self, read: impl Fn(Self) -> Result<T, Error>) -> Result<Option<T>, Error> {
        if self.value.is_null() { Ok(None) } else { read(self).map(Some) }
    }

    pub(super) fn boolean(self) -> Result<bool, Error> {
        self.value.as_bool().map_or_else(|| self.refuse("true or false"), Ok)
    }

    pub(super) fn number(self) -> Result<f64, Error> {
        self.value.as_f64().filter(|x| x.is_finite()).map_or_else(|| self.refuse("a number"), Ok)
    }

    /// A number, or NaN as YAML, Python and JSON write it.
    pub(super) fn number_or_nan(self) -> Result<f64, Error> {
        match self.value {
            Value::Null => Ok(f64::NAN),
            Value::String(text) if text.trim_start_matches('.').eq_ignore_ascii_case("nan") => Ok(f64::NAN),
            _ => self.number(),
        }
    }

    pub(super) fn integer(self, expected: &'static str) -> Result<u32, Error> {
        let whole = self.value.as_u64().and_then(|number| u32::try_from(number).ok());
        whole.map_or_else(|| self.refuse(expected), Ok)
    }

    pub(super) fn whole(self) -> Result<u32, Error> {
        self.integer("a whole number from 0")
    }

    pub(super) fn positive_integer(self) -> Result<u32, Error> {
        match self.integer("a whole number from 1")? {
            0 => self.refuse("a whole number from 1"),
            number => Ok(number),
        }
    }

    pub(super) fn list<T>(self, read: impl Fn(Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let Value::Array(values) = self.value else {
            return self.refuse("a list of numbers");
        };
        values.iter().map(|value| read(Field { name: self.name, value })).collect()
    }

    pub(super) fn sigma(self) -> Result<Sigma, Error> {
        let mm = self.number()?;
        let whole = self.value.as_i64().map(|whole| Sigma { mm, written: whole.to_string() });
        Ok(whole.unwrap_or_else(|| mm.into()))
    }

    pub(super) fn spacing(self) -> Result<[f64; 3], Error> {
        let spacing = self.list(Field::number)?;
        spacing.try_into().or_else(|_| self.refuse("three numbers from 0, in mm"))
    }

    fn one_of<T: Copy>(self, kind: &'static str, named: &[(&'static str, T)]) -> Result<T, Error> {
        let Value::String(name) = self.value else {
            return self.refuse("a name");
        };
        let found = named.iter().find(|(known, _)| known == name).map(|(_, value)| *value);
        found.ok_or_else(|| unknown(kind, name, named.iter().map(|(known, _)| *known)))
    }

    pub(super) fn interpolator(self) -> Result<Interpolator, Error> {
        // PyRadiomics also takes SimpleITK's enumeration numbers.
        match (self.value, self.value.as_u64()) {
            (_, Some(number @ 1..=10)) => Ok(Interpolator::NAMED[number as usize - 1].1),
            (Value::String(_), _) => self.one_of("interpolator", &Interpolator::NAMED),
            _ => self.refuse("a name, or SimpleITK's number from 1 to 10"),
        }
    }

    pub(super) fn lbp_method(self) -> Result<LbpMethod, Error> {
        let named = [
            ("default", LbpMethod::Default),
            ("ror", LbpMethod::Ror),
            ("uniform", LbpMethod::Uniform),
            ("var", LbpMethod::Var),
        ];
        self.one_of("lbp2DMethod", &named)
    }

    /// -1 is PyRadiomics' word for no batches.
    pub(super) fn voxel_batch(self) -> Result<Option<u32>, Error> {
        if self.value.as_i64() == Some(-1) { Ok(None) } else { self.optional(Field::positive_integer) }
    }

    pub(super) fn wavelet(self) -> Result<String, Error> {
        let Value::String(name) = self.value else {
            return self.refuse("a name");
        };
        let known = wavelets();
        if known.contains(name) {
            return Ok(name.clone());
        }
        Err(unknown("wavelet", name, known.iter().map(String::as_str)))
    }

    pub(super) fn resegment_mode(self) -> Result<ResegmentMode, Error> {
        let named = [
            ("absolute", ResegmentMode::Absolute),
            ("relative", ResegmentMode::Relative),
            ("sigma", ResegmentMode::Sigma),
        ];
        self.one_of("resegmentMode", &named)
    }

    pub(super) fn weighting_norm(self) -> Result<WeightingNorm, Error> {
        let named = [
            ("manhattan", WeightingNorm::Manhattan),
            ("euclidean", WeightingNorm::Euclidean),
            ("infinity", WeightingNorm::Infinity),
            ("no_weighting", WeightingNorm::NoWeighting),
        ];
        self.one_of("weightingNorm", &named)
    }

    pub(super) fn stored_type(self) -> Result<StoredType, Error> {
        self.one_of("storedType", &StoredType::NAMED)
    }
}

/// The discrete wavelets of PyWavelets.
fn wavelets() -> Vec<String> {
    let biorthogonal =
        ["1.1", "1.3", "1.5", "2.2", "2.4", "2.6", "2.8", "3.1", "3.3", "3.5", "3.7", "3.9", "4.4", "5.5", "6.8"];
    let numbered = |family: &'static str, orders: std::ops::RangeInclusive<u32>| {
        orders.map(move |order| format!("{family}{order}"))
    };
    ["haar", "dmey"]
        .map(str::to_owned)
        .into_iter()
        .chain(numbered("db", 1..=38))
        .chain(numbered("sym", 2..=20))
        .chain(numbered("coif", 1..=17))
        .chain(["bior", "rbio"].into_iter().flat_map(|family| biorthogonal.map(|order| format!("{family}{order}"))))
        .collect()
}

pub(crate) fn invalid(name: &str, expected: &'static str, found: &Value) -> Error {
    Error::InvalidSetting { name: name.to_owned(), expected, found: found.to_string() }
}

pub(crate) fn unknown<'a>(kind: &'static str, name: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    Error::UnknownName { kind, name: name.to_owned(), known: known.join(", ") }
}

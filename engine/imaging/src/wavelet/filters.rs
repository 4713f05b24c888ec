use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::Error;

/// Decomposition filters of one wavelet.
#[derive(Debug, PartialEq)]
struct Filters {
    low: Vec<f64>,
    high: Vec<f64>,
}

/// Every wavelet by its name.
///
/// `filters.txt` has a line per wavelet: its name, the taps of the low-pass decomposition filter and, after a slash when
/// that is not its reverse, those of the low-pass reconstruction filter. The numbers are those of PyWavelets 1.8 to the
/// last bit; their origin is I. Daubechies, Ten lectures on wavelets, SIAM 1992, tables 6.1 to 8.3.
static WAVELETS: LazyLock<BTreeMap<String, Filters>> =
    LazyLock::new(|| include_str!("filters.txt").lines().flat_map(wavelets_of).collect());

/// The wavelet of a line, and the reverse biorthogonal one of a biorthogonal.
fn wavelets_of(line: &str) -> Vec<(String, Filters)> {
    let (name, numbers) = line.split_once(' ').unwrap_or((line, ""));
    let taps = |text: &str| text.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<f64>>();
    let reversed = |taps: &[f64]| taps.iter().rev().copied().collect::<Vec<f64>>();
    let Some((decomposition, reconstruction)) = numbers.split_once('/') else {
        let low = taps(numbers);
        let high = mirrored(&reversed(&low));
        return vec![(name.to_owned(), Filters { low, high })];
    };
    let (decomposition, reconstruction) = (taps(decomposition), taps(reconstruction));
    let reverse = Filters { low: reversed(&reconstruction), high: mirrored(&reversed(&decomposition)) };
    let reverse_name = name.replacen("bior", "rbio", 1);
    let forward = Filters { high: mirrored(&reconstruction), low: decomposition };
    vec![(name.to_owned(), forward), (reverse_name, reverse)]
}

/// The high-pass filter `(-1)^(k+1) h[k]` of the low-pass reconstruction filter `h`.
fn mirrored(reconstruction: &[f64]) -> Vec<f64> {
    reconstruction.iter().enumerate().map(|(k, v)| if k % 2 == 0 { -v } else { *v }).collect()
}

/// A discrete wavelet, by the names of PyWavelets: `haar`, `db1` to `db38` (Daubechies), `sym2` to `sym20` (least
/// asymmetric), `coif1` to `coif17` (coiflets), `dmey` (Meyer), `bior1.1` to `bior6.8` (biorthogonal) and their reverses
/// `rbio1.1` to `rbio6.8`.
///
/// ```
/// let wavelet: isoscan_imaging::Wavelet = "db2".parse()?;
/// assert_eq!((wavelet.low().len(), wavelet.to_string()), (4, "db2".to_owned()));
/// # Ok::<(), isoscan_imaging::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Wavelet {
    name: &'static str,
    filters: &'static Filters,
}

impl Wavelet {
    /// Every name, in alphabetical order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        WAVELETS.keys().map(String::as_str)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The low-pass decomposition filter, which sums to √2.
    pub fn low(self) -> &'static [f64] {
        &self.filters.low
    }

    /// The high-pass decomposition filter, as long as the low-pass one.
    pub fn high(self) -> &'static [f64] {
        &self.filters.high
    }
}

impl PartialEq for Wavelet {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Wavelet {}

impl fmt::Display for Wavelet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl FromStr for Wavelet {
    type Err = Error;

    /// Parses a name; capitals do not matter.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other word.
    fn from_str(word: &str) -> Result<Self, Error> {
        let found = WAVELETS.get_key_value(word.to_ascii_lowercase().as_str());
        found.map(|(name, filters)| Self { name, filters }).ok_or_else(|| Error::InvalidArgument {
            name: "wavelet",
            expected: "haar, db1 to db38, sym2 to sym20, coif1 to coif17, dmey, bior1.1 to bior6.8 or rbio1.1 to rbio6.8",
            found: word.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wavelet(name: &str) -> Wavelet {
        name.parse().unwrap()
    }

    /// Meyer's wavelet has no end; the 62 taps in use are a cut of it. The printed coiflets have few digits.
    fn tolerance(name: &str) -> f64 {
        if name == "dmey" { 5e-3 } else { 1e-6 }
    }

    #[test]
    fn every_wavelet_passes_a_constant_low_and_stops_it_high() {
        let names: Vec<&str> = Wavelet::names().collect();
        assert_eq!(names.len(), 106);
        for name in names {
            let wavelet = wavelet(name);
            assert_eq!((wavelet.to_string().as_str(), wavelet.low().len()), (name, wavelet.high().len()));
            assert!((wavelet.low().iter().sum::<f64>() - 2f64.sqrt()).abs() < tolerance(name), "{name}");
            assert!(wavelet.high().iter().sum::<f64>().abs() < tolerance(name), "{name}");
        }
        assert!(matches!("db99".parse::<Wavelet>(), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn orthogonal_filters_are_orthogonal_to_their_even_shifts() {
        for name in Wavelet::names().filter(|name| !name.contains('.')) {
            let low = wavelet(name).low();
            for shift in (0..low.len()).step_by(2) {
                let product: f64 = low.iter().zip(&low[shift..]).map(|(a, b)| a * b).sum();
                let expected = if shift == 0 { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < tolerance(name), "{name} {shift}: {product}");
            }
        }
    }

    /// The pair of filters of a biorthogonal wavelet changes places in its reverse: `low · reversed(reverse.low) = 1`.
    #[test]
    fn a_biorthogonal_wavelet_is_dual_to_its_reverse() {
        for name in Wavelet::names().filter(|name| name.starts_with("bior")) {
            let reverse = wavelet(&name.replace("bior", "rbio"));
            let product: f64 = wavelet(name).low().iter().zip(reverse.low()).map(|(a, b)| a * b).sum();
            assert!((product - 1.0).abs() < 1e-9, "{name}: {product}");
        }
    }
}

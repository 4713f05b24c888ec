use isoscan_imaging::Wavelet;

use super::Dimensions;
use super::convolve::{Chain, Kernel};
use crate::Error;

/// A one-dimensional filter of a wavelet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// The scaling function.
    Low,
    /// The wavelet function.
    High,
}

/// Low- or high-pass filters along x and y, or x, y and z; written `LH` or `LLH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Band {
    /// Along x and y.
    pub in_plane: [Pass; 2],
    /// Along z; `None` filters each slice for itself.
    pub across: Option<Pass>,
}

impl Band {
    pub(super) fn dimensions(self) -> Dimensions {
        if self.across.is_some() { Dimensions::Three } else { Dimensions::Two }
    }

    /// Along each axis the low-pass filter of every level below `level`, then the band's own, their taps
    /// `2^(level-1)` voxels apart.
    pub(super) fn chains(self, wavelet: Wavelet, level: u32) -> [Chain; 3] {
        let low = Kernel::centred(wavelet.low().to_vec());
        let high = Kernel::centred(wavelet.high().to_vec());
        let chain = |pass: Pass| {
            let last = if pass == Pass::Low { &low } else { &high };
            (1..level).map(|below| low.spread(1 << (below - 1))).chain([last.spread(1 << (level - 1))]).collect()
        };
        let [x, y] = self.in_plane.map(chain);
        [x, y, self.across.map(chain).unwrap_or_default()]
    }
}

impl std::str::FromStr for Band {
    type Err = Error;

    /// Parses two or three of L and H.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let passes: Option<Vec<Pass>> = text
            .chars()
            .map(|letter| match letter.to_ascii_uppercase() {
                'L' => Some(Pass::Low),
                'H' => Some(Pass::High),
                _ => None,
            })
            .collect();
        match passes.as_deref() {
            Some([x, y]) => Ok(Self { in_plane: [*x, *y], across: None }),
            Some([x, y, z]) => Ok(Self { in_plane: [*x, *y], across: Some(*z) }),
            _ => Err(Error::InvalidSetting {
                name: "band".to_owned(),
                expected: "two or three of L and H, such as LLH",
                found: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for Band {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Band> for String {
    fn from(band: Band) -> Self {
        band.in_plane.into_iter().chain(band.across).map(|pass| if pass == Pass::Low { 'L' } else { 'H' }).collect()
    }
}

/// A wavelet as its name.
pub(super) mod name {
    use isoscan_imaging::Wavelet;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(in crate::filters) fn serialize<S: Serializer>(wavelet: &Wavelet, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(wavelet.name())
    }

    pub(in crate::filters) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Wavelet, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_read_as_they_are_written() {
        for text in ["LH", "HHL"] {
            assert_eq!(String::from(text.parse::<Band>().unwrap()), text);
        }
        for text in ["", "L", "LLLL", "LX"] {
            assert!(matches!(text.parse::<Band>(), Err(Error::InvalidSetting { .. })), "{text}");
        }
    }

    /// Haar at level 2: two neighbours joined, then joined again two voxels apart.
    #[test]
    fn filters_of_the_second_level_have_holes() {
        let [x, ..] = "LL".parse::<Band>().unwrap().chains("haar".parse().unwrap(), 2);
        let holes: Vec<Vec<bool>> =
            x.iter().map(|kernel| kernel.taps.iter().map(|tap| *tap == 0.0).collect()).collect();
        assert_eq!(holes, [vec![false, false], vec![false, true, false]]);
        assert_eq!((x[0].centre, x[1].centre), (1, 2));
    }
}

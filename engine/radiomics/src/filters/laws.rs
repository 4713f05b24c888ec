use super::Dimensions;
use super::convolve::{Chain, Kernel};
use crate::Error;

/// A one-dimensional kernel of Laws (1980), divided by its Euclidean norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LawsKernel {
    /// Level, `1 2 1`/√6.
    L3,
    /// Edge, `-1 0 1`/√2.
    E3,
    /// Spot, `-1 2 -1`/√6.
    S3,
    /// Level, `1 4 6 4 1`/√70.
    L5,
    /// Edge, `-1 -2 0 2 1`/√10.
    E5,
    /// Spot, `-1 0 2 0 -1`/√6.
    S5,
    /// Wave, `-1 2 0 -2 1`/√10.
    W5,
    /// Ripple, `1 -4 6 -4 1`/√70.
    R5,
}

const KERNELS: [(LawsKernel, &str, &[f64]); 8] = [
    (LawsKernel::L3, "L3", &[1.0, 2.0, 1.0]),
    (LawsKernel::E3, "E3", &[-1.0, 0.0, 1.0]),
    (LawsKernel::S3, "S3", &[-1.0, 2.0, -1.0]),
    (LawsKernel::L5, "L5", &[1.0, 4.0, 6.0, 4.0, 1.0]),
    (LawsKernel::E5, "E5", &[-1.0, -2.0, 0.0, 2.0, 1.0]),
    (LawsKernel::S5, "S5", &[-1.0, 0.0, 2.0, 0.0, -1.0]),
    (LawsKernel::W5, "W5", &[-1.0, 2.0, 0.0, -2.0, 1.0]),
    (LawsKernel::R5, "R5", &[1.0, -4.0, 6.0, -4.0, 1.0]),
];

impl LawsKernel {
    fn kernel(self) -> Kernel {
        let taps = KERNELS.iter().find(|(kernel, ..)| *kernel == self).map_or(&[] as &[f64], |(.., taps)| taps);
        let norm = taps.iter().map(|tap| tap * tap).sum::<f64>().sqrt();
        Kernel::centred(taps.iter().map(|tap| tap / norm).collect())
    }

    fn name(self) -> &'static str {
        KERNELS.iter().find(|(kernel, ..)| *kernel == self).map_or("", |(_, name, _)| name)
    }
}

/// Laws kernels along x and y, or x, y and z; written `L5E5` or `L5E5S5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LawsKernels {
    /// Along x and y.
    pub in_plane: [LawsKernel; 2],
    /// Along z; `None` filters each slice for itself.
    pub across: Option<LawsKernel>,
}

impl LawsKernels {
    pub(super) fn dimensions(self) -> Dimensions {
        if self.across.is_some() { Dimensions::Three } else { Dimensions::Two }
    }

    pub(super) fn chains(self) -> [Chain; 3] {
        let [x, y] = self.in_plane.map(|kernel| vec![kernel.kernel()]);
        [x, y, self.across.map(|kernel| vec![kernel.kernel()]).unwrap_or_default()]
    }
}

impl std::str::FromStr for LawsKernels {
    type Err = Error;

    /// Parses two or three of L3, E3, S3, L5, E5, S5, W5, R5.
    ///
    /// # Errors
    /// [`Error::InvalidSetting`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let kernel = |from: usize| {
            let name = text.get(from..from + 2)?;
            KERNELS.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name)).map(|(kernel, ..)| *kernel)
        };
        let kernels = match text.len() {
            4 => kernel(0).zip(kernel(2)).map(|(x, y)| Self { in_plane: [x, y], across: None }),
            6 => kernel(0).zip(kernel(2)).zip(kernel(4)).map(|((x, y), z)| Self { in_plane: [x, y], across: Some(z) }),
            _ => None,
        };
        kernels.ok_or_else(|| Error::InvalidSetting {
            name: "kernels".to_owned(),
            expected: "two or three of L3, E3, S3, L5, E5, S5, W5, R5, such as L5E5",
            found: text.to_owned(),
        })
    }
}

impl TryFrom<String> for LawsKernels {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<LawsKernels> for String {
    fn from(kernels: LawsKernels) -> Self {
        kernels.in_plane.into_iter().chain(kernels.across).map(LawsKernel::name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_read_as_they_are_written() {
        for text in ["L5E5", "E3W5R5", "S3L3S5"] {
            assert_eq!(String::from(text.parse::<LawsKernels>().unwrap()), text);
        }
        for text in ["L5", "L5E5S5W5", "L5X5", "é5é5"] {
            assert!(matches!(text.parse::<LawsKernels>(), Err(Error::InvalidSetting { .. })), "{text}");
        }
    }

    #[test]
    fn every_kernel_has_unit_norm() {
        for (kernel, name, _) in KERNELS {
            let norm: f64 = kernel.kernel().taps.iter().map(|tap| tap * tap).sum();
            assert!((norm - 1.0).abs() < 1e-15, "{name}");
        }
    }
}

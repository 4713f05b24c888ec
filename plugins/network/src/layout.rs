use std::fmt;

use serde::Deserialize;

use crate::Dims;

/// Where the axes of a network's tensors lead, in their order: for each the anatomical direction in which its index grows.
///
/// Isoscan's own patches are `SPL`: z towards the head, y towards the back, x towards the left, x fastest; a slice is
/// `PL`. `RAS` is a tensor whose first axis grows to the right, the second to the front, the third to the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Layout {
    letters: [u8; 3],
    count: usize,
}

/// Axis x, y or z of the patient, and whether the network counts it the other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkAxis {
    /// 0, 1, 2 for x, y, z.
    pub axis: usize,
    /// True when the index grows to the right, front or feet.
    pub flipped: bool,
}

impl Layout {
    /// That of Isoscan's patches.
    pub fn of_isoscan(dims: Dims) -> Self {
        match dims {
            Dims::Three => Self { letters: *b"SPL", count: 3 },
            Dims::Two | Dims::TwoAndHalf => Self { letters: *b"PL ", count: 2 },
        }
    }

    /// The spatial axes of the network's tensors, in their order.
    pub fn axes(&self) -> Vec<NetworkAxis> {
        self.letters[..self.count].iter().map(|&letter| axis_of(letter)).collect()
    }

    /// Extents of the network's tensor for an image of `extent` voxels along x, y, z.
    pub(crate) fn shape(&self, extent: [usize; 3]) -> Vec<usize> {
        self.axes().iter().map(|a| extent[a.axis]).collect()
    }

    /// Calls `visit` with the place of every voxel of an image `[z, y, x]`, in the order of the network's tensor.
    pub(crate) fn places(&self, extent: [usize; 3], mut visit: impl FnMut(usize)) {
        let stride = [1, extent[0], extent[0] * extent[1]];
        // The place is `first + sum of index * step`; a flipped axis starts at its end.
        let axes = self.axes();
        let first: usize = axes.iter().filter(|a| a.flipped).map(|a| (extent[a.axis] - 1) * stride[a.axis]).sum();
        let mut index = vec![0; axes.len()];
        let mut place = first.cast_signed();
        let step =
            |a: &NetworkAxis| if a.flipped { -stride[a.axis].cast_signed() } else { stride[a.axis].cast_signed() };
        let count: usize = self.shape(extent).iter().product();
        for _ in 0..count {
            visit(place.cast_unsigned());
            for (index, a) in index.iter_mut().zip(&axes).rev() {
                *index += 1;
                place += step(a);
                if *index < extent[a.axis] {
                    break;
                }
                place -= step(a) * extent[a.axis].cast_signed();
                *index = 0;
            }
        }
    }
}

impl TryFrom<String> for Layout {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected an orientation such as SPL or RAS, or PL for slices: a letter for each axis, found '{text}'"
            )
        };
        let bytes = text.as_bytes();
        let count = bytes.len();
        if !matches!(count, 2 | 3) || !bytes.iter().all(|letter| b"LRAPSI".contains(letter)) {
            return Err(wrong());
        }
        let mut letters = [b' '; 3];
        letters[..count].copy_from_slice(bytes);
        let layout = Self { letters, count };
        let mut axes: Vec<usize> = layout.axes().iter().map(|a| a.axis).collect();
        axes.sort_unstable();
        if axes == (0..count).collect::<Vec<_>>() { Ok(layout) } else { Err(wrong()) }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(String::from_utf8_lossy(&self.letters[..self.count]).as_ref())
    }
}

fn axis_of(letter: u8) -> NetworkAxis {
    let axis = match letter {
        b'L' | b'R' => 0,
        b'P' | b'A' => 1,
        _ => 2,
    };
    NetworkAxis { axis, flipped: matches!(letter, b'R' | b'A' | b'I') }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, extent: [usize; 3]) -> Vec<usize> {
        let mut found = Vec::new();
        Layout::try_from(text.to_owned()).unwrap().places(extent, |place| found.push(place));
        found
    }

    #[test]
    fn tensors_are_read_along_their_axes() {
        // A volume of 3 x 2 x 2 voxels, numbered x fastest.
        let rows = [
            ("SPL", (0..12).collect::<Vec<_>>()),
            ("LPS", vec![0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11]),
            ("RAS", vec![5, 11, 2, 8, 4, 10, 1, 7, 3, 9, 0, 6]),
        ];
        for (text, expected) in rows {
            assert_eq!(places(text, [3, 2, 2]), expected, "{text}");
        }
        assert_eq!(places("PL", [3, 2, 1]), [0, 1, 2, 3, 4, 5]);
        assert_eq!(places("RA", [3, 2, 1]), [5, 2, 4, 1, 3, 0]);
    }

    #[test]
    fn an_orientation_names_each_axis_once() {
        for wrong in ["", "S", "SPX", "SSL", "LR", "SL", "SPLA", "spl"] {
            assert!(Layout::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}

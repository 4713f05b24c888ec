//! Siemens mosaics: the slices of a volume as tiles of one image.

use std::collections::BTreeMap;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use super::header::Slice;
use super::lut::Rescale;
use super::pixels::Frames;
use super::private::element_of;
use crate::Error;

/// What private attributes tell about a mosaic.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct MosaicHeader {
    /// Number of tiles in use.
    pub(crate) count: Option<usize>,
    /// Direction from one slice to the next, of unit length.
    pub(crate) normal: Option<[f64; 3]>,
}

impl MosaicHeader {
    /// From the CSA image header (0029,xx10), else from the number of images in (0019,xx0A).
    pub(crate) fn of(object: &InMemDicomObject) -> Self {
        let csa = element_of(object, 0x0029, "SIEMENS CSA HEADER", 0x10)
            .and_then(|element| element.to_bytes().ok())
            .map(|bytes| csa_values(&bytes))
            .unwrap_or_default();
        let values = |name: &str| -> Vec<f64> {
            csa.get(name).into_iter().flatten().filter_map(|text| text.parse().ok()).collect()
        };
        let whole = |value: f64| (value >= 1.0 && value.fract() == 0.0).then_some(value as usize);
        let standalone = || {
            let element = element_of(object, 0x0019, "SIEMENS MR HEADER", 0x0A)?;
            if element.vr() == VR::UN {
                let bytes = element.to_bytes().ok()?;
                return Some(f64::from(u16::from_le_bytes([*bytes.first()?, *bytes.get(1)?])));
            }
            element.to_float64().ok()
        };
        let count = values("NumberOfImagesInMosaic").first().copied().or_else(standalone).and_then(whole);
        let normal = <[f64; 3]>::try_from(values("SliceNormalVector")).ok().and_then(unit);
        Self { count, normal }
    }
}

fn unit(vector: [f64; 3]) -> Option<[f64; 3]> {
    let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    (length.is_finite() && length > 0.5).then(|| vector.map(|x| x / length))
}

/// How the slices lie in a mosaic: `side` × `side` tiles, left to right, then down; the last ones stay empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tiling {
    /// Tiles in use.
    pub(crate) count: usize,
    /// Tiles along a row and down a column.
    pub(crate) side: usize,
}

impl Tiling {
    /// `side = ⌈√n⌉` for `n` tiles.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the image does not divide so; [`Error::Unsupported`] when nothing tells the number of
    /// slices.
    pub(crate) fn of(slice: &Slice) -> Result<Self, Error> {
        let tiling = match slice.private.mosaic.count {
            Some(count) => Self::for_count(count),
            None => Self::from_pixels(slice)?,
        };
        for (field, found) in [("Rows", slice.rows), ("Columns", slice.columns)] {
            if !found.is_multiple_of(tiling.side) {
                return Err(slice.malformed(field, "a multiple of the tiles of the mosaic", found));
            }
        }
        Ok(tiling)
    }

    fn for_count(count: usize) -> Self {
        let root = count.isqrt();
        Self { count, side: if root * root == count { root } else { root + 1 } }
    }

    /// Tiles of the size of the acquisition matrix, up to the last that is not blank.
    fn from_pixels(slice: &Slice) -> Result<Self, Error> {
        let unknown = || slice.unsupported("Siemens mosaic that does not tell its number of slices");
        let matrix = slice.object.get(tags::ACQUISITION_MATRIX).and_then(|e| e.to_multi_int::<u16>().ok());
        let tile = matrix.and_then(|matrix| matrix.into_iter().max()).map(usize::from).filter(|&n| n > 0);
        let side = tile.map(|tile| slice.columns / tile).filter(|&side| side > 0).ok_or_else(unknown)?;
        if !slice.rows.is_multiple_of(side) || !slice.columns.is_multiple_of(side) {
            return Err(unknown());
        }
        let frames = Frames::open(slice)?;
        let mut pixels = vec![0.0; slice.rows * slice.columns];
        frames.read(0, 0, &Rescale::NONE, &mut pixels, None)?;
        let (height, width) = (slice.rows / side, slice.columns / side);
        let last = pixels.iter().enumerate().filter(|(_, value)| **value != 0.0).map(|(at, _)| {
            let (row, column) = (at / slice.columns, at % slice.columns);
            row / height * side + column / width
        });
        let tiling = Self::for_count(last.max().map_or(0, |tile| tile + 1));
        if tiling.side == side { Ok(tiling) } else { Err(unknown()) }
    }

    /// First column and row of a tile, for tiles of `columns` × `rows`.
    pub(crate) fn corner(&self, tile: usize, [columns, rows]: [usize; 2]) -> [usize; 2] {
        [tile % self.side * columns, tile / self.side * rows]
    }
}

/// The named values of a CSA header of either version; nothing where it breaks off.
fn csa_values(bytes: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    // The parser stops at the first thing that does not fit and keeps what came before.
    let _ = csa_elements(bytes, &mut found);
    found
}

fn csa_elements(bytes: &[u8], found: &mut BTreeMap<String, Vec<String>>) -> Option<()> {
    const NAME: usize = 64;
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let second_version = bytes.starts_with(b"SV10");
    let mut at = if second_version { 8 } else { 0 };
    let elements = word(at)?;
    at += 8;
    let mut first_items = None;
    for _ in 0..elements {
        let name = until_zero(bytes.get(at..at + NAME)?);
        let (multiplicity, items) = (word(at + NAME)?, word(at + NAME + 12)?);
        // The first version counts lengths from the number of items of its first element.
        let base = if second_version { 0 } else { *first_items.get_or_insert(items) };
        at += NAME + 20;
        let mut values = Vec::new();
        for item in 0..items {
            let length = word(at + if second_version { 4 } else { 0 })?.checked_sub(base)?;
            let text = until_zero(bytes.get(at + 16..(at + 16).checked_add(length)?)?).trim().to_owned();
            if item < multiplicity.max(1) && !text.is_empty() {
                values.push(text);
            }
            at += 16 + length.next_multiple_of(4);
        }
        found.insert(name, values);
    }
    Some(())
}

fn until_zero(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CSA header of one element with the given values, each padded to four bytes.
    fn csa(version: u8, name: &str, values: &[&str]) -> Vec<u8> {
        let word = |value: usize| (value as u32).to_le_bytes();
        let mut bytes = if version == 2 { b"SV10\x04\x03\x02\x01".to_vec() } else { Vec::new() };
        bytes.extend(word(1));
        bytes.extend(word(77));
        bytes.extend(name.bytes().chain(std::iter::repeat(0)).take(64));
        bytes.extend(word(values.len()));
        bytes.extend(b"FD\0\0");
        bytes.extend(word(4));
        bytes.extend(word(values.len()));
        bytes.extend(word(77));
        for value in values {
            let length = value.len() + 1;
            let first = if version == 2 { length } else { length + values.len() };
            [first, length, 77, length].iter().for_each(|&x| bytes.extend(word(x)));
            bytes.extend(value.bytes().chain(std::iter::repeat(0)).take(length.next_multiple_of(4)));
        }
        bytes
    }

    #[test]
    fn both_versions_of_a_csa_header_are_read() {
        for version in [1, 2] {
            let bytes = csa(version, "SliceNormalVector", &["0.00000000", "0.5", "-1"]);
            let values = csa_values(&bytes);
            assert_eq!(values["SliceNormalVector"], ["0.00000000", "0.5", "-1"], "version {version}");
            for cut in 0..bytes.len() {
                csa_values(&bytes[..cut]);
            }
        }
    }

    #[test]
    fn thirty_five_slices_take_six_tiles_a_side() {
        for (count, side) in [(1, 1), (2, 2), (4, 2), (5, 3), (35, 6), (36, 6), (37, 7)] {
            assert_eq!(Tiling::for_count(count), Tiling { count, side });
        }
        assert_eq!(Tiling::for_count(35).corner(8, [64, 60]), [128, 60]);
    }
}

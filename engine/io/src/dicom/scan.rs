//! A walk over the bytes of a DICOM file that checks every declared length against the file before anything is parsed,
//! tolerates a missing preamble or a wrong meta group, and finds the pixel data.

use std::ops::Range;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, uids};

/// Explicit VR Big Endian, retired but met.
pub(crate) const BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

/// How the elements of a data set are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    ImplicitLittle,
    ExplicitLittle,
    ExplicitBig,
}

/// The pixel data element, behind the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelElement {
    pub(crate) tag: Tag,
    /// First byte of the value in the file.
    pub(crate) offset: u64,
    /// `None` for encapsulated fragments.
    pub(crate) length: Option<u64>,
    /// Words of two bytes (VR OW), which matters for big-endian bytes.
    pub(crate) words: bool,
}

/// An element of VR UN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Implicit {
    pub(crate) tag: Tag,
    /// The length as the file tells it; `None` for a sequence up to its delimiter.
    pub(crate) length: Option<u32>,
    /// The whole element.
    pub(crate) element: Range<usize>,
    pub(crate) value: Range<usize>,
}

/// Where a file's data set lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The elements before the pixel data.
    pub(crate) header: Range<usize>,
    /// Elements of unknown VR in a header of explicit VR, whose values are in implicit little endian (PS3.5 6.2.2): the
    /// standard ones, and all of unknown length.
    pub(crate) implicit: Vec<Implicit>,
    pub(crate) pixels: Option<PixelElement>,
}

/// Why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The given bytes end first but the file goes on: at least this many are needed.
    NeedsMore(usize),
    /// An element reaches past the end of the file.
    PastEnd { expected: u64 },
    /// Not DICOM.
    NotDicom,
    /// Elements that contradict the format.
    Broken(&'static str),
}

/// Start of the data set and the transfer syntax UID, from the meta group, or guessed without one.
pub(crate) fn meta(bytes: &[u8], file_length: u64) -> Result<(usize, String), Stop> {
    let (mut at, named) = match (bytes.get(128..132), bytes.get(..4)) {
        (Some(b"DICM"), _) => (132, true),
        (_, Some([2, 0, _, 0])) => (0, false),
        _ => return guess(bytes, 0).map(|uid| (0, uid.to_owned())).ok_or(Stop::NotDicom),
    };
    let walk = Walk { bytes, file_length, encoding: Encoding::ExplicitLittle };
    let mut syntax = None;
    while walk.file_length >= at as u64 + 8 {
        walk.require(at, 8)?;
        if bytes[at..at + 2] != [2, 0] {
            break;
        }
        let element = walk.element(at)?;
        let Some(length) = element.length else { return Err(Stop::Broken("meta element without a length")) };
        walk.require(element.value, length as usize)?;
        let value = &bytes[element.value..element.value + length as usize];
        if element.tag == Tag(0x0002, 0x0010) {
            syntax = Some(String::from_utf8_lossy(value).trim_end_matches(['\0', ' ']).to_owned());
        }
        at = element.value + length as usize;
    }
    match syntax.filter(|uid| !uid.is_empty()) {
        Some(uid) => Ok((at, uid)),
        None if named || at > 0 => {
            guess(bytes, at).map(|uid| (at, uid.to_owned())).ok_or(Stop::Broken("no transfer syntax"))
        }
        None => Err(Stop::NotDicom),
    }
}

/// Walks the data set that starts at `start` up to the pixel data or the end.
pub(crate) fn dataset(bytes: &[u8], file_length: u64, start: usize, encoding: Encoding) -> Result<Scan, Stop> {
    let walk = Walk { bytes, file_length, encoding };
    let mut at = start;
    let mut implicit = Vec::new();
    while (at as u64) < file_length {
        let rest = file_length - at as u64;
        if rest < 8 {
            walk.require(at, rest as usize)?;
            let padding = bytes[at..at + rest as usize].iter().all(|&byte| byte == 0);
            if padding {
                break;
            }
        }
        let element = walk.element(at)?;
        if element.tag.group() == 0x7FE0 && matches!(element.tag.element(), 0x0008..=0x0010) {
            let length = element.length.map(u64::from);
            if let Some(length) = length
                && element.value as u64 + length > file_length
            {
                return Err(Stop::PastEnd { expected: element.value as u64 + length });
            }
            let offset = element.value as u64;
            let pixels = PixelElement { tag: element.tag, offset, length, words: element.vr != VR::OB };
            return Ok(Scan { header: start..at, implicit, pixels: Some(pixels) });
        }
        let end = walk.past(&element, 0)?;
        let standard = element.tag.group().is_multiple_of(2);
        if encoding != Encoding::ImplicitLittle && element.vr == VR::UN && (standard || element.length.is_none()) {
            let Element { tag, length, value, .. } = element;
            if length.is_some() && dictionary_vr(tag) == VR::SQ {
                Walk { encoding: Encoding::ImplicitLittle, ..walk }.items(value, Some(end), 0)?;
            }
            implicit.push(Implicit { tag, length, element: at..end, value: value..end });
        }
        at = end;
    }
    Ok(Scan { header: start..at, implicit, pixels: None })
}

/// Deeper sequences are refused: parsing them would recurse as deep.
const DEEPEST: usize = 32;

struct Walk<'a> {
    bytes: &'a [u8],
    file_length: u64,
    encoding: Encoding,
}

struct Element {
    tag: Tag,
    vr: VR,
    length: Option<u32>,
    value: usize,
}

impl Walk<'_> {
    fn require(&self, at: usize, count: usize) -> Result<(), Stop> {
        let end = at.checked_add(count).ok_or(Stop::PastEnd { expected: u64::MAX })?;
        if end <= self.bytes.len() {
            return Ok(());
        }
        Err(if end as u64 > self.file_length { Stop::PastEnd { expected: end as u64 } } else { Stop::NeedsMore(end) })
    }

    fn u16(&self, at: usize) -> u16 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        if self.encoding == Encoding::ExplicitBig { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    fn u32(&self, at: usize) -> u32 {
        let (first, second) = (u32::from(self.u16(at)), u32::from(self.u16(at + 2)));
        if self.encoding == Encoding::ExplicitBig { first << 16 | second } else { second << 16 | first }
    }

    fn element(&self, at: usize) -> Result<Element, Stop> {
        self.require(at, 8)?;
        let tag = Tag(self.u16(at), self.u16(at + 2));
        let defined = |length: u32| (length != u32::MAX).then_some(length);
        // Items and delimiters have no VR in any encoding.
        if tag.group() == 0xFFFE || self.encoding == Encoding::ImplicitLittle {
            let vr = dictionary_vr(tag);
            return Ok(Element { tag, vr, length: defined(self.u32(at + 4)), value: at + 8 });
        }
        let vr = VR::from_binary([self.bytes[at + 4], self.bytes[at + 5]]).unwrap_or(VR::UN);
        let long = matches!(
            vr,
            VR::OB
                | VR::OD
                | VR::OF
                | VR::OL
                | VR::OV
                | VR::OW
                | VR::SQ
                | VR::UC
                | VR::UN
                | VR::UR
                | VR::UT
                | VR::SV
                | VR::UV
        );
        if !long {
            return Ok(Element { tag, vr, length: Some(u32::from(self.u16(at + 6))), value: at + 8 });
        }
        self.require(at, 12)?;
        Ok(Element { tag, vr, length: defined(self.u32(at + 8)), value: at + 12 })
    }

    /// The byte after an element, its inside checked when it is a sequence.
    fn past(&self, element: &Element, depth: usize) -> Result<usize, Stop> {
        if element.tag.group() == 0xFFFE {
            return Err(Stop::Broken("an item outside a sequence"));
        }
        if let (Some(length), true) = (element.length, element.vr != VR::SQ) {
            self.require(element.value, length as usize)?;
            return Ok(element.value + length as usize);
        }
        if depth == DEEPEST {
            return Err(Stop::Broken("sequences nested too deep"));
        }
        // A sequence of unknown VR is in implicit little endian (PS3.5 6.2.2).
        let inside = if element.vr == VR::UN { Encoding::ImplicitLittle } else { self.encoding };
        let inner = Walk { encoding: inside, ..*self };
        let end = match element.length {
            Some(length) => {
                self.require(element.value, length as usize)?;
                Some(element.value + length as usize)
            }
            None => None,
        };
        inner.items(element.value, end, depth)
    }

    fn items(&self, mut at: usize, end: Option<usize>, depth: usize) -> Result<usize, Stop> {
        while end.is_none_or(|end| at < end) {
            let item = self.element(at)?;
            match (item.tag, item.length) {
                (Tag(0xFFFE, 0xE0DD), _) if end.is_none() => return Ok(item.value),
                (Tag(0xFFFE, 0xE000), Some(length)) => {
                    self.require(item.value, length as usize)?;
                    let item_end = item.value + length as usize;
                    at = self.item(item.value, Some(item_end), depth)?;
                }
                (Tag(0xFFFE, 0xE000), None) => at = self.item(item.value, None, depth)?,
                _ => return Err(Stop::Broken("something else than an item in a sequence")),
            }
        }
        if end == Some(at) { Ok(at) } else { Err(Stop::Broken("an item longer than its sequence")) }
    }

    fn item(&self, mut at: usize, end: Option<usize>, depth: usize) -> Result<usize, Stop> {
        while end.is_none_or(|end| at < end) {
            let element = self.element(at)?;
            if element.tag == Tag(0xFFFE, 0xE00D) && end.is_none() {
                return Ok(element.value);
            }
            at = self.past(&element, depth + 1)?;
        }
        if end == Some(at) { Ok(at) } else { Err(Stop::Broken("an element longer than its item")) }
    }
}

fn dictionary_vr(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).map_or(VR::UN, |entry| entry.vr().relaxed())
}

/// The plain transfer syntax whose first element makes sense at `at`.
fn guess(bytes: &[u8], at: usize) -> Option<&'static str> {
    let first = bytes.get(at..at + 8)?;
    let letters = first[4].is_ascii_uppercase() && first[5].is_ascii_uppercase();
    let group = |bytes: [u8; 2], big: bool| if big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let plausible = |group: u16| matches!(group, 0x0004..=0x0010);
    let (little, big) = (group([first[0], first[1]], false), group([first[0], first[1]], true));
    let short = u32::from_le_bytes([first[4], first[5], first[6], first[7]]) < 0x1_0000;
    if letters && plausible(little) {
        return Some(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    }
    if letters && plausible(big) {
        return Some(BIG_ENDIAN);
    }
    (plausible(little) && short).then_some(uids::IMPLICIT_VR_LITTLE_ENDIAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit(tag: [u16; 2], vr: &[u8; 2], value: &[u8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = tag.iter().flat_map(|t| t.to_le_bytes()).collect();
        bytes.extend_from_slice(vr);
        if matches!(vr, b"SQ" | b"OW" | b"OB" | b"UN") {
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        } else {
            bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
        }
        bytes.extend_from_slice(value);
        bytes
    }

    fn walk(bytes: &[u8]) -> Result<Scan, Stop> {
        dataset(bytes, bytes.len() as u64, 0, Encoding::ExplicitLittle)
    }

    #[test]
    fn pixel_data_is_found_behind_a_nested_sequence() {
        let inner = explicit([0x0008, 0x1150], b"UI", b"1.2\0");
        let mut item = vec![0xFE, 0xFF, 0x00, 0xE0];
        item.extend_from_slice(&(inner.len() as u32).to_le_bytes());
        item.extend_from_slice(&inner);
        let mut bytes = explicit([0x0008, 0x2112], b"SQ", &item);
        let header = bytes.len();
        bytes.extend(explicit([0x7FE0, 0x0010], b"OW", &[1, 2, 3, 4]));
        let scan = walk(&bytes).unwrap();
        assert_eq!(scan.header, 0..header);
        assert_eq!(
            scan.pixels,
            Some(PixelElement { tag: Tag(0x7FE0, 0x0010), offset: header as u64 + 12, length: Some(4), words: true })
        );
    }

    #[test]
    fn a_sequence_of_unknown_kind_is_set_apart() {
        let mut bytes = vec![0x08, 0, 0x15, 0x11, b'U', b'N', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
        bytes.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 10, 0, 0, 0, 8, 0, 0x50, 0x11, 2, 0, 0, 0, b'1', 0]);
        bytes.extend_from_slice(&[0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0]);
        let scan = walk(&bytes).unwrap();
        assert_eq!(
            scan.implicit,
            [Implicit { tag: Tag(0x0008, 0x1115), length: None, element: 0..bytes.len(), value: 12..bytes.len() }]
        );
    }

    #[test]
    fn no_length_is_believed_beyond_the_end_of_the_file() {
        let mut long = explicit([0x0009, 0x1001], b"UN", &[0; 4]);
        long[8..12].copy_from_slice(&0x7FFF_FFF0u32.to_le_bytes());
        assert_eq!(walk(&long), Err(Stop::PastEnd { expected: 12 + 0x7FFF_FFF0 }));
        assert_eq!(dataset(&long[..12], 1 << 40, 0, Encoding::ExplicitLittle), Err(Stop::NeedsMore(12 + 0x7FFF_FFF0)));
        let lone = explicit([0xFFFE, 0xE000], b"\0\0", &[0; 4]);
        assert_eq!(walk(&lone), Err(Stop::Broken("an item outside a sequence")));
    }

    #[test]
    fn endless_nesting_is_refused() {
        let mut bytes = Vec::new();
        for _ in 0..1000 {
            bytes.extend_from_slice(&[0x08, 0, 0x12, 0x21, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
            bytes.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
        }
        assert_eq!(walk(&bytes), Err(Stop::Broken("sequences nested too deep")));
    }
}

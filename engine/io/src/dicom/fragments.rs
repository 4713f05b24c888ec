//! Where the frames of encapsulated pixel data lie, PS3.5 annex A.4.

use std::ops::Range;

use dicom_dictionary_std::tags;

use super::header::Slice;
use super::source::Bytes;
use crate::Error;

/// Byte ranges of the fragments of each frame.
pub(crate) type FrameFragments = Vec<Vec<Range<u64>>>;

/// Finds the fragments of every frame from the items that start at `offset`.
///
/// One frame takes all fragments; as many fragments as frames are one each. Otherwise the extended or the basic offset
/// table tells, and without a table the start marks of the code streams.
pub(crate) fn locate(slice: &Slice, bytes: &Bytes, offset: u64, frames: usize) -> Result<FrameFragments, Error> {
    let items = items(slice, bytes, offset)?;
    let Some((table, fragments)) = items.split_first() else {
        return Err(slice.malformed("Pixel Data", "an offset table and fragments", "nothing"));
    };
    let expected = "at least one fragment per frame";
    if fragments.len() < frames {
        let found = format!("{} fragments for {frames} frames", fragments.len());
        return Err(slice.malformed("Pixel Data", expected, found));
    }
    if frames == 1 {
        return Ok(vec![fragments.to_vec()]);
    }
    if fragments.len() == frames {
        return Ok(fragments.iter().map(|fragment| vec![fragment.clone()]).collect());
    }
    let base = table.end;
    let starts = match extended_table(slice).or(basic_table(slice, bytes, table)?) {
        Some(offsets) => by_offsets(&offsets, base, fragments),
        None => by_marks(slice, bytes, fragments)?,
    };
    let starts = starts.filter(|starts| starts.len() == frames && starts.first() == Some(&0)).ok_or_else(|| {
        let found = format!("{} fragments of {frames} frames that no offset table tells apart", fragments.len());
        slice.malformed("Pixel Data", expected, found)
    })?;
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    Ok(starts.iter().zip(ends).map(|(&start, end)| fragments[start..end].to_vec()).collect())
}

/// Value ranges of all items up to the sequence delimiter, or up to the very end of the file.
fn items(slice: &Slice, bytes: &Bytes, offset: u64) -> Result<Vec<Range<u64>>, Error> {
    let mut items = Vec::new();
    let mut at = offset;
    while at != bytes.length() {
        let mut head = [0; 8];
        require(slice, bytes, at + 8)?;
        bytes.fill(at, &mut head, slice)?;
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        match &head[..4] {
            [0xFE, 0xFF, 0xDD, 0xE0] => break,
            [0xFE, 0xFF, 0x00, 0xE0] => {}
            _ => {
                return Err(slice.malformed(
                    "Pixel Data",
                    "items of fragments",
                    format!("something else at byte {at}"),
                ));
            }
        }
        let end = at + 8 + u64::from(length);
        require(slice, bytes, end)?;
        items.push(at + 8..end);
        at = end;
    }
    Ok(items)
}

fn require(slice: &Slice, bytes: &Bytes, expected: u64) -> Result<(), Error> {
    let found = bytes.length();
    if expected <= found {
        return Ok(());
    }
    Err(Error::Truncated { what: "pixel data fragments", expected, found, path: slice.path.clone() })
}

fn extended_table(slice: &Slice) -> Option<Vec<u64>> {
    let offsets = slice.object.get(tags::EXTENDED_OFFSET_TABLE)?.to_bytes().ok()?;
    let offsets: Vec<u64> =
        offsets.chunks_exact(8).map(|b| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect();
    (!offsets.is_empty()).then_some(offsets)
}

fn basic_table(slice: &Slice, bytes: &Bytes, table: &Range<u64>) -> Result<Option<Vec<u64>>, Error> {
    let mut offsets = vec![0; (table.end - table.start) as usize];
    bytes.fill(table.start, &mut offsets, slice)?;
    let offsets = offsets.chunks_exact(4).map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    Ok(Some(offsets.collect::<Vec<_>>()).filter(|offsets| !offsets.is_empty()))
}

/// Index of the fragment at which each frame starts; `None` when an offset names no fragment.
fn by_offsets(offsets: &[u64], base: u64, fragments: &[Range<u64>]) -> Option<Vec<usize>> {
    let starts = offsets
        .iter()
        .map(|offset| fragments.binary_search_by_key(&offset.checked_add(base + 8)?, |fragment| fragment.start).ok());
    starts.collect::<Option<Vec<_>>>().filter(|starts| starts.is_sorted_by(|a, b| a < b))
}

/// Index of the fragments that start with the first mark of a code stream.
fn by_marks(slice: &Slice, bytes: &Bytes, fragments: &[Range<u64>]) -> Result<Option<Vec<usize>>, Error> {
    const JPEG: [u8; 3] = [0xFF, 0xD8, 0xFF];
    const JPEG_2000: [u8; 3] = [0xFF, 0x4F, 0xFF];
    let mut starts = Vec::new();
    for (index, fragment) in fragments.iter().enumerate() {
        let mut mark = [0; 3];
        if fragment.end - fragment.start >= 3 {
            bytes.fill(fragment.start, &mut mark, slice)?;
        }
        if [JPEG, JPEG_2000].contains(&mark) {
            starts.push(index);
        }
    }
    Ok(Some(starts))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four fragments of two bytes behind a table of eight.
    const FRAGMENTS: [Range<u64>; 4] = [124..126, 134..136, 144..146, 154..156];

    #[test]
    fn offsets_count_from_the_first_item_behind_the_table() {
        for (offsets, starts) in [
            (&[0, 20][..], Some(vec![0, 2])),
            (&[0, 10, 30], Some(vec![0, 1, 3])),
            (&[0, 11], None),
            (&[20, 0], None),
            (&[0, u64::MAX], None),
        ] {
            assert_eq!(by_offsets(offsets, 116, &FRAGMENTS), starts, "{offsets:?}");
        }
    }
}

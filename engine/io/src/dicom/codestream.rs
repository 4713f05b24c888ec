//! What a code stream of the JPEG family says of itself before it is decoded.

/// Size and depth that a stream declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Columns, rows and components.
    pub(crate) size: [usize; 3],
    /// Bits of a sample.
    pub(crate) precision: u8,
    /// Second byte of the frame marker: how the samples are coded.
    pub(crate) process: u8,
}

/// The SOF marker of JPEG or JPEG-LS.
pub(crate) fn jpeg(stream: &[u8]) -> Option<Stream> {
    let mut at = stream.starts_with(&[0xFF, 0xD8]).then_some(2)?;
    loop {
        while *stream.get(at)? == 0xFF && *stream.get(at + 1)? == 0xFF {
            at += 1;
        }
        let marker = (*stream.get(at)? == 0xFF).then_some(*stream.get(at + 1)?)?;
        if matches!(marker, 0xC0..=0xCF | 0xF7) && !matches!(marker, 0xC4 | 0xC8 | 0xCC) {
            let size = [word(stream, at + 7)?, word(stream, at + 5)?, usize::from(*stream.get(at + 9)?)];
            return Some(Stream { size, precision: *stream.get(at + 4)?, process: marker });
        }
        at += 2 + word(stream, at + 2)?;
    }
}

/// The SIZ marker of JPEG 2000, in a plain stream or in a JP2 file. `None` also for more tiles than any image needs,
/// because a decoder keeps kilobytes for each.
pub(crate) fn jpeg_2000(stream: &[u8]) -> Option<Stream> {
    const JP2: [u8; 8] = [0, 0, 0, 12, b'j', b'P', b' ', b' '];
    const MOST_TILES: usize = 4096;
    let start = if stream.starts_with(&JP2) {
        stream.windows(4).position(|mark| mark == [0xFF, 0x4F, 0xFF, 0x51])?
    } else {
        stream.starts_with(&[0xFF, 0x4F, 0xFF, 0x51]).then_some(0)?
    };
    let long = |at: usize| Some(word(stream, start + at)? << 16 | word(stream, start + at + 2)?);
    let (columns, rows) = (long(8)?.checked_sub(long(16)?)?, long(12)?.checked_sub(long(20)?)?);
    let (tile_columns, tile_rows) = (long(24)?, long(28)?);
    if tile_columns == 0 || tile_rows == 0 {
        return None;
    }
    let tiles = (columns.div_ceil(tile_columns) + 1).checked_mul(rows.div_ceil(tile_rows) + 1)?;
    let size = [columns, rows, word(stream, start + 40)?];
    let precision = (*stream.get(start + 42)? & 0x7F) + 1;
    (tiles <= MOST_TILES).then_some(Stream { size, precision, process: 0x51 })
}

fn word(stream: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes([*stream.get(at)?, *stream.get(at + 1)?])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_tell_their_size() {
        let head = [0xFF, 0xD8, 0xFF, 0xE0, 0, 4, 9, 9, 0xFF, 0xC3, 0, 11, 16, 0, 3, 0, 5, 1];
        let mut j2k = [0; 43];
        j2k[..4].copy_from_slice(&[0xFF, 0x4F, 0xFF, 0x51]);
        for (at, value) in [(11, 9), (15, 7), (19, 1), (23, 2), (27, 8), (31, 5), (41, 1), (42, 0x8F)] {
            j2k[at] = value;
        }
        assert_eq!(jpeg(&head), Some(Stream { size: [5, 3, 1], precision: 16, process: 0xC3 }));
        assert_eq!(jpeg_2000(&j2k), Some(Stream { size: [8, 5, 1], precision: 16, process: 0x51 }));
        assert_eq!(jpeg(&head[..10]), None);
        assert_eq!(jpeg_2000(&[0; 50]), None);
    }
}

//! DICOM RLE Lossless, PS3.5 annex G: per channel and byte of the sample one PackBits segment, most significant byte first.

/// Decodes one channel of a frame of `pixels` pixels, `width` bytes a sample, to little-endian samples. `Err` says what
/// is wrong.
pub(crate) fn decode(
    frame: &[u8],
    pixels: usize,
    width: usize,
    channels: usize,
    channel: usize,
) -> Result<Vec<u8>, &'static str> {
    /// A pair of bytes unpacks to at most this many.
    const MOST_OF_A_PAIR: usize = 128;
    let header = frame.get(..64).ok_or("RLE header cut")?;
    let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|b| header[4 * i + b])) as usize;
    let segments = word(0);
    if segments != width * channels || segments > 15 {
        return Err("RLE segment count differs from the bytes of a pixel");
    }
    if pixels > frame.len() * MOST_OF_A_PAIR / 2 {
        return Err("RLE frame too short for its pixels");
    }
    let mut samples = vec![0; pixels * width];
    for byte in 0..width {
        let segment = channel * width + byte;
        let start = word(1 + segment);
        let end = if segment + 1 < segments { word(2 + segment) } else { frame.len() };
        let packed = frame.get(start..end).filter(|_| start >= 64).ok_or("RLE segment outside its frame")?;
        match width {
            1 => unpack::<1>(packed, &mut samples, 0)?,
            2 => unpack::<2>(packed, &mut samples, 1 - byte)?,
            _ => unpack::<4>(packed, &mut samples, 3 - byte)?,
        }
    }
    Ok(samples)
}

/// Unpacks a segment into byte `place` of every sample of `WIDTH` bytes.
fn unpack<const WIDTH: usize>(packed: &[u8], samples: &mut [u8], place: usize) -> Result<(), &'static str> {
    const SHORT: &str = "RLE segment too short";
    let (mut out, _) = samples.as_chunks_mut::<WIDTH>();
    let mut packed = packed;
    while !out.is_empty() {
        let (&control, rest) = packed.split_first().ok_or(SHORT)?;
        match control {
            0x80 => packed = rest,
            0..0x80 => {
                let run = usize::from(control) + 1;
                let (literal, rest) = rest.split_at_checked(run).ok_or(SHORT)?;
                let (now, later) = out.split_at_mut(run.min(out.len()));
                now.iter_mut().zip(literal).for_each(|(sample, &byte)| sample[place] = byte);
                (out, packed) = (later, rest);
            }
            _ => {
                let run = 257 - usize::from(control);
                let (&byte, rest) = rest.split_first().ok_or(SHORT)?;
                let (now, later) = out.split_at_mut(run.min(out.len()));
                now.iter_mut().for_each(|sample| sample[place] = byte);
                (out, packed) = (later, rest);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two segments of a 16-bit frame: high bytes `1 1 1 2`, low bytes `5 6 7 8`.
    fn frame() -> Vec<u8> {
        let mut frame = vec![0; 64];
        frame[0] = 2;
        frame[4] = 64;
        frame[8] = 68;
        frame.extend_from_slice(&[0xFE, 1, 0, 2]);
        frame.extend_from_slice(&[3, 5, 6, 7, 8, 0x80]);
        frame
    }

    #[test]
    fn runs_and_literals_of_two_segments_make_little_endian_words() {
        assert_eq!(decode(&frame(), 4, 2, 1, 0), Ok(vec![5, 1, 6, 1, 7, 1, 8, 2]));
    }

    #[test]
    fn segments_of_two_channels_are_told_apart() {
        assert_eq!(decode(&frame(), 4, 1, 2, 0), Ok(vec![1, 1, 1, 2]));
        assert_eq!(decode(&frame(), 4, 1, 2, 1), Ok(vec![5, 6, 7, 8]));
    }

    #[test]
    fn damaged_frames_are_refused() {
        assert_eq!(decode(&frame()[..63], 4, 2, 1, 0), Err("RLE header cut"));
        assert_eq!(decode(&frame(), 4, 1, 1, 0), Err("RLE segment count differs from the bytes of a pixel"));
        assert_eq!(decode(&frame(), 5, 2, 1, 0), Err("RLE segment too short"));
        assert_eq!(decode(&frame(), 1 << 20, 2, 1, 0), Err("RLE frame too short for its pixels"));
        let mut outside = frame();
        outside[9] = 0xFF;
        assert_eq!(decode(&outside, 4, 2, 1, 0), Err("RLE segment outside its frame"));
    }
}

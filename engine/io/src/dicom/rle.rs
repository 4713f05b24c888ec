//! DICOM RLE Lossless, PS3.5 annex G: per byte of the sample one PackBits segment, most significant first.

/// Decodes one frame of `pixels` samples of `bytes_per_pixel` bytes to little-endian samples. `Err` says what is wrong.
pub(crate) fn decode(frame: &[u8], pixels: usize, bytes_per_pixel: usize) -> Result<Vec<u8>, &'static str> {
    let header = frame.get(..64).ok_or("RLE header cut")?;
    let word = |i: usize| u32::from_le_bytes(std::array::from_fn(|b| header[4 * i + b])) as usize;
    let segments = word(0);
    if segments != bytes_per_pixel {
        return Err("RLE segment count differs from the bytes of a sample");
    }
    let mut samples = vec![0; pixels * bytes_per_pixel];
    for segment in 0..segments {
        let start = word(1 + segment);
        let end = if segment + 1 < segments { word(2 + segment) } else { frame.len() };
        let packed = frame.get(start..end).filter(|_| start >= 64).ok_or("RLE segment outside its frame")?;
        unpack(packed, pixels, |pixel, byte| samples[pixel * bytes_per_pixel + segments - 1 - segment] = byte)?;
    }
    Ok(samples)
}

fn unpack(packed: &[u8], count: usize, mut put: impl FnMut(usize, u8)) -> Result<(), &'static str> {
    let (mut at, mut out) = (0, 0);
    while out < count {
        let control = *packed.get(at).ok_or("RLE segment too short")? as i8;
        at += 1;
        if control == -128 {
            continue;
        }
        if control >= 0 {
            let run = control as usize + 1;
            let literal = packed.get(at..at + run).ok_or("RLE segment too short")?;
            literal.iter().take(count - out).enumerate().for_each(|(i, &byte)| put(out + i, byte));
            at += run;
            out += run;
        } else {
            let run = 1 - isize::from(control);
            let byte = *packed.get(at).ok_or("RLE segment too short")?;
            (out..(out + run as usize).min(count)).for_each(|pixel| put(pixel, byte));
            at += 1;
            out += run as usize;
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
        assert_eq!(decode(&frame(), 4, 2), Ok(vec![5, 1, 6, 1, 7, 1, 8, 2]));
    }

    #[test]
    fn damaged_frames_are_refused() {
        assert_eq!(decode(&frame()[..63], 4, 2), Err("RLE header cut"));
        assert_eq!(decode(&frame(), 4, 1), Err("RLE segment count differs from the bytes of a sample"));
        assert_eq!(decode(&frame(), 5, 2), Err("RLE segment too short"));
        let mut outside = frame();
        outside[9] = 0xFF;
        assert_eq!(decode(&outside, 4, 2), Err("RLE segment outside its frame"));
    }
}

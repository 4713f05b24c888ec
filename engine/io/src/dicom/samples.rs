//! How the samples of an image are stored: their bits, channels and order.

use dicom_core::header::HasLength;
use dicom_dictionary_std::tags;

use super::attributes::{text, whole};
use super::header::Slice;
use super::lut::Rescale;
use super::scan::PixelElement;
use crate::Error;

/// Whole-number samples of one channel and the linear scale that gives their intensities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SampleFormat {
    pub(crate) bits_allocated: u16,
    pub(crate) bits_stored: u16,
    pub(crate) high_bit: u16,
    pub(crate) signed: bool,
    /// MONOCHROME1: low values are bright. Read inverted, so that high is bright in every volume.
    pub(crate) inverted: bool,
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
}

impl SampleFormat {
    /// The format of a monochrome image of whole bytes with a linear scale, the only kind that is written.
    pub(crate) fn of(slice: &Slice) -> Result<Self, Error> {
        let layout = Layout::of(slice)?;
        match (layout.numbers, layout.colour, Rescale::of(slice)?) {
            (Numbers::Whole(format), Colour::Monochrome, Rescale::Linear { slope, intercept })
                if format.bits_allocated >= 8 =>
            {
                Ok(Self { slope, intercept, ..format })
            }
            _ => Err(slice.unsupported("samples other than monochrome whole numbers with a linear scale")),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        usize::from(self.bits_allocated.div_ceil(8))
    }

    /// Smallest and largest stored value.
    pub(crate) fn range(&self) -> (i64, i64) {
        let span = 1i64 << self.bits_stored;
        if self.signed { (-span / 2, span / 2 - 1) } else { (0, span - 1) }
    }

    /// The stored value of a word: unused bits dropped, sign extended.
    pub(crate) fn stored(&self, word: u32) -> i64 {
        let (left, right) = self.shifts();
        if self.signed { i64::from((word << left) as i32 >> right) } else { i64::from(word << left >> right) }
    }

    /// Left, then right shift of a 32-bit word that leave the stored bits.
    pub(crate) fn shifts(&self) -> (u32, u32) {
        (31 - u32::from(self.high_bit), 32 - u32::from(self.bits_stored))
    }

    /// Intensity of a stored value: slope and intercept in f64, rounded once.
    pub(crate) fn intensity(&self, stored: i64) -> f32 {
        let (low, high) = self.range();
        let value = if self.inverted { low + high - stored } else { stored };
        (value as f64 * self.slope + self.intercept) as f32
    }

    fn bits_of(slice: &Slice, inverted: bool) -> Result<Self, Error> {
        let object = &slice.object;
        let bits_allocated: u16 = whole(object, tags::BITS_ALLOCATED).unwrap_or(0);
        if !matches!(bits_allocated, 1 | 8 | 16 | 32) {
            return Err(slice.malformed("Bits Allocated", "1, 8, 16 or 32", bits_allocated));
        }
        let bits_stored: u16 = whole(object, tags::BITS_STORED).unwrap_or(bits_allocated);
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(slice.malformed("Bits Stored", "1 to Bits Allocated", bits_stored));
        }
        let high_bit: u16 = whole(object, tags::HIGH_BIT).unwrap_or(bits_stored - 1);
        if !(bits_stored - 1..bits_allocated).contains(&high_bit) {
            return Err(slice.malformed("High Bit", "Bits Stored - 1 to Bits Allocated - 1", high_bit));
        }
        let signed = match whole::<u16>(object, tags::PIXEL_REPRESENTATION).unwrap_or(0) {
            0 => false,
            1 => true,
            other => return Err(slice.malformed("Pixel Representation", "0 or 1", other)),
        };
        Ok(Self { bits_allocated, bits_stored, high_bit, signed, inverted, slope: 1.0, intercept: 0.0 })
    }
}

/// What one sample is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Numbers {
    Whole(SampleFormat),
    Float32,
    Float64,
}

/// What the channels of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Monochrome,
    /// One channel of indices into colour tables.
    Palette,
    Rgb,
    /// Luminance and two colour differences, each at every pixel.
    Ybr,
    /// Luminance at every pixel, colour differences at every second pixel of a row.
    Ybr422,
}

/// How the samples of a file lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Layout {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) frames: usize,
    pub(crate) numbers: Numbers,
    pub(crate) colour: Colour,
    /// Channels lie one whole plane after the other, not pixel by pixel.
    pub(crate) planar: bool,
}

impl Layout {
    /// Checks the attributes that describe the samples.
    pub(crate) fn of(slice: &Slice) -> Result<Self, Error> {
        let object = &slice.object;
        for (field, found) in [("Rows", slice.rows), ("Columns", slice.columns)] {
            if !(1..=65535).contains(&found) {
                return Err(slice.malformed(field, "1 to 65535", found));
            }
        }
        let photometric = text(object, tags::PHOTOMETRIC_INTERPRETATION).unwrap_or_default();
        let colour = match photometric.as_str() {
            "MONOCHROME1" | "MONOCHROME2" => Colour::Monochrome,
            "PALETTE COLOR" => Colour::Palette,
            // Decoders of JPEG 2000 undo its colour transforms.
            "RGB" | "YBR_ICT" | "YBR_RCT" => Colour::Rgb,
            "YBR_FULL" => Colour::Ybr,
            "YBR_FULL_422" => Colour::Ybr422,
            "" => {
                return Err(slice.malformed(
                    "Photometric Interpretation",
                    "MONOCHROME1, MONOCHROME2 or a colour space",
                    "nothing",
                ));
            }
            other => return Err(slice.unsupported(format!("photometric interpretation {other}"))),
        };
        let inverted = photometric == "MONOCHROME1";
        let samples: u16 = whole(object, tags::SAMPLES_PER_PIXEL).unwrap_or(1);
        let layout = Self {
            rows: slice.rows,
            columns: slice.columns,
            frames: frames(slice)?,
            numbers: numbers(slice, inverted)?,
            colour,
            planar: whole::<u16>(object, tags::PLANAR_CONFIGURATION) == Some(1),
        };
        if usize::from(samples) != layout.channels() {
            return Err(slice.malformed("Samples per Pixel", "as many as the photometric interpretation has", samples));
        }
        if !matches!(layout.numbers, Numbers::Whole(_)) && (inverted || colour != Colour::Monochrome) {
            return Err(slice.unsupported(format!("floating-point pixels in {photometric}")));
        }
        Ok(layout)
    }

    pub(crate) fn channels(&self) -> usize {
        match self.colour {
            Colour::Monochrome | Colour::Palette => 1,
            Colour::Rgb | Colour::Ybr | Colour::Ybr422 => 3,
        }
    }

    /// The name of a channel of a colour image; `None` for an image of one channel.
    pub(crate) fn channel_name(&self, channel: usize) -> Option<&'static str> {
        let names = match self.colour {
            Colour::Monochrome | Colour::Palette => return None,
            Colour::Rgb => ["red", "green", "blue"],
            Colour::Ybr | Colour::Ybr422 => ["Y", "CB", "CR"],
        };
        names.get(channel).copied()
    }

    pub(crate) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of one sample after unpacking.
    pub(crate) fn sample_bytes(&self) -> usize {
        match self.numbers {
            Numbers::Whole(format) => format.bytes(),
            Numbers::Float32 => 4,
            Numbers::Float64 => 8,
        }
    }

    /// Whether samples are single bits, eight in a byte, lowest first.
    pub(crate) fn is_packed(&self) -> bool {
        matches!(self.numbers, Numbers::Whole(SampleFormat { bits_allocated: 1, .. }))
    }

    /// Bits of one uncompressed frame.
    pub(crate) fn frame_bits(&self) -> u64 {
        let pixels = self.pixels() as u64;
        match self.colour {
            _ if self.is_packed() => pixels * self.channels() as u64,
            Colour::Ybr422 => pixels * 2 * self.sample_bytes() as u64 * 8,
            _ => pixels * (self.channels() * self.sample_bytes()) as u64 * 8,
        }
    }
}

fn frames(slice: &Slice) -> Result<usize, Error> {
    match slice.object.get(tags::NUMBER_OF_FRAMES) {
        None => Ok(1),
        Some(element) if element.is_empty() => Ok(1),
        Some(_) => whole::<u32>(&slice.object, tags::NUMBER_OF_FRAMES)
            .filter(|&frames| frames > 0)
            .map(|frames| frames as usize)
            .ok_or_else(|| slice.malformed("Number of Frames", "a whole number from 1", "something else")),
    }
}

fn numbers(slice: &Slice, inverted: bool) -> Result<Numbers, Error> {
    match slice.pixels {
        Some(PixelElement { tag: tags::FLOAT_PIXEL_DATA, .. }) => Ok(Numbers::Float32),
        Some(PixelElement { tag: tags::DOUBLE_FLOAT_PIXEL_DATA, .. }) => Ok(Numbers::Float64),
        Some(_) => SampleFormat::bits_of(slice, inverted).map(Numbers::Whole),
        None => Err(slice.unsupported("DICOM object without pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWELVE: SampleFormat = SampleFormat {
        bits_allocated: 16,
        bits_stored: 12,
        high_bit: 11,
        signed: false,
        inverted: false,
        slope: 1.0,
        intercept: -1024.0,
    };

    #[test]
    fn unused_bits_are_dropped_and_signs_extended() {
        let signed = SampleFormat { signed: true, ..TWELVE };
        let shifted = SampleFormat { high_bit: 15, ..TWELVE };
        let whole = SampleFormat { bits_allocated: 32, bits_stored: 32, high_bit: 31, ..TWELVE };
        let negative = SampleFormat { signed: true, ..whole };
        for (format, word, stored) in [
            (TWELVE, 0xF123, 0x123),
            (TWELVE, 0x0FFF, 4095),
            (signed, 0x0FFF, -1),
            (signed, 0xF7FF, 2047),
            (signed, 0x0800, -2048),
            (shifted, 0x123F, 0x123),
            (whole, 0xFFFF_FFFF, 4_294_967_295),
            (negative, 0xFFFF_FFFE, -2),
        ] {
            assert_eq!(format.stored(word), stored, "{word:x}");
        }
    }

    #[test]
    fn monochrome1_is_read_inverted() {
        let inverted = SampleFormat { inverted: true, intercept: 0.0, ..TWELVE };
        assert_eq!([0, 1, 4095].map(|v| inverted.intensity(v)), [4095.0, 4094.0, 0.0]);
        assert_eq!(TWELVE.intensity(24), -1000.0);
    }
}

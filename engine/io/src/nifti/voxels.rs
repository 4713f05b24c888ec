//! Stored numbers of every real NIfTI datatype, to and from f32.

use std::path::Path;

use nifti::{NiftiHeader, NiftiType};
use rayon::prelude::*;

use super::header::Header;
use crate::Error;

/// Numbers looked at before one that does not fit ends the work.
const RUN: usize = 4096;

/// A datatype with one real number per voxel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Stored {
    pub(crate) fn of(header: &Header, path: &Path) -> Result<Self, Error> {
        let stored = match nifti_type(header.datatype) {
            Some(NiftiType::Uint8) => Self::U8,
            Some(NiftiType::Int8) => Self::I8,
            Some(NiftiType::Uint16) => Self::U16,
            Some(NiftiType::Int16) => Self::I16,
            Some(NiftiType::Uint32) => Self::U32,
            Some(NiftiType::Int32) => Self::I32,
            Some(NiftiType::Uint64) => Self::U64,
            Some(NiftiType::Int64) => Self::I64,
            Some(NiftiType::Float32) => Self::F32,
            Some(NiftiType::Float64) => Self::F64,
            Some(other) => {
                return Err(Error::Unsupported { what: format!("voxels of {other:?}"), path: path.to_owned() });
            }
            None => {
                return Err(Error::Malformed {
                    field: "datatype",
                    expected: "a code of the NIfTI standard",
                    found: header.datatype.to_string(),
                    path: path.to_owned(),
                });
            }
        };
        if usize::try_from(header.bits) == Ok(8 * stored.bytes()) {
            return Ok(stored);
        }
        Err(Error::Malformed {
            field: "bitpix",
            expected: "the size of datatype",
            found: format!("{} bits for {stored:?}", header.bits),
            path: path.to_owned(),
        })
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The name that other tools use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::U64 => "uint64",
            Self::I64 => "int64",
            Self::F32 => "float32",
            Self::F64 => "float64",
        }
    }

    /// The standard's code.
    pub(crate) fn code(self) -> i16 {
        (match self {
            Self::U8 => NiftiType::Uint8,
            Self::I8 => NiftiType::Int8,
            Self::U16 => NiftiType::Uint16,
            Self::I16 => NiftiType::Int16,
            Self::U32 => NiftiType::Uint32,
            Self::I32 => NiftiType::Int32,
            Self::U64 => NiftiType::Uint64,
            Self::I64 => NiftiType::Int64,
            Self::F32 => NiftiType::Float32,
            Self::F64 => NiftiType::Float64,
        }) as i16
    }

    /// Turns stored bytes into intensities; scaling is done in f64 and rounded once.
    pub(crate) fn decode(self, bytes: &[u8], big_endian: bool, scale: Option<(f64, f64)>, voxels: &mut [f32]) {
        macro_rules! decode {
            ($number:ty) => {{
                let (numbers, _) = bytes.as_chunks();
                match (scale, big_endian) {
                    (None, false) => each(numbers, voxels, |&b| <$number>::from_le_bytes(b) as f32),
                    (None, true) => each(numbers, voxels, |&b| <$number>::from_be_bytes(b) as f32),
                    (Some((slope, intercept)), false) => {
                        each(numbers, voxels, |&b| (<$number>::from_le_bytes(b) as f64 * slope + intercept) as f32)
                    }
                    (Some((slope, intercept)), true) => {
                        each(numbers, voxels, |&b| (<$number>::from_be_bytes(b) as f64 * slope + intercept) as f32)
                    }
                }
            }};
        }
        match self {
            Self::U8 => decode!(u8),
            Self::I8 => decode!(i8),
            Self::U16 => decode!(u16),
            Self::I16 => decode!(i16),
            Self::U32 => decode!(u32),
            Self::I32 => decode!(i32),
            Self::U64 => decode!(u64),
            Self::I64 => decode!(i64),
            Self::F32 => decode!(f32),
            Self::F64 => decode!(f64),
        }
    }

    /// Stored bytes as numbers of a byte each; `None` when one is no whole number from 0 to 255.
    pub(crate) fn labels(self, bytes: &[u8], big_endian: bool) -> Option<Vec<u8>> {
        macro_rules! labels {
            ($number:ty) => {{
                let (numbers, _) = bytes.as_chunks();
                let of = |number: $number| (number as u8, number as u8 as $number == number);
                match big_endian {
                    false => whole_bytes(numbers, |&b| of(<$number>::from_le_bytes(b))),
                    true => whole_bytes(numbers, |&b| of(<$number>::from_be_bytes(b))),
                }
            }};
        }
        match self {
            Self::U8 => labels!(u8),
            Self::I8 => bytes.iter().all(|byte| *byte < 0x80).then(|| bytes.to_vec()),
            Self::U16 => labels!(u16),
            Self::I16 => labels!(i16),
            Self::U32 => labels!(u32),
            Self::I32 => labels!(i32),
            Self::U64 => labels!(u64),
            Self::I64 => labels!(i64),
            Self::F32 => labels!(f32),
            Self::F64 => labels!(f64),
        }
    }

    /// Little-endian bytes of voxels, as `decode` with the same scale gives them back; the caller has checked that the
    /// type holds them.
    pub(crate) fn encode(self, voxels: &[f32], scale: Option<(f64, f64)>) -> Vec<u8> {
        let mut bytes = vec![0; voxels.len() * self.bytes()];
        let fractions = matches!(self, Self::F32 | Self::F64);
        macro_rules! encode {
            ($number:ty) => {{
                let (places, _) = bytes.as_chunks_mut();
                match scale {
                    None => each(voxels, places, |&v| (v as $number).to_le_bytes()),
                    Some((slope, intercept)) => each(voxels, places, |&v| {
                        let stored = (f64::from(v) - intercept) / slope;
                        (if fractions { stored } else { nearest_even(stored) } as $number).to_le_bytes()
                    }),
                }
            }};
        }
        match self {
            Self::U8 => encode!(u8),
            Self::I8 => encode!(i8),
            Self::U16 => encode!(u16),
            Self::I16 => encode!(i16),
            Self::U32 => encode!(u32),
            Self::I32 => encode!(i32),
            Self::U64 => encode!(u64),
            Self::I64 => encode!(i64),
            Self::F32 => encode!(f32),
            Self::F64 => encode!(f64),
        }
        bytes
    }

    /// Whether `decode(encode(voxels))` gives every voxel back.
    pub(crate) fn holds(self, voxels: &[f32], scale: Option<(f64, f64)>) -> bool {
        const RUN: usize = 1 << 14;
        voxels.par_chunks(RUN).all(|run| {
            let mut back = vec![0.0; run.len()];
            self.decode(&self.encode(run, scale), false, scale, &mut back);
            run.iter().zip(&back).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
        })
    }
}

/// Rounds to the nearest whole number, ties to even: below 2⁵¹ adding 1.5 · 2⁵² leaves no bit for a fraction, which needs
/// no instruction beyond the baseline of the processor.
fn nearest_even(x: f64) -> f64 {
    const NO_FRACTION: f64 = 6_755_399_441_055_744.0;
    const BELOW: f64 = 2_251_799_813_685_248.0;
    if x.abs() < BELOW { (x + NO_FRACTION) - NO_FRACTION } else { x.round_ties_even() }
}

fn each<A, B>(from: &[A], to: &mut [B], f: impl Fn(&A) -> B) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = f(from));
}

/// What `of` gives for each number, unless it tells of one that this is something else.
fn whole_bytes<A>(numbers: &[A], of: impl Fn(&A) -> (u8, bool)) -> Option<Vec<u8>> {
    let mut bytes = vec![0; numbers.len()];
    let same = bytes.chunks_mut(RUN).zip(numbers.chunks(RUN)).all(|(bytes, numbers)| {
        let pairs = bytes.iter_mut().zip(numbers);
        pairs.fold(true, |all, (byte, number)| {
            let (found, same) = of(number);
            *byte = found;
            all & same
        })
    });
    same.then_some(bytes)
}

fn nifti_type(code: i16) -> Option<NiftiType> {
    NiftiHeader { datatype: code, ..NiftiHeader::default() }.data_type().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_type_decodes_in_both_byte_orders() {
        let rows: [(Stored, &[u8], f32); 10] = [
            (Stored::U8, &[200], 200.0),
            (Stored::I8, &[0xff], -1.0),
            (Stored::U16, &[0x01, 0x80], 32769.0),
            (Stored::I16, &[0xfe, 0xff], -2.0),
            (Stored::U32, &[0, 0, 0, 0x80], 2147483648.0),
            (Stored::I32, &[0xfd, 0xff, 0xff, 0xff], -3.0),
            (Stored::U64, &[0, 0, 0, 0, 0, 0, 0, 0x80], 9223372036854775808.0),
            (Stored::I64, &[0xfc, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -4.0),
            (Stored::F32, &[0, 0, 0x20, 0xc0], -2.5),
            (Stored::F64, &[0, 0, 0, 0, 0, 0, 0x04, 0xc0], -2.5),
        ];
        for (stored, little, expected) in rows {
            let big: Vec<u8> = little.iter().rev().copied().collect();
            let mut voxel = [0.0];
            stored.decode(little, false, None, &mut voxel);
            assert_eq!(voxel, [expected], "{stored:?} little-endian");
            stored.decode(&big, true, Some((0.5, 1.0)), &mut voxel);
            assert_eq!(voxel, [expected * 0.5 + 1.0], "{stored:?} big-endian");
            assert!(stored.holds(&[expected], None), "{stored:?}");
        }
    }

    #[test]
    fn labels_are_whole_numbers_of_a_byte() {
        let of = |stored: Stored, voxels: &[f32]| stored.labels(&stored.encode(voxels, None), false);
        for stored in [Stored::U8, Stored::I16, Stored::U16, Stored::I32, Stored::I64, Stored::F32, Stored::F64] {
            assert_eq!(of(stored, &[0.0, 255.0, 7.0]), Some(vec![0, 255, 7]), "{stored:?}");
        }
        assert_eq!(Stored::I16.labels(&[0, 3], true), Some(vec![3]));
        for (stored, voxel) in
            [(Stored::I16, 256.0), (Stored::I8, -1.0), (Stored::F32, 0.5), (Stored::F32, f32::NAN), (Stored::F64, 1e9)]
        {
            assert_eq!(of(stored, &[1.0, voxel]), None, "{stored:?} {voxel}");
        }
    }

    #[test]
    fn halves_round_to_even() {
        for x in [0.5, 1.5, -0.5, -2.5, 2.4999, 0.0, -7.0, 32766.5, 1e15 + 0.5, 4e15 + 0.5, -9e15, 1e300, f64::INFINITY]
        {
            assert_eq!(nearest_even(x), x.round_ties_even(), "{x}");
        }
        assert!(nearest_even(f64::NAN).is_nan());
    }

    #[test]
    fn a_type_holds_only_what_it_gives_back() {
        assert!(Stored::I16.holds(&[-1024.25, -1024.75], Some((0.5, -1024.25))));
        assert!(!Stored::I16.holds(&[0.5], None));
        assert!(!Stored::U8.holds(&[256.0], None));
        assert!(!Stored::I16.holds(&[f32::NAN], None));
        assert!(Stored::F32.holds(&[f32::NAN], None));
    }
}

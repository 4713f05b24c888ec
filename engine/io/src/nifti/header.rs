use std::path::Path;

use nifti::{Endianness, NiftiHeader};

use crate::Error;

/// Bytes that hold either header, NIfTI-1 (348) or NIfTI-2 (540).
pub(crate) const LONGEST: usize = 540;

/// Which edition of the format a file follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edition {
    One,
    Two,
}

impl Edition {
    pub(crate) fn header_length(self) -> usize {
        match self {
            Self::One => 348,
            Self::Two => 540,
        }
    }
}

/// The coordinate part of a header, as stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forms {
    pub(crate) pixdim: [f64; 8],
    pub(crate) units: i32,
    pub(crate) qform_code: i32,
    pub(crate) sform_code: i32,
    /// Quaternion b, c, d.
    pub(crate) quaternion: [f64; 3],
    pub(crate) offset: [f64; 3],
    pub(crate) rows: [[f64; 4]; 3],
}

/// The fields of either edition that Isoscan reads or keeps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Header {
    pub(crate) edition: Edition,
    pub(crate) big_endian: bool,
    /// Image in a second file, `.img`.
    pub(crate) pair: bool,
    pub(crate) dim: [i64; 8],
    pub(crate) datatype: i16,
    pub(crate) bits: i16,
    pub(crate) data_offset: u64,
    pub(crate) slope: f64,
    pub(crate) intercept: f64,
    pub(crate) forms: Forms,
    pub(crate) dim_info: u8,
    pub(crate) slices: SliceOrder,
    pub(crate) time_offset: f64,
    pub(crate) intent_code: i32,
    pub(crate) intent_parameters: [f64; 3],
    pub(crate) intent_name: [u8; 16],
    /// Darkest and brightest value to show.
    pub(crate) display: [f64; 2],
    pub(crate) description: [u8; 80],
    pub(crate) other_file: [u8; 24],
}

/// When each slice was taken: `slice_code`, `slice_start`, `slice_end`, `slice_duration`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct SliceOrder {
    pub(crate) code: i32,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) duration: f64,
}

impl Header {
    /// Parses the first bytes of a file, at most [`LONGEST`].
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let truncated = |expected: usize| Error::Truncated {
            what: "NIfTI header",
            expected: expected as u64,
            found: bytes.len() as u64,
            path: path.to_owned(),
        };
        let edition = edition(bytes).ok_or_else(|| Error::NotAnImage { path: path.to_owned() })?;
        let length = edition.header_length();
        let bytes = bytes.get(..length).ok_or_else(|| truncated(length))?;
        match edition {
            Edition::One => first_edition(bytes, path),
            Edition::Two => second_edition(bytes, path),
        }?
        .checked(path)
    }

    /// First byte of the voxels in the file that holds them; never inside the header.
    pub(crate) fn voxel_offset(&self) -> u64 {
        if self.pair { self.data_offset } else { self.data_offset.max(self.edition.header_length() as u64 + 4) }
    }

    /// Slope and intercept that turn stored values into intensities; `None` when the file says unscaled
    /// (slope 0 or not finite).
    pub(crate) fn scale(&self) -> Option<(f64, f64)> {
        let scaled = self.slope.is_finite() && self.slope != 0.0;
        (scaled && (self.slope, self.intercept) != (1.0, 0.0)).then_some((self.slope, self.intercept))
    }

    /// Voxels of one volume along x, y, z; axes that the file lacks have one.
    pub(crate) fn size(&self) -> [usize; 3] {
        std::array::from_fn(|axis| self.axes().get(axis).map_or(1, |&n| n as usize))
    }

    /// Number of 3-D volumes: the product of the axes behind z.
    pub(crate) fn volumes(&self) -> u64 {
        self.axes().iter().skip(3).fold(1, |n, &axis| n.saturating_mul(axis as u64))
    }

    /// Extents of the axes in use.
    fn axes(&self) -> &[i64] {
        &self.dim[1..=self.dim[0] as usize]
    }

    fn checked(self, path: &Path) -> Result<Self, Error> {
        let wrong =
            |field, expected, found: String| Err(Error::Malformed { field, expected, found, path: path.to_owned() });
        if !(1..=7).contains(&self.dim[0]) {
            return wrong("dim[0]", "1 to 7 dimensions", self.dim[0].to_string());
        }
        if self.axes().iter().any(|&n| n < 1) {
            return wrong("dim", "at least one voxel along every axis", format!("{:?}", self.axes()));
        }
        let voxels = self.axes().iter().try_fold(1u64, |n, &axis| n.checked_mul(axis as u64));
        if voxels.and_then(|n| n.checked_mul(8)).is_none_or(|bytes| bytes > i64::MAX as u64) {
            return wrong("dim", "an image below 2^63 bytes", format!("{:?}", self.axes()));
        }
        if self.scale().is_some() && !self.intercept.is_finite() {
            return wrong("scl_inter", "a finite number beside a slope", self.intercept.to_string());
        }
        Ok(self)
    }
}

/// The edition told by `sizeof_hdr` in either byte order.
pub(crate) fn edition(bytes: &[u8]) -> Option<Edition> {
    let first: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    match (i32::from_le_bytes(first), i32::from_be_bytes(first)) {
        (348, _) | (_, 348) => Some(Edition::One),
        (540, _) | (_, 540) => Some(Edition::Two),
        _ => None,
    }
}

fn first_edition(bytes: &[u8], path: &Path) -> Result<Header, Error> {
    let wrong = |field, expected, found: String| Error::Malformed { field, expected, found, path: path.to_owned() };
    let h = NiftiHeader::from_reader(bytes)
        .map_err(|e| wrong("NIfTI-1 header", "348 bytes in one byte order", e.to_string()))?;
    if h.sizeof_hdr != 348 {
        return Err(wrong("sizeof_hdr and dim", "one byte order", "two".to_owned()));
    }
    let pair = match &h.magic {
        b"n+1\0" => false,
        b"ni1\0" => true,
        [0, 0, 0, 0] => return Err(Error::Unsupported { what: "Analyze 7.5".to_owned(), path: path.to_owned() }),
        other => return Err(wrong("magic", "n+1 or ni1", format!("{other:?}"))),
    };
    let mut description = [0; 80];
    description.iter_mut().zip(&h.descrip).for_each(|(to, &from)| *to = from);
    let widen = |row: [f32; 4]| row.map(f64::from);
    Ok(Header {
        edition: Edition::One,
        big_endian: h.endianness == Endianness::Big,
        pair,
        dim: h.dim.map(|d| i64::from(d as i16)),
        datatype: h.datatype,
        bits: h.bitpix,
        data_offset: offset(f64::from(h.vox_offset), path)?,
        slope: f64::from(h.scl_slope),
        intercept: f64::from(h.scl_inter),
        forms: Forms {
            pixdim: h.pixdim.map(f64::from),
            units: i32::from(h.xyzt_units),
            qform_code: i32::from(h.qform_code),
            sform_code: i32::from(h.sform_code),
            quaternion: [h.quatern_b, h.quatern_c, h.quatern_d].map(f64::from),
            offset: [h.quatern_x, h.quatern_y, h.quatern_z].map(f64::from),
            rows: [widen(h.srow_x), widen(h.srow_y), widen(h.srow_z)],
        },
        dim_info: h.dim_info,
        slices: SliceOrder {
            code: i32::from(h.slice_code),
            first: i64::from(h.slice_start),
            last: i64::from(h.slice_end),
            duration: f64::from(h.slice_duration),
        },
        time_offset: f64::from(h.toffset),
        intent_code: i32::from(h.intent_code),
        intent_parameters: [h.intent_p1, h.intent_p2, h.intent_p3].map(f64::from),
        intent_name: h.intent_name,
        display: [h.cal_min, h.cal_max].map(f64::from),
        description,
        other_file: h.aux_file,
    })
}

fn second_edition(bytes: &[u8], path: &Path) -> Result<Header, Error> {
    let wrong = |field, expected, found: String| Error::Malformed { field, expected, found, path: path.to_owned() };
    let pair = match &bytes[4..12] {
        b"n+2\0\r\n\x1a\n" => false,
        b"ni2\0\r\n\x1a\n" => true,
        other => return Err(wrong("magic", "n+2 or ni2 with an intact line end", format!("{other:?}"))),
    };
    let big_endian = bytes[..4] == 540i32.to_be_bytes();
    let f = Fields { bytes, big_endian };
    Ok(Header {
        edition: Edition::Two,
        big_endian,
        pair,
        dim: std::array::from_fn(|i| f.i64(16 + 8 * i)),
        datatype: f.i16(12),
        bits: f.i16(14),
        data_offset: u64::try_from(f.i64(168))
            .map_err(|_| wrong("vox_offset", "not negative", f.i64(168).to_string()))?,
        slope: f.f64(176),
        intercept: f.f64(184),
        forms: Forms {
            pixdim: std::array::from_fn(|i| f.f64(104 + 8 * i)),
            units: f.i32(500),
            qform_code: f.i32(344),
            sform_code: f.i32(348),
            quaternion: std::array::from_fn(|i| f.f64(352 + 8 * i)),
            offset: std::array::from_fn(|i| f.f64(376 + 8 * i)),
            rows: std::array::from_fn(|row| std::array::from_fn(|i| f.f64(400 + 32 * row + 8 * i))),
        },
        dim_info: bytes[524],
        slices: SliceOrder { code: f.i32(496), first: f.i64(224), last: f.i64(232), duration: f.f64(208) },
        time_offset: f.f64(216),
        intent_code: f.i32(504),
        intent_parameters: std::array::from_fn(|i| f.f64(80 + 8 * i)),
        intent_name: f.array(508),
        display: [f.f64(200), f.f64(192)],
        description: f.array(240),
        other_file: f.array(320),
    })
}

fn offset(stored: f64, path: &Path) -> Result<u64, Error> {
    if stored.is_finite() && stored >= 0.0 {
        return Ok(stored as u64);
    }
    Err(Error::Malformed {
        field: "vox_offset",
        expected: "a byte position, not negative",
        found: stored.to_string(),
        path: path.to_owned(),
    })
}

/// Fixed fields of a header whose length has been checked.
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.bytes[at + i])
    }

    fn ordered<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = self.array(at);
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    fn i16(&self, at: usize) -> i16 {
        i16::from_le_bytes(self.ordered(at))
    }

    fn i32(&self, at: usize) -> i32 {
        i32::from_le_bytes(self.ordered(at))
    }

    fn i64(&self, at: usize) -> i64 {
        i64::from_le_bytes(self.ordered(at))
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.ordered(at))
    }
}

//! MetaImage, with its voxels behind the header (`.mha`) or in other files (`.mhd`).

mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isoscan_imaging::{Affine3, Geometry, Modality};

pub use write::write_metaimage;

use crate::file::Header;
use crate::nifti::{Comment, Stored};
use crate::samples::{Packing, Samples, Start, beside, head, numbered};
use crate::{Error, Warning};

const DATA: &str = "ElementDataFile";

/// Whether text opens as a MetaImage header does: with one of its fields.
pub(crate) fn is_metaimage(first: &[u8]) -> bool {
    let line = first.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let name = line.split(|&byte| byte == b'=').next().unwrap_or_default();
    let known = ["ObjectType", "NDims", "Comment", "ObjectSubType", "DimSize", "ElementType"];
    line.contains(&b'=') && known.iter().any(|known| name.trim_ascii() == known.as_bytes())
}

/// Reads a header; no voxel is touched.
pub(crate) fn open(path: &Path) -> Result<Header, Error> {
    let fields = Fields::read(path)?;
    if fields.get(&["ObjectType"]).is_some_and(|kind| !kind.eq_ignore_ascii_case("image")) {
        return Err(fields.unsupported("MetaIO object that is no image"));
    }
    let dimensions = fields.dimensions()?;
    let (stored, inner) = fields.stored()?;
    let mut warnings = Vec::new();
    let sizes = fields.sizes(dimensions)?;
    let size = std::array::from_fn(|axis| sizes.get(axis).copied().unwrap_or(1));
    let outer = sizes.iter().skip(3).try_fold(1usize, |n, &size| n.checked_mul(size));
    let outer = outer.ok_or_else(|| fields.malformed("DimSize", "axes that fit in memory", format!("{sizes:?}")))?;
    let geometry = fields.geometry(dimensions, size, &mut warnings)?;
    let packing = fields.packing()?;
    let samples = Samples {
        files: fields.files()?,
        start: fields.start(packing)?,
        packing,
        stored,
        big_endian: fields.flag(&["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])?,
        size,
        inner,
        outer,
    };
    let modality = match fields.get(&["Modality"]) {
        Some("MET_MOD_CT") => Some(Modality::Ct),
        Some("MET_MOD_MR") => Some(Modality::Mr),
        Some("MET_MOD_PET") => Some(Modality::Pt),
        _ => None,
    };
    let comment = Comment::parse(fields.comment().as_bytes());
    let scale = fields.scale(&mut warnings)?;
    Ok(Header { samples, geometry, comment, modality, names: Vec::new(), scale, warnings })
}

/// The lines of a header.
struct Fields {
    path: PathBuf,
    /// First byte behind the header.
    end: u64,
    fields: BTreeMap<String, String>,
    /// Lines behind `ElementDataFile = LIST`.
    listed: Vec<String>,
}

impl Fields {
    /// Reads to the field `ElementDataFile`, and the list of files behind it.
    fn read(path: &Path) -> Result<Self, Error> {
        const LONGEST: u64 = 1 << 22;
        let bytes = head(path, LONGEST)?;
        let mut read = Self { path: path.to_owned(), end: 0, fields: BTreeMap::new(), listed: Vec::new() };
        let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
        for line in lines.by_ref() {
            read.end += line.len() as u64;
            let text = String::from_utf8_lossy(line);
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let Some((name, value)) = text.split_once('=') else {
                return Err(read.malformed("header", "lines of name = value", "another line"));
            };
            let name = name.trim().to_owned();
            let data = name == DATA;
            if read.fields.insert(name, value.trim().to_owned()).is_some() {
                return Err(read.malformed("header", "each field once", "a field twice"));
            }
            if data {
                let names = lines.map(|line| String::from_utf8_lossy(line).trim().to_owned());
                if read.get(&[DATA]).is_some_and(|data| data.starts_with("LIST")) {
                    read.listed = names.filter(|name| !name.is_empty()).collect();
                }
                return Ok(read);
            }
        }
        Err(read.malformed(DATA, "LOCAL, LIST or the name of a file", "nothing"))
    }

    fn get(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.fields.get(*name)).map(String::as_str)
    }

    /// The JSON of the fields `isoscan`, `isoscan.2` and so on.
    fn comment(&self) -> String {
        let further = (2..).map_while(|part| self.get(&[&format!("isoscan.{part}")]));
        self.get(&["isoscan"]).into_iter().chain(further).collect()
    }

    fn flag(&self, names: &[&'static str]) -> Result<bool, Error> {
        match self.get(names).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(other) => Err(self.malformed(names[0], "True or False", other)),
        }
    }

    fn numbers(&self, names: &[&'static str], count: usize) -> Result<Option<Vec<f64>>, Error> {
        let Some(text) = self.get(names) else { return Ok(None) };
        let finite = |word: &str| word.parse().ok().filter(|x: &f64| x.is_finite());
        let numbers: Vec<f64> = text.split_whitespace().map_while(finite).collect();
        if numbers.len() == count && text.split_whitespace().count() == count {
            return Ok(Some(numbers));
        }
        Err(self.malformed(names[0], "as many numbers as the dimensions ask for", text))
    }

    fn dimensions(&self) -> Result<usize, Error> {
        let text = self.get(&["NDims"]).unwrap_or("nothing");
        text.parse().ok().filter(|n| (2..=10).contains(n)).ok_or_else(|| self.malformed("NDims", "2 to 10", text))
    }

    fn sizes(&self, dimensions: usize) -> Result<Vec<usize>, Error> {
        let text = self.get(&["DimSize"]).unwrap_or("nothing");
        let sizes: Vec<usize> =
            text.split_whitespace().map_while(|word| word.parse().ok().filter(|&n| n > 0)).collect();
        if sizes.len() == dimensions && text.split_whitespace().count() == dimensions {
            return Ok(sizes);
        }
        Err(self.malformed("DimSize", "one positive number per dimension", text))
    }

    /// Number type and samples per voxel.
    fn stored(&self) -> Result<(Stored, usize), Error> {
        let text = self.get(&["ElementType"]).unwrap_or("nothing");
        let stored = match text.trim_end_matches("_ARRAY") {
            "MET_CHAR" => Stored::I8,
            "MET_UCHAR" => Stored::U8,
            "MET_SHORT" => Stored::I16,
            "MET_USHORT" => Stored::U16,
            "MET_INT" | "MET_LONG" => Stored::I32,
            "MET_UINT" | "MET_ULONG" => Stored::U32,
            "MET_LONG_LONG" => Stored::I64,
            "MET_ULONG_LONG" => Stored::U64,
            "MET_FLOAT" => Stored::F32,
            "MET_DOUBLE" => Stored::F64,
            "MET_STRING" | "MET_ASCII_CHAR" | "MET_OTHER" | "MET_FLOAT_MATRIX" => {
                return Err(self.unsupported("MetaImage of elements that are no numbers"));
            }
            _ => return Err(self.malformed("ElementType", "a number type of MetaIO", text)),
        };
        let channels = self.get(&["ElementNumberOfChannels"]).unwrap_or("1");
        match channels.parse() {
            Ok(channels @ 1..=65536) => Ok((stored, channels)),
            _ => Err(self.malformed("ElementNumberOfChannels", "1 to 65536", channels)),
        }
    }

    /// The grid: each successive `NDims` numbers of the matrix are the direction of one voxel axis, in LPS.
    fn geometry(&self, dimensions: usize, size: [usize; 3], warnings: &mut Vec<Warning>) -> Result<Geometry, Error> {
        let n = dimensions;
        let matrix = self.numbers(&["TransformMatrix", "Rotation", "Orientation"], n * n)?;
        let origin = self.numbers(&["Offset", "Position", "Origin"], n)?;
        let spacing = self.numbers(&["ElementSpacing", "ElementSize"], n)?;
        if spacing.is_none() {
            warnings.push(Warning::NoPixelSpacing);
        }
        if origin.is_none() {
            warnings.push(Warning::NoPosition);
        }
        if matrix.is_none() {
            warnings.push(Warning::NoOrientation);
        }
        let unit = |axis: usize, row: usize| f64::from(u8::from(axis == row));
        let direction = |axis: usize, row: usize| match &matrix {
            Some(matrix) if axis < n && row < n => matrix[axis * n + row],
            _ => unit(axis, row),
        };
        let at = |of: &Option<Vec<f64>>, axis: usize, default| {
            of.as_ref().and_then(|of| of.get(axis).copied()).unwrap_or(default)
        };
        let step = |axis: usize| if axis < n { at(&spacing, axis, 1.0) } else { 1.0 };
        let affine = Affine3 {
            matrix: std::array::from_fn(|row| std::array::from_fn(|axis| direction(axis, row) * step(axis))),
            translation: std::array::from_fn(|row| at(&origin, row, 0.0)),
        };
        Geometry::from_affine(size, &affine).map_err(|source| Error::Image { source, path: self.path.clone() })
    }

    fn packing(&self) -> Result<Packing, Error> {
        let text = self.get(&["BinaryData"]).is_some() && !self.flag(&["BinaryData"])?;
        match (self.flag(&["CompressedData"])?, text) {
            (true, true) => Err(self.malformed("CompressedData", "False for numbers as text", "True")),
            (true, false) => Ok(Packing::Deflated),
            (false, true) => Ok(Packing::Text),
            (false, false) => Ok(Packing::Plain),
        }
    }

    fn start(&self, packing: Packing) -> Result<Start, Error> {
        let text = self.get(&["HeaderSize"]).unwrap_or("0");
        let skipped: i64 = text.parse().map_err(|_| self.malformed("HeaderSize", "a count or -1", text))?;
        match (self.is_local(), skipped) {
            (true, _) => Ok(Start::At(self.end)),
            (false, -1) if packing == Packing::Plain => Ok(Start::AtEnd),
            (false, 0..) => Ok(Start::At(skipped as u64)),
            (false, _) => Err(self.malformed("HeaderSize", "a count, or -1 for plain bytes", text)),
        }
    }

    fn is_local(&self) -> bool {
        self.get(&[DATA]).is_some_and(|data| data.eq_ignore_ascii_case("LOCAL"))
    }

    fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let data = self.get(&[DATA]).unwrap_or_default();
        let words: Vec<&str> = data.split_whitespace().collect();
        if self.is_local() {
            return Ok(vec![self.path.clone()]);
        }
        match words.as_slice() {
            ["LIST", ..] => self.listed.iter().map(|name| beside(&self.path, name, DATA)).collect(),
            [pattern, numbers @ ..] if pattern.contains('%') && matches!(numbers.len(), 2 | 3) => {
                let numbers: Vec<i64> = numbers.iter().map_while(|word| word.parse().ok()).collect();
                match numbers[..] {
                    [first, last] => numbered(&self.path, pattern, [first, last, 1], DATA),
                    [first, last, step] => numbered(&self.path, pattern, [first, last, step], DATA),
                    _ => Err(self.malformed(DATA, "a pattern, first, last and step", data)),
                }
            }
            _ => Ok(vec![beside(&self.path, data, DATA)?]),
        }
    }

    /// `ElementToIntensityFunctionSlope` and `Offset`; applied, and told because other readers leave them alone.
    fn scale(&self, warnings: &mut Vec<Warning>) -> Result<Option<(f64, f64)>, Error> {
        let slope = self.numbers(&["ElementToIntensityFunctionSlope"], 1)?.map_or(1.0, |slope| slope[0]);
        let intercept = self.numbers(&["ElementToIntensityFunctionOffset"], 1)?.map_or(0.0, |offset| offset[0]);
        if (slope, intercept) == (1.0, 0.0) || slope == 0.0 {
            return Ok(None);
        }
        warnings.push(Warning::Rescaled { slope, intercept });
        Ok(Some((slope, intercept)))
    }

    fn malformed(&self, field: &'static str, expected: &'static str, found: impl ToString) -> Error {
        Error::Malformed { field, expected, found: found.to_string(), path: self.path.clone() }
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::Unsupported { what: what.to_owned(), path: self.path.clone() }
    }
}

//! NRRD, attached (`.nrrd`) or with its data in other files (`.nhdr`).

mod axes;
mod fields;
mod write;

use std::path::{Path, PathBuf};

pub use write::write_nrrd;

use crate::Error;
use crate::file::Header;
use crate::nifti::{Comment, Stored};
use crate::samples::{Packing, Samples, Start, beside, numbered};
use fields::Fields;

/// Reads a header; no voxel is touched.
pub(crate) fn open(path: &Path) -> Result<Header, Error> {
    let fields = Fields::read(path)?;
    let stored = stored(&fields)?;
    let axes = axes::Axes::of(&fields)?;
    let comment = fields.value("isoscan").and_then(|json| Comment::parse(json.as_bytes()));
    let packing = packing(&fields)?;
    let samples = Samples {
        files: data_files(&fields)?,
        start: start(&fields)?,
        packing,
        stored,
        big_endian: big_endian(&fields, stored, packing)?,
        size: axes.size,
        inner: axes.inner,
        outer: axes.outer,
    };
    Ok(Header {
        samples,
        geometry: axes.geometry,
        comment,
        modality: None,
        names: axes.names,
        scale: None,
        warnings: axes.warnings,
    })
}

fn stored(fields: &Fields) -> Result<Stored, Error> {
    let name = fields.required("type")?;
    Ok(match name.to_ascii_lowercase().as_str() {
        "signed char" | "int8" | "int8_t" => Stored::I8,
        "uchar" | "unsigned char" | "uint8" | "uint8_t" => Stored::U8,
        "short" | "short int" | "signed short" | "signed short int" | "int16" | "int16_t" => Stored::I16,
        "ushort" | "unsigned short" | "unsigned short int" | "uint16" | "uint16_t" => Stored::U16,
        "int" | "signed int" | "int32" | "int32_t" => Stored::I32,
        "uint" | "unsigned int" | "uint32" | "uint32_t" => Stored::U32,
        "longlong"
        | "long long"
        | "long long int"
        | "signed long long"
        | "signed long long int"
        | "int64"
        | "int64_t" => Stored::I64,
        "ulonglong" | "unsigned long long" | "unsigned long long int" | "uint64" | "uint64_t" => Stored::U64,
        "float" => Stored::F32,
        "double" => Stored::F64,
        "block" => return Err(fields.unsupported("NRRD voxels of opaque blocks")),
        _ => return Err(fields.malformed("type", "a number type of NRRD", name)),
    })
}

fn packing(fields: &Fields) -> Result<Packing, Error> {
    let name = fields.required("encoding")?;
    Ok(match name.to_ascii_lowercase().as_str() {
        "raw" => Packing::Plain,
        "gzip" | "gz" => Packing::Deflated,
        "text" | "txt" | "ascii" => Packing::Text,
        "bzip2" | "bz2" => return Err(fields.unsupported("NRRD encoding bzip2")),
        "hex" => return Err(fields.unsupported("NRRD encoding hex")),
        _ => return Err(fields.malformed("encoding", "raw, gzip or text", name)),
    })
}

fn big_endian(fields: &Fields, stored: Stored, packing: Packing) -> Result<bool, Error> {
    match fields.get("endian").map(str::to_ascii_lowercase).as_deref() {
        Some("little") => Ok(false),
        Some("big") => Ok(true),
        Some(other) => Err(fields.malformed("endian", "little or big", other)),
        None if stored.bytes() == 1 || packing == Packing::Text => Ok(false),
        None => Err(fields.malformed("endian", "little or big", "nothing")),
    }
}

fn start(fields: &Fields) -> Result<Start, Error> {
    let lines = fields.whole("line skip", 0)?;
    let bytes = fields.whole("byte skip", 0)?;
    if !fields.detached() {
        return match (lines, bytes) {
            (0, 0) => Ok(Start::At(fields.end)),
            _ => Err(fields.unsupported("NRRD that skips bytes behind its own header")),
        };
    }
    match (u64::try_from(lines), u64::try_from(bytes)) {
        (Ok(_), Err(_)) if bytes == -1 => Ok(Start::AtEnd),
        (Ok(lines), Ok(bytes)) => Ok(Start::Behind { lines, bytes }),
        _ => Err(fields.malformed("byte skip", "a count or -1", bytes)),
    }
}

fn data_files(fields: &Fields) -> Result<Vec<PathBuf>, Error> {
    const FIELD: &str = "data file";
    let Some(named) = fields.data_file() else { return Ok(vec![fields.path.clone()]) };
    let words: Vec<&str> = named.split_whitespace().collect();
    match words.as_slice() {
        ["LIST", ..] => fields.listed.iter().map(|name| beside(&fields.path, name, FIELD)).collect(),
        [pattern, numbers @ ..] if pattern.contains('%') && matches!(numbers.len(), 3 | 4) => {
            let numbers: Vec<i64> = numbers.iter().map_while(|word| word.parse().ok()).collect();
            let [first, last, step, ..] = numbers[..] else {
                return Err(fields.malformed(FIELD, "a pattern, first, last and step", named));
            };
            numbered(&fields.path, pattern, [first, last, step], FIELD)
        }
        _ => Ok(vec![beside(&fields.path, named, FIELD)?]),
    }
}

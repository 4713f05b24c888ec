use std::io;
use std::path::Path;

use isoscan_imaging::{Modality, Volume};
use rayon::prelude::*;

use crate::file::{comment_json, stored_type};
use crate::nifti::{PART, Stored, deflate};
use crate::{Derivation, Error, Source, write_atomically};

/// Writes a volume as `.mha`, or as `.mhd` with its voxels in `.zraw` beside it; each file whole or not at all, the header
/// last.
///
/// Voxels are stored as [`write_nrrd`](crate::write_nrrd) stores them and packed with zlib. The field `isoscan` holds
/// modality, unit and `derivation` as JSON.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::NotALabelMap`] for fractions in a label map, [`Error::Io`] when
/// the disk refuses.
pub fn write_metaimage(
    path: &Path,
    volume: &Volume,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stored = stored_type(volume, source, derivation, path)?;
    let failed = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let packed = zlib(volume.as_slice(), stored).map_err(failed)?;
    if name.ends_with(".mha") {
        let head = header(volume, stored, derivation, packed.len(), "LOCAL");
        return write_atomically(path, |out| {
            out.write_all(head.as_bytes())?;
            out.write_all(&packed)
        });
    }
    let Some(stem) = name.strip_suffix(".mhd") else {
        return Err(Error::OutputName { expected: ".mha or .mhd", path: path.to_owned() });
    };
    let data = format!("{stem}.zraw");
    write_atomically(&path.with_file_name(&data), |out| out.write_all(&packed))?;
    let head = header(volume, stored, derivation, packed.len(), &data);
    write_atomically(path, |out| out.write_all(head.as_bytes()))
}

/// The voxels as one zlib stream (RFC 1950), deflated in parallel at fixed cuts.
fn zlib(voxels: &[f32], stored: Stored) -> io::Result<Vec<u8>> {
    let run = PART / stored.bytes();
    let parts = voxels.len().div_ceil(run);
    let packed = voxels
        .par_chunks(run)
        .enumerate()
        .map(|(index, run)| {
            let bytes = stored.encode(run, None);
            let (packed, _) = deflate(&bytes, index + 1 == parts)?;
            Ok((packed, adler(&bytes), bytes.len()))
        })
        .collect::<io::Result<Vec<_>>>()?;
    let mut stream = vec![0x78, 0x5e];
    let mut sum = (1, 0);
    for (bytes, part, length) in packed {
        stream.extend_from_slice(&bytes);
        sum = joined(sum, part, length);
    }
    stream.extend_from_slice(&(sum.1 << 16 | sum.0).to_be_bytes());
    Ok(stream)
}

const MODULUS: u32 = 65521;

/// Adler-32: a = 1 + Σ bytes, b = Σ of all a, both modulo 65521.
fn adler(bytes: &[u8]) -> (u32, u32) {
    // The longest run whose sums stay below 2³².
    const RUN: usize = 5552;
    bytes.chunks(RUN).fold((1, 0), |(mut a, mut b), run| {
        for &byte in run {
            a += u32::from(byte);
            b += a;
        }
        (a % MODULUS, b % MODULUS)
    })
}

/// The sums of a first part followed by a second of `length` bytes: a = a₁ + a₂ − 1, b = b₁ + b₂ + length · (a₁ − 1).
fn joined(first: (u32, u32), second: (u32, u32), length: usize) -> (u32, u32) {
    let modulus = u64::from(MODULUS);
    let (a1, b1, a2, b2) = (u64::from(first.0), u64::from(first.1), u64::from(second.0), u64::from(second.1));
    let before = (a1 + modulus - 1) % modulus;
    let a = (before + a2) % modulus;
    let b = (b1 + b2 + (length as u64 % modulus) * before) % modulus;
    (a as u32, b as u32)
}

fn header(volume: &Volume, stored: Stored, derivation: Option<&Derivation>, packed: usize, data: &str) -> String {
    let geometry = volume.geometry();
    let joined = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let [nx, ny, nz] = geometry.size();
    let modality = match volume.modality() {
        Modality::Ct => "MET_MOD_CT",
        Modality::Mr => "MET_MOD_MR",
        _ => "MET_MOD_OTHER",
    };
    [
        "ObjectType = Image".to_owned(),
        "NDims = 3".to_owned(),
        "BinaryData = True".to_owned(),
        "BinaryDataByteOrderMSB = False".to_owned(),
        "CompressedData = True".to_owned(),
        format!("CompressedDataSize = {packed}"),
        format!("TransformMatrix = {}", joined(geometry.direction().as_flattened())),
        format!("Offset = {}", joined(&geometry.origin_mm())),
        "CenterOfRotation = 0 0 0".to_owned(),
        format!("ElementSpacing = {}", joined(&geometry.spacing_mm())),
        format!("DimSize = {nx} {ny} {nz}"),
        format!("Modality = {modality}"),
        comment_lines(&comment_json(volume, derivation)),
        format!("ElementType = {}", type_name(stored)),
        format!("ElementDataFile = {data}\n"),
    ]
    .join("\n")
}

/// The comment as fields `isoscan`, `isoscan.2`, ...: other readers fail on lines beyond 32 KiB.
fn comment_lines(json: &str) -> String {
    const LONGEST: usize = 8192;
    if json.len() <= LONGEST {
        return format!("isoscan = {json}");
    }
    // Spaces at the end of a line would be lost.
    let characters: Vec<char> = json.replace(' ', "\\u0020").chars().collect();
    let line = |(index, part): (usize, &[char])| {
        let name = if index == 0 { "isoscan".to_owned() } else { format!("isoscan.{}", index + 1) };
        format!("{name} = {}", part.iter().collect::<String>())
    };
    characters.chunks(LONGEST / 4).enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn type_name(stored: Stored) -> &'static str {
    match stored {
        Stored::U8 => "MET_UCHAR",
        Stored::I8 => "MET_CHAR",
        Stored::U16 => "MET_USHORT",
        Stored::I16 => "MET_SHORT",
        Stored::U32 => "MET_UINT",
        Stored::I32 => "MET_INT",
        Stored::U64 => "MET_ULONG_LONG",
        Stored::I64 => "MET_LONG_LONG",
        Stored::F32 => "MET_FLOAT",
        Stored::F64 => "MET_DOUBLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_wikipedia_is_that_of_rfc_1950_also_in_parts() {
        let text = b"Wikipedia";
        let whole = adler(text);
        assert_eq!(whole.1 << 16 | whole.0, 0x11E6_0398);
        for cut in 0..=text.len() {
            assert_eq!(joined(adler(&text[..cut]), adler(&text[cut..]), text.len() - cut), whole, "cut at {cut}");
        }
    }
}

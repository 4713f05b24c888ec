use std::fmt::Write as _;
use std::path::Path;

use isoscan_imaging::{Unit, Volume};

use crate::file::{comment_json, stored_type};
use crate::nifti::{PART, Stored, write_gzip};
use crate::{Derivation, Error, Source, write_atomically};

/// Writes a volume as `.nrrd`, or as `.nhdr` with its voxels in `.raw.gz` beside it; each file whole or not at all, the
/// header last.
///
/// Voxels are f32, for label maps the smallest integer type that holds them, or the type of an unchanged NRRD,
/// MetaImage, PNG or TIFF source. They are packed with gzip. The space is left-posterior-superior, and the key `isoscan`
/// holds modality, unit and `derivation` as JSON.
///
/// # Errors
/// [`Error::OutputName`] for another ending, [`Error::NotALabelMap`] for fractions in a label map, [`Error::Io`] when
/// the disk refuses.
pub fn write_nrrd(
    path: &Path,
    volume: &Volume,
    source: Option<&Source>,
    derivation: Option<&Derivation>,
) -> Result<(), Error> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stored = stored_type(volume, source, derivation, path)?;
    if name.ends_with(".nrrd") {
        let head = header(volume, stored, derivation, None);
        return write_atomically(path, |out| {
            out.write_all(head.as_bytes())?;
            write_voxels(out, volume, stored)
        });
    }
    let Some(stem) = name.strip_suffix(".nhdr") else {
        return Err(Error::OutputName { expected: ".nrrd or .nhdr", path: path.to_owned() });
    };
    let data = format!("{stem}.raw.gz");
    write_atomically(&path.with_file_name(&data), |out| write_voxels(out, volume, stored))?;
    let head = header(volume, stored, derivation, Some(&data));
    write_atomically(path, |out| out.write_all(head.as_bytes()))
}

fn write_voxels(out: &mut dyn std::io::Write, volume: &Volume, stored: Stored) -> std::io::Result<()> {
    let voxels = volume.as_slice();
    let run = PART / stored.bytes();
    let part = |index: usize| stored.encode(&voxels[index * run..((index + 1) * run).min(voxels.len())], None);
    write_gzip(out, voxels.len() * stored.bytes(), part)
}

fn header(volume: &Volume, stored: Stored, derivation: Option<&Derivation>, data: Option<&str>) -> String {
    let geometry = volume.geometry();
    let [nx, ny, nz] = geometry.size();
    let columns = geometry.world_from_voxel().matrix;
    let vector = |axis: usize| format!("({},{},{})", columns[0][axis], columns[1][axis], columns[2][axis]);
    let [ox, oy, oz] = geometry.origin_mm();
    let mut text = String::from("NRRD0005\n");
    let mut line = |content: String| {
        let _ = writeln!(text, "{content}");
    };
    line(format!("type: {}", type_name(stored)));
    line("dimension: 3".to_owned());
    line("space: left-posterior-superior".to_owned());
    line(format!("sizes: {nx} {ny} {nz}"));
    line(format!("space directions: {} {} {}", vector(0), vector(1), vector(2)));
    line("kinds: domain domain domain".to_owned());
    line("endian: little".to_owned());
    line("encoding: gzip".to_owned());
    line("space units: \"mm\" \"mm\" \"mm\"".to_owned());
    line(format!("space origin: ({ox},{oy},{oz})"));
    if volume.unit() == Unit::Hounsfield {
        line("sample units: HU".to_owned());
    }
    if let Some(data) = data {
        line(format!("data file: {data}"));
    }
    line(format!("isoscan:={}", comment_json(volume, derivation).replace('\\', "\\\\").replace('\n', "\\n")));
    if data.is_none() {
        line(String::new());
    }
    text
}

fn type_name(stored: Stored) -> &'static str {
    match stored {
        Stored::U8 => "uint8",
        Stored::I8 => "int8",
        Stored::U16 => "uint16",
        Stored::I16 => "int16",
        Stored::U32 => "uint32",
        Stored::I32 => "int32",
        Stored::U64 => "uint64",
        Stored::I64 => "int64",
        Stored::F32 => "float",
        Stored::F64 => "double",
    }
}

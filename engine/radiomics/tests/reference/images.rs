//! Reads the reference images: NRRD and single-file NIfTI-1, gzip-compressed, little-endian. Only what the reference
//! folder holds; the engine's own readers live in `isoscan-io`.

use std::io::Read;
use std::path::Path;

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use ndarray::Array3;

/// A volume and the name of its stored type in `storedType` words.
pub(crate) struct Stored {
    pub(crate) volume: Volume,
    pub(crate) stored_type: &'static str,
}

pub(crate) fn read(path: &Path) -> Stored {
    let bytes = std::fs::read(path).unwrap();
    if path.to_string_lossy().ends_with(".nrrd") { nrrd(&bytes) } else { nifti(&inflate(&bytes)) }
}

pub(crate) fn read_mask(path: &Path, label: i32) -> Mask {
    Mask::of_label(&read(path).volume, label)
}

/// Decompresses what there is: STS_008/PET_image.nii.gz ends within its last slices, which ITK left at 0.
fn inflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let ended = flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out);
    assert!(ended.is_ok() || out.len() > 168_000, "{ended:?} after {} bytes", out.len());
    out
}

fn nrrd(bytes: &[u8]) -> Stored {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap();
    let header = std::str::from_utf8(&bytes[..end]).unwrap();
    let field = |name: &str| header.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let numbers = |text: &str| -> Vec<f64> {
        text.split([' ', ',', '(', ')']).filter(|part| !part.is_empty()).map(|part| part.parse().unwrap()).collect()
    };
    let mut size: Vec<usize> = numbers(field("sizes").unwrap()).iter().map(|&n| n as usize).collect();
    let mut directions = numbers(field("space directions").unwrap());
    let mut origin = numbers(field("space origin").unwrap());
    if size.len() == 2 {
        size.push(1);
        directions = vec![directions[0], directions[1], 0.0, directions[2], directions[3], 0.0, 0.0, 0.0, 1.0];
        origin.push(0.0);
    }
    let axes: Vec<[f64; 3]> = directions.chunks(3).map(|axis| axis.try_into().unwrap()).collect();
    let spacing: Vec<f64> = axes.iter().map(|axis| axis.iter().map(|c| c * c).sum::<f64>().sqrt()).collect();
    let unit: Vec<[f64; 3]> = axes.iter().zip(&spacing).map(|(axis, s)| axis.map(|c| c * (1.0 / s))).collect();
    let geometry = Geometry::new(
        size.try_into().unwrap(),
        spacing.try_into().unwrap(),
        origin.try_into().unwrap(),
        unit.try_into().unwrap(),
    );
    let data = inflate(&bytes[end + 2..]);
    let stored_type = match field("type").unwrap() {
        "short" | "int16" => "int16",
        "unsigned char" | "uint8" => "uint8",
        "int" => "int32",
        "float" => "float32",
        other => panic!("no reader for NRRD type {other}"),
    };
    volume(&data, stored_type, geometry.unwrap())
}

fn nifti(bytes: &[u8]) -> Stored {
    let short = |at: usize| i16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let float = |at: usize| f64::from(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
    let size: [usize; 3] = std::array::from_fn(|a| short(42 + 2 * a) as usize);
    let spacing: [f64; 3] = std::array::from_fn(|a| float(80 + 4 * a));
    assert_eq!([float(256), float(260), float(264)], [0.0, 0.0, 1.0], "the reference files lie along the patient axes");
    let origin = [-float(268), -float(272), float(276)];
    let direction = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    let geometry = Geometry::new(size, spacing, origin, direction).unwrap();
    let (slope, intercept) = (float(112), float(116));
    assert!(intercept == 0.0 && (slope == 0.0 || slope == 1.0), "the reference files are not scaled");
    let stored_type = match short(70) {
        2 => "uint8",
        4 => "int16",
        8 => "int32",
        16 => "float32",
        64 => "float64",
        512 => "uint16",
        other => panic!("no reader for NIfTI type {other}"),
    };
    volume(&bytes[float(108) as usize..], stored_type, geometry)
}

fn volume(data: &[u8], stored_type: &'static str, geometry: Geometry) -> Stored {
    let mut values: Vec<f32> = match stored_type {
        "uint8" => data.iter().map(|&v| f32::from(v)).collect(),
        "int16" => data.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))).collect(),
        "uint16" => data.chunks_exact(2).map(|b| f32::from(u16::from_le_bytes([b[0], b[1]]))).collect(),
        "int32" => data.chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
        "float32" => data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect(),
        _ => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap()) as f32).collect(),
    };
    let [nx, ny, nz] = geometry.size();
    values.resize(nx * ny * nz, 0.0);
    let voxels = Array3::from_shape_vec((nz, ny, nx), values).unwrap();
    Stored { volume: Volume::new(voxels, geometry, Modality::Ot, Unit::Arbitrary).unwrap(), stored_type }
}

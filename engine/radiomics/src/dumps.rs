//! Intermediate results of PyRadiomics 3.1.0, matrices before normalisation here, read from the shared reference folder beside the repository.

mod images;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::directions::directions;
use crate::discretise::Discretised;
use crate::field::LevelField;
use crate::neighbourhoods::Neighbourhoods;
use crate::roi::Roi;
use crate::runs::runs;
use crate::size_matrix::SizeMatrix;
use crate::zones::zones;

/// The images that there are dumps of.
const CASES: [&str; 2] = ["brain1", "breast1"];

fn reference() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference/radiomics");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no reference folder beside the repository");
    None
}

struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Array {
    /// The part at `index` of the last axis.
    fn last(&self, index: usize) -> Vec<f64> {
        let n = self.shape[self.shape.len() - 1];
        self.values.chunks_exact(n).map(|chunk| chunk[index]).collect()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap()))
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The arrays of an archive written by NumPy, found by its central directory (APPNOTE 4.3.12).
fn arrays(archive: &[u8]) -> BTreeMap<String, Array> {
    let end = archive.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    let (entries, mut at) = (u16_at(archive, end + 10), u32_at(archive, end + 16));
    let mut found = BTreeMap::new();
    for _ in 0..entries {
        let name_length = u16_at(archive, at + 28);
        let name = String::from_utf8_lossy(&archive[at + 46..at + 46 + name_length]).into_owned();
        let (packed, local) = (u32_at(archive, at + 20), u32_at(archive, at + 42));
        let data = local + 30 + u16_at(archive, local + 26) + u16_at(archive, local + 28);
        let mut bytes = Vec::new();
        flate2::read::DeflateDecoder::new(&archive[data..data + packed]).read_to_end(&mut bytes).unwrap();
        found.insert(name.trim_end_matches(".npy").to_owned(), array(&bytes));
        at += 46 + name_length + u16_at(archive, at + 30) + u16_at(archive, at + 32);
    }
    found
}

fn array(bytes: &[u8]) -> Array {
    let start = 10 + u16_at(bytes, 8);
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let shape = header.split("'shape': (").nth(1).unwrap().split(')').next().unwrap();
    let shape = shape.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    let data = &bytes[start..];
    let values = match header.split("'descr': '").nth(1).unwrap().split('\'').next().unwrap() {
        "<i2" => data.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes(b.try_into().unwrap()))).collect(),
        "<f4" => data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        "<f8" => data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        "<i4" => data.chunks_exact(4).map(|b| f64::from(i32::from_le_bytes(b.try_into().unwrap()))).collect(),
        "<i8" => data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        other => panic!("no reader for {other}"),
    };
    Array { shape, values }
}

fn field_of(discretised: &Array) -> LevelField {
    let [nz, ny, nx] = discretised.shape[..] else { panic!("three axes expected") };
    let inside: Vec<bool> = discretised.values.iter().map(|&v| v > 0.0).collect();
    let grey: Vec<u32> = discretised.values.iter().filter(|v| **v > 0.0).map(|&v| v as u32).collect();
    LevelField::of(&Roi { first: [0; 3], size: [nx, ny, nz], inside }, &Discretised::of_levels(&grey).unwrap())
}

/// The matrix as rows of `columns` sizes from 1.
fn dense(matrix: &SizeMatrix, columns: usize) -> Vec<f64> {
    let mut table = Vec::new();
    for (_, row) in matrix.rows() {
        let start = table.len();
        table.resize(start + columns, 0.0);
        matrix.sizes.iter().zip(row).for_each(|(&size, count)| table[start + size as usize - 1] = *count);
    }
    table
}

#[test]
fn matrices_of_pyradiomics() {
    let Some(folder) = reference() else { return };
    for case in CASES {
        let dump = arrays(&std::fs::read(folder.join("values/dump").join(format!("{case}_matrices.npz"))).unwrap());
        let field = field_of(&dump["discretized"]);
        let steps: Vec<[i64; 3]> =
            dump["glrlm_angles"].values.chunks_exact(3).map(|a| [a[2] as i64, a[1] as i64, a[0] as i64]).collect();
        let columns = |name: &str| *dump[name].shape.iter().rfind(|&&n| n > 0).unwrap();
        let mut own_steps = directions(field.size, &[1], None);
        for (index, &step) in steps.iter().enumerate() {
            // The first of an opposite pair, by either convention.
            let step = if own_steps.contains(&step) { step } else { step.map(|s| -s) };
            own_steps.retain(|own| *own != step);
            let found = dense(&runs(&field, step), dump["glrlm"].shape[1]);
            assert!(found == dump["glrlm"].last(index), "{case} GLRLM {step:?}");
            let side = field.grey.len();
            let both_ways =
                |p: &[f64]| -> Vec<f64> { (0..p.len()).map(|k| p[k] + p[k % side * side + k / side]).collect() };
            let expected = both_ways(&dump["glcm"].last(index));
            assert!(both_ways(&field.pairs(step)) == expected, "{case} GLCM {step:?}");
        }
        assert_eq!(own_steps, [[0i64; 3]; 0]);
        assert!(dense(&zones(&field, None), columns("glszm")) == dump["glszm"].values, "{case} GLSZM");
        let around = Neighbourhoods::of(&field, &directions(field.size, &[1], None), 0);
        assert!(dense(&around.dependences(), columns("gldm")) == dump["gldm"].values, "{case} GLDM");
        let tones = around.tone_differences(true);
        assert_eq!(tones.counts, dump["ngtdm"].last(0), "{case} NGTDM");
        assert_eq!(tones.grey.iter().map(|&g| f64::from(g)).collect::<Vec<_>>(), dump["ngtdm"].last(2), "{case} NGTDM");
        for (found, expected) in tones.sums.iter().zip(dump["ngtdm"].last(1)) {
            assert!((found - expected).abs() <= 1e-12 * expected, "{case} NGTDM: {found}, expected {expected}");
        }
    }
}

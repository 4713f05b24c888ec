//! One test or more for each command.

use std::{fs, process::Command};

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{NiftiOptions, write_nifti_volumes};
use ndarray::Array3;
use tempfile::TempDir;

use crate::fixture::{cohort, contents, learned_plugins, plugins, refused, succeed};

fn scan() -> String {
    cohort().join("sub-000/source.nii.gz").display().to_string()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn info_tells_grid_and_meaning_of_a_phantom() {
    let told = succeed(&["info", &scan()]);
    for words in ["CT file source.nii.gz of 96x96x3 at 4.000x4.000x5.000 mm", "unit HU, axes towards LPS"] {
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn identity_returns_the_scan_and_compare_sees_no_difference() {
    let folder = TempDir::new().unwrap();
    let out = path(&folder, "out.nii.gz");
    succeed(&["translate", "identity", &scan(), &out, "--plugins", plugins().to_str().unwrap()]);
    let told = succeed(&["compare", &out, &scan(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["similarity"]["mae"], 0.0);
    assert_eq!(told["similarity"]["ssim"], 1.0);
    assert_eq!(told["bland_altman"]["mean_difference"], 0.0);
    assert_eq!(told["voxels"], 96 * 96 * 3);
}

#[test]
fn compare_inside_a_mask_counts_its_voxels() {
    let folder = cohort().join("sub-001");
    let (a, b) = (folder.join("source.nii.gz"), folder.join("reference.nii.gz"));
    let mask = folder.join("labels.nii.gz");
    let arguments = ["compare", a.to_str().unwrap(), b.to_str().unwrap(), "--mask", mask.to_str().unwrap()];
    let whole = succeed(&arguments);
    let liver = succeed(&[&arguments[..], &["--label", "2"]].concat());
    let voxels = |text: &str| text.lines().next().unwrap().split_whitespace().last().unwrap().parse::<u32>().unwrap();
    assert!(voxels(&liver) > 100 && voxels(&liver) < voxels(&whole) && voxels(&whole) < 96 * 96 * 3);
    assert!(liver.contains("CT, 12 bit"), "the range of PSNR is named: {liver}");
}

#[test]
fn histogram_takes_its_reference_by_name() {
    let folder = TempDir::new().unwrap();
    let out = path(&folder, "out.nii.gz");
    let reference = format!("reference={}", cohort().join("template.nii.gz").display());
    let arguments = ["translate", "histogram", &scan(), &out, "--input", &reference, "--plugins"];
    succeed(&[&arguments[..], &[plugins().to_str().unwrap()]].concat());
    let told = succeed(&["compare", &out, &scan(), "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["similarity"]["mae"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_scan_survives_dicom_and_back() {
    let folder = TempDir::new().unwrap();
    let (series, back) = (path(&folder, "series"), path(&folder, "back.nii.gz"));
    succeed(&["convert", &scan(), &series]);
    succeed(&["convert", &series, &back]);
    assert!(succeed(&["info", &series]).starts_with("CT series"));
    let told: serde_json::Value = serde_json::from_str(&succeed(&["compare", &back, &scan(), "--json"])).unwrap();
    assert!(told["similarity"]["mae"].as_f64().unwrap() <= 0.5, "stored as whole HU or finer: {told}");
}

/// A NIfTI file of two volumes of 4 x 4 x 4 voxels of 2 mm: a ramp along x in steps of 0.25, and everywhere 100.
fn two_volumes(folder: &TempDir) -> String {
    let grid = Geometry::axis_aligned([4; 3], [2.0; 3]).unwrap();
    let volume = |voxels| Volume::new(voxels, grid.clone(), Modality::Mr, Unit::Arbitrary).unwrap();
    let ramp = volume(Array3::from_shape_fn((4, 4, 4), |(_, _, x)| 0.25 * x as f32));
    let flat = volume(Array3::from_elem((4, 4, 4), 100.0));
    let file = path(folder, "both.nii.gz");
    write_nifti_volumes(file.as_ref(), &[&ramp, &flat], None, None, &NiftiOptions::default()).unwrap();
    file
}

#[test]
fn convert_takes_one_of_several_volumes_or_all() {
    let folder = TempDir::new().unwrap();
    let (both, one, all) = (two_volumes(&folder), path(&folder, "one.nrrd"), path(&folder, "all"));
    let told = refused(&["convert", &both, &one]);
    assert!(told.contains("--volume N"), "{told}");
    succeed(&["convert", &both, &one, "--volume", "1"]);
    assert!(succeed(&["info", &one]).contains("intensities 100 to 100"));
    let told = refused(&["convert", &both, &path(&folder, "none.nrrd"), "--volume", "2"]);
    assert!(told.contains("expected a volume number below 2, found 2"), "{told}");
    succeed(&["convert", &both, &all, "--all"]);
    assert!(succeed(&["info", &format!("{all}/000.nii.gz")]).contains("intensities 0 to 0.75"));
    assert_eq!(succeed(&["diff", &one, &format!("{all}/001.nii.gz")]).matches("same voxel centres").count(), 1);
    let told = succeed(&["info", &both]);
    assert!(told.contains("0: MR file both.nii.gz") && told.contains("1: MR file both.nii.gz"), "{told}");
}

#[test]
fn convert_changes_the_grid_when_asked() {
    let folder = TempDir::new().unwrap();
    let (both, fine) = (two_volumes(&folder), path(&folder, "fine.nii.gz"));
    let how = ["--volume", "0", "--straighten", "--spacing", "1,2,2", "--interpolation", "linear"];
    let told = succeed(&[&["convert", &both, &fine][..], &how].concat());
    assert!(told.contains("7x4x4"), "{told}");
    assert!(succeed(&["info", &fine]).contains("intensities 0 to 0.75"));
    let cubic = ["--volume", "0", "--spacing", "1,1,1", "--interpolation", "cubic"];
    let told = refused(&[&["convert", &both, &path(&folder, "cubic.nii")][..], &cubic].concat());
    assert!(told.contains("interpolation must be one of nearest, linear"), "{told}");
    let told = crate::fixture::isoscan(&["convert", &both, &path(&folder, "bad.nii"), "--spacing", "1,x,2"]);
    assert!(String::from_utf8(told.stderr).unwrap().contains("expected three numbers X,Y,Z"));
}

#[test]
fn convert_states_the_bound_of_scaled_numbers_and_writes_enhanced_files() {
    let folder = TempDir::new().unwrap();
    let (both, scaled, enhanced) = (two_volumes(&folder), path(&folder, "scaled.nii"), path(&folder, "enhanced.dcm"));
    let told = succeed(&["convert", &both, &scaled, "--volume", "0", "--scaled"]);
    let bound = told.lines().find_map(|line| line.strip_prefix("stored numbers give every voxel back within "));
    let bound: f64 = bound.unwrap().split(' ').next().unwrap().parse().unwrap();
    // Half of 0.75 / 65534, and the rounding of a voxel to f32.
    assert!(bound > 5.7e-6 && bound < 5.8e-6, "{told}");
    succeed(&["convert", &both, &enhanced, "--volume", "1", "--enhanced"]);
    assert!(succeed(&["info", &enhanced]).contains("intensities 100 to 100"));
    assert_eq!(succeed(&["check-dicom", &enhanced]).matches("error").count(), 0);
}

#[test]
fn info_lists_the_regions_of_a_segmentation() {
    let folder = TempDir::new().unwrap();
    let text =
        "let image = read(\"IMAGE\");\nimage.threshold(0, 3000).write_seg(\"soft.dcm\", image, \"soft tissue\");\n";
    let script = crate::fixture::script(folder.path(), &text.replace("IMAGE", &scan()));
    let out = path(&folder, "out");
    let read = cohort().display().to_string();
    succeed(&["run", script.to_str().unwrap(), "--out", &out, "--read", &read]);
    let told = succeed(&["info", &format!("{out}/soft.dcm")]);
    assert!(told.contains("with 1 region") && told.contains("region 1: soft tissue"), "{told}");
}

#[test]
fn radiomics_writes_one_row_of_named_features() {
    let folder = TempDir::new().unwrap();
    let (out, settings) = (path(&folder, "out.csv"), path(&folder, "settings.json"));
    fs::write(&settings, r#"{"setting": {"binWidth": 10}, "featureClass": {"firstorder": ["Mean"], "glcm": []}}"#)
        .unwrap();
    let labels = cohort().join("sub-000/labels.nii.gz");
    let arguments =
        ["radiomics", &scan(), labels.to_str().unwrap(), "--label", "2", "--settings", &settings, "-o", &out];
    succeed(&arguments);
    let mut table = csv::ReaderBuilder::new().has_headers(false).from_path(&out).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let mean = rows[0].iter().position(|name| name == "original_firstorder_Mean").unwrap();
    assert!((0.0..120.0).contains(&rows[1][mean].parse::<f64>().unwrap()), "liver in HU");
    assert_eq!(rows[0].iter().filter(|name| name.starts_with("original_glcm_")).count(), 24);
    assert!(!rows[0].iter().any(|name| name == "original_firstorder_Median"));
}

#[test]
fn plugins_are_listed_and_each_tells_what_it_takes() {
    let place = ["--plugins", plugins().to_str().unwrap()];
    let listed = succeed(&[&["plugins", "list"][..], &place].concat());
    for words in ["seen       identity 0.1.0 (unsigned)", "histogram 0.1.0", "faulty 0.1.0", "invert 0.1.0"] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let told = succeed(&[&["plugins", "info", "histogram"][..], &place].concat());
    for words in ["histogram 0.1.0:", "input reference:", "--set levels=...", "manifest sha256", "## Intended use"] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn phantoms_are_written_as_dicom_and_nifti_with_equal_voxels() {
    let folder = TempDir::new().unwrap();
    let (nifti, dicom) = (path(&folder, "nifti"), path(&folder, "dicom"));
    for (out, format) in [(&nifti, "nifti"), (&dicom, "dicom")] {
        let size = ["--pixels", "64", "--pixel-mm", "5", "--length-mm", "10", "--seed", "1", "--protocol", "a-sharp"];
        succeed(&[&["phantom", "--out", out, "--format", format][..], &size].concat());
    }
    let (image, series) = (format!("{nifti}/sub-000_a-sharp.nii.gz"), format!("{dicom}/sub-000_a-sharp"));
    let told: serde_json::Value = serde_json::from_str(&succeed(&["compare", &series, &image, "--json"])).unwrap();
    assert!(told["similarity"]["mae"].as_f64().unwrap() <= 0.5, "{told}");
    let again = path(&folder, "again");
    let size = ["--pixels", "64", "--pixel-mm", "5", "--length-mm", "10", "--seed", "1", "--protocol", "a-sharp"];
    succeed(&[&["phantom", "--out", &again, "--format", "nifti"][..], &size].concat());
    assert_eq!(contents(nifti.as_ref()), contents(again.as_ref()));
}

#[test]
fn phantom_lists_its_protocols() {
    let told = succeed(&["phantom", "--list"]);
    assert!(told.lines().count() >= 4);
    assert!(told.contains("a-soft") && told.contains("MTF 50 %"));
}

#[test]
fn training_makes_a_bundle_that_translates() {
    let Some(learned) = learned_plugins() else { return };
    let learned = learned.display().to_string();
    let folder = TempDir::new().unwrap();
    let scans = |name: &str, protocol: &str, first: &str| {
        let out = path(&folder, name);
        let what = ["--protocol", protocol, "--first-subject", first, "--pixels", "96", "--pixel-mm", "4"];
        succeed(&[&["phantom", "--out", &out, "--length-mm", "10"][..], &what].concat());
        out
    };
    let (source, target) = (scans("source", "a-sharp", "0"), scans("target", "a-soft", "1"));
    let bundle = path(&folder, "bundle");
    let arguments =
        ["train", "cyclegan", "--source", &source, "--target", &target, "-o", &bundle, "--plugins", &learned];
    let short = ["--steps", "4", "--batch", "1", "--patch", "32", "--checkpoint-every", "2"];
    succeed(&[&arguments[..], &short].concat());
    let losses = fs::read_to_string(format!("{bundle}/training/losses.csv")).unwrap();
    assert_eq!(losses.lines().count(), 5);
    assert!(losses.starts_with("step,"));
    assert!(contents(format!("{bundle}/training/previews").as_ref()).len() >= 2);
    let out = path(&folder, "out.nii.gz");
    succeed(&["plugins", "check", &bundle, "--only", "golden-vectors"]);
    succeed(&["translate", &bundle, &scan(), &out, "--allow-unsigned"]);
    assert!(succeed(&["info", &out]).contains("96x96x3"));
    let again = String::from_utf8(crate::fixture::isoscan(&[&arguments[..], &short].concat()).stderr).unwrap();
    assert!(again.contains("holds a finished bundle"), "{again}");
}

#[test]
fn a_c_plugin_built_against_the_header_translates() {
    let folder = TempDir::new().unwrap();
    let (library, out) = (path(&folder, "libc_clamp.so"), path(&folder, "out.nii.gz"));
    let root = crate::fixture::root();
    let (header, source) = (root.join("abi/include"), root.join("examples/c-plugin/clamp.c"));
    let built = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O2", "-fPIC", "-shared", "-I"])
        .args([header.to_str().unwrap(), source.to_str().unwrap(), "-o", &library])
        .status();
    assert!(built.unwrap().success());
    succeed(&["translate", &library, &scan(), &out, "--set", "high=0", "--set", "low=-100", "--allow-unsigned"]);
    assert!(succeed(&["info", &out]).contains("intensities -100 to 0"));
}

#[test]
fn diff_tells_place_values_and_header_and_fails_when_asked() {
    let folder = TempDir::new().unwrap();
    let out = path(&folder, "dicom");
    succeed(&["convert", &scan(), &out]);
    let told = succeed(&["diff", &scan(), &out]);
    for words in ["format    NIfTI -> DICOM", "same voxel centres", "of 27648 differ, compared at the same place"] {
        assert!(told.contains(words), "{told}");
    }
    assert_eq!(succeed(&["diff", &out, &out, "--require", "identical"]), "no difference\n");
    let moved = path(&folder, "moved.nii.gz");
    succeed(&["translate", "invert", &scan(), &moved, "--plugins", plugins().to_str().unwrap()]);
    let told = succeed(&["diff", &scan(), &moved, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["geometry"]["same_place"], true);
    assert!(told["voxels"]["differing"].as_u64().unwrap() > 20_000, "{told}");
    let told = refused(&["diff", &scan(), &moved, "--require", "same-image"]);
    assert!(told.contains("expected the same image"), "{told}");
}

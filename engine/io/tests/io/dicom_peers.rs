//! Other programs read the multi-frame DICOM files that are written here. Runs when `ISOSCAN_PEERS` names a Python with
//! pydicom, nibabel and dcm2niix (and, better, highdicom and `dciodvfy`) and `../shared/data` is there.

use std::path::Path;

use isoscan_imaging::{Modality, Unit, Volume};
use isoscan_io::{Code, Quantity, read, write_dicom_enhanced, write_parametric_map, write_segmentation};

use crate::fixture::{bytes_of, data, derivation, lps_affine, peers, run_peer};

#[test]
fn other_programs_read_segmentations_maps_and_enhanced_images() {
    let (Some(python), Some(data)) = (peers(), data()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let derivation = derivation();
    let quantity = Quantity {
        name: "uncertainty".into(),
        quantity: Code::new("386136009", "SCT", "Standard deviation"),
        unit: Code::new("1", "UCUM", "no units"),
    };
    for name in ["sts002_ct", "sts002_mr", "mr_sag_hfdl", "ct_philips_512_5mm"] {
        let series = read(&data.join("dicom").join(name)).unwrap();
        let (volume, source) = (&series.volume, &series.source);
        let at = |kind: &str| dir.path().join(format!("{name}-{kind}.dcm"));
        let labels = volume.map(|v| f32::from(u8::from(v > 50.0)) + f32::from(u8::from(v > 300.0)));
        let labels = labels.with_meaning(Modality::Seg, Unit::Label);
        write_segmentation(&at("seg"), &labels, &[], source, &derivation).unwrap();
        expect(&at("seg"), &labels);
        let map = volume.map(|v| v / 7.0);
        write_parametric_map(&at("map"), &map, &quantity, source, &derivation).unwrap();
        expect(&at("map"), &map);
        write_dicom_enhanced(&at("enhanced"), volume, source, &derivation).unwrap();
        expect(&at("enhanced"), volume);
    }
    run_peer(&python, "dicom_peers.py", &[dir.path().as_ref()]);
}

/// Notes what the peers should find in a file: size, affine (LPS, rows first), voxels.
fn expect(path: &Path, volume: &Volume) {
    std::fs::write(path.with_extension("f32"), bytes_of(volume.as_slice())).unwrap();
    let description = serde_json::json!({"size": volume.geometry().size(), "affine": lps_affine(volume.geometry())});
    std::fs::write(path.with_extension("json"), description.to_string()).unwrap();
}

//! The brain of a formula-made head, of a real template, and of a real head where `ISOSCAN_HEAD` names one.

use std::path::Path;
use std::time::Instant;

use isoscan_imaging::{
    Error, Geometry, Mask, Modality, Orientation, Unit, Volume, body, brain, intersection, reorient, reorient_mask,
    resample_mask,
};
use ndarray::Array3;

use crate::fixture::{data, read};

/// A brain of 68x85x62 mm half axes with a dark ring (fluid and skull) and a bright scalp, on a neck.
fn head(geometry: &Geometry) -> (Volume, Mask) {
    let world = geometry.world_from_voxel();
    let radius = |p: [f64; 3], r: [f64; 3]| (0..3).map(|a| (p[a] / r[a]).powi(2)).sum::<f64>().sqrt();
    let value = |p: [f64; 3]| {
        let texture = 60.0 * (p[0] / 9.0).sin() * (p[1] / 11.0).cos() * (p[2] / 8.0).cos();
        match p {
            p if radius(p, [68.0, 85.0, 62.0]) < 1.0 => 700.0 + texture,
            p if radius(p, [77.0, 94.0, 71.0]) < 1.0 => 120.0,
            p if radius(p, [84.0, 101.0, 78.0]) < 1.0 => 900.0,
            [x, y, z] if z < -40.0 && x.hypot(y - 10.0) < 50.0 => 550.0,
            _ => 10.0,
        }
    };
    let [nx, ny, nz] = geometry.size();
    let place = |(k, j, i): (usize, usize, usize)| world.apply([i as f64, j as f64, k as f64]);
    let voxels = Array3::from_shape_fn((nz, ny, nx), |index| value(place(index)) as f32);
    let inside = Array3::from_shape_fn((nz, ny, nx), |index| radius(place(index), [68.0, 85.0, 62.0]) < 1.0);
    (
        Volume::new(voxels, geometry.clone(), Modality::Mr, Unit::Arbitrary).unwrap(),
        Mask::new(inside, geometry.clone()).unwrap(),
    )
}

fn dice(a: &Mask, b: &Mask) -> f64 {
    let both = a.inside().iter().zip(b.inside()).filter(|(a, b)| **a && **b).count();
    2.0 * both as f64 / (a.count() + b.count()) as f64
}

fn grid() -> Geometry {
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Geometry::new([60, 72, 46], [3.0, 3.0, 4.5], [-90.0, -107.0, -120.0], axes).unwrap()
}

#[test]
fn the_brain_of_a_head_is_the_same_in_every_orientation() {
    let (volume, truth) = head(&grid());
    let found = brain(&volume, 0.5).unwrap();
    let share = dice(&found, &truth);
    println!("formula head: Dice {share:.4}");
    assert!(share > 0.95, "{share}");
    for orientation in ["RAS", "PIR", "SLA"] {
        let orientation: Orientation = orientation.parse().unwrap();
        let turned = brain(&reorient(&volume, orientation), 0.5).unwrap();
        let share = dice(&turned, &reorient_mask(&found, orientation));
        assert!(share > 0.999, "{orientation}: {share}");
    }
}

#[test]
fn the_number_of_threads_does_not_change_the_brain() {
    let (volume, _) = head(&grid());
    let runs = [1, 3].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| brain(&volume, 0.5).unwrap())
    });
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn a_scan_without_a_brain_is_refused() {
    let (volume, _) = head(&grid());
    for fraction in [0.0, 1.0, f64::NAN] {
        assert!(matches!(brain(&volume, fraction), Err(Error::InvalidArgument { .. })));
    }
    for value in [3.0, f32::NAN] {
        assert!(matches!(brain(&volume.map(|_| value), 0.5), Err(Error::FlatIntensities { .. })));
    }
    let mut state = 1u32;
    let noise = volume.map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 20) as f32
    });
    let small = Geometry::new([60, 72, 46], [0.3, 0.3, 0.4], [-9.0, -10.0, -9.0], grid().direction()).unwrap();
    let tiny = Volume::new(volume.voxels().to_owned(), small, Modality::Mr, Unit::Arbitrary).unwrap();
    for none in [noise, tiny] {
        let found = brain(&none, 0.5);
        assert!(matches!(found, Err(Error::NoBrain { .. })), "{:?}", found.map(|m| m.count()));
    }
}

/// The ICBM 152 template comes without skull: what is above a fifth of its brightness is brain. A head with skull needs a
/// file from elsewhere: `ISOSCAN_HEAD` names a T1 and `ISOSCAN_HEAD_BRAIN` its brain, as `ch2.nii.gz` and `ch2bet.nii.gz`
/// of the Debian package mricron-data.
#[test]
fn the_brain_of_real_heads_is_found() {
    let template = data().map(|data| data.join("nifti/mni_icbm152_t1_1mm.nii.gz"));
    if let Some(volume) = template.map(|path| read(&path)) {
        let truth = isoscan_imaging::fill_holes(&isoscan_imaging::threshold(&volume, 51.0, f32::INFINITY));
        let share = dice(&brain(&volume, 0.5).unwrap(), &truth);
        println!("ICBM 152 without skull: Dice {share:.4}");
        assert!(share > 0.97, "{share}");
    }
    let (Some(head), Some(known)) = (std::env::var_os("ISOSCAN_HEAD"), std::env::var_os("ISOSCAN_HEAD_BRAIN")) else {
        println!("skipped: ISOSCAN_HEAD and ISOSCAN_HEAD_BRAIN are not set");
        return;
    };
    let (volume, known) = (read(Path::new(&head)), read(Path::new(&known)));
    let truth = isoscan_imaging::threshold(&known, 0.5, f32::INFINITY);
    for fraction in [0.5, 0.6] {
        let begin = Instant::now();
        let found = brain(&volume, fraction).unwrap();
        let share = dice(&found, &truth);
        println!("real head, fraction {fraction}: Dice {share:.4} in {:.2} s", begin.elapsed().as_secs_f64());
        assert!(share > 0.93, "{share}");
    }
}

/// The patient of real scans: one piece without the table, the share of the scan by eye.
#[test]
fn the_body_of_real_scans_is_found_without_the_table() {
    let Some(data) = data() else { return };
    for (name, low, high) in [("sts002_ct", 0.59, 0.63), ("ct_philips_512_5mm", 0.3, 0.33), ("mr_sag_hfdl", 0.23, 0.26)]
    {
        let volume = read(&data.join("dicom").join(name));
        let begin = Instant::now();
        let found = body(&volume).unwrap();
        let share = found.count() as f64 / volume.geometry().voxel_count() as f64;
        println!("{name}: {share:.3} of the scan in {:.3} s", begin.elapsed().as_secs_f64());
        assert!((low..=high).contains(&share), "{name}: {share}");
    }
}

/// One patient in one frame of reference: the body in MR and PET is that in CT, where the CT reaches.
#[test]
fn mr_and_pet_of_a_patient_have_the_body_of_the_ct() {
    let Some(data) = data() else { return };
    let [ct, mr, pet] = ["ct", "mr", "pet"].map(|name| read(&data.join(format!("dicom/sts002_{name}"))));
    let in_ct = body(&ct).unwrap();
    let field = Mask::new(ct.voxels().mapv(|_| true), ct.geometry().clone()).unwrap();
    for (name, volume, least) in [("MR", mr, 0.95), ("PET", pet, 0.93)] {
        let field = resample_mask(&field, volume.geometry());
        let found = intersection(&body(&volume).unwrap(), &field).unwrap();
        let share = dice(&found, &resample_mask(&in_ct, volume.geometry()));
        println!("{name}: Dice {share:.3} with the body in CT");
        assert!(share > least, "{name}: {share}");
    }
}

//! Known displacements of formula-made and real volumes are found again; the real ones are skipped without the shared data.

use std::path::PathBuf;

use isoscan_imaging::{
    Affine3, Error, Freedom, Geometry, Interpolation, Mask, Modality, RegistrationSettings, Restoration, Start, Unit,
    Volume, move_by, register, resample_moved,
};
use ndarray::Array3;

use crate::fixture::{data, read};

/// Soft-edged ellipsoids with a pattern inside, about 120 mm wide, as a function of place; no symmetry.
fn body(p: [f64; 3]) -> f64 {
    let ball = |c: [f64; 3], r: [f64; 3], height: f64| {
        let d = (0..3).map(|a| ((p[a] - c[a]) / r[a]).powi(2)).sum::<f64>().sqrt();
        height / (1.0 + ((d - 1.0) * 12.0).exp())
    };
    ball([0.0; 3], [55.0, 45.0, 50.0], 400.0)
        + ball([18.0, 8.0, 12.0], [16.0, 12.0, 20.0], 300.0)
        + ball([-24.0, -6.0, -14.0], [12.0, 18.0, 10.0], -250.0)
        + ball([-10.0, 22.0, 18.0], [8.0, 9.0, 14.0], 500.0)
        + ball([12.0, -20.0, -20.0], [14.0, 7.0, 9.0], 350.0)
        + ball([30.0, -12.0, 20.0], [7.0, 7.0, 7.0], 450.0)
}

fn made(geometry: &Geometry, value: impl Fn([f64; 3]) -> f64) -> Volume {
    let world = geometry.world_from_voxel();
    let [nx, ny, nz] = geometry.size();
    let voxels =
        Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| value(world.apply([i as f64, j as f64, k as f64])) as f32);
    Volume::new(voxels, geometry.clone(), Modality::Mr, Unit::Arbitrary).unwrap()
}

fn grid() -> Geometry {
    let identity = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    Geometry::new([70, 62, 48], [2.0, 2.0, 2.5], [-70.0, -62.0, -60.0], identity).unwrap()
}

/// Rotations about x, y, z in turn (degrees) with a scale per axis, about `center`, then a shift (mm).
fn displacement(center: [f64; 3], degrees: [f64; 3], scale: [f64; 3], shift: [f64; 3]) -> Affine3 {
    let about = |a: usize, angle: f64| {
        let (b, c) = ((a + 1) % 3, (a + 2) % 3);
        let mut matrix = [[0.0; 3]; 3];
        matrix[a][a] = 1.0;
        (matrix[b][b], matrix[c][c]) = (angle.cos(), angle.cos());
        (matrix[b][c], matrix[c][b]) = (-angle.sin(), angle.sin());
        Affine3 { matrix, translation: [0.0; 3] }
    };
    let matrix = std::array::from_fn(|r| std::array::from_fn(|c| if r == c { scale[r] } else { 0.0 }));
    let mut linear = Affine3 { matrix, translation: [0.0; 3] };
    for (a, angle) in degrees.into_iter().enumerate() {
        linear = about(a, angle.to_radians()).after(&linear);
    }
    let turned = linear.apply(center);
    Affine3 { matrix: linear.matrix, translation: std::array::from_fn(|a| center[a] + shift[a] - turned[a]) }
}

fn middle(geometry: &Geometry) -> [f64; 3] {
    geometry.world_from_voxel().apply(geometry.size().map(|n| (n - 1) as f64 / 2.0))
}

/// Mean distance between where two maps send the corners of a grid, mm.
fn registration_error_mm(found: &Affine3, true_map: &Affine3, geometry: &Geometry) -> f64 {
    let world = geometry.world_from_voxel();
    let distance = |corner: u8| {
        let place = std::array::from_fn(|a| if corner >> a & 1 == 1 { (geometry.size()[a] - 1) as f64 } else { 0.0 });
        let (p, q) = (found.apply(world.apply(place)), true_map.apply(world.apply(place)));
        p.iter().zip(q).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    };
    (0..8).map(distance).sum::<f64>() / 8.0
}

#[test]
fn displacements_of_a_formula_are_found() {
    let fixed = made(&grid(), body);
    let oblique = [[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0], [0.0, 0.0, 1.0]];
    let other = Geometry::new([80, 70, 60], [1.8, 1.9, 2.1], [-52.0, -88.0, -62.0], oblique).unwrap();
    let rows = [
        (Freedom::Rigid, [4.0, -6.0, 8.0], [1.0; 3], [7.0, -5.0, 3.0], false),
        (Freedom::Rigid, [-12.0, 9.0, 15.0], [1.0; 3], [-14.0, 6.0, 10.0], false),
        (Freedom::Rigid, [3.0, 2.0, -5.0], [1.0; 3], [4.0, 9.0, -6.0], true),
        (Freedom::Affine, [5.0, -4.0, 6.0], [1.08, 0.94, 1.05], [6.0, -3.0, 5.0], false),
        (Freedom::Affine, [3.0, -2.0, 4.0], [0.95, 1.06, 0.97], [2.0, -7.0, 3.0], true),
    ];
    for (freedom, degrees, scale, shift, inverted) in rows {
        let true_map = displacement([0.0; 3], degrees, scale, shift);
        let back = true_map.inverse().unwrap();
        // Another contrast: not even monotonic.
        let contrast = |v: f64| if inverted { 900.0 - v + 0.0008 * v * v } else { v };
        let moving = made(&other, |p| contrast(body(back.apply(p))));
        let settings = RegistrationSettings { freedom, ..RegistrationSettings::default() };
        let found = register(&fixed, &moving, None, None, &settings).unwrap();
        let error_mm = registration_error_mm(&found.world_moving_from_fixed, &true_map, fixed.geometry());
        println!(
            "{freedom:?} {degrees:?}: {error_mm:.4} mm after {} steps, metric {:.4}",
            found.iterations, found.metric
        );
        // Voxels of 2 mm: a tenth of one; a whole one for the 12 numbers of an affine map, which few smooth blobs hold
        // less tightly, at corners 110 mm from the centre of a body of 50 mm.
        let limit_mm = if freedom == Freedom::Rigid { 0.2 } else { 2.0 };
        assert!(found.converged && error_mm < limit_mm, "{freedom:?} {degrees:?}: {error_mm}, {found:?}");
    }
}

fn identity() -> Affine3 {
    displacement([0.0; 3], [0.0; 3], [1.0; 3], [0.0; 3])
}

struct Task {
    name: &'static str,
    fixed: Volume,
    moving: Volume,
    freedom: Freedom,
    true_map: Affine3,
    limit_mm: f64,
}

/// A real MR moved as a whole, and a real T1 template whose moved twin has another contrast, grid and noise.
fn known_tasks() -> Option<Vec<Task>> {
    let data = data()?;
    let mr = read(&data.join("dicom/sts002_mr"));
    let brain = read(&data.join("nifti/mni_icbm152_t1_1mm.nii.gz"));
    let mr_map = displacement(middle(mr.geometry()), [6.0, -4.0, 8.0], [1.0; 3], [8.0, -6.0, 5.0]);
    let moved_mr = move_by(&mr, &mr_map).unwrap();
    let task = |freedom, scale, limit_mm| {
        let true_map = displacement(middle(brain.geometry()), [-5.0, 7.0, 4.0], scale, [9.0, 6.0, -8.0]);
        let tilted = [[0.98, 0.198_997_487_421_324, 0.0], [-0.198_997_487_421_324, 0.98, 0.0], [0.0, 0.0, 1.0]];
        let grid = Geometry::new([100, 116, 62], [2.0, 2.0, 3.0], [-72.0, -130.0, -82.0], tilted).unwrap();
        let moving = resample_moved(&brain, &true_map.inverse().unwrap(), &grid, Interpolation::BSpline, 0.0).unwrap();
        let mut noise = 12345u32;
        let dark_white_matter = moving.map(|v| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let tissue = if v > 20.0 { 300.0 - v } else { 2.0 * v };
            tissue + (noise >> 8) as f32 / (1u32 << 24) as f32 * 20.0
        });
        Task {
            name: "T2-like brain on T1",
            fixed: brain.clone(),
            moving: dark_white_matter,
            freedom,
            true_map,
            limit_mm,
        }
    };
    // A tenth of a voxel of the MR (3.27 mm slices); half a voxel (2x2x3 mm) of the second brain.
    let tasks = vec![
        Task {
            name: "MR on itself",
            fixed: mr.clone(),
            moving: moved_mr.clone(),
            freedom: Freedom::Rigid,
            true_map: mr_map,
            limit_mm: 0.1,
        },
        Task {
            name: "MR on itself",
            fixed: mr,
            moving: moved_mr,
            freedom: Freedom::Affine,
            true_map: mr_map,
            limit_mm: 0.1,
        },
        task(Freedom::Rigid, [1.0; 3], 1.0),
        task(Freedom::Affine, [1.06, 0.95, 1.04], 1.0),
    ];
    Some(tasks)
}

#[test]
fn known_displacements_of_real_volumes_are_found_as_well_as_by_simpleitk() {
    let Some(tasks) = known_tasks() else { return };
    let answers = simpleitk(&tasks);
    for (index, task) in tasks.iter().enumerate() {
        let settings = RegistrationSettings { freedom: task.freedom, ..RegistrationSettings::default() };
        let begin = std::time::Instant::now();
        let found = register(&task.fixed, &task.moving, None, None, &settings).unwrap();
        let seconds = begin.elapsed().as_secs_f64();
        let error = |map: &Affine3| registration_error_mm(map, &task.true_map, task.fixed.geometry());
        let error_mm = error(&found.world_moving_from_fixed);
        println!(
            "{}, {:?}: {:.2} mm before, {error_mm:.4} mm after {} steps in {seconds:.2} s, metric {:.4}",
            task.name,
            task.freedom,
            error(&identity()),
            found.iterations,
            found.metric
        );
        assert!(found.converged && error_mm < task.limit_mm, "{}: {error_mm}, {found:?}", task.name);
        if let Some(answers) = &answers {
            let map: Affine3 = serde_json::from_value(answers[index]["map"].clone()).unwrap();
            let (peer_mm, peer_seconds) = (error(&map), answers[index]["seconds"].as_f64().unwrap());
            println!(
                "    SimpleITK: {peer_mm:.4} mm in {peer_seconds:.2} s, {:.1} times as long",
                peer_seconds / seconds
            );
            assert!(error_mm < peer_mm.max(0.02), "{}: {error_mm} mm, SimpleITK {peer_mm} mm", task.name);
        }
    }
}

/// SimpleITK's answers, when `ISOSCAN_PEERS` names a Python that has it.
fn simpleitk(tasks: &[Task]) -> Option<Vec<serde_json::Value>> {
    let Some(python) = std::env::var_os("ISOSCAN_PEERS") else {
        println!("no comparison: ISOSCAN_PEERS is not set");
        return None;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut list = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let names = ["fixed", "moving"].map(|role| format!("{role}{index}.nii"));
        for (volume, name) in [&task.fixed, &task.moving].into_iter().zip(&names) {
            isoscan_io::write_nifti(&dir.path().join(name), volume, None, None).unwrap();
        }
        let share = (100_000.0 / task.fixed.geometry().voxel_count() as f64).min(1.0);
        list.push(serde_json::json!({
            "fixed": names[0], "moving": names[1], "freedom": task.freedom, "share": share
        }));
    }
    std::fs::write(dir.path().join("tasks.json"), serde_json::to_vec(&list).unwrap()).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/imaging/registration.py");
    let status = std::process::Command::new(python).arg(script).arg(dir.path()).status().unwrap();
    assert!(status.success(), "the peer script failed");
    Some(serde_json::from_slice(&std::fs::read(dir.path().join("answers.json")).unwrap()).unwrap())
}

/// CT, PET and MR of one patient (IBSI validation set, soft-tissue sarcoma 002). They do not lie on each other to a
/// voxel, so the map between displaced scans is held against the map between the scans as they are.
#[test]
fn a_displacement_of_one_of_three_scans_changes_the_map_by_itself() {
    let Some(data) = data() else { return };
    let rows = [
        ("ct", "mr", [3.0, -4.0, 6.0], [9.0, -7.0, 6.0], 3.27),
        ("mr", "ct", [-3.0, 2.0, -5.0], [-6.0, 8.0, -4.0], 3.27),
        ("ct", "pet", [2.0, 3.0, -4.0], [7.0, 9.0, -8.0], 5.47),
        ("mr", "pet", [2.0, -2.0, 4.0], [6.0, -7.0, 5.0], 5.47),
    ];
    for (fixed, moving, degrees, shift, voxel_mm) in rows {
        let fixed_volume = read(&data.join(format!("dicom/sts002_{fixed}")));
        let moving_volume = read(&data.join(format!("dicom/sts002_{moving}")));
        let smaller = if fixed == "mr" { fixed_volume.geometry() } else { moving_volume.geometry() };
        let displaced = displacement(middle(smaller), degrees, [1.0; 3], shift);
        let moved = move_by(&moving_volume, &displaced).unwrap();
        let settings = RegistrationSettings::default();
        let as_is = register(&fixed_volume, &moving_volume, None, None, &settings).unwrap();
        let found = register(&fixed_volume, &moved, None, None, &settings).unwrap();
        let error = |map: &Affine3| registration_error_mm(&found.world_moving_from_fixed, map, smaller);
        let difference_mm = error(&displaced.after(&as_is.world_moving_from_fixed));
        println!(
            "{moving} on {fixed}: {difference_mm:.3} mm from the map of the scans as they are; {:.3} mm from their headers",
            error(&displaced)
        );
        assert!(found.converged && difference_mm < voxel_mm, "{moving} on {fixed}: {difference_mm} mm");
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit_and_the_map_survives_json() {
    let fixed = made(&grid(), body);
    let moving = move_by(&fixed, &displacement([0.0; 3], [3.0, -4.0, 5.0], [1.0; 3], [4.0, 3.0, -2.0])).unwrap();
    let settings = RegistrationSettings { samples: 10_000, shrink_factors: vec![4.0, 2.0], ..Default::default() };
    let runs = [1, 2, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| register(&fixed, &moving, None, None, &settings).unwrap())
    });
    assert!(runs.iter().all(|run| run == &runs[0]), "{runs:?}");
    let text = serde_json::to_string(&runs[0]).unwrap();
    let back: isoscan_imaging::Registration = serde_json::from_str(&text).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-14 * (1.0 + a.abs());
    let (a, b) = (runs[0].world_moving_from_fixed, back.world_moving_from_fixed);
    assert!(a.matrix.iter().flatten().zip(b.matrix.iter().flatten()).all(|(a, b)| close(*a, *b)));
    assert!(a.translation.iter().zip(b.translation).all(|(a, b)| close(*a, b)));
}

#[test]
fn the_moved_volume_lies_on_the_fixed_one_and_the_inverse_leads_back() {
    let fixed = made(&grid(), body);
    let map = displacement([0.0; 3], [5.0, -3.0, 4.0], [1.0; 3], [6.0, -5.0, 4.0]);
    let moving = move_by(&fixed, &map).unwrap();
    let found = register(&fixed, &moving, None, None, &RegistrationSettings::default()).unwrap();
    let mut restoration = Restoration::new();
    let laid = restoration.resample_moved(&moving, &found, fixed.geometry(), Interpolation::BSpline, 0.0).unwrap();
    let largest = laid.as_slice().iter().zip(fixed.as_slice()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 10.0, "{largest} of 1100");
    let back = restoration.undo(&laid).unwrap();
    assert_eq!(back.geometry(), moving.geometry());
    let identity_again = found.world_fixed_from_moving().unwrap().after(&found.world_moving_from_fixed);
    assert!(registration_error_mm(&identity_again, &identity(), fixed.geometry()) < 1e-9);
    // Only the header: nothing is lost.
    let mut restoration = Restoration::new();
    let moved = restoration.move_by(&moving, &found.world_fixed_from_moving().unwrap()).unwrap();
    assert_eq!(moved.as_slice(), moving.as_slice());
    assert_eq!(restoration.undo(&moved).unwrap(), moving);
}

#[test]
fn each_start_and_a_mask_lead_to_the_map() {
    let fixed = made(&grid(), body);
    let map = displacement([0.0; 3], [2.0, -3.0, 4.0], [1.0; 3], [160.0, -120.0, 90.0]);
    let moving = move_by(&fixed, &map).unwrap();
    let mask = isoscan_imaging::threshold(&fixed, 100.0, 1e6);
    let mask = isoscan_imaging::dilate(&mask, 8.0).unwrap();
    let near = displacement([0.0; 3], [0.0; 3], [1.0; 3], [155.0, -118.0, 92.0]);
    for start in [Start::GeometryCenter, Start::CenterOfMass, Start::Given(near)] {
        let settings = RegistrationSettings { start, samples: 30_000, ..Default::default() };
        for mask in [None, Some(&mask)] {
            let found = register(&fixed, &moving, mask, None, &settings).unwrap();
            let error_mm = registration_error_mm(&found.world_moving_from_fixed, &map, fixed.geometry());
            assert!(error_mm < 0.2, "{start:?}: {error_mm}");
        }
    }
    let apart = register(&fixed, &moving, None, None, &RegistrationSettings::default());
    assert!(matches!(apart, Err(Error::TooLittleOverlap { .. })), "{apart:?}");
}

#[test]
fn volumes_and_settings_that_cannot_be_registered_are_refused() {
    let fixed = made(&grid(), body);
    let settings = RegistrationSettings::default();
    for value in [5.0, f32::NAN] {
        let flat = fixed.map(|_| value);
        for (a, b) in [(&fixed, &flat), (&flat, &fixed)] {
            let found = register(a, b, None, None, &settings);
            assert!(matches!(found, Err(Error::FlatIntensities { .. })), "{found:?}");
        }
    }
    let empty = Mask::new(Array3::from_elem((48, 62, 70), false), grid()).unwrap();
    let found = register(&fixed, &fixed, Some(&empty), None, &settings);
    assert!(matches!(found, Err(Error::EmptyMask { .. })), "{found:?}");
    let singular = Affine3 { matrix: [[0.0; 3]; 3], translation: [0.0; 3] };
    for wrong in [
        RegistrationSettings { bins: 4, ..settings.clone() },
        RegistrationSettings { shrink_factors: vec![], ..settings.clone() },
        RegistrationSettings { shrink_factors: vec![f64::NAN], ..settings.clone() },
        RegistrationSettings { samples: 1, ..settings.clone() },
        RegistrationSettings { max_iterations: 0, ..settings.clone() },
        RegistrationSettings { tolerance: 0.0, ..settings.clone() },
        RegistrationSettings { min_overlap: 1.5, ..settings.clone() },
        RegistrationSettings { start: Start::Given(singular), ..settings.clone() },
    ] {
        let found = register(&fixed, &fixed, None, None, &wrong);
        assert!(matches!(found, Err(Error::InvalidArgument { .. })), "{wrong:?}: {found:?}");
    }
    let hurried = RegistrationSettings { max_iterations: 1, shrink_factors: vec![4.0], ..settings };
    let moved = move_by(&fixed, &displacement([0.0; 3], [3.0; 3], [1.0; 3], [8.0; 3])).unwrap();
    assert!(!register(&fixed, &moved, None, None, &hurried).unwrap().converged);
}

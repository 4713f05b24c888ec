//! Volumes out of frames, tiles, uneven slices and heaps of files; small files made here, and real ones cut and mixed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Modality, Unit, Volume};
use isoscan_io::{
    Error, ReadOptions, Series, Uneven, Warning, list, read, read_series, read_series_with, read_with, write_dicom,
};

use crate::fixture::{ct_files, data, derivation, edit, put, put_items, put_u16, save};

type Object = InMemDicomObject;

fn item(elements: &[(Tag, VR, &str)]) -> Object {
    let mut object = Object::new_empty();
    elements.iter().for_each(|&(tag, vr, value)| put(&mut object, tag, vr, value));
    object
}

/// A functional group of one macro.
fn with_macro(mut groups: Object, sequence: Tag, elements: &[(Tag, VR, &str)]) -> Object {
    put_items(&mut groups, sequence, vec![item(elements)]);
    groups
}

/// An image of 16-bit words with `columns` × `rows` pixels.
fn image(class: &str, instance: &str, [columns, rows]: [u16; 2], words: &[u16]) -> Object {
    let mut object = item(&[
        (tags::SOP_CLASS_UID, VR::UI, class),
        (tags::SOP_INSTANCE_UID, VR::UI, instance),
        (tags::SERIES_INSTANCE_UID, VR::UI, "2.25.7"),
        (tags::MODALITY, VR::CS, "MR"),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
    ]);
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows),
        (tags::COLUMNS, columns),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, 16),
        (tags::HIGH_BIT, 15),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        put_u16(&mut object, tag, value);
    }
    let frames = words.len() / (usize::from(columns) * usize::from(rows));
    if frames > 1 {
        put(&mut object, tags::NUMBER_OF_FRAMES, VR::IS, &frames.to_string());
    }
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words.into())));
    object
}

fn values(series: &Series) -> Vec<f32> {
    series.volume.as_slice().to_vec()
}

/// World position of a voxel, rounded to a thousandth of a mm.
fn place(volume: &Volume, voxel: [f64; 3]) -> [f64; 3] {
    volume.geometry().world_from_voxel().apply(voxel).map(|x| (x * 1000.0).round() / 1000.0)
}

/// Two temporal positions of three planes of 2×2 pixels; the frames stand out of order and each has its own rescale.
fn enhanced(instance: &str, first_time: usize) -> Object {
    let order = [(1, 0), (0, 2), (0, 0), (1, 2), (0, 1), (1, 1)];
    let words: Vec<u16> =
        order.iter().flat_map(|&(t, z)| [0, 1, 2, 3].map(|i| (100 * t + 10 * z + i) as u16)).collect();
    let mut object = image(uids::ENHANCED_MR_IMAGE_STORAGE, instance, [2, 2], &words);
    let mut shared = with_macro(
        Object::new_empty(),
        tags::PIXEL_MEASURES_SEQUENCE,
        &[(tags::PIXEL_SPACING, VR::DS, "2\\3"), (tags::SLICE_THICKNESS, VR::DS, "9")],
    );
    shared = with_macro(
        shared,
        tags::PLANE_ORIENTATION_SEQUENCE,
        &[(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "0\\1\\0\\0\\0\\-1")],
    );
    put_items(&mut object, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
    let groups = order.iter().map(|&(t, z)| {
        let position = format!("{}\\20\\30", 10.0 - 2.5 * z as f64);
        let groups = with_macro(
            Object::new_empty(),
            tags::PLANE_POSITION_SEQUENCE,
            &[(tags::IMAGE_POSITION_PATIENT, VR::DS, &position)],
        );
        let intercept = format!("{}", -0.1 * (1 + t) as f64);
        let mut groups = with_macro(
            groups,
            tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
            &[(tags::RESCALE_SLOPE, VR::DS, "1.27985347985347"), (tags::RESCALE_INTERCEPT, VR::DS, &intercept)],
        );
        let mut content = item(&[(tags::STACK_ID, VR::SH, "1")]);
        let time = (first_time + t) as u32;
        content.put(DataElement::new(tags::TEMPORAL_POSITION_INDEX, VR::UL, PrimitiveValue::from(time)));
        put_items(&mut groups, tags::FRAME_CONTENT_SEQUENCE, vec![content]);
        groups
    });
    put_items(&mut object, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, groups.collect());
    object
}

#[test]
fn frames_of_an_enhanced_file_become_volumes_with_the_rescale_of_each_frame() {
    let dir = tempfile::tempdir().unwrap();
    save(enhanced("2.25.1", 1), &dir.path().join("a.dcm"));
    save(enhanced("2.25.2", 3), &dir.path().join("b.dcm"));
    let listed = list(dir.path()).unwrap();
    let told: Vec<_> = listed.iter().map(|s| (s.part.clone().unwrap(), s.volume, s.size, s.spacing_mm)).collect();
    let expected = [(1, 0), (2, 1), (3, 0), (4, 1)]
        .map(|(t, v)| (format!("temporal position {t}"), v, [2, 2, 3], [3.0, 2.0, 2.5]));
    assert_eq!(told, expected);
    for (i, summary) in listed.iter().enumerate() {
        let series = read_series(summary).unwrap();
        let t = i % 2;
        let stored = [0, 1, 2].iter().flat_map(|z| [0, 1, 2, 3].map(|i| (100 * t + 10 * z + i) as f64));
        let expected: Vec<f32> = stored.map(|word| (word * 1.27985347985347 - 0.1 * (1 + t) as f64) as f32).collect();
        assert_eq!(values(&series), expected, "{summary}");
        assert_eq!(place(&series.volume, [1.0, 1.0, 2.0]), [5.0, 23.0, 28.0], "{summary}");
        assert_eq!(series.warnings, []);
    }
    assert!(matches!(read(&dir.path().join("a.dcm")), Err(Error::SeveralSeries { found, .. }) if found.len() == 2));
}

#[test]
fn a_wrong_number_of_frame_groups_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.dcm");
    let mut object = enhanced("2.25.1", 1);
    put(&mut object, tags::NUMBER_OF_FRAMES, VR::IS, "5");
    save(object, &path);
    let message = read(&path).unwrap_err().to_string();
    assert!(
        message.starts_with("Per-Frame Functional Groups Sequence: expected one item per frame, found 6"),
        "{message}"
    );
    let mut object = enhanced("2.25.1", 1);
    put(&mut object, tags::NUMBER_OF_FRAMES, VR::IS, "2000000000");
    save(object, &path);
    assert!(matches!(read(&path), Err(Error::Unsupported { .. } | Error::Truncated { .. })));
}

#[test]
fn dose_planes_lie_at_their_grid_frame_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dose.dcm");
    // orientation, offsets -> world of the last voxel
    let rows = [
        ("1\\0\\0\\0\\1\\0", "0\\3\\6", [2.0, 3.0, 36.0]),
        ("1\\0\\0\\0\\1\\0", "30\\27\\24", [2.0, 3.0, 30.0]),
        ("0\\1\\0\\0\\0\\-1", "0\\3\\6", [-5.0, 3.0, 29.0]),
    ];
    for (orientation, offsets, last) in rows {
        let words: Vec<u16> = (0..12).collect();
        let mut object = image("1.2.840.10008.5.1.4.1.1.481.2", "2.25.1", [2, 2], &words);
        for (tag, vr, value) in [
            (tags::MODALITY, VR::CS, "RTDOSE"),
            (tags::IMAGE_POSITION_PATIENT, VR::DS, "1\\2\\30"),
            (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, orientation),
            (tags::PIXEL_SPACING, VR::DS, "1\\1"),
            (tags::GRID_FRAME_OFFSET_VECTOR, VR::DS, offsets),
        ] {
            put(&mut object, tag, vr, value);
        }
        save(object, &path);
        let series = read(&path).unwrap();
        assert_eq!(series.volume.geometry().size(), [2, 2, 3]);
        assert_eq!(place(&series.volume, [1.0, 1.0, 2.0]), last, "{orientation} {offsets}");
    }
}

#[test]
fn reconstructed_nm_slices_follow_their_sign_and_energy_windows_are_volumes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("nm.dcm");
    let words: Vec<u16> = (0..24).collect();
    let mut object = image(uids::NUCLEAR_MEDICINE_IMAGE_STORAGE, "2.25.1", [2, 2], &words);
    let place_of_detector = item(&[
        (tags::IMAGE_POSITION_PATIENT, VR::DS, "1\\2\\30"),
        (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
    ]);
    put_items(&mut object, tags::DETECTOR_INFORMATION_SEQUENCE, vec![place_of_detector]);
    put(&mut object, tags::MODALITY, VR::CS, "NM");
    put(&mut object, tags::PIXEL_SPACING, VR::DS, "4\\4");
    put(&mut object, tags::SPACING_BETWEEN_SLICES, VR::DS, "-5");
    for (tag, vector) in [(tags::ENERGY_WINDOW_VECTOR, [1u16, 1, 1, 2, 2, 2]), (tags::SLICE_VECTOR, [1, 2, 3, 1, 2, 3])]
    {
        object.put(DataElement::new(tag, VR::US, PrimitiveValue::U16(vector.to_vec().into())));
    }
    save(object, &path);
    let listed = list(&path).unwrap();
    let parts: Vec<_> = listed.iter().map(|s| s.part.as_deref().unwrap()).collect();
    assert_eq!(parts, ["energy window 1", "energy window 2"]);
    let second = read_series(&listed[1]).unwrap();
    assert_eq!(second.volume.as_slice()[..4], [20.0, 21.0, 22.0, 23.0], "the lowest slice is the last frame");
    assert_eq!(place(&second.volume, [0.0, 0.0, 0.0]), [1.0, 2.0, 20.0]);
    assert_eq!(second.warnings, []);
}

#[test]
fn frames_without_places_are_stacked_and_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("frames.dcm");
    let words: Vec<u16> = (0..12).collect();
    save(image(uids::MR_IMAGE_STORAGE, "2.25.1", [2, 2], &words), &path);
    let series = read(&path).unwrap();
    assert_eq!(values(&series), words.iter().map(|&w| f32::from(w)).collect::<Vec<_>>());
    assert_eq!(series.warnings, [Warning::AssumedPositions, Warning::NoPixelSpacing]);
}

/// A mosaic of 3 × 3 tiles of 4 × 2 pixels, five in use, whose words tell tile, row and column.
fn mosaic() -> Object {
    let words = (0..6u16).flat_map(|row| {
        (0..12u16).map(move |column| {
            let tile = row / 2 * 3 + column / 4;
            if tile < 5 { 1000 + 100 * tile + 10 * (row % 2) + column % 4 } else { 0 }
        })
    });
    let words: Vec<u16> = words.collect();
    let mut object = image(uids::MR_IMAGE_STORAGE, "2.25.1", [12, 6], &words);
    for (tag, vr, value) in [
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\M\\MOSAIC"),
        (tags::IMAGE_POSITION_PATIENT, VR::DS, "0\\0\\7"),
        (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"),
        (tags::PIXEL_SPACING, VR::DS, "2\\3"),
        (tags::SPACING_BETWEEN_SLICES, VR::DS, "5"),
    ] {
        put(&mut object, tag, vr, value);
    }
    object.put(DataElement::new(tags::ACQUISITION_MATRIX, VR::US, PrimitiveValue::U16([4, 0, 0, 2][..].into())));
    object
}

#[test]
fn tiles_of_a_mosaic_without_csa_header_become_slices() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mosaic.dcm");
    for told in [true, false] {
        let mut object = mosaic();
        if told {
            put(&mut object, Tag(0x0019, 0x0010), VR::LO, "SIEMENS MR HEADER");
            put_u16(&mut object, Tag(0x0019, 0x100A), 5);
        }
        save(object, &path);
        let series = read(&path).unwrap();
        assert_eq!(series.volume.geometry().size(), [4, 2, 5], "{told}");
        assert_eq!(series.warnings, [Warning::AssumedPositions], "the slice normal is not told");
        for ([z, y, x], value) in series.volume.voxels().indexed_iter().map(|((z, y, x), &v)| ([z, y, x], v)) {
            assert_eq!(value, (1000 + 100 * z + 10 * y + x) as f32);
        }
        // (12 - 4) / 2 columns of 3 mm, (6 - 2) / 2 rows of 2 mm.
        assert_eq!(place(&series.volume, [0.0, 0.0, 4.0]), [12.0, 4.0, 27.0]);
    }
}

#[test]
fn a_mosaic_that_does_not_divide_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mosaic.dcm");
    let mut object = mosaic();
    put(&mut object, Tag(0x0019, 0x0010), VR::LO, "SIEMENS MR HEADER");
    put_u16(&mut object, Tag(0x0019, 0x100A), 50);
    save(object, &path);
    let message = read(&path).unwrap_err().to_string();
    assert!(message.starts_with("Rows: expected a multiple of the tiles of the mosaic, found 6"), "{message}");
}

const RESAMPLE: ReadOptions = ReadOptions { modality: None, unit: None, uneven: Uneven::Resample };

#[test]
fn missing_slices_are_interpolated_only_when_asked_and_then_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ct");
    let files = ct_files(&folder, 6);
    let whole = read(&folder).unwrap().volume;
    fs::remove_file(&files[2]).unwrap();
    assert!(matches!(read(&folder), Err(Error::UnevenSlices { slice: 2, missing: 1, .. })));
    let series = read_with(&folder, &RESAMPLE).unwrap();
    assert_eq!(series.volume, whole, "the intensities rise linearly from slice to slice");
    let expected =
        Warning::EvenedSlices { gap_mm: 2.5, odd_gaps_mm: vec![(2, 5.0)], measured: 5, slices: 6, interpolated: 1 };
    assert_eq!(series.warnings.len(), 1);
    assert_eq!(series.warnings[0].to_string(), expected.to_string());
    let told = "uneven slices (5.0000 mm after slice 2): made 6 at 2.5000 mm of 5, 1 interpolated";
    assert_eq!(expected.to_string(), told);
    assert_eq!(read_series_with(&list(&folder).unwrap()[0], &RESAMPLE).unwrap().volume, whole);
}

#[test]
fn a_slice_copied_under_another_uid_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("ct");
    let files = ct_files(&folder, 6);
    let whole = read(&folder).unwrap().volume;
    let copy = folder.join("zz.dcm");
    fs::copy(&files[3], &copy).unwrap();
    edit(&copy, |object| {
        put(object, tags::SOP_INSTANCE_UID, VR::UI, "2.25.99");
        put(object, tags::CONTENT_TIME, VR::TM, "235959");
    });
    let series = read(&folder).unwrap();
    assert_eq!(series.volume, whole);
    assert_eq!(series.warnings, [Warning::CopiedSlice { path: copy.clone(), of: files[3].clone() }]);
    assert_eq!(read_series(&list(&folder).unwrap()[0]).unwrap().volume, whole);
    // With other pixels it is no copy, and which one is right cannot be told.
    edit(&copy, |object| {
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16([7; 30][..].into())));
    });
    assert!(matches!(read(&folder), Err(Error::SeveralVolumes { volumes: 2, .. })));
}

#[test]
fn echoes_and_times_are_told_apart_together() {
    let dir = tempfile::tempdir().unwrap();
    for (t, echo, z) in (0..3).flat_map(|t| (0..2).flat_map(move |echo| (0..4).map(move |z| (t, echo, z)))) {
        let name = format!("{}", 100 * t + 10 * echo + z);
        let mut object = image(
            uids::MR_IMAGE_STORAGE,
            &format!("2.25.{}", 1000 + 100 * t + 10 * echo + z),
            [1, 1],
            &[(100 * t + 10 * echo + z) as u16],
        );
        for (tag, vr, value) in [
            (tags::IMAGE_POSITION_PATIENT, VR::DS, format!("0\\0\\{}", 3 * z)),
            (tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0".to_owned()),
            (tags::PIXEL_SPACING, VR::DS, "1\\1".to_owned()),
            (tags::ECHO_TIME, VR::DS, format!("{}", 4.9 + 2.46 * echo as f64)),
            (tags::TEMPORAL_POSITION_IDENTIFIER, VR::IS, (t + 1).to_string()),
            // Each slice has its own time, which tells no volumes apart.
            (tags::ACQUISITION_TIME, VR::TM, format!("1200{:02}", 10 * t + z)),
        ] {
            put(&mut object, tag, vr, &value);
        }
        save(object, &dir.path().join(name));
    }
    let listed = list(dir.path()).unwrap();
    let parts: BTreeSet<_> = listed.iter().map(|s| s.part.clone().unwrap()).collect();
    assert_eq!(parts.len(), 6);
    assert!(parts.contains("temporal position 2 echo time 7.36"), "{parts:?}");
    for summary in listed {
        let found = values(&read_series(&summary).unwrap());
        assert!(found.windows(2).all(|pair| pair[1] - pair[0] == 1.0), "{summary}: {found:?}");
    }
}

#[test]
fn volumes_of_frames_and_tiles_are_written_as_single_slices() {
    let dir = tempfile::tempdir().unwrap();
    for (name, object) in [("enhanced", enhanced("2.25.1", 1)), ("mosaic", mosaic())] {
        let path = dir.path().join(name).with_extension("dcm");
        save(object, &path);
        for (i, summary) in list(&path).unwrap().iter().enumerate() {
            let source = read_series(summary).unwrap();
            assert_eq!(source.source.paths(), std::slice::from_ref(&path));
            let output = dir.path().join(format!("{name} {i}"));
            write_dicom(&output, &source.volume, &source.source, &derivation()).unwrap();
            let again = read(&output).unwrap();
            assert_eq!(again.volume.as_slice(), source.volume.as_slice(), "{name} {i}");
            assert!(again.volume.geometry().corner_distance_mm(source.volume.geometry()) < 1e-6);
        }
    }
}

/// Copies a real series; the files come in the order of their positions.
fn copy_series(data: &Path, name: &str, folder: &Path) -> Vec<PathBuf> {
    fs::create_dir_all(folder).unwrap();
    let series = read(&data.join("dicom").join(name)).unwrap();
    let copied = series.source.paths().into_iter().map(|path| {
        let to = folder.join(format!("{name}_{}", path.file_name().unwrap().to_string_lossy()));
        fs::copy(path, &to).unwrap();
        to
    });
    copied.collect()
}

#[test]
fn three_missing_pet_slices_are_named_and_filled_between() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let files = copy_series(&data, "sts002_pet", dir.path());
    let whole = read(dir.path()).unwrap().volume;
    files[20..23].iter().for_each(|file| fs::remove_file(file).unwrap());
    let message = read(dir.path()).unwrap_err().to_string();
    assert!(message.contains("after slice 20 (3 missing)"), "{message}");
    let series = read_with(dir.path(), &RESAMPLE).unwrap();
    assert!(series.volume.geometry().corner_distance_mm(whole.geometry()) < 1e-6);
    assert!(matches!(series.warnings[..], [Warning::EvenedSlices { measured: 45, slices: 48, interpolated: 3, .. }]));
    let (ours, whole) = (series.volume.voxels(), whole.voxels());
    for z in 0..48 {
        let [ours, whole] = [&ours, &whole].map(|voxels| voxels.index_axis(ndarray::Axis(0), z));
        assert_eq!(ours == whole, !(20..23).contains(&z), "slice {z}");
    }
}

#[test]
fn an_uneven_tilted_series_is_evened_along_its_lean() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let files = copy_series(&data, "ct_philips_tilt-18.5", dir.path());
    let whole = read(dir.path()).unwrap().volume;
    fs::remove_file(&files[2]).unwrap();
    assert!(matches!(read(dir.path()), Err(Error::UnevenSlices { slice: 2, missing: 1, .. })));
    let series = read_with(dir.path(), &RESAMPLE).unwrap();
    assert!(series.volume.geometry().corner_distance_mm(whole.geometry()) < 1e-3);
}

#[test]
fn two_mixed_series_with_a_repeated_file_are_two_volumes() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let ct = copy_series(&data, "sts002_ct", dir.path());
    copy_series(&data, "sts002_pet", dir.path());
    fs::copy(&ct[5], dir.path().join("twin")).unwrap();
    let listed = list(dir.path()).unwrap();
    assert_eq!(
        listed.iter().map(|s| (s.modality, s.size[2])).collect::<Vec<_>>(),
        [(Modality::Ct, 48), (Modality::Pt, 48)]
    );
    let series = read_series(&listed[0]).unwrap();
    assert!(matches!(series.warnings[..], [Warning::DuplicateSlice { .. }]), "{:?}", series.warnings);
    assert_eq!(series.volume, read(&data.join("dicom/sts002_ct")).unwrap().volume);
}

/// What a PET header is made to say: `(decay correction, injection, scan)`; SUV per Bq/ml or what it lacks.
type PetRow<'a> = (&'a [(Tag, &'static str)], &'a [(Tag, &'static str)], Result<f64, &'static str>);

/// The PET of sts002 made into activity: 100 MBq of F-18 (half life 6586.2 s) given to 80 kg at 10:00:00.
fn activity_of(data: &Path, folder: &Path, header: &[(Tag, &str)], injection: &[(Tag, &str)]) {
    for file in copy_series(data, "sts002_pet", folder) {
        edit(&file, |object| {
            let base = [
                (tags::UNITS, VR::CS, "BQML"),
                (tags::PATIENT_WEIGHT, VR::DS, "80"),
                (tags::CORRECTED_IMAGE, VR::CS, "DECY\\ATTN"),
                (tags::SERIES_DATE, VR::DA, "20240301"),
                (tags::SERIES_TIME, VR::TM, "110000"),
                (tags::ACQUISITION_DATE, VR::DA, "20240301"),
                (tags::ACQUISITION_TIME, VR::TM, "110000"),
            ];
            base.iter().for_each(|&(tag, vr, value)| put(object, tag, vr, value));
            object.remove_element(tags::SUV_TYPE);
            let mut given = item(&[
                (tags::RADIONUCLIDE_TOTAL_DOSE, VR::DS, "100000000"),
                (tags::RADIONUCLIDE_HALF_LIFE, VR::DS, "6586.2"),
                (tags::RADIOPHARMACEUTICAL_START_TIME, VR::TM, "100000"),
            ]);
            for (&(tag, value), into_item) in
                header.iter().map(|h| (h, false)).chain(injection.iter().map(|i| (i, true)))
            {
                let target: &mut Object = if into_item { &mut given } else { object };
                if value.is_empty() {
                    target.remove_element(tag);
                } else {
                    put(target, tag, VR::LO, value);
                }
            }
            put_items(object, tags::RADIOPHARMACEUTICAL_INFORMATION_SEQUENCE, vec![given]);
        });
    }
}

#[test]
fn pet_activity_becomes_uptake_by_body_weight() {
    let Some(data) = data() else { return };
    let stored = read(&data.join("dicom/sts002_pet")).unwrap().volume;
    // W / D = 80 000 g / 1e8 Bq = 8e-4. One hour is 3600 / 6586.2 half lives: 8e-4 · 2^0.546597 = 1.1685095e-3.
    // At 11:30 it is 5400 / 6586.2: 8e-4 · 2^0.819896 = 1.4122319e-3.
    let hour = 8e-4 * (3600.0f64 / 6586.2).exp2();
    assert!((hour - 1.1685e-3).abs() < 1e-7);
    let ninety = 8e-4 * (5400.0f64 / 6586.2).exp2();
    let start = (tags::DECAY_CORRECTION, "START");
    let rows: [PetRow; 14] = [
        (&[start], &[], Ok(hour)),
        (&[(tags::DECAY_CORRECTION, "ADMIN")], &[], Ok(8e-4)),
        (&[(tags::DECAY_CORRECTION, "NONE"), (tags::ACQUISITION_TIME, "113000")], &[], Ok(ninety)),
        // A series time after the acquisition is that of later processing.
        (&[start, (tags::SERIES_TIME, "180000")], &[], Ok(hour)),
        // Given before midnight, scanned after.
        (
            &[start, (tags::SERIES_TIME, "003000"), (tags::ACQUISITION_TIME, "003000")],
            &[(tags::RADIOPHARMACEUTICAL_START_TIME, "233000")],
            Ok(hour),
        ),
        (&[start], &[(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, "20240301093000.00")], Ok(ninety)),
        (
            &[
                start,
                (tags::SERIES_DATE, "20240302"),
                (tags::ACQUISITION_DATE, "20240302"),
                (tags::SERIES_TIME, "003000"),
                (tags::ACQUISITION_TIME, "003000"),
            ],
            &[(tags::RADIOPHARMACEUTICAL_START_DATE_TIME, "20240301230000")],
            Ok(ninety),
        ),
        (&[start, (tags::PATIENT_WEIGHT, "")], &[], Err("Patient's Weight (0010,1030)")),
        (&[(tags::DECAY_CORRECTION, "")], &[], Err("Decay Correction (0054,1102)")),
        (&[start], &[(tags::RADIONUCLIDE_TOTAL_DOSE, "")], Err("Radionuclide Total Dose (0018,1074)")),
        (&[start], &[(tags::RADIONUCLIDE_HALF_LIFE, "")], Err("Radionuclide Half Life (0018,1075)")),
        (&[start], &[(tags::RADIOPHARMACEUTICAL_START_TIME, "")], Err("Radiopharmaceutical Start Time (0018,1072)")),
        (
            &[start],
            &[(tags::RADIOPHARMACEUTICAL_START_TIME, "130000")],
            Err("Radiopharmaceutical Start Time (0018,1072) before the scan"),
        ),
        (&[start, (tags::UNITS, "PROPCPS")], &[], Err("Units of BQML, GML or CNTS (0054,1001)")),
    ];
    for (header, injection, expected) in rows {
        let dir = tempfile::tempdir().unwrap();
        activity_of(&data, dir.path(), header, injection);
        let series = read(dir.path()).unwrap();
        let factor = match expected {
            Ok(factor) => {
                assert_eq!((series.volume.unit(), &series.warnings[..]), (Unit::Suv, &[][..]), "{header:?}");
                factor
            }
            Err(expected) => {
                let told =
                    |warning: &Warning| matches!(warning, Warning::NotUptake { lacking, .. } if *lacking == expected);
                assert!(matches!(&series.warnings[..], [warning] if told(warning)), "{:?}", series.warnings);
                assert_eq!(series.volume.unit(), Unit::Arbitrary);
                1.0
            }
        };
        let largest = stored.as_slice().iter().copied().fold(0.0, f32::max);
        for (&ours, &activity) in series.volume.as_slice().iter().zip(stored.as_slice()) {
            let expected = f64::from(activity) * factor;
            assert!(
                (f64::from(ours) - expected).abs() <= 1e-6 * f64::from(largest) * factor,
                "{header:?}: {ours} {expected}"
            );
        }
    }
    let dir = tempfile::tempdir().unwrap();
    activity_of(&data, dir.path(), &[start], &[]);
    let raw = ReadOptions { unit: Some(Unit::Arbitrary), ..ReadOptions::default() };
    assert_eq!(read_with(dir.path(), &raw).unwrap().volume.as_slice(), stored.as_slice(), "asked for as stored");
}

#[test]
fn philips_counts_take_their_private_factors() {
    let Some(data) = data() else { return };
    let stored = read(&data.join("dicom/sts002_pet")).unwrap().volume;
    let start = [(tags::DECAY_CORRECTION, "START"), (tags::UNITS, "CNTS")];
    // private factors -> SUV per count
    type Row<'a> = (&'a [(u16, &'a str)], Option<f64>);
    let rows: [Row; 4] = [
        (&[(0x1000, "0.000551")], Some(0.000551)),
        (&[(0x1009, "2.5")], Some(2.5 * 8e-4 * (3600.0f64 / 6586.2).exp2())),
        (&[(0x1000, "0"), (0x1009, "2.5")], Some(2.5 * 8e-4 * (3600.0f64 / 6586.2).exp2())),
        (&[], None),
    ];
    for (factors, expected) in rows {
        let dir = tempfile::tempdir().unwrap();
        activity_of(&data, dir.path(), &start, &[]);
        for entry in fs::read_dir(dir.path()).unwrap() {
            edit(&entry.unwrap().path(), |object| {
                put(object, Tag(0x7053, 0x0010), VR::LO, "Philips PET Private Group");
                factors.iter().for_each(|&(element, value)| put(object, Tag(0x7053, element), VR::DS, value));
            });
        }
        let series = read(dir.path()).unwrap();
        assert_eq!(series.volume.unit() == Unit::Suv, expected.is_some(), "{factors:?}: {:?}", series.warnings);
        let sum = |volume: &Volume| volume.as_slice().iter().map(|&v| f64::from(v)).sum::<f64>();
        let ratio = sum(&series.volume) / sum(&stored);
        assert!((ratio / expected.unwrap_or(1.0) - 1.0).abs() < 1e-6, "{factors:?}: {ratio}");
    }
}

//! Structure sets and segmentations on an image's grid: areas worked by hand, broken files, and the files of other programs
//! when `ISOSCAN_PEERS` names a Python with numpy and pydicom (more with highdicom and rt_utils).

use std::f64::consts::{PI, TAU};
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::{Affine3, Geometry};
use isoscan_io::{
    Error, RegionKind, Selector, Warning, list, list_regions, list_rois, list_segments, read, read_labels, read_mask,
    read_mask_on, read_rtstruct, read_segment,
};
use serde_json::Value;

use crate::fixture::{Dice, data, peers, put, put_items, put_u16, run_peer, save};

const FRAME: &str = "1.2.3.4";

fn of(fill: impl FnOnce(&mut InMemDicomObject)) -> InMemDicomObject {
    let mut object = InMemDicomObject::new_empty();
    fill(&mut object);
    object
}

fn contour(kind: &str, points: usize, data: &str) -> InMemDicomObject {
    of(|contour| {
        put(contour, tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, kind);
        put(contour, tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, &points.to_string());
        put(contour, tags::CONTOUR_DATA, VR::DS, data);
    })
}

fn closed(points: &[[f64; 3]]) -> InMemDicomObject {
    let words: Vec<String> = points.iter().flatten().map(|x| format!("{x:.6}")).collect();
    contour("CLOSED_PLANAR", points.len(), &words.join("\\"))
}

/// A structure set whose regions are numbered from 1.
fn structure_set(dir: &Path, rois: Vec<(&str, Vec<InMemDicomObject>)>) -> PathBuf {
    let path = dir.join("structures.dcm");
    let numbered = |i: usize| (i + 1).to_string();
    let names = rois.iter().enumerate().map(|(i, (name, _))| {
        of(|roi| {
            put(roi, tags::ROI_NUMBER, VR::IS, &numbered(i));
            put(roi, tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, FRAME);
            put(roi, tags::ROI_NAME, VR::LO, name);
        })
    });
    let names = names.collect();
    let drawn = rois.into_iter().enumerate().map(|(i, (_, contours))| {
        of(|roi| {
            put(roi, tags::REFERENCED_ROI_NUMBER, VR::IS, &numbered(i));
            put_items(roi, tags::CONTOUR_SEQUENCE, contours);
        })
    });
    let drawn = drawn.collect();
    let object = of(|set| {
        put(set, tags::MODALITY, VR::CS, "RTSTRUCT");
        put(set, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.481.3");
        put(set, tags::SOP_INSTANCE_UID, VR::UI, "1.2.3");
        put_items(set, tags::STRUCTURE_SET_ROI_SEQUENCE, names);
        put_items(set, tags::ROI_CONTOUR_SEQUENCE, drawn);
    });
    save(object, &path);
    path
}

/// A leaning grid with sheared slices, as of a tilted gantry.
fn tilted() -> Geometry {
    let (sin, cos) = 0.3f64.sin_cos();
    let directions = [[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, 0.0, 1.0]];
    Geometry::new([80, 80, 5], [0.5, 0.5, 3.0], [-20.0, -10.0, 50.0], directions).unwrap()
}

fn circle(grid: &Affine3, centre: [f64; 2], radius: f64, slice: f64) -> Vec<[f64; 3]> {
    let point = |i: u32| {
        let angle = f64::from(i) / 400.0 * TAU;
        grid.apply([centre[0] + radius * angle.cos(), centre[1] + radius * angle.sin(), slice])
    };
    (0..400).map(point).collect()
}

fn square(grid: &Affine3, low: f64, high: f64, slice: f64) -> Vec<[f64; 3]> {
    [[low, low], [high, low], [high, high], [low, high]].map(|[x, y]| grid.apply([x, y, slice])).to_vec()
}

#[test]
fn discs_and_rings_on_a_tilted_grid_have_their_area() {
    let dir = tempfile::tempdir().unwrap();
    let grid = tilted();
    let map = grid.world_from_voxel();
    let disc: Vec<_> = (0..5).map(|k| closed(&circle(&map, [39.3, 41.8], 30.0, f64::from(k)))).collect();
    let ring = |k: i32| [30.0, 12.0].map(|radius| closed(&circle(&map, [39.3, 41.8], radius, f64::from(k))));
    let ring: Vec<_> = (0..5).flat_map(ring).collect();
    let path = structure_set(dir.path(), vec![("disc", disc), ("ring", ring)]);
    let listed: Vec<_> =
        list_rois(&path).unwrap().into_iter().map(|roi| (roi.number, roi.name, roi.contours)).collect();
    assert_eq!(listed, [(1, "disc".to_owned(), 5), (2, "ring".to_owned(), 10)]);
    for (selector, area) in [
        (Selector::from("disc"), 900.0 * PI),
        (Selector::from(1), 900.0 * PI),
        (Selector::from("ring"), (900.0 - 144.0) * PI),
    ] {
        let region = read_rtstruct(&path, &selector, &grid, Some(FRAME)).unwrap();
        let found = region.mask.count() as f64 / 5.0;
        assert!((found / area - 1.0).abs() < 5e-3, "{selector:?}: {found} pixels for {area}");
        assert_eq!(region.warnings, []);
    }
    let files = list_regions(dir.path()).unwrap();
    assert_eq!((files.len(), files[0].kind), (1, RegionKind::StructureSet));
    assert_eq!(files[0].frame_of_reference.as_deref(), Some(FRAME));
    assert!(matches!(read(&path), Err(Error::Unsupported { what, .. }) if what.contains("structure set")));
}

#[test]
fn contours_belong_to_the_nearest_slice_and_none_are_invented() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Geometry::axis_aligned([20, 20, 9], [1.0, 1.0, 2.0]).unwrap();
    let map = grid.world_from_voxel();
    let at = |slices: &[f64]| slices.iter().map(|&k| closed(&square(&map, 2.5, 12.5, k))).collect::<Vec<_>>();
    let slices_of = |contours| {
        let path = structure_set(dir.path(), vec![("roi", contours)]);
        let region = read_rtstruct(&path, &Selector::from(1), &grid, None).unwrap();
        let inside = region.mask.inside();
        let filled = inside.outer_iter().map(|slice| slice.iter().filter(|inside| **inside).count());
        let filled: Vec<(usize, usize)> = filled.enumerate().filter(|(_, count)| *count > 0).collect();
        (filled, region.warnings)
    };
    let (slices, warnings) = slices_of(at(&[1.0, 4.0, 7.0]));
    assert_eq!(
        (slices, warnings),
        (vec![(1, 100), (4, 100), (7, 100)], vec![Warning::SlicesWithoutContours { count: 4 }])
    );
    let (slices, warnings) = slices_of(at(&[1.5, 2.5]));
    assert_eq!(slices, [(1, 100), (2, 100)]);
    assert!(matches!(warnings[..], [Warning::ContoursBetweenSlices { count: 2, .. }]), "{warnings:?}");
    let (slices, warnings) = slices_of(at(&[2.0, 2.3, 3.0]));
    assert_eq!(slices, [(2, 100), (3, 100)]);
    assert!(matches!(warnings[..], [Warning::ContoursDropped { count: 1, .. }]), "{warnings:?}");
    let (slices, warnings) = slices_of(at(&[2.0, 2.0, 30.0]));
    assert_eq!(slices, [(2, 100)]);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn sagittal_contours_fill_their_own_planes() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Geometry::axis_aligned([20, 20, 9], [1.0, 1.0, 2.0]).unwrap();
    let map = grid.world_from_voxel();
    let plane = |x: f64| [[x, 2.5, 1.5], [x, 12.5, 1.5], [x, 12.5, 6.5], [x, 2.5, 6.5]].map(|p| map.apply(p));
    let path = structure_set(dir.path(), vec![("roi", vec![closed(&plane(3.0)), closed(&plane(4.0))])]);
    assert_eq!(read_rtstruct(&path, &Selector::from(1), &grid, None).unwrap().mask.count(), 2 * 10 * 5);
}

#[test]
fn regions_that_cannot_be_drawn_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Geometry::axis_aligned([20, 20, 9], [1.0, 1.0, 2.0]).unwrap();
    let map = grid.world_from_voxel();
    let good = square(&map, 2.5, 12.5, 4.0);
    let slanted: Vec<[f64; 3]> = good.iter().map(|p| [p[0], p[1], p[2] + p[0] + p[1]]).collect();
    let rows: Vec<(Vec<InMemDicomObject>, &str)> = vec![
        (vec![], "empty region 1: it has no contours"),
        (vec![closed(&square(&map, 2.5, 12.5, 40.0))], "empty region 1: its contours lie outside the grid"),
        (vec![closed(&square(&map, 2.1, 2.4, 4.0))], "empty region 1: no voxel centre lies inside its contours"),
        (vec![contour("POINT", 1, "1\\2\\3")], "not supported: region of points or open lines"),
        (vec![closed(&slanted)], "not supported: contours that are not parallel to a plane of the grid"),
        (
            vec![contour("CLOSED_PLANAR", 3, "1\\2\\3\\4\\5\\6\\7\\8")],
            "Contour Data: expected three finite numbers per point",
        ),
        (
            vec![contour("CLOSED_PLANAR", 3, "1\\2\\3\\4\\x\\6\\7\\8\\9")],
            "Contour Data: expected three finite numbers per point",
        ),
        (
            vec![contour("CLOSED_PLANAR", 3, "1\\2\\3\\4\\1e99\\6\\7\\8\\9")],
            "Contour Data: expected three finite numbers per point",
        ),
        (
            vec![contour("CLOSED_PLANAR", 4, "1\\2\\3\\4\\5\\6\\7\\8\\9")],
            "Number of Contour Points: expected the number of points",
        ),
    ];
    for (contours, expected) in rows {
        let path = structure_set(dir.path(), vec![("roi", contours)]);
        let found = read_rtstruct(&path, &Selector::from("roi"), &grid, None).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{found} for {expected}");
    }
    let path = structure_set(dir.path(), vec![("roi", vec![closed(&good)]), ("roi", vec![closed(&good)])]);
    for selector in [Selector::from("roi"), Selector::from("other"), Selector::from(9)] {
        let refused = read_rtstruct(&path, &selector, &grid, None);
        assert!(matches!(refused, Err(Error::NoSuchRegion { .. })), "{refused:?}");
    }
    assert!(matches!(read_mask_on(&path, None, &grid, None), Err(Error::NoSuchRegion { .. })));
    let elsewhere = read_rtstruct(&path, &Selector::from(1), &grid, Some("9.9"));
    assert!(matches!(elsewhere, Err(Error::FrameOfReference { .. })), "{elsewhere:?}");
}

/// A segmentation of 5 x 3 pixels a frame whose bits run on from frame to frame.
fn segmentation(dir: &Path, kind: &str, frames: &[(u16, f64)], pixels: Vec<u8>) -> PathBuf {
    let path = dir.join(format!("{kind}.dcm"));
    let object = of(|seg| {
        put(seg, tags::MODALITY, VR::CS, "SEG");
        put(seg, tags::SOP_CLASS_UID, VR::UI, "1.2.840.10008.5.1.4.1.1.66.4");
        put(seg, tags::SOP_INSTANCE_UID, VR::UI, "1.2.3");
        put(seg, tags::FRAME_OF_REFERENCE_UID, VR::UI, FRAME);
        put(seg, tags::SEGMENTATION_TYPE, VR::CS, kind);
        put(seg, tags::NUMBER_OF_FRAMES, VR::IS, &frames.len().to_string());
        put(seg, tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        let bits = if kind == "BINARY" { 1u16 } else { 8 };
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, 3),
            (tags::COLUMNS, 5),
            (tags::BITS_ALLOCATED, bits),
            (tags::BITS_STORED, bits),
            (tags::HIGH_BIT, bits - 1),
            (tags::PIXEL_REPRESENTATION, 0),
            (tags::MAXIMUM_FRACTIONAL_VALUE, 200),
        ] {
            put_u16(seg, tag, value);
        }
        let segment = |number: u16| {
            of(|segment| {
                put_u16(segment, tags::SEGMENT_NUMBER, number);
                put(segment, tags::SEGMENT_LABEL, VR::LO, &format!("part {number}"));
                let code = of(|code| {
                    put(code, tags::CODE_VALUE, VR::SH, "10200004");
                    put(code, tags::CODING_SCHEME_DESIGNATOR, VR::SH, "SCT");
                    put(code, tags::CODE_MEANING, VR::LO, "Liver");
                });
                put_items(segment, tags::SEGMENTED_PROPERTY_TYPE_CODE_SEQUENCE, vec![code]);
            })
        };
        put_items(seg, tags::SEGMENT_SEQUENCE, vec![segment(1), segment(2)]);
        let shared = of(|shared| {
            let orientation = of(|o| put(o, tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0"));
            let measures = of(|m| {
                put(m, tags::PIXEL_SPACING, VR::DS, "2\\1");
                put(m, tags::SPACING_BETWEEN_SLICES, VR::DS, "3");
            });
            put_items(shared, tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation]);
            put_items(shared, tags::PIXEL_MEASURES_SEQUENCE, vec![measures]);
        });
        put_items(seg, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]);
        let frame = |&(number, z): &(u16, f64)| {
            of(|frame| {
                let position = of(|p| put(p, tags::IMAGE_POSITION_PATIENT, VR::DS, &format!("10\\20\\{z}")));
                put_items(frame, tags::PLANE_POSITION_SEQUENCE, vec![position]);
                let which = of(|w| {
                    put_u16(w, tags::REFERENCED_SEGMENT_NUMBER, number);
                });
                put_items(frame, tags::SEGMENT_IDENTIFICATION_SEQUENCE, vec![which]);
            })
        };
        put_items(seg, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames.iter().map(frame).collect());
        seg.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::from(pixels)));
    });
    save(object, &path);
    path
}

/// Bits packed lowest first, frames not aligned to bytes, padded to an even length.
fn packed(pixels: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        pixels.chunks(8).map(|bits| bits.iter().enumerate().map(|(i, bit)| bit << i).sum::<u8>()).collect();
    bytes.resize(bytes.len().next_multiple_of(2), 0);
    bytes
}

#[test]
fn binary_frames_that_begin_inside_bytes_are_put_on_their_planes() {
    let dir = tempfile::tempdir().unwrap();
    let first = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let second = [0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0];
    let path = segmentation(dir.path(), "BINARY", &[(1, 109.0), (2, 100.0)], packed(&[first, second].concat()));
    let segments = list_segments(&path).unwrap();
    assert_eq!(
        segments.iter().map(|s| (s.number, &*s.label, s.frames)).collect::<Vec<_>>(),
        [(1, "part 1", 1), (2, "part 2", 1)]
    );
    assert_eq!(segments[0].property.as_ref().unwrap().meaning, "Liver");

    let labels = read_labels(&path).unwrap();
    assert_eq!((labels.geometry().size(), labels.geometry().spacing_mm()), ([5, 3, 4], [1.0, 2.0, 3.0]));
    assert_eq!(labels.geometry().origin_mm(), [10.0, 20.0, 100.0]);
    let expected: Vec<f32> = [second.map(|b| f32::from(b) * 2.0), [0.0; 15], [0.0; 15], first.map(f32::from)].concat();
    assert_eq!(labels.as_slice(), expected);
    assert_eq!(read_mask(&path, None).unwrap().count(), 6);
    assert_eq!(list(&path).unwrap()[0].size, [5, 3, 4]);

    let reversed = [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]];
    let grid = Geometry::new([8, 3, 4], [1.0, 2.0, 3.0], [16.0, 20.0, 109.0], reversed).unwrap();
    let region = read_segment(&path, &Selector::from("part 1"), &grid, Some(FRAME)).unwrap();
    let inside: Vec<_> = region.mask.inside().indexed_iter().filter(|(_, i)| **i).map(|(at, _)| at).collect();
    assert_eq!((inside, region.warnings), (vec![(0, 0, 2), (0, 0, 6), (0, 2, 2)], vec![]));
    let fine = Geometry::new(
        [10, 6, 10],
        [0.5, 1.0, 1.5],
        [10.0, 20.0, 100.0],
        Geometry::axis_aligned([1; 3], [1.0; 3]).unwrap().direction(),
    )
    .unwrap();
    let region = read_segment(&path, &Selector::from(2), &fine, None).unwrap();
    assert_eq!(region.warnings, [Warning::Resampled]);
    assert!(matches!(read_segment(&path, &Selector::from(1), &grid, Some("9")), Err(Error::FrameOfReference { .. })));
    assert!(matches!(read_segment(&path, &Selector::from(7), &grid, None), Err(Error::NoSuchRegion { .. })));
}

#[test]
fn fractions_label_maps_and_overlaps_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let fractions = [0, 99, 100, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255];
    let both = [fractions, fractions].concat();
    let path = segmentation(dir.path(), "FRACTIONAL", &[(1, 0.0), (2, 3.0)], both.clone());
    let series = read(&path).unwrap();
    assert_eq!(series.volume.as_slice()[..15].iter().filter(|v| **v == 1.0).count(), 3);
    assert_eq!(series.warnings, [Warning::Fractional]);
    let overlapping = segmentation(dir.path(), "FRACTIONAL", &[(1, 0.0), (2, 0.0)], both);
    let refused = read_labels(&overlapping);
    assert!(matches!(refused, Err(Error::OverlappingSegments { first: 1, second: 2, voxels: 3, .. })), "{refused:?}");
    assert_eq!(read_mask(&overlapping, Some(2)).unwrap().count(), 3);
    let labels = [0, 1, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
    let path = segmentation(dir.path(), "LABELMAP", &[(0, 0.0)], [labels.to_vec(), vec![0]].concat());
    assert_eq!(read_labels(&path).unwrap().as_slice(), labels.map(f32::from));
    let uneven = segmentation(dir.path(), "FRACTIONAL", &[(1, 0.0), (1, 3.0), (2, 7.4)], vec![0; 46]);
    assert!(matches!(read(&uneven), Err(Error::UnevenSlices { .. })));
    let short = segmentation(dir.path(), "BINARY", &[(1, 0.0), (1, 3.0), (2, 6.0)], vec![0; 2]);
    assert!(matches!(read(&short), Err(Error::Truncated { .. })));
}

#[test]
fn mutants_of_regions_are_read_or_refused_but_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let grid = Geometry::axis_aligned([20, 20, 9], [1.0, 1.0, 2.0]).unwrap();
    let map = grid.world_from_voxel();
    let drawn = structure_set(
        dir.path(),
        vec![("a", vec![closed(&square(&map, 2.5, 12.5, 4.0)), closed(&circle(&map, [8.0, 8.0], 3.0, 4.0))])],
    );
    let binary = segmentation(dir.path(), "BINARY", &[(1, 3.0), (2, 0.0)], vec![0x5A; 4]);
    let labels = segmentation(dir.path(), "LABELMAP", &[(0, 0.0), (0, 3.0)], (0..30).collect());
    let seeds = [drawn, binary, labels].map(|path| std::fs::read(path).unwrap());
    let mut dice = Dice(11);
    let path = dir.path().join("mutant");
    let (mut opened, mut refused) = (0, 0);
    for round in 0..3000 {
        let mut bytes = seeds[round % 3].clone();
        for _ in 0..=dice.roll(3) {
            let at = 132 + dice.roll(bytes.len() - 132);
            match dice.roll(4) {
                0 if dice.roll(4) == 0 => bytes.truncate(at.max(200)),
                1 => bytes[at] ^= 1 << dice.roll(8),
                2 => bytes[at] = b"0123456789-+.e\\\xff"[dice.roll(16)],
                _ => bytes[at] = dice.roll(256) as u8,
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        for outcome in [
            read_mask_on(&path, Some(&Selector::from(1)), &grid, None).map(drop),
            read_labels(&path).map(drop),
            list_regions(&path).map(drop),
        ] {
            match outcome {
                Ok(()) => opened += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(opened > 1000 && refused > 1000, "{opened} read, {refused} refused");
}

#[test]
fn regions_of_other_programs_give_their_voxels() {
    let (Some(python), Some(data)) = (peers(), data()) else { return };
    for name in ["sts002_ct", "mr_sag_hfdl"] {
        let dir = tempfile::tempdir().unwrap();
        let source = data.join("dicom").join(name);
        run_peer(&python, "regions.py", &[dir.path().as_ref(), source.as_ref()]);
        let image = read(&source).unwrap();
        let frame = image.source.frame_of_reference();
        let text = std::fs::read_to_string(dir.path().join("expected.json")).unwrap();
        for row in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let file = row["file"].as_str().unwrap();
            let selector = match row["selector"].as_str() {
                Some(name) => Selector::from(name),
                None => Selector::from(row["selector"].as_i64().unwrap() as i32),
            };
            let grid = image.volume.geometry();
            let region = read_mask_on(&dir.path().join(file), Some(&selector), grid, frame.as_deref()).unwrap();
            let expected = std::fs::read(dir.path().join(row["mask"].as_str().unwrap())).unwrap();
            let differs = |(inside, expected): (&bool, &u8)| *expected < 2 && *inside != (*expected == 1);
            let off = region.mask.inside().iter().zip(&expected).filter(|pair| differs(*pair)).count();
            println!("{name} {file} {selector:?}: {} voxels, {off} differ, {:?}", region.mask.count(), region.warnings);
            assert!(off == 0, "{name} {file} {selector:?}: {off} voxels differ");
        }
    }
}

//! NRRD, MetaImage, PNG and TIFF: worked files, hostile files, and both ways against SimpleITK when `ISOSCAN_PEERS` names a
//! Python that has it.

use std::path::PathBuf;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{
    Derivation, Error, Series, SeriesKind, Source, Warning, list, read, read_labels, read_mask, read_series, write,
    write_png, write_tiff,
};
use ndarray::Array3;
use serde_json::{Value, json};

use crate::fixture::{Dice, bytes_of, lps_affine, peers, run_peer};

const ENDINGS: [&str; 4] = ["nrrd", "nhdr", "mha", "mhd"];

fn oblique() -> Volume {
    let geometry = Geometry::new(
        [6, 5, 4],
        [0.7, 0.9, 2.5],
        [-31.25, 12.5, 400.125],
        [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.1, 0.2, 1.0]],
    )
    .unwrap();
    let voxels = Array3::from_shape_fn((4, 5, 6), |(z, y, x)| (z * 31 + y * 7 + x * 3) as f32 * 1.37 - 50.0);
    Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap()
}

fn derivation() -> Derivation {
    Derivation {
        plugin_id: "identity".into(),
        description: "a \\ b\nüñ \"c\" = d := e".into(),
        ..Derivation::default()
    }
}

fn file_source(series: &Series) -> &isoscan_io::FileSource {
    match &series.source {
        Source::File(source) => source,
        other => panic!("{other:?}"),
    }
}

/// Directions as SimpleITK 2.5 gives them for the same columns: 1/s is rounded before it is multiplied.
#[test]
fn nrrd_cosines_are_those_of_itk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nrrd");
    let columns = [[0.0, -0.37440960575628457, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.7529869456920513]];
    let vectors = columns.map(|[x, y, z]| format!("({x},{y},{z})")).join(" ");
    let header = "NRRD0004\ntype: uchar\ndimension: 3\nspace: left-posterior-superior\nsizes: 1 1 1";
    let text = format!("{header}\nspace directions: {vectors}\nspace origin: (0,0,0)\nencoding: raw\n\n\0");
    std::fs::write(&path, text).unwrap();
    let geometry = read(&path).unwrap().volume.geometry().clone();
    assert_eq!(geometry.spacing_mm(), [0.37440960575628457, 2.0, 1.7529869456920513]);
    let below_one = 0.9999999999999999;
    assert_eq!(geometry.direction(), [[0.0, -below_one, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, below_one]]);
}

#[test]
fn what_is_written_is_read_back_with_grid_meaning_and_making() {
    let dir = tempfile::tempdir().unwrap();
    let volume = oblique();
    for ending in ENDINGS.into_iter().chain(["tif", "tiff"]) {
        let path = dir.path().join(format!("a.1.2.{ending}"));
        let files = write(&path, &volume, None, Some(&derivation())).unwrap().files;
        assert!(files.iter().all(|file| file.is_file()), "{files:?}");
        let series = read(&path).unwrap();
        assert_eq!(series.volume.as_slice(), volume.as_slice(), "{ending}");
        let off = series.volume.geometry().corner_distance_mm(volume.geometry());
        assert!(off < 1e-9, "{ending}: {off}");
        assert_eq!((series.volume.modality(), series.volume.unit()), (Modality::Ct, Unit::Hounsfield));
        assert_eq!(series.warnings, [], "{ending}");
        let made = file_source(&series).derivation().unwrap();
        assert_eq!(made.plugin_id, "identity");
        if !ending.starts_with("tif") {
            assert_eq!(*made, derivation(), "{ending}");
            assert_eq!(series.source.paths(), files, "{ending}");
        }
        let first = std::fs::read(&path).unwrap();
        let long = Derivation { description: "long   ".repeat(8000), ..derivation() };
        write(&path, &volume, None, Some(&long)).unwrap();
        assert_eq!(*file_source(&read(&path).unwrap()).derivation().unwrap(), long, "{ending}");
        write(&path, &volume, None, Some(&derivation())).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "{ending} differs between runs");
    }
}

#[test]
fn labels_take_the_smallest_integers_and_unchanged_images_keep_their_type() {
    let dir = tempfile::tempdir().unwrap();
    let labels = oblique().map(|v| if v > 0.0 { 3.0 } else { 0.0 }).with_meaning(Modality::Seg, Unit::Label);
    for ending in ENDINGS {
        let path = dir.path().join(format!("labels.{ending}"));
        write(&path, &labels, None, None).unwrap();
        assert_eq!(read_labels(&path).unwrap().as_slice(), labels.as_slice());
        assert_eq!(read_mask(&path, Some(3)).unwrap().count(), labels.as_slice().iter().filter(|v| **v == 3.0).count());
        let series = read(&path).unwrap();
        let again = dir.path().join(format!("again.{ending}"));
        let plain = series.volume.clone().with_meaning(Modality::Ot, Unit::Arbitrary);
        write(&again, &plain, Some(&series.source), None).unwrap();
        let header = String::from_utf8_lossy(&std::fs::read(&again).unwrap()).into_owned();
        assert!(header.contains("uint8") || header.contains("MET_UCHAR"), "{ending}");
        let fraction = labels.map(|v| v + 0.5);
        let refused = write(&path, &fraction, None, None);
        assert!(matches!(refused, Err(Error::NotALabelMap { .. })), "{ending}: {refused:?}");
    }
}

#[test]
fn pictures_state_their_scale_and_clip_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let geometry = Geometry::axis_aligned([5, 4, 1], [0.5, 0.25, 1.0]).unwrap();
    let voxels = Array3::from_shape_fn((1, 4, 5), |(_, y, x)| (y * 5 + x) as f32 * 10.0 - 100.0);
    let hu = Volume::new(voxels, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
    let path = dir.path().join("hu.png");

    let scale = write_png(&path, &hu, None, None).unwrap();
    assert_eq!((scale.slope, scale.intercept, scale.clipped), (1.0, -100.0, 0));
    let back = read(&path).unwrap();
    assert_eq!((back.volume, back.warnings), (hu.clone(), vec![]));

    let fractions = hu.map(|v| v / 7.0);
    let scale = write_png(&path, &fractions, None, None).unwrap();
    assert_eq!(scale.clipped, 0);
    let back = read(&path).unwrap().volume;
    let bound = scale.slope / 2.0 + 1e-5;
    let off = |a: &Volume, b: &Volume| {
        a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
    };
    assert!(off(&back, &fractions) <= bound);

    for (picture, scale) in [
        ("window.png", write_png(&dir.path().join("window.png"), &hu, Some((-50.0, 50.0)), None).unwrap()),
        ("window.tif", write_tiff(&dir.path().join("window.tif"), &hu, Some((-50.0, 50.0)), None).unwrap()),
    ] {
        assert_eq!(scale.clipped, 5 + 4, "{picture}");
        let back = read(&dir.path().join(picture)).unwrap().volume;
        let clipped = hu.map(|v| v.clamp(-50.0, 50.0));
        assert!(off(&back, &clipped) <= scale.slope / 2.0 + 1e-5, "{picture}");
    }
    for (window, volume) in [(Some((1.0, 1.0)), hu.clone()), (None, hu.map(|_| f32::NAN))] {
        assert!(write_png(&path, &volume, window, None).is_err());
    }
    assert!(matches!(write_png(&path, &oblique(), None, None), Err(Error::Unsupported { .. })));
}

#[test]
fn pictures_without_a_size_in_space_are_read_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plain.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 3, 2);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Two);
    encoder.write_header().unwrap().write_image_data(&[0b00_01_10_00, 0b11_10_01_00]).unwrap();
    let series = read(&path).unwrap();
    assert_eq!(series.volume.as_slice(), [0.0, 1.0, 2.0, 3.0, 2.0, 1.0]);
    assert_eq!(series.warnings, [Warning::NoPixelSpacing, Warning::NoOrientation]);

    for (colour, bytes) in [(png::ColorType::Rgb, 18), (png::ColorType::GrayscaleAlpha, 12)] {
        let path = dir.path().join("colour.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 3, 2);
        encoder.set_color(colour);
        encoder.write_header().unwrap().write_image_data(&vec![7; bytes]).unwrap();
        let refused = read(&path);
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
    }
}

#[test]
fn a_picture_beside_images_is_no_series() {
    let dir = tempfile::tempdir().unwrap();
    let flat = oblique().map(|v| v.round());
    write(&dir.path().join("scan.mha"), &flat, None, None).unwrap();
    let slice =
        Volume::filled(1.0, Geometry::axis_aligned([3, 3, 1], [1.0; 3]).unwrap(), Modality::Ot, Unit::Arbitrary);
    write(&dir.path().join("view.png"), &slice, None, None).unwrap();
    assert_eq!(read(dir.path()).unwrap().volume.as_slice(), flat.as_slice());
    std::fs::remove_file(dir.path().join("scan.mha")).unwrap();
    assert_eq!(list(dir.path()).unwrap()[0].kind, SeriesKind::Png);
}

/// A header of 2 x 2 x 1 shorts with a line replaced or added, and its voxels.
fn nrrd(from: &str, to: &str) -> Vec<u8> {
    let head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 2 2 1\nencoding: raw\nendian: little\nspacings: 1 1 1\n\n";
    assert!(head.contains(from), "{from}");
    [head.replace(from, to).as_bytes(), &[1, 0, 2, 0, 3, 0, 4, 0]].concat()
}

fn mha(from: &str, to: &str) -> Vec<u8> {
    let head = "ObjectType = Image\nNDims = 3\nDimSize = 2 2 1\nElementType = MET_SHORT\nElementSpacing = 1 1 1\n\
        Offset = 0 0 0\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nElementDataFile = LOCAL\n";
    assert!(head.contains(from), "{from}");
    [head.replace(from, to).as_bytes(), &[1, 0, 2, 0, 3, 0, 4, 0]].concat()
}

#[test]
fn broken_headers_are_refused_with_what_was_expected_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let rows: [(Vec<u8>, &str); 25] = [
        (nrrd("encoding: raw", "encoding: bzip2"), "not supported: NRRD encoding bzip2"),
        (nrrd("encoding: raw", "encoding: hex"), "not supported: NRRD encoding hex"),
        (nrrd("encoding: raw", "encoding: gzip"), "cannot decode deflated voxels"),
        (nrrd("type: short", "type: block"), "not supported: NRRD voxels of opaque blocks"),
        (nrrd("type: short", "type: shorts"), "type: expected a number type of NRRD, found shorts"),
        (nrrd("endian: little\n", ""), "endian: expected little or big, found nothing"),
        (nrrd("sizes: 2 2 1", "sizes: 2 2 0"), "sizes: expected one positive number per dimension"),
        (nrrd("sizes: 2 2 1", "sizes: 2 2 9999999999"), "voxels truncated: expected"),
        (nrrd("sizes: 2 2 1", "sizes: 4294967296 4294967296 4294967296"), "array"),
        (nrrd("spacings: 1 1 1", "spacings: 1 0 1"), "no valid grid"),
        (nrrd("spacings: 1 1 1", "kinds: complex domain domain"), "not supported: NRRD of complex numbers"),
        (nrrd("spacings: 1 1 1", "kinds: domain"), "kinds: expected one word per dimension"),
        (nrrd("spacings: 1 1 1", "space directions: (1,0,0) (0,1"), "space directions: expected a vector or none"),
        (
            nrrd("spacings: 1 1 1", "data file: ../secret.raw"),
            "data file: expected a file below the folder of the header",
        ),
        (
            nrrd("spacings: 1 1 1", "data file: /etc/passwd"),
            "data file: expected a file below the folder of the header",
        ),
        (
            nrrd("spacings: 1 1 1", "data file: LIST\n../../x"),
            "data file: expected a file below the folder of the header",
        ),
        (nrrd("spacings: 1 1 1", "data file: s%09999999999d.raw 1 2 1"), "data file: expected a pattern with one %d"),
        (nrrd("spacings: 1 1 1", "data file: s%d.raw 1 999999999 1"), "data file: expected a pattern with one %d"),
        (nrrd("spacings: 1 1 1", "data file: gone.raw"), "not supported: a header without its data file"),
        (mha("LOCAL", "../secret.raw"), "ElementDataFile: expected a file below the folder of the header"),
        (mha("MET_SHORT", "MET_STRING"), "not supported: MetaIO object"),
        (mha("2 2 1", "2 2 99999"), "voxels truncated: expected"),
        (mha("NDims = 3", "NDims = three"), "NDims: expected 2 to 10, found three"),
        (mha("1 0 0 0 1 0 0 0 1", "1 0 0 1 0 0 0 0 1"), "no valid grid"),
        (mha("Offset = 0 0 0", "Offset = 0 0 inf"), "Offset: expected as many numbers"),
    ];
    for (index, (bytes, expected)) in rows.iter().enumerate() {
        let path = dir.path().join(format!("broken{index}"));
        std::fs::write(&path, bytes).unwrap();
        let found = read(&path).unwrap_err().to_string();
        let expected = expected.replace("MetaIO object", "MetaImage of elements that are no numbers");
        assert!(found.starts_with(&expected) || (expected == "array" && found.contains("size")), "{index}: {found}");
    }
}

#[test]
fn a_metaimage_scale_is_applied_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scaled.mha");
    let scaled = "ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -1\nElementDataFile = LOCAL";
    std::fs::write(&path, mha("ElementDataFile = LOCAL", scaled)).unwrap();
    let series = read(&path).unwrap();
    assert_eq!(series.volume.as_slice(), [1.0, 3.0, 5.0, 7.0]);
    assert_eq!(series.warnings, [Warning::Rescaled { slope: 2.0, intercept: -1.0 }]);
}

#[test]
fn mutants_of_small_files_are_read_or_refused_but_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let volume = oblique().map(|v| v.round());
    let flat = Volume::filled(9.0, Geometry::axis_aligned([9, 7, 1], [1.0; 3]).unwrap(), Modality::Ot, Unit::Arbitrary);
    let mut seeds = vec![nrrd("raw", "raw"), mha("LOCAL", "LOCAL"), nrrd("raw", "text")];
    for name in ["a.nrrd", "a.mha", "a.tif"] {
        write(&dir.path().join(name), &volume, None, Some(&derivation())).unwrap();
        seeds.push(std::fs::read(dir.path().join(name)).unwrap());
    }
    write_tiff(&dir.path().join("w.tif"), &volume, Some((-10.0, 10.0)), None).unwrap();
    seeds.push(std::fs::read(dir.path().join("w.tif")).unwrap());
    write(&dir.path().join("a.png"), &flat, None, None).unwrap();
    seeds.push(std::fs::read(dir.path().join("a.png")).unwrap());
    let words: [&[u8]; 12] = [
        b"99999999999",
        b"-1",
        b"0",
        b"nan",
        b"inf",
        b"none",
        b"LIST",
        b"%d",
        b"\n",
        b"..",
        b"gzip",
        b"\xff\xff\xff\xff",
    ];
    let mut dice = Dice(7);
    let path = dir.path().join("mutant");
    let (mut opened, mut refused) = (0, 0);
    for round in 0..4000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=dice.roll(3) {
            let at = dice.roll(bytes.len());
            match dice.roll(5) {
                0 => bytes.truncate(at.max(9)),
                1 => bytes[at] ^= 1 << dice.roll(8),
                2 => bytes[at] = dice.roll(256) as u8,
                3 => drop(bytes.drain(at..(at + dice.roll(9)).min(bytes.len()))),
                _ => drop(bytes.splice(at..at, words[dice.roll(words.len())].iter().copied())),
            }
            if bytes.is_empty() {
                bytes.push(0);
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let outcome = list(&path).and_then(|found| found.first().map_or_else(|| read(&path), read_series));
        match outcome {
            Ok(_) => opened += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(opened > 200 && refused > 1000, "{opened} read, {refused} refused");
}

fn floats(path: PathBuf) -> Vec<f32> {
    std::fs::read(path).unwrap().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn images_of_simpleitk_are_read_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let Some(python) = peers() else { return };
    run_peer(&python, "formats.py", &["make".as_ref(), dir.path().as_ref()]);
    let text = std::fs::read_to_string(dir.path().join("expected.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    for row in &rows {
        let name = row["file"].as_str().unwrap();
        let found = list(&dir.path().join(name)).unwrap();
        assert_eq!(found.len() as u64, row["volumes"].as_u64().unwrap(), "{name}");
        let series = read_series(&found[row["volume"].as_u64().unwrap() as usize]).unwrap();
        assert_eq!(json!(series.volume.geometry().size()), row["size"], "{name}");
        let expected = floats(dir.path().join(row["voxels"].as_str().unwrap()));
        assert!(series.volume.as_slice() == expected, "{name}: other voxels");
        if !row["affine"].is_null() {
            let ours = lps_affine(series.volume.geometry());
            let off = (0..12).map(|i| (ours[i / 4][i % 4] - row["affine"][i / 4][i % 4].as_f64().unwrap()).abs());
            let off = off.fold(0.0, f64::max);
            assert!(off <= 1e-6, "{name}: affine off by {off}");
        }
        assert!(found.len() == 1 || matches!(read(&dir.path().join(name)), Err(Error::SeveralVolumes { .. })));
    }
    println!("{} volumes as SimpleITK wrote them", rows.len());
}

#[test]
fn simpleitk_reads_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut rows = Vec::new();
    let mut note = |name: &str, volume: &Volume, slope: f64, intercept: f64, tolerance: f64| {
        let raw = format!("{name}.f32");
        std::fs::write(dir.path().join(&raw), bytes_of(volume.as_slice())).unwrap();
        let pictures = name.ends_with("png") || name.ends_with("tif");
        let affine = (!pictures).then(|| lps_affine(volume.geometry()));
        rows.push(json!({
            "file": name, "voxels": raw, "affine": affine, "slope": slope, "intercept": intercept, "tolerance": tolerance,
        }));
    };
    // SimpleITK keeps no sheared axes.
    let oblique = oblique();
    let upright = [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]];
    let geometry = Geometry::new([6, 5, 4], [0.7, 0.9, 2.5], oblique.geometry().origin_mm(), upright).unwrap();
    let volume = Volume::new(oblique.voxels().to_owned(), geometry, Modality::Ct, Unit::Hounsfield).unwrap();
    let labels = volume.map(|v| if v > 0.0 { 300.0 } else { 0.0 }).with_meaning(Modality::Seg, Unit::Label);
    let long = Derivation { description: "long ".repeat(8000), ..derivation() };
    for ending in ENDINGS.into_iter().chain(["tif"]) {
        for (name, volume, made) in
            [("f32", &volume, None), ("labels", &labels, Some(derivation())), ("long", &volume, Some(long.clone()))]
        {
            let name = format!("{name}.{ending}");
            write(&dir.path().join(&name), volume, None, made.as_ref()).unwrap();
            note(&name, volume, 1.0, 0.0, 0.0);
        }
    }
    let geometry = Geometry::axis_aligned([6, 5, 1], [0.5, 0.25, 1.0]).unwrap();
    let slice = volume.voxels().slice_axis(ndarray::Axis(0), ndarray::Slice::from(0..1)).to_owned();
    let slice = Volume::new(slice, geometry, Modality::Ct, Unit::Hounsfield).unwrap();
    let scale = write_png(&dir.path().join("slice.png"), &slice, None, None).unwrap();
    note("slice.png", &slice, scale.slope, scale.intercept, scale.slope / 2.0 + 1e-5);
    std::fs::write(dir.path().join("ours.json"), json!(rows).to_string()).unwrap();
    if let Some(python) = peers() {
        run_peer(&python, "formats.py", &["check".as_ref(), dir.path().as_ref()]);
    }
}

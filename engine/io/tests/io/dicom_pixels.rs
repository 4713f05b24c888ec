//! Pixels of DICOM files as other programs compress and describe them.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use dicom_core::value::PixelFragmentSequence;
use dicom_core::{DataElement, DicomValue, PrimitiveValue, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::open_file;
use isoscan_imaging::Volume;
use isoscan_io::{Error, Warning, list, read, read_series, sha256};
use serde_json::Value;

use crate::fixture::{data, hash_of, manifest};

fn voxel_hash(path: &Path) -> String {
    let series = read(path).unwrap_or_else(|error| panic!("{}: {error:.300}", path.display()));
    hash_of(series.volume.as_slice())
}

/// Recodes every file of `source` into `target` with a program of dcmtk or gdcm; whether the program is there.
fn recode(program: &str, options: &[&str], source: &Path, target: &Path) -> bool {
    fs::create_dir(target).unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let mut command = Command::new(program);
        command.args(options).arg(entry.path()).arg(target.join(entry.file_name()));
        match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) => assert!(status.success(), "{program} {options:?}: {status}"),
            Err(_) => {
                println!("skipped {program} {options:?}: not installed");
                return false;
            }
        }
    }
    true
}

#[test]
fn five_lossless_codings_of_a_series_give_the_same_voxels() {
    let Some(data) = data() else { return };
    for name in ["ct_philips_512_5mm", "sts002_pet", "mr_sag_hfdl"] {
        let source = data.join("dicom").join(name);
        let expected = voxel_hash(&source);
        let dir = tempfile::tempdir().unwrap();
        for (folder, program, options) in [
            ("rle", "dcmcrle", &[][..]),
            ("jpeg-lossless", "dcmcjpeg", &["--encode-lossless-sv1"][..]),
            ("jpeg-ls", "dcmcjpls", &[][..]),
            ("jpeg-2000", "gdcmconv", &["--j2k"][..]),
        ] {
            let target = dir.path().join(folder);
            if recode(program, options, &source, &target) {
                assert_eq!(voxel_hash(&target), expected, "{name} {folder}");
            }
        }
    }
}

/// Files of `../shared/data/single` that are read without a reference, or refused with these words.
const NOT_EXACT: [(&str, &str); 15] = [
    ("ExplVR_BigEnd.dcm", "red of 80x60x1"),
    // pydicom's decoder rounds the lossy 12-bit transform in another way than dcmtk and this one.
    ("JPGExtended.dcm", ""),
    ("JPEG-lossy.dcm", ""),
    ("SC_rgb_jpeg_dcmtk.dcm", "CB of 100x100x1"),
    ("SC_rgb_rle_2frame.dcm", "green of 100x100x2"),
    ("SC_rgb_small_odd.dcm", "blue of 3x3x1"),
    ("SC_ybr_full_422_uncompressed.dcm", "CR of 100x100x1"),
    ("UN_sequence.dcm", "without pixels"),
    ("WG04_MR1_JPLY", ""),
    ("WG04_NM1_JPLY", ""),
    ("badVR.dcm", "Number of Frames: expected a whole number from 1"),
    ("meta_missing_tsyntax.dcm", "no transfer syntax"),
    ("nested_priv_SQ.dcm", "Rows: expected 1 to 65535, found 0"),
    ("no_meta.dcm", "no image of a known format"),
    ("no_meta_group_length.dcm", "without pixels"),
];

#[test]
fn single_files_hold_what_pydicom_reads_or_are_refused_by_name() {
    let Some(data) = data() else { return };
    let (mut exact, mut unchecked, mut in_parts, mut refused) = (0, Vec::new(), Vec::new(), Vec::new());
    for entry in manifest(&data).iter().filter(|entry| entry["category"] == "single dicom") {
        let path = data.join(entry["path"].as_str().unwrap());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let words = NOT_EXACT.iter().find(|(file, _)| *file == name).map(|(_, words)| *words);
        match (read(&path), words) {
            (Ok(series), None) => {
                assert!(is_exact(&series.volume, &entry["expect"]), "{name}");
                exact += 1;
            }
            (Ok(_), Some(_)) => unchecked.push(name),
            (Err(error), Some(words)) => {
                assert!(error.to_string().contains(words), "{name}: {error}");
                let parts = list(&path).unwrap_or_default();
                let readable = parts.iter().filter(|part| read_series(part).is_ok()).count();
                assert_eq!(readable, if matches!(error, Error::SeveralSeries { .. }) { 3 } else { 0 }, "{name}");
                if readable > 0 { in_parts.push(name) } else { refused.push(name) }
            }
            (Err(error), None) => panic!("{name}: {error}"),
        }
    }
    println!(
        "{exact} exact; read without a value to compare {unchecked:?}; channels {in_parts:?}; refused {refused:?}"
    );
    assert_eq!((exact, unchecked.len(), in_parts.len(), refused.len()), (38, 4, 5, 6));
}

fn is_exact(volume: &Volume, expect: &Value) -> bool {
    let inverted = expect["pi"] == "MONOCHROME1";
    let voxels = volume.as_slice().iter().map(|&voxel| if inverted { 255.0 - voxel } else { voxel });
    let hash = sha256(&voxels.flat_map(f32::to_le_bytes).collect::<Vec<u8>>());
    [&expect["hu_f32_sha256"], &expect["f32_sha256"]].into_iter().any(|expected| *expected == *hash)
}

/// Twelve-bit JPEG to the last bit as dcmtk 3.6.7 decodes it.
#[test]
fn extended_jpeg_is_that_of_dcmtk() {
    let Some(data) = data() else { return };
    for (name, hash) in [
        ("JPGExtended.dcm", "5a14dfd887a29ac84e9b77a76b38509438bd5a6fe42cbfac137b348ccdfaabca"),
        ("WG04_MR1_JPLY", "d528b65508d127fe7d8b123591be0bf8dffc286d9a64bd71605c1bc8b4b06d61"),
    ] {
        let volume = read(&data.join("single").join(name)).unwrap().volume;
        let stored = volume.as_slice().iter().flat_map(|&voxel| (voxel as i32).to_le_bytes());
        assert_eq!(sha256(&stored.collect::<Vec<u8>>()), hash, "{name}");
    }
}

/// Hashes of the bytes of each channel as pydicom gives them without conversion.
#[test]
fn colour_channels_are_volumes_of_their_own() {
    let Some(data) = data() else { return };
    for (name, hashes) in [
        ("SC_rgb_rle_2frame.dcm", [("red", "f50b8934"), ("green", "ae755189"), ("blue", "3845da63")]),
        ("SC_rgb_small_odd.dcm", [("red", "c3a21a18"), ("green", "52f08397"), ("blue", "b689502a")]),
        ("SC_ybr_full_422_uncompressed.dcm", [("Y", "ec1e8df2"), ("CB", "b7caa5ec"), ("CR", "bb0211b9")]),
        ("ExplVR_BigEnd.dcm", [("red", "ce1db98f"), ("green", "7c9f47aa"), ("blue", "ffc95da2")]),
    ] {
        let listed = list(&data.join("single").join(name)).unwrap();
        assert_eq!(listed.len(), 3, "{name}");
        for (channel, (summary, (part, hash))) in listed.iter().zip(hashes).enumerate() {
            assert_eq!((summary.part.as_deref(), summary.volume), (Some(part), channel), "{name}");
            let volume = read_series(summary).unwrap().volume;
            let found = sha256(&volume.as_slice().iter().map(|&voxel| voxel as u8).collect::<Vec<_>>());
            assert!(found.starts_with(hash), "{name} {part}: {found}");
        }
    }
}

#[test]
fn a_palette_gives_indices_and_says_so() {
    let Some(data) = data() else { return };
    let series = read(&data.join("single/examples_palette.dcm")).unwrap();
    assert!(series.warnings.contains(&Warning::PaletteIndices), "{:?}", series.warnings);
}

#[test]
fn declared_padding_is_a_mask_and_keeps_its_values() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut object = open_file(data.join("single/CT_small.dcm")).unwrap();
    let lowest = -1024 + 128;
    object.put(DataElement::new(tags::PIXEL_PADDING_VALUE, VR::SS, PrimitiveValue::from(128i16)));
    object.put(DataElement::new(tags::PIXEL_PADDING_RANGE_LIMIT, VR::SS, PrimitiveValue::from(200i16)));
    object.write_to_file(dir.path().join("padded.dcm")).unwrap();
    let plain = read(&data.join("single/CT_small.dcm")).unwrap();
    let padded = read(&dir.path().join("padded.dcm")).unwrap();
    assert_eq!(plain.volume.as_slice(), padded.volume.as_slice());
    let mask = padded.padding.unwrap();
    let expected = plain.volume.as_slice().iter().map(|&hu| hu >= lowest as f32 && hu <= 200.0 - 1024.0);
    assert!(mask.inside().iter().copied().eq(expected));
    assert!(mask.count() > 0 && plain.padding.is_none_or(|mask| mask.count() == 0));
}

/// The same ten frames, each cut in two fragments, found by a basic table, an extended table, or their first bytes.
#[test]
fn fragmented_frames_are_told_apart() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = data.join("single/emri_small_jpeg_2k_lossless.dcm");
    let expected = voxel_hash(&source);
    let object = open_file(&source).unwrap();
    let DicomValue::PixelSequence(frames) = object.element(tags::PIXEL_DATA).unwrap().value() else { panic!() };
    let halves = frames.fragments().iter().flat_map(|frame| {
        let (first, second) = frame.split_at(frame.len() / 4 * 2);
        [first.to_vec(), second.to_vec()]
    });
    let halves: Vec<Vec<u8>> = halves.collect();
    let starts: Vec<u64> = halves
        .chunks(2)
        .scan(0, |at, frame| {
            let start = *at;
            *at += frame.iter().map(|half| half.len().next_multiple_of(2) as u64 + 8).sum::<u64>();
            Some(start)
        })
        .collect();
    let basic: Vec<u32> = starts.iter().map(|&start| start as u32).collect();
    for (name, table, extended) in [("basic", basic, false), ("extended", vec![], true), ("none", vec![], false)] {
        let mut object = object.clone();
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new(table, halves.clone())));
        if extended {
            object.put(DataElement::new(
                tags::EXTENDED_OFFSET_TABLE,
                VR::OV,
                PrimitiveValue::U64(starts.clone().into()),
            ));
        }
        let path = dir.path().join(name);
        object.write_to_file(&path).unwrap();
        assert_eq!(voxel_hash(&path), expected, "{name}");
    }
}

/// A single frame as a program of a codec's own writes it from PGM, put into a DICOM file.
fn recoded(packed: &str, program: &str, options: impl Fn(&Path, &Path) -> Vec<OsString>, syntax: &str) {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let source = data.join("single/MR_small.dcm");
    let mut object = open_file(&source).unwrap();
    let stored = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().into_owned();
    let mut portable = b"P5 64 64 65535\n".to_vec();
    portable.extend(stored.chunks_exact(2).flat_map(|word| [word[1], word[0]]));
    let [plain, packed] = ["plain.pgm", packed].map(|name| dir.path().join(name));
    fs::write(&plain, portable).unwrap();
    let mut command = Command::new(program);
    command.args(options(&plain, &packed)).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) => assert!(status.success(), "{program}: {status}"),
        Err(_) => return println!("skipped: no {program}"),
    }
    let stream = fs::read(&packed).unwrap();
    object.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new(Vec::<u32>::new(), vec![stream])));
    object.update_meta(|meta| meta.transfer_syntax = syntax.to_owned());
    let path = dir.path().join("packed.dcm");
    object.write_to_file(&path).unwrap();
    assert_eq!(voxel_hash(&path), voxel_hash(&source), "{program}");
}

/// cjxl 0.7 drops bits of 12-bit PGM files, so the file says 16.
#[test]
fn jpeg_xl_gives_every_bit_back() {
    let options = |plain: &Path, packed: &Path| vec![plain.into(), packed.into(), "--distance".into(), "0".into()];
    recoded("packed.jxl", "cjxl", options, uids::JPEGXL_LOSSLESS);
}

/// High-throughput JPEG 2000 as OpenJPH writes it.
#[test]
fn high_throughput_jpeg_2000_gives_every_bit_back() {
    for syntax in [uids::HTJ2K_LOSSLESS, uids::HTJ2K_LOSSLESS_RPCL, uids::HTJ2K] {
        let options = |plain: &Path, packed: &Path| {
            vec!["-i".into(), plain.into(), "-o".into(), packed.into(), "-reversible".into(), "true".into()]
        };
        recoded("packed.j2c", "ojph_compress", options, syntax);
    }
}

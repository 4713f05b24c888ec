//! Derived series of images that stay in storage: the bytes of those in memory.

use std::fs;
use std::path::{Path, PathBuf};

use dicom_core::{DataElement, PrimitiveValue, VR};
use dicom_dictionary_std::tags;
use dicom_object::open_file;
use isoscan_imaging::{Modality, SlicesMut, Unit, Volume};
use isoscan_io::{
    Error, ReadOptions, Source, Spool, Uneven, open_slices, read, read_with, write_dicom, write_dicom_enhanced,
    write_dicom_slices, write_slices,
};

use crate::fixture::{ct, ct_files, derivation, edit, put_u16};

fn spool(folder: &Path, volume: &Volume) -> Spool {
    let mut spool = Spool::new(folder, volume.geometry(), volume.modality(), volume.unit()).unwrap();
    spool.write(0, volume.as_slice()).unwrap();
    spool
}

/// Requires that a volume and its spool become the same files, and gives the folder of them.
fn same_bytes(folder: &Path, name: &str, volume: &Volume, whole: &Source, stored: &Source) -> PathBuf {
    let [one, other] = [format!("{name} volume"), format!("{name} slices")].map(|name| folder.join(name));
    let in_memory = write_dicom(&one, volume, whole, &derivation()).unwrap();
    let streamed = write_dicom_slices(&other, &spool(folder, volume), stored, &derivation()).unwrap();
    assert_eq!((streamed.max_error, streamed.clamped), (in_memory.max_error, in_memory.clamped), "{name}");
    assert_eq!(streamed.files.len(), in_memory.files.len(), "{name}");
    for (a, b) in in_memory.files.iter().zip(&streamed.files) {
        assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{name}: {}", b.display());
    }
    other
}

#[test]
fn every_modality_becomes_the_files_that_its_volume_becomes() {
    let dir = tempfile::tempdir().unwrap();
    let files = ct_files(&dir.path().join("source"), 4);
    let whole = read(files[0].parent().unwrap()).unwrap();
    let stored = open_slices(files[0].parent().unwrap(), &ReadOptions::default(), dir.path()).unwrap();
    let uptake = ct(4).map(|v| (v + 1000.0) / 50.0);
    for (name, volume) in [
        ("identity", ct(4)),
        ("quarters", ct(4).map(|v| v + 0.25)),
        ("outlier", ct(4).map(|v| if v == -1000.0 { 70_000.0 } else { v })),
        ("mr", uptake.clone().with_meaning(Modality::Mr, Unit::Normalized)),
        ("pt", uptake.with_meaning(Modality::Pt, Unit::Suv)),
    ] {
        same_bytes(dir.path(), name, &volume, &whole.source, &stored.source);
        same_bytes(dir.path(), &format!("{name} of nobody"), &volume, &Source::None, &Source::None);
    }
}

#[test]
fn padding_of_a_source_that_stays_on_disk_is_padding_again() {
    let dir = tempfile::tempdir().unwrap();
    let files = ct_files(&dir.path().join("frames of files"), 4);
    let source = read(files[0].parent().unwrap()).unwrap();
    let frames = dir.path().join("frames.dcm");
    write_dicom_enhanced(&frames, &source.volume, &source.source, &derivation()).unwrap();
    for path in files.iter().chain([&frames]) {
        edit(path, |object| {
            put_u16(object, tags::PIXEL_PADDING_VALUE, 24);
            put_u16(object, tags::PIXEL_PADDING_RANGE_LIMIT, 26);
        });
    }
    for (name, path) in [("files", files[0].parent().unwrap()), ("frames", &frames)] {
        let whole = read(path).unwrap();
        let stored = open_slices(path, &ReadOptions::default(), dir.path()).unwrap();
        let brighter = whole.volume.map(|v| v + 200.4);
        let out = same_bytes(dir.path(), name, &brighter, &whole.source, &stored.source);
        assert_eq!(read(&out).unwrap().volume.as_slice()[..4], [-1000.0, -999.0, -998.0, -797.0], "{name}");
    }
}

#[test]
fn negative_padding_that_lost_its_sign_stays_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let files = ct_files(&dir.path().join("source"), 3);
    for file in &files {
        edit(file, |object| {
            put_u16(object, tags::PIXEL_REPRESENTATION, 1);
            put_u16(object, tags::PIXEL_PADDING_VALUE, -2000_i16 as u16);
            let mut bytes = object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap().to_vec();
            bytes[..2].copy_from_slice(&(-2000_i16).to_le_bytes());
            object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U8(bytes.into())));
        });
    }
    let series = read(files[0].parent().unwrap()).unwrap();
    assert_eq!(series.volume.as_slice()[0], -3024.0);
    let out = same_bytes(dir.path(), "same", &series.volume, &series.source, &series.source);
    assert_eq!(read(&out).unwrap().volume, series.volume);
    let padding = open_file(out.join("00001.dcm")).unwrap();
    let padding = padding.element(tags::PIXEL_PADDING_VALUE).unwrap();
    assert_eq!((padding.vr(), padding.to_int::<i32>().unwrap()), (VR::SS, -2000));
}

#[test]
fn forty_slices_go_from_file_to_file_and_come_back_equal() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("source");
    ct_files(&folder, 40);
    let stored = open_slices(&folder, &ReadOptions::default(), dir.path()).unwrap();
    let out = dir.path().join("copy");
    let written = write_slices(&out, &*stored.slices, &stored.source, &derivation()).unwrap();
    assert_eq!((written.files.len(), written.max_error, written.clamped), (40, 0.0, 0));
    assert_eq!(read(&out).unwrap().volume, read(&folder).unwrap().volume);
}

#[test]
fn a_series_without_one_slice_is_evened_slice_by_slice_as_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let files = ct_files(&dir.path().join("source"), 6);
    fs::remove_file(&files[2]).unwrap();
    files.iter().filter(|file| file.exists()).for_each(|file| {
        edit(file, |object| put_u16(object, tags::PIXEL_PADDING_VALUE, 24 + 30));
    });
    let folder = files[0].parent().unwrap();
    let options = ReadOptions { uneven: Uneven::Resample, ..ReadOptions::default() };
    let whole = read_with(folder, &options).unwrap();
    let stored = open_slices(folder, &options, dir.path()).unwrap();
    assert_eq!(stored.warnings, whole.warnings);
    let mut slab = vec![0.0; 60];
    stored.slices.read(2, &mut slab).unwrap();
    assert_eq!(slab, whole.volume.as_slice()[60..120]);
    same_bytes(dir.path(), "even", &whole.volume.map(|v| v + 0.25), &whole.source, &stored.source);
}

#[test]
fn formats_that_need_the_whole_volume_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let volume = ct(2);
    for name in ["a.nrrd", "a.mha", "a.png", "a.tiff", "a.dcm"] {
        let refused = write_slices(&dir.path().join(name), &volume, &Source::None, &derivation());
        assert!(matches!(refused, Err(Error::OutputName { .. })), "{name}");
    }
    for name in ["a.nii", "a.nii.gz", "a.v2", "folder"] {
        let written = write_slices(&dir.path().join(name), &volume, &Source::None, &derivation()).unwrap();
        assert_eq!(written.max_error, 0.0, "{name}");
        assert_eq!(read(&dir.path().join(name)).unwrap().volume.as_slice(), volume.as_slice(), "{name}");
    }
}

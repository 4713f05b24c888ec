//! Thousands of damaged NIfTI files: each is read or refused with a reason, none takes memory that is not in the file. A
//! binary of its own, because the memory of a process is what is measured.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{NiftiOptions, NiftiStored, list, read, read_series, write_nifti_volumes};
use ndarray::Array3;

/// Small files of either edition, plain and packed, with integers, labels and several volumes.
fn made(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let of = |size: [usize; 3], unit: Unit| {
        let [nx, ny, nz] = size;
        let voxels = Array3::from_shape_fn((nz, ny, nx), |(z, y, x)| (x + y + z) as f32);
        Volume::new(voxels, Geometry::axis_aligned(size, [0.5, 1.0, 2.0]).unwrap(), Modality::Ot, unit).unwrap()
    };
    let scan = of([6, 5, 4], Unit::Arbitrary);
    let scaled = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
    let float = NiftiOptions::default();
    let [labels, long] = [of([6, 5, 4], Unit::Label), of([32768, 1, 1], Unit::Label)];
    let rows: [(&str, Vec<&Volume>, &NiftiOptions); 7] = [
        ("float.nii", vec![&scan], &float),
        ("float.nii.gz", vec![&scan], &float),
        ("scaled.nii", vec![&scan], &scaled),
        ("labels.nii.gz", vec![&labels], &float),
        ("time.nii", vec![&scan; 3], &float),
        ("time.nii.gz", vec![&scan; 3], &scaled),
        ("second.nii.gz", vec![&long], &float),
    ];
    rows.into_iter()
        .map(|(name, volumes, options)| {
            write_nifti_volumes(&dir.join(name), &volumes, None, None, options).unwrap();
            (name.to_owned(), fs::read(dir.join(name)).unwrap())
        })
        .collect()
}

/// Pseudo-random bits of a counter (SplitMix64).
fn bits(counter: u64) -> u64 {
    let z = counter.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The file with a few bytes changed, most of them in the header, or cut.
fn mutant(original: &[u8], seed: u64) -> Vec<u8> {
    const EXTREMES: [u8; 6] = [0, 1, 0x7f, 0x80, 0xfe, 0xff];
    let mut bytes = original.to_vec();
    for change in 0..1 + bits(seed) % 4 {
        let random = bits(seed.wrapping_mul(31).wrapping_add(change + 1));
        let span = if random & 7 == 0 { bytes.len() } else { bytes.len().min(560) };
        let at = (random >> 8) as usize % span.max(1);
        match (random >> 4) & 7 {
            0 => bytes.truncate(at),
            1..=3 => bytes[at..].iter_mut().take(1).for_each(|b| *b ^= 1 << (random >> 56 & 7)),
            4..=5 => bytes[at..].iter_mut().take(1).for_each(|b| *b = EXTREMES[(random >> 48) as usize % 6]),
            _ => bytes[at..].iter_mut().take(4).for_each(|b| *b = EXTREMES[(random >> 48) as usize % 6]),
        }
    }
    bytes
}

/// A mutant of the file, or of what is packed in it, packed again.
fn mutant_of(original: &[u8], seed: u64) -> Vec<u8> {
    let mut content = Vec::new();
    if seed.is_multiple_of(3) || GzDecoder::new(original).read_to_end(&mut content).is_err() {
        return mutant(original, seed);
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&mutant(&content, seed)).unwrap();
    packed.finish().unwrap()
}

/// Largest memory that this process ever had, bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[test]
fn mutants_are_read_or_refused_within_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let mut originals = made(dir.path());
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for folder in ["nifti", "nifti_odd"] {
        let Ok(entries) = fs::read_dir(shared.join(folder)) else { continue };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files.iter().filter(|path| fs::metadata(path).unwrap().len() < 10_000) {
            originals.push((path.display().to_string(), fs::read(path).unwrap()));
        }
    }
    let path = dir.path().join("mutant.nii");
    let (mut slowest, before, mut good, mut refused) = (Duration::ZERO, peak_memory(), 0, 0);
    for seed in 0..4000 {
        let (name, original) = &originals[seed as usize % originals.len()];
        fs::write(&path, mutant_of(original, seed)).unwrap();
        let begun = Instant::now();
        let results = [read(&path).map(drop), list(&path).and_then(|found| read_series(&found[0]).map(drop))];
        slowest = slowest.max(begun.elapsed());
        for result in results {
            match result {
                Ok(()) => good += 1,
                Err(error) => {
                    refused += 1;
                    let message = error.to_string();
                    assert!(message.len() < 600 && message.contains(": "), "{name}, mutant {seed}: {message}");
                }
            }
        }
    }
    let grown = peak_memory().saturating_sub(before);
    println!("{good} read, {refused} refused, {} kB more at the peak, slowest {slowest:?}", grown / 1024);
    assert!(grown < 64 << 20, "{grown} bytes");
}

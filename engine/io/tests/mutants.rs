//! Damaged files: thousands of mutants of small real and made files of every format, and all of `../shared/data/broken`. None
//! may panic, take long, or need more than 64 MB and three times its size of memory.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests stop at the unexpected and say what they found")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use isoscan_imaging::{Affine3, Geometry, Modality, Unit, Volume};
use isoscan_io::{
    Derivation, NewSeries, RegionKind, Selector, Source, list, list_regions, read, read_labels, read_mask_on,
    read_rtstruct, read_segment, read_series, write, write_dicom_new, write_segmentation,
};
use ndarray::Array3;

const MUTANTS: u64 = 10_000;
const ALLOWED_MB: f64 = 64.0;

#[test]
fn damaged_files_neither_panic_nor_cost_much() {
    let dir = tempfile::tempdir().unwrap();
    let mut cost = Cost::default();
    for path in broken() {
        cost.add(&path, &path.display().to_string());
    }
    let seeds = seeds(dir.path());
    let mutant = dir.path().join("mutant");
    fs::create_dir(&mutant).unwrap();
    for number in 0..MUTANTS {
        let (name, bytes) = &seeds[(number % seeds.len() as u64) as usize];
        let mut dice = Dice(number);
        let bytes = mutated(bytes.clone(), &mut dice);
        let path = mutant.join(name);
        fs::write(&path, &bytes).unwrap();
        cost.add(&path, &format!("{name} mutant {number}"));
        fs::remove_file(path).unwrap();
    }
    println!("{} files from {} seeds; {cost:#?}", cost.files, seeds.len());
    assert!(cost.panics.is_empty(), "{:?}", cost.panics);
    assert!(cost.most_mb.0 < ALLOWED_MB, "{:?}", cost.most_mb);
    // A loaded machine may be slow; what this guards against are loops and giant buffers.
    assert!(cost.slowest.0 < Duration::from_secs(5), "{:?}", cost.slowest);
}

/// What reading a heap of files took at worst.
#[derive(Debug, Default)]
struct Cost {
    files: usize,
    readable: usize,
    panics: Vec<String>,
    slowest: (Duration, String),
    /// Peak memory above that before, less three times the file.
    most_mb: (f64, String),
}

impl Cost {
    fn add(&mut self, path: &Path, name: &str) {
        self.files += 1;
        let before = memory_mb();
        let begun = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| everything(path))) {
            Ok(readable) => self.readable += usize::from(readable),
            Err(_) => self.panics.push(name.to_owned()),
        }
        let time = begun.elapsed();
        if time > self.slowest.0 {
            self.slowest = (time, name.to_owned());
        }
        if let Some((before, after)) = before.zip(memory_mb()) {
            let file_mb = fs::metadata(path).unwrap().len() as f64 / 1e6;
            let extra = after.peak - before.now - 3.0 * file_mb;
            if extra > self.most_mb.0 {
                self.most_mb = (extra, name.to_owned());
            }
        }
    }
}

/// Lists and reads all that a file holds; whether there was anything.
fn everything(path: &Path) -> bool {
    let listed = list(path).unwrap_or_default();
    let volumes = listed.iter().take(3).filter(|summary| read_series(summary).is_ok()).count();
    let whole = read(path);
    if let Err(error) = &whole {
        assert!(error.to_string().contains(": "), "an error says what and where: {error}");
    }
    regions(path) || whole.is_ok() || volumes > 0
}

/// Reads the regions that a file holds, onto the grid of the made files; whether there was any.
fn regions(path: &Path) -> bool {
    let grid = grid();
    let mut found = read_mask_on(path, Some(&Selector::from(1)), &grid, None).is_ok() | read_labels(path).is_ok();
    for file in list_regions(path).unwrap_or_default() {
        for selector in file.regions.iter().take(2).map(|(number, _)| Selector::from(*number)) {
            found |= match file.kind {
                RegionKind::StructureSet => read_rtstruct(path, &selector, &grid, None).is_ok(),
                RegionKind::Segmentation => read_segment(path, &selector, &grid, None).is_ok(),
            };
        }
    }
    found
}

fn grid() -> Geometry {
    Geometry::axis_aligned([7, 6, 3], [0.7, 0.9, 2.5]).unwrap()
}

struct Memory {
    now: f64,
    peak: f64,
}

/// Memory of this process, and its peak since the call before; `None` where the system does not tell.
fn memory_mb() -> Option<Memory> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let mb = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6)
    };
    fs::write("/proc/self/clear_refs", "5").ok()?;
    Some(Memory { now: mb("VmRSS:")?, peak: mb("VmHWM:")? })
}

fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    data.is_dir().then_some(data)
}

fn broken() -> Vec<PathBuf> {
    let Some(data) = data() else {
        println!("skipped the real files: no ../shared/data beside the workspace");
        return Vec::new();
    };
    let mut paths: Vec<_> = fs::read_dir(data.join("broken")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Small files of every kind, by name.
fn seeds(dir: &Path) -> Vec<(String, Vec<u8>)> {
    const LARGEST: u64 = 90_000;
    let mut paths = made(&dir.join("made"));
    for path in &paths {
        assert!(everything(path), "{}", path.display());
    }
    for folder in ["single", "nifti", "nifti_odd"] {
        let Some(found) = data().and_then(|data| fs::read_dir(data.join(folder)).ok()) else { continue };
        let mut found: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
        found.retain(|path| fs::metadata(path).unwrap().len() <= LARGEST);
        found.sort();
        paths.extend(found);
    }
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), fs::read(path).unwrap())).collect()
}

/// One small file of each format that is written here.
fn made(dir: &Path) -> Vec<PathBuf> {
    fs::create_dir(dir).unwrap();
    let voxels = Array3::from_shape_fn((3, 6, 7), |(z, y, x)| (x + 7 * y + 40 * z) as f32 - 500.0);
    let ct = Volume::new(voxels, grid(), Modality::Ct, Unit::Hounsfield).unwrap();
    let flat = Geometry::axis_aligned([7, 6, 1], [0.7, 0.9, 2.5]).unwrap();
    let picture = Volume::filled(-1000.0, flat, Modality::Ct, Unit::Hounsfield);
    let labels = ct.map(|v| f32::from(u8::from(v > -460.0)) * 2.0).with_meaning(Modality::Seg, Unit::Label);
    let files = [
        ("ct.nii", &ct),
        ("ct.nii.gz", &ct),
        ("ct.nrrd", &ct),
        ("labels.nrrd", &labels),
        ("ct.mha", &ct),
        ("ct.tif", &ct),
        ("ct.png", &picture),
    ];
    let mut paths: Vec<PathBuf> = files
        .iter()
        .map(|(name, volume)| write(&dir.join(name), volume, None, None).unwrap().files[0].clone())
        .collect();
    let series = NewSeries { kvp: 120.0, ..NewSeries::default() };
    paths.push(write_dicom_new(&dir.join("ct"), &ct, &series).unwrap()[0].clone());
    paths.push(dir.join("segmentation.dcm"));
    write_segmentation(&dir.join("segmentation.dcm"), &labels, &[], &Source::None, &Derivation::default()).unwrap();
    paths.push(dir.join("structures.dcm"));
    structure_set(&dir.join("structures.dcm"), &grid().world_from_voxel());
    paths
}

/// A structure set of one region, a square on each of three slices.
fn structure_set(path: &Path, world: &Affine3) {
    let text = |tag: Tag, vr: VR, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
    let items = |tag: Tag, items: Vec<InMemDicomObject>| DataElement::new(tag, VR::SQ, DataSetSequence::from(items));
    let contour = |slice: f64| {
        let corners = [[0.5, 0.5], [5.5, 0.5], [5.5, 4.5], [0.5, 4.5]].map(|[x, y]| world.apply([x, y, slice]));
        let words: Vec<String> = corners.iter().flatten().map(|mm| format!("{mm:.3}")).collect();
        InMemDicomObject::from_element_iter([
            text(tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR"),
            text(tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, "4"),
            text(tags::CONTOUR_DATA, VR::DS, &words.join("\\")),
        ])
    };
    let name = InMemDicomObject::from_element_iter([
        text(tags::ROI_NUMBER, VR::IS, "1"),
        text(tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, "1.2.3.4"),
        text(tags::ROI_NAME, VR::LO, "square"),
    ]);
    let drawn = InMemDicomObject::from_element_iter([
        text(tags::REFERENCED_ROI_NUMBER, VR::IS, "1"),
        items(tags::CONTOUR_SEQUENCE, [0.0, 1.0, 2.0].map(contour).to_vec()),
    ]);
    let set = InMemDicomObject::from_element_iter([
        text(tags::MODALITY, VR::CS, "RTSTRUCT"),
        text(tags::SOP_CLASS_UID, VR::UI, uids::RT_STRUCTURE_SET_STORAGE),
        text(tags::SOP_INSTANCE_UID, VR::UI, "1.2.3"),
        items(tags::STRUCTURE_SET_ROI_SEQUENCE, vec![name]),
        items(tags::ROI_CONTOUR_SEQUENCE, vec![drawn]),
    ]);
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .media_storage_sop_class_uid(uids::RT_STRUCTURE_SET_STORAGE)
        .media_storage_sop_instance_uid("1.2.3");
    set.with_meta(meta).unwrap().write_to_file(path).unwrap();
}

/// Numbers that a seed repeats (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn mutated(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..=dice.below(2) {
        bytes = match dice.below(9) {
            0 => cut(bytes, dice),
            1 => flipped(bytes, dice, usize::MAX),
            2 => flipped(bytes, dice, 1500),
            3 => with_extreme_number(bytes, dice),
            4 | 5 => with_attribute_changed(bytes, dice),
            6 => with_item_length_changed(bytes, dice),
            7 => with_range_moved(bytes, dice),
            _ => with_range_of_noise(bytes, dice),
        };
    }
    bytes
}

fn cut(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    bytes.truncate(dice.below(bytes.len()));
    bytes
}

fn flipped(mut bytes: Vec<u8>, dice: &mut Dice, end: usize) -> Vec<u8> {
    let end = end.min(bytes.len());
    for _ in 0..=dice.below(8) {
        if let Some(byte) = bytes.get_mut(dice.below(end)) {
            *byte ^= 1 << dice.below(8);
        }
    }
    bytes
}

fn overwrite(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes.iter_mut().skip(at).zip(value).for_each(|(byte, &new)| *byte = new);
}

const EXTREMES: [u32; 12] = [0, 1, 2, 3, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFE];

fn with_extreme_number(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let value = EXTREMES[dice.below(EXTREMES.len())].to_le_bytes();
    let (at, length) = (dice.below(bytes.len()), [1, 2, 4][dice.below(3)]);
    overwrite(&mut bytes, at, &value[..length]);
    bytes
}

/// Changes the value, the VR or the length of an attribute that describes the pixels.
fn with_attribute_changed(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    const TAGS: [[u8; 4]; 16] = [
        [0x02, 0, 0x10, 0],
        [0x28, 0, 0x02, 0],
        [0x28, 0, 0x04, 0],
        [0x28, 0, 0x06, 0],
        [0x28, 0, 0x08, 0],
        [0x28, 0, 0x10, 0],
        [0x28, 0, 0x11, 0],
        [0x28, 0, 0x30, 0],
        [0x28, 0, 0x00, 1],
        [0x28, 0, 0x01, 1],
        [0x28, 0, 0x02, 1],
        [0x28, 0, 0x03, 1],
        [0x28, 0, 0x52, 0x10],
        [0x28, 0, 0x53, 0x10],
        [0x20, 0, 0x32, 0],
        [0xE0, 0x7F, 0x10, 0],
    ];
    let tag = TAGS[dice.below(TAGS.len())];
    let Some(at) = bytes.windows(4).position(|window| window == tag) else { return flipped(bytes, dice, 400) };
    let number = EXTREMES[dice.below(EXTREMES.len())].to_le_bytes();
    match dice.below(4) {
        0 => overwrite(&mut bytes, at + 8, &number[..2]),
        1 => overwrite(&mut bytes, at + 8, b"99999999"),
        2 => overwrite(&mut bytes, at + 4, &number),
        _ => overwrite(&mut bytes, at + 6, &number[..2]),
    }
    bytes
}

fn with_item_length_changed(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let items: Vec<usize> = (0..bytes.len().saturating_sub(8))
        .filter(|&at| bytes[at..at + 2] == [0xFE, 0xFF] && bytes[at + 3] == 0xE0)
        .collect();
    if items.is_empty() {
        return with_extreme_number(bytes, dice);
    }
    let at = items[dice.below(items.len())];
    let value = EXTREMES[dice.below(EXTREMES.len())].to_le_bytes();
    overwrite(&mut bytes, at + 4, &value);
    bytes
}

fn with_range_moved(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let start = dice.below(bytes.len());
    let end = (start + dice.below(300)).min(bytes.len());
    let range: Vec<u8> = bytes.drain(start..end).collect();
    if dice.below(2) == 0 {
        let at = dice.below(bytes.len());
        bytes.splice(at..at, range);
    }
    bytes
}

fn with_range_of_noise(mut bytes: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let start = dice.below(bytes.len());
    let noise: Vec<u8> = (0..dice.below(200)).map(|_| dice.next() as u8).collect();
    overwrite(&mut bytes, start, &noise);
    bytes
}

//! Whole NIfTI files made here byte by byte: read, copied, written in every form, damaged.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{
    Error, NiftiOptions, NiftiStored, Series, Source, list, read, read_series, write_nifti, write_nifti_volumes,
};
use ndarray::Array3;

use crate::fixture::derivation;

/// A NIfTI file to be made; numbers are put in the given byte order at the offsets of the standard.
#[derive(Clone)]
struct Made {
    edition: u8,
    big: bool,
    pair: bool,
    dim: Vec<i64>,
    code: i16,
    bits: i16,
    slope: f64,
    intercept: f64,
    units: u8,
    extensions: Vec<u8>,
    voxels: Vec<u8>,
}

impl Made {
    fn new(edition: u8, big: bool, dim: &[i64], code: i16, bits: i16) -> Self {
        let count: i64 = dim.iter().product();
        let voxels = vec![0; count as usize * bits as usize / 8];
        let dim = dim.to_vec();
        Self {
            edition,
            big,
            pair: false,
            dim,
            code,
            bits,
            slope: 0.0,
            intercept: 0.0,
            units: 2,
            extensions: vec![],
            voxels,
        }
    }

    fn header(&self) -> Vec<u8> {
        let length = if self.edition == 1 { 348 } else { 540 };
        let mut bytes = vec![0; length];
        let offset = if self.pair { 0 } else { length + 4 + self.extensions.len() };
        let mut put = |at: usize, little: &[u8]| {
            let ordered: Vec<u8> = if self.big { little.iter().rev().copied().collect() } else { little.to_vec() };
            bytes[at..at + little.len()].copy_from_slice(&ordered);
        };
        let pixdim = [-1.0, 2.0, 3.0, 4.0, 2.5, 0.0, 0.0, 0.0];
        let rows = [-2.0, 0.0, 0.0, 10.0, 0.0, 3.0, 0.0, -20.0, 0.0, 0.0, 4.0, 30.0];
        let dim: Vec<i64> =
            [self.dim.len() as i64].into_iter().chain(self.dim.iter().copied()).chain([1; 8]).take(8).collect();
        if self.edition == 1 {
            put(0, &348i32.to_le_bytes());
            dim.iter().enumerate().for_each(|(i, &n)| put(40 + 2 * i, &(n as i16).to_le_bytes()));
            put(70, &self.code.to_le_bytes());
            put(72, &self.bits.to_le_bytes());
            pixdim.iter().enumerate().for_each(|(i, &x)| put(76 + 4 * i, &(x as f32).to_le_bytes()));
            put(108, &(offset as f32).to_le_bytes());
            put(112, &(self.slope as f32).to_le_bytes());
            put(116, &(self.intercept as f32).to_le_bytes());
            put(136, &1.25f32.to_le_bytes());
            put(252, &2i16.to_le_bytes());
            put(254, &4i16.to_le_bytes());
            rows.iter().enumerate().for_each(|(i, &x)| put(280 + 4 * i, &(x as f32).to_le_bytes()));
            bytes[123] = self.units;
            bytes[344..347].copy_from_slice(if self.pair { b"ni1" } else { b"n+1" });
        } else {
            put(0, &540i32.to_le_bytes());
            put(12, &self.code.to_le_bytes());
            put(14, &self.bits.to_le_bytes());
            dim.iter().enumerate().for_each(|(i, &n)| put(16 + 8 * i, &n.to_le_bytes()));
            pixdim.iter().enumerate().for_each(|(i, &x)| put(104 + 8 * i, &f64::to_le_bytes(x)));
            put(168, &(offset as i64).to_le_bytes());
            put(176, &self.slope.to_le_bytes());
            put(184, &self.intercept.to_le_bytes());
            put(216, &1.25f64.to_le_bytes());
            put(344, &2i32.to_le_bytes());
            put(348, &4i32.to_le_bytes());
            rows.iter().enumerate().for_each(|(i, &x)| put(400 + 8 * i, &f64::to_le_bytes(x)));
            put(500, &i32::from(self.units).to_le_bytes());
            bytes[4..12].copy_from_slice(if self.pair { b"ni2\0\r\n\x1a\n" } else { b"n+2\0\r\n\x1a\n" });
        }
        bytes.extend([u8::from(!self.extensions.is_empty()), 0, 0, 0]);
        bytes.extend(&self.extensions);
        bytes
    }

    fn single(&self) -> Vec<u8> {
        [self.header(), self.voxels.clone()].concat()
    }

    /// An extension with its length and code in this file's byte order.
    fn with_extension(mut self, code: i32, content: &[u8]) -> Self {
        for number in [content.len() as i32 + 8, code] {
            self.extensions.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        self.extensions.extend(content);
        self
    }

    /// Voxels 0, 1, 2.. in this file's type and byte order.
    fn counting(mut self) -> Self {
        let count = self.voxels.len() / (self.bits as usize / 8);
        self.voxels = (0..count).flat_map(|i| number(self.code, i as f64, self.big)).collect();
        self
    }

    fn write(&self, dir: &Path, name: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, self.single()).unwrap();
        path
    }
}

/// A value as one of the real datatypes of the standard.
fn number(code: i16, value: f64, big: bool) -> Vec<u8> {
    let mut bytes = match code {
        2 => (value as u8).to_le_bytes().to_vec(),
        4 => (value as i16).to_le_bytes().to_vec(),
        8 => (value as i32).to_le_bytes().to_vec(),
        16 => (value as f32).to_le_bytes().to_vec(),
        64 => value.to_le_bytes().to_vec(),
        256 => (value as i8).to_le_bytes().to_vec(),
        512 => (value as u16).to_le_bytes().to_vec(),
        768 => (value as u32).to_le_bytes().to_vec(),
        1024 => (value as i64).to_le_bytes().to_vec(),
        1280 => (value as u64).to_le_bytes().to_vec(),
        other => panic!("{other} is no real datatype"),
    };
    if big {
        bytes.reverse();
    }
    bytes
}

const REAL: [(i16, i16); 10] =
    [(2, 8), (4, 16), (8, 32), (16, 32), (64, 64), (256, 8), (512, 16), (768, 32), (1024, 64), (1280, 64)];

/// Each combination of edition and byte order.
const ORDERS: [(u8, bool); 4] = [(1, false), (1, true), (2, false), (2, true)];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).unwrap();
    bytes
}

fn counted(series: &Series, from: usize) {
    let voxels = series.volume.as_slice();
    assert!(voxels.iter().enumerate().all(|(i, &v)| v == (from + i) as f32), "{:?}", &voxels[..3]);
}

#[test]
fn every_real_datatype_reads_in_both_editions_byte_orders_and_packings() {
    let dir = tempfile::tempdir().unwrap();
    for (code, bits) in REAL {
        for (edition, big) in ORDERS {
            let made = Made::new(edition, big, &[5, 4, 3], code, bits).counting();
            let bytes = made.single();
            let (first, second) = bytes.split_at(400);
            for (name, content) in [
                ("a.nii", bytes.clone()),
                ("a.nii.gz", gzip(&bytes)),
                ("several.nii.gz", [gzip(first), gzip(second)].concat()),
                ("packed.nii", gzip(&bytes)),
            ] {
                let path = dir.path().join(name);
                fs::write(&path, content).unwrap();
                counted(&read(&path).unwrap(), 0);
            }
            let pair = Made { pair: true, ..made };
            fs::write(dir.path().join("p.hdr"), pair.header()).unwrap();
            fs::write(dir.path().join("p.img"), &pair.voxels).unwrap();
            fs::write(dir.path().join("z.hdr.gz"), gzip(&pair.header())).unwrap();
            fs::write(dir.path().join("z.img.gz"), gzip(&pair.voxels)).unwrap();
            for name in ["p.hdr", "p.img", "z.hdr.gz", "z.img.gz"] {
                counted(&read(&dir.path().join(name)).unwrap(), 0);
                assert_eq!(list(&dir.path().join(name)).unwrap().len(), 1, "{name}");
            }
        }
    }
}

#[test]
fn a_large_packed_file_decodes_in_its_own_memory() {
    let dir = tempfile::tempdir().unwrap();
    for (code, bits) in REAL {
        let count = 90 * 80 * 70;
        let mut made = Made { slope: 0.5, intercept: -3.0, ..Made::new(1, false, &[90, 80, 70], code, bits) };
        made.voxels = (0..count).flat_map(|i| number(code, f64::from(i % 127), false)).collect();
        let path = dir.path().join("large.nii.gz");
        fs::write(&path, gzip(&made.single())).unwrap();
        let voxels = read(&path).unwrap().volume.into_voxels();
        assert!(voxels.iter().zip(0..count).all(|(&v, i)| v == (i % 127) as f32 * 0.5 - 3.0), "datatype {code}");
        made.write(dir.path(), "large.nii");
        assert_eq!(read(&dir.path().join("large.nii")).unwrap().volume.into_voxels(), voxels, "datatype {code}");
    }
}

#[test]
fn voxels_that_are_no_real_numbers_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for (code, bits, name) in [
        (32, 64, "Complex64"),
        (1792, 128, "Complex128"),
        (2048, 256, "Complex256"),
        (128, 24, "Rgb24"),
        (2304, 32, "Rgba32"),
        (1536, 128, "Float128"),
    ] {
        let path = Made::new(1, false, &[2, 2, 2], code, bits).write(dir.path(), "a.nii");
        match read(&path) {
            Err(Error::Unsupported { what, .. }) => assert_eq!(what, format!("voxels of {name}")),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn a_slope_scales_in_double_precision_and_zero_or_nan_scales_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let cube = Made::new(2, false, &[2, 2, 2], 4, 16).counting();
    for (slope, intercept, expected) in [
        (0.0, 7.0, 1.0),
        (f64::NAN, 7.0, 1.0),
        (f64::INFINITY, 7.0, 1.0),
        (1.0, 0.0, 1.0),
        (2.5, -1.0, 1.5),
        (1e-9, 16_777_217.0, 16_777_217.0 + 1e-9),
    ] {
        let path = Made { slope, intercept, ..cube.clone() }.write(dir.path(), "a.nii");
        assert_eq!(read(&path).unwrap().volume.as_slice()[1], expected as f32, "slope {slope}");
    }
    let path = Made { slope: 2.0, intercept: f64::NAN, ..cube }.write(dir.path(), "a.nii");
    assert!(matches!(read(&path), Err(Error::Malformed { field: "scl_inter", .. })));
}

#[test]
fn every_volume_of_a_file_is_listed_and_read_alone() {
    let dir = tempfile::tempdir().unwrap();
    for dim in [&[4, 3, 2, 5][..], &[4, 3, 2, 1, 6], &[4, 3, 2, 2, 3]] {
        let volumes: i64 = dim[3..].iter().product();
        let made = Made::new(1, true, dim, 4, 16).counting();
        fs::write(dir.path().join("a.nii.gz"), gzip(&made.single())).unwrap();
        for path in [made.write(dir.path(), "a.nii"), dir.path().join("a.nii.gz")] {
            assert!(matches!(read(&path), Err(Error::SeveralVolumes { volumes: n, .. }) if n as i64 == volumes));
            let found = list(&path).unwrap();
            assert_eq!(found.len() as i64, volumes);
            for (i, summary) in found.iter().enumerate() {
                assert_eq!((summary.volume, summary.part.clone()), (i, Some(format!("volume {}", i + 1))));
                counted(&read_series(summary).unwrap(), 24 * i);
            }
        }
    }
    let single = Made::new(1, false, &[4, 3, 2, 1], 4, 16).counting().write(dir.path(), "one.nii");
    assert_eq!(list(&single).unwrap()[0].part, None);
    counted(&read(&single).unwrap(), 0);
}

#[test]
fn a_shorter_file_than_promised_is_truncated_in_every_volume() {
    let dir = tempfile::tempdir().unwrap();
    let mut made = Made::new(1, false, &[4, 3, 2, 5], 4, 16).counting();
    let path = made.write(dir.path(), "a.nii");
    let found = list(&path).unwrap();
    made.voxels.truncate(200);
    made.write(dir.path(), "a.nii");
    for result in [list(&path).map(drop), read_series(&found[0]).map(drop)] {
        assert!(
            matches!(result, Err(Error::Truncated { what: "voxels", expected: 240, found: 200, .. })),
            "{result:?}"
        );
    }
}

#[test]
fn a_packed_file_with_a_wrong_trailer_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.nii.gz");
    let packed = gzip(&Made::new(1, false, &[5, 4, 3], 4, 16).counting().single());
    for back in [1, 8] {
        let mut damaged = packed.clone();
        let at = damaged.len() - back;
        damaged[at] ^= 1;
        fs::write(&path, damaged).unwrap();
        assert!(matches!(read(&path), Err(Error::Gzip { .. })), "byte {back} from the end");
    }
}

#[test]
fn an_unchanged_image_keeps_bytes_forms_units_and_extensions() {
    let dir = tempfile::tempdir().unwrap();
    for (code, bits) in REAL {
        for (edition, big) in ORDERS {
            let mut made = Made {
                units: 3 + 16,
                slope: 0.25,
                intercept: -7.0,
                ..Made::new(edition, big, &[5, 4, 3, 1], code, bits)
            };
            made.voxels = (0..60).flat_map(|i| number(code, f64::from(i) + 0.1 + f64::from(i) * 2e-17, big)).collect();
            let made = made.with_extension(4, b"<?xml?>\0").with_extension(44, &[7; 24]);
            let path = made.write(dir.path(), "a.nii");
            let series = read(&path).unwrap();
            for name in ["copy.nii", "copy.nii.gz"] {
                let copy = dir.path().join(name);
                write_nifti(&copy, &series.volume, Some(&series.source), None).unwrap();
                let bytes = if name.ends_with("gz") { gunzip(&copy) } else { fs::read(&copy).unwrap() };
                let regular = if edition == 1 { vec![38] } else { vec![] };
                let expected = made.single();
                let different: Vec<usize> =
                    (0..expected.len()).filter(|&i| bytes.get(i) != Some(&expected[i])).collect();
                assert_eq!((bytes.len(), different), (expected.len(), regular), "datatype {code}, edition {edition}");
            }
            let marked = dir.path().join("marked.nii");
            write_nifti(&marked, &series.volume, Some(&series.source), Some(&derivation())).unwrap();
            let bytes = fs::read(&marked).unwrap();
            assert!(bytes.ends_with(&made.voxels), "datatype {code}, edition {edition}");
            let again = read(&marked).unwrap();
            assert_eq!(again.volume.geometry(), series.volume.geometry());
            let Source::Nifti(source) = again.source else { panic!("a NIfTI source") };
            assert_eq!(source.derivation(), Some(derivation()));
        }
    }
}

#[test]
fn one_changed_voxel_makes_a_derived_image_float32() {
    let dir = tempfile::tempdir().unwrap();
    let path = Made::new(1, false, &[5, 4, 3], 4, 16).counting().write(dir.path(), "a_ct.nii");
    let series = read(&path).unwrap();
    let mut voxels = series.volume.voxels().to_owned();
    voxels[[2, 3, 4]] += 1.0;
    let volume = series.volume.with_voxels(voxels).unwrap();
    let out = dir.path().join("b.nii");
    for (derivation, datatype) in [(Some(derivation()), "float32"), (None, "int16")] {
        let source = Some(&series.source);
        let options = NiftiOptions::default();
        let written = write_nifti_volumes(&out, &[&volume], source, derivation.as_ref(), &options).unwrap();
        assert_eq!((written.datatype, written.slope, written.largest_error), (datatype, 1.0, 0.0));
        assert_eq!(read(&out).unwrap().volume, volume);
    }
}

#[test]
fn pairs_and_several_volumes_are_written_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let made = Made { units: 2 + 16, ..Made::new(1, false, &[4, 3, 2, 3], 4, 16) };
    let found = list(&made.counting().write(dir.path(), "a.nii")).unwrap();
    let series: Vec<Series> = found.iter().map(|summary| read_series(summary).unwrap()).collect();
    let changed: Vec<Volume> = series.iter().map(|s| s.volume.map(|v| v + 0.5)).collect();
    let volumes: Vec<&Volume> = changed.iter().collect();
    for name in ["b.nii", "b.nii.gz", "b.hdr", "c.img", "d.hdr.gz", "e.img.gz"] {
        let path = dir.path().join(name);
        let options = NiftiOptions::default();
        write_nifti_volumes(&path, &volumes, Some(&series[0].source), Some(&derivation()), &options).unwrap();
        let again = list(&path).unwrap();
        assert_eq!(again.len(), 3, "{name}");
        for (summary, volume) in again.iter().zip(&changed) {
            assert_eq!(&read_series(summary).unwrap().volume, volume, "{name} {summary}");
        }
    }
    let header = fs::read(dir.path().join("b.nii")).unwrap();
    assert_eq!(header[92..96], 2.5f32.to_le_bytes(), "time step");
    assert_eq!(header[136..140], 1.25f32.to_le_bytes(), "time offset");
    assert_eq!(header[123], 2 + 16, "millimetres and milliseconds");
    let options = NiftiOptions { time_step_s: Some(0.75), ..NiftiOptions::default() };
    write_nifti_volumes(&dir.path().join("f.nii"), &volumes, None, None, &options).unwrap();
    let header = fs::read(dir.path().join("f.nii")).unwrap();
    assert_eq!((&header[92..96], header[123]), (&0.75f32.to_le_bytes()[..], 2 + 8));
}

#[test]
fn volumes_of_one_file_share_grid_and_meaning() {
    let dir = tempfile::tempdir().unwrap();
    let volume = |spacing: f64, unit: Unit| {
        Volume::filled(1.0, Geometry::axis_aligned([3, 3, 3], [spacing; 3]).unwrap(), Modality::Pt, unit)
    };
    let (one, wide, counts) = (volume(1.0, Unit::Suv), volume(1.1, Unit::Suv), volume(1.0, Unit::Arbitrary));
    let write = |volumes: &[&Volume]| {
        write_nifti_volumes(&dir.path().join("a.nii"), volumes, None, None, &NiftiOptions::default())
    };
    assert!(matches!(write(&[&one, &wide]), Err(Error::Image { .. })));
    assert!(matches!(write(&[&one, &counts]), Err(Error::Malformed { field: "volumes", .. })));
    assert!(matches!(write(&[]), Err(Error::Malformed { field: "volumes", .. })));
    assert!(matches!(write_nifti(&dir.path().join("a.nia"), &one, None, None), Err(Error::OutputName { .. })));
}

#[test]
fn extents_beyond_int16_are_written_as_the_second_edition() {
    let dir = tempfile::tempdir().unwrap();
    let geometry = Geometry::axis_aligned([32768, 1, 1], [1.0; 3]).unwrap();
    let long = Volume::filled(3.0, geometry, Modality::Mr, Unit::Arbitrary);
    let path = dir.path().join("long.nii");
    write_nifti(&path, &long, None, None).unwrap();
    assert_eq!(fs::read(&path).unwrap()[..4], 540i32.to_le_bytes());
    assert_eq!(read(&path).unwrap().volume, long);
}

#[test]
fn scaled_integers_stay_within_the_stated_error() {
    let dir = tempfile::tempdir().unwrap();
    let of = |f: &dyn Fn(usize) -> f32| {
        let voxels = Array3::from_shape_fn((20, 30, 40), |(z, y, x)| f(x + 40 * y + 1200 * z));
        Volume::new(voxels, Geometry::axis_aligned([40, 30, 20], [1.0; 3]).unwrap(), Modality::Pt, Unit::Suv).unwrap()
    };
    let options = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
    let path = dir.path().join("a.nii.gz");
    for (name, volume, exact) in [
        ("fractions", of(&|i| (i as f32).sin() * 37.3 + 5.0), false),
        ("far from 0", of(&|i| 1e6 + (i as f32 * 0.37).sin()), false),
        ("tiny", of(&|i| i as f32 * 1e-40), false),
        ("huge", of(&|i| (i as f32 - 12000.0) * 2.8e34), false),
        ("constant", of(&|_| 0.3), false),
        ("whole", of(&|i| i as f32 - 30000.0), true),
        ("whole, high", of(&|i| i as f32 + 50000.0), true),
    ] {
        let written = write_nifti_volumes(&path, &[&volume], None, None, &options).unwrap();
        assert_eq!((written.datatype, written.largest_error == 0.0), ("int16", exact), "{name}");
        let back = read(&path).unwrap().volume;
        let worst = back.as_slice().iter().zip(volume.as_slice());
        let worst = worst.map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max);
        assert!(worst <= written.largest_error, "{name}: {worst:e} > {:e}", written.largest_error);
        let half = written.slope / 2.0;
        assert!(exact || written.largest_error <= half + 2.0 * f64::from(f32::EPSILON) * 1e39, "{name}");
        let text = String::from_utf8_lossy(&gunzip(&path)).into_owned();
        assert_eq!(text.contains("largest_error"), !exact, "{name}");
    }
    let gap = of(&|i| if i == 7 { f32::NAN } else { 1.0 });
    let result = write_nifti_volumes(&path, &[&gap], None, None, &options);
    assert!(matches!(result, Err(Error::NotFinite { count: 1, .. })), "{result:?}");
    let labels = of(&|i| (i % 4) as f32).with_meaning(Modality::Seg, Unit::Label);
    assert_eq!(write_nifti_volumes(&path, &[&labels], None, None, &options).unwrap().datatype, "uint8");
    assert_eq!(gunzip(&path)[68..70], 1002i16.to_le_bytes(), "intent of labels");
}

#[test]
fn packed_bytes_do_not_depend_on_the_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let geometry = Geometry::axis_aligned([100, 90, 80], [1.0; 3]).unwrap();
    let voxels = Array3::from_shape_fn((80, 90, 100), |(z, y, x)| ((x * y + z * z) as f32).sqrt());
    let volume = Volume::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap();
    let [one, three] = [1, 3].map(|threads| {
        let path = dir.path().join(format!("{threads}.nii.gz"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| write_nifti(&path, &volume, None, None)).unwrap();
        fs::read(&path).unwrap()
    });
    assert!(one == three);
    assert_eq!(read(&dir.path().join("3.nii.gz")).unwrap().volume, volume);
}

#[test]
fn a_full_disk_is_an_error_and_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let mount = |arguments: &[&str]| {
        let done = std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(dir.path()).output();
        done.is_ok_and(|output| output.status.success())
    };
    if !cfg!(target_os = "linux") || !mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs"]) {
        println!("skipped: this user may not mount a small file system");
        return;
    }
    let geometry = |n: usize| Geometry::axis_aligned([n; 3], [1.0; 3]).unwrap();
    let small = Volume::filled(1.0, geometry(4), Modality::Mr, Unit::Arbitrary);
    // 55 KB and 8 KB too many: what is left over fits in a write buffer.
    let large = Volume::filled(2.0, geometry(25), Modality::Mr, Unit::Arbitrary);
    let path = dir.path().join("a.nii");
    let before = write_nifti(&path, &small, None, None);
    let full = write_nifti(&path, &large, None, None);
    let after = read(&path);
    let files = fs::read_dir(dir.path()).map(Iterator::count);
    assert!(mount(&["umount"]));
    before.unwrap();
    let Err(Error::Io { source, .. }) = full else { panic!("expected a full disk, got {full:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(after.unwrap().volume, small);
    assert_eq!(files.unwrap(), 1, "nothing unfinished stays");
}

//! One extraction of features, timed: the Isoscan side of `radiomics.py`. Prints one JSON object with the fastest of
//! `repeats` runs in ms, the process's peak memory in KiB, and the values. `inflate` only inflates the two files.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement ends at the first surprise")]

use std::path::Path;
use std::time::Instant;

use isoscan_imaging::{Mask, Volume};
use isoscan_radiomics::{FeatureTable, Settings, extract, maps};
use serde_json::{Map, Value, json};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [operation, repeats, image, mask, settings] = arguments.as_slice() else {
        panic!("usage: radiomics_timings memory|file|maps|inflate REPEATS IMAGE MASK SETTINGS");
    };
    let settings = Settings::from_json(settings).unwrap();
    let repeats: usize = repeats.parse().unwrap();
    let read = || {
        let read_mask = || isoscan_io::read_mask(Path::new(mask), Some(1)).unwrap();
        let (series, mask) = rayon::join(|| isoscan_io::read(Path::new(image)).unwrap(), read_mask);
        let mut settings = settings.clone();
        if let Some(stored) = series.source.intensity_type() {
            settings.set("storedType", &stored.into()).unwrap();
        }
        (series.volume, mask, settings)
    };
    let of = |(volume, mask, settings): &(Volume, Mask, Settings)| extract(volume, mask, settings).unwrap();
    let with_values = |(table, ms): (FeatureTable, f64)| (ms, values(&table));
    let (ms, values) = match operation.as_str() {
        "memory" => {
            let case = read();
            with_values(fastest(repeats, || of(&case)))
        }
        "file" => with_values(fastest(repeats, || of(&read()))),
        "maps" => {
            let (volume, mask, settings) = read();
            (fastest(repeats, || maps(&volume, &mask, &settings).unwrap()).1, Map::new())
        }
        "inflate" => {
            let packed = [image, mask].map(|path| std::fs::read(path).unwrap());
            (fastest(repeats, || packed.each_ref().map(|file| inflated(file))).1, Map::new())
        }
        other => panic!("no operation {other}"),
    };
    println!("{}", json!({"ms": ms, "peak_kib": peak_kib(), "values": values}));
}

/// What `work` gives, and the time of the fastest run in ms.
fn fastest<T>(repeats: usize, work: impl Fn() -> T) -> (T, f64) {
    let time = || {
        let begin = Instant::now();
        let result = work();
        (result, begin.elapsed().as_secs_f64() * 1e3)
    };
    let first = time();
    (1..repeats).map(|_| time()).fold(first, |(result, best), (_, ms)| (result, ms.min(best)))
}

fn values(table: &FeatureTable) -> Map<String, Value> {
    table.features.iter().map(|feature| (feature.name.clone(), json!(feature.value))).collect()
}

/// Content of a gzip file, whose last four bytes are its size.
fn inflated(packed: &[u8]) -> Vec<u8> {
    let size = u32::from_le_bytes(*packed.last_chunk().unwrap());
    let mut content = vec![0; size as usize];
    libdeflater::Decompressor::new().gzip_decompress(packed, &mut content).unwrap();
    content
}

/// Peak resident memory of this process.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

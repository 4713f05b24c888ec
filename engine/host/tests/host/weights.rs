//! Weights that plugins map are in memory once, however many workers there are.

use std::{fs, path::Path};

use isoscan_host::{Plugin, open_bundle};

use crate::plugins::{built_by_cargo, call, options};

const MIB: usize = 1 << 20;
const WEIGHTS: usize = 64 * MIB;
const WORKERS: usize = 4;

#[test]
fn workers_share_the_pages_of_mapped_weights() {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("weighty-0.1.0");
    fs::create_dir(&bundle).unwrap();
    let weights: Vec<u8> = (0..WEIGHTS).map(|i| (i % 251) as u8).collect();
    let sum = weights.iter().map(|&byte| u64::from(byte)).sum::<u64>() % 1000;
    fs::write(bundle.join("weights.bin"), &weights).unwrap();
    fs::copy(built_by_cargo("isoscan-weighty", "libisoscan_weighty.so"), bundle.join("lib.so")).unwrap();
    fs::write(bundle.join("plugin.toml"), "id = \"weighty\"\nversion = \"0.1.0\"\nlibrary = \"lib.so\"\n").unwrap();

    let bundle = open_bundle(&bundle).unwrap();
    let plugins = [(); WORKERS].map(|()| Plugin::open(&bundle, options()).unwrap());
    for plugin in &plugins {
        assert_eq!(*call(plugin, &[1.0], None, "S01").unwrap().output, [1.0 + sum as f32]);
    }
    let workers = processes_that_map(&bundle.dir.join("weights.bin"));
    assert_eq!(workers.len(), WORKERS);
    let total = |what: &str| workers.iter().map(|pid| memory_kib(*pid, what)).sum::<usize>() * 1024;
    // Each worker has touched every byte, so each has the whole file resident; shared out, it counts once.
    assert!(total("Rss:") >= WORKERS * WEIGHTS, "{} MiB", total("Rss:") / MIB);
    assert!(total("Pss:") < 2 * WEIGHTS, "{} MiB", total("Pss:") / MIB);
}

fn processes_that_map(file: &Path) -> Vec<u32> {
    let file = file.canonicalize().unwrap();
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let maps = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    all.filter(|pid| maps(pid).contains(file.to_str().unwrap())).collect()
}

/// A line of the kernel's summary over all mappings of a process.
fn memory_kib(pid: u32, what: &str) -> usize {
    let summary = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = summary.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

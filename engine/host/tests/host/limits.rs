//! What a plugin may use.

use std::time::{Duration, Instant};

use isoscan_host::{Death, Fault, Options, Plugin};

use crate::plugins::{bundle_of, call, open, options, probes};

fn message(plugin: &Plugin, way: &str) -> String {
    match call(plugin, &[1.0], Some(("way", way)), "S01").unwrap_err() {
        Fault::Plugin { message, .. } => message,
        other => panic!("{way}: {other:?}"),
    }
}

#[test]
fn a_plugin_that_takes_too_much_memory_gets_an_error_or_dies_with_the_limit_named() {
    let dir = bundle_of(probes(), "probes", "1.0.0", "memory_mb = 256");
    let plugin = open(dir.path(), options());
    call(&plugin, &[1.0], Some(("way", "big:64")), "S01").unwrap();
    assert_eq!(message(&plugin, "big:1000"), "no memory for that");
    let fault = call(&plugin, &[1.0], Some(("way", "hog:1000")), "S02").unwrap_err();
    let Fault::Poisoned { deaths, .. } = &fault else { panic!("{fault:?}") };
    assert!(deaths.iter().all(|death| matches!(death, Death::Signal { short_of_mb: Some(256), .. })), "{fault}");
    assert!(fault.to_string().contains("close to its memory limit of 256 MiB"), "{fault}");
    assert_eq!(*call(&plugin, &[2.0], None, "S03").unwrap().output, [2.0]);
}

#[test]
fn a_crash_far_from_the_memory_limit_does_not_speak_of_it() {
    let plugin = open(probes(), options());
    let fault = call(&plugin, &[1.0], Some(("way", "die")), "S01").unwrap_err();
    assert!(!fault.to_string().contains("memory limit"), "{fault}");
}

#[test]
fn shared_tensors_do_not_count_as_the_plugins_memory() {
    let dir = bundle_of(probes(), "probes", "1.0.0", "memory_mb = 256");
    let plugin = open(dir.path(), options());
    let voxels = vec![3.0; 64 << 20];
    assert!(call(&plugin, &voxels, None, "S01").unwrap().output.iter().all(|&voxel| voxel == 3.0));
}

#[test]
fn the_manifest_may_say_fewer_threads_than_the_engine_but_not_more() {
    for (limits, threads) in [("threads = 2", "2"), ("threads = 9", "3"), ("", "3")] {
        let dir = bundle_of(probes(), "probes", "1.0.0", limits);
        let plugin = open(dir.path(), Options { threads: 3, ..options() });
        assert_eq!(message(&plugin, "threads"), threads, "{limits}");
    }
}

#[test]
fn a_plugin_that_falls_silent_is_stopped_long_before_its_deadline() {
    let dir = bundle_of(probes(), "probes", "1.0.0", "max_silence_s = 0.4");
    let plugin = open(dir.path(), options());
    let start = Instant::now();
    let fault = call(&plugin, &[1.0], Some(("way", "mute")), "S01").unwrap_err();
    let limit = Duration::from_millis(400);
    assert_eq!(fault, Fault::Stalled { origin: Box::new(fault.origin().clone()), limit });
    assert!((limit..Duration::from_secs(20)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(*call(&plugin, &[2.0], None, "S02").unwrap().output, [2.0]);
}

#[test]
fn a_plugin_that_works_longer_than_its_silence_and_reports_goes_on() {
    let dir = bundle_of(probes(), "probes", "1.0.0", "max_silence_s = 0.4");
    let plugin = open(dir.path(), options());
    assert_eq!(*call(&plugin, &[2.0], Some(("way", "talk")), "S01").unwrap().output, [2.0]);
}

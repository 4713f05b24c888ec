//! Jobs whose worker died.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use isoscan_host::{Death, Fault, Options, Plugin};

use crate::plugins::{call, open, options, probes, worker_counted_in};

/// Number of jobs that `work` finds right, done by four threads.
fn right(jobs: usize, work: impl Fn(usize) -> bool + Sync) -> usize {
    let next = AtomicUsize::new(0);
    let one_thread = || {
        let mut right = 0;
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return right;
            }
            right += usize::from(work(job));
        }
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(one_thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

fn signals(deaths: &[Death]) -> Vec<&str> {
    deaths
        .iter()
        .map(|death| match death {
            Death::Signal { signal, .. } => signal.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn ten_thousand_jobs_survive_a_plugin_that_crashes_every_fifth_call() {
    const JOBS: usize = 10_000;
    let plugin = open(probes(), Options { workers: 2, spare: true, ..options() });
    let answers: Vec<AtomicUsize> = (0..JOBS).map(|_| AtomicUsize::new(0)).collect();
    let right = right(JOBS, |job| {
        let voxels = [job as f32, 1.0, -(job as f32) - 2.0];
        let reply = call(&plugin, &voxels, Some(("way", "fifth")), &job.to_string()).unwrap();
        answers[job].fetch_add(1, Ordering::Relaxed);
        *reply.output == voxels
    });
    assert_eq!(right, JOBS);
    assert!(answers.iter().all(|times| times.load(Ordering::Relaxed) == 1));
}

#[test]
fn a_spare_worker_is_ready_before_it_is_needed_and_replaced_after() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("starts");
    let worker_program = worker_counted_in(&file);
    let starts = || fs::metadata(&file).map_or(0, |file| file.len());
    let reach = |expected: u64| {
        let end = Instant::now() + Duration::from_secs(20);
        while starts() != expected {
            assert!(Instant::now() < end, "expected {expected} starts, found {}", starts());
            thread::sleep(Duration::from_millis(2));
        }
    };
    let plugin = open(probes(), Options { spare: true, worker_program, ..options() });
    // One process asked the dynamic linker, one loaded the plugin.
    assert_eq!(starts(), 2);
    plugin.warm().unwrap();
    reach(3);
    for job in 1..=5 {
        assert_eq!(*call(&plugin, &[1.0], Some(("way", "fifth")), &job.to_string()).unwrap().output, [1.0]);
    }
    reach(4);
}

#[test]
fn poison_is_set_aside_and_every_other_job_finishes() {
    const JOBS: usize = 300;
    let plugin = open(probes(), Options { workers: 2, spare: true, ..options() });
    let right = right(JOBS, |job| {
        let is_poison = job % 10 == 3;
        let voxel = if is_poison { -1.0 } else { job as f32 };
        match call(&plugin, &[voxel], Some(("way", "poison")), &job.to_string()) {
            Ok(reply) => !is_poison && *reply.output == [voxel],
            Err(Fault::Poisoned { origin, deaths, .. }) => {
                is_poison && origin.job == job.to_string() && signals(&deaths) == ["SIGABRT"; 2]
            }
            Err(other) => panic!("{other:?}"),
        }
    });
    assert_eq!(right, JOBS);
}

#[test]
fn a_death_keeps_its_signal_address_and_place_in_the_library() {
    let plugin = open(probes(), options());
    let Err(Fault::Poisoned { deaths, .. }) = call(&plugin, &[1.0], Some(("way", "die")), "S01") else {
        panic!("expected a poisoned job")
    };
    let [Death::Signal { signal, address: Some(16), offset: Some(first), .. }, Death::Signal { offset, .. }] =
        &deaths[..]
    else {
        panic!("{deaths:?}")
    };
    assert_eq!((signal.as_str(), offset), ("SIGSEGV", &Some(*first)));
}

#[test]
fn a_crash_with_much_memory_is_reported_as_any_other() {
    let plugin: Plugin = open(probes(), options());
    call(&plugin, &[1.0], Some(("way", "keep:256")), "S01").unwrap();
    let Err(Fault::Poisoned { deaths, .. }) = call(&plugin, &[1.0], Some(("way", "die")), "S02") else {
        panic!("expected a poisoned job")
    };
    assert_eq!(signals(&deaths), ["SIGSEGV"; 2]);
}

#[test]
fn errors_and_hangs_are_not_tried_again() {
    let plugin = open(probes(), Options { deadline: Some(Duration::from_secs(1)), ..options() });
    let start = Instant::now();
    assert!(matches!(call(&plugin, &[1.0], Some(("way", "mute")), "S01"), Err(Fault::Deadline { .. })));
    assert!(start.elapsed() < Duration::from_millis(1900), "{:?}", start.elapsed());
    assert!(matches!(call(&plugin, &[1.0], Some(("way", "fork")), "S02"), Err(Fault::Plugin { .. })));
}

//! Versions exchanged while jobs run.

use std::{
    fs,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use isoscan_host::{Event, Fault, Pin, State};
use semver::VersionReq;

use crate::versions::{Made, TRIGGER, Ward, adds, made, manifest, number, wait_until, write};

/// A call of a job takes a millisecond.
const SLOW: &[&str] = &["-DSLOW_US=1000"];

/// Three calls on one version; each must add the same.
fn three_calls(pin: &Pin) -> Result<u32, Fault> {
    let found = [adds(pin, TRIGGER)?, adds(pin, TRIGGER)?, adds(pin, TRIGGER)?];
    let expected = number(&pin.version().version) as f32;
    assert_eq!(found, [expected; 3], "a job mixed versions");
    Ok(number(&pin.version().version))
}

/// Brings the `i`th version; gives whether it is a good one.
fn bring(ward: &Ward, i: u32) -> bool {
    let n = 100_100 + i;
    let good = Made { flags: SLOW, ..made(n) };
    let folder = ward.folder(&format!("version-{}", i % 3));
    let _ = fs::remove_dir_all(&folder);
    let mut files = good.files();
    match i % 10 {
        1 => files.insert("libversion.so".to_owned(), Vec::new()),
        3 => {
            files = Made { flags: &["-DCRASH"], ..made(n) }.files();
            None
        }
        5 => {
            files = Made { offset: 1.0, ..good }.files();
            None
        }
        7 => {
            files = made(n + 1).files();
            files.remove("plugin.toml");
            let text = manifest(n, None, &files);
            files.insert("plugin.toml".to_owned(), text.into_bytes())
        }
        _ => None,
    };
    write(&folder, &files);
    !matches!(i % 10, 1 | 3 | 5 | 7)
}

#[test]
fn three_hundred_reloads_under_load_fail_no_call_and_mix_no_versions() {
    const RELOADS: u32 = 300;
    let ward = Ward::new();
    Made { flags: SLOW, ..made(100_001) }.install(&ward.folder("version"));
    ward.wait_for(100_001);
    let (current, stop) = (AtomicU32::new(100_001), AtomicBool::new(false));
    let (jobs, faults) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    let at_start = current.load(Ordering::Acquire);
                    match ward.shelf.job("version", &VersionReq::STAR, three_calls) {
                        Ok(n) => assert!(n >= at_start, "{n} is older than {at_start}"),
                        Err(fault) => faults.lock().unwrap().push(fault),
                    }
                    jobs.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for i in 0..RELOADS {
            let n = 100_100 + i;
            if bring(&ward, i) {
                wait_until(|| ward.serving() == Some(n));
                current.store(n, Ordering::Release);
            } else {
                wait_until(|| matches!(ward.state(n), Some(State::Refused | State::Incomplete)));
            }
        }
        stop.store(true, Ordering::Release);
    });
    assert_eq!(faults.into_inner().unwrap(), []);
    let good = (0..RELOADS).filter(|i| !matches!(i % 10, 1 | 3 | 5 | 7)).map(|i| 100_100 + i);
    let expected: Vec<u32> = [100_001].into_iter().chain(good).collect();
    assert_eq!(ward.loaded(), expected, "each good version once, none of the bad ones");
    assert_eq!(ward.refused().len(), 90, "{:#?}", ward.refused());
    assert!(jobs.into_inner() > 300);
    let rolled_back = ward.events().iter().any(|event| matches!(event, Event::RolledBack { .. }));
    assert!(!rolled_back);
}

/// Resident memory in KiB, open files and child processes of this process.
fn footprint() -> (u64, usize, usize) {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    let rss = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    let own = std::process::id().to_string();
    let is_child = |process: &fs::DirEntry| {
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)) == Some(own.as_str())
    };
    let children = fs::read_dir("/proc").unwrap().filter(|process| is_child(process.as_ref().unwrap())).count();
    (rss, files, children)
}

#[test]
fn a_thousand_reloads_leave_nothing_behind() {
    const ALONE: &str = "ISOSCAN_TEST_ALONE";
    const NAME: &str = "reload::a_thousand_reloads_leave_nothing_behind";
    // Memory, files and processes of a process can only be compared where no other test runs in it, and its memory
    // only where the allocator does not keep some for each thread.
    if std::env::var_os(ALONE).is_none() {
        let program = std::env::current_exe().unwrap();
        let output = Command::new(program)
            .args(["--exact", NAME, "--nocapture"])
            .envs([(ALONE, "1"), ("MALLOC_ARENA_MAX", "1")])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        return;
    }
    let ward = Ward::with(|options| {
        options.eager = true;
        options.host.workers = 1;
        options.warm = Duration::ZERO;
        // Twice as long is a folder remembered that is gone.
        options.rescan = Duration::from_millis(100);
    });
    let reload = |n: u32| {
        made(n).install(&ward.folder(&format!("version-{n}")));
        ward.shelf.reconcile();
        ward.wait_for(n);
        ward.shelf.job("version", &VersionReq::STAR, three_calls).unwrap();
        if n > 100_001 {
            fs::remove_dir_all(ward.folder(&format!("version-{}", n - 1))).unwrap();
        }
        ward.forget_events();
    };
    // Processes and what they held end a moment after their version.
    let settled = || {
        let (mut found, mut same) = (footprint(), 0);
        wait_until(|| {
            let next = footprint();
            same = if (next.1, next.2) == (found.1, 1) { same + 1 } else { 0 };
            found = next;
            same == 20
        });
        found
    };
    (100_001..100_301).for_each(reload);
    let before = settled();
    (100_301..101_301).for_each(reload);
    let after = settled();
    assert_eq!((after.1, after.2), (before.1, before.2), "open files and child processes");
    assert!(after.0 <= before.0 + 1024, "{} KiB grew to {} KiB", before.0, after.0);
}

#[test]
fn a_new_version_that_crashes_in_service_is_withdrawn_and_no_job_is_lost() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("old"));
    ward.wait_for(100_001);
    Made { flags: &["-DCRASH_IN_SERVICE"], ..made(100_002) }.install(&ward.folder("new"));
    ward.wait_for(100_002);
    let (start, star) = (Instant::now(), VersionReq::STAR);
    let done: Vec<u32> = (0..10).map(|_| ward.shelf.job("version", &star, three_calls).unwrap()).collect();
    assert_eq!(done, [100_001; 10]);
    let event = ward.wait(|event| matches!(event, Event::RolledBack { .. }));
    let told = "plugin version 1.100002.0: withdrawn, 4 of its first 4 jobs crashed; 1.100001.0 serves instead";
    assert_eq!(event.to_string(), told);
    assert!(start.elapsed() < Duration::from_secs(5));
    let retried = ward.events().iter().filter(|event| matches!(event, Event::Retried { .. })).count();
    assert_eq!(retried, 4);

    ward.shelf.reconcile();
    assert_eq!((ward.serving(), ward.state(100_002)), (Some(100_001), Some(State::Withdrawn)), "{}", ward.told());
    let other = Ward::over(Arc::clone(&ward.dir), |options| options.eager = true);
    assert_eq!((other.serving(), other.loaded()), (Some(100_001), vec![100_001]), "another engine on the same store");
    // Another content of the same version.
    fs::remove_dir_all(ward.folder("new")).unwrap();
    Made { drift: Some(5.0), ..made(100_002) }.install(&ward.folder("new"));
    ward.wait_for(100_002);
    other.wait_for(100_002);
    assert_eq!(ward.shelf.job("version", &star, three_calls).unwrap(), 100_002);
}

#[test]
fn a_new_version_overwritten_in_place_gives_way_to_the_one_that_was_there() {
    let ward = Ward::new();
    made(100_001).install(&ward.folder("version"));
    ward.wait_for(100_001);
    write(&ward.folder("version"), &Made { flags: &["-DNAN_IN_SERVICE"], ..made(100_002) }.files());
    ward.wait_for(100_002);
    // One job in five may fail; ten are counted before that is judged.
    let done: Vec<u32> = (0..12).map(|_| ward.shelf.job("version", &VersionReq::STAR, three_calls).unwrap()).collect();
    assert_eq!(done, [100_001; 12]);
    let event = ward.wait(|event| matches!(event, Event::RolledBack { .. }));
    assert!(event.to_string().contains("withdrawn, 10 of its first 10 jobs failed"), "{event}");
    ward.shelf.reconcile();
    assert_eq!((ward.serving(), ward.loaded()), (Some(100_001), vec![100_001, 100_002]), "{}", ward.told());
}

#[test]
fn a_job_that_fails_on_both_versions_says_nothing_against_the_new_one() {
    let ward = Ward::new();
    for (n, folder) in [(100_001, "old"), (100_002, "new")] {
        Made { flags: &["-DCRASH_IN_SERVICE"], ..made(n) }.install(&ward.folder(folder));
        ward.wait_for(n);
    }
    for _ in 0..6 {
        let outcome = ward.shelf.job("version", &VersionReq::STAR, three_calls);
        assert!(matches!(outcome, Err(Fault::Poisoned { .. })), "{outcome:?}");
    }
    assert_eq!(ward.serving(), Some(100_002), "{}", ward.told());
    assert_eq!(ward.record(100_002).unwrap().crashes, 6);
}

#[test]
fn a_candidate_does_its_share_beside_the_old_version_and_then_takes_over() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.shadow = 0.5;
    });
    made(100_001).install(&ward.folder("old"));
    ward.wait_for(100_001);
    Made { drift: Some(2.0), ..made(100_002) }.install(&ward.folder("new"));
    ward.wait(|event| matches!(event, Event::Candidate { .. }));
    assert_eq!(ward.state(100_002), Some(State::Candidate));
    let done: Vec<u32> = (0..40).map(|_| ward.shelf.job("version", &VersionReq::STAR, three_calls).unwrap()).collect();
    assert_eq!(done, [100_001; 40], "the old version answers");
    let differs = ward.events().into_iter().filter(|event| matches!(event, Event::Differs { .. }));
    let differs: Vec<String> = differs.map(|event| event.to_string()).collect();
    assert_eq!(differs.len(), 20, "{}", ward.told());
    let words = "plugin version 1.100002.0: differs from the serving version, job S01: S01: 0 of 2 voxels beyond 2, \
                 largest difference 1, mean 1, RMS 1";
    assert_eq!(differs[0], words);
    assert_eq!(ward.shelf.job("version", &VersionReq::STAR, three_calls).unwrap(), 100_002);
    ward.wait_for(100_002);
    assert_eq!(ward.state(100_001), Some(State::Previous));
}

#[test]
fn a_candidate_that_crashes_is_withdrawn_before_it_ever_answers() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.shadow = 1.0;
    });
    made(100_001).install(&ward.folder("old"));
    ward.wait_for(100_001);
    Made { flags: &["-DCRASH_IN_SERVICE"], ..made(100_002) }.install(&ward.folder("new"));
    ward.wait(|event| matches!(event, Event::Candidate { .. }));
    for _ in 0..6 {
        assert_eq!(ward.shelf.job("version", &VersionReq::STAR, three_calls).unwrap(), 100_001);
    }
    ward.wait(|event| matches!(event, Event::RolledBack { version, .. } if number(&version.version) == 100_002));
    let retried = ward.events().iter().any(|event| matches!(event, Event::Retried { .. }));
    assert!(!retried && ward.state(100_002) == Some(State::Withdrawn), "{}", ward.told());
}

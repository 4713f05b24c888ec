//! What exchanging versions costs: the jobs that run meanwhile, the exchange itself, the way from file to service, and
//! the memory of a thousand of them.
//!
//! `cargo bench --bench reload` prints one line per figure.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "../tests/host/plugins.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod plugins;
#[path = "../tests/host/versions.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod versions;

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use isoscan_host::Event;
use semver::VersionReq;

use versions::{Made, TRIGGER, Ward, adds, made};

/// A call of a job takes 7 ms, a job of three 21.
const SLOW: &[&str] = &["-DSLOW_US=7000"];
const LOAD: Duration = Duration::from_secs(15);
const PERIOD: Duration = Duration::from_millis(100);

/// When each version began to serve, and how long the exchange took.
type Told = Arc<Mutex<Vec<(Instant, Duration)>>>;

fn main() {
    let (ward, told) = eager();
    Made { flags: SLOW, ..made(100_001) }.install(&ward.folder("version-0"));
    ward.shelf.reconcile();
    let quiet = load(&ward, |_| ());
    let mut brought = Vec::new();
    let busy = load(&ward, |i| {
        let n = 100_002 + i;
        let folder = ward.folder(&format!("version-{}", i % 3));
        let _ = fs::remove_dir_all(&folder);
        match i % 5 {
            1 => Made { flags: &["-DCRASH"], ..made(n) }.install(&folder),
            3 => Made { flags: SLOW, offset: 1.0, ..made(n) }.install(&folder),
            _ => {
                Made { flags: SLOW, ..made(n) }.install(&folder);
                brought.push(Instant::now());
            }
        }
    });
    for (name, times) in [("without reloads", &quiet), ("with a reload each 100 ms, 40 % of them bad", &busy)] {
        let [median, late, latest] = [0.5, 0.99, 1.0].map(|part| share(times, part));
        println!("{} jobs of 21 ms {name}: p50 {median:.1} ms, p99 {late:.1} ms, longest {latest:.1} ms", times.len());
    }
    println!("added at p99: {:.1} ms", share(&busy, 0.99) - share(&quiet, 0.99));
    let told = told.lock().unwrap().split_off(1);
    let exchanges: Vec<Duration> = told.iter().map(|(_, took)| *took).collect();
    println!("{} exchanges: p50 {:.1} us, longest {:.1} us", exchanges.len(), 1e3 * share(&exchanges, 0.5), {
        1e3 * share(&exchanges, 1.0)
    });
    let served = |start: &Instant| told.iter().find(|(at, _)| at > start).map(|(at, _)| *at - *start);
    let ways: Vec<Duration> = brought.iter().filter_map(served).collect();
    println!("from file to service: p50 {:.1} ms, p99 {:.1} ms", share(&ways, 0.5), share(&ways, 0.99));
    drop(ward);
    memory();
}

fn eager() -> (Ward, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let ward = Ward::with(move |options| {
        options.eager = true;
        options.rescan = Duration::from_secs(5);
        options.on_event = Arc::new(move |event| {
            if let Event::Serving { took, .. } = event {
                heard.lock().unwrap().push((Instant::now(), *took));
            }
        });
    });
    (ward, told)
}

/// How long jobs of three clients take while `reload` is called every [`PERIOD`].
fn load(ward: &Ward, mut reload: impl FnMut(u32)) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    let client = || {
        let mut times = Vec::new();
        while !stop.load(Ordering::Acquire) {
            let start = Instant::now();
            let done = ward.shelf.job("version", &VersionReq::STAR, |pin| {
                Ok([adds(pin, TRIGGER)?, adds(pin, TRIGGER)?, adds(pin, TRIGGER)?])
            });
            let [first, rest @ ..] = done.unwrap();
            assert_eq!(rest, [first; 2]);
            times.push(start.elapsed());
        }
        times
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        let start = Instant::now();
        let mut i = 0;
        while start.elapsed() < LOAD {
            reload(i);
            i += 1;
            thread::sleep((i * PERIOD).saturating_sub(start.elapsed()));
        }
        stop.store(true, Ordering::Release);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

fn memory() {
    let ward = Ward::with(|options| {
        options.eager = true;
        options.host.workers = 1;
        options.warm = Duration::ZERO;
        options.rescan = PERIOD;
        options.on_event = Arc::new(|_| ());
    });
    let reload = |n: u32| {
        made(n).install(&ward.folder(&format!("version-{n}")));
        ward.shelf.reconcile();
        assert_eq!(ward.serving(), Some(n));
        let _ = fs::remove_dir_all(ward.folder(&format!("version-{}", n - 1)));
    };
    (100_001..100_301).for_each(reload);
    let (before, start) = (resident_kib(), Instant::now());
    (100_301..101_301).for_each(reload);
    let (after, took) = (resident_kib(), start.elapsed());
    println!("1000 reloads: {before} KiB of memory before, {after} KiB after, {:.1} ms each", took.as_secs_f64());
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The time in ms that this part of all stays below.
fn share(times: &[Duration], part: f64) -> f64 {
    let mut times = times.to_owned();
    times.sort();
    let at = (times.len().max(1) - 1) as f64 * part;
    times.get(at.round() as usize).map_or(f64::NAN, |time| 1e3 * time.as_secs_f64())
}

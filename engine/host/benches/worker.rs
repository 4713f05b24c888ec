//! What a worker process costs, and how soon the engine knows that one is lost.
//!
//! `cargo bench --bench worker` prints one line per figure.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use isoscan_abi::{Context, ParamValue, TrainContext};
use isoscan_host::{
    Fault, Isolation, Level, Options, Plugin, Policy, Reply, Request, TensorBuf, TrainConfig, open_bundle,
};

const WORKER: &str = env!("CARGO_BIN_EXE_isoscan-host-worker");

fn main() {
    let [odd, probes] = ["odd", "probes"].map(built);
    overhead(&probes);
    empty_calls(&probes);
    crash(&odd, 0);
    crash(&odd, 4096);
    hang(&probes);
    cancel(&odd);
    start(&odd);
    retry(&probes);
}

/// Calls of at least 50 ms with 64 MiB in and out, in a worker and in process by turns.
fn overhead(library: &Path) {
    const VOXELS: usize = 16 << 20;
    const PAIRS: usize = 25;
    let sides = [Isolation::Worker, Isolation::InProcess].map(|isolation| {
        let plugin = open(library, Options { isolation, ..options() });
        let mut image = plugin.buffer([1, 1, 1, 1, VOXELS]).expect("64 MiB");
        image.fill(40.0);
        (plugin, image)
    });
    let mut times = [Vec::new(), Vec::new()];
    let mut images = sides.each_ref().map(|_| None);
    let [(worker, first), (local, second)] = sides;
    images[0] = Some(first);
    images[1] = Some(second);
    let mut traffic = isoscan_host::Traffic::default();
    for pair in 0..=PAIRS {
        for (side, plugin) in [&worker, &local].into_iter().enumerate() {
            let image = images[side].take().expect("given back by the last call");
            let start = Instant::now();
            let reply = call(plugin, image, "work:2", &AtomicBool::new(false)).expect("an honest call");
            // The first pair maps and warms.
            if pair > 0 {
                times[side].push(start.elapsed());
            }
            if side == 0 {
                traffic = reply.traffic;
            }
            images[side] = reply.inputs.into_iter().next();
        }
    }
    let [worker, local] = times.map(|times| share(times, 0.5));
    println!("64 MiB call: {:.1} ms in a worker, {:.1} ms in process, ratio {:.4}", ms(worker), ms(local), {
        worker.as_secs_f64() / local.as_secs_f64()
    });
    println!(
        "64 MiB call: {} bytes through the socket, {} buffers mapped",
        traffic.message_bytes, traffic.mapped_buffers
    );
}

fn empty_calls(library: &Path) {
    const CALLS: usize = 20_000;
    let plugin = open(library, options());
    let mut image = plugin.buffer([1; 5]).ok();
    let mut times = Vec::with_capacity(CALLS);
    for number in 0..CALLS + 1000 {
        let start = Instant::now();
        let reply = call(&plugin, image.take().expect("one voxel"), "work:0", &AtomicBool::new(false)).expect("a call");
        if number >= 1000 {
            times.push(start.elapsed());
        }
        image = reply.inputs.into_iter().next();
    }
    let [median, late] = [0.5, 0.99].map(|part| 1e3 * ms(share(times.clone(), part)));
    println!("empty call: p50 {median:.1} us, p99 {late:.1} us");
}

/// From the last instruction of a worker that holds so much memory to the fault.
fn crash(library: &Path, mib: u64) {
    let plugin = open(library, options());
    let times = (0..if mib > 0 { 3 } else { 20 }).map(|_| {
        let mut session = plugin.train(&training()).expect("a session");
        let mut image = session.buffer([1; 5]).expect("one voxel");
        image.fill(1.0);
        session.step(1001 + mib.max(1), &image, &image).expect("a step that takes memory");
        let start = Instant::now();
        let fault = session.step(1001, &image, &image).expect_err("a crash");
        assert!(matches!(fault, Fault::Crashed { .. }), "{fault}");
        start.elapsed()
    });
    println!("crash with {mib} MiB resident: known after {:.2} ms", ms(share(times.collect(), 0.5)));
}

fn hang(library: &Path) {
    let limit = Duration::from_millis(300);
    let plugin = open(library, Options { deadline: Some(limit), ..options() });
    let times = (0..10).map(|_| {
        plugin.warm().expect("a worker");
        let image = plugin.buffer([1; 5]).expect("one voxel");
        let start = Instant::now();
        let fault = call(&plugin, image, "mute", &AtomicBool::new(false)).expect_err("a hang");
        assert!(matches!(fault, Fault::Deadline { .. }), "{fault}");
        start.elapsed().saturating_sub(limit)
    });
    println!("hang: ended at deadline + {:.2} ms at most", ms(share(times.collect(), 1.0)));
}

/// From the wish to cancel to the end of a call whose plugin reports every 0.5 ms.
fn cancel(library: &Path) {
    let plugin = open(library, options());
    let times = (0..50).map(|_| {
        plugin.warm().expect("a worker");
        let image = plugin.buffer([1; 5]).expect("one voxel");
        let wish = AtomicBool::new(false);
        thread::scope(|scope| {
            let wisher = scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                wish.store(true, Ordering::Release);
                Instant::now()
            });
            let fault = call(&plugin, image, "polite", &wish).expect_err("a cancelled call");
            assert!(matches!(fault, Fault::Cancelled { .. }), "{fault}");
            wisher.join().expect("a time").elapsed()
        })
    });
    println!("cancel: ended after {:.2} ms (median)", ms(share(times.collect(), 0.5)));
}

fn start(library: &Path) {
    let bundle = open_bundle(library).expect("a library");
    let opened = (0..20).map(|_| {
        let start = Instant::now();
        let plugin = Plugin::open(&bundle, options()).expect("a plugin");
        plugin.warm().expect("an instance");
        start.elapsed()
    });
    println!("open and warm: {:.2} ms", ms(share(opened.collect(), 0.5)));
    let plugin = open(library, options());
    let started = (0..20).map(|_| {
        let start = Instant::now();
        let session = plugin.train(&training()).expect("a session");
        let elapsed = start.elapsed();
        drop(session);
        elapsed
    });
    println!("one more worker: ready after {:.2} ms", ms(share(started.collect(), 0.5)));
}

/// Jobs of a plugin that crashes at every fifth call of a worker.
fn retry(library: &Path) {
    const JOBS: usize = 2000;
    let plugin = open(library, Options { workers: 2, spare: true, ..options() });
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..JOBS / 2 {
                    let mut image = plugin.buffer([1; 5]).expect("one voxel");
                    image.fill(1.0);
                    call(&plugin, image, "fifth", &AtomicBool::new(false)).expect("a job that is tried again");
                }
            });
        }
    });
    println!("crash at every 5th call: {:.0} jobs a second, none lost", JOBS as f64 / start.elapsed().as_secs_f64());
}

fn call(plugin: &Plugin, image: TensorBuf, way: &str, cancel: &AtomicBool) -> Result<Reply, Fault> {
    let name = plugin.descriptor().params[0].id.clone();
    let params: BTreeMap<String, ParamValue> = [(name, ParamValue::Choice(way.to_owned()))].into();
    let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] };
    let output_shape = image.shape();
    plugin.call(Request {
        inputs: vec![image],
        output_shape,
        params: &params,
        context: &context,
        cancel,
        job: "bench",
        progress: None,
    })
}

fn open(library: &Path, options: Options) -> Plugin {
    let mut bundle = open_bundle(library).expect("a library");
    bundle.level = Level::BuiltIn;
    let plugin = Plugin::open(&bundle, options).expect("a plugin");
    plugin.warm().expect("an instance");
    plugin
}

fn options() -> Options {
    Options {
        isolation: Isolation::Worker,
        workers: 1,
        threads: 1,
        deadline: Some(Duration::from_secs(60)),
        sandbox: Policy::Required,
        spare: false,
        worker_program: WORKER.into(),
    }
}

fn training() -> TrainConfig {
    let folder = std::env::temp_dir();
    TrainConfig {
        params: BTreeMap::new(),
        seed: 0,
        threads: 1,
        steps: 1,
        resume: None,
        folder,
        context: TrainContext::default(),
    }
}

/// The plugin of the tests with this name.
fn built(name: &str) -> PathBuf {
    let host = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libbench-{name}.so"));
    let cc = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-fPIC", "-shared", "-I"])
        .arg(host.join("../../abi/include"))
        .arg(host.join("tests/host").join(name).with_extension("c"))
        .arg("-o")
        .arg(&library)
        .status();
    assert!(cc.is_ok_and(|status| status.success()), "{name}.c does not compile");
    library
}

/// The time that this part of all stays below.
fn share(mut times: Vec<Duration>, part: f64) -> Duration {
    times.sort();
    times[((times.len() - 1) as f64 * part).round() as usize]
}

fn ms(time: Duration) -> f64 {
    1e3 * time.as_secs_f64()
}

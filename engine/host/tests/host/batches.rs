//! Several calls in one order give what single calls give, and a bad one harms no other.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use isoscan_abi::{Context, ParamValue};
use isoscan_host::{Fault, Isolation, Options, Plugin, Reply, Request};

use crate::plugins::{built_by_cc, clamp, faulty, identity, odd, open, options};

const BOTH: [Isolation; 2] = [Isolation::Worker, Isolation::InProcess];

type Params = BTreeMap<String, ParamValue>;

/// Requests of three voxels `[i, i + 1, i + 2]`, the `i`th with the `i`th parameters.
fn batch(plugin: &Plugin, params: &[Params], cancel: &AtomicBool) -> Vec<Result<Reply, Fault>> {
    let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] };
    let jobs: Vec<String> = (0..params.len()).map(|i| format!("S{i:02}")).collect();
    let requests = params.iter().zip(&jobs).enumerate().map(|(i, (params, job))| {
        let mut image = plugin.buffer([1, 1, 1, 1, 3]).unwrap();
        image.copy_from_slice(&voxels(i));
        Request {
            inputs: vec![image],
            output_shape: [1, 1, 1, 1, 3],
            params,
            context: &context,
            cancel,
            job,
            progress: None,
        }
    });
    plugin.call_batch(requests.collect())
}

fn voxels(i: usize) -> [f32; 3] {
    [0, 1, 2].map(|k| (i + k) as f32)
}

fn chosen(id: &str, choices: &[&str]) -> Vec<Params> {
    choices.iter().map(|choice| [(id.to_owned(), ParamValue::Choice((*choice).to_owned()))].into()).collect()
}

/// Messages through the socket in all replies.
fn message_bytes(replies: &[Result<Reply, Fault>]) -> usize {
    replies.iter().flatten().map(|reply| reply.traffic.message_bytes).sum()
}

#[test]
fn a_batch_in_rust_and_in_c_returns_what_single_calls_do() {
    for isolation in BOTH {
        for library in [identity().to_path_buf(), clamp()] {
            let plugin = open(&library, Options { isolation, ..options() });
            assert!(plugin.offers_batch(), "{}", library.display());
            let params = plugin.descriptor().check_params(&[].into()).unwrap();
            // More than one order holds.
            let replies = batch(&plugin, &vec![params; 37], &false.into());
            assert_eq!(replies.len(), 37);
            for (i, reply) in replies.iter().enumerate() {
                let reply = reply.as_ref().unwrap();
                assert_eq!((&*reply.output, &*reply.inputs[0]), (&voxels(i)[..], &voxels(i)[..]));
                assert!(reply.seconds > 0.0);
            }
        }
    }
}

#[test]
fn each_call_of_a_batch_has_its_own_parameters_and_message() {
    let between = |low: f64, high: f64| Params::from([("low".into(), low.into()), ("high".into(), high.into())]);
    for isolation in BOTH {
        let plugin = open(&clamp(), Options { isolation, ..options() });
        let params = [between(0.0, 1.0), between(5.0, 4.0), between(3.0, 9.0), between(9.0, 0.0)];
        let replies = batch(&plugin, &params, &false.into());
        let found: Vec<Result<Vec<f32>, String>> =
            replies.into_iter().map(|r| r.map(|r| r.output.to_vec()).map_err(|f| f.to_string())).collect();
        let refused =
            |job| Err(format!("plugin c-clamp 0.1.0, job {job}: parameter 'low' must not be above 'high' (status 2)"));
        let expected = [Ok(vec![0.0, 1.0, 1.0]), refused("S01"), Ok(vec![3.0, 3.0, 4.0]), refused("S03")];
        assert_eq!(found, expected, "{isolation:?}");
    }
}

#[test]
fn a_batch_is_one_order() {
    let plugin = open(identity(), options());
    let none = Params::new();
    batch(&plugin, &vec![none.clone(); 16], &false.into());
    let together = message_bytes(&batch(&plugin, &vec![none.clone(); 16], &false.into()));
    let alone: usize =
        (0..16).map(|_| message_bytes(&batch(&plugin, std::slice::from_ref(&none), &false.into()))).sum();
    // Fifteen headers of 64 bytes less each way, for lengths and statuses.
    assert!(together > 0 && together + 1000 < alone, "{together} bytes together, {alone} alone");
}

#[test]
fn a_crash_a_hang_or_a_panic_in_a_batch_fails_its_own_call_alone() {
    let plugin = open(faulty(), Options { deadline: Some(Duration::from_millis(500)), ..options() });
    for (fault, kinds) in [
        ("segfault", ["crashed", "poisoned"]),
        ("exit", ["crashed", "poisoned"]),
        ("hang", ["deadline", "poisoned"]),
        ("panic", ["panicked", "panicked"]),
        ("error", ["plugin", "plugin"]),
    ] {
        let replies = batch(&plugin, &chosen("fault", &["none", fault, "none", "none"]), &false.into());
        for (i, reply) in replies.into_iter().enumerate() {
            match reply {
                Ok(reply) => assert_eq!((i == 1, &*reply.output), (false, &voxels(i)[..]), "{fault}"),
                Err(found) => {
                    assert!(i == 1 && kinds.contains(&found.kind()), "{fault}: {found}");
                    assert_eq!(found.origin().job, "S01");
                }
            }
        }
    }
}

#[test]
fn a_plugin_that_offers_no_batch_gets_one_call_after_the_other() {
    let plugin = open(odd(), options());
    assert!(!plugin.offers_batch());
    let replies = batch(&plugin, &chosen("manner", &["none", "silent", "none"]), &false.into());
    let right: Vec<bool> = replies.iter().map(Result::is_ok).collect();
    assert_eq!(right, [true, false, true]);
}

#[test]
fn a_batch_too_long_for_one_order_is_made_one_by_one() {
    let plugin = open(identity(), options());
    // 4,000 origins are a third of what a message holds.
    let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]; 4000] };
    let (params, cancel) = (Params::new(), AtomicBool::new(false));
    let request = |job| {
        let mut image = plugin.buffer([1; 5]).unwrap();
        image.fill(7.0);
        let inputs = vec![image];
        Request {
            inputs,
            output_shape: [1; 5],
            params: &params,
            context: &context,
            cancel: &cancel,
            job,
            progress: None,
        }
    };
    for reply in plugin.call_batch(["S00", "S01", "S02", "S03"].map(request).into()) {
        let reply = reply.unwrap();
        assert_eq!(*reply.output, [7.0]);
        assert!(reply.traffic.message_bytes > 30_000, "{:?}", reply.traffic);
    }
}

#[test]
fn a_cancelled_batch_is_cancelled_in_every_call() {
    let plugin = open(identity(), options());
    let replies = batch(&plugin, &vec![Params::new(); 3], &true.into());
    assert!(replies.iter().all(|reply| matches!(reply, Err(Fault::Cancelled { .. }))), "{replies:?}");
}

#[test]
fn progress_of_a_batch_is_that_of_the_whole_and_cancels_it() {
    for isolation in BOTH {
        let plugin = open(&clamp(), Options { isolation, ..options() });
        let (cancel, told) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let progress = |fraction: f32| {
            told.lock().unwrap().push(fraction);
            cancel.store(true, Ordering::Release);
        };
        let params = plugin.descriptor().check_params(&[].into()).unwrap();
        // Over a million voxels each: the plugin tells its progress again in the middle of a call.
        let shape = [1, 1, 1, 1 << 11, 1 << 11];
        let context = Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] };
        let request = |job| {
            let mut image = plugin.buffer(shape).unwrap();
            image.fill(1.0);
            let progress: Option<&(dyn Fn(f32) + Sync)> = Some(&progress);
            Request {
                inputs: vec![image],
                output_shape: shape,
                params: &params,
                context: &context,
                cancel: &cancel,
                job,
                progress,
            }
        };
        let replies = plugin.call_batch(vec![request("S00"), request("S01")]);
        assert!(matches!(replies[1], Err(Fault::Cancelled { .. })), "{isolation:?}: {replies:?}");
        assert!(told.lock().unwrap().iter().all(|fraction| (0.0..=0.5).contains(fraction)), "{told:?}");
    }
}

/// The C example with one line changed.
fn odd_clamp(name: &str, line: &str, changed: &str) -> Plugin {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/c-plugin/clamp.c");
    let source = fs::read_to_string(example).unwrap();
    assert_eq!(source.matches(line).count(), 1, "{line}");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.c"));
    fs::write(&file, source.replace(line, changed)).unwrap();
    open(&built_by_cc(file.to_str().unwrap(), &format!("lib{name}.so")), options())
}

#[test]
fn a_plugin_that_refuses_a_batch_gets_its_calls_one_by_one_in_the_same_worker() {
    let refusing = "statuses[i] = ISO_STATUS_FAILED;\n        return ISO_STATUS_FAILED;";
    let plugin = odd_clamp("clamp-refusing", "statuses[i] = run(instance, &hosts[i], &calls[i]);", refusing);
    let params = plugin.descriptor().check_params(&[].into()).unwrap();
    for round in 0..2 {
        let replies = batch(&plugin, &vec![params.clone(); 3], &false.into());
        for (i, reply) in replies.into_iter().enumerate() {
            let reply = reply.unwrap();
            assert_eq!(*reply.output, voxels(i));
            // A fresh worker would have to map the buffers of the first round again.
            assert!(round == 0 || reply.traffic.mapped_buffers == 0, "{:?}", reply.traffic);
        }
    }
}

#[test]
fn a_call_that_got_no_status_has_failed() {
    let line = "statuses[i] = run(instance, &hosts[i], &calls[i]);";
    let plugin = odd_clamp("clamp-forgetful", line, &format!("if (i != 1) {line}"));
    let params = plugin.descriptor().check_params(&[].into()).unwrap();
    let replies = batch(&plugin, &vec![params; 3], &false.into());
    let words: Vec<String> =
        replies.into_iter().map(|r| r.map_or_else(|f| f.to_string(), |_| "right".into())).collect();
    assert_eq!(words, ["right", "plugin c-clamp 0.1.0, job S01: it gave no status (status 1)", "right"]);
}

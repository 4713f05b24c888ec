//! What a call gives, and what it costs.

use std::{sync::atomic::AtomicBool, thread};

use isoscan_abi::Context;
use isoscan_host::{Fault, Isolation, Options, Plugin, Request, TensorBuf};

use crate::plugins::{call, call_until, clamp, faulty, identity, odd, open, options};

const BOTH: [Isolation; 2] = [Isolation::Worker, Isolation::InProcess];

#[test]
fn identity_returns_every_bit() {
    let voxels: Vec<f32> = (0..100_003).map(|i| f32::from_bits(i * 40_009)).collect();
    for isolation in BOTH {
        let plugin = open(identity(), Options { isolation, ..options() });
        let reply = call(&plugin, &voxels, None, "S01").unwrap();
        assert!(reply.output.iter().map(|v| v.to_bits()).eq(voxels.iter().map(|v| v.to_bits())), "{isolation:?}");
        assert!(reply.seconds > 0.0);
    }
}

#[test]
fn a_bare_library_gets_its_name_and_version_from_itself() {
    let plugin = open(identity(), options());
    assert_eq!((plugin.bundle().id.as_str(), plugin.bundle().version.as_str()), ("identity", "0.1.0"));
    assert_eq!(plugin.descriptor().id, "identity");
}

#[test]
fn types_of_rust_plugins_are_compared_and_those_of_c_plugins_hashed() {
    assert!(open(identity(), options()).types_compared());
    assert!(!open(odd(), options()).types_compared());
    assert!(open(odd(), options()).offers_training() && !open(identity(), options()).offers_training());
}

#[test]
fn a_plugin_in_c_computes() {
    let plugin = open(&clamp(), options());
    let params = plugin.descriptor().check_params(&[("high".to_owned(), 80.0.into())].into()).unwrap();
    let mut image = plugin.buffer([1, 1, 1, 1, 3]).unwrap();
    image.copy_from_slice(&[-2000.0, 40.0, 3000.0]);
    let reply = plugin.call(Request {
        inputs: vec![image],
        output_shape: [1, 1, 1, 1, 3],
        params: &params,
        context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
        cancel: &AtomicBool::new(false),
        job: "S01",
        progress: None,
    });
    assert_eq!(*reply.unwrap().output, [-1000.0, 40.0, 80.0]);
}

#[test]
fn voxels_are_not_copied_between_the_processes() {
    let plugin = open(identity(), options());
    let voxels = vec![1.0; 4 << 20];
    let first = call(&plugin, &voxels, None, "first").unwrap();
    let (input, output) = (first.inputs[0].as_ptr(), first.output.as_ptr());
    assert_eq!(first.traffic.mapped_buffers, 2);
    drop(first);
    let second = call(&plugin, &voxels, None, "second").unwrap();
    assert_eq!((second.inputs[0].as_ptr(), second.output.as_ptr()), (input, output));
    assert_eq!(second.traffic.mapped_buffers, 0);
    assert!(second.traffic.message_bytes < 1024, "{:?}", second.traffic);
}

#[test]
fn calls_of_changing_size_outgrow_the_pool_and_stay_right() {
    // Two buffers of each size are more than the 256 MiB that the pool keeps, so the first size is gone at its return.
    let plugin = open(identity(), options());
    for len in [20 << 20, 21 << 20, 22 << 20, 20 << 20] {
        let reply = call(&plugin, &vec![len as f32; len], None, "S01").unwrap();
        assert_eq!(reply.traffic.mapped_buffers, 2, "{len}");
        assert!(reply.output.iter().all(|&v| v == len as f32));
    }
}

#[test]
fn an_output_can_be_the_next_input() {
    let plugin = open(identity(), options());
    let first = call(&plugin, &[3.0, 4.0], None, "first").unwrap();
    let second = plugin.call(Request {
        inputs: vec![first.output],
        output_shape: [1, 1, 1, 1, 2],
        params: &[].into(),
        context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[0; 3]] },
        cancel: &AtomicBool::new(false),
        job: "second",
        progress: None,
    });
    assert_eq!(*second.unwrap().output, [3.0, 4.0]);
}

#[test]
fn outputs_are_zeroed_and_aligned_whatever_the_size() {
    // `odd` refuses an output that is not zero when it gets it.
    let plugin = open(odd(), options());
    for len in [1, 15, 16, 17, 1023, 1024, 1025, 100_000, 17, 1] {
        let reply = call(&plugin, &vec![7.0; len], None, "S01").unwrap();
        assert_eq!(reply.output.len(), len);
        assert_eq!(reply.output.as_ptr() as usize % 64, 0);
        assert!(reply.output.iter().all(|&v| v == 7.0));
    }
}

#[test]
fn printing_disturbs_nothing_and_log_lines_come_back() {
    let plugin = open(odd(), options());
    let reply = call(&plugin, &[1.0], Some(("manner", "talk")), "S01").unwrap();
    assert_eq!(*reply.output, [1.0]);
    let log: Vec<(u32, &str)> = reply.log.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(log, [(2, "a warning")]);
}

#[test]
fn progress_arrives_and_a_polite_plugin_is_cancelled() {
    for isolation in BOTH {
        let plugin = open(odd(), Options { isolation, ..options() });
        let cancel = AtomicBool::new(false);
        let on_progress = |fraction: f32| cancel.store(fraction == 0.5, std::sync::atomic::Ordering::Release);
        let outcome = call_until(&plugin, &[1.0], Some(("manner", "polite")), "S01", &cancel, Some(&on_progress));
        assert!(matches!(outcome, Err(Fault::Cancelled { .. })), "{isolation:?}: {outcome:?}");
        assert_eq!(*call(&plugin, &[2.0], None, "S02").unwrap().output, [2.0]);
    }
}

#[test]
fn many_threads_share_few_workers_and_crashes_lose_nothing() {
    const CALLS: usize = 200;
    let plugin = open(faulty(), Options { workers: 2, ..options() });
    let one = |plugin: &Plugin, i: usize| {
        let crashes = i.is_multiple_of(5);
        let voxels = vec![i as f32; 1000 + i];
        let reply = call(plugin, &voxels, Some(("fault", if crashes { "segfault" } else { "none" })), &format!("{i}"));
        match reply {
            Ok(reply) => !crashes && *reply.output == *voxels,
            Err(fault) => crashes && matches!(fault, Fault::Poisoned { .. }) && fault.origin().job == format!("{i}"),
        }
    };
    let right: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|t| {
                let plugin = plugin.clone();
                scope.spawn(move || (t..CALLS).step_by(4).filter(|&i| one(&plugin, i)).count())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(right, CALLS);
}

#[test]
fn a_request_that_does_not_fit_is_refused_before_the_plugin_sees_it() {
    let plugin = open(identity(), options());
    let image = || plugin.buffer([1; 5]).unwrap();
    let refusal = |inputs: Vec<TensorBuf>, output_shape: [usize; 5], patches: usize| {
        let request = Request {
            inputs,
            output_shape,
            params: &[].into(),
            context: &Context { seed: 0, spacing_mm: [1.0; 3], patch_origins: vec![[123_456; 3]; patches] },
            cancel: &AtomicBool::new(false),
            job: "S01",
            progress: None,
        };
        match plugin.call(request) {
            Err(Fault::Request { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refusal(vec![], [1; 5], 1), "expected 1 to 1 inputs (image), found 0");
    let empty = "expected a tensor shape of five numbers above 0, found [1, 1, 0, 1, 1]";
    assert_eq!(refusal(vec![image()], [1, 1, 0, 1, 1], 1), empty);
    let long = "parameters and context of a call may take 65536 bytes together with its tensor shapes";
    assert!(refusal(vec![image()], [1; 5], 5000).starts_with(long));
    assert!(matches!(plugin.buffer([usize::MAX; 5]), Err(Fault::Request { .. })));
    assert_eq!(*call(&plugin, &[1.0], None, "S02").unwrap().output, [1.0]);
}

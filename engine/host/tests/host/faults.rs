//! Each thing a plugin can do wrong becomes a fault that names it, and the next call works.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use isoscan_host::{Death, Fault, Isolation, Options, Plugin};

use crate::plugins::{call, call_until, faulty, odd, open, options};

const VOXELS: [f32; 1030] = [5.0; 1030];

fn fault(plugin: &Plugin, param: (&str, &str)) -> Fault {
    let fault = call(plugin, &VOXELS, Some(param), "S07").unwrap_err();
    assert_eq!(*call(plugin, &VOXELS, None, "S08").map(|reply| reply.output.to_vec()).unwrap(), VOXELS, "{fault}");
    assert_eq!(fault.origin().job, "S07");
    fault
}

fn signal(fault: &Fault) -> &str {
    match fault {
        Fault::Poisoned { deaths, .. } => match &deaths[..] {
            [Death::Signal { signal, .. }, Death::Signal { signal: second, .. }] if signal == second => signal,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_fault_of_the_faulty_plugin_is_named_and_survived() {
    let plugin = open(faulty(), options());
    let rows = [
        ("error", "plugin", "plugin faulty 0.1.0, job S07: the fault that was asked for (status 1)"),
        ("panic", "panicked", "plugin faulty 0.1.0, job S07: the plugin panicked: the panic that was asked for"),
        (
            "segfault",
            "poisoned",
            "plugin faulty 0.1.0, job S07: set aside after 2 workers died of it: SIGSEGV at address 0x40, library offset 0x",
        ),
        ("abort", "poisoned", "plugin faulty 0.1.0, job S07: set aside after 2 workers died of it: SIGABRT"),
        ("exit", "poisoned", "plugin faulty 0.1.0, job S07: set aside after 2 workers died of it: exit status 0"),
        (
            "write-outside",
            "poisoned",
            "plugin faulty 0.1.0, job S07: set aside after 2 workers died of it: SIGSEGV at address 0x",
        ),
    ];
    for (way, kind, sentence) in rows {
        let fault = fault(&plugin, ("fault", way));
        assert_eq!(fault.kind(), kind, "{fault}");
        assert!(fault.to_string().starts_with(sentence), "{fault}");
    }
}

#[test]
fn a_hang_ends_at_its_deadline() {
    let limit = Duration::from_millis(500);
    let plugin = open(faulty(), Options { deadline: Some(limit), ..options() });
    let start = Instant::now();
    let fault = fault(&plugin, ("fault", "hang"));
    assert!(start.elapsed() >= limit);
    assert_eq!(fault.to_string(), "plugin faulty 0.1.0, job S07: no answer within 0.5 s, stopped");
}

#[test]
fn a_plugin_that_talks_for_ever_ends_at_its_deadline() {
    let plugin = open(odd(), Options { deadline: Some(Duration::from_millis(500)), ..options() });
    assert!(matches!(fault(&plugin, ("manner", "babble")), Fault::Deadline { .. }));
}

#[test]
fn cancelling_ends_a_plugin_that_ignores_it_and_a_call_that_waits() {
    let plugin = open(odd(), options());
    let (working, waiting, inside) = (AtomicBool::new(false), AtomicBool::new(false), Barrier::new(2));
    let on_progress = |_| {
        inside.wait();
    };
    let stubborn = Some(("manner", "stubborn"));
    thread::scope(|scope| {
        let working_call = scope.spawn(|| call_until(&plugin, &VOXELS, stubborn, "S07", &working, Some(&on_progress)));
        inside.wait();
        let waiting_call = scope.spawn(|| call_until(&plugin, &VOXELS, None, "S08", &waiting, None));
        waiting.store(true, Ordering::Release);
        assert!(matches!(waiting_call.join().unwrap(), Err(Fault::Cancelled { .. })));
        working.store(true, Ordering::Release);
        assert!(matches!(working_call.join().unwrap(), Err(Fault::Cancelled { .. })));
    });
    assert_eq!(*call(&plugin, &[1.0], None, "S09").unwrap().output, [1.0]);
}

#[test]
fn writing_beside_the_output_or_into_the_input_is_caught() {
    let plugin = open(odd(), options());
    // 1030 voxels end 24 bytes before a page and begin inside one; 1024 fill a page exactly.
    for manner in ["past-end", "before-start"] {
        assert!(matches!(fault(&plugin, ("manner", manner)), Fault::Outside { .. }), "{manner}");
        let page = call(&plugin, &[5.0; 1024], Some(("manner", manner)), "S07").unwrap_err();
        assert_eq!(signal(&page), "SIGSEGV", "{manner}");
    }
    assert_eq!(signal(&fault(&plugin, ("manner", "write-input"))), "SIGSEGV");
}

#[test]
fn voxels_that_are_no_numbers_are_counted_unless_the_input_has_some() {
    let plugin = open(odd(), options());
    assert!(matches!(fault(&plugin, ("manner", "nan")), Fault::Output { count: 2, .. }));
    let reply = call(&plugin, &[1.0, 2.0, f32::NAN], Some(("manner", "nan")), "S07").unwrap();
    assert!(reply.output[0].is_nan() && reply.output[1].is_infinite());
}

#[test]
fn a_stack_overflow_is_reported() {
    let plugin = open(odd(), options());
    assert_eq!(signal(&fault(&plugin, ("manner", "nested"))), "SIGSEGV");
}

#[test]
fn a_crash_brings_the_last_words_along() {
    let plugin = open(odd(), options());
    let fault = fault(&plugin, ("manner", "last-words"));
    assert_eq!(
        fault.to_string(),
        "plugin odd 1.2.3, job S07: set aside after 2 workers died of it: SIGABRT, then SIGABRT; last line: out of luck"
    );
}

#[test]
fn an_error_without_a_message_says_so() {
    let plugin = open(odd(), options());
    let fault = fault(&plugin, ("manner", "silent"));
    assert_eq!(fault.to_string(), "plugin odd 1.2.3, job S07: it gave no message (status 1)");
}

#[test]
fn a_worker_that_talks_nonsense_or_hangs_up_is_dropped() {
    let plugin = open(odd(), options());
    for (manner, breach) in [("lie", "expected at least 64 bytes, found 26"), ("close", "it closed its connection")] {
        match fault(&plugin, ("manner", manner)) {
            Fault::Poisoned { deaths, .. } => {
                assert_eq!(deaths, [breach; 2].map(|breach| Death::Breach { breach: breach.to_owned() }))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn in_the_engines_process_errors_and_panics_are_faults_too() {
    let plugin = open(faulty(), Options { isolation: Isolation::InProcess, ..options() });
    assert_eq!(fault(&plugin, ("fault", "error")).kind(), "plugin");
    assert_eq!(fault(&plugin, ("fault", "panic")).kind(), "panicked");
}

//! What calls leave behind, and how soon they end.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use isoscan_abi::STATUS_OK;

use super::{
    Rule, Words,
    bench::{Bench, Boxes, Stop, Verdict, image, texture, told},
};
use crate::{
    Fault,
    raw::{Raw, RawCall},
    worker::GRACE,
};

/// Calls after which memory is compared.
const CALLS: usize = 1000;
/// Calls before, in which caches and pools fill.
const WARM_UP: usize = 100;
/// Calls after which threads and files are compared.
const FEW_CALLS: usize = 200;
/// Instances made and freed, and those before.
const CYCLES: usize = 100;
const WARM_UP_CYCLES: usize = 20;
/// Most growth of private memory, KiB.
const GROWTH_KIB: u64 = 1024;
/// Most voxels of a call that is made to last.
const MOST_VOXELS: usize = 16 << 20;
/// Time into a call at which it is cancelled.
const CANCEL_AFTER: Duration = Duration::from_millis(50);

pub(super) const RULES: [Rule<Bench>; 5] = [
    Rule {
        words: Words {
            name: "cancel",
            rule: "a call ends within 1 s of being cancelled, because an operator who stops must not wait and the \
                   worker need not be killed",
            remedy: "call progress at least every 100 ms of work and return ISO_STATUS_CANCELLED when it asks to stop",
        },
        check: cancel_is_heard,
    },
    Rule {
        words: Words {
            name: "no-leak",
            rule: "1000 calls leave no more than 1 MiB of memory behind, because a worker serves for days",
            remedy: "free what a call allocates, also on its ways of error; run the plugin's tests with \
                     -fsanitize=leak",
        },
        check: memory_stays,
    },
    Rule {
        words: Words {
            name: "no-thread-left",
            rule: "calls leave no thread behind, because threads of an ended call touch memory that is gone",
            remedy: "join every thread before run returns, or keep one pool per instance",
        },
        check: threads_end,
    },
    Rule {
        words: Words {
            name: "no-file-left",
            rule: "calls leave no file open, because a worker may open only so many",
            remedy: "close what a call opens, also on its ways of error",
        },
        check: files_close,
    },
    Rule {
        words: Words {
            name: "instances-freed",
            rule: "making and freeing instances leaves no memory, thread or file behind",
            remedy: "free in destroy whatever create made, and join its threads",
        },
        check: instances_are_freed,
    },
];

fn cancel_is_heard(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let mut wanted = [16, 16, 16];
    let (call, spent) = loop {
        let call = large(bench, wanted);
        let reply = raw.call(&call, None)?;
        let spent = reply.seconds;
        image(reply)?;
        let next = wanted.map(|extent| 2 * extent);
        let grows = voxels(bench, next) > call.inputs[0].voxels.len() && voxels(bench, next) <= MOST_VOXELS;
        if spent > 1.5 * GRACE.as_secs_f64() || !grows {
            break (call, spent);
        }
        wanted = next;
    };
    let count = call.inputs[0].voxels.len();
    if spent <= GRACE.as_secs_f64() {
        return Ok(format!("the largest call tried, {count} voxels, ends by itself after {spent:.3} s"));
    }
    let (answer, after) = cancelled(&mut raw, &call);
    match answer {
        Ok(reply) if reply.status == STATUS_OK => {
            Ok(format!("done {:.3} s after being cancelled", after.as_secs_f64()))
        }
        Ok(reply) => Ok(format!("{} {:.3} s after being cancelled", told(&reply), after.as_secs_f64())),
        Err(Fault::Cancelled { .. }) => Err(Stop::Fail(format!(
            "a call of {spent:.1} s ({count} voxels) was killed {:.1} s after being cancelled",
            after.as_secs_f64()
        ))),
        Err(fault) => Err(fault.into()),
    }
}

/// Cancels a call a moment after its start; gives its answer and the time between wish and answer.
fn cancelled(raw: &mut Raw<'_>, call: &RawCall) -> (Result<crate::raw::RawReply, Fault>, Duration) {
    let (cancel, (done, is_done)) = (&AtomicBool::new(false), channel::<()>());
    thread::scope(|scope| {
        let asked = scope.spawn(move || {
            let _ = is_done.recv_timeout(CANCEL_AFTER);
            cancel.store(true, Ordering::Release);
            Instant::now()
        });
        let answer = raw.call(call, Some(cancel));
        let end = Instant::now();
        drop(done);
        let asked = asked.join().unwrap_or(end);
        (answer, end.saturating_duration_since(asked))
    })
}

/// A call of about `wanted` voxels, in the largest declared batch.
fn large(bench: &Bench, wanted: [usize; 3]) -> RawCall {
    let count = bench.descriptor.patching.max_batch as i64;
    bench.call(&Boxes { first: (0..count).map(|i| [0, 0, i]).collect(), size: bench.size(wanted) }, &texture)
}

fn voxels(bench: &Bench, wanted: [usize; 3]) -> usize {
    bench.size(wanted).iter().product::<usize>().saturating_mul(bench.descriptor.patching.max_batch)
}

fn memory_stays(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let call = bench.usual(bench.size([16, 16, 2]));
    repeat(&mut raw, &call, WARM_UP)?;
    let before = memory_kib(pid(&raw)?)?;
    repeat(&mut raw, &call, CALLS)?;
    let growth = memory_kib(pid(&raw)?)?.saturating_sub(before);
    let found = format!("{growth} KiB more after {CALLS} calls");
    if growth <= GROWTH_KIB { Ok(found) } else { Err(Stop::Fail(found)) }
}

fn threads_end(bench: &Bench) -> Verdict {
    count_stays(bench, "threads", threads)
}

fn files_close(bench: &Bench) -> Verdict {
    count_stays(bench, "open files", files)
}

fn count_stays(bench: &Bench, what: &str, count: fn(u32) -> Result<u64, Stop>) -> Verdict {
    let mut raw = bench.start()?;
    let call = bench.usual(bench.size([16, 16, 2]));
    repeat(&mut raw, &call, WARM_UP)?;
    let before = count(pid(&raw)?)?;
    repeat(&mut raw, &call, FEW_CALLS)?;
    let after = count(pid(&raw)?)?;
    if after <= before {
        return Ok(format!("{after} {what} before and after {FEW_CALLS} calls"));
    }
    Err(Stop::Fail(format!("{before} {what} before {FEW_CALLS} calls, {after} after")))
}

fn instances_are_freed(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let mut cycle = |count: usize| -> Result<[u64; 3], Stop> {
        for _ in 0..count {
            raw.create_again()?;
        }
        let pid = pid(&raw)?;
        Ok([memory_kib(pid)?, threads(pid)?, files(pid)?])
    };
    let before = cycle(WARM_UP_CYCLES)?;
    let after = cycle(CYCLES)?;
    let [memory, threads, files] = std::array::from_fn(|i| after[i].saturating_sub(before[i]));
    let found = format!("{memory} KiB, {threads} threads and {files} files more after {CYCLES} instances");
    if memory <= GROWTH_KIB && threads == 0 && files == 0 { Ok(found) } else { Err(Stop::Fail(found)) }
}

fn repeat(raw: &mut Raw<'_>, call: &RawCall, count: usize) -> Result<(), Stop> {
    (0..count).try_for_each(|_| image(raw.call(call, None)?).map(|_| ()))
}

fn pid(raw: &Raw<'_>) -> Result<u32, Stop> {
    raw.pid().ok_or_else(|| Stop::Skip("its worker has no process id".into()))
}

/// Private memory of a process, without what it shares with the engine.
fn memory_kib(pid: u32) -> Result<u64, Stop> {
    status(pid, "RssAnon:")
}

fn threads(pid: u32) -> Result<u64, Stop> {
    status(pid, "Threads:")
}

fn files(pid: u32) -> Result<u64, Stop> {
    let entries = fs::read_dir(place(pid, "fd")).map_err(unreadable)?;
    Ok(entries.count() as u64)
}

fn status(pid: u32, key: &str) -> Result<u64, Stop> {
    let text = fs::read_to_string(place(pid, "status")).map_err(unreadable)?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
    value.ok_or_else(|| Stop::Skip(format!("this system does not tell {key} of a process")))
}

fn place(pid: u32, file: &str) -> PathBuf {
    ["/proc", &pid.to_string(), file].iter().collect()
}

fn unreadable(cause: io::Error) -> Stop {
    Stop::Skip(format!("this system does not tell about its worker: {cause}"))
}

//! Results that must agree with each other.

use std::thread;

use super::{
    Rule, Words,
    bench::{Bench, Boxes, Stop, Verdict, agreement, alike, image, texture},
};
use crate::{Plugin, golden::test_golden};

/// Largest batch that is tried.
const BATCH: usize = 5;
/// Calls of each of two workers at the same time.
const PARALLEL_CALLS: usize = 8;

pub(super) const RULES: [Rule<Bench>; 4] = [
    Rule {
        words: Words {
            name: "deterministic",
            rule: "a plugin that is declared deterministic gives the same bytes again, in another process, with 2 \
                   threads and after other calls",
            remedy: "take random numbers from the seed and the place, fix the order of sums, keep nothing between \
                     calls; or declare deterministic = false",
        },
        check: same_bytes,
    },
    Rule {
        words: Words {
            name: "batch-equals-singles",
            rule: "a batch gives what its entries give one by one, because the engine chooses the batches",
            remedy: "keep every sum and normalisation inside one batch entry, or declare max_batch = 1",
        },
        check: batch_equals_singles,
    },
    Rule {
        words: Words {
            name: "parallel-workers",
            rule: "two workers that translate at the same time give what one gives, because the engine runs several",
            remedy: "share nothing between processes: no fixed file names, ports or shared memory",
        },
        check: parallel_workers_agree,
    },
    Rule {
        words: Words {
            name: "golden-vectors",
            rule: "every golden vector of the bundle comes out within its tolerance, twice, because a version is \
                   tested with them before it serves",
            remedy: "let isoscan plugins pack make golden vectors, again where a change is meant; correct the plugin \
                     otherwise",
        },
        check: golden_vectors_hold,
    },
];

fn same_bytes(bench: &Bench) -> Verdict {
    if !bench.descriptor.deterministic {
        return Err(Stop::Skip("it is not declared deterministic".into()));
    }
    let call = bench.usual(bench.size([19, 17, 4]));
    let other = bench.call(&Boxes { first: vec![[90, -40, 11]], size: bench.size([24, 9, 3]) }, &texture);
    let mut raw = bench.start()?;
    let first = image(raw.call(&call, None)?)?;
    let compare = |voxels: Vec<f32>, when: &str| {
        if alike(&first, &voxels) { Ok(()) } else { Err(Stop::Fail(format!("another result {when}"))) }
    };
    for _ in 0..4 {
        compare(image(raw.call(&call, None)?)?, "from the same call again")?;
    }
    image(raw.call(&other, None)?)?;
    compare(image(raw.call(&call, None)?)?, "after another image")?;
    let mut fresh = bench.start()?;
    image(fresh.call(&other, None)?)?;
    compare(image(fresh.call(&call, None)?)?, "in another process")?;
    compare(image(bench.start_with(2)?.call(&call, None)?)?, "with 2 threads")?;
    Ok(format!("{} voxels bit-equal in 8 calls", first.len()))
}

fn batch_equals_singles(bench: &Bench) -> Verdict {
    let most = bench.descriptor.patching.max_batch.min(BATCH);
    if most < 2 {
        return Err(Stop::Skip("max_batch is 1".into()));
    }
    bench.require_repeatable()?;
    let size = bench.size([16, 14, 4]);
    let first: Vec<[i64; 3]> = (0..most as i64).map(|i| [3 + 5 * i, 5 - 4 * i, 7 + i]).collect();
    let mut raw = bench.start()?;
    let mut singles = Vec::new();
    for &place in &first {
        singles.extend(image(raw.call(&bench.call(&Boxes { first: vec![place], size }, &texture), None)?)?);
    }
    let mut found = String::new();
    for count in [most, 2] {
        let boxes = Boxes { first: first[..count].to_vec(), size };
        let batch = image(raw.call(&bench.call(&boxes, &texture), None)?)?;
        found = format!("batches of {most} and 2: {}", agreement(singles.iter().zip(&batch))?);
    }
    Ok(found)
}

fn parallel_workers_agree(bench: &Bench) -> Verdict {
    bench.require_repeatable()?;
    let call = bench.usual(bench.size([32, 32, 4]));
    let alone = image(bench.start()?.call(&call, None)?)?;
    let work = || -> Result<(), Stop> {
        let mut raw = bench.start()?;
        for _ in 0..PARALLEL_CALLS {
            if !alike(&alone, &image(raw.call(&call, None)?)?) {
                return Err(Stop::Fail("a worker beside another one gave another result than one alone".into()));
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().unwrap_or_else(|_| Err(Stop::Fail("the check failed".into()))))
    })?;
    Ok(format!("2 workers of {PARALLEL_CALLS} calls each, bit-equal to one alone"))
}

fn golden_vectors_hold(bench: &Bench) -> Verdict {
    if bench.bundle.manifest.selftest.is_empty() {
        return Err(Stop::Fail("plugin.toml lists no golden vectors under [[selftest]]".into()));
    }
    let plugin = Plugin::open(&bench.bundle, bench.options.clone())?;
    let drifts = test_golden(&plugin, &bench.bundle)?;
    let told = drifts.iter().map(|drift| format!("{} off by {:.3e} at most", drift.vector, drift.largest));
    Ok(told.collect::<Vec<_>>().join(", "))
}

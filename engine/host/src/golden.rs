//! Golden vectors: inputs and what a plugin must make of them.

mod compare;
mod make;
mod vector;

use std::time::{Duration, Instant};

use crate::{Bundle, Fault, Golden, Origin, Party, Plugin, Step};
pub(crate) use compare::compare;
pub use compare::{Drift, DriftTable};
pub use make::make_golden;
use vector::Vector;

/// Where an instance is made within this time, the second run of the golden vectors gets a fresh worker.
const QUICK: Duration = Duration::from_millis(500);

/// Runs every golden vector of `bundle` on `plugin` twice, the second time in a fresh worker where starting one is
/// quick, and compares the outputs with what is expected.
///
/// # Errors
/// [`Fault::Rejected`] when a vector cannot be read or translated, or when two runs of a plugin that declares itself
/// deterministic differ. A drift beyond its tolerance is no error here.
pub fn measure_golden(plugin: &Plugin, bundle: &Bundle) -> Result<Vec<Drift>, Fault> {
    let goldens = &bundle.manifest.selftest;
    if goldens.is_empty() {
        return Ok(Vec::new());
    }
    let start = Instant::now();
    plugin.warm()?;
    let is_quick = start.elapsed() < QUICK;
    let first = goldens
        .iter()
        .map(|golden| {
            let vector = read(bundle, golden, plugin)?;
            let output = run(&vector, golden, plugin)?;
            Ok((golden, vector, output))
        })
        .collect::<Result<Vec<_>, Fault>>()?;
    if is_quick {
        plugin.keep_warm(0);
        plugin.keep_warm(usize::MAX);
    }
    first.iter().map(|(golden, vector, output)| run_again(golden, vector, output, plugin)).collect()
}

/// [`measure_golden`], and no drift beyond its tolerance.
///
/// # Errors
/// [`Fault::Rejected`] of the step Test.
pub fn test_golden(plugin: &Plugin, bundle: &Bundle) -> Result<Vec<Drift>, Fault> {
    let drifts = measure_golden(plugin, bundle)?;
    accept(&drifts, plugin, "what is expected").map(|()| drifts)
}

/// Compares what `new` and `old` make of the golden vectors of both. The tolerance is the drift that the manifest of
/// `new` declares for the vector of the same file name, or else its largest; without one, a vector is not run.
///
/// # Errors
/// [`Fault::Rejected`] when `new` cannot translate a vector.
pub fn measure_canary(new: &Plugin, old: &Plugin) -> Result<Vec<Drift>, Fault> {
    let own = &new.bundle().manifest.selftest;
    let Some(largest) = own.iter().filter_map(|golden| golden.drift).reduce(f64::max) else {
        return Ok(Vec::new());
    };
    let (mut drifts, mut met) = (Vec::new(), Vec::<(Vector, &Golden)>::new());
    for bundle in [old.bundle(), new.bundle()] {
        for golden in &bundle.manifest.selftest {
            let vector = read(bundle, golden, new)?;
            let is_known =
                |(other, asked): &(Vector, &Golden)| other.inputs == vector.inputs && same_call(asked, golden);
            if met.iter().any(is_known) {
                continue;
            }
            let same_name = own.iter().find(|candidate| candidate.file == golden.file);
            let Some(tolerance) = same_name.map_or(Some(largest), |candidate| candidate.drift) else {
                continue;
            };
            let found = run(&vector, golden, new)?;
            // What the older version cannot take is new to the newer one and no drift.
            let expected = run(&vector, golden, old).unwrap_or_default();
            drifts.push(compare(&golden.file, &found, &expected, Some(tolerance)));
            met.push((vector, golden));
        }
    }
    Ok(drifts)
}

/// [`measure_canary`], and no drift beyond what the manifest of `new` declares.
///
/// # Errors
/// [`Fault::Rejected`] of the step Test.
pub fn canary(new: &Plugin, old: &Plugin) -> Result<Vec<Drift>, Fault> {
    let drifts = measure_canary(new, old)?;
    accept(&drifts, new, &format!("version {}", old.bundle().version)).map(|()| drifts)
}

/// Refuses drifts beyond their tolerance; `other` is what the outputs were compared with.
pub(crate) fn accept(drifts: &[Drift], plugin: &Plugin, other: &str) -> Result<(), Fault> {
    let beyond = || drifts.iter().filter(|drift| !drift.is_within());
    let Some(worst) = beyond().max_by(|a, b| a.largest.total_cmp(&b.largest)) else {
        return Ok(());
    };
    let rest = match beyond().count() - 1 {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Err(refused(plugin, format!("its output differs from {other}: {}{rest}", worst.sentence())))
}

fn run_again(golden: &Golden, vector: &Vector, first: &[f32], plugin: &Plugin) -> Result<Drift, Fault> {
    let second = run(vector, golden, plugin)?;
    let differing = first.iter().zip(&second).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    if plugin.descriptor().deterministic && differing > 0 {
        let (file, voxels) = (&golden.file, first.len());
        let reason =
            format!("expected the same output twice, found {differing} of {voxels} voxels of {file} differing");
        return Err(refused(plugin, reason));
    }
    let [first, second] =
        [first, &second].map(|output| compare(&golden.file, output, &vector.expected, Some(golden.tolerance)));
    Ok(if second.largest > first.largest { second } else { first })
}

fn same_call(a: &Golden, b: &Golden) -> bool {
    (&a.params, a.spacing_mm, a.seed) == (&b.params, b.spacing_mm, b.seed)
}

fn read(bundle: &Bundle, golden: &Golden, plugin: &Plugin) -> Result<Vector, Fault> {
    Vector::read(bundle, golden).map_err(|reason| refused(plugin, format!("golden vector {}: {reason}", golden.file)))
}

fn run(vector: &Vector, golden: &Golden, plugin: &Plugin) -> Result<Vec<f32>, Fault> {
    vector.run(golden, plugin).map_err(|fault| match fault {
        // Not the plugin's doing, or already a refusal.
        Fault::Worker { .. } | Fault::Memory { .. } | Fault::Rejected { .. } => fault,
        fault => {
            let told = fault.to_string();
            let cause = told.strip_prefix(&format!("{}: ", fault.origin())).unwrap_or(&told);
            refused(plugin, format!("golden vector {}: {cause}", golden.file))
        }
    })
}

fn refused(plugin: &Plugin, reason: String) -> Fault {
    Fault::Rejected { origin: origin_of(plugin).boxed(), step: Step::Test, party: Party::PluginAuthor, reason }
}

fn origin_of(plugin: &Plugin) -> Origin {
    let Bundle { id, version, .. } = plugin.bundle();
    Origin { plugin: id.clone(), version: version.clone(), job: String::new() }
}

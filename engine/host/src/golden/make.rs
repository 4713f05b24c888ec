use std::{fs, path::Path};

use isoscan_abi::{Axes, Input, Patching, Refine, Unit};

use super::{
    origin_of,
    vector::{Tensor, Vector},
};
use crate::{Fault, Golden, Party, Plugin, Step, golden::compare};

/// Folder of the vectors inside a bundle.
const FOLDER: &str = "golden";
/// Seed of the noise and of the calls.
const SEED: u64 = 1;
/// Extents x, y, z of a slice and of a volume, before the plugin's patch sizes are obeyed.
const SLICE: [usize; 3] = [48, 40, 1];
const VOLUME: [usize; 3] = [24, 20, 12];

/// Writes golden vectors for `plugin` into the folder `golden` of `bundle_dir` and gives the manifest's lines for them:
/// phantoms of smooth ellipses and a little noise in the declared range of each input, one slice where the
/// plugin can take one and, unless it takes slices only, one small volume; expected is what the plugin makes of them now.
///
/// The tolerance is a ten-thousandth of the output's range, more where two runs differ; no drift is declared.
///
/// # Errors
/// The fault that met the plugin when it can translate none of them; [`Fault::Rejected`] when a file cannot be written.
pub fn make_golden(plugin: &Plugin, bundle_dir: &Path) -> Result<Vec<Golden>, Fault> {
    let descriptor = plugin.descriptor();
    let unwritten = |reason: String| Fault::Rejected {
        origin: origin_of(plugin).boxed(),
        step: Step::Test,
        party: Party::Operator,
        reason: format!("its golden vectors cannot be written: {reason}"),
    };
    fs::create_dir_all(bundle_dir.join(FOLDER)).map_err(|e| unwritten(e.to_string()))?;
    let mut made = Vec::new();
    let mut refusal = None;
    for (name, extents) in kinds(&descriptor.patching) {
        match first_taken(plugin, name, &extents) {
            Ok((golden, vector)) => {
                vector.write(&bundle_dir.join(&golden.file)).map_err(unwritten)?;
                made.push(golden);
            }
            Err(fault) => refusal = Some(fault),
        }
    }
    match refusal {
        Some(fault) if made.is_empty() => Err(fault),
        _ => Ok(made),
    }
}

/// The vectors to make, each with the extents to try in turn: small ones, then those that the plugin prefers.
fn kinds(patching: &Patching) -> Vec<(&'static str, [[usize; 3]; 2])> {
    let sizes = |small: [usize; 3]| [0, 1].map(|preferred| extents(patching, small, preferred == 1));
    let mut kinds = vec![("slice", sizes(SLICE)), ("volume", sizes(VOLUME))];
    kinds.retain(|(name, [[_, _, depth], _])| match *name {
        "slice" => *depth == 1,
        _ => patching.axes != Axes::Slices,
    });
    kinds
}

/// `small` rounded up to what the plugin's patches must be multiples of, and no larger than they are.
fn extents(patching: &Patching, small: [usize; 3], preferred: bool) -> [usize; 3] {
    [0, 1, 2].map(|axis| {
        let is_flat = axis == 2 && (small[2] == 1 || patching.axes == Axes::Slices);
        let (size, multiple) = (patching.size[axis], patching.multiple[axis]);
        let rounded = small[axis].next_multiple_of(multiple);
        match size {
            0 => rounded,
            _ if preferred && !is_flat => size,
            _ => rounded.min(size.max(1)),
        }
    })
}

fn first_taken(plugin: &Plugin, name: &str, extents: &[[usize; 3]; 2]) -> Result<(Golden, Vector), Fault> {
    vector_of(plugin, name, extents[0]).or_else(|fault| match fault {
        Fault::Plugin { .. } if extents[1] != extents[0] => vector_of(plugin, name, extents[1]),
        fault => Err(fault),
    })
}

fn vector_of(plugin: &Plugin, name: &str, [x, y, z]: [usize; 3]) -> Result<(Golden, Vector), Fault> {
    let inputs = &plugin.descriptor().inputs;
    let shape = [1, 1, z, y, x];
    let phantom = |(k, input): (usize, &Input)| {
        let voxels = phantom([x, y, z], range_of(input), k);
        (input.name.clone(), Tensor { shape, voxels })
    };
    let defaults = plugin.descriptor().check_params(&[].into()).unwrap_or_default();
    let output_shape = Refine::output_shape(plugin.descriptor().output.refine.factors(&defaults), shape);
    let inputs_made = inputs.iter().enumerate().map(phantom).collect();
    let mut vector = Vector { inputs: inputs_made, shape: output_shape, expected: Vec::new() };
    let mut golden = Golden {
        file: format!("{FOLDER}/{name}.safetensors"),
        params: [].into(),
        spacing_mm: spacing_of(&inputs[0]),
        seed: SEED,
        tolerance: 0.0,
        drift: None,
    };
    vector.expected = vector.run(&golden, plugin)?;
    let again = vector.run(&golden, plugin)?;
    golden.tolerance = tolerance(&vector.expected, compare(name, &again, &vector.expected, None).largest);
    Ok((golden, vector))
}

/// A ten-thousandth of the range of `output`, or four times what two runs differ by, rounded up to one digit.
fn tolerance(output: &[f32], between_runs: f64) -> f64 {
    let ends = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
    let (low, high) = output.iter().fold((f32::INFINITY, f32::NEG_INFINITY), ends);
    let range = f64::from(high) - f64::from(low);
    let needed = (1e-4 * if range > 0.0 { range } else { f64::from(high.abs()).max(1.0) }).max(4.0 * between_runs);
    let digit = needed.log10().floor();
    let rounded = (needed / 10_f64.powf(digit)).ceil();
    format!("{rounded}e{digit}").parse().unwrap_or(needed)
}

/// The intensities of an input: those it was made for, or usual ones of its unit.
fn range_of(input: &Input) -> [f64; 2] {
    input.range.unwrap_or(match input.units.first() {
        Some(Unit::Hounsfield) => [-1000.0, 1500.0],
        Some(Unit::Suv) => [0.0, 15.0],
        Some(Unit::Normalized) => [0.0, 1.0],
        Some(Unit::OpticalDensity) => [0.0, 4.0],
        Some(Unit::Arbitrary) | None => [0.0, 1000.0],
    })
}

/// 1 mm, or the nearest spacing that the input accepts.
fn spacing_of(input: &Input) -> [f64; 3] {
    input.spacing_mm.map_or([1.0; 3], |axes| axes.map(|[low, high]| 1.0_f64.clamp(low, high)))
}

/// Ellipses with soft edges, x fastest: centre and half axes in fractions of the extents, and what each adds, in
/// fractions of the range.
const ELLIPSES: [([f64; 3], [f64; 3], f64); 5] = [
    ([0.5, 0.5, 0.5], [0.42, 0.45, 0.46], 0.38),
    ([0.36, 0.45, 0.5], [0.13, 0.2, 0.3], -0.24),
    ([0.64, 0.45, 0.45], [0.12, 0.19, 0.3], -0.2),
    ([0.5, 0.72, 0.5], [0.08, 0.08, 0.4], 0.45),
    ([0.52, 0.3, 0.6], [0.1, 0.06, 0.2], 0.22),
];

/// The `k`th phantom: each is shifted a little and has another contrast.
fn phantom(extents: [usize; 3], [low, high]: [f64; 2], k: usize) -> Vec<f32> {
    let (shift, contrast) = (0.03 * k as f64, 1.0 / (1.0 + 0.3 * k as f64));
    let place = |index: usize, extent: usize| (index as f64 + 0.5) / extent as f64;
    let [nx, ny, nz] = extents;
    let mut voxels = Vec::with_capacity(nx * ny * nz);
    for z in 0..nz {
        for y in 0..ny {
            for x in 0..nx {
                let point = [place(x, nx), place(y, ny), place(z, nz)];
                let inside = |(centre, axes, adds): &([f64; 3], [f64; 3], f64)| {
                    let radius: f64 = (0..3).map(|i| ((point[i] - centre[i] - shift) / axes[i]).powi(2)).sum();
                    adds / (1.0 + (12.0 * (radius.sqrt() - 1.0)).exp())
                };
                let signal = 0.1 + contrast * ELLIPSES.iter().map(inside).sum::<f64>();
                let noise = 0.02 * (uniform(SEED + k as u64, voxels.len() as u64) - 0.5);
                voxels.push((low + (high - low) * (signal + noise).clamp(0.0, 1.0)) as f32);
            }
        }
    }
    voxels
}

/// A number in 0..1 that depends on seed and index alone (the finaliser of SplitMix64).
fn uniform(seed: u64, index: u64) -> f64 {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((state ^ (state >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phantoms_lie_in_the_range_and_differ_by_input_and_voxel() {
        let range = [-1000.0, 1500.0];
        let [first, second] = [0, 1].map(|k| phantom(VOLUME, range, k));
        assert_eq!(first.len(), 24 * 20 * 12);
        assert!(first.iter().chain(&second).all(|v| (-1000.0..=1500.0).contains(v)));
        let mean_of = |voxels: &[f32]| voxels.iter().map(|&v| f64::from(v)).sum::<f64>() / voxels.len() as f64;
        assert!(mean_of(&first) > mean_of(&second) + 10.0);
        assert!(first.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn sizes_obey_what_patches_must_be_and_try_what_they_should_be() {
        type Row = (Axes, [usize; 3], [usize; 3], &'static [[[usize; 3]; 2]]);
        let rows: [Row; 4] = [
            (Axes::Slices, [0; 3], [1; 3], &[[[48, 40, 1]; 2]]),
            (Axes::Slices, [256, 256, 1], [32, 32, 1], &[[[64, 64, 1], [256, 256, 1]]]),
            (Axes::Patches, [32; 3], [16; 3], &[[[32, 32, 16], [32; 3]]]),
            (Axes::Volume, [0; 3], [4, 4, 1], &[[[48, 40, 1]; 2], [[24, 20, 12]; 2]]),
        ];
        for (axes, size, multiple, expected) in rows {
            let patching = Patching { size, multiple, ..Patching::whole(axes) };
            let found: Vec<_> = kinds(&patching).into_iter().map(|(_, extents)| extents).collect();
            assert_eq!(found, expected, "{patching:?}");
        }
    }

    #[test]
    fn noise_is_even() {
        let n = 10_000_u32;
        let mean = (0..n).map(|i| uniform(7, u64::from(i))).sum::<f64>() / f64::from(n);
        // Standard error of the mean of n uniform numbers: 1 / sqrt(12 n) = 0.0029.
        assert!((mean - 0.5).abs() < 4.0 * 0.0029, "{mean}");
    }

    #[test]
    fn tolerances_have_one_digit() {
        let rows = [
            (&[0.0, 1000.0][..], 0.0, 0.1),
            (&[0.0, 1234.0], 0.0, 0.2),
            (&[5.0], 0.0, 0.0005),
            (&[0.0, 1.0], 0.02, 0.08),
        ];
        for (output, between_runs, expected) in rows {
            assert_eq!(tolerance(output, between_runs), expected, "{output:?}");
        }
    }
}

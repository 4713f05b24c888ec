//! What the plugin writes, and into what.

use isoscan_abi::STATUS_OK;

use super::{
    Rule, Words,
    bench::{Bench, Boxes, Stop, Verdict, alike, image, texture, told},
};
use crate::raw::{Raw, RawCall};

/// A picture by voxel, as [`Bench::call`] takes it.
type Picture<'a> = &'a dyn Fn([i64; 3]) -> f32;

/// Two NaNs that no arithmetic makes: what an output holds before a call that must fill it.
const PATTERNS: [u32; 2] = [0x7fa5_a5a5, 0xffda_dada];
/// Image sizes of the rule about surroundings: ends of a cache line, of a page, and odd ones.
const SIZES: [[usize; 3]; 9] =
    [[1, 1, 1], [2, 3, 1], [5, 7, 3], [16, 1, 1], [15, 17, 2], [16, 16, 4], [17, 16, 1], [32, 32, 2], [33, 31, 5]];

pub(super) const RULES: [Rule<Bench>; 5] = [
    Rule {
        words: Words {
            name: "output-filled",
            rule: "every output voxel is written whatever the output held before, so that no voxel is left over from \
                   another patient",
            remedy: "write every voxel and never add to what is there, although the engine zeroes outputs",
        },
        check: output_is_filled,
    },
    Rule {
        words: Words {
            name: "stays-inside",
            rule: "nothing outside the output's voxels is written and nothing outside the inputs' voxels shows in the \
                   result, at any size",
            remedy: "loop over the voxels of the shape, not over rounded sizes; run the plugin's tests with \
                     -fsanitize=address",
        },
        check: stays_inside,
    },
    Rule {
        words: Words {
            name: "constant-image",
            rule: "an image of one intensity gives finite voxels or is refused with a message, because air and \
                   padding look like that",
            remedy: "guard divisions by a standard deviation or a range of 0",
        },
        check: constant_images,
    },
    Rule {
        words: Words {
            name: "extreme-intensities",
            rule: "images at the ends of the declared range give finite voxels or are refused with a message",
            remedy: "look for overflow, and for logarithms and roots of values at the end of the range",
        },
        check: extreme_intensities,
    },
    Rule {
        words: Words {
            name: "nan-policy",
            rule: "a NaN or infinite voxel does not crash or hang the plugin and reaches no further than its halo, or \
                   is refused with a message",
            remedy: "keep sums and normalisations local to the halo, compare floats with care, and never index by a \
                     voxel that was not checked",
        },
        check: nan_stays_near,
    },
];

fn output_is_filled(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let mut count = 0;
    for size in [[8, 8, 2], [17, 13, 3]] {
        let usual = bench.usual(bench.size(size));
        let [a, b] = PATTERNS.map(|in_output| RawCall { in_output, ..usual.clone() });
        let (a, b) = (image(raw.call(&a, None)?)?, image(raw.call(&b, None)?)?);
        count += a.len();
        let left = |voxels: &[f32], pattern: u32| voxels.iter().filter(|voxel| voxel.to_bits() == pattern).count();
        let kept = left(&a, PATTERNS[0]).min(left(&b, PATTERNS[1]));
        if kept > 0 {
            return Err(Stop::Fail(format!("{kept} of {} voxels were not written", a.len())));
        }
        if bench.require_repeatable().is_ok() && !alike(&a, &b) {
            return Err(Stop::Fail("the result depends on what the output held before".into()));
        }
    }
    Ok(format!("{count} voxels written"))
}

fn stays_inside(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let comparable = bench.require_repeatable().is_ok();
    let mut sizes: Vec<[usize; 3]> = SIZES.iter().map(|&size| bench.size(size)).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut refused = 0;
    for &size in &sizes {
        let usual = bench.usual(size);
        let mut results = Vec::new();
        for pattern in PATTERNS {
            let reply = raw.call(&RawCall { around_inputs: pattern, in_output: PATTERNS[0], ..usual.clone() }, None)?;
            if !reply.stayed_inside {
                return Err(Stop::Fail(format!("at size {size:?} it wrote outside the output's voxels")));
            }
            // An image may be too small for a method, which then says so.
            if reply.status != STATUS_OK && reply.message.is_some() {
                refused += 1;
                break;
            }
            results.push(image(reply)?);
        }
        if let [first, second] = &results[..]
            && comparable
            && !alike(first, second)
        {
            return Err(Stop::Fail(format!("at size {size:?} the result depends on memory outside the tensors")));
        }
    }
    if refused == sizes.len() {
        return Err(Stop::Fail(format!("none of {refused} sizes was accepted")));
    }
    let told = if refused > 0 { format!(", {refused} of them refused with a message") } else { String::new() };
    Ok(format!("{} sizes from {:?} to {:?}{told}", sizes.len(), sizes[0], sizes[sizes.len() - 1]))
}

fn constant_images(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let mut found = Vec::new();
    for share in [0.0, 0.25, 1.0] {
        let [low, high] = bench.range();
        let name = format!("all {}", low + (high - low) * share);
        found.push(finite_or_refused(&mut raw, &scene(bench, &|_| share), &name)?);
    }
    Ok(summary(&found))
}

fn extreme_intensities(bench: &Bench) -> Verdict {
    let mut raw = bench.start()?;
    let mut found = Vec::new();
    let checkers = |[x, y, z]: [i64; 3]| ((x + y + z) & 1) as f32;
    let spike = |place: [i64; 3]| f32::from(u8::from(place == [5, 7, 7]));
    let scenes: [(&str, Picture<'_>); 3] = [
        ("a chessboard of both ends", &checkers),
        ("one voxel at the upper end", &spike),
        ("noise over the range", &texture),
    ];
    for (name, picture) in scenes {
        found.push(finite_or_refused(&mut raw, &scene(bench, picture), name)?);
    }
    Ok(summary(&found))
}

fn scene(bench: &Bench, picture: Picture<'_>) -> RawCall {
    bench.call(&Boxes { first: vec![[3, 5, 7]], size: bench.size([16, 16, 4]) }, picture)
}

/// True when the image was refused with a message, false when every voxel of the output is finite.
fn finite_or_refused(raw: &mut Raw<'_>, call: &RawCall, name: &str) -> Result<bool, Stop> {
    let reply = raw.call(call, None)?;
    if reply.status != isoscan_abi::STATUS_OK {
        return match reply.message {
            Some(_) if reply.status != isoscan_abi::STATUS_PANICKED => Ok(true),
            _ => Err(Stop::Fail(format!("{name}: {}", told(&reply)))),
        };
    }
    let count = reply.voxels.iter().filter(|voxel| !voxel.is_finite()).count();
    if count > 0 {
        return Err(Stop::Fail(format!("{name}: {count} of {} voxels are not finite", reply.voxels.len())));
    }
    Ok(false)
}

fn summary(refused: &[bool]) -> String {
    let count = refused.iter().filter(|&&refused| refused).count();
    match count {
        0 => format!("{} images, all finite", refused.len()),
        _ => format!("{} images, {count} of them refused with a message", refused.len()),
    }
}

fn nan_stays_near(bench: &Bench) -> Verdict {
    let boxes = Boxes {
        first: (0..bench.descriptor.patching.max_batch.min(2) as i64).map(|i| [3, 5, 7 + i]).collect(),
        size: bench.size([24, 20, 6]),
    };
    let comparable = bench.require_repeatable().is_ok();
    let mut raw = bench.start()?;
    let usual = bench.call(&boxes, &texture);
    let clean = image(raw.call(&usual, None)?)?;
    let middle = boxes.size.map(|extent| extent / 2);
    let [nx, ny, _] = boxes.size;
    let mut found = Vec::new();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut call = usual.clone();
        call.inputs[0].voxels[(middle[2] * ny + middle[1]) * nx + middle[0]] = value;
        let reply = raw.call(&call, None)?;
        if reply.status != isoscan_abi::STATUS_OK {
            if reply.message.is_none() || reply.status == isoscan_abi::STATUS_PANICKED {
                return Err(Stop::Fail(format!("a voxel of {value}: {}", told(&reply))));
            }
            found.push(format!("{value} refused"));
            continue;
        }
        if reply.voxels.len() != clean.len() || !comparable {
            found.push(format!("{value} answered"));
            continue;
        }
        let touched = (0..clean.len()).filter(|&at| clean[at].to_bits() != reply.voxels[at].to_bits());
        let touched: Vec<usize> = touched.collect();
        if let Some(&far) = touched.iter().find(|&&at| is_far(bench, &boxes, middle, at)) {
            let place = place_of(bench, &boxes, far);
            return Err(Stop::Fail(format!("a voxel of {value} at {middle:?} changed the one at {place:?}")));
        }
        found.push(format!("{value} reached {} voxels", touched.len()));
    }
    Ok(found.join(", "))
}

/// True when output voxel `at` must not depend on the voxel `middle` of the first box.
fn is_far(bench: &Bench, boxes: &Boxes, middle: [usize; 3], at: usize) -> bool {
    let place = place_of(bench, boxes, at);
    if place[2] >= boxes.size[2] {
        return true;
    }
    (0..3).any(|axis| bench.patch(axis).is_some() && place[axis].abs_diff(middle[axis]) > bench.halo(axis))
}

/// The voxel of the first box that output voxel `at` lies in; of a further box, z lies beyond the first.
fn place_of(bench: &Bench, boxes: &Boxes, at: usize) -> [usize; 3] {
    let factors = bench.refine(&[]);
    let [nx, ny] = [0, 1].map(|axis| boxes.size[axis] * factors[axis]);
    [at % nx / factors[0], at / nx % ny / factors[1], at / (nx * ny) / factors[2]]
}

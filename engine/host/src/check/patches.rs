//! Seams: whether a cut shows in the result.

use super::{
    Rule, Words,
    bench::{Bench, Boxes, Stop, Verdict, agreement, image, texture},
};
use crate::raw::Raw;

/// Voxels beside the halo that a small box should have.
const INNER: usize = 12;
/// How far the second of two small boxes lies from the first, at least.
const SHIFT: usize = 5;

pub(super) const RULES: [Rule<Bench>; 1] = [Rule {
    words: Words {
        name: "patch-invariance",
        rule: "a voxel further than the halo from a cut has the value that it has without the cut, so that there are \
               no seams",
        remedy: "declare the radius of the receptive field as halo, and take no statistics over a whole patch",
    },
    check: cuts_do_not_show,
}];

fn cuts_do_not_show(bench: &Bench) -> Verdict {
    let cut: Vec<usize> = (0..3).filter(|&axis| bench.patch(axis).is_some_and(|extent| extent > 1)).collect();
    if cut.is_empty() {
        return Err(Stop::Skip("the engine never cuts its images".into()));
    }
    bench.require_repeatable()?;
    let mut raw = bench.start()?;
    let mut found = Vec::new();
    for axis in cut {
        let letter = ["x", "y", "z"][axis];
        match cut_along(bench, axis) {
            Some(cut) => found.push(format!("{letter} {}", compare(bench, &mut raw, axis, cut)?)),
            None => return Err(Stop::Fail(format!("its patch is too small for its halo along {letter}"))),
        }
    }
    Ok(found.join(", "))
}

/// Two boxes of an image along an axis, voxels.
struct Cut {
    /// Length of the first, which begins at 0.
    large: usize,
    /// Length of the second.
    small: usize,
    /// Where the second begins when it does not begin at 0.
    shift: usize,
}

/// A small box inside a larger one, or, where a patch has one size only, two of that size that overlap.
fn cut_along(bench: &Bench, axis: usize) -> Option<Cut> {
    let (halo, multiple) = (bench.halo(axis), bench.descriptor.patching.multiple[axis]);
    let most = bench.patch(axis).unwrap_or(usize::MAX);
    let inside = |small: usize, shift: usize| Cut { large: small + shift, small, shift };
    let roomy = inside((INNER + 2 * halo).next_multiple_of(multiple), SHIFT.next_multiple_of(multiple));
    let tight = inside((1 + 2 * halo).next_multiple_of(multiple), multiple);
    let step = if multiple == most { 1 } else { multiple };
    let overlapping = [SHIFT.next_multiple_of(step), step].map(|shift| Cut { large: most, small: most, shift });
    let is_legal = |cut: &Cut| {
        let seen_twice = if cut.small == cut.large { cut.small.saturating_sub(cut.shift) } else { cut.small };
        seen_twice > 2 * halo && cut.large <= most
    };
    [roomy, tight].into_iter().chain(overlapping).find(is_legal)
}

/// One box against another one, there and where it begins elsewhere.
fn compare(bench: &Bench, raw: &mut Raw<'_>, axis: usize, Cut { large, small, shift }: Cut) -> Verdict {
    let halo = bench.halo(axis);
    let mut run = |start: usize, length: usize| -> Result<(Vec<f32>, [usize; 3]), Stop> {
        let mut size = bench.size([8, 8, 4]);
        let mut first = [16, 24, 32];
        size[axis] = length;
        first[axis] += start as i64;
        Ok((image(raw.call(&bench.call(&Boxes { first: vec![first], size }, &texture), None)?)?, size))
    };
    let (whole, whole_size) = run(0, large)?;
    let factors = bench.refine(&[]);
    let fine = |size: [usize; 3]| -> [usize; 3] { std::array::from_fn(|a| size[a] * factors[a]) };
    let (whole_size, times) = (fine(whole_size), factors[axis]);
    let mut worst = String::new();
    for start in [0, shift] {
        let end = if start + small == large { small } else { large.min(start + small) - halo - start };
        let valid = if start == 0 { 0 } else { halo }..end;
        let (part, size) = run(start, small)?;
        let (size, start, valid) = (fine(size), start * times, valid.start * times..valid.end * times);
        let place = |at: usize| [at % size[0], at / size[0] % size[1], at / (size[0] * size[1])];
        let pairs = (0..part.len()).filter(|&at| valid.contains(&place(at)[axis])).map(|at| {
            let mut there = place(at);
            there[axis] += start;
            (&whole[(there[2] * whole_size[1] + there[1]) * whole_size[0] + there[0]], &part[at])
        });
        worst = agreement(pairs)?;
    }
    Ok(worst)
}

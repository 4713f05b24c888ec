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
        match lengths(bench, axis) {
            Some(lengths) => found.push(format!("{letter} {}", compare(bench, &mut raw, axis, lengths)?)),
            None => return Err(Stop::Fail(format!("its patch is too small for its halo along {letter}"))),
        }
    }
    Ok(found.join(", "))
}

/// Length of the small boxes along an axis, and the way from the first to the second.
fn lengths(bench: &Bench, axis: usize) -> Option<(usize, usize)> {
    let (halo, multiple) = (bench.halo(axis), bench.descriptor.patching.multiple[axis]);
    let most = bench.patch(axis).unwrap_or(usize::MAX);
    let fits = |(small, shift): (usize, usize)| (small > 2 * halo && small + shift <= most).then_some((small, shift));
    let roomy = ((INNER + 2 * halo).next_multiple_of(multiple), SHIFT.next_multiple_of(multiple));
    let tight = ((1 + 2 * halo).next_multiple_of(multiple), multiple);
    fits(roomy).or_else(|| fits(tight))
}

/// One large box against two small ones that overlap in it.
fn compare(bench: &Bench, raw: &mut Raw<'_>, axis: usize, (small, shift): (usize, usize)) -> Verdict {
    let halo = bench.halo(axis);
    let mut run = |start: usize, length: usize| -> Result<(Vec<f32>, [usize; 3]), Stop> {
        let mut size = bench.size([8, 8, 4]);
        let mut first = [16, 24, 32];
        size[axis] = length;
        first[axis] += start as i64;
        Ok((image(raw.call(&bench.call(&Boxes { first: vec![first], size }, &texture), None)?)?, size))
    };
    let (large, large_size) = run(0, small + shift)?;
    let factors = bench.refine(&[]);
    let fine = |size: [usize; 3]| -> [usize; 3] { std::array::from_fn(|a| size[a] * factors[a]) };
    let (large_size, times) = (fine(large_size), factors[axis]);
    let mut worst = String::new();
    for (start, valid) in [(0, 0..small - halo), (shift, halo..small)] {
        let (part, size) = run(start, small)?;
        let (size, start, valid) = (fine(size), start * times, valid.start * times..valid.end * times);
        let place = |at: usize| [at % size[0], at / size[0] % size[1], at / (size[0] * size[1])];
        let pairs = (0..part.len()).filter(|&at| valid.contains(&place(at)[axis])).map(|at| {
            let mut there = place(at);
            there[axis] += start;
            (&large[(there[2] * large_size[1] + there[1]) * large_size[0] + there[0]], &part[at])
        });
        worst = agreement(pairs)?;
    }
    Ok(worst)
}

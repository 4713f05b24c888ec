use isoscan_imaging::{Geometry, Mask};
use ndarray::Array3;

use super::contours::Contour;
use crate::Warning;

/// Why contours beyond the first or last slice are dropped.
pub(crate) const OUTSIDE: &str = "they lie outside the grid";

/// Centres so near to a line lie on it, voxels: decimal strings hold no more.
const ON_LINE: f64 = 1e-3;

/// Contours so near to each other lie in one plane, slices.
const SAME_PLANE: f64 = 0.05;

/// Contours may lean so much from the plane of the slices, slices.
const LEAN: f64 = 0.5;

/// The voxels inside the contours; what was assumed goes to `warnings`.
///
/// # Errors
/// In words, when the contours are not parallel to any plane of the grid.
pub(crate) fn fill(contours: &[Contour], grid: &Geometry, warnings: &mut Vec<Warning>) -> Result<Mask, &'static str> {
    let voxel_from_world = grid.voxel_from_world();
    let contours: Vec<Contour> =
        contours.iter().map(|contour| contour.iter().map(|&point| voxel_from_world.apply(point)).collect()).collect();
    let flat = |axis: &usize| contours.iter().all(|contour| spread(contour, *axis) <= LEAN);
    let axis = [2, 1, 0].into_iter().find(flat).ok_or("contours that are not parallel to a plane of the grid")?;
    let size = grid.size();
    let [nx, ny, nz] = size;
    let mut inside = Array3::from_elem((nz, ny, nx), false);
    let [u, v] = [[1, 2], [0, 2], [0, 1]][axis];
    for (slice, plane) in planes(&contours, axis, size, warnings) {
        let filled = even_odd(&plane, [size[u], size[v]], [u, v]);
        for (index, _) in filled.into_iter().enumerate().filter(|(_, inside)| *inside) {
            let mut voxel = [0; 3];
            (voxel[axis], voxel[u], voxel[v]) = (slice, index % size[u], index / size[u]);
            inside[[voxel[2], voxel[1], voxel[0]]] = true;
        }
    }
    Mask::new(inside, grid.clone()).map_err(|_| "a grid that holds no mask")
}

fn spread(contour: &Contour, axis: usize) -> f64 {
    let (low, high) = range(contour, axis);
    high - low
}

fn range(contour: &Contour, axis: usize) -> (f64, f64) {
    contour.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), p| (low.min(p[axis]), high.max(p[axis])))
}

/// The contours of each slice.
fn planes<'a>(
    contours: &'a [Contour],
    axis: usize,
    size: [usize; 3],
    warnings: &mut Vec<Warning>,
) -> Vec<(usize, Vec<&'a Contour>)> {
    let position = |contour: &Contour| {
        let (low, high) = range(contour, axis);
        (low + high) / 2.0
    };
    let mut placed: Vec<(f64, &Contour)> = contours.iter().map(|contour| (position(contour), contour)).collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut found: Vec<(f64, Vec<&Contour>)> = Vec::new();
    for (position, contour) in placed {
        match found.last_mut() {
            Some((first, plane)) if position - *first <= SAME_PLANE => plane.push(contour),
            _ => found.push((position, vec![contour])),
        }
    }
    let (mut outside, mut farther) = (0, 0);
    let mut chosen: Vec<(usize, f64, Vec<&Contour>)> = Vec::new();
    for (position, plane) in found {
        let slice = (position + 0.5 - 1e-6).floor();
        if !(0.0..size[axis] as f64).contains(&slice) {
            outside += plane.len();
            continue;
        }
        let (slice, distance) = (slice as usize, (position - slice).abs());
        match chosen.last_mut().filter(|last| last.0 == slice) {
            Some(last) if last.1 <= distance => farther += plane.len(),
            Some(last) => {
                farther += last.2.len();
                *last = (slice, distance, plane);
            }
            None => chosen.push((slice, distance, plane)),
        }
    }
    let beside = || chosen.iter().filter(|(_, distance, _)| *distance > SAME_PLANE);
    let between = beside().map(|(.., plane)| plane.len()).sum();
    let farthest = beside().map(|(_, distance, _)| *distance).fold(0.0, f64::max);
    let beyond = |contour: &&&Contour| {
        (0..3).filter(|&a| a != axis).any(|a| {
            let (low, high) = range(contour, a);
            low < -0.5 || high > size[a] as f64 - 0.5
        })
    };
    let cut = chosen.iter().flat_map(|(.., plane)| plane).filter(beyond).count();
    let span = chosen.first().zip(chosen.last()).map_or(0, |(first, last)| last.0 - first.0 + 1);
    let bare = span - chosen.len();
    let told = [
        (outside > 0).then_some(Warning::ContoursDropped { count: outside, reason: OUTSIDE }),
        (farther > 0)
            .then_some(Warning::ContoursDropped { count: farther, reason: "others lie nearer to the same slice" }),
        (between > 0).then_some(Warning::ContoursBetweenSlices { count: between, farthest }),
        (bare > 0).then_some(Warning::SlicesWithoutContours { count: bare }),
        (cut > 0).then_some(Warning::ContoursCut { count: cut }),
    ];
    warnings.extend(told.into_iter().flatten());
    chosen.into_iter().map(|(slice, _, plane)| (slice, plane)).collect()
}

/// The pixels of a plane, u fastest, whose centre lies inside an odd number of contours or on a line.
fn even_odd(contours: &[&Contour], [nu, nv]: [usize; 2], [u, v]: [usize; 2]) -> Vec<bool> {
    let mut crossed = vec![false; nu * nv];
    let mut on_line = vec![false; nu * nv];
    for contour in contours {
        let next = contour.iter().cycle().skip(1);
        for (p, q) in contour.iter().zip(next) {
            let (p, q) = ([p[u], p[v]], [q[u], q[v]]);
            cross(p, q, nu, nv, &mut crossed);
            draw(p, q, nu, nv, &mut on_line);
        }
    }
    for row in crossed.chunks_mut(nu) {
        let mut inside = false;
        row.iter_mut().for_each(|pixel| {
            inside ^= *pixel;
            *pixel = inside;
        });
    }
    crossed.iter().zip(on_line).map(|(inside, line)| inside | line).collect()
}

/// Marks in every row between p (inclusive) and q (exclusive) the first pixel that lies right of the line.
fn cross(p: [f64; 2], q: [f64; 2], nu: usize, nv: usize, crossed: &mut [bool]) {
    let (low, high) = if p[1] <= q[1] { (p, q) } else { (q, p) };
    let Some(rows) = indices(low[1], high[1], nv) else { return };
    for row in rows.filter(|&row| (row as f64) < high[1]) {
        let along = (row as f64 - low[1]) / (high[1] - low[1]);
        let x = low[0] + along * (high[0] - low[0]);
        let first = x.ceil().max(0.0) as usize;
        if first < nu {
            crossed[row * nu + first] ^= true;
        }
    }
}

/// Marks the pixels whose centre lies on the line.
fn draw(p: [f64; 2], q: [f64; 2], nu: usize, nv: usize, on_line: &mut [bool]) {
    let (low, high) = if p[1] <= q[1] { (p, q) } else { (q, p) };
    let (left, right) = (p[0].min(q[0]) - ON_LINE, p[0].max(q[0]) + ON_LINE);
    let (du, dv) = (high[0] - low[0], high[1] - low[1]);
    let Some(rows) = indices(low[1] - ON_LINE, high[1] + ON_LINE, nv) else { return };
    for row in rows {
        let (from, to) = if dv <= ON_LINE {
            (left, right)
        } else {
            let x = low[0] + (row as f64 - low[1]) / dv * du;
            let reach = ON_LINE * du.hypot(dv) / dv;
            ((x - reach).max(left), (x + reach).min(right))
        };
        for column in indices(from, to, nu).into_iter().flatten() {
            on_line[row * nu + column] = true;
        }
    }
}

/// The whole numbers from `low` to `high` that are indices below `size`.
fn indices(low: f64, high: f64, size: usize) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = (low.ceil().max(0.0), high.floor().min(size as f64 - 1.0));
    (first <= last).then_some(first as usize..=last as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(contours: &[&[[f64; 2]]]) -> usize {
        let contours: Vec<Contour> =
            contours.iter().map(|points| points.iter().map(|&[x, y]| [x, y, 0.0]).collect()).collect();
        even_odd(&contours.iter().collect::<Vec<_>>(), [12, 12], [0, 1]).into_iter().filter(|inside| *inside).count()
    }

    const OUTER: [[f64; 2]; 4] = [[0.5, 0.5], [8.5, 0.5], [8.5, 8.5], [0.5, 8.5]];
    const INNER: [[f64; 2]; 4] = [[2.5, 2.5], [5.5, 2.5], [5.5, 5.5], [2.5, 5.5]];

    #[test]
    fn a_contour_in_a_contour_is_a_hole_and_a_third_an_island() {
        let island = [[3.5, 3.5], [4.5, 3.5], [4.5, 4.5], [3.5, 4.5]];
        assert_eq!(count(&[&OUTER]), 64);
        assert_eq!(count(&[&OUTER, &INNER]), 64 - 9);
        assert_eq!(count(&[&OUTER, &INNER, &island]), 64 - 9 + 1);
    }

    #[test]
    fn a_keyhole_contour_has_the_hole_that_it_goes_around() {
        let mut keyhole = OUTER.to_vec();
        keyhole.push(OUTER[0]);
        keyhole.extend(INNER.iter().rev());
        keyhole.push(INNER[3]);
        assert_eq!(count(&[&keyhole]), 64 - 9);
    }

    #[test]
    fn centres_on_a_line_are_inside_whatever_its_direction() {
        let square = [[2.0, 3.0], [6.0, 3.0], [6.0, 5.0], [2.0, 5.0]];
        assert_eq!(count(&[&square]), 5 * 3);
        let reversed: Vec<[f64; 2]> = square.into_iter().rev().collect();
        assert_eq!(count(&[&reversed]), 5 * 3);
        assert_eq!(count(&[&[[1.0, 1.0], [5.0, 1.0], [1.0, 5.0]]]), 15);
    }

    #[test]
    fn contours_beyond_the_grid_are_cut() {
        assert_eq!(count(&[&[[-1e8, -1e8], [1e8, -1e8], [1e8, 1e8], [-1e8, 1e8]]]), 144);
        assert_eq!(count(&[&[[20.0, 0.0], [30.0, 0.0], [30.0, 9.0]]]), 0);
        assert_eq!(count(&[&[[-9.0, 2.5], [3.5, 2.5], [3.5, 4.5], [-9.0, 4.5]]]), 8);
    }
}

use ndarray::{Array3, ArrayView3};

use crate::orientation::Turn;
use crate::{Mask, Orientation};

/// The largest piece of the region, pieces being joined by voxel faces; of equal pieces the one that comes first in x,
/// y, z order. An empty region stays empty.
pub fn largest_component(mask: &Mask) -> Mask {
    let pieces = Pieces::of(mask.inside(), Kind::Region);
    let mut voxels = vec![0usize; pieces.runs.len()];
    for (run, &root) in pieces.runs.iter().zip(&pieces.root) {
        voxels[root] += run.end - run.begin;
    }
    // `max_by_key` gives the last of equals; reversed, that is the first piece.
    let largest = (0..voxels.len()).rev().max_by_key(|&root| voxels[root]);
    let mut inside = Array3::from_elem(mask.inside().dim(), false);
    pieces.paint(&mut inside, |root| Some(root) == largest);
    Mask::new(inside, mask.geometry().clone()).expect("same shape")
}

/// Adds the holes of every axial slice: voxels outside the region that no path of shared voxel edges within the slice
/// joins to the slice's border.
///
/// Axial slices are those across the voxel axis closest to the patient's feet-to-head axis.
pub fn fill_holes(mask: &Mask) -> Mask {
    let orientation = Orientation::of(mask.geometry());
    if orientation.axial_axis() == 2 {
        return Mask::new(filled(mask.inside()), mask.geometry().clone()).expect("same shape");
    }
    let turn = Turn::between(orientation, Orientation::LPS);
    let inside = turn.inverse().array(filled(turn.array(mask.inside()).view()).view());
    Mask::new(inside, mask.geometry().clone()).expect("turned there and back")
}

/// Fills the holes of every `[y, x]` slice.
fn filled(inside: ArrayView3<'_, bool>) -> Array3<bool> {
    let (_, ny, nx) = inside.dim();
    let pieces = Pieces::of(inside, Kind::GapsOfSlices);
    let mut open = vec![false; pieces.runs.len()];
    for (run, &root) in pieces.runs.iter().zip(&pieces.root) {
        let y = run.row % ny;
        open[root] |= run.begin == 0 || run.end == nx || y == 0 || y == ny - 1;
    }
    let mut filled = inside.to_owned();
    pieces.paint(&mut filled, |root| !open[root]);
    filled
}

/// A stretch of equal voxels in a row along x; rows are numbered through the volume, y fastest.
struct Run {
    row: usize,
    begin: usize,
    end: usize,
}

/// Which voxels form pieces, joined by faces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Those inside, across all slices.
    Region,
    /// Those outside, each slice on its own.
    GapsOfSlices,
}

/// The runs of one kind of voxel and, for each, the first run of the piece it belongs to.
struct Pieces {
    runs: Vec<Run>,
    root: Vec<usize>,
}

impl Pieces {
    fn of(inside: ArrayView3<'_, bool>, kind: Kind) -> Self {
        let (nz, ny, _) = inside.dim();
        let mut runs = Vec::new();
        let mut first_of_row = vec![0];
        for line in inside.rows() {
            push_runs(line.iter().map(|&v| v == (kind == Kind::Region)), first_of_row.len() - 1, &mut runs);
            first_of_row.push(runs.len());
        }
        let mut pieces = Self { root: (0..runs.len()).collect(), runs };
        for row in 0..nz * ny {
            let here = first_of_row[row]..first_of_row[row + 1];
            if row % ny > 0 {
                pieces.join(first_of_row[row - 1]..first_of_row[row], here.clone());
            }
            if kind == Kind::Region && row >= ny {
                pieces.join(first_of_row[row - ny]..first_of_row[row - ny + 1], here);
            }
        }
        for run in 0..pieces.root.len() {
            pieces.root[run] = pieces.root[pieces.root[run]];
        }
        pieces
    }

    /// Joins the runs of two neighbouring rows that overlap in x.
    fn join(&mut self, mut before: std::ops::Range<usize>, mut here: std::ops::Range<usize>) {
        while !before.is_empty() && !here.is_empty() {
            let (a, b) = (&self.runs[before.start], &self.runs[here.start]);
            let a_ends_first = a.end < b.end;
            if a.begin < b.end && b.begin < a.end {
                let (p, q) = (self.find(before.start), self.find(here.start));
                // The smaller number leads, so roots always point back and one pass resolves them.
                self.root[p.max(q)] = p.min(q);
            }
            if a_ends_first {
                before.start += 1;
            } else {
                here.start += 1;
            }
        }
    }

    fn find(&mut self, mut run: usize) -> usize {
        while self.root[run] != run {
            self.root[run] = self.root[self.root[run]];
            run = self.root[run];
        }
        run
    }

    /// Puts the voxels of the chosen pieces inside.
    fn paint(&self, inside: &mut Array3<bool>, chosen: impl Fn(usize) -> bool) {
        let (_, _, nx) = inside.dim();
        let voxels = inside.as_slice_mut().expect("masks are contiguous");
        for (run, &root) in self.runs.iter().zip(&self.root) {
            if chosen(root) {
                voxels[run.row * nx..][run.begin..run.end].fill(true);
            }
        }
    }
}

fn push_runs(line: impl Iterator<Item = bool>, row: usize, runs: &mut Vec<Run>) {
    let mut open = false;
    for (i, wanted) in line.enumerate() {
        if wanted && open {
            if let Some(run) = runs.last_mut() {
                run.end = i + 1;
            }
        } else if wanted {
            runs.push(Run { row, begin: i, end: i + 1 });
        }
        open = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Geometry;

    /// Slices of rows of `#` (inside) and `.`.
    fn mask(slices: &[&[&str]]) -> Mask {
        let size = [slices[0][0].len(), slices[0].len(), slices.len()];
        let inside = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| slices[k][j].as_bytes()[i] == b'#');
        Mask::new(inside, Geometry::axis_aligned(size, [1.0; 3]).unwrap()).unwrap()
    }

    #[test]
    fn pieces_are_joined_by_faces_also_across_slices() {
        let rows: [(Mask, Mask); 5] = [
            (mask(&[&["##.#", "...#", "...#"]]), mask(&[&["...#", "...#", "...#"]])),
            (mask(&[&["#.", ".#"]]), mask(&[&["#.", ".."]])),
            (mask(&[&["#.#.#", "#.#.#", "#####"]]), mask(&[&["#.#.#", "#.#.#", "#####"]])),
            (mask(&[&["#..", "..#"], &["###", "..."]]), mask(&[&["#..", "..."], &["###", "..."]])),
            (mask(&[&["..", ".."]]), mask(&[&["..", ".."]])),
        ];
        for (source, expected) in rows {
            assert_eq!(largest_component(&source), expected);
        }
    }

    #[test]
    fn holes_are_filled_slice_by_slice() {
        // A hole open only to the next slice is filled; one open to the border, or through a corner gap of the rim, is
        // closed by the rim's diagonal and filled.
        let source = mask(&[&[".###.", ".#.#.", ".###."], &["##.##", "#...#", "#####"], &[".#...", "#.#..", ".#..."]]);
        let expected =
            mask(&[&[".###.", ".###.", ".###."], &["##.##", "#...#", "#####"], &[".#...", "###..", ".#..."]]);
        assert_eq!(fill_holes(&source), expected);
    }

    #[test]
    fn axial_slices_are_found_in_a_sagittal_volume() {
        let flat = mask(&[&["###", "#.#", "###"], &["...", "...", "..."]]);
        // The same array stored sagittally: x to posterior, y to the feet, z to the left. Axial slices are then rows.
        let sagittal =
            Geometry::new([3, 3, 2], [1.0; 3], [0.0; 3], [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]]);
        let source = Mask::new(flat.inside().to_owned(), sagittal.unwrap()).unwrap();
        assert_eq!(fill_holes(&source), source);
        assert_eq!(fill_holes(&flat).count(), 9);
        let axial = crate::reorient_mask(&flat, "SLP".parse().unwrap());
        assert_eq!(fill_holes(&axial).count(), 9);
    }
}

use ndarray::{Array3, ArrayView3};

use crate::orientation::Turn;
use crate::{Mask, Modality, Orientation, Unit, Volume};

/// Which neighbours of a voxel belong to the same piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connectivity {
    /// The 6 that share a face.
    Faces,
    /// The 18 that share a face or an edge.
    Edges,
    /// The 26 that share a face, an edge or a corner.
    Corners,
}

/// The pieces of a region, largest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Components {
    /// 0 outside, 1 in the largest piece, 2 in the next, and so on: [`Modality::Seg`] and [`Unit::Label`].
    pub labels: Volume,
    /// Voxels of the pieces 1, 2, ...
    pub voxels: Vec<usize>,
    /// Volumes of the pieces 1, 2, ..., ml.
    pub volumes_ml: Vec<f64>,
}

/// Parts the region into pieces; of equal pieces the one that comes first in x, y, z order has the smaller label.
pub fn components(mask: &Mask, connectivity: Connectivity) -> Components {
    let pieces = Pieces::of(mask.inside(), Kind::Region(connectivity));
    let sizes = pieces.sizes();
    let mut order: Vec<usize> = (0..sizes.len()).filter(|&root| sizes[root] > 0).collect();
    order.sort_by_key(|&root| std::cmp::Reverse(sizes[root]));
    let mut label = vec![0.0f32; sizes.len()];
    order.iter().enumerate().for_each(|(rank, &root)| label[root] = (rank + 1) as f32);
    let mut labels = Array3::zeros(mask.inside().dim());
    pieces.paint(&mut labels, |root| Some(label[root]));
    let labels = Volume::new(labels, mask.geometry().clone(), Modality::Seg, Unit::Label).expect("same shape");
    let voxels: Vec<usize> = order.iter().map(|&root| sizes[root]).collect();
    let voxel_ml = mask.geometry().voxel_volume_mm3() / 1000.0;
    let volumes_ml = voxels.iter().map(|&n| n as f64 * voxel_ml).collect();
    Components { labels, voxels, volumes_ml }
}

/// The largest piece of the region, pieces being joined by voxel faces; of equal pieces the one that comes first in x,
/// y, z order. An empty region stays empty.
pub fn largest_component(mask: &Mask) -> Mask {
    let pieces = Pieces::of(mask.inside(), Kind::Region(Connectivity::Faces));
    let voxels = pieces.sizes();
    // `max_by_key` gives the last of equals; reversed, that is the first piece.
    let largest = (0..voxels.len()).rev().max_by_key(|&root| voxels[root]);
    let mut inside = Array3::from_elem(mask.inside().dim(), false);
    pieces.paint(&mut inside, |root| (Some(root) == largest).then_some(true));
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

/// Adds the closed cavities: voxels outside the region that no path of shared voxel faces joins to the grid's border.
pub fn fill_cavities(mask: &Mask) -> Mask {
    let (nz, ny, nx) = mask.inside().dim();
    let pieces = Pieces::of(mask.inside(), Kind::Gaps);
    let mut open = vec![false; pieces.runs.len()];
    for (run, &root) in pieces.runs.iter().zip(&pieces.root) {
        let (y, z) = (run.row % ny, run.row / ny);
        open[root] |= run.begin == 0 || run.end == nx || y == 0 || y == ny - 1 || z == 0 || z == nz - 1;
    }
    let mut filled = mask.inside().to_owned();
    pieces.paint(&mut filled, |root| (!open[root]).then_some(true));
    Mask::new(filled, mask.geometry().clone()).expect("same shape")
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
    pieces.paint(&mut filled, |root| (!open[root]).then_some(true));
    filled
}

/// A stretch of equal voxels in a row along x; rows are numbered through the volume, y fastest.
struct Run {
    row: usize,
    begin: usize,
    end: usize,
}

/// Which voxels form pieces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Those inside, across all slices.
    Region(Connectivity),
    /// Those outside, across all slices, joined by faces.
    Gaps,
    /// Those outside, each slice on its own, joined by faces.
    GapsOfSlices,
}

impl Kind {
    /// The rows before a row that its runs may join: steps back in z and in y, and the steps in x that still join.
    fn rows_before(self) -> &'static [(i64, i64, usize)] {
        match self {
            Self::GapsOfSlices => &[(0, 1, 0)],
            Self::Gaps | Self::Region(Connectivity::Faces) => &[(0, 1, 0), (1, 0, 0)],
            Self::Region(Connectivity::Edges) => &[(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, -1, 0)],
            Self::Region(Connectivity::Corners) => &[(0, 1, 1), (1, 0, 1), (1, 1, 1), (1, -1, 1)],
        }
    }
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
            let wanted = matches!(kind, Kind::Region(_));
            push_runs(line.iter().map(|&v| v == wanted), first_of_row.len() - 1, &mut runs);
            first_of_row.push(runs.len());
        }
        let mut pieces = Self { root: (0..runs.len()).collect(), runs };
        for (z, y) in (0..nz).flat_map(|z| (0..ny).map(move |y| (z, y))) {
            for &(back_z, back_y, slack) in kind.rows_before() {
                let (y_before, z_before) = (y as i64 - back_y, z as i64 - back_z);
                if z_before < 0 || !(0..ny as i64).contains(&y_before) {
                    continue;
                }
                let (before, here) = (z_before as usize * ny + y_before as usize, z * ny + y);
                pieces.join(
                    first_of_row[before]..first_of_row[before + 1],
                    first_of_row[here]..first_of_row[here + 1],
                    slack,
                );
            }
        }
        for run in 0..pieces.root.len() {
            pieces.root[run] = pieces.root[pieces.root[run]];
        }
        pieces
    }

    /// Joins the runs of two neighbouring rows that overlap in x or are `slack` steps apart.
    fn join(&mut self, mut before: std::ops::Range<usize>, mut here: std::ops::Range<usize>, slack: usize) {
        while !before.is_empty() && !here.is_empty() {
            let (a, b) = (&self.runs[before.start], &self.runs[here.start]);
            let a_ends_first = a.end < b.end;
            if a.begin < b.end + slack && b.begin < a.end + slack {
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

    /// Voxels of each piece, by its first run.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.runs.len()];
        self.runs.iter().zip(&self.root).for_each(|(run, &root)| sizes[root] += run.end - run.begin);
        sizes
    }

    /// Gives the voxels of each piece the value chosen for it, if any.
    fn paint<T: Copy>(&self, voxels: &mut Array3<T>, chosen: impl Fn(usize) -> Option<T>) {
        let (_, _, nx) = voxels.dim();
        let voxels = voxels.as_slice_mut().expect("a fresh array is contiguous");
        for (run, &root) in self.runs.iter().zip(&self.root) {
            if let Some(value) = chosen(root) {
                voxels[run.row * nx..][run.begin..run.end].fill(value);
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
    fn pieces_are_labelled_by_size_and_joined_by_the_neighbours_asked_for() {
        // A corner, an edge and a face apart, in this order.
        let source = mask(&[&["#....", ".....", "....."], &[".#...", "#....", "...##"]]);
        let rows = [
            (Connectivity::Faces, vec![2, 1, 1, 1]),
            (Connectivity::Edges, vec![3, 2]),
            (Connectivity::Corners, vec![3, 2]),
        ];
        for (connectivity, voxels) in rows {
            let found = components(&source, connectivity);
            assert_eq!(found.voxels, voxels, "{connectivity:?}");
            assert_eq!(found.volumes_ml, voxels.iter().map(|&n| n as f64 / 1000.0).collect::<Vec<_>>());
            for (label, n) in (1..).zip(voxels) {
                assert_eq!(Mask::of_label(&found.labels, label).count(), n);
            }
        }
        let corner = mask(&[&["#..", "...", "..."], &["...", ".#.", "..#"]]);
        for (connectivity, pieces) in [(Connectivity::Edges, 2), (Connectivity::Corners, 1)] {
            assert_eq!(components(&corner, connectivity).voxels.len(), pieces, "{connectivity:?}");
        }
    }

    #[test]
    fn a_cavity_is_closed_on_all_sides() {
        let shell = mask(&[&["###", "###", "###"], &["###", "#.#", "###"], &["###", "###", "###"]]);
        assert_eq!(fill_cavities(&shell).count(), 27);
        let tube = mask(&[&["###", "#.#", "###"], &["###", "#.#", "###"], &["###", "###", "###"]]);
        assert_eq!((fill_cavities(&tube).count(), fill_holes(&tube).count()), (25, 27));
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

use crate::directions::{directions, slice_axis};
use crate::settings::Settings;

/// The cube of voxels around a centre, cut to a plane when textures are forced 2-D, with what does not change from
/// centre to centre: which of its voxels are partners along which step. Voxels are numbered with x fastest.
pub(super) struct Kernel {
    /// Voxels from the centre to the border, x, y, z.
    reach: [usize; 3],
    /// Voxels along x, y, z.
    size: [usize; 3],
    /// Partners in GLCM, GLDM and NGTDM.
    pub(super) pairs: Vec<Along<(u32, u32)>>,
    /// Lines of voxels in GLRLM.
    pub(super) lines: Vec<Along<Vec<u32>>>,
    /// Pairs of voxels that touch, at a corner or more.
    pub(super) touching: Vec<(u32, u32)>,
}

/// The pairs or lines of voxels along one step.
pub(super) struct Along<T> {
    pub(super) step: [i64; 3],
    pub(super) voxels: Vec<T>,
}

impl Kernel {
    /// The kernel of `settings` for a box of `size` voxels, beyond which it need not reach.
    pub(super) fn of(settings: &Settings, size: [usize; 3]) -> Self {
        let across = slice_axis(settings);
        let reach: [usize; 3] = std::array::from_fn(|axis| {
            if across == Some(axis) { 0 } else { (settings.kernel_radius as usize).min(size[axis] - 1) }
        });
        let size = reach.map(|reach| 2 * reach + 1);
        let with_pairs = |step| Along { step, voxels: pairs(size, step) };
        let neighbours = directions(size, &[1], across);
        Self {
            reach,
            size,
            pairs: directions(size, &settings.distances, across).into_iter().map(with_pairs).collect(),
            lines: neighbours.iter().map(|&step| Along { step, voxels: lines(size, step) }).collect(),
            touching: neighbours.iter().flat_map(|&step| pairs(size, step)).collect(),
        }
    }

    /// Number of voxels.
    pub(super) fn count(&self) -> usize {
        self.size.iter().product()
    }
}

fn pairs(size: [usize; 3], step: [i64; 3]) -> Vec<(u32, u32)> {
    let partner = |voxel: usize| moved(size, voxel, step).map(|partner| (voxel as u32, partner as u32));
    (0..size.iter().product()).filter_map(partner).collect()
}

/// Every voxel in one line.
fn lines(size: [usize; 3], step: [i64; 3]) -> Vec<Vec<u32>> {
    let is_first = |voxel: &usize| moved(size, *voxel, step.map(|s| -s)).is_none();
    let line = |first| std::iter::successors(Some(first), |&voxel| moved(size, voxel, step));
    let starts = (0..size.iter().product()).filter(is_first);
    starts.map(|first| line(first).map(|voxel| voxel as u32).collect()).collect()
}

/// The voxel a step further, when it is inside.
fn moved(size: [usize; 3], voxel: usize, step: [i64; 3]) -> Option<usize> {
    let position = [voxel % size[0], voxel / size[0] % size[1], voxel / (size[0] * size[1])];
    let [x, y, z]: [i64; 3] = std::array::from_fn(|a| position[a] as i64 + step[a]);
    let is_inside = [x, y, z].iter().zip(size).all(|(&c, n)| (0..n as i64).contains(&c));
    is_inside.then(|| (z as usize * size[1] + y as usize) * size[0] + x as usize)
}

/// The box that kernels move in: intensities and the position of each voxel's grey level among the occupied ones plus 1,
/// 0 where a voxel counts in no kernel.
pub(super) struct Field<'a> {
    pub(super) size: [usize; 3],
    pub(super) values: &'a [f64],
    pub(super) positions: Vec<u16>,
    pub(super) grey: &'a [u32],
}

/// What a kernel sees around one centre.
pub(super) struct View {
    /// For each voxel of the kernel its row among `grey` plus 1, 0 where none counts.
    pub(super) rows: Vec<u16>,
    /// Grey levels in the kernel, ascending.
    pub(super) grey: Vec<u32>,
    /// Voxels of each.
    pub(super) counts: Vec<usize>,
    /// Intensities in the kernel.
    pub(super) values: Vec<f64>,
    occupied: Vec<u16>,
    row_of: Vec<u16>,
}

impl View {
    pub(super) fn new(kernel: &Kernel, levels: usize) -> Self {
        Self {
            rows: vec![0; kernel.count()],
            grey: Vec::new(),
            counts: Vec::new(),
            values: Vec::new(),
            occupied: Vec::new(),
            row_of: vec![0; levels + 1],
        }
    }

    /// Moves to the centre at `[x, y, z]` of the box.
    pub(super) fn look(&mut self, kernel: &Kernel, field: &Field, centre: [usize; 3]) {
        self.rows.fill(0);
        self.values.clear();
        self.occupied.clear();
        let first: [usize; 3] = std::array::from_fn(|a| centre[a].saturating_sub(kernel.reach[a]));
        let end: [usize; 3] = std::array::from_fn(|a| (centre[a] + kernel.reach[a] + 1).min(field.size[a]));
        let shift: [usize; 3] = std::array::from_fn(|a| first[a] + kernel.reach[a] - centre[a]);
        for z in first[2]..end[2] {
            for y in first[1]..end[1] {
                let source = (z * field.size[1] + y) * field.size[0] + first[0];
                let row = (z - first[2] + shift[2]) * kernel.size[1] + y - first[1] + shift[1];
                let target = row * kernel.size[0] + shift[0];
                for x in 0..end[0] - first[0] {
                    let position = field.positions[source + x];
                    if position > 0 {
                        self.rows[target + x] = position;
                        self.occupied.push(position);
                        self.values.push(field.values[source + x]);
                    }
                }
            }
        }
        self.occupied.sort_unstable();
        self.grey.clear();
        self.counts.clear();
        for run in self.occupied.chunk_by(|a, b| a == b) {
            self.grey.push(field.grey[usize::from(run[0]) - 1]);
            self.counts.push(run.len());
            self.row_of[usize::from(run[0])] = self.grey.len() as u16;
        }
        self.rows.iter_mut().for_each(|row| *row = self.row_of[usize::from(*row)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_of_radius_one_has_26_neighbours_in_13_directions() {
        let kernel = Kernel::of(&Settings::default(), [9, 9, 9]);
        assert_eq!((kernel.count(), kernel.pairs.len(), kernel.lines.len()), (27, 13, 13));
        assert!(kernel.lines.iter().all(|lines| lines.voxels.iter().map(Vec::len).sum::<usize>() == 27));
        assert_eq!(kernel.touching.iter().filter(|(a, b)| *a == 13 || *b == 13).count(), 26);
        let flat = Kernel::of(&Settings { force_2d: true, ..Settings::default() }, [9, 9, 9]);
        assert_eq!((flat.count(), flat.pairs.len()), (9, 4));
    }

    /// Levels 10 20 10 in the middle of a row of five; the kernel around its second voxel sees 10 20.
    #[test]
    fn levels_are_renumbered_in_each_kernel() {
        let grey = [5, 10, 20];
        let values = [0.0, 1.0, 2.0, 1.0, 9.0];
        let field = Field { size: [5, 1, 1], values: &values, positions: vec![0, 2, 3, 2, 1], grey: &grey };
        let kernel = Kernel::of(&Settings::default(), field.size);
        let mut view = View::new(&kernel, grey.len());
        view.look(&kernel, &field, [1, 0, 0]);
        assert_eq!(
            (view.rows.as_slice(), view.grey.as_slice(), view.counts.as_slice()),
            (&[0, 1, 2][..], &[10, 20][..], &[1, 1][..])
        );
        view.look(&kernel, &field, [4, 0, 0]);
        assert_eq!((view.rows.as_slice(), view.values.as_slice()), (&[2, 1, 0][..], &[1.0, 9.0][..]));
    }
}

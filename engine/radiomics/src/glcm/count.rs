use crate::discretise::Discretised;
use crate::roi::Roi;

/// A region's levels in its box: 0 outside, else the position among the occupied levels plus 1.
pub(super) struct Levels {
    size: [usize; 3],
    occupied: usize,
    field: Field,
    /// First and one past the last voxel inside of each row.
    spans: Vec<(usize, usize)>,
}

/// One byte a voxel where it is enough: the counting is bound by memory.
enum Field {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
}

impl Levels {
    pub(super) fn of(region: &Roi, levels: &Discretised) -> Self {
        let occupied = levels.grey.len();
        let mut next = levels.levels.iter();
        let mut level = |inside: bool| if inside { next.next().copied().unwrap_or(0) } else { 0 };
        let inside = region.inside.iter().copied();
        let field = if occupied < 256 {
            Field::Narrow(inside.map(|i| level(i) as u8).collect())
        } else {
            Field::Wide(inside.map(level).collect())
        };
        let spans = region
            .inside
            .chunks_exact(region.size[0])
            .map(|row| {
                let first = row.iter().position(|&i| i).unwrap_or(row.len());
                (first, row.iter().rposition(|&i| i).map_or(first, |last| last + 1))
            })
            .collect();
        Self { size: region.size, occupied, field, spans }
    }

    /// Number of pairs (i, j) of a voxel and its partner `step` further, row by row, one way.
    pub(super) fn pairs(&self, step: [i64; 3]) -> Vec<f64> {
        match &self.field {
            Field::Narrow(field) => self.count(field, step),
            Field::Wide(field) => self.count(field, step),
        }
    }

    fn count<L: Copy + Into<usize>>(&self, field: &[L], step: [i64; 3]) -> Vec<f64> {
        let side = self.occupied + 1;
        // Level 0 has a row and a column too: counting it is cheaper than asking.
        let mut counts = vec![0u32; side * side];
        let [nx, ny, nz] = self.size.map(|n| n as i64);
        let [dx, dy, dz] = step;
        for z in (-dz).max(0)..nz - dz.max(0) {
            for y in (-dy).max(0)..ny - dy.max(0) {
                let (row, partner) = ((z * ny + y) as usize, ((z + dz) * ny + y + dy) as usize);
                let (a, b) = (self.spans[row], self.spans[partner]);
                let first = (a.0 as i64).max(b.0 as i64 - dx);
                let end = (a.1 as i64).min(b.1 as i64 - dx);
                if first >= end {
                    continue;
                }
                let length = (end - first) as usize;
                let start = row * nx as usize + first as usize;
                let partner_start = partner * nx as usize + (first + dx) as usize;
                let pairs = field[start..start + length].iter().zip(&field[partner_start..partner_start + length]);
                for (&i, &j) in pairs {
                    counts[i.into() * side + j.into()] += 1;
                }
            }
        }
        counts.chunks_exact(side).skip(1).flat_map(|row| row[1..].iter().map(|&count| f64::from(count))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discretise::Discretisation;
    use crate::prepare::Number;

    /// The 5 x 5 image of the PyRadiomics manual and its matrix for left and right neighbours, counted by hand: the row
    /// 1 2 5 2 3 holds the pairs 12 25 52 23, and so on; a pair counts both ways.
    #[test]
    fn five_by_five_image_by_hand() {
        let image = [1, 2, 5, 2, 3, 3, 2, 1, 3, 1, 1, 3, 5, 5, 2, 1, 1, 1, 1, 2, 1, 2, 4, 3, 5].map(f64::from);
        let levels = Discretised::of(&image, Discretisation::BinWidth(1.0), Number::Double).unwrap();
        let region = Roi { first: [0; 3], size: [5, 5, 1], inside: vec![true; 25] };
        let one_way = Levels::of(&region, &levels).pairs([1, 0, 0]);
        let both_ways: Vec<f64> = (0..25).map(|index| one_way[index] + one_way[index % 5 * 5 + index / 5]).collect();
        let expected = [[6, 4, 3, 0, 0], [4, 0, 2, 1, 3], [3, 2, 0, 1, 2], [0, 1, 1, 0, 0], [0, 3, 2, 0, 2]]
            .map(|r| r.map(f64::from));
        assert_eq!(both_ways, expected.concat());
    }

    #[test]
    fn voxels_outside_pair_with_nothing() {
        let levels = Discretised::of(&[1.0, 2.0, 1.0], Discretisation::BinWidth(1.0), Number::Double).unwrap();
        let region = Roi { first: [0; 3], size: [2, 2, 1], inside: vec![true, false, true, true] };
        let field = Levels::of(&region, &levels);
        let rows: [([i64; 3], [f64; 4]); 4] = [
            ([1, 0, 0], [0.0, 0.0, 1.0, 0.0]),
            ([0, 1, 0], [0.0, 1.0, 0.0, 0.0]),
            ([1, 1, 0], [1.0, 0.0, 0.0, 0.0]),
            ([-1, 1, 0], [0.0; 4]),
        ];
        for (step, expected) in rows {
            assert_eq!(field.pairs(step), expected, "{step:?}");
        }
    }
}

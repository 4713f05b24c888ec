use super::cubes::{TRIANGLES, edge_middle};
use super::diameter::Cuts;
use crate::roi::Roi;

/// Volume and area of a region's surface.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mesh {
    pub(super) volume_mm3: f64,
    pub(super) area_mm2: f64,
}

/// The cubes that the surface cuts: per code, how many and the sum of their positions.
pub(super) struct Surface {
    counts: [u64; 256],
    positions: [[u64; 3]; 256],
    pub(super) cuts: Cuts,
}

impl Surface {
    /// Cubes of the region's box with a border of one voxel around it; cube (x, y, z) has its first corner there.
    pub(super) fn of(region: &Roi) -> Self {
        let [nx, ny, nz] = region.size;
        let width = nx + 2;
        let mut surface =
            Self { counts: [0; 256], positions: [[0; 3]; 256], cuts: Cuts::new([nx + 2, ny + 2, nz + 2]) };
        let row = |y: usize, z: usize, out: &mut [u8]| {
            out.fill(0);
            if (1..=ny).contains(&y) && (1..=nz).contains(&z) {
                let start = ((z - 1) * ny + y - 1) * nx;
                let inside = &region.inside[start..start + nx];
                out[1..=nx].iter_mut().zip(inside).for_each(|(o, &inside)| *o = u8::from(inside));
            }
        };
        let mut columns = vec![0u8; width];
        let mut rows = [vec![0u8; width], vec![0u8; width], vec![0u8; width], vec![0u8; width]];
        for z in 0..=nz {
            row(0, z, &mut rows[0]);
            row(0, z + 1, &mut rows[2]);
            for y in 0..=ny {
                row(y + 1, z, &mut rows[1]);
                row(y + 1, z + 1, &mut rows[3]);
                // Bits 0, 2, 4, 6: the four corners at one x; a cube is this and the same of its left neighbour.
                for (x, column) in columns.iter_mut().enumerate() {
                    *column = rows[0][x] | rows[1][x] << 2 | rows[2][x] << 4 | rows[3][x] << 6;
                }
                for_each_cut(&columns, |x, code| surface.add(code, [x, y, z]));
                let [a, b, c, d] = &mut rows;
                std::mem::swap(a, b);
                std::mem::swap(c, d);
            }
        }
        surface
    }

    fn add(&mut self, code: u8, position: [usize; 3]) {
        let index = usize::from(code);
        self.counts[index] += 1;
        for (sum, coordinate) in self.positions[index].iter_mut().zip(position) {
            *sum += coordinate as u64;
        }
        self.cuts.add(code, position);
    }

    /// Volume and area for a spacing. A triangle (a, b, c) of a cube at p adds `det(a+p, b+p, c+p)/6` to the volume, which
    /// is `(det(a, b, c) + p·(a×b + b×c + c×a))/6`: so a sum per code is enough, and it is exact.
    pub(super) fn mesh(&self, spacing_mm: [f64; 3]) -> Mesh {
        let (mut volume, mut area_mm2) = (0i128, 0.0);
        for code in 1..255usize {
            if self.counts[code] == 0 {
                continue;
            }
            let (entry, sign) = if code < 128 { (code, 1) } else { (255 - code, -1) };
            let count = i128::from(self.counts[code]);
            // Twice the coordinates, so that middles of edges are whole.
            let position = self.positions[code].map(|sum| 2 * i128::from(sum));
            let mut area_of_one = 0.0;
            for triangle in TRIANGLES[entry].as_bytes().chunks_exact(3) {
                let corners = [0, 1, 2].map(|k| edge_middle(hexadecimal(triangle[k])));
                let [a, b, c] = corners;
                let normals = [cross(a, b), cross(b, c), cross(c, a)];
                let normal: [i128; 3] = std::array::from_fn(|k| normals.iter().map(|n| i128::from(n[k])).sum());
                let own = i128::from(cross(a, b).iter().zip(c).map(|(n, c)| n * c).sum::<i64>());
                let moved: i128 = normal.iter().zip(position).map(|(n, p)| n * p).sum();
                volume += sign * (count * own + moved);
                area_of_one += area(corners, spacing_mm);
            }
            area_mm2 += self.counts[code] as f64 * area_of_one;
        }
        // 8 for the doubled coordinates, 6 for the tetrahedron.
        Mesh { volume_mm3: volume as f64 / 48.0 * spacing_mm.iter().product::<f64>(), area_mm2 }
    }
}

/// The cubes of a row that the surface cuts, by their x and code.
fn for_each_cut(columns: &[u8], mut act: impl FnMut(usize, u8)) {
    let mut x = 0;
    while x + 1 < columns.len() {
        // Nearly all cubes are wholly outside or wholly inside.
        let is_uniform = |corners: u8| columns[x..].first_chunk::<17>().is_some_and(|block| *block == [corners; 17]);
        let end = (x + 16).min(columns.len() - 1);
        if !is_uniform(0) && !is_uniform(0b0101_0101) {
            for x in x..end {
                let code = columns[x + 1] | columns[x] << 1;
                if code != 0 && code != 255 {
                    act(x, code);
                }
            }
        }
        x = end;
    }
}

fn hexadecimal(digit: u8) -> usize {
    usize::from(if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 })
}

fn cross(a: [i64; 3], b: [i64; 3]) -> [i64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn area([a, b, c]: [[i64; 3]; 3], spacing_mm: [f64; 3]) -> f64 {
    let side = |p: [i64; 3]| -> [f64; 3] { std::array::from_fn(|k| (p[k] - c[k]) as f64 / 2.0 * spacing_mm[k]) };
    let (u, v) = (side(a), side(b));
    let normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
    0.5 * normal.iter().map(|n| n * n).sum::<f64>().sqrt()
}

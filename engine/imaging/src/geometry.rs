use std::fmt;

use crate::Error;

/// An affine map of 3-space: `apply(p) = matrix · p + translation`, `matrix` by rows.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Affine3 {
    /// Linear part, rows first.
    pub matrix: [[f64; 3]; 3],
    /// Image of the origin.
    pub translation: [f64; 3],
}

impl Affine3 {
    /// Maps a point.
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|row| {
            let [a, b, c] = self.matrix[row];
            a * point[0] + b * point[1] + c * point[2] + self.translation[row]
        })
    }

    /// The map that applies `first`, then `self`.
    pub fn after(&self, first: &Self) -> Self {
        let matrix = std::array::from_fn(|row| {
            std::array::from_fn(|column| (0..3).map(|k| self.matrix[row][k] * first.matrix[k][column]).sum())
        });
        Self { matrix, translation: self.apply(first.translation) }
    }

    /// Determinant of the linear part; negative when the axes are left-handed.
    pub fn determinant(&self) -> f64 {
        let [a, b, c] = self.matrix;
        a[0] * (b[1] * c[2] - b[2] * c[1]) - a[1] * (b[0] * c[2] - b[2] * c[0]) + a[2] * (b[0] * c[1] - b[1] * c[0])
    }

    /// The inverse map, if the linear part has one.
    pub fn inverse(&self) -> Option<Self> {
        let determinant = self.determinant();
        if determinant == 0.0 || !determinant.is_finite() {
            return None;
        }
        let m = self.matrix;
        let cofactor = |r: usize, c: usize| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let matrix = std::array::from_fn(|row| std::array::from_fn(|column| cofactor(column, row) / determinant));
        let linear = Self { matrix, translation: [0.0; 3] };
        let translation = linear.apply(self.translation).map(|t| -t);
        Some(Self { matrix, translation })
    }
}

/// The grid of a volume in patient space (LPS, mm).
///
/// Voxel `[i, j, k]` has its **centre** at `origin + i·Δx·d₀ + j·Δy·d₁ + k·Δz·d₂`, where `d₀, d₁, d₂` are the unit
/// vectors of [`direction`](Self::direction) and Δ the spacing. The axes need not be orthogonal: a tilted gantry shears
/// them.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Geometry {
    size: [usize; 3],
    spacing_mm: [f64; 3],
    origin_mm: [f64; 3],
    direction: [[f64; 3]; 3],
}

impl Geometry {
    /// A grid of `size` voxels (x, y, z); `direction[a]` is the LPS vector of voxel axis `a` and is made unit length.
    ///
    /// # Errors
    /// [`Error::InvalidGeometry`] for an empty size, a spacing that is not positive and finite, or axes that do not
    /// span space.
    pub fn new(
        size: [usize; 3],
        spacing_mm: [f64; 3],
        origin_mm: [f64; 3],
        direction: [[f64; 3]; 3],
    ) -> Result<Self, Error> {
        let invalid = |reason: String| Err(Error::InvalidGeometry { reason });
        if size.contains(&0) {
            return invalid(format!("size {size:?} has no voxel"));
        }
        if size.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).is_none_or(|n| n > isize::MAX as usize / 4) {
            return invalid(format!("size {size:?} does not fit in memory"));
        }
        if spacing_mm.iter().any(|s| !(s.is_finite() && *s > 0.0)) {
            return invalid(format!("spacing {spacing_mm:?} mm is not positive"));
        }
        if origin_mm.iter().chain(direction.iter().flatten()).any(|x| !x.is_finite()) {
            return invalid("origin or direction is not finite".to_owned());
        }
        let norm = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let unit = direction.map(|axis| {
            let length = norm(axis);
            if (length - 1.0).abs() < 1e-12 { axis } else { axis.map(|x| x / length) }
        });
        let span = Affine3 { matrix: unit, translation: [0.0; 3] }.determinant();
        if span.is_nan() || span.abs() <= 1e-6 {
            return invalid(format!("axes {direction:?} do not span space"));
        }
        Ok(Self { size, spacing_mm, origin_mm, direction: unit })
    }

    /// A grid along the patient axes with its first voxel centre at the origin.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn axis_aligned(size: [usize; 3], spacing_mm: [f64; 3]) -> Result<Self, Error> {
        Self::new(size, spacing_mm, [0.0; 3], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    }

    /// The grid whose voxel-to-world map (LPS, mm) is `world_from_voxel`.
    ///
    /// # Errors
    /// As [`Geometry::new`].
    pub fn from_affine(size: [usize; 3], world_from_voxel: &Affine3) -> Result<Self, Error> {
        let m = world_from_voxel.matrix;
        let columns: [[f64; 3]; 3] = std::array::from_fn(|axis| [m[0][axis], m[1][axis], m[2][axis]]);
        let spacing = columns.map(|c| c.iter().map(|x| x * x).sum::<f64>().sqrt());
        let direction = std::array::from_fn(|axis| columns[axis].map(|x| x / spacing[axis]));
        Self::new(size, spacing, world_from_voxel.translation, direction)
    }

    /// Voxels along x, y, z.
    pub fn size(&self) -> [usize; 3] {
        self.size
    }

    /// Distance between neighbouring voxel centres along each axis, mm.
    pub fn spacing_mm(&self) -> [f64; 3] {
        self.spacing_mm
    }

    /// Centre of voxel `[0, 0, 0]`, LPS mm.
    pub fn origin_mm(&self) -> [f64; 3] {
        self.origin_mm
    }

    /// `direction()[a]` is the LPS unit vector of voxel axis `a`.
    pub fn direction(&self) -> [[f64; 3]; 3] {
        self.direction
    }

    /// Maps voxel indices (x, y, z) to LPS mm.
    pub fn world_from_voxel(&self) -> Affine3 {
        let matrix =
            std::array::from_fn(|row| std::array::from_fn(|axis| self.direction[axis][row] * self.spacing_mm[axis]));
        Affine3 { matrix, translation: self.origin_mm }
    }

    /// Maps LPS mm to voxel indices (x, y, z).
    pub fn voxel_from_world(&self) -> Affine3 {
        self.world_from_voxel().inverse().expect("a geometry's axes span space by construction")
    }

    /// Number of voxels.
    pub fn voxel_count(&self) -> usize {
        self.size.iter().product()
    }

    /// Volume of one voxel, mm³.
    pub fn voxel_volume_mm3(&self) -> f64 {
        self.world_from_voxel().determinant().abs()
    }

    /// Largest distance between corresponding corner voxel centres, mm; infinite when sizes differ.
    pub fn corner_distance_mm(&self, other: &Self) -> f64 {
        if self.size != other.size {
            return f64::INFINITY;
        }
        let (here, there) = (self.world_from_voxel(), other.world_from_voxel());
        (0..8u8)
            .map(|corner| {
                let index = std::array::from_fn(|a| if corner >> a & 1 == 1 { (self.size[a] - 1) as f64 } else { 0.0 });
                let (p, q) = (here.apply(index), there.apply(index));
                p.iter().zip(q).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            })
            .fold(0.0, f64::max)
    }

    /// Requires `other` to be this grid, every corner within `tolerance_mm`.
    ///
    /// # Errors
    /// [`Error::GeometryMismatch`] with both grids and the distance.
    pub fn require_same(&self, other: &Self, tolerance_mm: f64) -> Result<(), Error> {
        let distance_mm = self.corner_distance_mm(other);
        if distance_mm <= tolerance_mm {
            return Ok(());
        }
        Err(Error::GeometryMismatch { expected: self.to_string(), found: other.to_string(), distance_mm })
    }
}

/// The grid with another spacing over the same field of view; the first voxel's centre and the axes stay.
///
/// Along each axis with `n` voxels at `s` mm the new size is `n' = round((n - 1) · s / s') + 1`, halves to the even
/// number, so the last centre moves by at most half of the new spacing. Worked case: 512x512x200 voxels at
/// 0.8x0.8x1.5 mm become 410x410x299 at 1 mm, from round(408.8) + 1 and round(298.5) + 1.
///
/// # Errors
/// [`Error::InvalidGeometry`] for a spacing that is not positive and finite, or so small that the grid fits no memory.
pub fn with_spacing(geometry: &Geometry, spacing_mm: [f64; 3]) -> Result<Geometry, Error> {
    let size = std::array::from_fn(|a| {
        let extent_mm = (geometry.size[a] - 1) as f64 * geometry.spacing_mm[a];
        // A float-to-integer cast saturates, and `Geometry::new` refuses what it cannot hold.
        ((extent_mm / spacing_mm[a]).round_ties_even() as usize).saturating_add(1)
    });
    Geometry::new(size, spacing_mm, geometry.origin_mm, geometry.direction)
}

/// The grid with `factors[a]` voxels in the place of each one along axis `a`: spacing `s / f`, the same axes, and the first
/// voxel's centre moved by `(1 / f - 1) / 2` of a coarse voxel along each axis, so that both grids cover the same space.
/// Worked case: 2 voxels of 3 mm with centres at 0 and 3 mm, refined by 3, are 6 voxels of 1 mm from -1 to 4 mm.
///
/// # Errors
/// [`Error::InvalidGeometry`] for a factor of 0, or one so large that the grid fits no memory.
pub fn refined(geometry: &Geometry, factors: [usize; 3]) -> Result<Geometry, Error> {
    if factors == [1; 3] {
        return Ok(geometry.clone());
    }
    let size = std::array::from_fn(|a| geometry.size[a].saturating_mul(factors[a]));
    let spacing_mm = std::array::from_fn(|a| geometry.spacing_mm[a] / factors[a] as f64);
    let first = factors.map(|f| (1.0 / f.max(1) as f64 - 1.0) / 2.0);
    Geometry::new(size, spacing_mm, geometry.world_from_voxel().apply(first), geometry.direction)
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [nx, ny, nz] = self.size;
        let [sx, sy, sz] = self.spacing_mm;
        let [ox, oy, oz] = self.origin_mm;
        write!(f, "{nx}x{ny}x{nz} at {sx:.4}x{sy:.4}x{sz:.4} mm from ({ox:.2}, {oy:.2}, {oz:.2})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refined_voxels_fill_the_coarse_ones() {
        let coarse = Geometry::new(
            [2, 1, 4],
            [3.0, 2.0, 1.0],
            [0.0; 3],
            Geometry::axis_aligned([1; 3], [1.0; 3]).unwrap().direction(),
        )
        .unwrap();
        let fine = refined(&coarse, [3, 4, 1]).unwrap();
        assert_eq!((fine.size(), fine.spacing_mm()), ([6, 4, 4], [1.0, 0.5, 1.0]));
        assert_eq!(fine.origin_mm(), [-1.0, -0.75, 0.0]);
        assert_eq!(refined(&coarse, [1; 3]).unwrap(), coarse);
        assert!(matches!(refined(&coarse, [0, 1, 1]), Err(Error::InvalidGeometry { .. })));
        assert!(matches!(refined(&coarse, [usize::MAX, 1, 1]), Err(Error::InvalidGeometry { .. })));
    }

    #[test]
    fn world_to_voxel_to_world_is_identity_on_an_oblique_sheared_grid() {
        let geometry = Geometry::new(
            [7, 5, 3],
            [0.7, 0.9, 2.5],
            [-31.0, 12.5, 400.0],
            [[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.1, 0.2, 1.0]],
        )
        .unwrap();
        let round = geometry.voxel_from_world().after(&geometry.world_from_voxel()).apply([6.0, 4.0, 2.0]);
        for (found, expected) in round.into_iter().zip([6.0, 4.0, 2.0]) {
            assert!((found - expected).abs() < 1e-9);
        }
    }

    #[test]
    fn another_spacing_keeps_the_first_centre_and_the_field_of_view() {
        // size, spacing, new spacing -> new size
        type Row = ([usize; 3], [f64; 3], [f64; 3], [usize; 3]);
        let rows: [Row; 4] = [
            ([512, 512, 200], [0.8, 0.8, 1.5], [1.0; 3], [410, 410, 299]),
            ([1, 2, 3], [5.0; 3], [1.0; 3], [1, 6, 11]),
            ([4, 4, 4], [1.0; 3], [2.0; 3], [3, 3, 3]),
            ([4, 4, 4], [1.0; 3], [1.0; 3], [4, 4, 4]),
        ];
        for (size, spacing, wanted, expected) in rows {
            let geometry =
                Geometry::new(size, spacing, [7.0, -3.0, 2.0], [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
                    .unwrap();
            let found = with_spacing(&geometry, wanted).unwrap();
            assert_eq!((found.size(), found.spacing_mm(), found.origin_mm()), (expected, wanted, [7.0, -3.0, 2.0]));
            assert_eq!(found.direction(), geometry.direction());
        }
    }

    #[test]
    fn a_spacing_that_is_no_length_is_refused() {
        let geometry = Geometry::axis_aligned([4, 4, 4], [1.0; 3]).unwrap();
        for spacing in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300] {
            assert!(matches!(with_spacing(&geometry, [1.0, spacing, 1.0]), Err(Error::InvalidGeometry { .. })));
        }
    }

    #[test]
    fn a_grid_shifted_by_half_a_millimetre_is_another_grid() {
        let a = Geometry::axis_aligned([4, 4, 4], [1.0; 3]).unwrap();
        let b = Geometry::new([4, 4, 4], [1.0; 3], [0.5, 0.0, 0.0], a.direction()).unwrap();
        assert!(
            matches!(a.require_same(&b, 1e-3), Err(Error::GeometryMismatch { distance_mm, .. }) if (distance_mm - 0.5).abs() < 1e-12)
        );
        assert_eq!(a.require_same(&a, 0.0), Ok(()));
    }
}

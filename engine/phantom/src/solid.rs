/// A closed shape in body coordinates (LPS, mm).
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// `|x/a|ⁿ + |y/b|ⁿ + |z/c|ⁿ < 1` along the axes; an infinite half axis makes a cylinder.
    Superellipsoid { center: [f64; 3], half: [f64; 3], exponent: f64 },
    /// An ellipsoid turned about z by `turn_rad` (from x towards y).
    Ellipsoid { center: [f64; 3], half: [f64; 3], turn_rad: f64 },
    /// All points within `radius` of the segment `from`-`to`.
    Capsule { from: [f64; 3], to: [f64; 3], radius: f64 },
}

impl Shape {
    /// Below one inside, one on the surface, above one outside.
    pub(crate) fn level(&self, point: [f64; 3]) -> f64 {
        match *self {
            Self::Superellipsoid { center, half, exponent } => {
                (0..3).map(|a| ((point[a] - center[a]) / half[a]).abs().powf(exponent)).sum()
            }
            Self::Ellipsoid { center, half, turn_rad } => {
                // A sine per voxel is dear, and most ellipsoids are not turned.
                let (sin, cos) = if turn_rad == 0.0 { (0.0, 1.0) } else { turn_rad.sin_cos() };
                let [x, y, z] = std::array::from_fn(|a| point[a] - center[a]);
                let turned = [cos * x + sin * y, cos * y - sin * x, z];
                (0..3).map(|a| (turned[a] / half[a]).powi(2)).sum()
            }
            Self::Capsule { from, to, radius } => {
                let along: [f64; 3] = std::array::from_fn(|a| to[a] - from[a]);
                let offset: [f64; 3] = std::array::from_fn(|a| point[a] - from[a]);
                let length: f64 = along.iter().map(|v| v * v).sum();
                let dot: f64 = along.iter().zip(offset).map(|(a, b)| a * b).sum();
                let t = if length > 0.0 { (dot / length).clamp(0.0, 1.0) } else { 0.0 };
                (0..3).map(|a| (offset[a] - t * along[a]).powi(2)).sum::<f64>() / (radius * radius)
            }
        }
    }

    /// Distance of a point to the surface, mm, positive inside, to first order: `(1 - N) / |∇N|` with the gauge
    /// `N = level^(1/n)`; exact for a capsule.
    pub(crate) fn depth_mm(&self, point: [f64; 3]) -> f64 {
        let gauge = |scaled: [f64; 3], half: [f64; 3], exponent: f64| {
            let powers = scaled.map(|u| if exponent == 2.0 { u * u } else { u.abs().powf(exponent) });
            let level: f64 = powers.iter().sum();
            if level == 0.0 {
                return half.into_iter().fold(f64::INFINITY, f64::min);
            }
            let norm = if exponent == 2.0 { level.sqrt() } else { level.powf(1.0 / exponent) };
            // ∂N/∂x = |u|ⁿ⁻¹ N¹⁻ⁿ / a, written with the powers at hand.
            let slope =
                |a: usize| if scaled[a] == 0.0 { 0.0 } else { powers[a] / scaled[a].abs() * norm / level / half[a] };
            (1.0 - norm) / (0..3).map(|a| slope(a).powi(2)).sum::<f64>().sqrt()
        };
        match *self {
            Self::Superellipsoid { center, half, exponent } => {
                gauge(std::array::from_fn(|a| (point[a] - center[a]) / half[a]), half, exponent)
            }
            Self::Ellipsoid { center, half, turn_rad } => {
                let (sin, cos) = turn_rad.sin_cos();
                let [x, y, z] = std::array::from_fn(|a| point[a] - center[a]);
                gauge([(cos * x + sin * y) / half[0], (cos * y - sin * x) / half[1], z / half[2]], half, 2.0)
            }
            Self::Capsule { radius, .. } => radius * (1.0 - self.level(point).sqrt()),
        }
    }

    /// A box, low and high corner, that holds the shape with `margin` relative room.
    pub(crate) fn bounds(&self, margin: f64) -> [[f64; 2]; 3] {
        let around = |center: f64, half: f64| [center - half * margin, center + half * margin];
        match *self {
            Self::Superellipsoid { center, half, .. } => std::array::from_fn(|a| around(center[a], half[a])),
            Self::Ellipsoid { center, half, turn_rad } => {
                let (sin, cos) = turn_rad.sin_cos();
                let wide = (half[0] * cos).hypot(half[1] * sin);
                let deep = (half[0] * sin).hypot(half[1] * cos);
                [around(center[0], wide), around(center[1], deep), around(center[2], half[2])]
            }
            Self::Capsule { from, to, radius } => {
                std::array::from_fn(|a| [from[a].min(to[a]) - radius * margin, from[a].max(to[a]) + radius * margin])
            }
        }
    }
}

/// One stroke of the painter: a shape filled with a material wherever it lies over one of the given materials.
#[derive(Debug, Clone)]
pub(crate) struct Solid {
    pub(crate) shape: Shape,
    /// Index of the material.
    pub(crate) material: u8,
    /// Materials that the solid replaces; empty for all.
    pub(crate) over: Vec<u8>,
    /// Amplitude by which the surface field moves the level of the surface; 0 for a smooth one.
    pub(crate) wobble: f64,
}

/// The surface field is held within this many standard deviations, so that bounds are certain.
pub(crate) const SURFACE_LIMIT: f32 = 2.0;

/// Centres of one slice's voxels, mm, with the surface field `[y, x]` of the slice.
pub(crate) struct Canvas<'a> {
    pub(crate) xs: &'a [f64],
    pub(crate) ys: &'a [f64],
    pub(crate) z: f64,
    pub(crate) surface: &'a [Vec<f32>],
}

impl Solid {
    /// Paints the cut of the solid into `materials`, `[y, x]` with x fastest.
    pub(crate) fn paint(&self, canvas: &Canvas<'_>, materials: &mut [u8]) {
        let margin = (1.0 + f64::from(SURFACE_LIMIT) * self.wobble).sqrt();
        let [bx, by, bz] = self.shape.bounds(margin);
        if !(bz[0]..=bz[1]).contains(&canvas.z) {
            return;
        }
        let columns = span(canvas.xs, bx);
        let terms = self.column_terms(&canvas.xs[columns.clone()]);
        for j in span(canvas.ys, by) {
            let y = canvas.ys[j];
            let rest = self.row_term(y, canvas.z);
            let row = &mut materials[j * canvas.xs.len()..][columns.clone()];
            for (i, voxel) in row.iter_mut().enumerate() {
                let x = columns.start + i;
                let level = match rest {
                    Some(rest) => terms[i] + rest,
                    None => self.shape.level([canvas.xs[x], y, canvas.z]),
                };
                let surface =
                    if self.wobble == 0.0 { 1.0 } else { 1.0 + self.wobble * f64::from(canvas.surface[j][x]) };
                if level < surface && (self.over.is_empty() || self.over.contains(voxel)) {
                    *voxel = self.material;
                }
            }
        }
    }

    /// The part of a superellipsoid's level that depends on x alone: its powers are costly and separate.
    fn column_terms(&self, xs: &[f64]) -> Vec<f64> {
        let Shape::Superellipsoid { center, half, exponent } = self.shape else { return Vec::new() };
        xs.iter().map(|x| ((x - center[0]) / half[0]).abs().powf(exponent)).collect()
    }

    fn row_term(&self, y: f64, z: f64) -> Option<f64> {
        let Shape::Superellipsoid { center, half, exponent } = self.shape else { return None };
        let term = |at: f64, axis: usize| ((at - center[axis]) / half[axis]).abs().powf(exponent);
        Some(term(y, 1) + term(z, 2))
    }
}

/// Indices of the rising `centers` that lie within `bounds`.
fn span(centers: &[f64], [low, high]: [f64; 2]) -> std::ops::Range<usize> {
    centers.partition_point(|&c| c < low)..centers.partition_point(|&c| c <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(shape: Shape, half_mm: f64, step_mm: f64) -> f64 {
        let count = (2.0 * half_mm / step_mm).round() as usize;
        let at: Vec<f64> = (0..count).map(|i| (i as f64 + 0.5) * step_mm - half_mm).collect();
        let solid = Solid { shape, material: 1, over: vec![0], wobble: 0.0 };
        let mut voxels = 0;
        for &z in &at {
            let mut slice = vec![0u8; count * count];
            solid.paint(&Canvas { xs: &at, ys: &at, z, surface: &[] }, &mut slice);
            voxels += slice.iter().filter(|&&m| m == 1).count();
        }
        voxels as f64 * step_mm.powi(3)
    }

    #[test]
    fn painted_solids_have_the_volume_of_their_formula() {
        use std::f64::consts::PI;
        let center = [1.1, -2.1, 0.6];
        let half = [12.0, 8.0, 10.0];
        let ellipsoid = 4.0 / 3.0 * PI * 12.0 * 8.0 * 10.0;
        let rows = [
            ("ellipsoid", Shape::Superellipsoid { center, half, exponent: 2.0 }, ellipsoid),
            ("turned ellipsoid", Shape::Ellipsoid { center, half, turn_rad: 0.7 }, ellipsoid),
            // A superellipsoid of large exponent tends to its box.
            ("box", Shape::Superellipsoid { center, half, exponent: 200.0 }, 8.0 * 12.0 * 8.0 * 10.0),
            (
                "capsule",
                Shape::Capsule { from: [-6.0, 0.0, -3.0], to: [6.0, 5.0, 3.0], radius: 4.0 },
                PI * 16.0 * 205f64.sqrt() + 4.0 / 3.0 * PI * 64.0,
            ),
        ];
        for (name, shape, volume) in rows {
            let found = painted(shape, 20.0, 0.4);
            assert!((found / volume - 1.0).abs() < 0.01, "{name}: {found} mm³ for {volume} mm³");
        }
    }

    #[test]
    fn depth_is_the_distance_to_the_surface() {
        let center = [5.0, -3.0, 2.0];
        let ball = Shape::Ellipsoid { center, half: [20.0; 3], turn_rad: 0.4 };
        let slab = Shape::Superellipsoid { center, half: [f64::INFINITY, 10.0, f64::INFINITY], exponent: 2.5 };
        let rod = Shape::Capsule { from: [0.0; 3], to: [0.0, 0.0, 9.0], radius: 4.0 };
        let egg =
            Shape::Ellipsoid { center: [0.0; 3], half: [30.0, 20.0, 10.0], turn_rad: std::f64::consts::FRAC_PI_2 };
        let rows = [
            (ball, [17.0, -3.0, 2.0], 8.0),
            (ball, center, 20.0),
            (ball, [5.0, 27.0, 2.0], -10.0),
            (slab, [400.0, 4.0, -70.0], 3.0),
            (rod, [3.0, 0.0, 5.0], 1.0),
            (rod, [0.0, 0.0, 15.0], -2.0),
            // Turned by a right angle, the long axis lies along y.
            (egg, [0.0, 28.0, 0.0], 2.0),
        ];
        for (shape, point, depth) in rows {
            assert!((shape.depth_mm(point) - depth).abs() < 1e-9, "{shape:?} at {point:?}: {}", shape.depth_mm(point));
        }
    }

    #[test]
    fn a_solid_spares_the_materials_it_does_not_lie_over() {
        let shape = Shape::Superellipsoid { center: [0.0; 3], half: [10.0; 3], exponent: 2.0 };
        let at = [0.0, 1.0, 2.0];
        let mut slice = [0u8, 5, 0, 5, 0, 5, 0, 5, 0];
        Solid { shape, material: 9, over: vec![0], wobble: 0.0 }
            .paint(&Canvas { xs: &at, ys: &at, z: 0.0, surface: &[] }, &mut slice);
        assert_eq!(slice, [9, 5, 9, 5, 9, 5, 9, 5, 9]);
    }
}

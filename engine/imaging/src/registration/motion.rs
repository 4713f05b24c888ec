use super::{Freedom, finest_spacing_mm};
use crate::{Affine3, Mask, Volume};

/// Maps as vectors of parameters in mm, around a centre `c` and on top of a start `S`.
///
/// ```text
/// rigid:  T(p) = R(ω / r) · S_l (p - c) + S(c) + t            parameters ω (3), t (3)
/// affine: T(p) = (1 + A / r) · S_l (p - c) + S(c) + t         parameters A by rows (9), t (3)
/// ```
/// with `S_l` the linear part of `S`, `R` the rotation by the vector `ω / r` (radians) and `r` the root mean square
/// distance of the fixed volume from `c`: a parameter of 1 mm moves a typical voxel by about 1 mm.
#[derive(Clone)]
pub(super) struct Motion {
    freedom: Freedom,
    center: [f64; 3],
    radius_mm: f64,
    start: Affine3,
}

impl Motion {
    pub(super) fn around(fixed: &Volume, mask: Option<&Mask>, freedom: Freedom, start: Affine3) -> Self {
        let (geometry, first, size) = match mask.and_then(|m| m.bounding_box().map(|b| (m.geometry(), b))) {
            Some((geometry, (first, size))) => (geometry, first, size),
            None => (fixed.geometry(), [0; 3], fixed.geometry().size()),
        };
        let middle = std::array::from_fn(|a| first[a] as f64 + (size[a] - 1) as f64 / 2.0);
        let center = geometry.world_from_voxel().apply(middle);
        // The variance of a uniform box of width w is w² / 12.
        let variance = (0..3).map(|a| (size[a] as f64 * geometry.spacing_mm()[a]).powi(2) / 12.0).sum::<f64>();
        Self { freedom, center, radius_mm: variance.sqrt().max(finest_spacing_mm(fixed)), start }
    }

    pub(super) fn center(&self) -> [f64; 3] {
        self.center
    }

    pub(super) fn start(&self) -> Affine3 {
        self.start
    }

    pub(super) fn parameters(&self) -> usize {
        match self.freedom {
            Freedom::Rigid => 6,
            Freedom::Affine => 12,
        }
    }

    /// Starts from where the parameters lead.
    pub(super) fn restarted(&self, parameters: &[f64]) -> Self {
        Self { start: self.map(parameters), ..self.clone() }
    }

    /// The map of world positions.
    pub(super) fn map(&self, parameters: &[f64]) -> Affine3 {
        let matrix = product(&self.factor(parameters), &self.start.matrix);
        let linear = Affine3 { matrix, translation: [0.0; 3] };
        let (moved, turned) = (self.start.apply(self.center), linear.apply(self.center));
        let t = &parameters[parameters.len() - 3..];
        Affine3 { matrix, translation: std::array::from_fn(|a| moved[a] + t[a] - turned[a]) }
    }

    /// Derivative along the parameters of a quantity whose derivative is `along_linear[a][b]` along entry `a, b` of the
    /// map's linear part (acting on positions relative to the centre) and `along_shift` along a shift.
    pub(super) fn gradient(&self, parameters: &[f64], along_linear: &[[f64; 3]; 3], along_shift: [f64; 3]) -> Vec<f64> {
        let mut gradient = match self.freedom {
            Freedom::Rigid => {
                let turned = product(&self.factor(parameters), &self.start.matrix);
                // Σ g (R S p)ᵀ: its antisymmetric part is the torque Σ (R S p) × g.
                let moment = product(along_linear, &transposed(&turned));
                let torque = [(2, 1), (0, 2), (1, 0)].map(|(a, b)| moment[a][b] - moment[b][a]);
                let jacobian = left_jacobian(self.rotation(parameters));
                (0..3).map(|k| (0..3).map(|a| jacobian[a][k] * torque[a]).sum::<f64>() / self.radius_mm).collect()
            }
            Freedom::Affine => {
                let along_factor = product(along_linear, &transposed(&self.start.matrix));
                along_factor.iter().flatten().map(|g| g / self.radius_mm).collect::<Vec<f64>>()
            }
        };
        gradient.extend(along_shift);
        gradient
    }

    fn factor(&self, parameters: &[f64]) -> [[f64; 3]; 3] {
        match self.freedom {
            Freedom::Rigid => rotation(self.rotation(parameters)),
            Freedom::Affine => std::array::from_fn(|a| {
                std::array::from_fn(|b| parameters[3 * a + b] / self.radius_mm + f64::from(u8::from(a == b)))
            }),
        }
    }

    fn rotation(&self, parameters: &[f64]) -> [f64; 3] {
        std::array::from_fn(|a| parameters[a] / self.radius_mm)
    }
}

/// The rotation about the axis and by the length (radians) of a vector: Rodrigues' formula.
fn rotation(vector: [f64; 3]) -> [[f64; 3]; 3] {
    let angle = length(vector);
    let half = (angle / 2.0).sin();
    let (first, second) =
        if angle < 1e-8 { (1.0, 0.5) } else { (angle.sin() / angle, 2.0 * half * half / (angle * angle)) };
    series(vector, first, second)
}

/// How the rotation vector of `d · R(v)` changes `d`'s: `J` with `R(v + e) ≈ R(J e) R(v)`.
fn left_jacobian(vector: [f64; 3]) -> [[f64; 3]; 3] {
    let angle = length(vector);
    let half = (angle / 2.0).sin();
    let (first, second) = if angle < 1e-3 {
        (0.5 - angle * angle / 24.0, 1.0 / 6.0 - angle * angle / 120.0)
    } else {
        (2.0 * half * half / (angle * angle), (angle - angle.sin()) / angle.powi(3))
    };
    series(vector, first, second)
}

/// `1 + first K + second K²` with `K x = v × x`.
fn series(v: [f64; 3], first: f64, second: f64) -> [[f64; 3]; 3] {
    let cross = [[0.0, -v[2], v[1]], [v[2], 0.0, -v[0]], [-v[1], v[0], 0.0]];
    let square = product(&cross, &cross);
    std::array::from_fn(|a| {
        std::array::from_fn(|b| f64::from(u8::from(a == b)) + first * cross[a][b] + second * square[a][b])
    })
}

fn length(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|row| std::array::from_fn(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum()))
}

fn transposed(m: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    std::array::from_fn(|row| std::array::from_fn(|column| m[column][row]))
}

/// How a head lies in the scanner: it is turned about its own origin, then moved.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Pose {
    /// Shift of the head's origin in patient space (LPS), mm.
    pub translation_mm: [f64; 3],
    /// Angles about x, then y, then z, radians.
    pub rotation_rad: [f64; 3],
}

impl Pose {
    /// The rotation as a matrix `Rz·Ry·Rx`, rows first.
    pub(crate) fn rotation(&self) -> [[f64; 3]; 3] {
        let [(sx, cx), (sy, cy), (sz, cz)] = self.rotation_rad.map(f64::sin_cos);
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turn_about_z_takes_left_to_posterior() {
        let pose = Pose { rotation_rad: [0.0, 0.0, std::f64::consts::FRAC_PI_2], ..Pose::default() };
        let column: Vec<f64> = pose.rotation().iter().map(|row| row[0]).collect();
        for (found, expected) in column.iter().zip([0.0, 1.0, 0.0]) {
            assert!((found - expected).abs() < 1e-12, "{column:?}");
        }
    }
}

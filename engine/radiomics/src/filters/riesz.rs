use rustfft::num_complex::Complex64;

/// A Riesz transform, AYRS: a derivative along the axes whose transfer function has no radial part.
///
/// `R(ν) = (-i)^L √(L! / (l1! l2! l3!)) ν1^l1 ν2^l2 ν3^l3 / ‖ν‖^L` with `L = l1 + l2 + l3`, and 0 at ν = 0. As JSON or
/// YAML: `[l1, l2, l3]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Riesz {
    /// Orders l along x, y, z, from 1 to 20 together.
    pub order: [u32; 3],
}

impl Riesz {
    pub(super) fn at(self, frequency: [f64; 3]) -> Complex64 {
        let total: u32 = self.order.iter().sum();
        let norm = frequency.iter().map(|f| f * f).sum::<f64>().sqrt();
        if norm == 0.0 {
            return Complex64::default();
        }
        let factorial = |n: u32| (1..=n).map(f64::from).product::<f64>();
        let ways = factorial(total) / self.order.into_iter().map(factorial).product::<f64>();
        let direction: f64 = frequency.iter().zip(self.order).map(|(f, l)| (f / norm).powi(l as i32)).product();
        let phase = [Complex64::ONE, -Complex64::I, -Complex64::ONE, Complex64::I][total as usize % 4];
        phase * (ways.sqrt() * direction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At ν = (3, 4, 0)/5: (0.6 + 0.8)² = 0.36 + 0.96 + 0.64 by the second orders, and all orders of one degree keep
    /// the energy: 0.36² + 2·0.48² + 0.64² = 1.
    #[test]
    fn second_orders_by_hand() {
        let at = |order| Riesz { order }.at([0.3, 0.4, 0.0]);
        let rows = [([2, 0, 0], -0.36), ([1, 1, 0], -0.48 * 2f64.sqrt()), ([0, 2, 0], -0.64)];
        for (order, expected) in rows {
            assert!((at(order) - Complex64::from(expected)).norm() < 1e-15, "{order:?}");
        }
        let energy: f64 = rows.iter().map(|(order, _)| at(*order).norm_sqr()).sum();
        assert!((energy - 1.0).abs() < 1e-15);
        assert!((at([1, 0, 0]) - Complex64::new(0.0, -0.6)).norm() < 1e-15);
        assert_eq!(Riesz { order: [1, 0, 0] }.at([0.0; 3]), Complex64::default());
    }
}

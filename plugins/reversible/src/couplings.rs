use isoscan_nn::{Activation, Architecture, Conv, ConvShape, Dim, Error, Parameters, in_range};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// The numbers that define [`Couplings`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CouplingsRecipe {
    /// Channels of the features, even; each half moves the other. 2 to 256.
    pub channels: i64,
    /// Couplings, 0 to 32.
    pub depth: i64,
}

/// An invertible core: additive couplings on the halves of the channels (Dinh et al. 2015; Gomez et al. 2017).
///
/// A coupling makes of the halves `a, b` first `a' = a + F(b)` and then `b' = b + G(a')`, which `b = b' - G(a')` and
/// `a = a' - F(b)` take back whatever F and G are. Here they are a leaky rectifier and a 3x3x3 convolution.
#[derive(Debug)]
pub struct Couplings {
    channels: i64,
    moves: Vec<[Conv; 2]>,
}

impl Architecture for Couplings {
    type Recipe = CouplingsRecipe;

    fn build(p: &mut Parameters, recipe: &CouplingsRecipe) -> Result<Self, Error> {
        let CouplingsRecipe { channels, depth } = *recipe;
        in_range("depth", depth as f64, 0.0..=32.0)?;
        in_range("channels", channels as f64, 2.0..=256.0)?;
        in_range("odd channels", (channels % 2) as f64, 0.0..=0.0)?;
        let shape = ConvShape::same(Dim::Three, [channels / 2; 2], 3);
        // Each move adds to what is there: a small start keeps the features' size whatever the depth.
        let shape = ConvShape { deviation: 0.3 * shape.deviation, ..shape };
        let mut moves = Vec::new();
        for coupling in 0..depth {
            let mut part = |half: &str| Conv::new(p, &format!("coupling{coupling}.{half}"), shape);
            moves.push([part("first")?, part("second")?]);
        }
        Ok(Self { channels, moves })
    }
}

impl Couplings {
    /// The features moved; same shape.
    ///
    /// # Errors
    /// [`Error::ImageShape`] when they have other channels.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor, Error> {
        let [mut a, mut b] = self.halves(features)?;
        for [first, second] in &self.moves {
            a = a.f_add(&bent(first, &b)?)?;
            b = b.f_add(&bent(second, &a)?)?;
        }
        Ok(Tensor::f_cat(&[a, b], 1)?)
    }

    /// The features that [`Couplings::forward`] moves here.
    ///
    /// # Errors
    /// As [`Couplings::forward`].
    pub fn backward(&self, features: &Tensor) -> Result<Tensor, Error> {
        let [mut a, mut b] = self.halves(features)?;
        for [first, second] in self.moves.iter().rev() {
            b = b.f_sub(&bent(second, &a)?)?;
            a = a.f_sub(&bent(first, &b)?)?;
        }
        Ok(Tensor::f_cat(&[a, b], 1)?)
    }

    fn halves(&self, features: &Tensor) -> Result<[Tensor; 2], Error> {
        Dim::Three.check(features, self.channels, &[1; 3])?;
        let half = self.channels / 2;
        Ok([features.f_narrow(1, 0, half)?, features.f_narrow(1, half, half)?])
    }
}

fn bent(conv: &Conv, half: &Tensor) -> Result<Tensor, Error> {
    conv.forward(&Activation::Leaky.apply(half)?)
}

#[cfg(test)]
mod tests {
    use isoscan_nn::{Net, Random, image};
    use tch::no_grad;

    use super::*;

    fn noise(shape: [usize; 5]) -> Tensor {
        let random = Random::new(1, &[]);
        let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| random.normal(i as u64) as f32).collect();
        image(&values, &shape).unwrap()
    }

    #[test]
    fn backward_takes_forward_back_at_any_depth() {
        for depth in [0, 1, 4, 16] {
            let net = Net::<Couplings>::new(&CouplingsRecipe { channels: 8, depth }, 1, 0).unwrap();
            let features = noise([2, 8, 4, 5, 6]);
            let moved = no_grad(|| net.forward(&features)).unwrap();
            let back = no_grad(|| net.backward(&moved)).unwrap();
            let change = (&moved - &features).abs().max().double_value(&[]);
            assert!(depth == 0 || change > 0.1, "depth {depth}: {change}");
            let off = (back - features).abs().max().double_value(&[]);
            assert!(off < 1e-5, "depth {depth}: {off}");
        }
    }

    #[test]
    fn one_coupling_by_hand() {
        let net = Net::<Couplings>::new(&CouplingsRecipe { channels: 2, depth: 1 }, 1, 0).unwrap();
        // F = 2 x and G = 3 x at the voxel itself.
        no_grad(|| {
            for (number, mut weight) in net.parameters().tensors().into_iter().enumerate() {
                let _ = weight.zero_();
                if weight.dim() == 5 {
                    let _ = weight.get(0).get(0).get(1).get(1).get(1).fill_(if number == 0 { 2.0 } else { 3.0 });
                }
            }
        });
        let features = image(&[1.0, -5.0], &[1, 2, 1, 1, 1]).unwrap();
        // a' = 1 + 2 (0.2 * -5) = -1; b' = -5 + 3 (0.2 * -1) = -5.6.
        let moved = no_grad(|| net.forward(&features)).unwrap();
        assert!((moved - image(&[-1.0, -5.6], &[1, 2, 1, 1, 1]).unwrap()).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn odd_channels_and_foreign_features_are_refused() {
        let refused = Net::<Couplings>::new(&CouplingsRecipe { channels: 5, depth: 1 }, 1, 0).map(|_| ());
        assert!(matches!(refused, Err(Error::Recipe { field: "odd channels", .. })));
        let net = Net::<Couplings>::new(&CouplingsRecipe { channels: 4, depth: 1 }, 1, 0).unwrap();
        assert!(matches!(net.forward(&noise([1, 2, 2, 2, 2])), Err(Error::ImageShape { .. })));
    }
}

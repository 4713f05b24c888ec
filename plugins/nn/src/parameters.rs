use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor, no_grad};

use crate::{Error, Random};

/// The named weights of one network, in the order in which its layers were made.
///
/// The tensors are shared with the layers: what is loaded or stepped here is what the network computes with.
#[derive(Debug)]
pub struct Parameters {
    named: Vec<(String, Tensor)>,
    scope: String,
    seed: u64,
    network: u64,
}

impl Parameters {
    /// No weights yet; `seed` and `network` key the random numbers of [`Parameters::normal`].
    pub fn new(seed: u64, network: u64) -> Self {
        Self { named: Vec::new(), scope: String::new(), seed, network }
    }

    /// Runs `build` with `name.` in front of every name that it adds: a network inside a network.
    ///
    /// # Errors
    /// As `build`.
    pub fn scoped<T>(&mut self, name: &str, build: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let outer = self.scope.len();
        self.scope += name;
        self.scope.push('.');
        let built = build(self);
        self.scope.truncate(outer);
        built
    }

    /// Adds a weight drawn from N(0, `deviation`^2).
    ///
    /// # Errors
    /// [`Error::Torch`] when an extent is negative or memory is short.
    pub fn normal(&mut self, name: String, shape: &[i64], deviation: f64) -> Result<Tensor, Error> {
        let random = Random::new(self.seed, &[self.network, self.named.len() as u64]);
        let count = shape.iter().product::<i64>().max(0) as u64;
        let values: Vec<f32> = (0..count).map(|i| (deviation * random.normal(i)) as f32).collect();
        self.add(name, Tensor::f_from_slice(&values)?.f_view(shape)?)
    }

    /// Adds a weight of zeros.
    ///
    /// # Errors
    /// [`Error::Torch`] when an extent is negative or memory is short.
    pub fn zeros(&mut self, name: String, shape: &[i64]) -> Result<Tensor, Error> {
        self.add(name, Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?)
    }

    fn add(&mut self, name: String, tensor: Tensor) -> Result<Tensor, Error> {
        let tensor = tensor.f_set_requires_grad(true)?;
        self.named.push((format!("{}{name}", self.scope), tensor.shallow_clone()));
        Ok(tensor)
    }

    /// The tensors in order, sharing storage with the network.
    pub fn tensors(&self) -> Vec<Tensor> {
        self.named.iter().map(|(_, tensor)| tensor.shallow_clone()).collect()
    }

    /// Number of trainable numbers.
    pub fn count(&self) -> usize {
        self.named.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    /// Names with `prefix.` in front, and the tensors.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        self.named.iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor.shallow_clone())).collect()
    }

    /// Copies the weights `prefix.*` of a file into the network.
    ///
    /// # Errors
    /// [`Error::MissingWeight`] or [`Error::WeightShape`] when the file was made by another architecture; the network
    /// is then partly loaded and must not be used.
    pub fn load(&mut self, prefix: &str, file: &BTreeMap<String, Tensor>) -> Result<(), Error> {
        for (name, tensor) in &mut self.named {
            let name = format!("{prefix}.{name}");
            let found = file.get(&name).ok_or_else(|| Error::MissingWeight { name: name.clone() })?;
            if found.size() != tensor.size() {
                return Err(Error::WeightShape { name, expected: tensor.size(), found: found.size() });
            }
            no_grad(|| tensor.f_copy_(found))?;
        }
        Ok(())
    }

    /// Exponential moving average: every weight becomes `decay * own + (1 - decay) * live`.
    ///
    /// # Errors
    /// [`Error::Torch`] when `live` has other shapes.
    pub fn average_in(&mut self, live: &Parameters, decay: f64) -> Result<(), Error> {
        no_grad(|| {
            for ((_, own), (_, live)) in self.named.iter_mut().zip(&live.named) {
                let _ = own.f_lerp_(live, 1.0 - decay)?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_weight(value: f32) -> Parameters {
        let mut parameters = Parameters::new(0, 0);
        let mut weight = parameters.zeros("w".into(), &[2]).unwrap();
        let _ = no_grad(|| weight.fill_(f64::from(value)));
        parameters
    }

    #[test]
    fn moving_average_by_hand() {
        let (mut average, live) = (one_weight(1.0), one_weight(3.0));
        average.average_in(&live, 0.75).unwrap();
        assert_eq!(Vec::<f32>::try_from(&average.tensors()[0]).unwrap(), [1.5, 1.5]);
        average.average_in(&live, 0.75).unwrap();
        assert_eq!(Vec::<f32>::try_from(&average.tensors()[0]).unwrap(), [1.875, 1.875]);
        assert_eq!(Vec::<f32>::try_from(&live.tensors()[0]).unwrap(), [3.0, 3.0]);
    }

    #[test]
    fn a_network_inside_a_network_has_its_name_in_front() {
        let mut parameters = Parameters::new(0, 0);
        let inner = |p: &mut Parameters| p.scoped("b", |p| p.zeros("w".into(), &[1]));
        let _ = parameters.scoped("a", inner).unwrap();
        let _ = parameters.zeros("w".into(), &[1]).unwrap();
        let names: Vec<String> = parameters.named("n").into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["n.a.b.w", "n.w"]);
    }

    #[test]
    fn weights_of_another_architecture_are_refused() {
        let mut parameters = one_weight(0.0);
        let mut file = BTreeMap::new();
        assert!(matches!(parameters.load("g", &file), Err(Error::MissingWeight { name }) if name == "g.w"));
        file.insert("g.w".to_owned(), Tensor::from_slice(&[1.0_f32; 3]));
        let refused = parameters.load("g", &file);
        assert!(
            matches!(&refused, Err(Error::WeightShape { expected, found, .. }) if expected == &[2] && found == &[3]),
            "{refused:?}"
        );
    }

    #[test]
    fn weights_depend_on_seed_network_and_place_alone() {
        let draw = |seed, network| {
            let mut parameters = Parameters::new(seed, network);
            let weight = parameters.normal("w".into(), &[4], 0.02).unwrap();
            Vec::<f32>::try_from(weight.detach()).unwrap()
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}

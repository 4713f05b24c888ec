use std::collections::BTreeMap;

use tch::Tensor;

use crate::{Error, Random};

/// History of made images, so that the discriminator also meets older ones (Shrivastava et al. 2017).
///
/// Until it is full an image is stored and given back. Then, with probability one half, a stored one is given and the
/// new one takes its place. The draws depend on (seed, pool, step, place in the batch) alone.
#[derive(Debug)]
pub struct ImagePool {
    images: Vec<Tensor>,
    capacity: usize,
    seed: u64,
    pool: u64,
}

impl ImagePool {
    /// An empty pool; capacity 0 gives every image straight back.
    pub fn new(capacity: usize, seed: u64, pool: u64) -> Self {
        Self { images: Vec::new(), capacity, seed, pool }
    }

    /// Exchanges a batch `[batch, channel, ...]` at `step`; the result carries no gradient.
    ///
    /// # Errors
    /// [`Error::Torch`] when the batch has another patch size than the stored images.
    pub fn exchange(&mut self, batch: &Tensor, step: u64) -> Result<Tensor, Error> {
        let batch = batch.f_detach()?;
        let random = Random::new(self.seed, &[self.pool, step]);
        let mut given = Vec::new();
        for place in 0..batch.size().first().copied().unwrap_or(0) {
            let image = batch.f_narrow(0, place, 1)?;
            given.push(self.exchange_one(image, &random, place as u64)?);
        }
        Ok(Tensor::f_cat(&given, 0)?)
    }

    fn exchange_one(&mut self, image: Tensor, random: &Random, place: u64) -> Result<Tensor, Error> {
        if self.images.len() < self.capacity {
            self.images.push(image.f_contiguous()?.copy());
            return Ok(image);
        }
        if self.capacity == 0 || random.uniform(2 * place) < 0.5 {
            return Ok(image);
        }
        let chosen = (random.bits(2 * place + 1) % self.capacity as u64) as usize;
        Ok(std::mem::replace(&mut self.images[chosen], image.f_contiguous()?.copy()))
    }

    /// The stored images as named tensors, for a checkpoint.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        self.images.iter().enumerate().map(|(i, image)| (format!("{prefix}.{i:04}"), image.shallow_clone())).collect()
    }

    /// Takes the stored images from a checkpoint.
    pub fn load(&mut self, prefix: &str, file: &BTreeMap<String, Tensor>) {
        let names = (0..self.capacity).map(|i| format!("{prefix}.{i:04}"));
        self.images = names.map_while(|name| file.get(&name)).map(Tensor::shallow_clone).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(value: f32) -> Tensor {
        Tensor::from_slice(&[value]).view([1, 1, 1, 1])
    }

    fn exchanged(pool: &mut ImagePool, value: f32, step: u64) -> f64 {
        pool.exchange(&image(value), step).unwrap().double_value(&[0, 0, 0, 0])
    }

    #[test]
    fn pool_fills_first_and_then_gives_about_half_from_history() {
        let mut pool = ImagePool::new(10, 4, 0);
        for step in 0..10 {
            assert_eq!(exchanged(&mut pool, step as f32, step), step as f64);
        }
        let old = (10..1010).filter(|&step| exchanged(&mut pool, step as f32, step) != step as f64).count();
        // Binomial(1000, 1/2): four standard deviations are 63.
        assert!((437..=563).contains(&old), "{old}");
    }

    #[test]
    fn each_image_leaves_the_pool_once() {
        let mut pool = ImagePool::new(3, 4, 0);
        let mut given: Vec<f64> = (0..50).map(|step| exchanged(&mut pool, step as f32, step)).collect();
        let stored = pool.named("p").into_iter().map(|(_, t)| t.double_value(&[0, 0, 0, 0]));
        given.drain(..3);
        given.extend(stored);
        given.sort_by(f64::total_cmp);
        assert_eq!(given, (0..50).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_gives_the_same_exchanges_and_zero_capacity_none() {
        let run = |capacity, seed| {
            let mut pool = ImagePool::new(capacity, seed, 1);
            (0..40).map(|step| exchanged(&mut pool, step as f32, step)).collect::<Vec<_>>()
        };
        assert_eq!(run(4, 1), run(4, 1));
        assert_ne!(run(4, 1), run(4, 2));
        assert_eq!(run(0, 1), (0..40).map(f64::from).collect::<Vec<_>>());
    }
}

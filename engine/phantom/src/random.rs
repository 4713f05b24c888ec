use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; part of its key, so that two purposes never share numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The parameters of one subject.
    Biology,
    /// Where the solids of one subject lie.
    Anatomy,
    /// One random field of a subject, by its number.
    Texture(u32),
    /// Quantum noise of one protocol, by the hash of its id.
    Noise(u32),
}

/// A ChaCha8 generator keyed by `(seed, subject, purpose)` whose stream is `(slice, view)`: the numbers at one place
/// depend on nothing drawn at another, so order and thread count cannot show in them.
pub(crate) fn keyed(seed: u64, subject: u32, purpose: Purpose, slice: u32, view: u32) -> ChaCha8Rng {
    let (kind, which) = match purpose {
        Purpose::Biology => (1u32, 0),
        Purpose::Anatomy => (2, 0),
        Purpose::Texture(field) => (3, field),
        Purpose::Noise(protocol) => (4, protocol),
    };
    let mut key = [0u8; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&subject.to_le_bytes());
    key[12..16].copy_from_slice(&kind.to_le_bytes());
    key[16..20].copy_from_slice(&which.to_le_bytes());
    key[20..].copy_from_slice(b"isoscan ct 1");
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(u64::from(slice) << 32 | u64::from(view));
    generator
}

/// FNV-1a of an id: a key that does not move when the table of protocols grows.
pub(crate) fn hash(id: &str) -> u32 {
    id.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// A uniform number in `low..high`.
pub(crate) fn between(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * random.random::<f64>()
}

/// A number in `low..high` whose logarithm is uniform.
pub(crate) fn log_between(random: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    between(random, low.ln(), high.ln()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_changes_the_numbers() {
        let first = |seed, subject, purpose, slice, view| keyed(seed, subject, purpose, slice, view).random::<u64>();
        let reference = first(1, 1, Purpose::Noise(1), 1, 1);
        assert_eq!(reference, first(1, 1, Purpose::Noise(1), 1, 1));
        for other in [
            first(2, 1, Purpose::Noise(1), 1, 1),
            first(1, 2, Purpose::Noise(1), 1, 1),
            first(1, 1, Purpose::Noise(2), 1, 1),
            first(1, 1, Purpose::Texture(1), 1, 1),
            first(1, 1, Purpose::Noise(1), 2, 1),
            first(1, 1, Purpose::Noise(1), 1, 2),
        ] {
            assert_ne!(reference, other);
        }
    }

    #[test]
    fn hash_is_fnv_1a() {
        // Published test vectors of FNV-1a, 32 bit.
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("a"), 0xe40c_292c);
        assert_eq!(hash("foobar"), 0xbf9c_f968);
    }
}

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

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
    /// The parameters of one head.
    Head,
    /// One finding of a head, by the kind and the number of it.
    Finding(u32),
    /// Receiver noise of one MR protocol, by the hash of its id.
    Receiver(u32),
    /// Where the head lies in the coil and how it moves, by the hash of the protocol's id.
    Motion(u32),
    /// Counts of one PET protocol, by the hash of its id.
    Counts(u32),
    /// One of the streams of a chest.
    Chest(u32),
    /// Quantum noise of one radiography protocol, by the hash of its id.
    Radiograph(u32),
    /// The arteries of one subject in one territory, by its number.
    Vessels(u32),
    /// How a travelling subject lies in one scanner, by the hash of its id.
    Visit(u32),
}

/// A ChaCha8 generator keyed by `(seed, subject, purpose)` whose stream is `(slice, view)`: the numbers at one place
/// depend on nothing drawn at another, so order and thread count cannot show in them.
pub(crate) fn keyed(seed: u64, subject: u32, purpose: Purpose, slice: u32, view: u32) -> ChaCha8Rng {
    let (kind, which) = match purpose {
        Purpose::Biology => (1u32, 0),
        Purpose::Anatomy => (2, 0),
        Purpose::Texture(field) => (3, field),
        Purpose::Noise(protocol) => (4, protocol),
        Purpose::Head => (10, 0),
        Purpose::Finding(number) => (11, number),
        Purpose::Receiver(protocol) => (12, protocol),
        Purpose::Motion(protocol) => (13, protocol),
        Purpose::Counts(protocol) => (14, protocol),
        Purpose::Chest(stream) => (5, stream),
        Purpose::Radiograph(protocol) => (6, protocol),
        Purpose::Vessels(territory) => (40, territory),
        Purpose::Visit(scanner) => (41, scanner),
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

/// A Poisson count of mean `mean`; above 2000, where skewness is below 0.023, its normal limit.
pub(crate) fn poisson(random: &mut ChaCha8Rng, mean: f64) -> f64 {
    if mean > 2000.0 {
        let standard: f64 = StandardNormal.sample(random);
        return (mean + mean.sqrt() * standard).round();
    }
    Poisson::new(mean.max(f64::MIN_POSITIVE)).map_or(0.0, |poisson| poisson.sample(random))
}

/// Middle of the scanned range on the table, LPS z in steps of half a millimetre.
pub(crate) fn table_position(random: &mut ChaCha8Rng) -> f64 {
    -0.5 * between(random, 300.0, 900.0).floor()
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

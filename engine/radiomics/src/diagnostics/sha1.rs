/// The SHA-1 digest of a message, in hexadecimal (FIPS 180-4). It tells files apart as ITK does; it protects nothing.
pub(super) fn sha1(message: &[u8]) -> String {
    let mut state: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let (blocks, rest) = message.as_chunks::<64>();
    blocks.iter().for_each(|block| absorb(&mut state, block));
    let mut tail = rest.to_vec();
    tail.push(0x80);
    let zeros = (120 - tail.len() % 64) % 64;
    tail.extend(std::iter::repeat_n(0, zeros));
    tail.extend((8 * message.len() as u64).to_be_bytes());
    tail.as_chunks::<64>().0.iter().for_each(|block| absorb(&mut state, block));
    state.map(|word| format!("{word:08x}")).concat()
}

fn absorb(state: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0u32; 80];
    words.iter_mut().zip(block.as_chunks::<4>().0).for_each(|(word, bytes)| *word = u32::from_be_bytes(*bytes));
    for t in 16..80 {
        words[t] = (words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (t, word) in words.iter().enumerate() {
        let (f, k) = match t / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    state.iter_mut().zip([a, b, c, d, e]).for_each(|(s, v)| *s = s.wrapping_add(v));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's examples and a message of exactly one block.
    #[test]
    fn published_digests() {
        let rows: [(&[u8], &str); 3] = [
            (b"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (&[b'a'; 64], "0098ba824b5c16427bd7a1122a5a442a25ec644d"),
        ];
        for (message, expected) in rows {
            assert_eq!(sha1(message), expected);
        }
    }
}

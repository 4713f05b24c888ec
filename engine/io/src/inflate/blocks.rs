//! Where the blocks of a deflated stream begin (RFC 1951): they are not marked, but hardly anything else looks like the head
//! of a block with its own Huffman codes.

/// Order in which the lengths of the codes for code lengths are stored.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Symbol that ends a block.
const END: usize = 256;

/// The first bit of `bits` at which a block with its own codes begins that is not the last one.
pub(super) fn first_block(stream: &[u8], mut bits: std::ops::Range<usize>) -> Option<usize> {
    bits.find(|&bit| begins_block(stream, bit).is_some())
}

fn begins_block(stream: &[u8], bit: usize) -> Option<()> {
    let mut bits = Bits { stream, at: bit };
    let head = bits.take(17)? as usize;
    let (literals, distances, stored) = (257 + (head >> 3 & 31), 1 + (head >> 8 & 31), 4 + (head >> 13 & 15));
    if head & 7 != 0b100 || literals > 286 || distances > 30 {
        return None;
    }
    let packed = bits.take(3 * stored as u32)?;
    let mut lengths = [0u8; ORDER.len()];
    ORDER[..stored].iter().enumerate().for_each(|(k, &symbol)| lengths[symbol] = (packed >> (3 * k) & 7) as u8);
    if !is_complete(&lengths) {
        return None;
    }
    let lengths = code_lengths(&mut bits, &Code::of(&lengths), literals + distances)?;
    let (literals, distances) = lengths.split_at(literals);
    // A block without or with one distance has no complete code for it.
    let few = distances.iter().filter(|length| **length > 0).count() < 2;
    (literals[END] > 0 && is_complete(literals) && (few || is_complete(distances))).then_some(())
}

/// Whether codes of these lengths, 0 for none, leave no sequence of bits without a meaning.
fn is_complete(lengths: &[u8]) -> bool {
    let share = |length: u8| if length == 0 { 0 } else { 1u32 << (15 - length) };
    lengths.iter().map(|&length| share(length)).sum::<u32>() == 1 << 15
}

fn code_lengths(bits: &mut Bits, code: &Code, count: usize) -> Option<Vec<u8>> {
    let mut lengths = Vec::with_capacity(count);
    while lengths.len() < count {
        let (length, times) = match code.next(bits)? {
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.extend((0..times).map(|_| length));
    }
    (lengths.len() == count).then_some(lengths)
}

/// A canonical Huffman code of at most 7 bits.
struct Code {
    /// Symbols by their codes.
    symbols: Vec<u8>,
    /// Codes of each length.
    counts: [u32; 8],
}

impl Code {
    fn of(lengths: &[u8]) -> Self {
        let of_length =
            |length: u8| (0..).zip(lengths).filter(move |(_, own)| **own == length).map(|(symbol, _)| symbol);
        let counts = std::array::from_fn(|length| if length == 0 { 0 } else { of_length(length as u8).count() as u32 });
        Self { symbols: (1..8).flat_map(of_length).collect(), counts }
    }

    /// The symbol that the next bits stand for.
    fn next(&self, bits: &mut Bits) -> Option<u8> {
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            code = code << 1 | bits.take(1)? as u32;
            first <<= 1;
            if code - first < *count {
                return self.symbols.get((before + code - first) as usize).copied();
            }
            (first, before) = (first + count, before + count);
        }
        None
    }
}

/// Bits of a stream, the lowest of each byte first.
struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// The next bits, at most 57.
    fn take(&mut self, count: u32) -> Option<u64> {
        let word = u64::from_le_bytes(*self.stream.get(self.at / 8..)?.first_chunk()?);
        let found = word >> (self.at % 8) & ((1 << count) - 1);
        self.at += count as usize;
        Some(found)
    }
}

//! JPEG of one component by sequential DCT and Huffman codes, 8 or 12 bits a sample (ITU-T T.81, processes 1, 2 and 4),
//! with the integer inverse transform that most programs share, so that voxels are theirs to the last bit.

/// Second byte of the frame markers of the processes that are decoded here.
pub(crate) const BASELINE: u8 = 0xC0;
pub(crate) const EXTENDED: u8 = 0xC1;

/// Samples of the image, row by row. `Err` says what is wrong.
pub(crate) fn decode(stream: &[u8]) -> Result<Vec<u16>, &'static str> {
    let mut tables = Tables::default();
    let mut frame = None;
    let mut rest = stream.strip_prefix(&[0xFF, 0xD8]).ok_or("JPEG without a start")?;
    loop {
        let (marker, segment, after) = segment(rest)?;
        rest = after;
        match marker {
            BASELINE | EXTENDED => frame = Some(Frame::of(segment)?),
            0xC2 | 0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF => return Err("JPEG of another process"),
            0xC4 => tables.huffman(segment)?,
            0xDB => tables.quantization(segment)?,
            0xDD => tables.restart = word(segment, 0)?,
            0xDA => return scan(&frame.ok_or("JPEG scan before its frame")?, &tables, segment, rest),
            0xD9 => return Err("JPEG without a scan"),
            _ => {}
        }
    }
}

const ENDS: &str = "JPEG ends early";

/// The next marker, its segment and what follows.
fn segment(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), &'static str> {
    let at = bytes.iter().position(|&byte| byte != 0xFF).ok_or(ENDS)?;
    if at == 0 {
        return Err("something else than a JPEG marker");
    }
    let (marker, bytes) = (bytes[at], &bytes[at + 1..]);
    if matches!(marker, 0x01 | 0xD0..=0xD9) {
        return Ok((marker, &[], bytes));
    }
    let length = usize::from(word(bytes, 0)?);
    let (segment, after) = bytes.split_at_checked(length).ok_or(ENDS)?;
    Ok((marker, segment.get(2..).ok_or(ENDS)?, after))
}

fn word(bytes: &[u8], at: usize) -> Result<u16, &'static str> {
    bytes.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).ok_or(ENDS)
}

struct Frame {
    precision: u8,
    rows: usize,
    columns: usize,
    quantization: usize,
}

impl Frame {
    fn of(segment: &[u8]) -> Result<Self, &'static str> {
        let &[precision, _, _, _, _, 1, _, _, table, ..] = segment else { return Err("JPEG of several components") };
        let (rows, columns) = (usize::from(word(segment, 1)?), usize::from(word(segment, 3)?));
        if !matches!(precision, 8 | 12) || rows == 0 || columns == 0 || table > 3 {
            return Err("JPEG frame of another kind");
        }
        Ok(Self { precision, rows, columns, quantization: usize::from(table) })
    }
}

#[derive(Default)]
struct Tables {
    quantization: [Option<[i32; 64]>; 4],
    /// For DC, then for AC coefficients.
    huffman: [[Option<Huffman>; 4]; 2],
    restart: u16,
}

impl Tables {
    fn quantization(&mut self, mut segment: &[u8]) -> Result<(), &'static str> {
        while let Some((&head, rest)) = segment.split_first() {
            let (width, table) = (1 + usize::from(head >> 4), usize::from(head & 15));
            if width > 2 || table > 3 {
                return Err("JPEG quantization table of another kind");
            }
            let (values, rest) = rest.split_at_checked(64 * width).ok_or(ENDS)?;
            let number = |i: usize| values[i * width..][..width].iter().fold(0, |sum, &b| sum << 8 | i32::from(b));
            self.quantization[table] = Some(std::array::from_fn(number));
            segment = rest;
        }
        Ok(())
    }

    fn huffman(&mut self, mut segment: &[u8]) -> Result<(), &'static str> {
        while let Some((&head, rest)) = segment.split_first() {
            let (class, table) = (usize::from(head >> 4), usize::from(head & 15));
            let (counts, rest) = rest.split_at_checked(16).ok_or(ENDS)?;
            let count = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(count).ok_or(ENDS)?;
            if class > 1 || table > 3 {
                return Err("JPEG Huffman table of another kind");
            }
            self.huffman[class][table] = Some(Huffman::of(counts, symbols));
            segment = rest;
        }
        Ok(())
    }
}

/// Codes of each length are consecutive numbers.
struct Huffman {
    /// Per length: first code, number of codes, and index of the first symbol.
    lengths: [(u32, u32, usize); 16],
    symbols: Vec<u8>,
}

impl Huffman {
    fn of(counts: &[u8], symbols: &[u8]) -> Self {
        let (mut code, mut index) = (0, 0);
        let mut lengths = [(0, 0, 0); 16];
        for (length, &count) in lengths.iter_mut().zip(counts) {
            *length = (code, u32::from(count), index);
            code = (code + u32::from(count)) << 1;
            index += usize::from(count);
        }
        Self { lengths, symbols: symbols.to_vec() }
    }

    fn symbol(&self, bits: &mut Bits) -> Result<u8, &'static str> {
        let mut code = 0;
        for &(first, count, index) in &self.lengths {
            code = code << 1 | bits.take(1)?;
            if code >= first && code - first < count {
                return Ok(self.symbols[index + (code - first) as usize]);
            }
        }
        Err("a JPEG code that no table has")
    }
}

/// Entropy-coded bits between two markers.
struct Bits<'a> {
    rest: &'a [u8],
    held: u32,
    count: u32,
}

impl Bits<'_> {
    /// The next `count` bits, at most 16.
    fn take(&mut self, count: u32) -> Result<u32, &'static str> {
        while self.count < count {
            let byte = match self.rest {
                [0xFF, 0x00, rest @ ..] => {
                    self.rest = rest;
                    0xFF
                }
                [0xFF, ..] | [] => return Err(ENDS),
                [byte, rest @ ..] => {
                    self.rest = rest;
                    *byte
                }
            };
            self.held = self.held << 8 | u32::from(byte);
            self.count += 8;
        }
        self.count -= count;
        Ok(self.held >> self.count & ((1 << count) - 1))
    }

    /// A number of `size` bits whose first bit tells its sign.
    fn number(&mut self, size: u8) -> Result<i32, &'static str> {
        if size == 0 {
            return Ok(0);
        }
        let value = self.take(u32::from(size))? as i32;
        Ok(if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value })
    }

    fn restart(&mut self) -> Result<(), &'static str> {
        self.count = 0;
        let at = self.rest.iter().position(|&byte| byte != 0xFF).filter(|&at| at > 0);
        match at.and_then(|at| self.rest.split_at_checked(at + 1)) {
            Some(([.., 0xD0..=0xD7], rest)) => {
                self.rest = rest;
                Ok(())
            }
            _ => Err("JPEG without the restart mark that it announced"),
        }
    }
}

fn scan(frame: &Frame, tables: &Tables, segment: &[u8], entropy: &[u8]) -> Result<Vec<u16>, &'static str> {
    let &[1, _, selector, ..] = segment else { return Err("JPEG scan of several components") };
    let table = |class: usize, at: u8| {
        tables.huffman[class].get(usize::from(at)).and_then(Option::as_ref).ok_or("JPEG without its Huffman table")
    };
    let (dc, ac) = (table(0, selector >> 4)?, table(1, selector & 15)?);
    let steps = tables.quantization[frame.quantization].as_ref().ok_or("JPEG without its quantization table")?;
    let blocks = [frame.columns.div_ceil(8), frame.rows.div_ceil(8)];
    let mut bits = Bits { rest: entropy, held: 0, count: 0 };
    let mut samples = vec![0; frame.columns * frame.rows];
    let mut previous = 0i32;
    for index in 0..blocks[0] * blocks[1] {
        if tables.restart > 0 && index > 0 && index.is_multiple_of(usize::from(tables.restart)) {
            bits.restart()?;
            previous = 0;
        }
        let mut block = [0; 64];
        let size = dc.symbol(&mut bits)?.min(16);
        previous = previous.wrapping_add(bits.number(size)?);
        block[0] = previous.wrapping_mul(steps[0]);
        coefficients(&mut bits, ac, steps, &mut block)?;
        let pixels = inverse_transform(&block, frame.precision);
        let (left, top) = (8 * (index % blocks[0]), 8 * (index / blocks[0]));
        for (row, line) in pixels.chunks_exact(8).enumerate().take(frame.rows - top) {
            let line = &line[..8.min(frame.columns - left)];
            samples[(top + row) * frame.columns + left..][..line.len()].copy_from_slice(line);
        }
    }
    Ok(samples)
}

/// The 63 AC coefficients of a block, each times its step.
fn coefficients(
    bits: &mut Bits,
    table: &Huffman,
    steps: &[i32; 64],
    block: &mut [i32; 64],
) -> Result<(), &'static str> {
    let mut at = 1;
    while at < 64 {
        let symbol = table.symbol(bits)?;
        let (run, size) = (usize::from(symbol >> 4), symbol & 15);
        if size == 0 {
            if run < 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += run;
        let place = ZIGZAG.get(at).ok_or("JPEG coefficients beyond their block")?;
        block[usize::from(*place)] = bits.number(size)?.wrapping_mul(steps[at]);
        at += 1;
    }
    Ok(())
}

/// Place in the block of each coefficient of the stream.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Fraction bits of the constants of the transform.
const FRACTION: u32 = 13;

/// Samples of a block: columns, then rows, as Loeffler, Ligtenberg and Moschytz factor the transform (ICASSP 1989), in
/// fixed point with two (12-bit samples: one) more fraction bits between the passes.
fn inverse_transform(block: &[i32; 64], precision: u8) -> [u16; 64] {
    let between = if precision == 8 { 2 } else { 1 };
    let (middle, largest) = (1i64 << (precision - 1), (1i64 << precision) - 1);
    let mut columns = [0i64; 64];
    for x in 0..8 {
        let column = std::array::from_fn(|y| i64::from(block[8 * y + x]));
        let out = line(column, FRACTION - between);
        (0..8).for_each(|y| columns[8 * y + x] = out[y]);
    }
    let mut samples = [0; 64];
    for (line_out, line_in) in samples.chunks_exact_mut(8).zip(columns.chunks_exact(8)) {
        let out = line(std::array::from_fn(|x| line_in[x]), FRACTION + between + 3);
        line_out.iter_mut().zip(out).for_each(|(sample, value)| *sample = (value + middle).clamp(0, largest) as u16);
    }
    samples
}

/// Eight values of one line, `shift` bits dropped by rounding.
fn line(v: [i64; 8], shift: u32) -> [i64; 8] {
    let turned = (v[2] + v[6]) * 4433;
    let (low, high) = (turned - v[6] * 15137, turned + v[2] * 6270);
    let (sum, difference) = ((v[0] + v[4]) << FRACTION, (v[0] - v[4]) << FRACTION);
    let even = [sum + high, difference + low, difference - low, sum - high];

    let shared = (v[7] + v[3] + v[5] + v[1]) * 9633;
    let outer = (v[7] + v[1]) * -7373;
    let inner = (v[5] + v[3]) * -20995;
    let first = (v[7] + v[3]) * -16069 + shared;
    let second = (v[5] + v[1]) * -3196 + shared;
    let odd = [
        v[1] * 12299 + outer + second,
        v[3] * 25172 + inner + first,
        v[5] * 16819 + inner + second,
        v[7] * 2446 + outer + first,
    ];
    let rounded = |value: i64| (value + (1 << (shift - 1))) >> shift;
    std::array::from_fn(|i| if i < 4 { rounded(even[i] + odd[i]) } else { rounded(even[7 - i] - odd[7 - i]) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_of_one_coefficient_is_flat() {
        let mut block = [0; 64];
        assert_eq!(inverse_transform(&block, 8), [128; 64]);
        block[0] = 80;
        assert_eq!(inverse_transform(&block, 8), [138; 64]);
        assert_eq!(inverse_transform(&block, 12), [2058; 64]);
        block[0] = -100_000;
        assert_eq!(inverse_transform(&block, 12), [0; 64]);
    }

    #[test]
    fn huffman_codes_count_up_within_a_length() {
        let mut counts = [0; 16];
        counts[..3].copy_from_slice(&[1, 1, 2]);
        let table = Huffman::of(&counts, &[7, 8, 9, 10]);
        // 0, 10, 110, 111
        let mut bits = Bits { rest: &[0b0101_1011, 0b1000_0000], held: 0, count: 0 };
        let read: Vec<_> = (0..4).map(|_| table.symbol(&mut bits).unwrap()).collect();
        assert_eq!(read, [7, 8, 9, 10]);
    }

    #[test]
    fn numbers_take_their_sign_from_the_first_bit() {
        let mut bits = Bits { rest: &[0b1010_0110, 0xFF, 0x00], held: 0, count: 0 };
        assert_eq!([1, 2, 3, 2].map(|size| bits.number(size).unwrap()), [1, -2, -6, 2]);
        assert_eq!(bits.take(9), Err(ENDS));
    }
}

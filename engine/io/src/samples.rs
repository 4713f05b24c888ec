//! Voxels behind a text header or in files beside it: plain, deflated or as text, as NRRD and MetaImage store them.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

use crate::Error;
use crate::inflate::{GZIP, MOST_DEFLATED, Narrow, Numbers, Packed, read_part};
use crate::nifti::Stored;

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    /// gzip or zlib, told apart by the first bytes.
    Deflated,
    /// Numbers as text.
    Text,
}

/// Where in a file the voxels begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Behind this many bytes.
    At(u64),
    /// Behind this many lines, then this many bytes, the latter counted in the unpacked stream.
    Behind { lines: u64, bytes: u64 },
    /// The voxels are the last bytes of the file.
    AtEnd,
}

/// The stored samples of one image: every file holds the same number of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) start: Start,
    pub(crate) packing: Packing,
    pub(crate) stored: Stored,
    pub(crate) big_endian: bool,
    /// Voxels along x, y, z.
    pub(crate) size: [usize; 3],
    /// Samples per voxel: volumes that lie interleaved.
    pub(crate) inner: usize,
    /// Volumes that lie one behind the other.
    pub(crate) outer: usize,
}

impl Samples {
    /// Volumes that the files hold.
    pub(crate) fn volumes(&self) -> usize {
        self.inner.saturating_mul(self.outer)
    }

    /// Reads one volume, x fastest. No more memory is taken than the files can fill.
    ///
    /// # Errors
    /// [`Error::Truncated`], [`Error::Codec`], [`Error::Malformed`] for text that is no number, [`Error::Io`].
    pub(crate) fn read(&self, volume: usize, header: &Path) -> Result<Vec<f32>, Error> {
        let too_many = || Error::Malformed {
            field: "size",
            expected: "samples that divide evenly over the data files",
            found: format!("{} samples in {} files", self.total().unwrap_or(usize::MAX), self.files.len()),
            path: header.to_owned(),
        };
        let total = self.total().ok_or_else(too_many)?;
        if self.files.is_empty() || total % self.files.len() != 0 {
            return Err(too_many());
        }
        if self.packing == Packing::Deflated
            && let Some((file, first, length)) = self.only_file()
            && let Some(voxels) = packed(file, first)?.voxels(length, total, self.numbers())
        {
            return Ok(voxels);
        }
        let per_file = total / self.files.len();
        let count = total / self.volumes();
        let (lane, block) = (volume % self.inner, volume / self.inner);
        let wanted = block * self.inner * count..(block + 1) * self.inner * count;
        let mut voxels = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let first = index * per_file;
            let (from, to) = (wanted.start.max(first), wanted.end.min(first + per_file));
            if from < to {
                let phase = (lane + self.inner - from % self.inner) % self.inner;
                let part = Part { skipped: from - first, taken: to - from, per_file, phase };
                self.read_file(file, &part, &mut voxels)?;
            }
        }
        Ok(voxels)
    }

    /// The labels of a file of one volume whose stored numbers take 4 bytes at most, are whole and fit into a byte; `None`
    /// for any other file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn labels(&self) -> Result<Option<Narrow>, Error> {
        let content = match (self.packing, self.only_file()) {
            _ if self.stored.bytes() > 4 => None,
            (Packing::Deflated, Some((file, first, length))) => packed(file, first)?.content(length),
            (Packing::Plain, Some((file, first, length))) => {
                read_part(file, first, length).map_err(|source| failed("read", file, source))?
            }
            _ => None,
        };
        Ok(content.and_then(|content| self.numbers().labels(content, 0)))
    }

    /// The only file, when it holds one volume from a known byte on, that byte, and the bytes of the volume.
    fn only_file(&self) -> Option<(&Path, u64, usize)> {
        let ([file], 1) = (self.files.as_slice(), self.volumes()) else { return None };
        let first = match self.start {
            Start::At(first) => first,
            Start::Behind { lines: 0, bytes: 0 } => 0,
            _ => return None,
        };
        Some((file, first, self.total()? * self.stored.bytes()))
    }

    fn numbers(&self) -> Numbers {
        Numbers { stored: self.stored, big_endian: self.big_endian, scale: None }
    }

    fn total(&self) -> Option<usize> {
        let count = self.size.iter().try_fold(1usize, |n, &s| n.checked_mul(s))?;
        let total = count.checked_mul(self.inner)?.checked_mul(self.outer)?;
        total.checked_mul(self.stored.bytes()).filter(|&bytes| bytes < isize::MAX as usize)?;
        Some(total)
    }

    fn read_file(&self, path: &Path, part: &Part, voxels: &mut Vec<f32>) -> Result<(), Error> {
        if self.packing == Packing::Text {
            return self.read_text(path, part, voxels);
        }
        let mut bytes = Bytes::open(path, self.start, self.packing)?;
        let width = self.stored.bytes();
        let expected = (part.per_file * width) as u64;
        let most = bytes.longest();
        if expected > most {
            return Err(truncated(expected, most, path));
        }
        if self.start == Start::AtEnd {
            bytes.skip(most - expected)?;
        }
        bytes.skip((part.skipped * width) as u64)?;
        self.decode_run(&mut bytes, part, path, voxels)?;
        bytes.finish()
    }

    fn decode_run(&self, bytes: &mut Bytes, part: &Part, path: &Path, voxels: &mut Vec<f32>) -> Result<(), Error> {
        const RUN: usize = 1 << 16;
        let width = self.stored.bytes();
        let mut packed = vec![0; RUN.min(part.taken) * width];
        let mut run = vec![0.0; if self.inner > 1 { RUN.min(part.taken) } else { 0 }];
        let mut done = 0;
        while done < part.taken {
            let samples = RUN.min(part.taken - done);
            let wanted = &mut packed[..samples * width];
            let filled = bytes.fill(wanted)?;
            if filled < wanted.len() {
                let found = ((part.skipped + done) * width + filled) as u64;
                return Err(truncated((part.per_file * width) as u64, found, path));
            }
            if self.inner == 1 {
                let first = voxels.len();
                voxels.resize(first + samples, 0.0);
                self.stored.decode(wanted, self.big_endian, None, &mut voxels[first..]);
            } else {
                self.stored.decode(wanted, self.big_endian, None, &mut run[..samples]);
                let phase = (part.phase + self.inner - done % self.inner) % self.inner;
                voxels.extend(run[..samples].iter().skip(phase).step_by(self.inner));
            }
            done += samples;
        }
        Ok(())
    }

    fn read_text(&self, path: &Path, part: &Part, voxels: &mut Vec<f32>) -> Result<(), Error> {
        let mut bytes = Bytes::open(path, self.start, Packing::Plain)?;
        let mut content = Vec::new();
        bytes.reader.read_to_end(&mut content).map_err(|source| failed("read", path, source))?;
        let words = content
            .split(|byte| byte.is_ascii_whitespace() || matches!(byte, b',' | b'(' | b')' | b'[' | b']'))
            .filter(|word| !word.is_empty());
        let mut found = 0;
        for (index, word) in words.take(part.skipped + part.taken).enumerate().skip(part.skipped) {
            let number = std::str::from_utf8(word).ok().and_then(|word| word.parse::<f64>().ok());
            let Some(number) = number else {
                return Err(Error::Malformed {
                    field: "voxels",
                    expected: "numbers",
                    found: format!("other text at number {index}"),
                    path: path.to_owned(),
                });
            };
            if found % self.inner == part.phase {
                voxels.push(number as f32);
            }
            found += 1;
        }
        if found == part.taken {
            return Ok(());
        }
        Err(Error::Truncated {
            what: "voxels as text",
            expected: part.taken as u64,
            found: found as u64,
            path: path.to_owned(),
        })
    }
}

fn packed(path: &Path, first: u64) -> Result<Packed, Error> {
    let bytes = std::fs::read(path).map_err(|source| failed("read", path, source))?;
    Ok(Packed::new(bytes, usize::try_from(first).unwrap_or(usize::MAX)))
}

/// What is wanted of one file, in samples.
struct Part {
    skipped: usize,
    taken: usize,
    per_file: usize,
    /// The first taken sample that belongs to the volume; then every `inner`-th.
    phase: usize,
}

/// Unpacked bytes of a file from where its voxels begin.
struct Bytes {
    reader: Box<dyn Read + Send>,
    packed: bool,
    /// Bytes of the file behind the start.
    length: u64,
    path: PathBuf,
}

impl Bytes {
    fn open(path: &Path, start: Start, packing: Packing) -> Result<Self, Error> {
        let io = |source| failed("read", path, source);
        let file = File::open(path).map_err(|source| failed("open", path, source))?;
        let file_length = file.metadata().map_err(io)?.len();
        let mut reader = BufReader::with_capacity(1 << 17, file);
        let (at, bytes) = match start {
            Start::At(at) => (at, 0),
            Start::AtEnd => (0, 0),
            Start::Behind { lines, bytes } => (after_lines(&mut reader, lines).map_err(io)?, bytes),
        };
        if at > file_length {
            return Err(truncated(at, file_length, path));
        }
        reader.seek(SeekFrom::Start(at)).map_err(io)?;
        let packed = packing == Packing::Deflated;
        let reader: Box<dyn Read + Send> = match packed {
            false => Box::new(reader),
            true if reader.fill_buf().map_err(io)?.starts_with(&GZIP) => Box::new(MultiGzDecoder::new(reader)),
            true => Box::new(ZlibDecoder::new(reader)),
        };
        let mut opened = Self { reader, packed, length: file_length - at, path: path.to_owned() };
        opened.skip(bytes)?;
        opened.length = opened.length.saturating_sub(if packed { 0 } else { bytes });
        Ok(opened)
    }

    /// Most bytes that the content can have.
    fn longest(&self) -> u64 {
        if self.packed { self.length.saturating_mul(MOST_DEFLATED) } else { self.length }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> Result<(), Error> {
        let mut limited = (&mut self.reader).take(count);
        match io::copy(&mut limited, &mut io::sink()) {
            Ok(n) if n < count => Err(truncated(count, n, &self.path)),
            Ok(_) => Ok(()),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Reads a packed stream to its end, so that its checksum is verified.
    fn finish(mut self) -> Result<(), Error> {
        if self.packed {
            let most = self.longest();
            let mut limited = (&mut self.reader).take(most);
            if let Err(source) = io::copy(&mut limited, &mut io::sink()) {
                return Err(self.failed(source));
            }
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        match self.packed {
            true => Error::Codec { what: "deflated voxels", reason: source.to_string(), path: self.path.clone() },
            false => failed("read", &self.path, source),
        }
    }
}

/// Offset behind the first `lines` lines.
fn after_lines(reader: &mut BufReader<File>, lines: u64) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..lines {
        match reader.skip_until(b'\n')? {
            0 => break,
            skipped => at += skipped as u64,
        }
    }
    Ok(at)
}

/// A data file named by a header: below the header's folder, never elsewhere.
///
/// # Errors
/// [`Error::Malformed`] for an absolute name or one with `..`, [`Error::Unsupported`] when the file is not there.
pub(crate) fn beside(header: &Path, name: &str, field: &'static str) -> Result<PathBuf, Error> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let foreign = name.is_empty() || name.contains(['\\', '\0']) || !Path::new(name).components().all(inside);
    if foreign {
        let (expected, path) = ("a file below the folder of the header", header.to_owned());
        return Err(Error::Malformed { field, expected, found: format!("{name:?}"), path });
    }
    let file = header.parent().unwrap_or(Path::new("")).join(name);
    if file.is_file() {
        return Ok(file);
    }
    Err(Error::Unsupported { what: "a header without its data file".to_owned(), path: header.to_owned() })
}

/// Data files named by a printf-style pattern such as `slice%03d.raw` and the numbers from `first` to `last`.
///
/// # Errors
/// [`Error::Malformed`] for another pattern or range, and those of [`beside`].
pub(crate) fn numbered(
    header: &Path,
    pattern: &str,
    [first, last, step]: [i64; 3],
    field: &'static str,
) -> Result<Vec<PathBuf>, Error> {
    const MOST_FILES: i64 = 1 << 16;
    let wrong = || Error::Malformed {
        field,
        expected: "a pattern with one %d and a range of numbers",
        found: format!("{pattern:?} from {first} to {last} by {step}"),
        path: header.to_owned(),
    };
    let span = last.checked_sub(first).ok_or_else(wrong)?;
    if step == 0 || span.signum() * step.signum() < 0 || span / step >= MOST_FILES {
        return Err(wrong());
    }
    let (before, rest) = pattern.split_once('%').ok_or_else(wrong)?;
    let (width, after) = rest.split_once(['d', 'i', 'u']).ok_or_else(wrong)?;
    let zeros = width.starts_with('0');
    let digits = width.trim_start_matches('0');
    let width: usize = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| wrong())? };
    if width > 20 || after.contains('%') {
        return Err(wrong());
    }
    (0..=span / step)
        .map(|index| first + index * step)
        .map(|n| if zeros { format!("{before}{n:0width$}{after}") } else { format!("{before}{n:width$}{after}") })
        .map(|name| beside(header, &name, field))
        .collect()
}

/// The first bytes of a file, at most `most`.
pub(crate) fn head(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let file = File::open(path).map_err(|source| failed("open", path, source))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|source| failed("read", path, source))?;
    Ok(bytes)
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, path: path.to_owned(), source }
}

fn truncated(expected: u64, found: u64, path: &Path) -> Error {
    Error::Truncated { what: "voxels", expected, found, path: path.to_owned() }
}

//! The voxels of one volume out of an image file: the stored bytes as they are, or as f32 intensities.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rayon::prelude::*;

use super::gzip::Stream;
use super::header::Header;
use super::voxels::Stored;
use crate::Error;
use crate::inflate::{Narrow, Numbers, Packed, RUN, read_part, zeros};

/// Where the stored numbers of an image lie: `volumes` volumes of `count` voxels behind `offset` bytes.
pub(crate) struct Layout<'a> {
    path: &'a Path,
    numbers: Numbers,
    offset: u64,
    count: usize,
    volumes: u64,
}

impl<'a> Layout<'a> {
    /// `path` is the file that holds the voxels; the header has been checked.
    pub(crate) fn of(header: &Header, stored: Stored, path: &'a Path) -> Self {
        Self {
            path,
            numbers: Numbers { stored, big_endian: header.big_endian, scale: header.scale() },
            offset: header.voxel_offset(),
            count: header.size().iter().product(),
            volumes: header.volumes(),
        }
    }

    /// Bytes of a stored number.
    fn width(&self) -> usize {
        self.numbers.stored.bytes()
    }

    fn volume_bytes(&self) -> u64 {
        self.count as u64 * self.width() as u64
    }

    /// First byte behind the voxels; the largest number of the type when none can be.
    fn end(&self) -> u64 {
        self.volume_bytes().saturating_mul(self.volumes).saturating_add(self.offset)
    }

    fn start_of(&self, volume: u64) -> u64 {
        self.offset + volume * self.volume_bytes()
    }

    fn truncated(&self, found: u64) -> Error {
        let expected = self.end().saturating_sub(self.offset);
        let found = found.saturating_sub(self.offset);
        Error::Truncated { what: "voxels", expected, found, path: self.path.to_owned() }
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { action: "read", path: self.path.to_owned(), source }
    }

    fn decode(&self, bytes: &[u8], voxels: &mut [f32]) {
        self.numbers.decode(bytes, voxels);
    }

    /// Opens the file and holds the header's promise against its length.
    fn open(&self) -> Result<Stream, Error> {
        let stream = Stream::open(self.path)?;
        if self.end() > stream.longest() { Err(self.truncated(stream.longest())) } else { Ok(stream) }
    }
}

/// Refuses an image that is shorter than its header promises; of a packed file only what no compression could hold.
pub(crate) fn require_voxels(layout: &Layout) -> Result<(), Error> {
    layout.open().map(|_| ())
}

/// Intensities of one volume (counted from 0), x fastest. Of a plain file only that volume is read; a packed file is
/// unpacked to its end, so that every checksum is verified.
pub(crate) fn intensities(layout: &Layout, volume: u64) -> Result<Vec<f32>, Error> {
    let stream = layout.open()?;
    if !stream.is_gzip() {
        return read_plain(layout, volume);
    }
    if layout.volumes == 1
        && let Ok(length) = usize::try_from(layout.end())
        && let Some(voxels) = read_packed(layout)?.voxels(length, layout.count, layout.numbers)
    {
        return Ok(voxels);
    }
    let mut voxels = Vec::new();
    stream_runs(layout, stream, volume, |bytes| {
        let first = voxels.len();
        let run = bytes.len() / layout.width();
        voxels.try_reserve(run).map_err(|_| layout.truncated(0))?;
        voxels.resize(first + run, 0.0);
        layout.decode(bytes, &mut voxels[first..]);
        Ok(())
    })?;
    Ok(voxels)
}

/// Whether the voxels are packed.
pub(crate) fn is_packed(layout: &Layout) -> Result<bool, Error> {
    Ok(layout.open()?.is_gzip())
}

/// Intensities of `voxels` from voxel `first` of one volume of a plain file on.
pub(crate) fn part(layout: &Layout, volume: u64, first: usize, voxels: &mut [f32]) -> Result<(), Error> {
    let width = layout.width();
    let start = layout.start_of(volume) + (first * width) as u64;
    decode_at(layout, start, voxels)
}

/// Gives the intensities of one volume run by run.
pub(crate) fn runs(
    layout: &Layout,
    volume: u64,
    mut run: impl FnMut(&[f32]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut voxels = Vec::new();
    stream_runs(layout, layout.open()?, volume, |bytes| {
        voxels.resize(bytes.len() / layout.width(), 0.0);
        layout.decode(bytes, &mut voxels);
        run(&voxels)
    })
}

/// The stored bytes of one volume when they still decode to exactly `voxels`; `None` at the first voxel that differs.
pub(crate) fn stored_if_same(layout: &Layout, volume: u64, voxels: &[f32]) -> Result<Option<Vec<u8>>, Error> {
    if voxels.len() != layout.count || volume >= layout.volumes {
        return Ok(None);
    }
    let mut begin = layout.open()?;
    let width = layout.width();
    let mut first = vec![0; RUN.min(layout.count) * width];
    begin.skip(layout.start_of(volume))?;
    let same = |bytes: &[u8], voxels: &[f32]| {
        let mut back = vec![0.0; voxels.len()];
        layout.decode(bytes, &mut back);
        back.iter().zip(voxels).all(|(a, b)| a.to_bits() == b.to_bits())
    };
    if begin.fill(&mut first)? < first.len() || !same(&first, &voxels[..RUN.min(layout.count)]) {
        return Ok(None);
    }
    let stored = stored_bytes(layout, volume)?;
    let all = voxels.par_chunks(RUN).zip(stored.par_chunks(RUN * width)).all(|(voxels, bytes)| same(bytes, voxels));
    Ok(all.then_some(stored))
}

/// The labels of a file of one volume whose stored numbers take 4 bytes at most, are whole and fit into a byte; `None` for
/// any other file.
pub(crate) fn labels(layout: &Layout) -> Result<Option<Narrow>, Error> {
    let bytes = usize::try_from(layout.end()).ok().zip(usize::try_from(layout.offset).ok());
    let is_usual = layout.volumes == 1 && layout.numbers.scale.is_none() && layout.width() <= 4;
    let Some((end, offset)) = bytes.filter(|_| is_usual) else { return Ok(None) };
    let (content, first) = if layout.open()?.is_gzip() {
        (read_packed(layout)?.content(end), offset)
    } else {
        let part = read_part(layout.path, layout.offset, end - offset);
        (part.map_err(|source| layout.failed(source))?, 0)
    };
    Ok(content.and_then(|content| layout.numbers.labels(content, first)))
}

fn read_packed(layout: &Layout) -> Result<Packed, Error> {
    Ok(Packed::new(std::fs::read(layout.path).map_err(|source| layout.failed(source))?, 0))
}

fn stored_bytes(layout: &Layout, volume: u64) -> Result<Vec<u8>, Error> {
    let stream = layout.open()?;
    if stream.is_gzip()
        && layout.volumes == 1
        && let Ok(length) = usize::try_from(layout.end())
        && let Some(mut content) = read_packed(layout)?.content(length)
    {
        content.drain(..layout.offset as usize);
        return Ok(content);
    }
    let mut bytes = Vec::new();
    stream_runs(layout, stream, volume, |run| {
        bytes.try_reserve(run.len()).map_err(|_| layout.truncated(0))?;
        bytes.extend_from_slice(run);
        Ok(())
    })?;
    Ok(bytes)
}

/// Gives the stored bytes of one volume run by run, so that memory grows with what is there and not with what the header
/// promises, then reads a packed file to its end.
fn stream_runs(
    layout: &Layout,
    mut stream: Stream,
    volume: u64,
    mut run: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let start = layout.start_of(volume);
    let mut at = stream.skip(start)?;
    let mut bytes = vec![0; RUN.min(layout.count) * layout.width()];
    let end = start + layout.volume_bytes();
    while at < end {
        let wanted = bytes.len().min((end - at) as usize);
        let filled = stream.fill(&mut bytes[..wanted])?;
        at += filled as u64;
        if filled < wanted {
            return Err(layout.truncated(at));
        }
        run(&bytes[..wanted])?;
    }
    if stream.is_gzip() {
        at += stream.skip(layout.end() - end)?;
        if at < layout.end() {
            return Err(layout.truncated(at));
        }
        return stream.finish();
    }
    Ok(())
}

fn read_plain(layout: &Layout, volume: u64) -> Result<Vec<f32>, Error> {
    let mut voxels = zeros(layout.count).ok_or_else(|| layout.truncated(0))?;
    decode_at(layout, layout.start_of(volume), &mut voxels)?;
    Ok(voxels)
}

/// Every core reads and decodes its own runs of the file.
fn decode_at(layout: &Layout, start: u64, voxels: &mut [f32]) -> Result<(), Error> {
    let width = layout.width();
    voxels.par_chunks_mut(RUN).enumerate().try_for_each_init(
        || (File::open(layout.path), vec![0; RUN * width]),
        |(file, bytes), (index, run)| {
            let wanted = &mut bytes[..run.len() * width];
            let at = start + (index * RUN * width) as u64;
            read_at(file.as_mut(), at, wanted).map_err(|source| layout.failed(source))?;
            layout.decode(wanted, run);
            Ok(())
        },
    )
}

fn read_at(file: Result<&mut File, &mut io::Error>, at: u64, bytes: &mut [u8]) -> io::Result<()> {
    let file = file.map_err(|e| io::Error::from(e.kind()))?;
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

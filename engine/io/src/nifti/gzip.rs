//! Plain or gzip bytes, told apart by the first two bytes and never by the name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

use crate::Error;
use crate::inflate::{GZIP, MOST_DEFLATED};

/// A file's content, unpacked when it is gzip (also of several members, each checksum verified).
pub(crate) struct Stream {
    reader: Box<dyn Read + Send>,
    gzip: bool,
    path: PathBuf,
    file_length: u64,
}

impl Stream {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Io { action: "open", path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let file_length = file.metadata().map_err(failed)?.len();
        let mut buffered = BufReader::with_capacity(1 << 17, file);
        let gzip = buffered.fill_buf().map_err(failed)?.starts_with(&GZIP);
        let reader: Box<dyn Read + Send> =
            if gzip { Box::new(MultiGzDecoder::new(buffered)) } else { Box::new(buffered) };
        Ok(Self { reader, gzip, path: path.to_owned(), file_length })
    }

    pub(crate) fn is_gzip(&self) -> bool {
        self.gzip
    }

    /// Most bytes that the content can have.
    pub(crate) fn longest(&self) -> u64 {
        if self.gzip { self.file_length.saturating_mul(MOST_DEFLATED) } else { self.file_length }
    }

    /// Reads until `buffer` is full or the content ends; gives the number of bytes read.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(self.failed(source)),
            }
        }
        Ok(filled)
    }

    /// Reads past `count` bytes; gives how many were there.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, Error> {
        let mut limited = (&mut self.reader).take(count);
        match io::copy(&mut limited, &mut io::sink()) {
            Ok(n) => Ok(n),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// The next `count` bytes, or fewer where the content ends; memory grows with what is there.
    pub(crate) fn take(&mut self, count: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        match (&mut self.reader).take(count).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(source) => Err(self.failed(source)),
        }
    }

    /// Reads a gzip stream to its end, so that the last checksum is verified; a plain file is left alone.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        const MOST_TRAILING: u64 = 1 << 26;
        if self.gzip && self.skip(MOST_TRAILING)? == MOST_TRAILING {
            let source = io::Error::new(ErrorKind::InvalidData, "more than 64 MiB follow the voxels");
            return Err(Error::Gzip { source, path: self.path });
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        let path = self.path.clone();
        if self.gzip { Error::Gzip { source, path } } else { Error::Io { action: "read", path, source } }
    }
}

/// Writes `total` bytes as one gzip member, deflated in parallel. `part(i)` gives the `i`-th run of [`PART`] bytes (the
/// last may be shorter). Runs are cut at fixed places, so the output does not depend on the number of threads.
pub(crate) fn write_gzip(out: &mut dyn Write, total: usize, part: impl Fn(usize) -> Vec<u8> + Sync) -> io::Result<()> {
    const TOGETHER: usize = 16;
    let parts = total.div_ceil(PART).max(1);
    out.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
    let mut crc = Crc::new();
    for first in (0..parts).step_by(TOGETHER) {
        let deflated = (first..(first + TOGETHER).min(parts))
            .into_par_iter()
            .map(|index| deflate(&part(index), index + 1 == parts))
            .collect::<io::Result<Vec<_>>>()?;
        for (bytes, part_crc) in deflated {
            out.write_all(&bytes)?;
            crc.combine(&part_crc);
        }
    }
    out.write_all(&crc.sum().to_le_bytes())?;
    out.write_all(&(total as u32).to_le_bytes())
}

/// Bytes deflated in one piece.
pub(crate) const PART: usize = 1 << 20;

/// Deflates one run, closed by an empty stored block on a byte boundary so that the next run can follow.
pub(crate) fn deflate(bytes: &[u8], last: bool) -> io::Result<(Vec<u8>, Crc)> {
    let mut crc = Crc::new();
    crc.update(bytes);
    let mut state = Compress::new(Compression::new(2), false);
    let mut packed = Vec::with_capacity(bytes.len() / 2 + 1024);
    let flush = if last { FlushCompress::Finish } else { FlushCompress::Sync };
    loop {
        let used = state.total_in() as usize;
        let before = packed.len();
        let status = state.compress_vec(&bytes[used..], &mut packed, flush).map_err(io::Error::other)?;
        let done = match status {
            Status::StreamEnd => true,
            _ => !last && state.total_in() as usize == bytes.len() && packed.len() < packed.capacity(),
        };
        if done {
            return Ok((packed, crc));
        }
        if packed.len() == before && packed.len() < packed.capacity() {
            return Err(io::Error::other("deflate made no progress"));
        }
        packed.reserve(bytes.len() / 4 + 1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_written_in_parts_reads_back_and_a_flipped_checksum_is_noticed() {
        let content: Vec<u8> = (0..3 * PART + 77).map(|i| ((i * i) >> 7) as u8).collect();
        let mut packed = Vec::new();
        write_gzip(&mut packed, content.len(), |i| content[i * PART..((i + 1) * PART).min(content.len())].to_vec())
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("content");
        std::fs::write(&path, &packed).unwrap();
        let mut stream = Stream::open(&path).unwrap();
        let mut back = vec![0; content.len() + 1];
        assert_eq!(stream.fill(&mut back).unwrap(), content.len());
        assert!(back[..content.len()] == content);
        stream.finish().unwrap();

        let at = packed.len() - 8;
        packed[at] ^= 1;
        std::fs::write(&path, &packed).unwrap();
        let mut damaged = Stream::open(&path).unwrap();
        assert_eq!(damaged.fill(&mut back[..content.len()]).unwrap(), content.len());
        assert!(matches!(damaged.finish(), Err(Error::Gzip { .. })));
    }

    #[test]
    fn nothing_is_a_valid_member() {
        let mut packed = Vec::new();
        write_gzip(&mut packed, 0, |_| Vec::new()).unwrap();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut back).unwrap();
        assert_eq!(back, b"");
    }
}

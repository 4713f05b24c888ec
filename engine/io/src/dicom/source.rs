//! Bytes of a DICOM file by position: from the file, or from the unpacked copy of a deflated one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::header::Slice;
use crate::Error;

/// A file open for reads at any position from any thread.
#[derive(Debug)]
pub(crate) enum Bytes {
    File { file: File, length: u64 },
    Memory(Arc<Vec<u8>>),
}

impl Bytes {
    pub(crate) fn open(slice: &Slice) -> Result<Self, Error> {
        if let Some(unpacked) = &slice.unpacked {
            return Ok(Self::Memory(Arc::clone(unpacked)));
        }
        let failed = |source| Error::Io { action: "read", path: slice.path.clone(), source };
        let file = File::open(&slice.path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        Ok(Self::File { file, length })
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `bytes` from `offset` on; the caller has checked that the file is long enough.
    pub(crate) fn fill(&self, offset: u64, bytes: &mut [u8], slice: &Slice) -> Result<(), Error> {
        let read = match self {
            Self::File { file, .. } => file.read_exact_at(bytes, offset),
            Self::Memory(all) => {
                let end = offset.saturating_add(bytes.len() as u64);
                match all.get(offset as usize..end as usize) {
                    Some(found) => {
                        bytes.copy_from_slice(found);
                        Ok(())
                    }
                    None => Err(std::io::ErrorKind::UnexpectedEof.into()),
                }
            }
        };
        read.map_err(|source| Error::Io { action: "read", path: slice.path.clone(), source })
    }
}

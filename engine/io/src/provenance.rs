use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::Error;

/// How an image was made; written into every output, so that the output can be traced and made again.
///
/// ```
/// use isoscan_io::Derivation;
/// let derivation = Derivation { plugin_id: "identity".into(), seed: 7, ..Derivation::default() };
/// let json = serde_json::to_string(&derivation).unwrap();
/// assert_eq!(serde_json::from_str::<Derivation>(&json).unwrap(), derivation);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Derivation {
    /// The plugin's id.
    pub plugin_id: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// SHA-256 of the plugin's library, lower-case hexadecimal.
    pub plugin_sha256: String,
    /// SHA-256 of the weights, when the plugin has any.
    pub weights_sha256: Option<String>,
    /// Parameter values by id.
    pub params: serde_json::Value,
    /// Seed of the run.
    pub seed: u64,
    /// SHA-256 of the script's text, when a script ran.
    pub script_sha256: Option<String>,
    /// What was done and towards which style, in a few words; opens the series description and the NIfTI mark.
    pub description: String,
    /// Whether the voxels are generated content; false for steps such as resampling.
    pub synthetic: bool,
    /// Version of the engine.
    pub engine_version: String,
    /// When the image was made, seconds since 1970-01-01 UTC; `None` writes no date. Nothing here reads a clock: who wants
    /// a date gives one, and the same one gives the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<u64>,
    /// SHA-256 of each input, in the order of the inputs; see [`Source::input_sha256`](crate::Source::input_sha256).
    pub input_sha256: Vec<String>,
}

/// SHA-256 of bytes, lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of a file's content, lower-case hexadecimal.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub fn sha256_file(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hexadecimal(&digest.finalize())),
            n => digest.update(&buffer[..n]),
        }
    }
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_that_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(sha256_file(&path).unwrap(), expected);
    }
}

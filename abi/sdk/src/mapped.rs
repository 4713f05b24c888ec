use std::fmt::Display;
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::{Config, PluginError};

/// A file of the bundle, read through [`Config::map`].
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Config {
    /// The bytes of a file of the bundle, `name` relative to its folder, such as `weights/model.bin`.
    ///
    /// The file is mapped read only: nothing is copied, pages come in when they are touched, and every worker process of
    /// the plugin shares them. The first byte lies at a page boundary.
    ///
    /// # Errors
    /// [`PluginError::Invalid`] when `name` leads out of the bundle, [`PluginError::Failed`] when it is not a readable
    /// file.
    pub fn map(&self, name: &str) -> Result<Mapped, PluginError> {
        let failed = |e: &dyn Display| PluginError::failed(format_args!("cannot map '{name}' of the bundle: {e}"));
        let bundle = self.bundle.canonicalize().map_err(|e| failed(&e))?;
        let path = bundle.join(name).canonicalize().map_err(|e| failed(&e))?;
        if Path::new(name).is_absolute() || !path.starts_with(&bundle) {
            return Err(PluginError::invalid(format_args!("expected a file inside the bundle, found '{name}'")));
        }
        if !path.is_file() {
            return Err(failed(&"it is not a file"));
        }
        let file = File::open(&path).map_err(|e| failed(&e))?;
        // SAFETY: the host lets nobody change the files of a bundle that it has opened: it runs plugins from a copy of
        // its own whose files are read only.
        let bytes = unsafe { Mmap::map(&file) }.map_err(|e| failed(&e))?;
        Ok(Mapped(bytes))
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_bundle_is_mapped_and_nothing_else() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let config = Config { bundle: folder.join("src"), threads: 1 };
        assert_eq!(*config.map("mapped.rs").unwrap(), *include_bytes!("mapped.rs"));
        assert_eq!(config.map("door/../mapped.rs").unwrap().len(), include_bytes!("mapped.rs").len());
        let absolute = folder.join("src/mapped.rs");
        for outside in ["../Cargo.toml", absolute.to_str().unwrap(), "/etc/hostname"] {
            let sentence = format!("expected a file inside the bundle, found '{outside}'");
            assert_eq!(config.map(outside).unwrap_err(), PluginError::Invalid(sentence), "{outside}");
        }
        for (name, reason) in [("door", "it is not a file"), ("absent", "No such file or directory (os error 2)")] {
            let sentence = format!("cannot map '{name}' of the bundle: {reason}");
            assert_eq!(config.map(name).unwrap_err(), PluginError::Failed(sentence));
        }
    }

    #[test]
    fn a_link_out_of_the_bundle_is_not_followed() {
        let folder = std::env::temp_dir().join(format!("isoscan-mapped-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.join("weights.bin")).unwrap();
        let mapped = Config { bundle: folder.clone(), threads: 1 }.map("weights.bin");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(matches!(mapped, Err(PluginError::Invalid(_))), "{mapped:?}");
    }
}

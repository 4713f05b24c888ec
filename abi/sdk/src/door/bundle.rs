use core::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use isoscan_abi::{Descriptor, IsoBundle, IsoHost, IsoStatus, IsoStr};

use super::{create_as, guard, path};
use crate::{PluginError, Translator};

/// The bundle that a library was told to serve, and what the plugin is there.
pub struct Opened(OnceLock<Told>);

struct Told {
    folder: PathBuf,
    descriptor: Descriptor,
    text: String,
}

impl Opened {
    /// Nothing told yet.
    #[expect(clippy::new_without_default, reason = "only ever the initial value of a static")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The descriptor document; empty, which every host refuses, as long as no bundle was told.
    pub fn text(&'static self) -> IsoStr {
        IsoStr::new(self.0.get().map_or("", |told| &told.text))
    }
}

/// The bundle table of a plugin.
pub const fn bundle_table(open: extern "C" fn(*const IsoHost, IsoStr) -> IsoStatus) -> IsoBundle {
    IsoBundle { open }
}

/// Answers `open`.
pub fn open_bundle<T: Translator>(opened: &'static Opened, host: *const IsoHost, folder: IsoStr) -> IsoStatus {
    guard(host, |_| {
        let folder = path(folder);
        if opened.0.get().is_none() {
            let descriptor = T::descriptor_in(&folder)?;
            let text = serde_json::to_string(&descriptor).map_err(PluginError::failed)?;
            opened.0.get_or_init(|| Told { folder: folder.clone(), descriptor, text });
        }
        told(opened, &folder).map(|_| ())
    })
}

/// Answers `create` of a library that was told its bundle.
pub fn create_opened<T: Translator>(
    opened: &'static Opened,
    host: *const IsoHost,
    config: IsoStr,
    instance: *mut *mut c_void,
) -> IsoStatus {
    create_as::<T>(host, config, instance, |config| Ok(told(opened, &config.bundle)?.descriptor.clone()))
}

fn told(opened: &'static Opened, folder: &Path) -> Result<&'static Told, PluginError> {
    let told = opened.0.get().ok_or_else(|| PluginError::invalid("the library was not told its bundle"))?;
    if told.folder == folder {
        return Ok(told);
    }
    let (known, asked) = (told.folder.display(), folder.display());
    Err(PluginError::invalid(format_args!("the library serves the bundle {known} already, not {asked}")))
}

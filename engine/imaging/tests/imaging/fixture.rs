//! What the tests share: the public images.

use std::path::{Path, PathBuf};

use isoscan_imaging::Volume;

/// Public images beside the workspace, or `None` after saying so.
pub(crate) fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if data.is_dir() {
        return Some(data);
    }
    println!("skipped: no ../shared/data beside the workspace");
    None
}

pub(crate) fn read(path: &Path) -> Volume {
    isoscan_io::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).volume
}

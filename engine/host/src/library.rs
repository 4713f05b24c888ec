//! Opening a plugin's library and comparing its contract with the engine's.

use std::{error::Error as _, fs, path::Path, ptr};

use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME};
use isoscan_abi::{
    ABI_MAJOR, ABI_MINOR, ENTRY_SYMBOL, EXTENSION_BATCH, EXTENSION_BUNDLE, EXTENSION_TRAIN, IsoBatch, IsoBundle,
    IsoEntry, IsoRootRef, IsoStr, IsoTrain, MAGIC, STATUS_OK, abi_hash,
};
use libloading::os::unix;

use crate::{
    Party, Step, descriptor,
    instance::{Hearing, NO_MESSAGE, host_table, taken},
};

/// A library that fits this engine. It stays loaded until the process ends: unloading a library whose threads, thread
/// locals or layout records are still known somewhere ends in a crash.
#[derive(Clone)]
pub(crate) struct Library {
    pub(crate) entry: &'static IsoEntry,
    pub(crate) train: Option<&'static IsoTrain>,
    pub(crate) batch: Option<&'static IsoBatch>,
    /// The descriptor as the plugin wrote it; it has been checked.
    pub(crate) text: String,
    /// True when the types were compared field by field, false when only the layout hash was.
    pub(crate) compared: bool,
    /// First and last address of the library in this process.
    pub(crate) span: [u64; 2],
}

/// Why a plugin is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) step: Step,
    pub(crate) party: Party,
    pub(crate) reason: String,
}

/// Opens `path` and checks magic, versions, layout hash, for Rust plugins their types, and the descriptor. A library that
/// serves many bundles is told that it serves the one in the folder `bundle`.
///
/// The library's constructors run here: a damaged file may kill the process.
pub(crate) fn open(path: &Path, bundle: &Path) -> Result<Library, Refusal> {
    // SAFETY: running foreign constructors is what loading a plugin means; the worker process contains their harm, and
    // in the engine's own process the operator asked for it.
    let library = unsafe { unix::Library::open(Some(path), unix::RTLD_NOW | unix::RTLD_LOCAL) }.map_err(|e| {
        let cause = e.source().map(ToString::to_string).unwrap_or_default();
        refusal(Step::Open, Party::Operator, format!("{e} {cause}").trim().to_owned())
    })?;
    let entry = entry_of(&library)?;
    let compared = compare_types(&library)?;
    let _ = library.into_raw();
    tell_bundle(entry, bundle)?;

    // SAFETY: `describe` promises text that lives as long as the library, which is never unloaded.
    let text = unsafe { (entry.describe)().to_text() };
    descriptor::parse(&text).map_err(|reason| refusal(Step::Describe, Party::PluginAuthor, reason))?;
    let train = (entry.get_extension)(IsoStr::new(EXTENSION_TRAIN)).cast::<IsoTrain>();
    let batch = (entry.get_extension)(IsoStr::new(EXTENSION_BATCH)).cast::<IsoBatch>();
    // SAFETY: for these ids the contract answers null or a table that lives as long as the library.
    let (train, batch) = unsafe { (train.as_ref(), batch.as_ref()) };
    Ok(Library { entry, train, batch, text, compared, span: span_of(path) })
}

fn tell_bundle(entry: &IsoEntry, bundle: &Path) -> Result<(), Refusal> {
    let table = (entry.get_extension)(IsoStr::new(EXTENSION_BUNDLE)).cast::<IsoBundle>();
    // SAFETY: for this id the contract answers null or a table that lives as long as the library.
    let Some(table) = (unsafe { table.as_ref() }) else { return Ok(()) };
    let hearing = Hearing::new(&|_| false, &|_, _| {});
    let status = (table.open)(&host_table(&hearing), IsoStr::new(&bundle.to_string_lossy()));
    if status == STATUS_OK {
        return Ok(());
    }
    let reason = taken(&hearing.error).unwrap_or_else(|| NO_MESSAGE.to_owned());
    Err(refusal(Step::Describe, Party::PluginAuthor, reason))
}

fn entry_of(library: &unix::Library) -> Result<&'static IsoEntry, Refusal> {
    let author = |reason: String| refusal(Step::Entry, Party::PluginAuthor, reason);
    // SAFETY: the value of this data symbol is only looked at after its magic, versions and layout hash.
    let entry = unsafe { library.get::<*const IsoEntry>(ENTRY_SYMBOL) }
        .map_err(|_| author(format!("expected the symbol {ENTRY_SYMBOL}, found none")))?;
    let entry: *const IsoEntry = *entry;
    if entry.is_null() || !entry.is_aligned() {
        return Err(author(format!("expected {ENTRY_SYMBOL} to be an aligned entry")));
    }
    // SAFETY: the linker placed the symbol in the loaded library; only its first bytes are read here.
    let magic = unsafe { ptr::read(&raw const (*entry).magic) };
    if magic != MAGIC {
        let found = String::from_utf8_lossy(&magic).escape_default().to_string();
        return Err(author(format!("expected the magic ISOSCAN, found {found}")));
    }
    // SAFETY: as above; versions and hash follow the magic in every version of the contract.
    let (major, minor, hash) =
        unsafe { ((*entry).abi_major, (*entry).abi_minor_needed, ptr::read(&raw const (*entry).abi_hash)) };
    if major != ABI_MAJOR {
        let party = if major > ABI_MAJOR { Party::EngineOperator } else { Party::PluginAuthor };
        let reason = format!("expected contract version {ABI_MAJOR}, found {major}");
        return Err(refusal(Step::Entry, party, reason));
    }
    if minor > ABI_MINOR {
        let reason = format!("it needs contract {major}.{minor}, the engine has {ABI_MAJOR}.{ABI_MINOR}");
        return Err(refusal(Step::Entry, Party::EngineOperator, reason));
    }
    if hash != abi_hash() {
        return Err(author(format!("expected layout hash {:#018x}, found {hash:#018x}", abi_hash())));
    }
    // SAFETY: same magic, version and layout hash as this build, and the library is never unloaded.
    Ok(unsafe { &*entry })
}

/// True when the library is a Rust plugin whose types could be compared and agree.
fn compare_types(library: &unix::Library) -> Result<bool, Refusal> {
    // SAFETY: only a library built with abi_stable has this symbol; the header it points to is checked by `is_valid`.
    let Ok(header) = (unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME) }) else { return Ok(false) };
    let header = *header;
    // Another abi_stable cannot be compared with; the frozen structs are then vouched for by the layout hash alone.
    if !header.is_valid() {
        return Ok(false);
    }
    // Root modules have no version to compare here: it moves, the frozen structs do not. Of the types' own packages the
    // version is compared, which is why `isoscan-abi` keeps 0.1 as long as its structs are frozen.
    let compared = header.upgrade().and_then(|library| library.ensure_layout::<IsoRootRef>());
    match compared {
        Ok(()) => Ok(true),
        Err(e) => Err(refusal(Step::Layout, Party::PluginAuthor, useful_lines(&e.to_string()))),
    }
}

/// The end of abi_stable's report: what differs at the innermost place, and the field there with the type that has it.
fn useful_lines(report: &str) -> String {
    let (way, difference) = report.rsplit_once("Error:").unwrap_or(("", report));
    let difference = difference.split_whitespace().collect::<Vec<_>>().join(" ");
    let way = way.rsplit_once("inside:").map_or("", |(_, way)| way);
    let way = way.split_once("Layout of expected type:").map_or(way, |(way, _)| way);
    let (mut owner, mut field, mut last) = ("", "", "");
    for line in way.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("field_name:") {
            (owner, field) = (last, name);
        } else if let Some(name) = line.strip_prefix("type:") {
            last = name;
        }
    }
    let place = [owner, field].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
    if place.is_empty() { difference } else { format!("{place}: {difference}") }
}

/// Where the library lies in this process.
fn span_of(path: &Path) -> [u64; 2] {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let path = path.to_string_lossy();
    let ranges = maps.lines().filter(|line| line.ends_with(&*path)).filter_map(|line| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        Some([u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?])
    });
    ranges.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]).unwrap_or_default()
}

fn refusal(step: Step, party: Party, reason: String) -> Refusal {
    Refusal { step, party, reason }
}

#[cfg(test)]
mod tests {
    use abi_stable::{StableAbi, abi_stability::abi_checking::check_layout_compatibility};

    use super::useful_lines;

    #[repr(C)]
    #[derive(StableAbi)]
    struct Tensor {
        width: u32,
        scale: f32,
    }

    mod drifted {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub(super) struct Tensor {
            width: u32,
            scale: u16,
        }
    }

    #[test]
    fn a_layout_report_is_cut_to_what_differs() {
        let report = check_layout_compatibility(Tensor::LAYOUT, drifted::Tensor::LAYOUT).unwrap_err().to_string();
        let useful = useful_lines(&report);
        assert!(report.lines().count() > 20);
        assert_eq!(useful, "scale: mismatched type Expected: f32 Found: u16");
    }
}

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::{RRef, VersionStrings},
};

use crate::{IsoEntry, IsoTrain};

/// The root module of Rust plugins: abi_stable compares the layout of everything reachable from it at load.
///
/// It never grows; [`IsoEntry::get_extension`] is where growth happens, and the tables of extensions since 1.1 are
/// vouched for by their ids.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = IsoRootRef)))]
#[sabi(missing_field(panic))]
pub struct IsoRoot {
    /// The same entry that the data symbol holds.
    pub entry: RRef<'static, IsoEntry>,
    /// The training extension's table, if the plugin has one; here so that its layout is compared too.
    #[sabi(last_prefix_field)]
    pub train: Option<RRef<'static, IsoTrain>>,
}

impl RootModule for IsoRootRef {
    abi_stable::declare_root_module_statics! {IsoRootRef}
    const BASE_NAME: &'static str = "isoscan_plugin";
    const NAME: &'static str = "isoscan_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

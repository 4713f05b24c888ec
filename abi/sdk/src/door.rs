//! The raw side of a plugin: the functions behind [`crate::export_plugin!`]. Not for direct use.

mod batch;
mod bundle;
mod train;

use core::ffi::c_void;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::OnceLock;

use abi_stable::library::CheckTypeLayout;
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_types::RRef;
use isoscan_abi::{
    ABI_MAJOR, Context, Descriptor, EXTENSION_BATCH, EXTENSION_BUNDLE, EXTENSION_TRAIN, IsoCall, IsoRoot, IsoRootRef,
    MAGIC, STATUS_INVALID, STATUS_OK, STATUS_PANICKED, abi_hash,
};
use serde::de::DeserializeOwned;

use crate::{Call, Config, Host, Params, PluginError, Translator};

pub use abi_stable::library::{LibHeader, RootModuleResult};
pub use batch::batch_table;
pub use bundle::{Opened, bundle_table, create_opened, open_bundle};
pub use isoscan_abi::{IsoBatch, IsoBundle, IsoEntry, IsoHost, IsoStatus, IsoStr, IsoTrain};
pub use train::table;

/// Name under which abi_stable looks for the header, as `export_plugin!` spells it.
pub const HEADER_SYMBOL: &str = "_1as_0lib_1header_0root_bmodule_bloader";

/// The descriptor document of a plugin, made at the first `describe` and kept as long as the library is loaded.
pub struct Description(OnceLock<String>);

impl Description {
    /// Nothing asked yet.
    #[expect(clippy::new_without_default, reason = "only ever the initial value of a static")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The JSON text; empty, which every host refuses, when `descriptor` panics.
    pub fn text<T: Translator>(&'static self) -> IsoStr {
        let text = self.0.get_or_init(|| {
            let document = catch_unwind(|| serde_json::to_string(&T::descriptor()));
            document.ok().and_then(Result::ok).unwrap_or_default()
        });
        IsoStr::new(text)
    }
}

/// The entry of a plugin.
pub const fn entry<T: Translator>(
    describe: extern "C" fn() -> IsoStr,
    get_extension: extern "C" fn(IsoStr) -> *const c_void,
) -> IsoEntry {
    IsoEntry {
        magic: MAGIC,
        abi_major: ABI_MAJOR,
        abi_minor_needed: 0,
        abi_hash: abi_hash(),
        describe,
        create: create::<T>,
        destroy: destroy::<T>,
        run: run::<T>,
        get_extension,
    }
}

/// Answers `get_extension`.
pub fn extension(
    id: IsoStr,
    train: Option<&'static IsoTrain>,
    batch: Option<&'static IsoBatch>,
    bundle: Option<&'static IsoBundle>,
) -> *const c_void {
    // SAFETY: the host passes a readable id by contract.
    let id = unsafe { id.to_text() };
    match id.as_str() {
        EXTENSION_TRAIN => train.map_or(std::ptr::null(), |table| std::ptr::from_ref(table).cast()),
        EXTENSION_BATCH => batch.map_or(std::ptr::null(), |table| std::ptr::from_ref(table).cast()),
        EXTENSION_BUNDLE => bundle.map_or(std::ptr::null(), |table| std::ptr::from_ref(table).cast()),
        _ => std::ptr::null(),
    }
}

/// The header that abi_stable looks for in a library.
pub const fn header(load: extern "C" fn() -> RootModuleResult) -> LibHeader {
    // SAFETY: `load` is made by `export_plugin!` out of `load_root` below, which gives an `IsoRootRef`.
    unsafe { LibHeader::from_constructor::<IsoRootRef>(load, CheckTypeLayout::Yes) }
}

/// Makes the root module for abi_stable.
pub fn load_root(root: fn() -> IsoRootRef) -> RootModuleResult {
    abi_stable::library::__call_root_module_loader(root)
}

/// The root module over the plugin's own tables.
pub fn root(entry: &'static IsoEntry, train: Option<&'static IsoTrain>) -> IsoRootRef {
    IsoRoot { entry: RRef::new(entry), train: train.map(RRef::new) }.leak_into_prefix()
}

/// A plugin instance as the host holds it.
struct Instance<T> {
    descriptor: Descriptor,
    config: Config,
    /// `None` after a panic, until the next call.
    translator: Option<T>,
}

extern "C" fn create<T: Translator>(host: *const IsoHost, config: IsoStr, instance: *mut *mut c_void) -> IsoStatus {
    create_as::<T>(host, config, instance, |config| T::descriptor_in(&config.bundle))
}

/// Makes an instance of what `descriptor` says it is.
fn create_as<T: Translator>(
    host: *const IsoHost,
    config: IsoStr,
    instance: *mut *mut c_void,
    descriptor: impl FnOnce(&Config) -> Result<Descriptor, PluginError>,
) -> IsoStatus {
    guard(host, |_| {
        // SAFETY: the host passes null or a place for one pointer.
        let place = unsafe { instance.as_mut() }.ok_or_else(|| PluginError::invalid("no place for the instance"))?;
        // SAFETY: the host passes readable text by contract.
        let config: Config = json(unsafe { config.to_text() }, "config")?;
        let descriptor = descriptor(&config)?;
        let translator = Some(T::create(&config)?);
        let instance = Instance { descriptor, config, translator };
        *place = Box::into_raw(Box::new(instance)).cast();
        Ok(())
    })
}

extern "C" fn destroy<T: Translator>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the pointer came from `create` and the host gives it up here.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<T>>()) };
    discard(instance);
}

extern "C" fn run<T: Translator>(instance: *mut c_void, host: *const IsoHost, call: *const IsoCall) -> IsoStatus {
    // SAFETY: null or a pointer of `create` that is not used elsewhere during the call.
    let Some(instance) = (unsafe { instance.cast::<Instance<T>>().as_mut() }) else {
        return guard(host, |_| Err(PluginError::invalid("no instance")));
    };
    let Instance { descriptor, config, translator } = instance;
    let status = guard(host, |host| {
        // SAFETY: null or a call that stays valid until `run` returns.
        let call = unsafe { call.as_ref() }.ok_or_else(|| PluginError::invalid("no call"))?;
        // SAFETY: the host passes readable text by contract.
        let (params, context) = unsafe { (call.params.to_text(), call.context.to_text()) };
        let params = Params::parse(&params, &descriptor.id, &descriptor.params)?;
        let context: Context = json(context, "context")?;
        // SAFETY: the tensors of a call stay valid until `run` returns, and outputs are the plugin's alone.
        let mut call = unsafe { Call::open(call, descriptor, &params, &context, host) }?;
        let translator = match &mut *translator {
            Some(translator) => translator,
            empty => empty.insert(T::create(config)?),
        };
        translator.run(&mut call)
    });
    if status == STATUS_PANICKED {
        discard(translator.take());
    }
    status
}

/// Runs `body`, keeps panics in, and turns an error into its status and message.
fn guard(host: *const IsoHost, body: impl FnOnce(Host<'_>) -> Result<(), PluginError>) -> IsoStatus {
    // SAFETY: null or a host table that stays valid until the call returns.
    let Some(host) = (unsafe { host.as_ref() }) else {
        return STATUS_INVALID;
    };
    let host = Host::new(host);
    match catch_unwind(AssertUnwindSafe(|| body(host))) {
        Ok(Ok(())) => STATUS_OK,
        Ok(Err(error)) => {
            host.set_error(&error.to_string());
            error.status()
        }
        Err(payload) => {
            host.set_error(&panic_text(payload));
            STATUS_PANICKED
        }
    }
}

fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    discard(payload);
    format!("the plugin panicked: {text}")
}

/// Drops `value`; a panic while dropping ends here.
fn discard<V>(value: V) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        std::mem::forget(payload);
    }
}

fn json<V: DeserializeOwned>(text: String, what: &str) -> Result<V, PluginError> {
    serde_json::from_str(&text).map_err(|error| PluginError::invalid(format_args!("{what} is not usable: {error}")))
}

fn path(text: IsoStr) -> PathBuf {
    // SAFETY: the host passes readable text by contract.
    unsafe { text.to_text() }.into()
}

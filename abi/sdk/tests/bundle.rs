//! A library that serves many bundles, driven through its raw entry as a host drives it.

use std::ffi::c_void;
use std::path::Path;
use std::ptr::null_mut;

use isoscan_abi::{
    EXTENSION_BUNDLE, IsoBundle, IsoEntry, IsoHost, IsoStatus, IsoStr, STATUS_FAILED, STATUS_INVALID, STATUS_OK,
};
use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Output, Patching, PluginError, Translator};

/// Is called what the file `name` of its bundle says.
struct Named;

isoscan_sdk::export_plugin!(Named, bundle);

impl Translator for Named {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "named".into(),
            version: "1.0.0".into(),
            name: String::new(),
            summary: String::new(),
            family: "test".into(),
            inputs: vec![Input::any("image", "")],
            output: Output::like_input(""),
            patching: Patching::whole(Axes::Volume),
            params: Vec::new(),
            deterministic: true,
            synthetic: false,
        }
    }

    fn descriptor_in(bundle: &Path) -> Result<Descriptor, PluginError> {
        let id = std::fs::read_to_string(bundle.join("name"))
            .map_err(|_| PluginError::failed("expected a file 'name', found none"))?;
        Ok(Descriptor { id, ..Self::descriptor() })
    }

    fn create(_: &Config) -> Result<Self, PluginError> {
        Ok(Self)
    }

    fn run(&mut self, _: &mut Call<'_>) -> Result<(), PluginError> {
        Ok(())
    }
}

unsafe extern "C" {
    #[link_name = "isoscan_plugin_entry"]
    static EXPORTED: IsoEntry;
}

extern "C" fn progress(_: *mut c_void, _: f32) -> i32 {
    0
}

extern "C" fn set_error(told: *mut c_void, message: IsoStr) {
    // SAFETY: `told` is the text of the test, alive for the call, and the message is readable.
    unsafe { *told.cast::<String>() = message.to_text() };
}

extern "C" fn log(_: *mut c_void, _: u32, _: IsoStr) {}

extern "C" fn get_extension(_: *mut c_void, _: IsoStr) -> *const c_void {
    std::ptr::null()
}

fn asked(call: impl FnOnce(&IsoHost) -> IsoStatus) -> (IsoStatus, String) {
    let mut told = String::new();
    let host = IsoHost { ctx: (&raw mut told).cast(), progress, set_error, log, get_extension };
    let status = call(&host);
    (status, told)
}

#[test]
fn the_library_becomes_what_lies_in_the_bundle_that_it_is_told() {
    // SAFETY: the symbol is a static of this type.
    let entry = unsafe { &EXPORTED };
    assert_eq!(entry.abi_minor_needed, 2);
    let table = (entry.get_extension)(IsoStr::new(EXTENSION_BUNDLE)).cast::<IsoBundle>();
    // SAFETY: for this id the entry answers with a static table.
    let table = unsafe { table.as_ref() }.unwrap();
    // SAFETY: the text lives as long as the library.
    let described = || unsafe { (entry.describe)().to_text() };
    let folder = std::env::temp_dir().join(format!("isoscan-bundle-{}", std::process::id()));
    let open = |folder: &Path| asked(|host| (table.open)(host, IsoStr::new(folder.to_str().unwrap())));
    let config = |folder: &Path| serde_json::json!({"bundle": folder, "threads": 1}).to_string();
    let create = |folder: &Path| {
        asked(|host| {
            let mut instance = null_mut();
            let status = (entry.create)(host, IsoStr::new(&config(folder)), &mut instance);
            (entry.destroy)(instance);
            status
        })
    };

    assert_eq!(described(), "");
    assert_eq!(create(&folder), (STATUS_INVALID, "the library was not told its bundle".to_owned()));
    assert_eq!(open(&folder), (STATUS_FAILED, "expected a file 'name', found none".to_owned()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("name"), "mine").unwrap();
    assert_eq!([open(&folder), open(&folder)], [(); 2].map(|()| (STATUS_OK, String::new())));
    assert_eq!(serde_json::from_str::<Descriptor>(&described()).unwrap().id, "mine");
    assert_eq!(create(&folder), (STATUS_OK, String::new()));
    let (status, told) = open(Path::new("/elsewhere"));
    assert_eq!(status, STATUS_INVALID);
    assert!(told.contains("already, not /elsewhere"), "{told}");
    std::fs::remove_dir_all(&folder).unwrap();
}

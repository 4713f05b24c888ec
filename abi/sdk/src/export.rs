/// Exports a plugin: `export_plugin!(MyTranslator)`, or `export_plugin!(MyTranslator, train = MyTrainer)` when it learns.
///
/// The first type implements [`Translator`](crate::Translator), the second [`Trainer`](crate::Trainer). Write it once, in `lib.rs` of a crate with `crate-type = ["cdylib"]`.
///
/// The library then has the data symbol `isoscan_plugin_entry`, which every host reads, and the root module by which a
/// Rust host compares the layout of the contract's types.
#[macro_export]
macro_rules! export_plugin {
    ($translator:ty) => {
        $crate::export_plugin!(@export $translator, ::core::option::Option::None);
    };
    ($translator:ty, train = $trainer:ty) => {
        $crate::export_plugin!(
            @export $translator,
            ::core::option::Option::Some($crate::door::table::<$translator, $trainer>())
        );
    };
    (@export $translator:ty, $train:expr) => {
        const _: () = {
            static DESCRIPTION: $crate::door::Description = $crate::door::Description::new();
            static TRAIN: ::core::option::Option<$crate::door::IsoTrain> = $train;

            extern "C" fn describe() -> $crate::door::IsoStr {
                DESCRIPTION.text::<$translator>()
            }

            extern "C" fn get_extension(id: $crate::door::IsoStr) -> *const ::core::ffi::c_void {
                $crate::door::extension(id, TRAIN.as_ref())
            }

            #[unsafe(export_name = "isoscan_plugin_entry")]
            pub static ENTRY: $crate::door::IsoEntry = $crate::door::entry::<$translator>(describe, get_extension);

            extern "C" fn load() -> $crate::door::RootModuleResult {
                $crate::door::load_root(|| $crate::door::root(&ENTRY, TRAIN.as_ref()))
            }

            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static HEADER: $crate::door::LibHeader = $crate::door::header(load);
        };
    };
}

/// Exports a plugin: `export_plugin!(MyTranslator)`, or `export_plugin!(MyTranslator, train = MyTrainer)` when it learns.
///
/// The first type implements [`Translator`](crate::Translator), the second [`Trainer`](crate::Trainer). Write it once, in
/// `lib.rs` of a crate with `crate-type = ["cdylib"]`. With `batch` at the end, `export_plugin!(MyTranslator, batch)`,
/// the plugin offers `isoscan.batch/1`: the host may hand several calls over at once, to
/// [`Translator::run_batch`](crate::Translator::run_batch).
///
/// With `bundle` at the end, `export_plugin!(MyTranslator, bundle)`, the library serves many bundles: it offers
/// `isoscan.bundle/1`, and what it describes is [`Translator::descriptor_in`](crate::Translator::descriptor_in) of the
/// bundle that the host told it. Such a library needs a host of contract 1.2.
///
/// The library then has the data symbol `isoscan_plugin_entry`, which every host reads, and the root module by which a
/// Rust host compares the layout of the contract's types.
#[macro_export]
macro_rules! export_plugin {
    ($translator:ty) => {
        $crate::export_plugin!(@export $translator, ::core::option::Option::None, ::core::option::Option::None);
    };
    ($translator:ty, batch) => {
        $crate::export_plugin!(
            @export $translator,
            ::core::option::Option::None,
            ::core::option::Option::Some($crate::door::batch_table::<$translator>())
        );
    };
    ($translator:ty, train = $trainer:ty) => {
        $crate::export_plugin!(
            @export $translator,
            ::core::option::Option::Some($crate::door::table::<$translator, $trainer>()),
            ::core::option::Option::None
        );
    };
    ($translator:ty, train = $trainer:ty, batch) => {
        $crate::export_plugin!(
            @export $translator,
            ::core::option::Option::Some($crate::door::table::<$translator, $trainer>()),
            ::core::option::Option::Some($crate::door::batch_table::<$translator>())
        );
    };
    ($translator:ty, bundle) => {
        const _: () = {
            static OPENED: $crate::door::Opened = $crate::door::Opened::new();
            static BUNDLE: $crate::door::IsoBundle = $crate::door::bundle_table(open);

            extern "C" fn open(
                host: *const $crate::door::IsoHost,
                folder: $crate::door::IsoStr,
            ) -> $crate::door::IsoStatus {
                $crate::door::open_bundle::<$translator>(&OPENED, host, folder)
            }

            extern "C" fn describe() -> $crate::door::IsoStr {
                OPENED.text()
            }

            extern "C" fn create(
                host: *const $crate::door::IsoHost,
                config: $crate::door::IsoStr,
                instance: *mut *mut ::core::ffi::c_void,
            ) -> $crate::door::IsoStatus {
                $crate::door::create_opened::<$translator>(&OPENED, host, config, instance)
            }

            $crate::export_plugin!(
                @symbols
                $crate::door::IsoEntry {
                    abi_minor_needed: 2,
                    create,
                    ..$crate::door::entry::<$translator>(describe, get_extension)
                },
                ::core::option::Option::None,
                ::core::option::Option::None,
                ::core::option::Option::Some(&BUNDLE)
            );
        };
    };
    (@export $translator:ty, $train:expr, $batch:expr) => {
        const _: () = {
            static DESCRIPTION: $crate::door::Description = $crate::door::Description::new();

            extern "C" fn describe() -> $crate::door::IsoStr {
                DESCRIPTION.text::<$translator>()
            }

            $crate::export_plugin!(
                @symbols
                $crate::door::entry::<$translator>(describe, get_extension),
                $train,
                $batch,
                ::core::option::Option::None
            );
        };
    };
    (@symbols $entry:expr, $train:expr, $batch:expr, $bundle:expr) => {
        static TRAIN: ::core::option::Option<$crate::door::IsoTrain> = $train;
        static BATCH: ::core::option::Option<$crate::door::IsoBatch> = $batch;

        extern "C" fn get_extension(id: $crate::door::IsoStr) -> *const ::core::ffi::c_void {
            $crate::door::extension(id, TRAIN.as_ref(), BATCH.as_ref(), $bundle)
        }

        #[unsafe(export_name = "isoscan_plugin_entry")]
        pub static ENTRY: $crate::door::IsoEntry = $entry;

        extern "C" fn load() -> $crate::door::RootModuleResult {
            $crate::door::load_root(|| $crate::door::root(&ENTRY, TRAIN.as_ref()))
        }

        #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
        pub static HEADER: $crate::door::LibHeader = $crate::door::header(load);
    };
}

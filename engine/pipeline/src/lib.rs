//! Plans and runs one translation: prepare, patch, call, blend, restore.
//!
//! [`plan`] refuses a wrong modality, unit or parameter before a voxel is touched and estimates memory. [`translate`]
//! brings the image into the plugin's frame, cuts it into patches, calls the plugin and puts the result back on the
//! input's grid, bit for bit. [`Subject`] draws training patches from prepared volumes, and
//! [`score_against_truth`] and [`score_without_truth`] judge what a training makes of held-out ones. Nothing here reads or
//! writes a file.
//!
//! ```
//! use isoscan_pipeline::{Image, plan};
//! # use isoscan_abi::*;
//! # let descriptor = Descriptor {
//! #     id: "denoise".into(), version: "1.0.0".into(), name: "Denoise".into(), summary: "Removes noise.".into(),
//! #     family: "classical".into(),
//! #     inputs: vec![Input { name: "image".into(), modalities: vec![Modality::Ct], units: vec![], spacing_mm: None,
//! #         range: None, optional: false, aligned: false, normalize: None,
//! #         text: "the image".into() }],
//! #     output: Output::like_input("the image"),
//! #     patching: Patching { axes: Axes::Slices, size: [0; 3], multiple: [4, 4, 1], halo: [0; 3], max_batch: 1 },
//! #     params: vec![], deterministic: true, synthetic: true };
//! use isoscan_imaging::{Geometry, Modality as Kind, Unit as Scale};
//! let image = Image { geometry: &Geometry::axis_aligned([8, 8, 2], [1.0; 3])?, modality: Kind::Mr, unit: Scale::Arbitrary };
//! let refusal = plan(&descriptor, &image, &[], &Default::default()).unwrap_err();
//! assert_eq!(refusal.to_string(), "plugin denoise takes modality CT for 'image', found MR");
//! # Ok::<(), isoscan_imaging::Error>(())
//! ```

mod error;
mod normalize;
mod plan;
mod sample;
mod score;
mod slabs;
mod translate;

pub use error::Error;
pub use isoscan_imaging::Restoration;
pub use plan::{Image, Plan, memory_bytes, plan};
pub use sample::{Augmentation, Subject, subject_of};
pub use score::{Patches, Score, score_against_truth, score_without_truth};
pub use slabs::{MakeStorage, StoredTranslation, slab_memory_bytes, translate_slices};
pub use translate::{Job, Side, Translation, prepare_side, translate};

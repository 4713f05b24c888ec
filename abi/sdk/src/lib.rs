//! The safe side of the plugin contract for plugin authors.
//!
//! Invariants: nothing unwinds across the door; a slice is made from a tensor only after its pointer, alignment, type,
//! strides and length were checked; a status other than OK always carries a message.
#![doc = ""]
#![doc = include_str!("../../README.md")]

mod call;
#[doc(hidden)]
pub mod door;
mod error;
mod export;
pub mod harness;
mod mapped;
mod params;
mod tensor;
mod translator;

pub use call::{Call, Cancelled, Host, InputKey, Level};
pub use error::PluginError;
pub use isoscan_abi::{
    Axes, Context, Descriptor, Input, Modality, Normalize, Output, Param, ParamKind, ParamValue, Patching, Refine,
    Region, TrainContext, Unit,
};
pub use mapped::Mapped;
pub use params::Params;
pub use tensor::{TensorView, TensorViewMut};
pub use translator::{Config, TrainConfig, Trainer, Translator};

//! Super-resolution, in-plane and through-plane, by doubling one axis after the other.
//!
//! What a scanner loses along one axis, the outer part of k-space or the profile of a thick slice, it loses without
//! regard to the others. So one network serves every scale: it doubles the grid along one axis of a plane, and a scale
//! such as `2x2x2` is three such doublings, axial planes for x and y and coronal planes for z. Two networks are offered:
//! EDSR (Lim et al. 2017) in a cascade (after Küstner et al. 2021), and a hybrid that works on the spectrum first and
//! on the image then (after Xiao et al. 2023; rebuilt, no code of it is public). Like them, a bundle may hold two sets of
//! weights, in the folders `weights/in-plane` and `weights/through-plane`: first x and y, then z.
//!
//! [`Forward`] is the other direction: what the coarse scanner would have seen of the fine image. It tells how far an
//! output contradicts its input, and `consistency = project` takes that contradiction away exactly.
//!
//! ```
//! use isoscan_learned::Family;
//! use isoscan_superres::SuperRes;
//!
//! let descriptor = SuperRes::descriptor();
//! let params: Vec<&str> = descriptor.params.iter().map(|p| p.id.as_str()).collect();
//! assert_eq!(params, ["scale", "consistency", "forward"]);
//! ```

mod cascade;
mod doubling;
mod family;
mod forward;
mod hybrid;
mod plugin;
mod recipe;
mod scale;

pub use cascade::Trained;
pub use doubling::{Doubling, DoublingRecipe, Variant};
pub use family::SuperRes;
pub use forward::Forward;
pub use hybrid::Hybrid;
pub use plugin::Cascade;
pub use recipe::Recipe;
pub use scale::{SCALES, factors_of};

isoscan_sdk::export_plugin!(Cascade, train = isoscan_learned::Learning<SuperRes>);

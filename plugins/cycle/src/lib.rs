//! Unpaired translation of images of one slice by a residual CycleGAN (Zhu et al. 2017): same anatomy, the look of another
//! protocol or vendor.
//!
//! The generator adds a residual to the image (`output = input + strength * residual`), so intensities are kept where it has
//! nothing to change, and works without normalisation over space, so a voxel depends on its receptive field alone. A
//! [`Task`] is what tells the plugins of the family apart.

mod family;
mod recipe;
mod task;
mod training;

pub use family::CycleGan;
pub use recipe::Recipe;
pub use task::{Defaults, Task};

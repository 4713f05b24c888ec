//! Physics phantoms with exact truth.
//!
//! [`abdomen`] draws one subject's [`Anatomy`]: densities in HU and labels on a fine grid, without any scanner.
//! [`scan`] makes the series that a scanner with a [`Protocol`] would make of it: slice profile, ray sums, photons,
//! filtered backprojection. So every difference between two scans of a subject has a known cause. All numbers are keyed
//! by (seed, subject, ...): the same arguments give the same bytes on any number of threads.
//!
//! ```
//! use isoscan_phantom::{Grid, abdomen, labels_on, protocol, scan};
//! let subject = abdomen(7, 0, &Grid::new([64, 64], 5.0, 10.0)?);
//! let soft = scan(&subject, protocol("a-soft")?, 7, 0)?;
//! let labels = labels_on(&subject, soft.geometry());
//! let liver = soft.as_slice().iter().zip(labels.as_slice()).filter(|(_, label)| **label == 2.0);
//! let (sum, count) = liver.fold((0.0, 0.0), |(sum, count), (hu, _)| (sum + f64::from(*hu), count + 1.0));
//! assert!((sum / count - subject.biology.liver.mean_hu).abs() < 20.0);
//! # Ok::<(), isoscan_phantom::Error>(())
//! ```

mod abdomen;
mod anatomy;
mod biology;
mod error;
mod grid;
mod projection;
mod protocol;
mod random;
mod reconstruction;
mod scan;
mod solid;
mod texture;

pub use abdomen::abdomen;
pub use anatomy::{Anatomy, LABELS, labels_on};
pub use biology::{Biology, Lesion, Tissue};
pub use error::Error;
pub use grid::Grid;
pub use protocol::{Kernel, MU_WATER_PER_MM, Protocol, protocol, protocols};
pub use scan::scan;

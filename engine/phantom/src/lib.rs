//! Physics phantoms with exact truth.
//!
//! [`abdomen`] and [`chest`] draw one subject's [`Anatomy`]: densities in HU and labels on a fine grid, without any
//! scanner. [`scan`] makes the series that a scanner with a [`Protocol`] would make of it: slice profile, ray sums,
//! photons, filtered backprojection. [`radiograph`] takes the frontal chest radiograph at two energies. So every
//! difference between two scans of a subject has a known cause. All numbers are keyed by (seed, subject, ...): the same
//! arguments give the same bytes on any number of threads.
//!
//! ```
//! use isoscan_phantom::{Grid, abdomen, labels_on, protocol, scan};
//! let subject = abdomen(7, 0, &Grid::new([64, 64], 5.0, 10.0)?);
//! let soft = scan(&subject, protocol("a-soft")?, 7, 0)?;
//! let labels = labels_on(&subject, soft.geometry());
//! let liver = soft.as_slice().iter().zip(labels.as_slice()).filter(|(_, label)| **label == 2.0);
//! let (sum, count) = liver.fold((0.0, 0.0), |(sum, count), (hu, _)| (sum + f64::from(*hu), count + 1.0));
//! let liver_hu = subject.row.number("liver_mean_hu").unwrap_or(f64::NAN);
//! assert!((sum / count - liver_hu).abs() < 20.0);
//! # Ok::<(), isoscan_phantom::Error>(())
//! ```
//!
//! [`head`] draws a [`Head`] whose voxels know what MR ([`mr_scan`]), PET ([`pet_scan`]) and CT ([`Head::anatomy`]) see
//! of them, so that all three share patient space:
//!
//! ```
//! use isoscan_phantom::{Findings, Grid, HeadSettings, head, mr_protocol, mr_scan, pet_protocol, pet_scan};
//! let findings = Findings { tumours: 1, ..Findings::default() };
//! let grid = Grid::new([64, 64], 3.4, 17.0)?.with_truth_spacing(1.7, 1.7)?;
//! let subject = head(7, 0, &HeadSettings { findings, ..HeadSettings::new(grid) })?;
//! let flair = mr_scan(&subject, &mr_protocol("a30-flair")?.clone().with_slices(3.4), 7, 0)?;
//! let uptake = pet_scan(&subject, &pet_protocol("a-pet")?.clone().with_slices(3.4), 7, 0)?;
//! assert_eq!(flair.geometry(), uptake.geometry());
//! assert_eq!(subject.labels_on(flair.geometry())?.geometry(), flair.geometry());
//! # Ok::<(), isoscan_phantom::Error>(())
//! ```
//!
//! [`vessel_tree`] draws arteries, which [`tof`] and [`neck`] show. [`draw`] is one door to all of it: a [`Subject`] of a
//! [`Kind`], lying in the scanner as on a [`Visit`], gives an [`Acquisition`] per protocol and its [`Truth`].

mod abdomen;
mod anatomy;
mod body;
mod catalogue;
mod cells;
mod chest;
mod error;
mod grid;
mod head;
mod mr;
mod pet;
mod projection;
mod protocol;
mod radiograph;
mod random;
mod reconstruction;
mod scan;
mod solid;
mod texture;
mod thick_slices;
mod travel;
mod truth;
mod vessels;

pub use abdomen::{ABDOMEN_LABELS, Phase, abdomen, abdomen_in_phase};
pub use anatomy::{Anatomy, labels_on};
pub use catalogue::{Acquired, Acquisition, Details, Facts, Kind, LabelMap, Offer, Order, Subject, Truth, draw};
pub use chest::{CHEST_LABELS, ChestCondition, chest};
pub use error::Error;
pub use grid::Grid;
pub use head::biology::HeadBiology;
pub use head::finding::{FindingKind, Findings};
pub use head::pose::Pose;
pub use head::region::HEAD_REGIONS;
pub use head::substance::HEAD_LABELS;
pub use head::truth::HeadTruth;
pub use head::{FindingPart, Head, HeadFinding, HeadMap, HeadSettings, Hypometabolism, head};
pub use mr::kspace::{KspaceWindow, truncate_kspace};
pub use mr::motion::Motion;
pub use mr::protocol::{Encoding, MrFacts, MrProtocol};
pub use mr::receive::Receive;
pub use mr::scanners::{mr_protocol, mr_protocols};
pub use mr::signal::{Relaxation, Sequence, double_null_inversions_ms, ernst_angle_deg, null_inversion_ms};
pub use mr::{mr_bias, mr_scan};
pub use pet::{PetProtocol, pet_protocol, pet_protocols, pet_scan, pet_uptake, suvr};
pub use protocol::{Kernel, MU_WATER_PER_MM, Protocol, chest_protocols, head_protocols, protocol, protocols};
pub use radiograph::{
    Beam, Curve, Processing, Radiograph, RadiographProtocol, radiograph, radiograph_protocol, radiograph_protocols,
};
pub use scan::scan;
pub use thick_slices::{SliceProfile, SliceSensitivity, thick_slices};
pub use travel::Visit;
pub use truth::{Finding, TruthRow};
pub use vessels::{
    Aneurysm, HEAD_VESSEL_LABELS, NECK_LABELS, NeckProtocol, Stenosis, StenosisClass, Territory, TofProtocol, TofScan,
    Vessel, VesselTree, neck, neck_protocols, tof, tof_protocol, tof_protocols, vessel_tree,
};

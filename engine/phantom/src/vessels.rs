//! Arteries of the head and neck as trees of tubes, and how TOF-MRA and CTA show them.

mod flow;
mod neck;
mod paint;
mod plan;
mod tof;
mod tree;

pub use neck::{NECK_LABELS, NeckProtocol, neck, neck_protocols};
pub use tof::{HEAD_VESSEL_LABELS, TofProtocol, TofScan, tof, tof_protocol, tof_protocols};
pub use tree::{Aneurysm, Stenosis, StenosisClass, Territory, Vessel, VesselTree, vessel_tree};

use serde::Serialize;

use super::Kind;
use crate::{Aneurysm, Finding, HeadTruth, Stenosis, TruthRow, VesselTree, Visit};

/// What is exactly known of one subject.
#[derive(Debug, Clone, Serialize)]
pub struct Truth {
    /// What was imaged.
    pub kind: Kind,
    /// Seed of the subject.
    pub seed: u64,
    /// Number of the subject.
    pub subject: u32,
    /// What the subject suffers from.
    pub condition: String,
    /// Name of the session of a travelling subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// How it lay in the scanner.
    pub visit: Visit,
    /// Numbers in columns.
    pub row: TruthRow,
    /// Lists that a table cannot hold.
    #[serde(flatten)]
    pub details: Details,
}

/// Lists of what was planted.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Details {
    /// Lesions of a body.
    Findings {
        /// All of them.
        findings: Vec<Finding>,
    },
    /// All that is known of a head.
    Head(Box<HeadTruth>),
    /// Arteries; their centre lines are in [`Details::trees`].
    Arteries {
        /// Narrowings of all trees.
        stenoses: Vec<Stenosis>,
        /// Sacs of all trees.
        aneurysms: Vec<Aneurysm>,
        /// Centre lines and radii by territory.
        #[serde(skip)]
        trees: Vec<VesselTree>,
    },
}

impl Details {
    /// Centre lines and radii of a subject's arteries; none for other kinds.
    pub fn trees(&self) -> &[VesselTree] {
        match self {
            Self::Arteries { trees, .. } => trees,
            _ => &[],
        }
    }
}

//! Which scans a subject gets, and under which names.

use isoscan_phantom::{Kind, Order};

use super::Args;
use crate::failure::Failure;

/// What becomes of a subject.
pub(super) enum Layout {
    /// One file beside those of the other subjects.
    Flat(String),
    /// A folder with named scans.
    Folder(Vec<Named>),
    /// Sessions in several scanners.
    Travel { scanners: Vec<String>, sessions: u32 },
}

/// A scan of a subject's folder.
pub(super) struct Named {
    pub(super) stem: String,
    pub(super) protocol: String,
}

impl Layout {
    pub(super) fn of(args: &Args, kind: Kind) -> Self {
        if let Some(protocol) = &args.protocol {
            return Self::Flat(protocol.clone());
        }
        if !args.scanners.is_empty() {
            return Self::Travel { scanners: args.scanners.clone(), sessions: args.sessions };
        }
        if let (Some(source), Some(reference)) = (&args.source, &args.reference) {
            let named = |stem: &str, protocol: &String| Named { stem: stem.to_owned(), protocol: protocol.clone() };
            return Self::Folder(vec![named("source", source), named("reference", reference)]);
        }
        let usual = || kind.usual_protocols().iter().map(|word| (*word).to_owned()).collect();
        let protocols: Vec<String> = if args.protocols.is_empty() { usual() } else { args.protocols.clone() };
        Self::Folder(protocols.into_iter().map(|protocol| Named { stem: stem(&protocol), protocol }).collect())
    }

    /// The protocols, in the order they were asked for.
    pub(super) fn protocols(&self) -> Vec<&str> {
        match self {
            Self::Flat(protocol) => vec![protocol],
            Self::Folder(scans) => scans.iter().map(|scan| scan.protocol.as_str()).collect(),
            Self::Travel { scanners, .. } => scanners.iter().map(String::as_str).collect(),
        }
    }

    /// Refuses protocols that the kind does not have, and one that would be written twice, before anything is drawn.
    pub(super) fn check(&self, order: &Order) -> Result<(), Failure> {
        let protocols = self.protocols();
        for (n, protocol) in protocols.iter().enumerate() {
            order.kind.require(protocol)?;
            let alike = |other: &&str| stem(other) == stem(protocol);
            if !matches!(self, Self::Folder(scans) if scans[n].stem == "source" || scans[n].stem == "reference")
                && protocols[..n].iter().any(alike)
            {
                return Err(Failure::new(format!("protocol {protocol} is asked for twice")));
            }
        }
        order.require_condition()?;
        Ok(())
    }
}

/// A protocol's word as the name of a file.
pub(super) fn stem(protocol: &str) -> String {
    protocol.replace(':', "-")
}

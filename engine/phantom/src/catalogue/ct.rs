use isoscan_imaging::Volume;

use super::{Acquisition, Body, Details, Facts, LabelMap, Order, found};
use crate::travel::visited;
use crate::{
    Anatomy, ChestCondition, Error, Grid, Phase, Protocol, TruthRow, Visit, abdomen_in_phase, chest, chest_protocols,
    labels_on, protocols, scan,
};

/// A trunk in a CT scanner.
pub(super) struct Trunk {
    order: Order,
    visit: Visit,
    part: Part,
    /// Without any view.
    usual: Anatomy,
}

/// Which part of it.
#[derive(Clone, Copy)]
enum Part {
    Abdomen,
    Chest(ChestCondition),
}

impl Trunk {
    pub(super) fn abdomen(order: &Order, visit: &Visit) -> Result<Self, Error> {
        Self::draw(order, visit, Part::Abdomen)
    }

    pub(super) fn chest(order: &Order, visit: &Visit) -> Result<Self, Error> {
        Self::draw(order, visit, Part::Chest(condition(&order.condition)?))
    }

    fn draw(order: &Order, visit: &Visit, part: Part) -> Result<Self, Error> {
        let usual = lying(order, visit, part, Phase::PortalVenous)?;
        Ok(Self { order: order.clone(), visit: *visit, part, usual })
    }

    /// The protocol that a word asks for, its number, and the phase after its colon.
    fn asked(&self, word: &str) -> Result<(usize, &'static Protocol, Phase), Error> {
        let (id, view) = word.split_once(':').map_or((word, None), |(id, view)| (id, Some(view)));
        let table = match self.part {
            Part::Abdomen => protocols(),
            Part::Chest(_) => chest_protocols(),
        };
        let (number, protocol) = found(table, |p| p.id, id)?;
        let phase = match (view, self.part) {
            (None, _) => Phase::PortalVenous,
            (Some(view), Part::Abdomen) => phase(view)?,
            (Some(view), Part::Chest(_)) => return Err(no_view("none for a chest".to_owned(), view)),
        };
        Ok((number, protocol, phase))
    }
}

fn lying(order: &Order, visit: &Visit, part: Part, phase: Phase) -> Result<Anatomy, Error> {
    visited(&order.grid, &visit.pose, |grid: &Grid| match part {
        Part::Abdomen => abdomen_in_phase(order.seed, order.subject, grid, phase),
        Part::Chest(condition) => chest(order.seed, order.subject, grid, condition),
    })
}

impl Body for Trunk {
    fn acquire(&self, word: &str) -> Result<Acquisition, Error> {
        let (number, protocol, phase) = self.asked(word)?;
        let other = match phase {
            Phase::PortalVenous => None,
            phase => Some(lying(&self.order, &self.visit, self.part, phase)?),
        };
        let anatomy = other.as_ref().unwrap_or(&self.usual);
        let image = scan(anatomy, protocol, self.visit.noise_seed, self.order.subject)?;
        let mut facts = Facts::ct(protocol, anatomy.body_part, number as u32 + 1);
        if matches!(self.part, Part::Abdomen) && phase != Phase::NonContrast {
            facts.contrast_agent = "Iodine";
        }
        if word.contains(':') {
            let later = Phase::ALL.iter().position(|one| *one == phase).unwrap_or(0) as u32;
            facts.description = format!("{}, {}", facts.description, phase.id());
            facts.series_number += 100 * (later + 1);
        }
        Ok(Acquisition { protocol: word.to_owned(), maps: vec![LabelMap::of(anatomy, &image)], image, facts })
    }

    fn truth(&self) -> Result<(TruthRow, Details), Error> {
        Ok((self.usual.row.clone(), Details::Findings { findings: self.usual.findings.clone() }))
    }
}

/// The condition of a chest by its word.
pub(super) fn condition(word: &str) -> Result<ChestCondition, Error> {
    ChestCondition::ALL.into_iter().find(|one| one.id() == word).ok_or_else(|| Error::UnknownName {
        what: "condition of a chest",
        expected: ChestCondition::ALL.map(ChestCondition::id).join(", "),
        found: word.to_owned(),
    })
}

fn phase(word: &str) -> Result<Phase, Error> {
    let known = || Phase::ALL.map(Phase::id).join(", ");
    Phase::ALL.into_iter().find(|one| one.id() == word).ok_or_else(|| no_view(known(), word))
}

pub(super) fn no_view(expected: String, found: &str) -> Error {
    Error::UnknownName { what: "view", expected, found: found.to_owned() }
}

impl LabelMap {
    /// The labels of an anatomy on an image's grid.
    pub(super) fn of(anatomy: &Anatomy, image: &Volume) -> Self {
        Self { name: "labels", volume: labels_on(anatomy, image.geometry()), names: anatomy.label_names }
    }
}

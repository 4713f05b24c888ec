use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use isoscan_imaging::Volume;

use super::ct::{condition, no_view};
use super::{Acquired, Acquisition, Body, Details, Facts, LabelMap, Order, found};
use crate::radiograph::radiograph_during;
use crate::{ChestCondition, Error, Radiograph, RadiographProtocol, TruthRow, Visit, radiograph_protocols};

/// The numbers of a radiograph's label map: of structures that overlap, the last covers the others.
pub(crate) const RADIOGRAPH_LABELS: &[(i32, &str)] = &[(1, "lung"), (2, "heart"), (3, "nodule")];

/// Views of a radiograph, the usual one first.
pub(super) const VIEWS: [&str; 5] = ["processed", "standard", "low-energy", "soft", "bone"];

/// A chest in front of a detector.
pub(super) struct Frontal {
    order: Order,
    visit: Visit,
    condition: ChestCondition,
    /// By protocol: every view comes of one exposure.
    taken: Mutex<BTreeMap<&'static str, Arc<Radiograph>>>,
}

impl Frontal {
    pub(super) fn draw(order: &Order, visit: &Visit) -> Result<Self, Error> {
        let condition = condition(&order.condition)?;
        Ok(Self { order: order.clone(), visit: *visit, condition, taken: Mutex::default() })
    }

    fn take(&self, protocol: &'static RadiographProtocol) -> Result<Arc<Radiograph>, Error> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = taken.get(protocol.id) {
            return Ok(Arc::clone(known));
        }
        let Order { seed, subject, ref grid, .. } = self.order;
        let image =
            radiograph_during(&self.visit, (seed, subject), self.condition, grid.size(), grid.pixel_mm(), protocol)?;
        let image = Arc::new(image);
        taken.insert(protocol.id, Arc::clone(&image));
        Ok(image)
    }
}

impl Body for Frontal {
    fn acquire(&self, word: &str) -> Result<Acquisition, Error> {
        let (id, view) = word.split_once(':').unwrap_or((word, VIEWS[0]));
        let (number, protocol) = found(radiograph_protocols(), |p| p.id, id)?;
        let place = VIEWS.iter().position(|known| *known == view).ok_or_else(|| no_view(VIEWS.join(", "), view))?;
        let taken = self.take(protocol)?;
        let image = [&taken.processed, &taken.standard, &taken.low_energy, &taken.soft, &taken.bone][place].clone();
        let beam = protocol.beams[usize::from(view == "low-energy")];
        let facts = Facts {
            description: format!("{}, {view}", protocol.description),
            manufacturer: protocol.manufacturer,
            model: protocol.model,
            body_part: "CHEST",
            thickness_mm: 0.0,
            contrast_agent: "",
            series_number: 100 * (number as u32 + 1) + place as u32,
            bids: ["dx", "dx"],
            acquired: Acquired::Dx { kvp: beam.kvp, bright_is_dense: true },
        };
        Ok(Acquisition { protocol: word.to_owned(), image, maps: maps(&taken)?, facts })
    }

    fn truth(&self) -> Result<(TruthRow, Details), Error> {
        let first = radiograph_protocols().first().ok_or_else(|| no_view("a protocol".to_owned(), "none"))?;
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
        let taken = taken.map_or_else(|| self.take(first), Ok)?;
        Ok((taken.row.clone(), Details::Findings { findings: taken.findings.clone() }))
    }
}

fn maps(taken: &Radiograph) -> Result<Vec<LabelMap>, Error> {
    let mut voxels = taken.lungs.voxels().to_owned();
    for (mask, label) in [(&taken.heart, 2.0), (&taken.nodules, 3.0)] {
        voxels.zip_mut_with(&mask.voxels(), |to, &inside| *to = if inside > 0.0 { label } else { *to });
    }
    let map = |name, volume: Volume, names| LabelMap { name, volume, names };
    Ok(vec![
        map("labels", taken.lungs.with_voxels(voxels)?, RADIOGRAPH_LABELS),
        map("ribs", taken.ribs.clone(), &[(1, "rib")]),
        map("lungs", taken.lungs.clone(), &[(1, "lung")]),
        map("heart", taken.heart.clone(), &[(1, "heart")]),
        map("nodules", taken.nodules.clone(), &[]),
    ])
}

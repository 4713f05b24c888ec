use super::{Acquired, Acquisition, Body, Details, Facts, LabelMap, Order, found};
use crate::travel::{rigid, visited};
use crate::{
    Error, Grid, HEAD_VESSEL_LABELS, NeckProtocol, Territory, TofProtocol, TruthRow, VesselTree, Visit, neck,
    neck_protocols, scan, tof, tof_protocols, vessel_tree,
};

/// Arteries of a head in an MR scanner and of a neck in a CT scanner.
pub(super) struct Vessels {
    order: Order,
    visit: Visit,
}

impl Vessels {
    pub(super) fn draw(order: &Order, visit: &Visit) -> Result<Self, Error> {
        Ok(Self { order: order.clone(), visit: *visit })
    }

    fn tof(&self, number: usize, protocol: &TofProtocol) -> Result<Acquisition, Error> {
        let Order { seed, subject, grid, .. } = &self.order;
        let made = tof(*seed, *subject, grid, protocol, &self.visit)?;
        let facts = Facts {
            description: protocol.description.to_owned(),
            manufacturer: protocol.manufacturer,
            model: protocol.model,
            body_part: "HEAD",
            thickness_mm: protocol.slice_spacing_mm,
            contrast_agent: "",
            series_number: number as u32 + 1,
            bids: ["anat", "angio"],
            acquired: Acquired::Mr {
                sequence: "GR",
                variant: "SP",
                volumetric: true,
                tr_ms: protocol.tr_ms,
                te_ms: protocol.te_ms,
                ti_ms: None,
                flip_deg: protocol.flip_deg,
                field_tesla: protocol.field_tesla,
            },
        };
        let maps = vec![LabelMap { name: "labels", volume: made.labels, names: HEAD_VESSEL_LABELS }];
        Ok(Acquisition { protocol: protocol.id.to_owned(), image: made.image, maps, facts })
    }

    fn neck(&self, number: usize, protocol: &NeckProtocol) -> Result<Acquisition, Error> {
        let Order { seed, subject, grid, .. } = &self.order;
        let draw = |grid: &Grid| neck(*seed, *subject, grid, protocol.contrast).0;
        let anatomy = visited(grid, &self.visit.pose, draw)?;
        let image = scan(&anatomy, &protocol.scanner, self.visit.noise_seed, *subject)?;
        let facts = Facts {
            contrast_agent: if protocol.contrast { "Iodine" } else { "" },
            ..Facts::ct(&protocol.scanner, anatomy.body_part, 101 + number as u32)
        };
        let maps = vec![LabelMap::of(&anatomy, &image)];
        Ok(Acquisition { protocol: protocol.scanner.id.to_owned(), image, maps, facts })
    }

    fn tree(&self, territory: Territory) -> VesselTree {
        let (motion, _) = rigid(&self.visit.pose, [0.0; 3]);
        vessel_tree(self.order.seed, self.order.subject, territory).moved(|point| motion.apply(point))
    }
}

impl Body for Vessels {
    fn acquire(&self, word: &str) -> Result<Acquisition, Error> {
        if let Some((number, protocol)) = tof_protocols().iter().enumerate().find(|(_, p)| p.id == word) {
            return self.tof(number, protocol);
        }
        let known = found(neck_protocols(), |p| p.scanner.id, word);
        let (number, protocol) =
            known.map_err(|_| Error::UnknownProtocol { expected: self.order.kind.words(), found: word.to_owned() })?;
        self.neck(number, protocol)
    }

    fn truth(&self) -> Result<(TruthRow, Details), Error> {
        let trees = [Territory::Brain, Territory::Neck].map(|territory| self.tree(territory)).to_vec();
        let mut row = TruthRow::default();
        for (tree, territory) in trees.iter().zip(["brain", "neck"]) {
            tree.columns().into_iter().for_each(|(name, value)| row.set(format!("{territory}_{name}"), value));
        }
        let stenoses = trees.iter().flat_map(|tree| tree.stenoses.clone()).collect();
        let aneurysms = trees.iter().flat_map(|tree| tree.aneurysms.clone()).collect();
        Ok((row, Details::Arteries { stenoses, aneurysms, trees }))
    }
}

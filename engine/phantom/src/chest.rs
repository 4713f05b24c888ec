use crate::body::{Body, body_axes, truth_geometry};
use crate::chest::biology::ChestBiology;
use crate::chest::parenchyma::Parenchyma;
use crate::chest::plan::{Plan, plan};
use crate::random::{Purpose, keyed, table_position};
use crate::{Anatomy, Finding, Grid};

mod biology;
mod cage;
mod parenchyma;
mod plan;
mod tree;
mod zones;

/// Which stream of the chest's random numbers places the scan on the table.
const STREAM: u32 = 1;

/// Number of the first material's random field.
const FIRST_FIELD: u32 = 1000;

/// The numbers of the chest's label map and what they mean; 0 is outside the body.
///
/// A pattern's label covers its whole region, holes and walls alike, less the vessels in it.
pub const CHEST_LABELS: &[(i32, &str)] = &[
    (1, "body"),
    (2, "normal-lung"),
    (3, "ground-glass"),
    (4, "reticulation"),
    (5, "honeycombing"),
    (6, "consolidation"),
    (7, "emphysema"),
    (8, "lung-vessel"),
    (9, "airway"),
    (10, "nodule"),
    (11, "heart"),
    (12, "aorta"),
    (13, "great-vessel"),
    (14, "mediastinum"),
    (15, "muscle"),
    (16, "fat"),
    (17, "rib"),
    (18, "spine"),
    (19, "other-bone"),
    (20, "upper-abdomen"),
    (21, "effusion"),
    (22, "gas"),
];

/// What a chest suffers from. Body, vessels and nodules of a subject are the same under every condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChestCondition {
    /// Nothing but the nodules that a subject may have.
    Healthy,
    /// Ground glass, reticulation, honeycombing, consolidation and emphysema in drawn extents.
    InterstitialDisease,
    /// An enlarged heart, wider vessels at the apex than at the base, haze and effusions that lie as in a standing body.
    HeartFailure,
}

impl ChestCondition {
    /// All conditions.
    pub const ALL: [Self; 3] = [Self::Healthy, Self::InterstitialDisease, Self::HeartFailure];

    /// The name that scripts and commands use.
    pub fn id(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::InterstitialDisease => "interstitial-disease",
            Self::HeartFailure => "heart-failure",
        }
    }
}

/// One subject's chest without contrast agent: wall, ribs, spine, girdle, mediastinum with heart, aorta, great vessels
/// and airways, lungs with vessel trees, up to three solid nodules, and what the condition adds.
///
/// Patterns of interstitial disease are procedural: ground glass adds 150-300 HU; reticulation is a mesh of 1-2 mm lines,
/// honeycombing packed cysts of 3-10 mm with walls, both the borders of random cells; emphysema is holes of -945 HU.
/// Each lies where a random field, the distance to the pleura and the height favour it, in the share of the lungs that
/// its `*_extent` column says; the `*_mm3` columns hold the exact volumes within the truth. The same `(seed, subject)`
/// give the same chest on every grid up to its sampling. z of the scan's middle is a little below the carina.
///
/// ```
/// use isoscan_phantom::{ChestCondition, Grid, chest};
/// let sick = chest(1, 0, &Grid::new([64, 64], 5.0, 10.0)?, ChestCondition::InterstitialDisease);
/// assert_eq!(sick.row.number("effusion_mm3"), Some(0.0));
/// # Ok::<(), isoscan_phantom::Error>(())
/// ```
pub fn chest(seed: u64, subject: u32, grid: &Grid, condition: ChestCondition) -> Anatomy {
    let drawn = Chest::draw(seed, subject, condition);
    let start_mm = drawn.middle_mm - 0.5 * grid.length_mm();
    let biology = &drawn.biology;
    let geometry = truth_geometry(biology.half_width_mm, biology.half_depth_mm, grid, start_mm);
    let (body, parenchyma) = drawn.tissues(body_axes(&geometry, drawn.middle_mm), true);
    let [xs, ys, _] = body.axes();
    let (truth, labels) = body.draw(&geometry, |z, slice| parenchyma.fill(z, [xs, ys], slice));
    let mut row = biology.row();
    row.set_volumes(&labels, CHEST_LABELS);
    let findings = drawn.findings(drawn.middle_mm);
    Anatomy { body_part: "CHEST", truth, labels, label_names: CHEST_LABELS, findings, row, grid: *grid, start_mm }
}

/// One subject's chest before any grid.
pub(crate) struct Chest {
    seed: u64,
    subject: u32,
    pub(crate) biology: ChestBiology,
    plan: Plan,
    pub(crate) middle_mm: f64,
}

impl Chest {
    pub(crate) fn draw(seed: u64, subject: u32, condition: ChestCondition) -> Self {
        let biology = ChestBiology::draw(seed, subject, condition);
        let mut random = keyed(seed, subject, Purpose::Chest(STREAM), 0, 0);
        let middle_mm = table_position(&mut random);
        let plan = plan(seed, subject, &biology);
        Self { seed, subject, biology, plan, middle_mm }
    }

    /// The body on voxel centres in body coordinates, and the filling of its lungs; without random textures where
    /// `textured` is false.
    pub(crate) fn tissues(&self, axes: [Vec<f64>; 3], textured: bool) -> (Body, Parenchyma) {
        let zs = &axes[2];
        let range = [zs[0], *zs.last().expect("every axis has a voxel")];
        let mut materials = self.plan.materials.clone();
        if !textured {
            materials.iter_mut().for_each(|material| material.tissue.texture_hu = 0.0);
        }
        let parenchyma = Parenchyma::new((self.seed, self.subject), &self.biology, &self.plan.lungs, range, textured);
        (Body::new((self.seed, self.subject), FIRST_FIELD, materials, self.plan.solids.clone(), axes), parenchyma)
    }

    /// The material of every nodule in [`Chest::findings`].
    pub(crate) fn nodule_numbers(&self) -> Vec<u8> {
        self.plan.nodules.iter().map(|(number, _)| plan::material::FIRST_NODULE + *number as u8).collect()
    }

    /// The nodules, moved from body coordinates to where the body's z = 0 is `middle_mm`.
    pub(crate) fn findings(&self, middle_mm: f64) -> Vec<Finding> {
        self.plan
            .nodules
            .iter()
            .map(|&(number, [x, y, z])| Finding {
                kind: "lung-nodule",
                label: 10,
                center_mm: [x, y, z + middle_mm],
                diameter_mm: 2.0 * self.biology.nodules[number].radius_mm,
                mean_hu: self.biology.nodules[number].mean_hu,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;

use serde::Serialize;

use super::head;
use super::radiograph::{RADIOGRAPH_LABELS, VIEWS};
use crate::{
    ABDOMEN_LABELS, CHEST_LABELS, Error, Grid, HEAD_LABELS, HEAD_VESSEL_LABELS, MrProtocol, PetProtocol, Phase,
    Protocol, RadiographProtocol, TofProtocol, chest_protocols, head_protocols, mr_protocols, neck_protocols,
    pet_protocols, protocols, radiograph_protocols, tof_protocols,
};

/// What is imaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Abdomen CT with liver lesions.
    Abdomen,
    /// Chest CT with interstitial disease.
    Chest,
    /// Brain MR in many contrasts.
    Brain,
    /// Brain PET of the same heads.
    BrainPet,
    /// CT of the same heads.
    HeadCt,
    /// Frontal radiograph of the chests that the CT shows.
    Radiograph,
    /// Time-of-flight angiography of the head and CT of the neck.
    Vessels,
}

/// Which subject is drawn, and on which grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What is imaged.
    pub kind: Kind,
    /// Seed of the anatomy.
    pub seed: u64,
    /// Number of the subject.
    pub subject: u32,
    /// Pixels and length of the scans.
    pub grid: Grid,
    /// One of [`Kind::conditions`].
    pub condition: String,
}

/// A protocol that a kind offers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Offer {
    /// The word that asks for it.
    pub id: String,
    /// What it is, in one line.
    pub described: String,
    /// Words that may follow it after a colon.
    pub views: Vec<&'static str>,
}

impl Order {
    /// A subject of a kind in its usual condition on its usual grid.
    pub fn new(kind: Kind, seed: u64, subject: u32) -> Self {
        let condition = kind.conditions().first().map_or_else(String::new, |(word, _)| (*word).to_owned());
        Self { kind, seed, subject, grid: kind.grid(), condition }
    }
}

impl std::str::FromStr for Kind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.id() == word).ok_or_else(|| Error::UnknownName {
            what: "kind of phantom",
            expected: Self::ALL.map(Self::id).join(", "),
            found: word.to_owned(),
        })
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Abdomen, Self::Chest, Self::Brain, Self::BrainPet, Self::HeadCt, Self::Radiograph, Self::Vessels];

    /// The word that asks for it.
    pub fn id(self) -> &'static str {
        match self {
            Self::Abdomen => "abdomen",
            Self::Chest => "chest",
            Self::Brain => "brain",
            Self::BrainPet => "brain-pet",
            Self::HeadCt => "head-ct",
            Self::Radiograph => "radiograph",
            Self::Vessels => "vessels",
        }
    }

    /// What it is, in one line.
    pub fn described(self) -> &'static str {
        match self {
            Self::Abdomen => "abdomen CT with liver lesions",
            Self::Chest => "chest CT with textures of interstitial disease and nodules, seven groups of protocols",
            Self::Brain => {
                "head MR in many contrasts; brain-pet and head-ct show the same heads, their protocols fit too"
            }
            Self::BrainPet => "FDG PET of the brain, with the MR of the same head",
            Self::HeadCt => "head CT, with the MR of the same head",
            Self::Radiograph => "frontal chest radiograph at two energies, with soft tissue and bone apart",
            Self::Vessels => "arteries: TOF-MRA of the head, CT of the neck with and without contrast medium",
        }
    }

    /// The anatomy that the kind shows: kinds with the same one show the same subjects.
    pub fn anatomy(self) -> &'static str {
        match self {
            Self::Abdomen => "abdomen",
            Self::Chest => "chest",
            Self::Brain | Self::BrainPet | Self::HeadCt => "head",
            Self::Radiograph => "radiograph",
            Self::Vessels => "vessels",
        }
    }

    /// What subjects may suffer from, with a word of explanation; the first is the usual one.
    pub fn conditions(self) -> Vec<(&'static str, &'static str)> {
        match self {
            Self::Abdomen => vec![("liver-lesions", "two to four lesions of the liver")],
            Self::Chest => vec![
                ("interstitial-disease", "ground glass, reticulation, honeycombing, consolidation, emphysema"),
                ("healthy", "nodules at most"),
                ("heart-failure", "a large heart, congestion, effusions"),
            ],
            Self::Radiograph => vec![
                ("healthy", "nodules at most"),
                ("heart-failure", "a large heart, congestion, effusions"),
                ("interstitial-disease", "as of the chest CT"),
            ],
            Self::Brain => head::conditions("multiple-sclerosis"),
            Self::BrainPet => head::conditions("dementia"),
            Self::HeadCt => head::conditions("haemorrhage"),
            Self::Vessels => {
                vec![("vascular", "up to two aneurysms and stenoses of the head, one stenosis per carotid")]
            }
        }
    }

    /// The usual grid of its scans.
    pub fn grid(self) -> Grid {
        match self {
            Self::Abdomen | Self::Chest => Grid::default(),
            Self::Radiograph => Grid::RADIOGRAPH,
            Self::Brain | Self::BrainPet | Self::HeadCt => Grid::HEAD,
            Self::Vessels => Grid::VESSELS,
        }
    }

    /// The numbers of its usual label map and what they mean.
    pub fn label_names(self) -> &'static [(i32, &'static str)] {
        match self {
            Self::Abdomen => ABDOMEN_LABELS,
            Self::Chest => CHEST_LABELS,
            Self::Radiograph => RADIOGRAPH_LABELS,
            Self::Brain | Self::BrainPet | Self::HeadCt => HEAD_LABELS,
            Self::Vessels => HEAD_VESSEL_LABELS,
        }
    }

    /// Its protocols.
    pub fn offers(self) -> Vec<Offer> {
        match self {
            Self::Abdomen => protocols()
                .iter()
                .map(|protocol| Offer { views: Phase::ALL.map(Phase::id).to_vec(), ..Offer::ct(protocol) })
                .collect(),
            Self::Chest => chest_protocols().iter().map(Offer::ct).collect(),
            Self::Radiograph => radiograph_protocols().iter().map(Offer::radiograph).collect(),
            Self::Brain => mr_protocols().iter().map(Offer::mr).collect(),
            Self::BrainPet => pet_protocols().iter().map(Offer::pet).collect(),
            Self::HeadCt => head_protocols().iter().map(Offer::ct).collect(),
            Self::Vessels => tof_protocols()
                .iter()
                .map(Offer::tof)
                .chain(neck_protocols().iter().map(|p| Offer::ct(&p.scanner)))
                .collect(),
        }
    }

    /// The protocols that a subject gets when none is named.
    pub fn usual_protocols(self) -> &'static [&'static str] {
        match self {
            Self::Abdomen => &["a-soft"],
            Self::Chest => &["g1"],
            Self::Radiograph => &["dx-a", "dx-a:soft", "dx-a:bone"],
            Self::Brain => &["a30-t1ge", "a30-t2", "a30-flair"],
            Self::BrainPet => &["a30-t1ge", "a-pet"],
            Self::HeadCt => &["a30-t1ge", "h-a-brain"],
            Self::Vessels => &["tof-3t", "ncct-neck", "cta-neck"],
        }
    }

    /// Refuses a word that names no protocol of this kind, nor of one that shows the same anatomy.
    ///
    /// # Errors
    /// [`Error::UnknownProtocol`] with the words of this kind.
    pub fn require(self, protocol: &str) -> Result<(), Error> {
        let shown = Self::ALL.into_iter().filter(|kind| kind.anatomy() == self.anatomy());
        let (id, view) = protocol.split_once(':').map_or((protocol, None), |(id, view)| (id, Some(view)));
        if let Some(offer) = shown.flat_map(Self::offers).find(|offer| offer.id == id) {
            return match view {
                Some(view) if !offer.views.contains(&view) => Err(Error::UnknownName {
                    what: "view",
                    expected: if offer.views.is_empty() { "none".to_owned() } else { offer.views.join(", ") },
                    found: view.to_owned(),
                }),
                _ => Ok(()),
            };
        }
        Err(Error::UnknownProtocol { expected: self.words(), found: protocol.to_owned() })
    }

    /// The words of its protocols, joined by commas.
    pub(crate) fn words(self) -> String {
        self.offers().into_iter().map(|offer| offer.id).collect::<Vec<_>>().join(", ")
    }
}

impl Order {
    /// Refuses a condition that the kind does not have.
    ///
    /// # Errors
    /// [`Error::UnknownName`] with the conditions that exist.
    pub fn require_condition(&self) -> Result<(), Error> {
        if self.kind.anatomy() == "head" {
            return head::findings(&self.condition).map(drop);
        }
        let known = self.kind.conditions();
        if known.iter().any(|(word, _)| *word == self.condition) {
            return Ok(());
        }
        Err(Error::UnknownName {
            what: "condition",
            expected: known.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", "),
            found: self.condition.clone(),
        })
    }
}

impl Offer {
    fn ct(protocol: &Protocol) -> Self {
        let Protocol { description, manufacturer, model, kernel, exposure_mas, slice_thickness_mm, .. } = protocol;
        let (name, mtf50) = (kernel.name, kernel.mtf50_per_cm());
        let described = format!(
            "{description} ({manufacturer} {model}): kernel {name}, MTF 50 % at {mtf50:.2} lp/cm, {exposure_mas} mAs, \
             {slice_thickness_mm} mm slices"
        );
        Self { id: protocol.id.to_owned(), described, views: Vec::new() }
    }

    fn mr(protocol: &MrProtocol) -> Self {
        let facts = protocol.facts();
        let [x, y] = facts.resolution_mm;
        let inversions: String = facts.inversion_times_ms.iter().map(|ti| format!(", TI {ti:.0} ms")).collect();
        let described = format!(
            "{} ({} {}): {} T, TR {:.1} ms, TE {:.1} ms{inversions}, flip {:.0}°, resolves {x} x {y} mm, {} mm slices",
            facts.series_description,
            facts.manufacturer,
            facts.model,
            facts.magnetic_field_strength_tesla,
            facts.repetition_time_ms,
            facts.echo_time_ms,
            facts.flip_angle_deg,
            facts.slice_thickness_mm
        );
        Self { id: protocol.id.clone(), described, views: Vec::new() }
    }

    fn radiograph(protocol: &RadiographProtocol) -> Self {
        let RadiographProtocol { description, manufacturer, model, beams: [high, low], blur_mm, .. } = protocol;
        let described = format!(
            "{description} ({manufacturer} {model}): {} and {} kV, detector blur {blur_mm} mm",
            high.kvp, low.kvp
        );
        Self { id: protocol.id.to_owned(), described, views: VIEWS.to_vec() }
    }

    fn pet(protocol: &PetProtocol) -> Self {
        let PetProtocol { description, manufacturer, model, slice_spacing_mm, .. } = protocol;
        let resolution = protocol.resolution_mm();
        let described = format!(
            "{description} ({manufacturer} {model}): resolves {resolution:.1} mm, {slice_spacing_mm} mm slices"
        );
        Self { id: protocol.id.to_owned(), described, views: Vec::new() }
    }

    fn tof(protocol: &TofProtocol) -> Self {
        let TofProtocol { description, manufacturer, model, tr_ms, te_ms, flip_deg, slice_spacing_mm, .. } = protocol;
        let [x, y, z] = protocol.resolution_mm;
        let described = format!(
            "{description} ({manufacturer} {model}): TR {tr_ms} ms, TE {te_ms} ms, flip {flip_deg}°, resolves \
             {x} x {y} x {z} mm, {slice_spacing_mm} mm slices"
        );
        Self { id: protocol.id.to_owned(), described, views: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_all_kinds_are_unique_and_usual_ones_are_known() {
        let mut words: Vec<String> = Kind::ALL.into_iter().flat_map(Kind::offers).map(|offer| offer.id).collect();
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count);
        for kind in Kind::ALL {
            assert_eq!(kind.id().parse::<Kind>(), Ok(kind));
            assert!(kind.usual_protocols().iter().all(|word| kind.require(word).is_ok()), "{}", kind.id());
            let order = Order::new(kind, 1, 0);
            assert_eq!(order.require_condition(), Ok(()));
            assert!(Order { condition: "flu".to_owned(), ..order }.require_condition().is_err());
            assert!(kind.require("z-none").unwrap_err().to_string().starts_with("no protocol z-none: expected one of"));
        }
        assert!(
            "knee"
                .parse::<Kind>()
                .unwrap_err()
                .to_string()
                .starts_with("no kind of phantom knee: expected one of abdomen")
        );
    }
}

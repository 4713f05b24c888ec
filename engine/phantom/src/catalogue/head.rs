use super::{Acquired, Acquisition, Body, Details, Facts, LabelMap, Order};
use crate::{
    Error, Findings, HEAD_LABELS, HEAD_REGIONS, Head, HeadSettings, MrProtocol, PetProtocol, TruthRow, Visit, head,
    head_protocols, mr_protocols, mr_scan, pet_protocols, pet_scan, scan,
};

/// What heads may suffer from: word, explanation, findings.
const CONDITIONS: &[(&str, &str, Findings)] = &[
    (
        "multiple-sclerosis",
        "twelve plaques, three of them cortical",
        Findings { periventricular_plaques: 6, juxtacortical_plaques: 3, cortical_plaques: 3, ..NONE },
    ),
    ("glioma", "a tumour with an enhancing rim, necrosis and oedema", Findings { tumours: 1, ..NONE }),
    ("metastases", "four small enhancing balls", Findings { metastases: 4, ..NONE }),
    ("infarct", "an acute infarct", Findings { infarcts: 1, ..NONE }),
    ("haemorrhage", "a haemorrhage and a calcification", Findings { haemorrhages: 1, calcifications: 1, ..NONE }),
    ("dementia", "two regions of lowered uptake and thinner cortex", Findings { hypometabolism: 2, ..NONE }),
    ("early-dementia", "two regions of lowered uptake alone", Findings { silent_hypometabolism: 2, ..NONE }),
    ("healthy", "nothing", NONE),
];

const NONE: Findings = Findings {
    periventricular_plaques: 0,
    juxtacortical_plaques: 0,
    cortical_plaques: 0,
    tumours: 0,
    metastases: 0,
    infarcts: 0,
    haemorrhages: 0,
    calcifications: 0,
    hypometabolism: 0,
    silent_hypometabolism: 0,
};

/// The conditions with their explanations, the given one first.
pub(super) fn conditions(usual: &str) -> Vec<(&'static str, &'static str)> {
    let rows = || CONDITIONS.iter().map(|(word, words, _)| (*word, *words));
    let counts = (
        "KIND=N+KIND=N...",
        "findings by number: tumours=2+infarcts=1; hypometabolism=2+atrophy=0.5 for the cortex lost per uptake lost",
    );
    rows().filter(|(word, _)| *word == usual).chain(rows().filter(|(word, _)| *word != usual)).chain([counts]).collect()
}

/// The findings of a condition, and the atrophy that goes with lowered uptake: one of the words, or numbers of findings by
/// their names, such as `tumours=2+infarcts=1` or `hypometabolism=2+atrophy=0.5`.
pub(super) fn findings(condition: &str) -> Result<(Findings, f64), Error> {
    if let Some((_, _, findings)) = CONDITIONS.iter().find(|(word, ..)| *word == condition) {
        return Ok((*findings, HeadSettings::ATROPHY));
    }
    let (mut findings, mut atrophy) = (NONE, HeadSettings::ATROPHY);
    let refused = || Error::UnknownName {
        what: "condition of a head",
        expected: conditions("healthy").into_iter().map(|(word, _)| word).collect::<Vec<_>>().join(", "),
        found: condition.to_owned(),
    };
    for part in condition.split('+') {
        let (name, count) = part.split_once('=').ok_or_else(refused)?;
        if name.trim() == "atrophy" {
            atrophy = count.trim().parse().map_err(|_| refused())?;
            continue;
        }
        let count: u32 = count.trim().parse().map_err(|_| refused())?;
        let place = match name.trim() {
            "periventricular-plaques" => &mut findings.periventricular_plaques,
            "juxtacortical-plaques" => &mut findings.juxtacortical_plaques,
            "cortical-plaques" => &mut findings.cortical_plaques,
            "tumours" => &mut findings.tumours,
            "metastases" => &mut findings.metastases,
            "infarcts" => &mut findings.infarcts,
            "haemorrhages" => &mut findings.haemorrhages,
            "calcifications" => &mut findings.calcifications,
            "hypometabolism" => &mut findings.hypometabolism,
            "silent-hypometabolism" => &mut findings.silent_hypometabolism,
            _ => return Err(refused()),
        };
        *place = count;
    }
    Ok((findings, atrophy))
}

/// A head in MR, PET and CT scanners, which share its place.
pub(super) struct HeadBody {
    head: Head,
    order: Order,
    noise_seed: u64,
}

impl HeadBody {
    pub(super) fn draw(order: &Order, visit: &Visit) -> Result<Self, Error> {
        let (findings, atrophy) = findings(&order.condition)?;
        let settings = HeadSettings { findings, atrophy, pose: visit.pose, ..HeadSettings::new(order.grid) };
        let head = head(order.seed, order.subject, &settings)?;
        Ok(Self { head, order: order.clone(), noise_seed: visit.noise_seed })
    }

    fn with_labels(&self, word: &str, image: isoscan_imaging::Volume, facts: Facts) -> Result<Acquisition, Error> {
        let maps = vec![
            LabelMap { name: "labels", volume: self.head.labels_on(image.geometry())?, names: HEAD_LABELS },
            LabelMap { name: "regions", volume: self.head.regions_on(image.geometry())?, names: HEAD_REGIONS },
        ];
        Ok(Acquisition { protocol: word.to_owned(), image, maps, facts })
    }
}

impl Body for HeadBody {
    fn acquire(&self, word: &str) -> Result<Acquisition, Error> {
        let Order { subject, .. } = self.order;
        if let Some((number, protocol)) = mr_protocols().iter().enumerate().find(|(_, p)| p.id == word) {
            let image = mr_scan(&self.head, protocol, self.noise_seed, subject)?;
            return self.with_labels(word, image, of_mr(protocol, number as u32 + 1));
        }
        if let Some((number, protocol)) = pet_protocols().iter().enumerate().find(|(_, p)| p.id == word) {
            let image = pet_scan(&self.head, protocol, self.noise_seed, subject)?;
            return self.with_labels(word, image, of_pet(protocol, 101 + number as u32));
        }
        if let Some((number, protocol)) = head_protocols().iter().enumerate().find(|(_, p)| p.id == word) {
            let image = scan(&self.head.anatomy(), protocol, self.noise_seed, subject)?;
            return self.with_labels(word, image, Facts::ct(protocol, "HEAD", 201 + number as u32));
        }
        Err(Error::UnknownProtocol { expected: self.order.kind.words(), found: word.to_owned() })
    }

    fn truth(&self) -> Result<(TruthRow, Details), Error> {
        let truth = self.head.truth();
        let mut row = self.head.row();
        row.set("findings", truth.findings.len() as f64);
        for (kind, (count, volume_mm3)) in counted(&truth.findings) {
            row.set(format!("{kind}_count"), count);
            row.set(format!("{kind}_mm3"), volume_mm3);
        }
        row.set("hypometabolic_regions", truth.hypometabolism.len() as f64);
        let atrophic = truth.hypometabolism.iter().filter(|lowered| lowered.thinning > 0.0).count();
        row.set("atrophic_regions", atrophic as f64);
        for (_, name) in HEAD_LABELS {
            row.set(format!("label_{name}_mm3"), truth.volume_mm3.get(name).copied().unwrap_or(0.0));
        }
        Ok((row, Details::Head(Box::new(truth))))
    }
}

/// Number and volume of the findings of each kind, all kinds in one order.
fn counted(findings: &[crate::HeadFinding]) -> Vec<(&'static str, (f64, f64))> {
    use crate::FindingKind as Kind;
    [
        (Kind::PeriventricularPlaque, "periventricular_plaque"),
        (Kind::JuxtacorticalPlaque, "juxtacortical_plaque"),
        (Kind::CorticalPlaque, "cortical_plaque"),
        (Kind::Tumour, "tumour"),
        (Kind::Metastasis, "metastasis"),
        (Kind::Infarct, "infarct"),
        (Kind::Haemorrhage, "haemorrhage"),
        (Kind::Calcification, "calcification"),
    ]
    .into_iter()
    .map(|(kind, name)| {
        let of = || findings.iter().filter(move |finding| finding.kind == kind);
        let volume = of().flat_map(|finding| &finding.parts).map(|part| part.volume_mm3).sum();
        (name, (of().count() as f64, volume))
    })
    .collect()
}

fn of_pet(protocol: &PetProtocol, series_number: u32) -> Facts {
    Facts {
        description: protocol.description.to_owned(),
        manufacturer: protocol.manufacturer,
        model: protocol.model,
        body_part: "HEAD",
        thickness_mm: protocol.slice_spacing_mm,
        contrast_agent: "",
        series_number,
        bids: ["pet", "pet"],
        acquired: Acquired::Pt { tracer: "Fluorodeoxyglucose" },
    }
}

fn of_mr(protocol: &MrProtocol, series_number: u32) -> Facts {
    let facts = protocol.facts();
    Facts {
        description: facts.series_description,
        manufacturer: facts.manufacturer,
        model: facts.model,
        body_part: "HEAD",
        thickness_mm: facts.slice_thickness_mm,
        contrast_agent: if facts.contrast_agent { "Gadolinium" } else { "" },
        series_number,
        bids: match protocol.id.rsplit('-').next() {
            Some("t2") => ["anat", "T2w"],
            Some("pd") => ["anat", "PDw"],
            Some("t2s") => ["anat", "T2starw"],
            Some("flair") => ["anat", "FLAIR"],
            Some("dir") => ["anat", "DIR"],
            Some("dwi") => ["dwi", "dwi"],
            _ => ["anat", "T1w"],
        },
        acquired: Acquired::Mr {
            sequence: facts.scanning_sequence,
            variant: facts.sequence_variant,
            volumetric: facts.acquisition_type == "3D",
            tr_ms: facts.repetition_time_ms,
            te_ms: facts.echo_time_ms,
            ti_ms: facts.inversion_times_ms.first().copied(),
            flip_deg: facts.flip_angle_deg,
            field_tesla: facts.magnetic_field_strength_tesla,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_words_or_counts() {
        assert_eq!(findings("healthy").unwrap(), (NONE, 0.5));
        assert_eq!(findings("tumours=2+infarcts=1").unwrap().0, Findings { tumours: 2, infarcts: 1, ..NONE });
        let silent = Findings { hypometabolism: 1, silent_hypometabolism: 2, ..NONE };
        assert_eq!(findings("hypometabolism=1+silent-hypometabolism=2+atrophy=0.25").unwrap(), (silent, 0.25));
        for word in ["", "flu", "tumours", "tumours=many", "tumours=-1", "flu=1", "atrophy=much"] {
            let message = findings(word).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("no condition of a head {word}: expected one of healthy,")),
                "{message}"
            );
        }
    }
}

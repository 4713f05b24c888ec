use std::collections::BTreeMap;

use crate::head::region::REFERENCE;
use crate::head::region_name;
use crate::{HEAD_LABELS, HEAD_REGIONS, Head, HeadBiology, HeadFinding, Hypometabolism, Pose};

/// Everything that is exactly known of one head, for a table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct HeadTruth {
    /// The numbers of the subject.
    pub biology: HeadBiology,
    /// How the head lies.
    pub pose: Pose,
    /// The findings.
    pub findings: Vec<HeadFinding>,
    /// Regions with lowered uptake.
    pub hypometabolism: Vec<Hypometabolism>,
    /// Volume of every label within the truth, mm³, by name; labels without a voxel are left out.
    pub volume_mm3: BTreeMap<&'static str, f64>,
    /// Volume of every region within the truth, mm³, by name; regions without a voxel are left out.
    pub region_mm3: BTreeMap<&'static str, f64>,
    /// Uptake of every region, SUV.
    pub suv: BTreeMap<&'static str, f64>,
    /// Uptake of every region relative to cerebellar grey matter.
    pub suvr: BTreeMap<&'static str, f64>,
}

pub(crate) fn label_name(number: u8) -> &'static str {
    HEAD_LABELS.iter().find(|(n, _)| *n == i32::from(number)).map_or("outside", |(_, name)| name)
}

/// The healthy label that a region consists of.
fn label_of_region(region: u8) -> u8 {
    use crate::head::substance::label;
    match region {
        9 => label::CAUDATE,
        10 => label::PUTAMEN,
        11 => label::PALLIDUM,
        12 => label::THALAMUS,
        13 => label::WHITE,
        14 => label::CEREBELLAR_GREY,
        15 => label::BRAINSTEM,
        _ => label::GREY,
    }
}

impl Head {
    /// The table row of the subject. Uptakes are those of the whole head: they do not depend on the field of view.
    pub fn truth(&self) -> HeadTruth {
        let volume = self.geometry.voxel_volume_mm3();
        let (mut labels, mut regions) = ([0u64; 256], [0u64; 256]);
        for (&substance, &region) in self.substance.iter().zip(&self.region) {
            labels[usize::from(self.table[usize::from(substance)].label)] += 1;
            regions[usize::from(region)] += 1;
        }
        let filled = |counts: &[u64; 256], name: fn(u8) -> &'static str| {
            let rows = (1..=255u8).filter(|&n| counts[usize::from(n)] > 0);
            rows.map(|n| (name(n), counts[usize::from(n)] as f64 * volume)).collect()
        };
        let suv_of = |region: u8| self.suv(label_of_region(region), region);
        let by_region = |scale: f64| {
            let rows = HEAD_REGIONS.iter().map(|&(number, name)| (name, suv_of(number as u8) * scale));
            rows.collect::<BTreeMap<_, _>>()
        };
        HeadTruth {
            biology: self.biology.clone(),
            pose: self.settings.pose,
            findings: self.findings.clone(),
            hypometabolism: self.hypometabolism.clone(),
            volume_mm3: filled(&labels, label_name),
            region_mm3: filled(&regions, region_name),
            suv: by_region(1.0),
            suvr: by_region(1.0 / suv_of(REFERENCE)),
        }
    }
}

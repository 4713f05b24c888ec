use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::Error;
use crate::head::shape::{Shape, Site};
use crate::head::substance::{Substance, label};
use crate::random::{Purpose, between, keyed};

/// How many findings of each kind a head has; none by default.
///
/// A finding is keyed by its kind and number, so one more of a kind leaves the others of it where they are, and the
/// healthy anatomy is the same with any findings but the cortex that goes with [`Findings::hypometabolism`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Findings {
    /// Plaques of multiple sclerosis beside the lateral ventricles.
    pub periventricular_plaques: u32,
    /// Plaques in the white matter just under the cortex.
    pub juxtacortical_plaques: u32,
    /// Plaques within the cortex.
    pub cortical_plaques: u32,
    /// Gliomas: necrosis within an enhancing rim, with oedema around.
    pub tumours: u32,
    /// Small enhancing balls with a little oedema.
    pub metastases: u32,
    /// Acute infarcts of cortex and white matter.
    pub infarcts: u32,
    /// Acute haemorrhages of the deep brain.
    pub haemorrhages: u32,
    /// Calcifications of the deep nuclei.
    pub calcifications: u32,
    /// Regions of the temporal and parietal cortex with lowered uptake and a thinner cortex, as
    /// [`crate::HeadSettings::atrophy`] says.
    pub hypometabolism: u32,
    /// Further such regions with lowered uptake alone, of which MR and CT show nothing; 4 at most with the others.
    pub silent_hypometabolism: u32,
}

/// What a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// See [`Findings::periventricular_plaques`].
    PeriventricularPlaque,
    /// See [`Findings::juxtacortical_plaques`].
    JuxtacorticalPlaque,
    /// See [`Findings::cortical_plaques`].
    CorticalPlaque,
    /// See [`Findings::tumours`].
    Tumour,
    /// See [`Findings::metastases`].
    Metastasis,
    /// See [`Findings::infarcts`].
    Infarct,
    /// See [`Findings::haemorrhages`].
    Haemorrhage,
    /// See [`Findings::calcifications`].
    Calcification,
}

impl FindingKind {
    /// The kind in one word or two, as it is serialised.
    pub fn name(self) -> &'static str {
        match self {
            Self::PeriventricularPlaque => "periventricular-plaque",
            Self::JuxtacorticalPlaque => "juxtacortical-plaque",
            Self::CorticalPlaque => "cortical-plaque",
            Self::Tumour => "tumour",
            Self::Metastasis => "metastasis",
            Self::Infarct => "infarct",
            Self::Haemorrhage => "haemorrhage",
            Self::Calcification => "calcification",
        }
    }
}

/// One shell of a finding: the voxels that lie below `level` and above the level of the shell before it.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    pub(crate) substance: Substance,
    /// Outer surface, in radii of the finding.
    pub(crate) level: f64,
    /// Labels that the shell replaces.
    pub(crate) over: &'static [u8],
}

/// A finding with its place and tissues, in the head's frame.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) kind: FindingKind,
    pub(crate) center: [f64; 3],
    /// Half axes of the surface of level 1, mm.
    half: [f64; 3],
    /// Amplitude of the surface's roughness, in levels.
    rough: f64,
    /// From the inside out.
    pub(crate) shells: Vec<Shell>,
}

const BRAIN: &[u8] = &[label::GREY, label::WHITE, label::CAUDATE, label::PUTAMEN, label::PALLIDUM, label::THALAMUS];
const WHITE: &[u8] = &[label::WHITE];

impl Finding {
    /// The shell that covers a healthy site of this label at a point of the head's frame.
    pub(crate) fn shell_at(&self, point: [f64; 3], healthy: u8, shape: &Shape) -> Option<usize> {
        let level = (0..3).map(|a| ((point[a] - self.center[a]) / self.half[a]).powi(2)).sum::<f64>().sqrt();
        let outer = self.shells.last().map_or(0.0, |shell| shell.level);
        if level >= outer * (1.0 + 2.0 * self.rough) {
            return None;
        }
        let level = level / (1.0 + self.rough * shape.roughness(point));
        let shell = self.shells.iter().position(|shell| level < shell.level)?;
        self.shells[shell].over.contains(&healthy).then_some(shell)
    }

    /// Mean of the half axes, mm.
    pub(crate) fn radius_mm(&self) -> f64 {
        self.half.iter().product::<f64>().cbrt()
    }

    /// Distance from the centre that no part of the finding passes, mm.
    fn reach_mm(&self) -> f64 {
        let outer = self.shells.last().map_or(0.0, |shell| shell.level);
        self.half.iter().fold(0.0, |a: f64, &b| a.max(b)) * outer * (1.0 + 2.0 * self.rough)
    }
}

/// Places all findings where they belong, apart from one another, with centres in `range_mm` of the head's z.
///
/// # Errors
/// [`Error::NoRoom`] for the first one without a place, [`Error::TooManyFindings`] when there are more than a label map
/// of bytes can tell apart.
pub(crate) fn place(
    seed: u64,
    subject: u32,
    findings: &Findings,
    range_mm: [f64; 2],
    shape: &Shape,
    table: &[Substance],
) -> Result<Vec<Finding>, Error> {
    let rows = [
        (FindingKind::Tumour, findings.tumours),
        (FindingKind::Infarct, findings.infarcts),
        (FindingKind::Haemorrhage, findings.haemorrhages),
        (FindingKind::Metastasis, findings.metastases),
        (FindingKind::Calcification, findings.calcifications),
        (FindingKind::PeriventricularPlaque, findings.periventricular_plaques),
        (FindingKind::JuxtacorticalPlaque, findings.juxtacortical_plaques),
        (FindingKind::CorticalPlaque, findings.cortical_plaques),
    ];
    let found = rows.iter().map(|(_, count)| *count as usize).sum();
    let expected = usize::from(u8::MAX) - table.len();
    if found > expected {
        return Err(Error::TooManyFindings { expected, found });
    }
    let mut placed: Vec<Finding> = Vec::new();
    for (kind, count) in rows {
        for number in 0..count {
            let key = (kind as u32) << 16 | number;
            let random = &mut keyed(seed, subject, Purpose::Finding(key), 0, 0);
            let mut finding = draw(kind, random, table);
            let found = (0..TRIES).any(|_| {
                finding.center = candidate(random, range_mm);
                let apart = placed.iter().all(|other| {
                    let gap: f64 = (0..3).map(|a| (other.center[a] - finding.center[a]).powi(2)).sum::<f64>().sqrt();
                    gap > other.reach_mm() + finding.reach_mm()
                });
                apart && belongs(&finding, &shape.site(finding.center))
            });
            if !found {
                return Err(Error::NoRoom { finding: kind, placed: number, expected: count });
            }
            placed.push(finding);
        }
    }
    Ok(placed)
}

const TRIES: usize = 20_000;

/// A point of the brain's box.
fn candidate(random: &mut ChaCha8Rng, range_mm: [f64; 2]) -> [f64; 3] {
    [between(random, -64.0, 64.0), between(random, -76.0, 76.0), between(random, range_mm[0], range_mm[1])]
}

/// Whether the centre of a finding may lie at a site.
fn belongs(finding: &Finding, site: &Site) -> bool {
    let radius = finding.radius_mm();
    let white = site.label == label::WHITE;
    match finding.kind {
        FindingKind::PeriventricularPlaque => white && site.ventricle_mm < 0.5 * radius + 1.5,
        FindingKind::JuxtacorticalPlaque => white && site.pial_mm < 4.5,
        FindingKind::CorticalPlaque => site.label == label::GREY && (0.8..2.2).contains(&site.pial_mm),
        FindingKind::Tumour => white && site.pial_mm > 6.0 && site.ventricle_mm > 4.0,
        FindingKind::Metastasis => white && site.pial_mm < 9.0 && site.ventricle_mm > 8.0,
        FindingKind::Infarct => white && site.pial_mm < 7.0 && site.ventricle_mm > 12.0,
        FindingKind::Haemorrhage => {
            matches!(site.label, label::PUTAMEN | label::THALAMUS) || (white && site.pial_mm > 9.0)
        }
        FindingKind::Calcification => matches!(site.label, label::PALLIDUM | label::PUTAMEN | label::CAUDATE),
    }
}

/// Draws size and tissues of a finding.
fn draw(kind: FindingKind, random: &mut ChaCha8Rng, table: &[Substance]) -> Finding {
    let of = |number: u8| table[usize::from(number)];
    let radius = match kind {
        FindingKind::PeriventricularPlaque => between(random, 2.6, 5.5),
        FindingKind::JuxtacorticalPlaque => between(random, 2.2, 4.2),
        FindingKind::CorticalPlaque => between(random, 2.2, 3.8),
        FindingKind::Tumour => between(random, 8.0, 16.0),
        FindingKind::Metastasis => between(random, 2.5, 5.5),
        FindingKind::Infarct => between(random, 11.0, 20.0),
        FindingKind::Haemorrhage => between(random, 8.0, 15.0),
        FindingKind::Calcification => between(random, 2.0, 3.6),
    };
    let half: [f64; 3] = std::array::from_fn(|_| radius * between(random, 0.82, 1.2));
    let shell = |substance, level, over| Shell { substance, level, over };
    let shells = match kind {
        FindingKind::PeriventricularPlaque | FindingKind::JuxtacorticalPlaque => {
            vec![shell(of(label::PLAQUE), 1.0, WHITE)]
        }
        // A plaque of the cortex is less different from it than one of white matter.
        FindingKind::CorticalPlaque => {
            let plaque = Substance { t1_ms: 1200.0, t1_power: 0.313, t2_ms: 128.0, pd: 0.86, ..of(label::PLAQUE) };
            vec![shell(plaque, 1.0, &[label::GREY])]
        }
        FindingKind::Tumour => {
            let rim = Substance { gadolinium_mm: between(random, 0.3, 0.9), ..of(label::ENHANCING) };
            vec![
                shell(of(label::NECROSIS), between(random, 0.4, 0.75), BRAIN),
                shell(rim, 1.0, BRAIN),
                shell(of(label::OEDEMA), between(random, 1.25, 1.9), WHITE),
            ]
        }
        FindingKind::Metastasis => {
            let ball = Substance { gadolinium_mm: between(random, 0.4, 0.9), ..of(label::ENHANCING) };
            vec![shell(ball, 1.0, BRAIN), shell(of(label::OEDEMA), between(random, 1.2, 1.8), WHITE)]
        }
        FindingKind::Infarct => vec![shell(of(label::INFARCT), 1.0, &[label::GREY, label::WHITE])],
        FindingKind::Haemorrhage => {
            let blood = Substance { hu: between(random, 56.0, 78.0), ..of(label::HAEMORRHAGE) };
            vec![shell(blood, 1.0, BRAIN), shell(of(label::OEDEMA), between(random, 1.1, 1.3), WHITE)]
        }
        FindingKind::Calcification => {
            let stone = Substance { hu: between(random, 140.0, 420.0), ..of(label::CALCIFICATION) };
            vec![shell(stone, 1.0, BRAIN)]
        }
    };
    Finding { kind, center: [0.0; 3], half, rough: 0.1, shells }
}

/// Lowered uptake of a region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Lowered {
    /// Number in [`crate::HEAD_REGIONS`].
    pub(crate) region: u8,
    /// Uptake relative to the healthy region.
    pub(crate) factor: f64,
    /// Share of the thickness of the cortex that is lost.
    pub(crate) thinning: f64,
}

/// Draws different regions of `from` for the lowered uptake of the findings, those with a thinner cortex first.
pub(crate) fn lowered(seed: u64, subject: u32, findings: &Findings, atrophy: f64, from: &[u8]) -> Vec<Lowered> {
    let random = &mut keyed(seed, subject, Purpose::Finding(u32::MAX), 0, 0);
    let mut left = from.to_vec();
    let Findings { hypometabolism: linked, silent_hypometabolism: silent, .. } = *findings;
    (0..linked.saturating_add(silent).min(from.len() as u32))
        .map(|number| {
            let region = left.swap_remove(random.random_range(0..left.len()));
            let factor = between(random, 0.55, 0.8);
            Lowered { region, factor, thinning: if number < linked { atrophy * (1.0 - factor) } else { 0.0 } }
        })
        .collect()
}

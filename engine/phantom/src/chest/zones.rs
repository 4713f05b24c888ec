use crate::chest::biology::Pattern;
use crate::chest::plan::{LUNG_FLOOR_MM, Lungs};
use crate::texture::RandomField;

/// Number of the first pattern's random field.
const FIRST_FIELD: u32 = 1100;

/// Widths of the random fields that shape a zone, mm.
const FIELD_MM: f64 = 34.0;

/// Number, width (mm) and weight of the finer field that roughens every zone's border.
const ROUGH_FIELD: u32 = 1110;
const ROUGH_MM: f64 = 11.0;
const ROUGHNESS: f64 = 0.3;

/// Height of the lungs' apex, mm.
const LUNG_TOP_MM: f64 = 145.0;

/// Distance of the points on which thresholds are found, mm.
const LATTICE_MM: f64 = 6.0;

/// Where the patterns of interstitial disease lie: each where its score is highest, as much as its extent says.
pub(crate) struct Zones {
    /// Pattern, field and threshold of those that are present, in the order in which they claim their place.
    claims: Vec<(Pattern, RandomField, f64)>,
    rough: RandomField,
}

/// What a voxel of the lung belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) pattern: Option<Pattern>,
    /// Distance to the pleura, mm.
    pub(crate) depth_mm: f64,
}

impl Zones {
    /// Draws the zones. Thresholds are quantiles of the scores over a lattice in both lungs, whatever a grid looks at.
    pub(crate) fn new(seed: u64, subject: u32, extents: [f64; 5], lungs: &Lungs) -> Self {
        let field = |which, width_mm| RandomField::new(seed, subject, which, [LUNG_FLOOR_MM, LUNG_TOP_MM], width_mm);
        let mut zones = Self { claims: Vec::new(), rough: field(ROUGH_FIELD, ROUGH_MM) };
        if extents.iter().all(|&extent| extent == 0.0) {
            return zones;
        }
        let mut free = lattice(lungs);
        let all = free.len() as f64;
        for ((which, pattern), extent) in (FIRST_FIELD..).zip(Pattern::ALL).zip(extents) {
            if extent == 0.0 {
                continue;
            }
            let field = field(which, FIELD_MM);
            let mut scored: Vec<(f64, ([f64; 3], f64))> = free
                .into_iter()
                .map(|(point, depth)| {
                    let [smooth, rough] = [&field, &zones.rough].map(|f| f.row(&point[..1], point[1], point[2])[0]);
                    (score(pattern, chance(smooth, rough), point, depth), (point, depth))
                })
                .collect();
            scored.sort_by(|a, b| b.0.total_cmp(&a.0));
            let claimed = ((extent * all).round() as usize).min(scored.len().saturating_sub(1));
            let threshold = scored.get(claimed).map_or(f64::INFINITY, |(score, _)| *score);
            free = scored.split_off(claimed).into_iter().map(|(_, place)| place).collect();
            zones.claims.push((pattern, field, threshold));
        }
        zones
    }

    /// Whether no pattern is present.
    pub(crate) fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }

    /// The places at every `xs` of the row (y, z).
    pub(crate) fn row(&self, lungs: &Lungs, xs: &[f64], y: f64, z: f64) -> Vec<Place> {
        let fields: Vec<Vec<f32>> = self.claims.iter().map(|(_, field, _)| field.row(xs, y, z)).collect();
        let rough = self.rough.row(xs, y, z);
        xs.iter()
            .enumerate()
            .map(|(i, &x)| {
                let depth_mm = lungs.depth_mm([x, y, z]);
                let claim = self.claims.iter().zip(&fields).find(|((pattern, _, threshold), field)| {
                    score(*pattern, chance(field[i], rough[i]), [x, y, z], depth_mm) > *threshold
                });
                Place { pattern: claim.map(|((pattern, _, _), _)| *pattern), depth_mm }
            })
            .collect()
    }
}

/// Points in both lungs with their distance to the pleura.
fn lattice(lungs: &Lungs) -> Vec<([f64; 3], f64)> {
    let steps =
        |[low, high]: [f64; 2]| (0..((high - low) / LATTICE_MM) as usize).map(move |i| low + i as f64 * LATTICE_MM);
    lungs
        .shapes
        .iter()
        .flat_map(|shape| {
            let [bx, by, bz] = shape.bounds(1.0);
            steps(bz).flat_map(move |z| steps(by).flat_map(move |y| steps(bx).map(move |x| [x, y, z])))
        })
        .filter(|&point| lungs.contain(point, 0.0))
        .map(|point| (point, lungs.depth_mm(point)))
        .collect()
}

fn chance(smooth: f32, rough: f32) -> f64 {
    f64::from(smooth) + ROUGHNESS * f64::from(rough)
}

/// How much a place suits a pattern: chance, nearness to the pleura, base or apex, back or front.
fn score(pattern: Pattern, chance: f64, [_, y, z]: [f64; 3], depth_mm: f64) -> f64 {
    let near = |reach_mm: f64| (-depth_mm.max(0.0) / reach_mm).exp();
    let (base, back) = (-z / 150.0, y / 90.0);
    match pattern {
        Pattern::Honeycombing => chance + 4.0 * near(10.0) + 1.3 * base + 0.7 * back,
        Pattern::Reticulation => chance + 2.6 * near(14.0) + 0.9 * base,
        Pattern::Consolidation => chance + 0.6 * base + 0.8 * back,
        Pattern::GroundGlass => chance + 0.4 * base,
        Pattern::Emphysema => chance - 1.2 * base,
    }
}

use serde::Serialize;

use super::plan;

/// The part of the arterial tree that is imaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Territory {
    /// Circle of Willis with its branches; the origin is the middle of the circle.
    Brain,
    /// Carotid and vertebral arteries; the origin is the middle of the neck at the height of the bifurcations.
    Neck,
}

/// One artery between two branchings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Vessel {
    /// Such as `left-mca-12`.
    pub name: String,
    /// Index of the artery upstream; none for an inlet.
    pub parent: Option<usize>,
    /// Centre line with the flow, LPS mm, about half a millimetre from point to point.
    pub points_mm: Vec<[f64; 3]>,
    /// Inner radius at every point, mm, stenoses included.
    pub radii_mm: Vec<f64>,
    /// Radius of the artery where it is healthy, mm.
    pub radius_mm: f64,
}

/// A narrowing: `r(s) = r₀ (1 - d cos²(π s / L))` over the length `L` around its middle.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stenosis {
    /// Name of the artery.
    pub vessel: String,
    /// Its middle, LPS mm.
    pub point_mm: [f64; 3],
    /// `L`, mm.
    pub length_mm: f64,
    /// `d = 1 - narrowest / healthy diameter`, as the NASCET trial measures it.
    pub degree: f64,
    /// Healthy diameter, mm.
    pub healthy_mm: f64,
    /// Narrowest diameter, mm.
    pub narrowest_mm: f64,
    /// Class of the degree.
    pub class: StenosisClass,
}

/// Degree of a stenosis by the diameter lost (NASCET, N Engl J Med 325, 1991).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StenosisClass {
    /// Below one half.
    Mild,
    /// From one half to below 0.7.
    Moderate,
    /// From 0.7 on.
    Severe,
}

impl StenosisClass {
    /// The class of a degree from 0 to 1.
    pub fn of(degree: f64) -> Self {
        match degree {
            d if d >= 0.7 => Self::Severe,
            d if d >= 0.5 => Self::Moderate,
            _ => Self::Mild,
        }
    }
}

/// A sac at the wall of an artery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aneurysm {
    /// Name of the artery upstream of its neck.
    pub vessel: String,
    /// Centre of the sac, LPS mm.
    pub center_mm: [f64; 3],
    /// Diameter of the sac, mm.
    pub diameter_mm: f64,
}

/// The arteries of one subject in one territory: exact centre lines and diameters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VesselTree {
    /// What is shown of the subject.
    pub territory: Territory,
    /// All arteries, each behind its parent.
    pub vessels: Vec<Vessel>,
    /// Narrowings.
    pub stenoses: Vec<Stenosis>,
    /// Sacs.
    pub aneurysms: Vec<Aneurysm>,
}

/// Draws the arteries of one subject.
///
/// The large arteries follow fixed points that are moved at random; the small ones leave their ends by forks whose radii
/// obey Murray's law, `r₀³ = r₁³ + r₂³`, and whose angles cost least work (Murray, Proc Natl Acad Sci 12, 1926, and J Gen
/// Physiol 9, 1926). Some subjects have stenoses and aneurysms, some have none.
///
/// ```
/// use isoscan_phantom::{Territory, vessel_tree};
/// let tree = vessel_tree(1, 0, Territory::Brain);
/// assert!(tree.vessels.iter().filter(|vessel| vessel.parent.is_none()).count() == 4);
/// ```
pub fn vessel_tree(seed: u64, subject: u32, territory: Territory) -> VesselTree {
    plan::draw(seed, subject, territory)
}

impl Vessel {
    /// Length of the centre line, mm.
    pub fn length_mm(&self) -> f64 {
        self.points_mm.windows(2).map(|pair| distance(pair[0], pair[1])).sum()
    }

    /// Last point and the direction of the flow there.
    pub(crate) fn end(&self) -> ([f64; 3], [f64; 3]) {
        let last = self.points_mm[self.points_mm.len() - 1];
        let before = self.points_mm[self.points_mm.len().saturating_sub(3)];
        (last, unit(minus(last, before)))
    }
}

impl VesselTree {
    /// Columns of a truth row: counts, lengths, the worst narrowing and sac, and the internal carotids' narrowings.
    pub(crate) fn columns(&self) -> Vec<(&'static str, f64)> {
        let of = |site: &str| self.stenoses.iter().find(|s| s.vessel == site).map_or(0.0, |stenosis| stenosis.degree);
        vec![
            ("arteries", self.vessels.len() as f64),
            ("arteries_length_mm", self.vessels.iter().map(Vessel::length_mm).sum()),
            ("stenoses", self.stenoses.len() as f64),
            ("worst_stenosis_degree", self.stenoses.iter().map(|stenosis| stenosis.degree).fold(0.0, f64::max)),
            ("left_ica_stenosis_degree", of("left-ica")),
            ("right_ica_stenosis_degree", of("right-ica")),
            ("aneurysms", self.aneurysms.len() as f64),
            ("largest_aneurysm_mm", self.aneurysms.iter().map(|sac| sac.diameter_mm).fold(0.0, f64::max)),
        ]
    }

    /// The tree in the scanner when the subject was moved by `motion` (new from old place).
    pub(crate) fn moved(&self, motion: impl Fn([f64; 3]) -> [f64; 3]) -> Self {
        let mut tree = self.clone();
        for vessel in &mut tree.vessels {
            vessel.points_mm.iter_mut().for_each(|point| *point = motion(*point));
        }
        tree.stenoses.iter_mut().for_each(|stenosis| stenosis.point_mm = motion(stenosis.point_mm));
        tree.aneurysms.iter_mut().for_each(|sac| sac.center_mm = motion(sac.center_mm));
        tree
    }
}

pub(crate) fn minus(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] - b[i])
}

/// `a + t·b`.
pub(crate) fn along(a: [f64; 3], t: f64, b: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| a[i] + t * b[i])
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(a: [f64; 3]) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    norm(minus(a, b))
}

/// The direction of a vector; x for none.
pub(crate) fn unit(a: [f64; 3]) -> [f64; 3] {
    let length = norm(a);
    if length > 0.0 { a.map(|v| v / length) } else { [1.0, 0.0, 0.0] }
}

pub(crate) fn cross([a, b, c]: [f64; 3], [d, e, f]: [f64; 3]) -> [f64; 3] {
    [b * f - c * e, c * d - a * f, a * e - b * d]
}

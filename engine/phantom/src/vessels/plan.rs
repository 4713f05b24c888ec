use std::f64::consts::{PI, TAU};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::tree::{
    Aneurysm, Stenosis, StenosisClass, Territory, Vessel, VesselTree, along, cross, distance, dot, minus, norm, unit,
};
use crate::random::{Purpose, between, keyed};

/// Distance of neighbours on a centre line, mm.
const STEP_MM: f64 = 0.5;

/// Arteries below this radius are not drawn, mm.
const SMALLEST_MM: f64 = 0.35;

/// Half axes of the brain around the circle of Willis' middle, and how far above it the brain's own middle lies, mm.
pub(crate) const BRAIN_HALF_MM: [f64; 3] = [64.0, 80.0, 58.0];
pub(crate) const BRAIN_CENTER_MM: [f64; 3] = [0.0, 8.0, 22.0];

pub(crate) fn draw(seed: u64, subject: u32, territory: Territory) -> VesselTree {
    let which = match territory {
        Territory::Brain => 0,
        Territory::Neck => 1,
    };
    let mut random = keyed(seed, subject, Purpose::Vessels(which), 0, 0);
    let mut tree = VesselTree { territory, vessels: Vec::new(), stenoses: Vec::new(), aneurysms: Vec::new() };
    match territory {
        Territory::Brain => brain(&mut tree, &mut random),
        Territory::Neck => neck(&mut tree, &mut random),
    }
    tree
}

/// Murray's law: the radii of two branches that take the shares `share` and `1 - share` of the flow.
pub(crate) fn branch_radii(parent_mm: f64, share: f64) -> [f64; 2] {
    [share, 1.0 - share].map(|share| parent_mm * share.cbrt())
}

/// The angles from the parent's direction, rad, of two branches that cost least work:
/// `cos θ₁ = (r₀⁴ + r₁⁴ - r₂⁴) / (2 r₀² r₁²)`.
pub(crate) fn branch_angles(parent_mm: f64, [first, second]: [f64; 2]) -> [f64; 2] {
    let angle = |own: f64, other: f64| {
        let cos = (parent_mm.powi(4) + own.powi(4) - other.powi(4)) / (2.0 * parent_mm.powi(2) * own.powi(2));
        cos.clamp(-1.0, 1.0).acos()
    };
    [angle(first, second), angle(second, first)]
}

/// Carotids, vertebrals and basilar, the circle's arteries, and forks behind them.
fn brain(tree: &mut VesselTree, random: &mut ChaCha8Rng) {
    let carotid_mm = between(random, 2.1, 2.6);
    let vertebral_mm = between(random, 1.3, 1.7);
    let mut crowns = Vec::new();
    for (side, name) in SIDES {
        let at = |x: f64, y: f64, z: f64| [side * x, y, z];
        let start = at(23.0, 6.0, -42.0);
        let siphon = [at(21.0, 3.0, -30.0), at(25.0, -2.0, -19.0), at(15.0, -6.0, -13.0), at(14.0, -14.0, -8.0)];
        let rest = wandered(random, &[&siphon[..], &[at(13.0, -9.0, -3.0), at(12.5, -5.0, 1.0)]].concat(), 1.2);
        let carotid = tree.add(format!("{name}-ica"), None, carotid_mm, &[&[start][..], &rest].concat());
        let [mca_mm, aca_mm] = branch_radii(carotid_mm, between(random, 0.58, 0.68));
        let mca = wandered(random, &[at(19.0, -6.0, 3.0), at(27.0, -5.0, 2.0), at(35.0, -2.0, 4.0)], 1.0);
        let aca = [at(8.0, -12.0, 3.0), at(3.5, -19.0, 4.0), at(2.5, -25.0, 12.0), at(2.5, -27.0, 26.0)];
        let aca = wandered(random, &aca, 0.5);
        crowns.push(tree.add_behind(format!("{name}-mca"), carotid, mca_mm, &mca));
        crowns.push(tree.add_behind(format!("{name}-aca"), carotid, aca_mm, &aca));
    }
    let join = [between(random, -1.0, 1.0), 9.0 + between(random, -1.0, 1.0), -26.0 + between(random, -3.0, 3.0)];
    for (side, name) in SIDES {
        let middle = wandered(random, &[[side * 9.0, 14.0, -34.0]], 0.6);
        let path = [[side * 14.0, 20.0, -42.0], middle[0], join];
        tree.add(format!("{name}-vertebral"), None, vertebral_mm, &path);
    }
    let basilar_mm = (2.0 * vertebral_mm.powi(3)).cbrt();
    let tip = wandered(random, &[[0.0, 6.5, -15.0], [0.0, 6.0, -5.0]], 0.5);
    let basilar = tree.add_behind("basilar".to_owned(), tree.vessels.len() - 1, basilar_mm, &tip);
    for (side, name) in SIDES {
        let path = [[side * 9.0, 8.0, -3.0], [side * 17.0, 17.0, -2.0], [side * 19.0, 30.0, 2.0]];
        let path = wandered(random, &path, 0.8);
        crowns.push(tree.add_behind(format!("{name}-pca"), basilar, branch_radii(basilar_mm, 0.5)[0], &path));
    }
    crowns.into_iter().for_each(|crown| fork(tree, random, crown, 0));
    brain_lesions(tree, random);
}

const SIDES: [(f64, &str); 2] = [(1.0, "left"), (-1.0, "right")];

/// Two branches behind the end of an artery, and theirs, until they are too thin.
fn fork(tree: &mut VesselTree, random: &mut ChaCha8Rng, parent: usize, depth: usize) {
    const DEEPEST: usize = 5;
    let radius_mm = tree.vessels[parent].radius_mm;
    let radii = branch_radii(radius_mm, between(random, 0.35, 0.65));
    let angles = branch_angles(radius_mm, radii);
    let (start, direction) = tree.vessels[parent].end();
    let side = perpendicular(direction, between(random, 0.0, TAU));
    for (n, sign) in [(0, 1.0), (1, -1.0)] {
        let length_mm = radii[n].max(0.6) * between(random, 9.0, 16.0);
        let leaving = along(direction.map(|v| v * angles[n].cos()), sign * angles[n].sin(), side);
        let middle = along(start, 0.4 * length_mm, leaving);
        let bent = kept_inside(middle, unit(along(leaving, 0.35, unit(random_vector(random)))), length_mm);
        if radii[n] < SMALLEST_MM || depth > DEEPEST {
            continue;
        }
        let name = format!("{}-{}", tree.vessels[parent].name, n + 1);
        let child = tree.add_behind(name, parent, radii[n], &[middle, along(middle, 0.6 * length_mm, bent)]);
        fork(tree, random, child, depth + 1);
    }
}

/// The direction, turned along the brain's surface where a step of `length_mm` would leave it.
fn kept_inside(at: [f64; 3], direction: [f64; 3], length_mm: f64) -> [f64; 3] {
    let level =
        |point: [f64; 3]| (0..3).map(|a| ((point[a] - BRAIN_CENTER_MM[a]) / BRAIN_HALF_MM[a]).powi(2)).sum::<f64>();
    let end = along(at, length_mm, direction);
    if level(end) < 0.9 {
        return direction;
    }
    let outward = unit(std::array::from_fn(|a| (end[a] - BRAIN_CENTER_MM[a]) / BRAIN_HALF_MM[a].powi(2)));
    let tangent = along(direction, -dot(direction, outward), outward);
    unit(along(unit(tangent), -0.35, outward))
}

/// Up to two sacs where the circle's arteries branch, up to two narrowings.
fn brain_lesions(tree: &mut VesselTree, random: &mut ChaCha8Rng) {
    for site in chosen(random, &["left-ica", "right-ica", "left-mca", "right-mca", "basilar"], 2) {
        let (radius, turn) = (between(random, 1.5, 4.5), between(random, 0.0, TAU));
        let Some(vessel) = tree.vessels.iter().find(|vessel| vessel.name == site) else { continue };
        let (end, direction) = vessel.end();
        let away = unit(along(direction, 0.6, perpendicular(direction, turn)));
        let center_mm = along(end, radius + 0.3 * vessel.radius_mm, away);
        tree.aneurysms.push(Aneurysm { vessel: site.to_owned(), center_mm, diameter_mm: 2.0 * radius });
    }
    for site in chosen(random, &["left-mca", "right-mca", "left-pca", "right-pca", "basilar"], 2) {
        let (share, degree) = (between(random, 0.3, 0.7), between(random, 0.3, 0.85));
        narrow(tree, site, share, between(random, 3.0, 7.0), degree);
    }
}

/// Carotids with their bifurcation and the first branches of the external one, and vertebrals.
fn neck(tree: &mut VesselTree, random: &mut ChaCha8Rng) {
    const END_MM: f64 = 160.0;
    for (side, name) in SIDES {
        let (common_mm, height) = (between(random, 2.8, 3.6), between(random, -8.0, 8.0));
        let at = |x: f64, y: f64, z: f64| [side * x, y, z];
        let common = wandered(random, &[at(22.0, 0.0, -70.0), at(25.0, -3.0, -30.0), at(26.0, -4.0, height)], 1.5);
        let common = [&[at(20.0, 2.0, -END_MM)][..], &common].concat();
        let carotid = tree.add(format!("{name}-cca"), None, common_mm, &common);
        let [internal_mm, external_mm] = branch_radii(common_mm, between(random, 0.6, 0.68));
        let up = |x: f64, y: f64, z: f64| at(x, y, height + z);
        let internal = [up(30.0, 0.0, 9.0), up(31.0, 3.0, 25.0), up(30.0, 4.0, 60.0), at(27.0, 4.0, END_MM)];
        let external = [up(24.0, -10.0, 9.0), up(26.0, -13.0, 24.0), up(34.0, -12.0, 60.0), at(40.0, -8.0, END_MM)];
        let (internal, external) = (wandered(random, &internal, 1.0), wandered(random, &external, 1.0));
        let site = tree.add_behind(format!("{name}-ica"), carotid, internal_mm, &internal);
        let external = tree.add_behind(format!("{name}-eca"), carotid, external_mm, &external);
        for (branch, way) in [("facial", [14.0, -22.0, 16.0]), ("lingual", [-8.0, -20.0, 8.0])] {
            let points = &tree.vessels[external].points_mm;
            let start = points[(between(random, 16.0, 30.0) / STEP_MM) as usize % points.len()];
            let middle = wandered(random, &[along(start, 0.5, [side * way[0], way[1], way[2]])], 1.0);
            let path = [start, middle[0], along(start, 1.0, [side * way[0], way[1], way[2]])];
            tree.add(format!("{name}-{branch}"), Some(external), branch_radii(external_mm, 0.25)[0], &path);
        }
        let vertebral_mm = between(random, 1.4, 2.0);
        let path = [at(14.0, 14.0, -END_MM), at(15.0, 12.0, 0.0), at(14.0, 14.0, END_MM)];
        tree.add(format!("{name}-vertebral"), None, vertebral_mm, &path);
        let (place_mm, length_mm) = (between(random, 6.0, 12.0), between(random, 8.0, 16.0));
        let degree = between(random, 0.2, 0.9);
        if random.random_bool(0.6) {
            let share = place_mm / tree.vessels[site].length_mm();
            narrow(tree, &format!("{name}-ica"), share, length_mm, degree);
        }
    }
}

/// Narrows an artery around the place at `share` of its length.
fn narrow(tree: &mut VesselTree, site: &str, share: f64, length_mm: f64, degree: f64) {
    let Some(vessel) = tree.vessels.iter_mut().find(|vessel| vessel.name == site) else { return };
    let middle_mm = share * vessel.length_mm();
    let mut travelled_mm = 0.0;
    let mut nearest = (f64::INFINITY, vessel.points_mm[0]);
    for i in 0..vessel.points_mm.len() {
        if i > 0 {
            travelled_mm += distance(vessel.points_mm[i - 1], vessel.points_mm[i]);
        }
        let off_mm = travelled_mm - middle_mm;
        if off_mm.abs() < nearest.0 {
            nearest = (off_mm.abs(), vessel.points_mm[i]);
        }
        vessel.radii_mm[i] *= 1.0 - degree * bell(off_mm / length_mm);
    }
    tree.stenoses.push(Stenosis {
        vessel: site.to_owned(),
        point_mm: nearest.1,
        length_mm,
        degree,
        healthy_mm: 2.0 * vessel.radius_mm,
        narrowest_mm: 2.0 * vessel.radius_mm * (1.0 - degree),
        class: StenosisClass::of(degree),
    });
}

/// `cos²(π t)` within half a length of the middle, 0 outside.
fn bell(t: f64) -> f64 {
    if t.abs() < 0.5 { (PI * t).cos().powi(2) } else { 0.0 }
}

impl VesselTree {
    /// Adds an artery through the given points; gives its index.
    fn add(&mut self, name: String, parent: Option<usize>, radius_mm: f64, through: &[[f64; 3]]) -> usize {
        let points_mm = smooth(through);
        let radii_mm = vec![radius_mm; points_mm.len()];
        self.vessels.push(Vessel { name, parent, points_mm, radii_mm, radius_mm });
        self.vessels.len() - 1
    }

    /// Adds an artery from the end of its parent on.
    fn add_behind(&mut self, name: String, parent: usize, radius_mm: f64, through: &[[f64; 3]]) -> usize {
        let (start, _) = self.vessels[parent].end();
        self.add(name, Some(parent), radius_mm, &[&[start][..], through].concat())
    }
}

/// The points, each coordinate moved by up to `wander_mm`.
fn wandered(random: &mut ChaCha8Rng, points: &[[f64; 3]], wander_mm: f64) -> Vec<[f64; 3]> {
    points.iter().map(|point| point.map(|v| v + between(random, -wander_mm, wander_mm))).collect()
}

/// Up to `most` of the sites, any number as likely, in their order.
fn chosen<'a>(random: &mut ChaCha8Rng, sites: &[&'a str], most: usize) -> Vec<&'a str> {
    let count = random.random_range(0..=most);
    let mut drawn: Vec<(f64, usize)> = (0..sites.len()).map(|i| (random.random::<f64>(), i)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut indices: Vec<usize> = drawn.into_iter().take(count).map(|(_, i)| i).collect();
    indices.sort_unstable();
    indices.into_iter().map(|i| sites[i]).collect()
}

fn random_vector(random: &mut ChaCha8Rng) -> [f64; 3] {
    std::array::from_fn(|_| between(random, -1.0, 1.0))
}

/// A unit vector across `direction`, turned about it by `turn_rad`.
fn perpendicular(direction: [f64; 3], turn_rad: f64) -> [f64; 3] {
    let other = if direction[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [0.0, 1.0, 0.0] };
    let first = unit(cross(direction, other));
    let second = cross(direction, first);
    along(first.map(|v| v * turn_rad.cos()), turn_rad.sin(), second)
}

/// A Catmull-Rom curve through the points, in steps of about [`STEP_MM`].
fn smooth(knots: &[[f64; 3]]) -> Vec<[f64; 3]> {
    let Some((first, last)) = knots.first().zip(knots.last()) else { return Vec::new() };
    let at = |i: isize| knots[i.clamp(0, knots.len() as isize - 1) as usize];
    let mut points = vec![*first];
    for i in 0..knots.len() as isize - 1 {
        let [before, from, to, behind] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        let steps = (norm(minus(to, from)) / STEP_MM).ceil().max(1.0) as usize;
        points.extend((1..=steps).map(|step| {
            let t = step as f64 / steps as f64;
            std::array::from_fn(|a| {
                let slope = [0.5 * (to[a] - before[a]), 0.5 * (behind[a] - from[a])];
                let rise = to[a] - from[a];
                let (square, cube) = (t * t, t * t * t);
                from[a]
                    + slope[0] * (t - 2.0 * square + cube)
                    + rise * (3.0 * square - 2.0 * cube)
                    + slope[1] * (cube - square)
            })
        }));
    }
    if let Some(end) = points.last_mut() {
        *end = *last;
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_branches_have_the_radius_and_angle_of_murray() {
        // r₁ = r₀ / 2^(1/3) and cos θ = r₀² / (2 r₁²) = 2^(2/3) / 2, an angle of 37.5 degrees.
        let radii = branch_radii(2.0, 0.5);
        assert!((radii[0] - 2.0 / 2f64.cbrt()).abs() < 1e-12 && radii[0] == radii[1]);
        let angles = branch_angles(2.0, radii);
        assert!((angles[0].cos() - 2f64.powf(2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert!((angles[0].to_degrees() - 37.467).abs() < 0.01);
        assert!(branch_angles(2.0, branch_radii(2.0, 0.9))[0] < angles[0], "the thicker branch turns less");
    }

    #[test]
    fn every_fork_of_every_subject_obeys_murray_and_joins_its_parent() {
        for subject in 0..6 {
            let tree = draw(5, subject, Territory::Brain);
            let mut pairs = 0;
            for (index, parent) in tree.vessels.iter().enumerate() {
                let children: Vec<&Vessel> = tree.vessels.iter().filter(|v| v.parent == Some(index)).collect();
                for child in &children {
                    assert_eq!(child.points_mm[0], *parent.points_mm.last().unwrap(), "{}", child.name);
                }
                if let [first, second] = children[..] {
                    pairs += 1;
                    let sum = first.radius_mm.powi(3) + second.radius_mm.powi(3);
                    assert!((sum / parent.radius_mm.powi(3) - 1.0).abs() < 1e-9, "{}", parent.name);
                }
            }
            assert!(pairs > 30, "{pairs} forks");
        }
    }

    #[test]
    fn steps_of_a_centre_line_are_short_and_its_ends_exact() {
        let knots = [[0.0; 3], [10.0, 4.0, 0.0], [20.0, 0.0, 5.0]];
        let points = smooth(&knots);
        assert_eq!((points[0], *points.last().unwrap()), (knots[0], knots[2]));
        assert!(points.contains(&knots[1]));
        assert!(points.windows(2).all(|pair| distance(pair[0], pair[1]) < 1.5 * STEP_MM));
    }

    #[test]
    fn a_narrowing_takes_its_degree_of_the_diameter_at_its_middle() {
        let mut tree = draw(1, 0, Territory::Neck);
        tree.stenoses.clear();
        let artery = |tree: &VesselTree| tree.vessels.iter().find(|v| v.name == "left-cca").unwrap().clone();
        narrow(&mut tree, "left-cca", 0.5, 10.0, 0.6);
        let narrowed = artery(&tree);
        let narrowest = narrowed.radii_mm.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((narrowest / narrowed.radius_mm - 0.4).abs() < 0.01);
        assert_eq!(tree.stenoses[0].class, StenosisClass::Moderate);
        assert!((tree.stenoses[0].narrowest_mm / tree.stenoses[0].healthy_mm - 0.4).abs() < 1e-12);
        let changed = narrowed.radii_mm.iter().filter(|r| **r < narrowed.radius_mm).count();
        assert!((18..=24).contains(&changed), "{changed} points about half a millimetre apart");
    }

    #[test]
    fn a_cohort_has_every_class_of_carotid_and_sacs_and_none() {
        let necks: Vec<VesselTree> = (0..24).map(|subject| draw(2, subject, Territory::Neck)).collect();
        let of = |class| necks.iter().flat_map(|tree| &tree.stenoses).filter(|s| s.class == class).count();
        assert!(of(StenosisClass::Mild) > 2 && of(StenosisClass::Moderate) > 2 && of(StenosisClass::Severe) > 2);
        assert!(necks.iter().any(|tree| tree.stenoses.is_empty()));
        let sacs: Vec<usize> = (0..24).map(|subject| draw(2, subject, Territory::Brain).aneurysms.len()).collect();
        assert!([0, 1, 2].iter().all(|count| sacs.contains(count)), "{sacs:?}");
    }
}

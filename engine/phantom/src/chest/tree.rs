use crate::random::between;
use rand_chacha::ChaCha8Rng;

/// Radius of a vessel that feeds one leaf, mm.
const LEAF_MM: f64 = 0.62;

/// Weight of the way already gone against the way to go when a new branch chooses its parent.
const PATH_WEIGHT: f64 = 0.55;

/// One straight piece of a vessel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    pub(crate) from: [f64; 3],
    pub(crate) to: [f64; 3],
    pub(crate) radius: f64,
}

/// A tree from `root` to `leaves` random points of `region`: points join in the order of their distance from the root,
/// each at the node that makes the way short; radii follow Murray's law, `r³ = Σ r³` of what a branch feeds
/// (Murray, PNAS 12, 1926).
pub(crate) fn tree(
    root: [f64; 3],
    leaves: usize,
    bounds: [[f64; 2]; 3],
    region: impl Fn([f64; 3]) -> bool,
    random: &mut ChaCha8Rng,
) -> Vec<Branch> {
    let mut points = scattered(leaves, bounds, region, random);
    points.sort_by(|a, b| distance(root, *a).total_cmp(&distance(root, *b)));
    let mut nodes = vec![(root, 0usize, 0.0)];
    for point in points {
        let cost = |node: &([f64; 3], usize, f64)| distance(node.0, point) + PATH_WEIGHT * node.2;
        let best = (0..nodes.len()).min_by(|a, b| cost(&nodes[*a]).total_cmp(&cost(&nodes[*b]))).unwrap_or(0);
        let way = nodes[best].2 + distance(nodes[best].0, point);
        nodes.push((point, best, way));
    }
    let mut flow = vec![1.0f64; nodes.len()];
    for node in (1..nodes.len()).rev() {
        flow[nodes[node].1] += flow[node];
    }
    (1..nodes.len())
        .map(|n| Branch { from: nodes[nodes[n].1].0, to: nodes[n].0, radius: LEAF_MM * flow[n].cbrt() })
        .collect()
}

/// Uniform points of the region; fewer where it is too small a part of its bounds.
fn scattered(
    count: usize,
    bounds: [[f64; 2]; 3],
    region: impl Fn([f64; 3]) -> bool,
    random: &mut ChaCha8Rng,
) -> Vec<[f64; 3]> {
    let mut points = Vec::with_capacity(count);
    for _ in 0..20 * count {
        let point = bounds.map(|[low, high]| between(random, low, high));
        if region(point) {
            points.push(point);
        }
        if points.len() == count {
            break;
        }
    }
    points
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, keyed};

    #[test]
    fn cubes_of_the_radii_that_leave_the_root_sum_to_those_of_all_leaves() {
        let random = &mut keyed(1, 0, Purpose::Anatomy, 0, 0);
        let branches = tree([0.0; 3], 150, [[0.0, 80.0]; 3], |p| distance(p, [0.0; 3]) < 80.0, random);
        assert_eq!(branches.len(), 150);
        let trunks: f64 = branches.iter().filter(|b| b.from == [0.0; 3]).map(|b| b.radius.powi(3)).sum();
        assert!((trunks / (150.0 * LEAF_MM.powi(3)) - 1.0).abs() < 1e-9);
        let thin = branches.iter().filter(|b| b.radius < 1.01 * LEAF_MM).count();
        assert!(thin > 40 && thin < 150, "{thin} ends");
        assert!(branches.iter().all(|b| distance(b.to, [0.0; 3]) < 80.0));
    }
}

use super::tree::{VesselTree, distance};

/// Time since the blood entered the slab between two heights (LPS z, mm), s, for every point of every artery; 0 outside.
///
/// The mean velocity is `per_radius · r`, as Murray's law has it: flow goes with the cube of the radius, the cross
/// section with its square. Blood that leaves the slab keeps the time it spent there.
pub(crate) fn transit_s(tree: &VesselTree, slab_mm: [f64; 2], velocity_per_radius: f64) -> Vec<Vec<f64>> {
    let mut times: Vec<Vec<f64>> = Vec::with_capacity(tree.vessels.len());
    for vessel in &tree.vessels {
        let upstream = vessel.parent.and_then(|parent| {
            let points = &tree.vessels[parent].points_mm;
            let near = |i: &usize| distance(points[*i], vessel.points_mm[0]);
            let joint = (0..points.len()).min_by(|a, b| near(a).total_cmp(&near(b)))?;
            times.get(parent)?.get(joint).copied()
        });
        let mut time = upstream.unwrap_or(0.0);
        let mut own = vec![time];
        for pair in vessel.points_mm.windows(2) {
            if (slab_mm[0]..=slab_mm[1]).contains(&pair[1][2]) {
                time += distance(pair[0], pair[1]) / (velocity_per_radius * vessel.radius_mm);
            }
            own.push(time);
        }
        times.push(own);
    }
    times
}

/// Longitudinal magnetisation, as a share of that in equilibrium, before a pulse when spins that came fresh have already
/// felt `pulses` of them: `M = m + (1 - m)(E₁ cos α)ⁿ` with the steady state `m = (1 - E₁)/(1 - E₁ cos α)` and
/// `E₁ = exp(-TR/T1)` (Haacke et al., *Magnetic Resonance Imaging*, 1999, sections 18.1 and 24.1).
pub(crate) fn inflow_magnetisation(pulses: f64, flip_rad: f64, tr_over_t1: f64) -> f64 {
    let e1 = (-tr_over_t1).exp();
    let steady = (1.0 - e1) / (1.0 - e1 * flip_rad.cos());
    steady + (1.0 - steady) * (e1 * flip_rad.cos()).max(0.0).powf(pulses)
}

#[cfg(test)]
mod tests {
    use super::super::tree::{Territory, Vessel};
    use super::*;

    #[test]
    fn fresh_blood_is_whole_and_old_blood_in_the_steady_state() {
        let (flip, ratio) = (20f64.to_radians(), 23.0 / 1650.0);
        assert_eq!(inflow_magnetisation(0.0, flip, ratio), 1.0);
        let e1 = (-ratio).exp();
        let steady = (1.0 - e1) / (1.0 - e1 * flip.cos());
        assert!((inflow_magnetisation(1e4, flip, ratio) - steady).abs() < 1e-12);
        // One pulse leaves cos α, and the rest recovers by 1 - E₁.
        let once = 1.0 - e1 + e1 * flip.cos();
        assert!((inflow_magnetisation(1.0, flip, ratio) - once).abs() < 1e-12);
    }

    #[test]
    fn blood_ages_by_path_over_velocity_inside_the_slab_only() {
        let straight = |name: &str, parent, from: f64, to: f64, radius: f64| Vessel {
            name: name.into(),
            parent,
            points_mm: (0..=100).map(|i| [0.0, 0.0, from + (to - from) * f64::from(i) / 100.0]).collect(),
            radii_mm: vec![radius; 101],
            radius_mm: radius,
        };
        let tree = VesselTree {
            territory: Territory::Brain,
            vessels: vec![straight("a", None, -50.0, 0.0, 2.0), straight("b", Some(0), 0.0, 50.0, 1.0)],
            stenoses: vec![],
            aneurysms: vec![],
        };
        let times = transit_s(&tree, [-30.0, 30.0], 100.0);
        assert_eq!(times[0][0], 0.0);
        assert!((times[0][100] - 30.0 / 200.0).abs() < 3e-3);
        assert!((times[1][100] - (30.0 / 200.0 + 30.0 / 100.0)).abs() < 6e-3);
    }
}

use crate::intensity::finite_values;
use crate::{Error, Mask, Modality, Volume, dilate, erode, fill_holes, intersection, largest_component};

/// The voxels with `low <= x <= high`; NaN is outside.
pub fn threshold(volume: &Volume, low: f32, high: f32) -> Mask {
    let inside = volume.voxels().mapv(|v| low <= v && v <= high);
    Mask::new(inside, volume.geometry().clone()).expect("one bool per voxel")
}

/// Bins of Otsu's histogram.
const BINS: usize = 256;

/// Otsu's threshold: the intensity that parts the finite voxels into two classes of largest between-class variance; see
/// [`otsu_levels`]. Voxels above the threshold are the brighter class.
///
/// # Errors
/// [`Error::FlatIntensities`] when the volume has no two different finite values.
pub fn otsu(volume: &Volume) -> Result<f32, Error> {
    Ok(otsu_levels(volume, 2)?[0])
}

/// The `classes - 1` intensities, rising, that part the finite voxels into classes of largest between-class variance.
///
/// Over a histogram of 256 equal bins from minimum to maximum; with `P_c` the share of class `c` and `S_c` its sum of
/// bin numbers times shares, it maximizes `Σ_c S_c² / P_c` and gives the upper edge of the last bin of each class but
/// the brightest; of equal maxima the one with the lowest thresholds. N. Otsu, IEEE Trans. SMC 9 (1979) 62-66, eq. 18;
/// P.-S. Liao et al., J. Inf. Sci. Eng. 17 (2001) 713-727, eq. 14.
///
/// # Errors
/// [`Error::FlatIntensities`] when the volume has no two different finite values, [`Error::InvalidArgument`] for fewer
/// than 2 or more than 16 classes.
pub fn otsu_levels(volume: &Volume, classes: usize) -> Result<Vec<f32>, Error> {
    if !(2..=16).contains(&classes) {
        return Err(Error::InvalidArgument { name: "classes", expected: "2 to 16", found: classes.to_string() });
    }
    let values = finite_values(volume, None)?;
    let low = f64::from(values.iter().copied().fold(f32::INFINITY, f32::min));
    let high = f64::from(values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    if low >= high {
        return Err(Error::FlatIntensities { value: values.first().copied().unwrap_or(f32::NAN) });
    }
    let width = (high - low) / BINS as f64;
    let mut histogram = [0u64; BINS];
    for value in values.iter() {
        histogram[(((f64::from(*value) - low) / width) as usize).min(BINS - 1)] += 1;
    }
    Ok(best_cuts(&histogram, classes).into_iter().map(|cut| (low + cut as f64 * width) as f32).collect())
}

/// The first bins of the classes 1, 2, ... of the best parting.
fn best_cuts(histogram: &[u64; BINS], classes: usize) -> Vec<usize> {
    let (mut share, mut moment) = ([0.0; BINS + 1], [0.0; BINS + 1]);
    for (bin, &n) in histogram.iter().enumerate() {
        share[bin + 1] = share[bin] + n as f64;
        moment[bin + 1] = moment[bin] + bin as f64 * n as f64;
    }
    let spread = |from: usize, to: usize| {
        let (p, s) = (share[to] - share[from], moment[to] - moment[from]);
        if p > 0.0 { s * s / p } else { 0.0 }
    };
    // best[c][to]: the largest sum for the bins before `to` in c + 1 classes, and where the last of them begins.
    let mut best: Vec<Vec<(f64, usize)>> = vec![(0..=BINS).map(|to| (spread(0, to), 0)).collect()];
    for c in 1..classes {
        let mut row = vec![(f64::NEG_INFINITY, 0); BINS + 1];
        for (to, found) in row.iter_mut().enumerate().skip(c + 1) {
            for (from, (before, _)) in best[c - 1].iter().enumerate().take(to).skip(c) {
                let sum = before + spread(from, to);
                // Room for rounding, so that equal partings tie.
                if sum > found.0 * (1.0 + 1e-14) || found.0 == f64::NEG_INFINITY {
                    *found = (sum, from);
                }
            }
        }
        best.push(row);
    }
    let mut cuts = Vec::with_capacity(classes - 1);
    let mut to = BINS;
    for c in (1..classes).rev() {
        to = best[c][to].1;
        cuts.push(to);
    }
    cuts.reverse();
    cuts
}

/// Density between air and every tissue, foam pads on the side of air, HU.
const AIR_HU: f32 = -300.0;
/// Half the thickness that a shell of a table or head holder stays below, mm.
const SHELL_MM: f64 = 4.0;

/// The patient without the air around, and for CT without table and head holder; of several pieces the largest, with the
/// holes of every axial slice filled.
///
/// For CT the voxels above -300 HU. What no ball of 4 mm radius fits into is cut off first, so that a table that touches
/// the patient is another piece; of that, what lies within 4 mm of the patient comes back, such as an ear. Where less
/// than half of the filled piece would remain (a hollow phantom, a mouse), nothing is cut off.
///
/// For other modalities the voxels above [`otsu`]'s threshold of `ln(1 + 10 (x - min) / (mean - min))`, in which neither
/// a tumour in PET nor a near coil in MR outweighs the step from air to tissue. A linear change of the intensities does
/// not change the mask.
///
/// # Errors
/// [`Error::FlatIntensities`] when another modality than CT has no two different finite values, [`Error::EmptyMask`] when
/// a CT holds nothing denser than -300 HU.
pub fn body(volume: &Volume) -> Result<Mask, Error> {
    let is_ct = volume.modality() == Modality::Ct;
    let level = if is_ct { AIR_HU } else { air_level(volume)? };
    let dense = threshold(volume, level.next_up(), f32::INFINITY);
    dense.require_any()?;
    let whole = fill_holes(&largest_component(&dense));
    if !is_ct {
        return Ok(whole);
    }
    let without_table = fill_holes(&thick_piece(&dense)?);
    Ok(if 2 * without_table.count() < whole.count() { whole } else { without_table })
}

/// The largest piece that a ball of [`SHELL_MM`] fits into, and what is near it.
fn thick_piece(dense: &Mask) -> Result<Mask, Error> {
    let core = largest_component(&erode(dense, SHELL_MM)?);
    Ok(largest_component(&intersection(&dilate(&core, 2.0 * SHELL_MM)?, dense)?))
}

/// The intensity between air and tissue; see [`body`].
fn air_level(volume: &Volume) -> Result<f32, Error> {
    let values = finite_values(volume, None)?;
    let low = f64::from(values.iter().copied().fold(f32::INFINITY, f32::min));
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    if values.is_empty() || mean <= low {
        return Err(Error::FlatIntensities { value: values.first().copied().unwrap_or(f32::NAN) });
    }
    let bend = (mean - low) / 10.0;
    let level = otsu(&volume.map(|v| ((f64::from(v) - low) / bend).ln_1p() as f32))?;
    Ok((low + bend * f64::from(level).exp_m1()) as f32)
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{Geometry, Unit};

    fn volume(size: [usize; 3], modality: Modality, value: impl Fn([usize; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned(size, [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k]));
        Volume::new(voxels, geometry, modality, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn both_ends_of_a_threshold_are_inside_and_nan_is_not() {
        let row = [1.0, 2.0, 3.0, f32::NAN, 4.0];
        let source = volume([5, 1, 1], Modality::Mr, |[i, _, _]| row[i]);
        let found = threshold(&source, 2.0, 3.0);
        assert_eq!(found.inside().as_slice().unwrap(), [false, true, true, false, false]);
        assert_eq!(threshold(&source, 5.0, 1.0).count(), 0);
    }

    #[test]
    fn otsu_parts_two_groups() {
        // 0, 1, 2 and 254, 255, 256: bins of width 1, best cut behind bin 2 (the first of the equal maxima).
        let row = [0.0, 1.0, 2.0, 254.0, 255.0, 256.0, f32::NAN];
        let source = volume([7, 1, 1], Modality::Mr, |[i, _, _]| row[i]);
        assert_eq!(otsu(&source), Ok(3.0));
    }

    #[test]
    fn three_groups_have_two_thresholds() {
        let row = [0.0, 2.0, 100.0, 102.0, 254.0, 256.0];
        let source = volume([6, 1, 1], Modality::Mr, |[i, _, _]| row[i]);
        assert_eq!(otsu_levels(&source, 3), Ok(vec![3.0, 103.0]));
        assert_eq!(otsu_levels(&source, 2), Ok(vec![otsu(&source).unwrap()]));
        for classes in [0, 1, 17] {
            assert!(matches!(otsu_levels(&source, classes), Err(Error::InvalidArgument { .. })));
        }
    }

    #[test]
    fn one_value_has_no_threshold() {
        for value in [5.0, f32::NAN] {
            let source = volume([3, 1, 1], Modality::Mr, |_| value);
            assert!(matches!(otsu(&source), Err(Error::FlatIntensities { .. })));
            assert!(matches!(body(&source), Err(Error::FlatIntensities { .. })));
        }
    }

    #[test]
    fn the_body_is_filled_and_free_of_the_table() {
        // A 6x6 ring of tissue around lung, in 3 slices, and a table line below it.
        let tissue = |[i, j, _]: [usize; 3]| match (i, j) {
            (1..=6, 1 | 6) | (1 | 6, 1..=6) => 40.0,
            (2..=5, 2..=5) => -850.0,
            (_, 8) => 100.0,
            _ => -1000.0,
        };
        let found = body(&volume([9, 9, 3], Modality::Ct, tissue)).unwrap();
        assert_eq!(found.count(), 36 * 3);
        assert_eq!(found.bounding_box(), Some(([1, 1, 0], [6, 6, 3])));
    }

    /// Twice the shared voxels over the sum of both.
    fn dice(found: &Mask, truth: &Mask) -> f64 {
        2.0 * intersection(found, truth).unwrap().count() as f64 / (found.count() + truth.count()) as f64
    }

    /// A trunk of 240 x 160 mm with two lungs at 4 mm, above it a table of two shells that touches it.
    fn trunk(modality: Modality, of: impl Fn(&str, [f64; 3]) -> f32) -> Volume {
        volume_4mm([80, 64, 12], modality, |p| {
            let [x, y, _] = p;
            let within = |cx: f64, cy: f64, a: f64, b: f64| ((x - cx) / a).powi(2) + ((y - cy) / b).powi(2) <= 1.0;
            let part = match () {
                () if within(100.0, 130.0, 30.0, 45.0) || within(220.0, 130.0, 30.0, 45.0) => "lung",
                () if within(160.0, 160.0, 8.0, 8.0) => "tumour",
                () if within(160.0, 130.0, 120.0, 80.0) => "tissue",
                () if (208.0..212.0).contains(&y) || (232.0..236.0).contains(&y) => "shell",
                () => "air",
            };
            of(part, p)
        })
    }

    fn volume_4mm(size: [usize; 3], modality: Modality, value: impl Fn([f64; 3]) -> f32) -> Volume {
        let geometry = Geometry::axis_aligned(size, [4.0; 3]).unwrap();
        let voxels =
            Array3::from_shape_fn((size[2], size[1], size[0]), |(k, j, i)| value([i, j, k].map(|n| 4.0 * n as f64)));
        Volume::new(voxels, geometry, modality, Unit::Arbitrary).unwrap()
    }

    #[test]
    fn one_trunk_has_one_body_in_ct_mr_and_pet() {
        let ripple = |[x, y, z]: [f64; 3]| (x * 1.7).sin() * (y * 2.3).sin() * (z * 0.9).cos();
        let truth = trunk(Modality::Mr, |part, _| if matches!(part, "air" | "shell") { 0.0 } else { 1.0 });
        let truth = threshold(&truth, 0.5, 1.5);
        let ct = trunk(Modality::Ct, |part, p| {
            let density = match part {
                "air" => -1000.0,
                "lung" => -850.0,
                "shell" => 0.0,
                _ => 40.0,
            };
            density + 20.0 * ripple(p) as f32
        });
        // A coil at the left: 1.9 times to 0.3 times the signal.
        let mr = trunk(Modality::Mr, |part, p| {
            let signal = match part {
                "air" | "shell" => 8.0,
                "lung" => 40.0,
                "tumour" => 900.0,
                _ => 400.0,
            };
            (signal * (1.9 - p[0] / 200.0) + 6.0 * ripple(p)) as f32
        });
        let pet = trunk(Modality::Pt, |part, p| {
            let uptake = match part {
                "air" | "shell" => 0.004,
                "lung" => 0.35,
                "tumour" => 60.0,
                _ => 0.9,
            };
            (uptake * (1.0 + 0.5 * ripple(p))) as f32
        });
        for scan in [&ct, &mr, &pet, &pet.map(|v| 3.0 * v - 7.0)] {
            let share = dice(&body(scan).unwrap(), &truth);
            assert!(share > 0.99, "{}: {share}", scan.modality());
        }
        let plain = threshold(&pet, otsu(&pet).unwrap(), f32::INFINITY);
        assert!(dice(&plain, &truth) < 0.1, "the tumour alone");
    }

    #[test]
    fn a_hollow_head_keeps_its_thin_wall() {
        let hollow = volume_4mm([40, 40, 4], Modality::Ct, |[x, y, _]| {
            let radius = (x - 80.0).hypot(y - 80.0);
            if (56.0..=62.0).contains(&radius) || radius < 16.0 { 700.0 } else { -1000.0 }
        });
        let found = body(&hollow).unwrap();
        let disc = std::f64::consts::PI * 15.5 * 15.5 * 4.0;
        assert!((found.count() as f64 / disc - 1.0).abs() < 0.03, "{} voxels of {disc}", found.count());
        assert_eq!(found.bounding_box(), Some(([5, 5, 0], [31, 31, 4])));
    }

    #[test]
    fn a_scan_of_air_has_no_body() {
        let air = volume([3, 3, 3], Modality::Ct, |_| -1000.0);
        assert_eq!(body(&air), Err(Error::EmptyMask { voxels: 27 }));
    }
}

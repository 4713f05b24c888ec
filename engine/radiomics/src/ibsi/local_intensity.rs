//! Local intensity.

use rayon::prelude::*;

use super::{Neighbourhood, Region};
use crate::family::Named;
use crate::table::Outcome;

/// In the order of the reference tables.
pub(crate) const NAMES: [Named; 2] = [("loc_peak_loc", Some("VJGA")), ("loc_peak_glob", Some("0F91"))];

/// Volume of the sphere over which a peak is the mean, mm³.
const SPHERE_MM3: f64 = 1000.0;

/// Peak intensities, IBSI manual 3.2: means over the voxels whose centre lies in a sphere of 1 cm³ around a voxel of the
/// intensity mask, r = (3/4π)^⅓ cm ≈ 6.2 mm, inside the mask or not.
///
/// The local peak is that around the voxel of highest intensity, of equally high ones the highest mean; the global peak is
/// the highest mean around any voxel. Voxels beyond the image, or without a number, are left out of the mean. The sphere
/// always holds its centre, so that both are numbers for every region.
pub(crate) fn features(region: &Region) -> [Outcome; NAMES.len()] {
    let spheres = Spheres::of(&region.neighbourhood, region.spacing_mm);
    let highest = region.intensities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let voxels: Vec<([usize; 3], f64)> =
        region.intensity.voxels().map(|(_, position)| position).zip(region.intensities.iter().copied()).collect();
    let peaks = voxels.par_iter().map(|&(position, intensity)| {
        let mean = spheres.mean_around(position);
        (if intensity == highest { mean } else { f64::NEG_INFINITY }, mean)
    });
    let lowest = || (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (local, global) = peaks.reduce(lowest, |a, b| (a.0.max(b.0), a.1.max(b.1)));
    [Ok(local), Ok(global)]
}

/// Sums over spheres from running sums along x.
struct Spheres<'a> {
    field: &'a Neighbourhood,
    /// Sum and number of the numbers before each voxel of a row, one more than the row has voxels.
    running: Vec<(f64, u32)>,
    /// Offset along y and z of each line of the sphere, and how far the line reaches to both sides along x.
    lines: Vec<([i64; 2], i64)>,
}

impl<'a> Spheres<'a> {
    fn of(field: &'a Neighbourhood, spacing_mm: [f64; 3]) -> Self {
        let nx = field.size[0];
        let mut running = Vec::with_capacity(field.values.len() / nx.max(1) * (nx + 1));
        for row in field.values.chunks_exact(nx.max(1)) {
            let (mut sum, mut count) = (0.0, 0);
            running.push((sum, count));
            running.extend(row.iter().map(|&v| {
                if !v.is_nan() {
                    (sum, count) = (sum + v, count + 1);
                }
                (sum, count)
            }));
        }
        let radius_mm = (3.0 * SPHERE_MM3 / (4.0 * std::f64::consts::PI)).cbrt();
        let reach = spacing_mm.map(|s| (radius_mm / s).floor() as i64);
        let lines = (-reach[2]..=reach[2])
            .flat_map(|z| (-reach[1]..=reach[1]).map(move |y| [y, z]))
            .filter_map(|[y, z]| {
                let across = (y as f64 * spacing_mm[1]).powi(2) + (z as f64 * spacing_mm[2]).powi(2);
                let left = radius_mm * radius_mm - across;
                (left >= 0.0).then(|| ([y, z], (left.sqrt() / spacing_mm[0]).floor() as i64))
            })
            .collect();
        Self { field, running, lines }
    }

    fn mean_around(&self, position: [usize; 3]) -> f64 {
        let [nx, ny, nz] = self.field.size.map(|n| n as i64);
        let [x, y, z]: [i64; 3] = std::array::from_fn(|a| position[a] as i64 - self.field.first[a] as i64);
        let (mut sum, mut count) = (0.0, 0);
        for ([dy, dz], reach) in &self.lines {
            let (y, z) = (y + dy, z + dz);
            if !(0..ny).contains(&y) || !(0..nz).contains(&z) {
                continue;
            }
            let start = ((z * ny + y) * (nx + 1)) as usize;
            let (first, end) = ((x - reach).clamp(0, nx) as usize, (x + reach + 1).clamp(0, nx) as usize);
            let (before, after) = (self.running[start + first], self.running[start + end]);
            sum += after.0 - before.0;
            count += after.1 - before.1;
        }
        sum / f64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region_of;
    use super::*;

    /// Spheres of radius 6.2 mm reach two voxels of a line at 3 mm, cut at the image's border. Around the three nines lie
    /// means of 27/4, 35/5 and 25/3; around the fourth voxel 9 9 8 8 9.
    #[test]
    fn spheres_end_with_the_image() {
        let mut region = region_of([6, 1, 1], &[1.0, 9.0, 9.0, 8.0, 8.0, 9.0]);
        region.spacing_mm = [3.0; 3];
        assert_eq!(features(&region), [Ok(25.0 / 3.0), Ok(43.0 / 5.0)]);
    }

    #[test]
    fn voxels_without_a_number_are_left_out() {
        let mut region = region_of([3, 1, 1], &[1.0, 5.0, 3.0]);
        region.neighbourhood =
            Neighbourhood { first: [0; 3], size: [5, 1, 1], values: vec![1.0, 5.0, 3.0, f64::NAN, 7.0] };
        assert_eq!(features(&region), [Ok(4.0), Ok(4.0)]);
    }

    #[test]
    fn one_voxel_alone_is_its_own_peak() {
        assert_eq!(features(&region_of([1, 1, 1], &[5.0])), [Ok(5.0), Ok(5.0)]);
    }
}

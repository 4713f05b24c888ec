//! Local intensity.

use rayon::prelude::*;

use super::{Neighbourhood, Region};
use crate::family::Named;
use crate::roi::Run;
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
    let roi = &region.intensity;
    let mut rest = region.intensities.as_slice();
    let runs: Vec<(Run, &[f64])> = roi
        .runs()
        .map(|run| {
            let (intensities, after) = rest.split_at(run.end - run.start);
            rest = after;
            (run, intensities)
        })
        .collect();
    let lowest = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let higher = |a: (f64, f64), b: (f64, f64)| (a.0.max(b.0), a.1.max(b.1));
    let peaks = runs.par_iter().map_init(Means::default, |means, &(run, intensities)| {
        let (y, z) = (run.row % roi.size[1] + roi.first[1], run.row / roi.size[1] + roi.first[2]);
        let found = means.around(&spheres, [roi.first[0] + run.start, y, z], intensities.len());
        let of_voxel = |(mean, &intensity)| (if intensity == highest { mean } else { f64::NEG_INFINITY }, mean);
        found.zip(intensities).map(of_voxel).fold(lowest, higher)
    });
    let (local, global) = peaks.reduce(|| lowest, higher);
    [Ok(local), Ok(global)]
}

/// Sums over spheres from running sums along x.
struct Spheres<'a> {
    field: &'a Neighbourhood,
    /// Furthest that a line of the sphere reaches along x.
    reach: usize,
    /// Sum of the numbers before each voxel of a row; as far before the row and behind it as a line reaches the first and
    /// the last of them.
    sums: Vec<f64>,
    /// How many numbers these are.
    counts: Vec<u32>,
    /// Offset along y and z of each line of the sphere, and how far the line reaches to both sides along x.
    lines: Vec<([i64; 2], usize)>,
}

impl<'a> Spheres<'a> {
    fn of(field: &'a Neighbourhood, spacing_mm: [f64; 3]) -> Self {
        let radius_mm = (3.0 * SPHERE_MM3 / (4.0 * std::f64::consts::PI)).cbrt();
        let reach = spacing_mm.map(|s| (radius_mm / s).floor() as i64);
        let lines = (-reach[2]..=reach[2])
            .flat_map(|z| (-reach[1]..=reach[1]).map(move |y| [y, z]))
            .filter_map(|[y, z]| {
                let across = (y as f64 * spacing_mm[1]).powi(2) + (z as f64 * spacing_mm[2]).powi(2);
                let left = radius_mm * radius_mm - across;
                // Beyond the image there is nothing to reach.
                (left >= 0.0).then(|| ([y, z], ((left.sqrt() / spacing_mm[0]) as usize).min(field.size[0])))
            })
            .collect();
        let reach = (reach[0] as usize).min(field.size[0]);
        let mut spheres = Self { field, reach, sums: Vec::new(), counts: Vec::new(), lines };
        field.values.chunks_exact(field.size[0].max(1)).for_each(|row| spheres.add_row(row));
        spheres
    }

    fn add_row(&mut self, row: &[f64]) {
        let (mut sum, mut count) = (0.0, 0);
        let before = std::iter::repeat_n(f64::NAN, self.reach + 1);
        for v in before.chain(row.iter().copied()).chain(std::iter::repeat_n(f64::NAN, self.reach)) {
            if !v.is_nan() {
                (sum, count) = (sum + v, count + 1);
            }
            self.sums.push(sum);
            self.counts.push(count);
        }
    }

    /// Numbers of a row of running sums.
    fn width(&self) -> usize {
        self.field.size[0] + 1 + 2 * self.reach
    }
}

/// Means over spheres around the voxels of a row.
#[derive(Default)]
struct Means {
    sums: Vec<f64>,
    counts: Vec<u32>,
}

impl Means {
    /// The means around `length` voxels from one on along x.
    fn around(&mut self, spheres: &Spheres, position: [usize; 3], length: usize) -> impl Iterator<Item = f64> {
        self.sums.clear();
        self.sums.resize(length, 0.0);
        self.counts.clear();
        self.counts.resize(length, 0);
        let [x, y, z]: [i64; 3] = std::array::from_fn(|a| position[a] as i64 - spheres.field.first[a] as i64);
        let [_, ny, nz] = spheres.field.size.map(|n| n as i64);
        for ([dy, dz], reach) in &spheres.lines {
            let (y, z) = (y + dy, z + dz);
            if !(0..ny).contains(&y) || !(0..nz).contains(&z) {
                continue;
            }
            let start = (z * ny + y) as usize * spheres.width() + spheres.reach + x as usize;
            let (before, after) = (start - reach, start + reach + 1);
            let differences = spheres.sums[after..after + length].iter().zip(&spheres.sums[before..before + length]);
            self.sums.iter_mut().zip(differences).for_each(|(sum, (after, before))| *sum += after - before);
            let differences =
                spheres.counts[after..after + length].iter().zip(&spheres.counts[before..before + length]);
            self.counts.iter_mut().zip(differences).for_each(|(count, (after, before))| *count += after - before);
        }
        self.sums.iter().zip(&self.counts).map(|(sum, &count)| sum / f64::from(count))
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

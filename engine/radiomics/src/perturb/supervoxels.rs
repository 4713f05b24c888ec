use rayon::prelude::*;

/// Rounds of assigning voxels to centres and moving the centres.
const ROUNDS: usize = 8;

/// A difference of one standard deviation of the intensities weighs as much as this many edges of a supervoxel.
const INTENSITY_WEIGHT: f64 = 1.0;

#[derive(Clone, Copy, Default)]
struct Centre {
    position_mm: [f64; 3],
    value: f64,
    voxels: f64,
}

/// Cuts a box of voxels (x fastest) into compact parts of like intensity and numbers them, by simple linear iterative
/// clustering: voxels join the nearest of the centres about them in position and intensity, centres move to the mean of
/// their voxels. Centres start on a lattice of `edge_mm`. Some numbers may be unused.
///
/// R. Achanta et al., SLIC superpixels compared to state-of-the-art superpixel methods, IEEE Transactions on Pattern
/// Analysis and Machine Intelligence 34 (2012) 2274-2282.
pub(super) fn supervoxels(values: &[f64], size: [usize; 3], spacing_mm: [f64; 3], edge_mm: f64) -> Vec<u32> {
    let lattice: [usize; 3] =
        std::array::from_fn(|a| ((size[a] as f64 * spacing_mm[a] / edge_mm).round() as usize).clamp(1, size[a]));
    let values = standardised(values);
    let position_mm = |index: usize| -> [f64; 3] {
        let voxel = [index % size[0], index / size[0] % size[1], index / (size[0] * size[1])];
        std::array::from_fn(|a| voxel[a] as f64 * spacing_mm[a])
    };
    let cell = |index: usize| -> [usize; 3] {
        let voxel = [index % size[0], index / size[0] % size[1], index / (size[0] * size[1])];
        std::array::from_fn(|a| voxel[a] * lattice[a] / size[a])
    };
    let number = |[x, y, z]: [usize; 3]| (z * lattice[1] + y) * lattice[0] + x;
    let mut labels: Vec<u32> = (0..values.len()).map(|index| number(cell(index)) as u32).collect();
    for _ in 0..ROUNDS {
        let mut centres = vec![Centre::default(); lattice.iter().product()];
        for (index, &label) in labels.iter().enumerate() {
            let (centre, position) = (&mut centres[label as usize], position_mm(index));
            centre.voxels += 1.0;
            centre.value += values[index];
            (0..3).for_each(|a| centre.position_mm[a] += position[a]);
        }
        let nearest = |index: usize| {
            let (position, home) = (position_mm(index), cell(index));
            let around = |a: usize| home[a].saturating_sub(1)..(home[a] + 2).min(lattice[a]);
            let mut best = (f64::INFINITY, labels[index]);
            for z in around(2) {
                for y in around(1) {
                    for x in around(0) {
                        let label = number([x, y, z]);
                        let centre = &centres[label];
                        if centre.voxels == 0.0 {
                            continue;
                        }
                        let apart = |a: usize| (position[a] - centre.position_mm[a] / centre.voxels) / edge_mm;
                        let unlike = INTENSITY_WEIGHT * (values[index] - centre.value / centre.voxels);
                        let distance = unlike * unlike + (0..3).map(|a| apart(a) * apart(a)).sum::<f64>();
                        if distance < best.0 {
                            best = (distance, label as u32);
                        }
                    }
                }
            }
            best.1
        };
        labels = (0..values.len()).into_par_iter().map(nearest).collect();
    }
    labels
}

/// Intensities with mean 0 and standard deviation 1; 0 for a voxel that is no number, and for all when they do not vary.
fn standardised(values: &[f64]) -> Vec<f64> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let n = finite().count() as f64;
    let mean = finite().sum::<f64>() / n;
    let deviation = (finite().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
    let scale = if deviation > 0.0 { 1.0 / deviation } else { 0.0 };
    values.iter().map(|&v| if v.is_finite() { (v - mean) * scale } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of 20 voxels of 1 mm with an edge at 7 and supervoxels of 10 mm: the border between the two parts moves from
    /// the middle to the edge of the intensities.
    #[test]
    fn parts_follow_the_intensities() {
        let values: Vec<f64> = (0..20).map(|x| if x < 7 { 0.0 } else { 100.0 }).collect();
        let labels = supervoxels(&values, [20, 1, 1], [1.0; 3], 10.0);
        assert_eq!(labels.iter().position(|&label| label == 1), Some(7));
        let flat = supervoxels(&[3.0; 20], [20, 1, 1], [1.0; 3], 10.0);
        assert_eq!(flat.iter().position(|&label| label == 1), Some(10));
    }
}

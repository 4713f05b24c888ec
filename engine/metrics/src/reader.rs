use isoscan_imaging::{Mask, Volume, laplacian_of_gaussian};

use crate::detection::ReadCase;
use crate::similarity::{require_comparable, require_finite};
use crate::{Error, quantile::sorted_quantile};

/// A place that the automatic reader points at.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Voxel x, y, z.
    pub voxel: [usize; 3],
    /// How far the place stands out, in spreads of the response inside the mask.
    pub score: f64,
}

/// What the automatic reader looks for: see [`blob_marks`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BlobCriteria {
    /// Diameter of the blobs, mm.
    pub diameter_mm: f64,
    /// Blobs brighter than their surroundings, or darker ones.
    pub bright: bool,
    /// Most marks of one case.
    pub most: usize,
}

/// An automatic reader: marks the blobs of one size, the most striking first.
///
/// The response is the scale-normalised Laplacian of Gaussian with `σ = d / (2 √D)`, which answers most to a ball of diameter
/// `d` in D dimensions (axes of one voxel do not count). Its maxima among the 26 neighbours and inside the mask are
/// candidates; a candidate closer than `d` to a stronger one is dropped. The score is the response less its median, over
/// 1.4826 times its median absolute deviation inside the mask.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ, the mask is empty or the diameter is no length, [`Error::NotFinite`].
pub fn blob_marks(image: &Volume, mask: &Mask, criteria: &BlobCriteria) -> Result<Vec<Mark>, Error> {
    require_comparable(image, image, Some(mask))?;
    require_finite(image, None)?;
    let size = image.geometry().size();
    let axes = size.iter().filter(|&&n| n > 1).count().max(1) as f64;
    let response = laplacian_of_gaussian(image, criteria.diameter_mm / (2.0 * axes.sqrt()))?;
    let sign = if criteria.bright { -1.0 } else { 1.0 };
    let response = response.voxels().mapv(|value| sign * f64::from(value));
    let inside = mask.inside();
    let mut held: Vec<f64> = response.iter().zip(&inside).filter(|(_, inside)| **inside).map(|(r, _)| *r).collect();
    held.sort_by(f64::total_cmp);
    let middle = sorted_quantile(&held, 0.5);
    let mut deviations: Vec<f64> = held.iter().map(|value| (value - middle).abs()).collect();
    deviations.sort_by(f64::total_cmp);
    let spread = 1.4826 * sorted_quantile(&deviations, 0.5);
    let mut candidates: Vec<Mark> = response
        .indexed_iter()
        .filter(|&((z, y, x), &value)| inside[[z, y, x]] && value > middle && is_peak(&response, [x, y, z], value))
        .map(|((z, y, x), &value)| Mark { voxel: [x, y, z], score: (value - middle) / spread })
        .filter(|mark| mark.score.is_finite())
        .collect();
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Mark> = Vec::new();
    for mark in candidates {
        if kept.len() == criteria.most {
            break;
        }
        if kept.iter().all(|other| distance_mm(image, mark.voxel, other.voxel) >= criteria.diameter_mm) {
            kept.push(mark);
        }
    }
    Ok(kept)
}

/// True when no neighbour is larger, and none before it in the order of the array is equal.
fn is_peak(response: &ndarray::Array3<f64>, [x, y, z]: [usize; 3], value: f64) -> bool {
    let near = |n: usize| n.saturating_sub(1)..=n + 1;
    let neighbours = near(z).flat_map(|k| near(y).flat_map(move |j| near(x).map(move |i| [k, j, i])));
    neighbours.filter(|&place| place != [z, y, x]).all(|place| match response.get(place) {
        None => true,
        Some(&other) if place < [z, y, x] => other < value,
        Some(&other) => other <= value,
    })
}

fn distance_mm(image: &Volume, a: [usize; 3], b: [usize; 3]) -> f64 {
    let place = |voxel: [usize; 3]| image.geometry().world_from_voxel().apply(voxel.map(|n| n as f64));
    let (a, b) = (place(a), place(b));
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

/// Sorts marks into hits and false marks. Every number above 0 in `lesions` is one lesion; a mark hits the nearest lesion
/// with a voxel within `tolerance_mm`. The first mark of a lesion is its hit; further ones on it do not count.
pub fn read_case(marks: &[Mark], lesions: &Volume, tolerance_mm: f64) -> ReadCase {
    let mut voxels: Vec<(i64, [usize; 3])> = Vec::new();
    for ((z, y, x), &label) in lesions.voxels().indexed_iter() {
        if label > 0.0 {
            voxels.push((label as i64, [x, y, z]));
        }
    }
    let mut numbers: Vec<i64> = voxels.iter().map(|(label, _)| *label).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut case = ReadCase { lesions: numbers.len(), ..ReadCase::default() };
    let mut hit: Vec<i64> = Vec::new();
    for mark in marks {
        let distances = voxels.iter().map(|(label, voxel)| (distance_mm(lesions, mark.voxel, *voxel), *label));
        let nearest = distances.min_by(|a, b| a.0.total_cmp(&b.0)).filter(|(distance, _)| *distance <= tolerance_mm);
        match nearest {
            None => case.false_marks.push(mark.score),
            Some((_, label)) if hit.contains(&label) => {}
            Some((_, label)) => {
                hit.push(label);
                case.hits.push(mark.score);
            }
        }
    }
    case
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};
    use ndarray::Array3;

    use super::*;

    const DISCS: BlobCriteria = BlobCriteria { diameter_mm: 6.0, bright: true, most: 5 };

    /// A plane of 40 x 40 pixels of 1 mm with discs of radius 3 at these centres and strengths, on a weak pattern.
    fn plane(discs: &[(f64, f64, f32)]) -> Volume {
        let value = |(_, y, x): (usize, usize, usize)| {
            let pattern = ((x * 7 + y * 5) % 9) as f32 / 9.0;
            let near = |cx: f64, cy: f64| (x as f64 - cx).hypot(y as f64 - cy) <= 3.0;
            discs.iter().filter(|(cx, cy, _)| near(*cx, *cy)).map(|(_, _, strength)| strength).sum::<f32>() + pattern
        };
        let geometry = Geometry::axis_aligned([40, 40, 1], [1.0; 3]).unwrap();
        Volume::new(Array3::from_shape_fn((1, 40, 40), value), geometry, Modality::Dx, Unit::Arbitrary).unwrap()
    }

    fn everywhere(image: &Volume) -> Mask {
        Mask::new(Array3::from_elem((1, 40, 40), true), image.geometry().clone()).unwrap()
    }

    #[test]
    fn discs_are_marked_at_their_centres_by_strength() {
        let image = plane(&[(10.0, 12.0, 20.0), (28.0, 25.0, 40.0)]);
        let marks = blob_marks(&image, &everywhere(&image), &DISCS).unwrap();
        assert_eq!([marks[0].voxel, marks[1].voxel], [[28, 25, 0], [10, 12, 0]]);
        assert!(marks[0].score > marks[1].score && marks[1].score > 3.0 * marks[2].score, "{marks:?}");
        let dark = blob_marks(&image, &everywhere(&image), &BlobCriteria { bright: false, ..DISCS }).unwrap();
        assert!(dark.iter().all(|mark| ![[28, 25, 0], [10, 12, 0]].contains(&mark.voxel)), "{dark:?}");
    }

    #[test]
    fn a_lesion_is_hit_once_and_what_lies_off_is_false() {
        let lesions = plane(&[]).with_voxels(Array3::from_shape_fn((1, 40, 40), |(_, y, x)| match (x, y) {
            (10, 12) => 1.0,
            (28, 25) => 2.0,
            _ => 0.0,
        }));
        let mark = |x, y, score| Mark { voxel: [x, y, 0], score };
        let marks = [mark(11, 12, 9.0), mark(9, 12, 8.0), mark(20, 20, 7.0), mark(28, 28, 6.0)];
        let case = read_case(&marks, &lesions.unwrap(), 2.0);
        assert_eq!(case, ReadCase { lesions: 2, hits: vec![9.0], false_marks: vec![7.0, 6.0] });
    }
}

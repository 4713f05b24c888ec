use std::f64::consts::PI;

use isoscan_imaging::{Mask, Volume, gaussian, signed_distance};
use ndarray::{Array3, Zip};
use rayon::prelude::*;

use crate::Error;
use crate::detection::ReadCase;
use crate::similarity::{require_comparable, require_finite};

/// A place that the automatic reader points at.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// Voxel x, y, z.
    pub voxel: [usize; 3],
    /// How far the place stands out, in spreads of its surroundings.
    pub score: f64,
}

/// What the automatic reader looks for: see [`blob_marks`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BlobCriteria {
    /// Diameter of the smallest blobs, mm.
    pub smallest_mm: f64,
    /// Diameter of the largest blobs, mm.
    pub largest_mm: f64,
    /// Blobs brighter than their surroundings, or darker ones.
    pub bright: bool,
    /// Least distance of a mark to the outside of the mask, mm.
    pub border_mm: f64,
    /// Standard deviation of the Gaussian window that a blob is compared with, mm; several times a blob's size.
    pub surround_mm: f64,
    /// Most marks of one case.
    pub most: usize,
}

/// Ratio of neighbouring diameters: at a diameter between two of them the response is within 10 % of its own.
const DIAMETER_RATIO: f64 = 1.5;

/// An automatic reader: marks the blobs of a range of sizes, the most striking first.
///
/// For every diameter `d = smallest, 1.5 smallest, ...` up to `largest`, with the Hessian `H` of the image smoothed by a
/// Gaussian of `σ = d / (2 √D)`, to which a ball of diameter `d` in D dimensions answers most (axes of one voxel do not
/// count):
///
/// ```text
/// κ  = eigenvalues of -σ² H (bright blobs) or σ² H (dark ones),  κ₁ >= ... >= κ_D
/// b  = κ_D² / κ₁  where κ_D > 0, else 0
/// score = max over d of b / s,   s = standard deviation of κ₁ + ... + κ_D around the voxel
/// ```
///
/// `b` is the dot filter of Q. Li, S. Sone and K. Doi (Med Phys 30 (2003) 2040): it answers to a ball as the Laplacian does
/// and not to a vessel or an edge, whose weakest curvature is none. `s` is taken inside the mask with Gaussian weights of
/// standard deviation `surround_mm`, so that a place stands out less where there is much else: contrast over the
/// complexity of the surroundings (H. L. Kundel and G. Revesz, AJR 126 (1976) 1233). Gain and offset of the image do not
/// matter. Maxima among the 26 neighbours at least `border_mm` inside the mask are candidates; one whose blob would touch
/// that of a stronger one is dropped.
///
/// # Errors
/// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`], [`Error::InvalidArgument`] unless
/// `0 < smallest_mm <= largest_mm`, `surround_mm` is positive and `border_mm` not negative, all finite.
pub fn blob_marks(image: &Volume, mask: &Mask, criteria: &BlobCriteria) -> Result<Vec<Mark>, Error> {
    criteria.check()?;
    require_comparable(image, image, Some(mask))?;
    require_finite(image, None)?;
    let inside = image.with_voxels(mask.inside().mapv(|inside| f32::from(u8::from(inside))))?;
    let nearby = gaussian(&inside, [criteria.surround_mm; 3])?;
    let mut best = Array3::from_elem(inside.voxels().dim(), (0.0, 0.0));
    for diameter_mm in criteria.diameters_mm() {
        let scores = scores(image, &inside, &nearby, diameter_mm, criteria)?;
        Zip::from(&mut best).and(&scores).for_each(|best, &score| {
            if score > best.0 {
                *best = (score, diameter_mm);
            }
        });
    }
    let depth = signed_distance(mask)?;
    let candidates = best.indexed_iter().filter(|&((z, y, x), &(score, _))| {
        let deep = -f64::from(depth.voxels()[[z, y, x]]) >= criteria.border_mm;
        deep && score > 0.0 && is_peak(&best, [x, y, z], score)
    });
    let mut candidates: Vec<(Mark, f64)> =
        candidates.map(|((z, y, x), &(score, diameter_mm))| (Mark { voxel: [x, y, z], score }, diameter_mm)).collect();
    candidates.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
    let mut kept: Vec<(Mark, f64)> = Vec::new();
    for (mark, diameter_mm) in candidates {
        if kept.len() == criteria.most {
            break;
        }
        let apart =
            |other: &(Mark, f64)| distance_mm(image, mark.voxel, other.0.voxel) >= 0.5 * (diameter_mm + other.1);
        if kept.iter().all(apart) {
            kept.push((mark, diameter_mm));
        }
    }
    Ok(kept.into_iter().map(|(mark, _)| mark).collect())
}

impl BlobCriteria {
    fn check(&self) -> Result<(), Error> {
        let largest = self.smallest_mm..=f64::MAX;
        for (name, found, legal, expected) in [
            ("smallest_mm", self.smallest_mm, f64::MIN_POSITIVE..=f64::MAX, "positive"),
            ("largest_mm", self.largest_mm, largest, "at least smallest_mm and finite"),
            ("surround_mm", self.surround_mm, f64::MIN_POSITIVE..=f64::MAX, "positive"),
            ("border_mm", self.border_mm, 0.0..=f64::MAX, "zero or more"),
        ] {
            if !legal.contains(&found) {
                return Err(Error::InvalidArgument { name, expected, found });
            }
        }
        Ok(())
    }

    fn diameters_mm(&self) -> impl Iterator<Item = f64> {
        let largest = self.largest_mm * (1.0 + 1e-9);
        std::iter::successors(Some(self.smallest_mm), |d| Some(d * DIAMETER_RATIO)).take_while(move |d| *d <= largest)
    }
}

/// `b / s` of every voxel inside, 0 outside and where nothing varies; `nearby` is `inside` smoothed by the window.
fn scores(
    image: &Volume,
    inside: &Volume,
    nearby: &Volume,
    diameter_mm: f64,
    criteria: &BlobCriteria,
) -> Result<Array3<f64>, Error> {
    let sign = if criteria.bright { -1.0 } else { 1.0 };
    let curved = curvatures(image, diameter_mm, sign)?;
    let around = |value: fn(f64) -> f64| -> Result<Volume, Error> {
        let values = Zip::from(&curved).and(inside.voxels()).map_collect(|&[_, sum], &i| i * value(sum) as f32);
        Ok(gaussian(&image.with_voxels(values)?, [criteria.surround_mm; 3])?)
    };
    let (means, squares) = (around(|sum| sum)?, around(|sum| sum * sum)?);
    let mut scores = Array3::zeros(curved.dim());
    let moments = means.as_slice().iter().zip(squares.as_slice()).zip(nearby.as_slice());
    let voxels = scores.iter_mut().zip(&curved).zip(inside.as_slice());
    for (((score, &[blob, _]), &inside), ((&mean, &square), &weight)) in voxels.zip(moments) {
        let [mean, square] = [mean, square].map(|sum| f64::from(sum) / f64::from(weight));
        let spread = (square - mean * mean).max(0.0).sqrt();
        if inside > 0.0 && spread > 0.0 {
            *score = blob / spread;
        }
    }
    Ok(scores)
}

/// `b` and `κ₁ + ... + κ_D` of every voxel, from second differences of the smoothed image; the edge is repeated.
fn curvatures(image: &Volume, diameter_mm: f64, sign: f64) -> Result<Array3<[f64; 2]>, Error> {
    let (size, spacing) = (image.geometry().size(), image.geometry().spacing_mm());
    let axes: Vec<usize> = (0..3).filter(|&axis| size[axis] > 1).collect();
    let sigma_mm = diameter_mm / (2.0 * (axes.len().max(1) as f64).sqrt());
    let smooth = gaussian(image, [sigma_mm; 3])?;
    let values = smooth.voxels();
    let at = |voxel: [usize; 3], moves: &[(usize, bool)]| {
        let mut place = voxel;
        for &(axis, up) in moves {
            place[axis] = if up { (voxel[axis] + 1).min(size[axis] - 1) } else { voxel[axis].saturating_sub(1) };
        }
        f64::from(values[[place[2], place[1], place[0]]])
    };
    let curvature = |voxel: [usize; 3], a: usize, b: usize| {
        let difference = if a == b {
            at(voxel, &[(a, true)]) + at(voxel, &[(a, false)]) - 2.0 * at(voxel, &[])
        } else {
            let corner = |up_a, up_b| at(voxel, &[(a, up_a), (b, up_b)]);
            0.25 * (corner(true, true) + corner(false, false) - corner(true, false) - corner(false, true))
        };
        sign * sigma_mm * sigma_mm * difference / (spacing[a] * spacing[b])
    };
    let [columns, rows, _] = size;
    let curved = (0..values.len()).into_par_iter().map(|index| {
        let voxel = [index % columns, index / columns % rows, index / columns / rows];
        let mut hessian = [[0.0; 3]; 3];
        for (&a, &b) in axes.iter().flat_map(|a| axes.iter().map(move |b| (a, b))) {
            hessian[a][b] = curvature(voxel, a, b);
        }
        dot(&hessian, axes.len())
    });
    Ok(Array3::from_shape_vec(values.dim(), curved.collect()).expect("one value per voxel"))
}

/// `κ_D² / κ₁`, or 0, and the trace of a matrix that is 0 outside its `dimensions` axes.
fn dot(hessian: &[[f64; 3]; 3], dimensions: usize) -> [f64; 2] {
    let trace = (0..3).map(|a| hessian[a][a]).sum::<f64>();
    if dimensions == 0 || trace <= 0.0 {
        return [0.0, trace];
    }
    let falling = eigenvalues(hessian);
    let weakest = falling[dimensions - 1];
    [if weakest > 0.0 { weakest * weakest / falling[0] } else { 0.0 }, trace]
}

/// The eigenvalues of a symmetric matrix, largest first (O. K. Smith, Commun ACM 4 (1961) 168).
fn eigenvalues(a: &[[f64; 3]; 3]) -> [f64; 3] {
    let middle = (a[0][0] + a[1][1] + a[2][2]) / 3.0;
    let m: [[f64; 3]; 3] =
        std::array::from_fn(|i| std::array::from_fn(|j| a[i][j] - if i == j { middle } else { 0.0 }));
    let half_width = (m.iter().flatten().map(|v| v * v).sum::<f64>() / 6.0).sqrt();
    if half_width == 0.0 {
        return [middle; 3];
    }
    let minor = |i: usize, j: usize| m[1][i] * m[2][j] - m[1][j] * m[2][i];
    let determinant = m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1);
    let angle = (0.5 * determinant / half_width.powi(3)).clamp(-1.0, 1.0).acos() / 3.0;
    let along = |turn: f64| middle + 2.0 * half_width * (angle + turn).cos();
    let (first, last) = (along(0.0), along(2.0 * PI / 3.0));
    [first, 3.0 * middle - first - last, last]
}

/// True when no neighbour is larger, and none before it in the order of the array is equal.
fn is_peak(best: &Array3<(f64, f64)>, [x, y, z]: [usize; 3], value: f64) -> bool {
    let near = |n: usize| n.saturating_sub(1)..=n + 1;
    let neighbours = near(z).flat_map(|k| near(y).flat_map(move |j| near(x).map(move |i| [k, j, i])));
    neighbours.filter(|&place| place != [z, y, x]).all(|place| match best.get(place) {
        None => true,
        Some(&(other, _)) if place < [z, y, x] => other < value,
        Some(&(other, _)) => other <= value,
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

    use super::*;

    const DISCS: BlobCriteria =
        BlobCriteria { smallest_mm: 6.0, largest_mm: 14.0, bright: true, border_mm: 2.0, surround_mm: 40.0, most: 4 };

    /// A plane of 60 x 60 pixels of 1 mm: a weak pattern, and what `shape` adds to it.
    fn plane(shape: impl Fn(f64, f64) -> f32) -> Volume {
        let value = |(_, y, x): (usize, usize, usize)| ((x * 7 + y * 5) % 9) as f32 / 9.0 + shape(x as f64, y as f64);
        let geometry = Geometry::axis_aligned([60, 60, 1], [1.0; 3]).unwrap();
        Volume::new(Array3::from_shape_fn((1, 60, 60), value), geometry, Modality::Dx, Unit::Arbitrary).unwrap()
    }

    fn disc(x: f64, y: f64, [center_x, center_y]: [f64; 2], diameter: f64) -> bool {
        (x - center_x).hypot(y - center_y) <= 0.5 * diameter
    }

    fn flag(held: bool) -> f32 {
        f32::from(u8::from(held))
    }

    fn marked(image: &Volume, criteria: &BlobCriteria) -> Vec<Mark> {
        let mask = Mask::new(Array3::from_elem((1, 60, 60), true), image.geometry().clone()).unwrap();
        blob_marks(image, &mask, criteria).unwrap()
    }

    #[test]
    fn discs_of_every_size_are_marked_at_their_centres_by_strength() {
        let image =
            plane(|x, y| 20.0 * flag(disc(x, y, [14.0, 16.0], 6.0)) + 40.0 * flag(disc(x, y, [42.0, 38.0], 13.0)));
        let marks = marked(&image, &DISCS);
        assert_eq!([marks[0].voxel, marks[1].voxel], [[42, 38, 0], [14, 16, 0]]);
        assert!(marks[2..].iter().all(|mark| marks[1].score > 3.0 * mark.score), "{marks:?}");
        let dark = marked(&image, &BlobCriteria { bright: false, ..DISCS });
        assert!(dark.iter().all(|mark| ![[42, 38, 0], [14, 16, 0]].contains(&mark.voxel)), "{dark:?}");
    }

    #[test]
    fn vessels_and_edges_are_passed_by_for_a_weaker_disc() {
        let image = plane(|x, y| {
            let vessel = (x - 0.5 * y - 10.0).abs() < 3.0;
            let heart = x > 44.0;
            20.0 * flag(vessel) + 60.0 * flag(heart) + 10.0 * flag(disc(x, y, [9.0, 44.0], 8.0))
        });
        let marks = marked(&image, &BlobCriteria { largest_mm: 8.0, border_mm: 5.0, ..DISCS });
        assert_eq!(marks[0].voxel, [9, 44, 0]);
        assert!(marks[0].score > 1.5 * marks[1].score, "{marks:?}");
    }

    #[test]
    fn gain_and_offset_do_not_matter_and_a_busy_surround_does() {
        let at = |busy: f32| {
            plane(move |x, y| {
                let ripple = busy * (0.9 * x).sin() as f32 * (0.9 * y).cos() as f32;
                20.0 * flag(disc(x, y, [30.0, 30.0], 6.0)) + ripple
            })
        };
        let image = at(0.0);
        let [plain, scaled, busy] =
            [image.clone(), image.map(|v| 0.5 * v - 100.0), at(4.0)].map(|image| marked(&image, &DISCS)[0]);
        assert_eq!([plain.voxel, scaled.voxel, busy.voxel], [[30, 30, 0]; 3]);
        assert!(
            (plain.score / scaled.score - 1.0).abs() < 1e-3 && busy.score < 0.9 * plain.score,
            "{plain:?} {busy:?}"
        );
    }

    #[test]
    fn blobs_near_the_border_of_the_mask_are_not_marked() {
        let image = plane(|x, y| 20.0 * flag(disc(x, y, [20.0, 30.0], 6.0)));
        let right =
            Mask::new(Array3::from_shape_fn((1, 60, 60), |(_, _, x)| x > 16), image.geometry().clone()).unwrap();
        let hit = |border_mm| {
            let marks = blob_marks(&image, &right, &BlobCriteria { border_mm, ..DISCS }).unwrap();
            marks.iter().any(|mark| mark.voxel == [20, 30, 0])
        };
        assert_eq!([hit(4.0), hit(4.5)], [true, false]);
    }

    #[test]
    fn the_dot_filter_by_hand() {
        let diagonal = |[a, b, c]: [f64; 3]| [[a, 0.0, 0.0], [0.0, b, 0.0], [0.0, 0.0, c]];
        for (hessian, dimensions, expected) in [
            (diagonal([2.0, 4.0, 0.0]), 2, 1.0),
            (diagonal([4.0, 0.0, 0.0]), 2, 0.0),
            (diagonal([3.0, -1.0, 0.0]), 2, 0.0),
            (diagonal([4.0, 8.0, 5.0]), 3, 2.0),
            // Eigenvalues 3 and 1 along the diagonals of the plane.
            ([[2.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0; 3]], 2, 1.0 / 3.0),
        ] {
            let [found, trace] = dot(&hessian, dimensions);
            assert!((found - expected).abs() < 1e-12, "{hessian:?}: {found}");
            assert_eq!(trace, (0..3).map(|a| hessian[a][a]).sum::<f64>());
        }
    }

    #[test]
    fn sizes_that_are_no_lengths_are_refused() {
        let image = plane(|_, _| 0.0);
        let mask = Mask::new(Array3::from_elem((1, 60, 60), true), image.geometry().clone()).unwrap();
        for (criteria, name) in [
            (BlobCriteria { smallest_mm: 0.0, ..DISCS }, "smallest_mm"),
            (BlobCriteria { largest_mm: 5.0, ..DISCS }, "largest_mm"),
            (BlobCriteria { surround_mm: f64::NAN, ..DISCS }, "surround_mm"),
            (BlobCriteria { border_mm: -1.0, ..DISCS }, "border_mm"),
        ] {
            let refused = blob_marks(&image, &mask, &criteria);
            assert!(matches!(refused, Err(Error::InvalidArgument { name: found, .. }) if found == name), "{refused:?}");
        }
    }

    #[test]
    fn a_lesion_is_hit_once_and_what_lies_off_is_false() {
        let lesions = plane(|_, _| 0.0).with_voxels(Array3::from_shape_fn((1, 60, 60), |(_, y, x)| match (x, y) {
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

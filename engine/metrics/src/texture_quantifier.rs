use isoscan_imaging::{Mask, Modality, Unit, Volume, gaussian, gradient_magnitude};
use ndarray::Array3;
use rayon::prelude::*;

use crate::Error;
use crate::similarity::{require_comparable, require_finite};

/// Numbers that describe the surroundings of a voxel.
const FEATURES: usize = 5;
/// Fewest voxels from which a class is learned.
const FEWEST_VOXELS: usize = 10 * FEATURES;

type Vector = [f64; FEATURES];
type Matrix = [Vector; FEATURES];

/// An automatic reader of textures: a Gaussian classifier of each voxel's surroundings, learned from labelled images.
///
/// The surroundings are told by the Gaussian mean at `sigma_mm` and at twice of it, the logarithm of the Gaussian standard
/// deviation at both, and the Gaussian mean of the gradient's length. A class has the mean `m` and covariance `C` of these
/// over its voxels and its share `p` of them; a voxel `x` gets the class of the largest
/// `ln p - ½ ln |C| - ½ (x - m)ᵀ C⁻¹ (x - m)` (quadratic discriminant). It stands for a quantifier that was tuned to one scanner.
#[derive(Debug, Clone, PartialEq)]
pub struct TextureQuantifier {
    sigma_mm: f64,
    classes: Vec<Class>,
}

#[derive(Debug, Clone, PartialEq)]
struct Class {
    label: i32,
    voxels: usize,
    sum: Vector,
    products: Matrix,
}

impl TextureQuantifier {
    /// A reader of these labels that has seen nothing yet.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a width that is not positive or fewer than two labels.
    pub fn new(labels: &[i32], sigma_mm: f64) -> Result<Self, Error> {
        if !(sigma_mm > 0.0 && sigma_mm.is_finite()) {
            return Err(Error::InvalidArgument { name: "sigma_mm", expected: "positive", found: sigma_mm });
        }
        if labels.len() < 2 {
            return Err(Error::InvalidArgument { name: "labels", expected: "two or more", found: labels.len() as f64 });
        }
        let empty = |&label| Class { label, voxels: 0, sum: [0.0; FEATURES], products: [[0.0; FEATURES]; FEATURES] };
        Ok(Self { sigma_mm, classes: labels.iter().map(empty).collect() })
    }

    /// The reader after it has also seen this image with its true labels; other labels are passed over.
    ///
    /// # Errors
    /// [`Error::Imaging`] when the grids differ, [`Error::NotFinite`].
    pub fn learned(&self, image: &Volume, labels: &Volume) -> Result<Self, Error> {
        require_comparable(image, labels, None)?;
        let features = surroundings(image, self.sigma_mm)?;
        let mut next = self.clone();
        for (voxel, &label) in labels.as_slice().iter().enumerate() {
            let Some(class) = next.classes.iter_mut().find(|class| class.label as f32 == label) else { continue };
            let x = at(&features, voxel);
            class.voxels += 1;
            for i in 0..FEATURES {
                class.sum[i] += x[i];
                for j in 0..FEATURES {
                    class.products[i][j] += x[i] * x[j];
                }
            }
        }
        Ok(next)
    }

    /// The labels of the voxels inside the mask, 0 outside.
    ///
    /// # Errors
    /// [`Error::Imaging`] when the grids differ or the mask is empty, [`Error::NotFinite`], [`Error::Undefined`] when no two
    /// classes have been seen in 50 voxels or more each.
    pub fn classified(&self, image: &Volume, mask: &Mask) -> Result<Volume, Error> {
        require_comparable(image, image, Some(mask))?;
        let features = surroundings(image, self.sigma_mm)?;
        let learned: Vec<Discriminant> = self.classes.iter().filter_map(Discriminant::of).collect();
        if learned.len() < 2 {
            return Err(Error::Undefined { statistic: "a texture reader that has seen fewer than two classes" });
        }
        let inside = mask.inside();
        let inside = inside.as_slice().unwrap_or_default();
        let label = |voxel: usize| {
            if !inside[voxel] {
                return 0.0;
            }
            let x = at(&features, voxel);
            let scored = learned.iter().map(|class| (class.score(&x), class.label));
            scored.max_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, label)| label as f32)
        };
        let labels: Vec<f32> = (0..inside.len()).into_par_iter().map(label).collect();
        let [nx, ny, nz] = image.geometry().size();
        let labels = Array3::from_shape_vec((nz, ny, nx), labels).expect("one label per voxel");
        Ok(Volume::new(labels, image.geometry().clone(), Modality::Seg, Unit::Label)?)
    }
}

/// A class ready to score.
struct Discriminant {
    label: i32,
    mean: Vector,
    /// Lower triangle `L` with `L Lᵀ` the covariance.
    root: Matrix,
    offset: f64,
}

impl Discriminant {
    /// Nothing for a class of too few voxels, or whose voxels all look alike.
    fn of(class: &Class) -> Option<Self> {
        if class.voxels < FEWEST_VOXELS {
            return None;
        }
        let n = class.voxels as f64;
        let mean = class.sum.map(|sum| sum / n);
        let covariance: Matrix = std::array::from_fn(|i| {
            std::array::from_fn(|j| (class.products[i][j] - n * mean[i] * mean[j]) / (n - 1.0))
        });
        let root = cholesky(&covariance)?;
        let log_determinant: f64 = (0..FEATURES).map(|i| 2.0 * root[i][i].ln()).sum();
        Some(Self { label: class.label, mean, root, offset: n.ln() - 0.5 * log_determinant })
    }

    fn score(&self, x: &Vector) -> f64 {
        let mut whitened = [0.0; FEATURES];
        for i in 0..FEATURES {
            let known: f64 = (0..i).map(|j| self.root[i][j] * whitened[j]).sum();
            whitened[i] = (x[i] - self.mean[i] - known) / self.root[i][i];
        }
        self.offset - 0.5 * whitened.iter().map(|w| w * w).sum::<f64>()
    }
}

/// The lower triangle whose product with its transpose is the matrix; nothing unless that is positive definite.
fn cholesky(matrix: &Matrix) -> Option<Matrix> {
    let mut root = [[0.0; FEATURES]; FEATURES];
    for i in 0..FEATURES {
        for j in 0..=i {
            let rest = matrix[i][j] - (0..j).map(|k| root[i][k] * root[j][k]).sum::<f64>();
            if i == j {
                // Rounding of the sums leaves this much of a variance that is none.
                if rest <= 1e-9 * matrix[i][i].abs() {
                    return None;
                }
                root[i][i] = rest.sqrt();
            } else {
                root[i][j] = rest / root[j][j];
            }
        }
    }
    Some(root)
}

fn at(features: &[Volume; FEATURES], voxel: usize) -> Vector {
    std::array::from_fn(|which| f64::from(features[which].as_slice()[voxel]))
}

fn surroundings(image: &Volume, sigma_mm: f64) -> Result<[Volume; FEATURES], Error> {
    require_finite(image, None)?;
    let [near, near_spread] = moments(image, sigma_mm)?;
    let [far, far_spread] = moments(image, 2.0 * sigma_mm)?;
    let steepness = gaussian(&gradient_magnitude(image), [sigma_mm; 3])?;
    Ok([near, near_spread, far, far_spread, steepness])
}

/// Gaussian mean, and logarithm of the Gaussian standard deviation, about which a spread of 1e-3 is added so that a flat
/// image has one.
fn moments(image: &Volume, sigma_mm: f64) -> Result<[Volume; 2], Error> {
    let mean = gaussian(image, [sigma_mm; 3])?;
    let deviation = ndarray::Zip::from(image.voxels()).and(mean.voxels()).map_collect(|&v, &m| (v - m) * (v - m));
    let variance = gaussian(&image.with_voxels(deviation)?, [sigma_mm; 3])?;
    let spread = image.with_voxels(variance.voxels().mapv(|v| 0.5 * (v.max(0.0) + 1e-6).ln()))?;
    Ok([mean, spread])
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::Geometry;

    use super::*;

    /// Left half smooth, right half a chessboard of the same mean; both with a little noise of their own.
    fn textures(shift: usize) -> (Volume, Volume) {
        let geometry = Geometry::axis_aligned([24, 16, 6], [1.0; 3]).unwrap();
        let value = |(z, y, x): (usize, usize, usize)| {
            let noise = ((x * 7 + y * 13 + z * 5 + shift) % 11) as f32;
            noise + if x >= 12 && (x + y + z + shift).is_multiple_of(2) { 100.0 } else { 0.0 }
        };
        let image = Array3::from_shape_fn((6, 16, 24), value);
        let labels = Array3::from_shape_fn((6, 16, 24), |(_, _, x)| if x < 12 { 3.0 } else { 8.0 });
        let image = Volume::new(image, geometry.clone(), Modality::Ct, Unit::Hounsfield).unwrap();
        (image, Volume::new(labels, geometry, Modality::Seg, Unit::Label).unwrap())
    }

    #[test]
    fn textures_of_an_unseen_image_are_told_apart() {
        let (image, labels) = textures(0);
        let reader = TextureQuantifier::new(&[3, 8], 1.0).unwrap().learned(&image, &labels).unwrap();
        let (unseen, truth) = textures(1);
        let everywhere = Mask::new(Array3::from_elem((6, 16, 24), true), unseen.geometry().clone()).unwrap();
        let found = reader.classified(&unseen, &everywhere).unwrap();
        let right = found.as_slice().iter().zip(truth.as_slice()).filter(|(f, t)| f == t).count();
        assert!(right as f64 > 0.95 * truth.as_slice().len() as f64, "{right} of {}", truth.as_slice().len());
    }

    #[test]
    fn a_reader_that_saw_one_class_decides_nothing() {
        let (image, labels) = textures(0);
        let reader = TextureQuantifier::new(&[3, 99], 1.0).unwrap().learned(&image, &labels).unwrap();
        let everywhere = Mask::new(Array3::from_elem((6, 16, 24), true), image.geometry().clone()).unwrap();
        assert!(matches!(reader.classified(&image, &everywhere), Err(Error::Undefined { .. })));
        assert!(matches!(TextureQuantifier::new(&[3], 1.0), Err(Error::InvalidArgument { name: "labels", .. })));
    }
}

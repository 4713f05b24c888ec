mod python;
mod sha1;

use std::ops::Add;
use std::sync::Arc;

use isoscan_imaging::{Geometry, Mask, Volume};
use serde_json::Value;

use crate::prepare::{Prepared, prepare, whole_image};
use crate::{Error, Settings, StoredType};
use python::{float, tuple};
use sha1::sha1;

/// What the features were computed on, stage by stage, in processing order.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
pub struct Diagnostics {
    /// The stages that took place: `original`, then `corrected`, `interpolated`, `resegmented`.
    pub stages: Vec<Stage>,
    /// Number of grey levels counted up to the highest occupied one; `None` when no family discretises.
    pub grey_levels: Option<u32>,
    /// Derived images left out because the image is too small for their filter, by name.
    pub left_out: Vec<String>,
    /// The image as it was given and, when resampled, as interpolated; only [`diagnose`] fills it.
    pub images: Vec<ImageStage>,
    /// Hash of the mask, as [`diagnose`] computes it.
    pub mask_hash: Option<String>,
    /// Versions and settings by PyRadiomics' names; only [`diagnose`] fills it.
    pub configuration: Vec<(String, String)>,
}

/// The region of interest after one stage.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Stage {
    /// PyRadiomics' word for the stage.
    pub name: &'static str,
    /// Grid of the mask after the stage.
    pub geometry: Geometry,
    /// First voxel of the region's box, x, y, z.
    pub first: [usize; 3],
    /// Size of the region's box, voxels.
    pub size: [usize; 3],
    /// Voxels in the region.
    pub voxels: usize,
    /// Number of parts that do not touch, not even at a corner.
    pub parts: usize,
    /// Mean voxel index of the region, x, y, z.
    pub centre_of_mass_index: [f64; 3],
    /// Centre of mass, LPS mm.
    pub centre_of_mass_mm: [f64; 3],
    /// Intensities of the region; none at stage `original`, where mask and image need not share a grid.
    pub intensities: Option<Intensities>,
}

/// The image at one stage.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ImageStage {
    /// PyRadiomics' word for the stage.
    pub name: &'static str,
    /// Grid of the image.
    pub geometry: Geometry,
    /// SHA-1 of the voxels as stored, little-endian, x fastest; `None` when the stored type is not known.
    pub hash: Option<String>,
    /// Intensities of all voxels.
    pub intensities: Intensities,
}

/// Mean and range of intensities.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Intensities {
    /// Mean.
    pub mean: f64,
    /// Smallest.
    pub minimum: f64,
    /// Largest.
    pub maximum: f64,
}

impl Intensities {
    /// Of at least one value; NaN when one is.
    pub(crate) fn of(values: &[f64]) -> Self {
        let nan_or = |pick: fn(f64, f64) -> f64| {
            move |a: f64, &b: &f64| if a.is_nan() || b.is_nan() { f64::NAN } else { pick(a, b) }
        };
        Self {
            mean: pairwise_sum(values) / values.len() as f64,
            minimum: values.iter().fold(f64::INFINITY, nan_or(f64::min)),
            maximum: values.iter().fold(f64::NEG_INFINITY, nan_or(f64::max)),
        }
    }
}

/// The sum in NumPy's order, so that means agree to the last digit.
pub(crate) fn pairwise_sum<T: Copy + Default + Add<Output = T>>(values: &[T]) -> T {
    if values.len() > 128 {
        let half = values.len() / 2 / 8 * 8;
        let (first, second) = values.split_at(half);
        return pairwise_sum(first) + pairwise_sum(second);
    }
    let Some((head, rest)) = values.split_first_chunk::<8>() else {
        return values.iter().fold(T::default(), |sum, &v| sum + v);
    };
    let mut sums = *head;
    let (blocks, tail) = rest.as_chunks::<8>();
    blocks.iter().for_each(|block| sums.iter_mut().zip(block).for_each(|(sum, &v)| *sum = *sum + v));
    let [a, b, c, d, e, f, g, h] = sums;
    tail.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, &v| sum + v)
}

/// Everything that PyRadiomics reports beside the features of the region `mask` of `volume`, without the features.
///
/// Hashes are those of PyRadiomics when `storedType` names the image's type in its file and the mask's file holds no
/// other label than `label`.
///
/// # Errors
/// As [`extract`](crate::extract), up to discretisation.
pub fn diagnose(volume: &Volume, mask: &Mask, settings: &Settings) -> Result<Diagnostics, Error> {
    settings.check()?;
    let Prepared { image, stages, .. } = prepare(&Arc::new(whole_image(volume, settings)?), mask, settings)?;
    let voxels: Vec<f64> = volume.as_slice().iter().map(|&v| f64::from(v)).collect();
    let mut images = vec![ImageStage {
        name: "original",
        geometry: volume.geometry().clone(),
        hash: stored_bytes(volume.as_slice(), settings.stored_type).map(|bytes| sha1(&bytes)),
        intensities: Intensities::of(&voxels),
    }];
    drop(voxels);
    if stages.iter().any(|stage| stage.name == "interpolated") {
        let intensities = Intensities::of(&image.all_values());
        images.push(ImageStage { name: "interpolated", geometry: image.geometry().clone(), hash: None, intensities });
    }
    let labels: Vec<u8> =
        mask.inside().iter().flat_map(|&inside| if inside { settings.label } else { 0 }.to_le_bytes()).collect();
    Ok(Diagnostics {
        stages,
        images,
        mask_hash: Some(sha1(&labels)),
        configuration: configuration(settings),
        ..Diagnostics::default()
    })
}

/// Voxels as a file of the stored type holds them, or `None` when that is not known.
fn stored_bytes(voxels: &[f32], stored_type: StoredType) -> Option<Vec<u8>> {
    let bytes = |f: &dyn Fn(f32, &mut Vec<u8>)| {
        let mut out = Vec::with_capacity(voxels.len() * 4);
        voxels.iter().for_each(|&v| f(v, &mut out));
        out
    };
    Some(match stored_type {
        StoredType::Detect => return None,
        StoredType::Int8 => bytes(&|v, out| out.extend((v as i8).to_le_bytes())),
        StoredType::UInt8 => bytes(&|v, out| out.push(v as u8)),
        StoredType::Int16 => bytes(&|v, out| out.extend((v as i16).to_le_bytes())),
        StoredType::UInt16 => bytes(&|v, out| out.extend((v as u16).to_le_bytes())),
        StoredType::Int32 => bytes(&|v, out| out.extend((v as i32).to_le_bytes())),
        StoredType::UInt32 => bytes(&|v, out| out.extend((v as u32).to_le_bytes())),
        StoredType::Float32 => bytes(&|v, out| out.extend(v.to_le_bytes())),
        StoredType::Float64 => bytes(&|v, out| out.extend(f64::from(v).to_le_bytes())),
    })
}

/// The version and, as JSON, the settings.
fn configuration(settings: &Settings) -> Vec<(String, String)> {
    let mut rows = vec![("Versions_Isoscan".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    if let Ok(Value::Object(mut all)) = serde_json::to_value(settings) {
        all.shift_remove("features");
        let image_types = all.shift_remove("imageTypes").unwrap_or_default();
        rows.push(("Configuration_Settings".to_owned(), Value::Object(all).to_string()));
        rows.push(("Configuration_EnabledImageTypes".to_owned(), image_types.to_string()));
    }
    rows
}

impl Diagnostics {
    /// Name and value of each diagnostic in PyRadiomics' names, order and notation, such as
    /// `diagnostics_Mask-original_BoundingBox` and `(162, 84, 11, 47, 70, 7)`. The image's size is always of three axes.
    pub fn rows(&self) -> Vec<(String, String)> {
        let mut rows = self.configuration.clone();
        for image in self.images.iter().filter(|image| image.name == "original") {
            rows.extend(image.hash.iter().map(|hash| ("Image-original_Hash".to_owned(), hash.clone())));
            rows.push(("Image-original_Dimensionality".to_owned(), "3D".to_owned()));
            image.push_rows(&mut rows);
        }
        for stage in &self.stages {
            if stage.name == "original" {
                rows.extend(self.mask_hash.iter().map(|hash| ("Mask-original_Hash".to_owned(), hash.clone())));
            }
            let interpolated = |image: &&ImageStage| image.name == "interpolated" && stage.name == image.name;
            self.images.iter().filter(interpolated).for_each(|image| image.push_rows(&mut rows));
            stage.push_rows(&mut rows);
        }
        rows.into_iter().map(|(name, value)| (format!("diagnostics_{name}"), value)).collect()
    }
}

impl ImageStage {
    fn push_rows(&self, rows: &mut Vec<(String, String)>) {
        let prefix = format!("Image-{}", self.name);
        push_grid(&prefix, &self.geometry, rows);
        self.intensities.push_rows(&prefix, rows);
    }
}

impl Stage {
    fn push_rows(&self, rows: &mut Vec<(String, String)>) {
        let prefix = format!("Mask-{}", self.name);
        push_grid(&prefix, &self.geometry, rows);
        let floats = |values: [f64; 3]| tuple(values.map(float));
        let values = [
            ("BoundingBox", tuple(self.first.iter().chain(&self.size).map(usize::to_string))),
            ("VoxelNum", self.voxels.to_string()),
            ("VolumeNum", self.parts.to_string()),
            ("CenterOfMassIndex", floats(self.centre_of_mass_index)),
            ("CenterOfMass", floats(self.centre_of_mass_mm)),
        ];
        rows.extend(values.map(|(name, value)| (format!("{prefix}_{name}"), value)));
        if let Some(intensities) = &self.intensities {
            intensities.push_rows(&prefix, rows);
        }
    }
}

impl Intensities {
    fn push_rows(&self, prefix: &str, rows: &mut Vec<(String, String)>) {
        let values = [("Mean", self.mean), ("Minimum", self.minimum), ("Maximum", self.maximum)];
        rows.extend(values.map(|(name, value)| (format!("{prefix}_{name}"), float(value))));
    }
}

fn push_grid(prefix: &str, geometry: &Geometry, rows: &mut Vec<(String, String)>) {
    rows.push((format!("{prefix}_Spacing"), tuple(geometry.spacing_mm().map(float))));
    rows.push((format!("{prefix}_Size"), tuple(geometry.size().map(|n| n.to_string()))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_pairs_are_exact_for_whole_numbers() {
        for n in [1usize, 7, 8, 100, 129, 1000, 4097] {
            let values: Vec<f64> = (1..=n).map(|v| v as f64).collect();
            assert_eq!(pairwise_sum(&values), (n * (n + 1) / 2) as f64);
        }
        assert!(Intensities::of(&[1.0, f64::NAN]).maximum.is_nan());
    }
}

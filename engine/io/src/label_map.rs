use std::collections::BTreeSet;
use std::path::Path;

use isoscan_imaging::{Geometry, Mask};
use ndarray::Array3;

use crate::inflate::Narrow;
use crate::{Error, file, labels::read_labels, nifti};

/// A label map: a whole number for each voxel of a grid, 0 where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelMap {
    labels: Labels,
    geometry: Geometry,
}

#[derive(Debug, Clone, PartialEq)]
enum Labels {
    Narrow(Narrow),
    /// Some label does not fit into a byte.
    Wide(Vec<i32>),
}

/// Reads an image of whole numbers as a label map, which takes a byte for each voxel where no label is beyond 255; of a
/// DICOM segmentation each label is a segment's number.
///
/// # Errors
/// Those of [`read_labels`].
pub fn read_label_map(path: &Path) -> Result<LabelMap, Error> {
    if path.is_file() {
        let found = if nifti::is_nifti(&nifti::header_of(path))? {
            nifti::read_label_map(path)?
        } else if let Some(kind) = file::kind_of(path)? {
            file::read_label_map(path, kind)?
        } else {
            None
        };
        if let Some((labels, geometry)) = found {
            return Ok(LabelMap { labels: Labels::Narrow(labels), geometry });
        }
    }
    let volume = read_labels(path)?;
    let geometry = volume.geometry().clone();
    let narrow = volume.as_slice().iter().all(|&label| (0.0..=255.0).contains(&label));
    let labels = if narrow {
        let bytes = volume.as_slice().iter().map(|&label| label as u8).collect();
        Labels::Narrow(Narrow { bytes, first: 0 })
    } else {
        Labels::Wide(volume.as_slice().iter().map(|&label| label as i32).collect())
    };
    Ok(LabelMap { labels, geometry })
}

impl LabelMap {
    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The labels that occur, ascending, without 0.
    pub fn labels(&self) -> Vec<i32> {
        const BLOCK: usize = 64;
        match &self.labels {
            Labels::Narrow(labels) => {
                let mut seen = [false; 256];
                for block in labels.bytes[labels.first..].chunks(BLOCK) {
                    if block.iter().fold(0, |any, label| any | label) != 0 {
                        block.iter().for_each(|&label| seen[usize::from(label)] = true);
                    }
                }
                (1..).zip(&seen[1..]).filter(|(_, seen)| **seen).map(|(label, _)| label).collect()
            }
            Labels::Wide(labels) => {
                let of_runs: BTreeSet<i32> = labels.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
                of_runs.into_iter().filter(|label| *label != 0).collect()
            }
        }
    }

    /// The voxels of one label.
    pub fn mask(&self, label: i32) -> Mask {
        let narrow = u8::try_from(label).ok();
        // Wide labels went through f32, which has no number for each beyond 2²⁴.
        let wide = label as f32 as i32;
        self.inside(|found| Some(found) == narrow, |found| found == wide)
    }

    /// The voxels of any label but 0.
    pub fn foreground(&self) -> Mask {
        self.inside(|found| found != 0, |found| found != 0)
    }

    fn inside(&self, narrow: impl Fn(u8) -> bool, wide: impl Fn(i32) -> bool) -> Mask {
        let inside: Vec<bool> = match &self.labels {
            Labels::Narrow(labels) => labels.bytes[labels.first..].iter().map(|&label| narrow(label)).collect(),
            Labels::Wide(labels) => labels.iter().map(|&label| wide(label)).collect(),
        };
        let [nx, ny, nz] = self.geometry.size();
        Array3::from_shape_vec((nz, ny, nx), inside)
            .map_err(|_| ())
            .and_then(|inside| Mask::new(inside, self.geometry.clone()).map_err(|_| ()))
            .expect("a label map holds a label for each voxel of its grid")
    }
}

use std::{fs, path::Path};

use isoscan_sdk::PluginError;
use nalgebra::{DMatrix, SymmetricEigen};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::neighbourhood::{VALUES, neighbourhood};

/// Name of the dictionary in `weights/`.
const FILE: &str = "dictionary.safetensors";
/// Principal components that are compared.
const COMPONENTS: usize = 8;

/// Neighbourhoods in their principal components, each with the HU at its centre.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dictionary {
    mean: Vec<f32>,
    /// `COMPONENTS` x `VALUES`.
    axes: Vec<f32>,
    /// `COMPONENTS` x entries.
    entries: Vec<f32>,
    hu: Vec<f32>,
}

impl Dictionary {
    /// From entries of `VALUES` each and their HU.
    pub(crate) fn new(neighbourhoods: &[f32], hu: &[f32]) -> Result<Self, PluginError> {
        let count = hu.len();
        if count < COMPONENTS || neighbourhoods.len() != count * VALUES {
            return Err(PluginError::failed(format_args!(
                "expected at least {COMPONENTS} training patches, found {count}"
            )));
        }
        let mut mean = vec![0.0f64; VALUES];
        for entry in neighbourhoods.chunks_exact(VALUES) {
            mean.iter_mut().zip(entry).for_each(|(sum, &v)| *sum += f64::from(v) / count as f64);
        }
        let mut covariance = DMatrix::<f64>::zeros(VALUES, VALUES);
        for entry in neighbourhoods.chunks_exact(VALUES) {
            let centred: Vec<f64> = entry.iter().zip(&mean).map(|(&v, m)| f64::from(v) - m).collect();
            for i in 0..VALUES {
                for j in 0..VALUES {
                    covariance[(i, j)] += centred[i] * centred[j] / count as f64;
                }
            }
        }
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..VALUES).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let axes: Vec<f32> = order[..COMPONENTS]
            .iter()
            .flat_map(|&column| eigen.eigenvectors.column(column).iter().map(|&v| v as f32).collect::<Vec<_>>())
            .collect();
        let mut dictionary = Self {
            mean: mean.into_iter().map(|m| m as f32).collect(),
            axes,
            entries: vec![0.0; COMPONENTS * count],
            hu: hu.to_vec(),
        };
        for (index, entry) in neighbourhoods.chunks_exact(VALUES).enumerate() {
            for (component, value) in dictionary.project(entry).into_iter().enumerate() {
                dictionary.entries[component * count + index] = value;
            }
        }
        Ok(dictionary)
    }

    fn project(&self, values: &[f32]) -> [f32; COMPONENTS] {
        std::array::from_fn(|component| {
            let axis = &self.axes[component * VALUES..][..VALUES];
            values.iter().zip(&self.mean).zip(axis).map(|((v, m), a)| (v - m) * a).sum()
        })
    }

    /// Writes the HU of every voxel of a slice of `size` (x, y) voxels into `out`; calls `row` before each row.
    pub(crate) fn predict(
        &self,
        slice: &[f32],
        size: [usize; 2],
        neighbours: usize,
        out: &mut [f32],
        mut row: impl FnMut(usize) -> Result<(), PluginError>,
    ) -> Result<(), PluginError> {
        let mut distances = vec![0.0; self.hu.len()];
        let mut order: Vec<u32> = Vec::new();
        for (y, line) in out.chunks_exact_mut(size[0]).enumerate() {
            row(y)?;
            for (x, value) in line.iter_mut().enumerate() {
                let place = self.project(&neighbourhood(slice, size, [x, y]));
                self.distances(&place, &mut distances);
                *value = self.weighted_mean(&distances, neighbours, &mut order);
            }
        }
        Ok(())
    }

    /// Squared distances of all entries from a place.
    fn distances(&self, place: &[f32; COMPONENTS], distances: &mut [f32]) {
        distances.fill(0.0);
        for (coordinates, p) in self.entries.chunks_exact(self.hu.len()).zip(place) {
            for (distance, coordinate) in distances.iter_mut().zip(coordinates) {
                *distance += (coordinate - p) * (coordinate - p);
            }
        }
    }

    /// Mean HU of the nearest entries with weights `exp(-d² / d²_k)`, `d_k` the distance of the farthest of them; of equal
    /// distances the earlier entry counts as nearer.
    fn weighted_mean(&self, distances: &[f32], neighbours: usize, order: &mut Vec<u32>) -> f32 {
        let count = neighbours.clamp(1, distances.len());
        order.clear();
        order.extend(0..distances.len() as u32);
        let nearer = |&a: &u32, &b: &u32| distances[a as usize].total_cmp(&distances[b as usize]).then(a.cmp(&b));
        order.select_nth_unstable_by(count - 1, nearer);
        order[..count].sort_unstable_by(nearer);
        let farthest = f64::from(distances[order[count - 1] as usize]).max(f64::MIN_POSITIVE);
        let (mut sum, mut weights) = (0.0, 0.0);
        for &entry in &order[..count] {
            let weight = (-f64::from(distances[entry as usize]) / farthest).exp();
            sum += weight * f64::from(self.hu[entry as usize]);
            weights += weight;
        }
        (sum / weights) as f32
    }

    pub(crate) fn read(folder: &Path) -> Result<Self, PluginError> {
        let path = folder.join(FILE);
        let failed = |fact: &dyn std::fmt::Display| PluginError::failed(format_args!("{fact}: {}", path.display()));
        let bytes = fs::read(&path).map_err(|error| failed(&error))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| failed(&error))?;
        let values = |name: &str| -> Result<Vec<f32>, PluginError> {
            let view = file.tensor(name).map_err(|error| failed(&error))?;
            if view.dtype() != Dtype::F32 {
                return Err(failed(&format_args!("expected f32 in '{name}', found {:?}", view.dtype())));
            }
            Ok(view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        let read =
            Self { mean: values("mean")?, axes: values("axes")?, entries: values("entries")?, hu: values("hu")? };
        let sound = read.mean.len() == VALUES
            && read.axes.len() == COMPONENTS * VALUES
            && !read.hu.is_empty()
            && read.entries.len() == COMPONENTS * read.hu.len();
        if sound { Ok(read) } else { Err(failed(&"the dictionary's tensors do not fit together")) }
    }

    pub(crate) fn write(&self, folder: &Path) -> Result<(), PluginError> {
        let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let count = self.hu.len();
        let tensors = [
            ("mean", vec![VALUES], bytes(&self.mean)),
            ("axes", vec![COMPONENTS, VALUES], bytes(&self.axes)),
            ("entries", vec![COMPONENTS, count], bytes(&self.entries)),
            ("hu", vec![count], bytes(&self.hu)),
        ];
        let views = tensors
            .iter()
            .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.clone(), data)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(PluginError::failed)?;
        let file = safetensors::serialize(views, None).map_err(PluginError::failed)?;
        fs::write(folder.join(FILE), file).map_err(PluginError::failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries that differ in every value alike: entry i is flat at i, its HU 100 i.
    fn flat_entries(count: usize) -> Dictionary {
        let neighbourhoods: Vec<f32> = (0..count).flat_map(|i| [i as f32; VALUES]).collect();
        let hu: Vec<f32> = (0..count).map(|i| 100.0 * i as f32).collect();
        Dictionary::new(&neighbourhoods, &hu).unwrap()
    }

    fn predicted(dictionary: &Dictionary, value: f32, neighbours: usize) -> f32 {
        let mut out = [0.0; 9];
        dictionary.predict(&[value; 9], [3, 3], neighbours, &mut out, |_| Ok(())).unwrap();
        assert!(out.iter().all(|v| *v == out[4]));
        out[4]
    }

    #[test]
    fn flat_slice_gets_the_hu_of_the_entry_at_its_value() {
        let dictionary = flat_entries(20);
        assert_eq!(predicted(&dictionary, 7.0, 1), 700.0);
        assert_eq!(predicted(&dictionary, 7.3, 1), 700.0);
    }

    #[test]
    fn nearest_entries_are_weighted_by_their_distance() {
        // From 7.25: entries 7 and 8 at squared distances 1 : 9, so weights e^(-1/9) and e^-1.
        let (near, far) = ((-1f64 / 9.0).exp(), (-1f64).exp());
        let expected = (700.0 * near + 800.0 * far) / (near + far);
        let found = f64::from(predicted(&flat_entries(20), 7.25, 2));
        assert!((found - expected).abs() < 0.05, "{found} for {expected}");
    }

    #[test]
    fn written_dictionary_is_read_back_and_a_broken_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let dictionary = flat_entries(10);
        dictionary.write(dir.path()).unwrap();
        assert_eq!(Dictionary::read(dir.path()).unwrap(), dictionary);
        fs::write(dir.path().join(FILE), b"").unwrap();
        assert!(Dictionary::read(dir.path()).is_err());
    }
}

use isoscan_imaging::Volume;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The numbers one subject was drawn with, as one row of a table: columns with their unit in the name, in a fixed order.
///
/// It serialises as a map from column to number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TruthRow {
    columns: Vec<(String, f64)>,
}

impl TruthRow {
    /// Adds a column at the end; a name that is there already gets the new value in its old place.
    pub fn set(&mut self, column: impl Into<String>, value: f64) {
        let column = column.into();
        match self.columns.iter_mut().find(|(name, _)| *name == column) {
            Some((_, old)) => *old = value,
            None => self.columns.push((column, value)),
        }
    }

    /// The value of a column, or none where the row has no such column.
    pub fn number(&self, column: &str) -> Option<f64> {
        self.columns.iter().find(|(name, _)| name == column).map(|(_, value)| *value)
    }

    /// Columns and their values, in order.
    pub fn columns(&self) -> impl Iterator<Item = (&str, f64)> {
        self.columns.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Adds `<name>_mm3` with underscores for hyphens, the exact volume of every label: its voxels times the volume of one.
    pub fn set_volumes(&mut self, labels: &Volume, names: &[(i32, &str)]) {
        let voxel_mm3 = labels.geometry().voxel_volume_mm3();
        for (label, name) in names {
            let count = labels.as_slice().iter().filter(|&&found| found == *label as f32).count();
            self.set(format!("{}_mm3", name.replace('-', "_")), count as f64 * voxel_mm3);
        }
    }
}

impl Serialize for TruthRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns() {
            map.serialize_entry(column, &value)?;
        }
        map.end()
    }
}

/// Something focal that a reader could look for: a lesion, a nodule.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Finding {
    /// What it is, e.g. `liver-lesion` or `lung-nodule`.
    pub kind: &'static str,
    /// Its label in the label map.
    pub label: i32,
    /// Its centre in patient space (LPS), mm.
    pub center_mm: [f64; 3],
    /// Diameter of the ball that it was before its surface was roughened, mm.
    pub diameter_mm: f64,
    /// Its mean density, HU.
    pub mean_hu: f64,
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Geometry, Modality, Unit};

    use super::*;

    #[test]
    fn volumes_are_label_counts_times_the_voxel() {
        let geometry = Geometry::axis_aligned([3, 1, 2], [2.0, 3.0, 0.5]).unwrap();
        let voxels = ndarray::arr3(&[[[0.0, 1.0, 2.0]], [[1.0, 1.0, 0.0]]]);
        let labels = Volume::new(voxels, geometry, Modality::Seg, Unit::Label).unwrap();
        let mut row = TruthRow::default();
        row.set("age_a", 40.0);
        row.set_volumes(&labels, &[(1, "one"), (2, "two"), (3, "none-such")]);
        row.set("age_a", 41.0);
        let found: Vec<_> = row.columns().collect();
        assert_eq!(found, [("age_a", 41.0), ("one_mm3", 9.0), ("two_mm3", 3.0), ("none_such_mm3", 0.0)]);
        assert_eq!(row.number("three_mm3"), None);
    }
}

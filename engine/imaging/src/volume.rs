use std::fmt;

use ndarray::{Array3, ArrayView3};

use crate::{Error, Geometry};

/// Imaging modality, DICOM (0008,0060) defined terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Modality {
    /// Computed tomography.
    Ct,
    /// Magnetic resonance.
    Mr,
    /// Positron emission tomography.
    Pt,
    /// Computed radiography.
    Cr,
    /// Digital radiography.
    Dx,
    /// A label map.
    Seg,
    /// Not told by the file.
    Ot,
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ct => "CT",
            Self::Mr => "MR",
            Self::Pt => "PT",
            Self::Cr => "CR",
            Self::Dx => "DX",
            Self::Seg => "SEG",
            Self::Ot => "OT",
        })
    }
}

impl std::str::FromStr for Modality {
    type Err = Error;

    /// Parses the DICOM defined term.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for any other word.
    fn from_str(term: &str) -> Result<Self, Error> {
        match term {
            "CT" => Ok(Self::Ct),
            "MR" => Ok(Self::Mr),
            "PT" => Ok(Self::Pt),
            "CR" => Ok(Self::Cr),
            "DX" => Ok(Self::Dx),
            "SEG" => Ok(Self::Seg),
            "OT" => Ok(Self::Ot),
            _ => Err(Error::InvalidArgument {
                name: "modality",
                expected: "one of CT, MR, PT, CR, DX, SEG, OT",
                found: term.to_owned(),
            }),
        }
    }
}

/// What the numbers of a volume mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Hounsfield units: water 0, air -1000.
    #[serde(rename = "HU")]
    Hounsfield,
    /// Standardised uptake value, g/ml.
    #[serde(rename = "SUV")]
    Suv,
    /// Scanner units without a scale.
    Arbitrary,
    /// Scaled by a normalisation of this library; no physical scale.
    Normalized,
    /// Radiographic optical density.
    OpticalDensity,
    /// Integer labels.
    Label,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hounsfield => "HU",
            Self::Suv => "SUV",
            Self::Arbitrary => "arbitrary",
            Self::Normalized => "normalized",
            Self::OpticalDensity => "optical-density",
            Self::Label => "label",
        })
    }
}

/// f32 voxels `[z, y, x]` (x fastest) on a grid, with modality and unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    voxels: Array3<f32>,
    geometry: Geometry,
    modality: Modality,
    unit: Unit,
}

impl Volume {
    /// Joins voxels `[z, y, x]` to the grid they lie on.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the array's shape is not the geometry's size.
    pub fn new(voxels: Array3<f32>, geometry: Geometry, modality: Modality, unit: Unit) -> Result<Self, Error> {
        let (nz, ny, nx) = voxels.dim();
        if [nx, ny, nz] != geometry.size() {
            return Err(Error::SizeMismatch { expected: geometry.size(), found: [nx, ny, nz] });
        }
        let voxels = if voxels.is_standard_layout() { voxels } else { voxels.as_standard_layout().into_owned() };
        Ok(Self { voxels, geometry, modality, unit })
    }

    /// A volume with one value everywhere.
    pub fn filled(value: f32, geometry: Geometry, modality: Modality, unit: Unit) -> Self {
        let [nx, ny, nz] = geometry.size();
        Self { voxels: Array3::from_elem((nz, ny, nx), value), geometry, modality, unit }
    }

    /// Voxels `[z, y, x]`, contiguous, x fastest.
    pub fn voxels(&self) -> ArrayView3<'_, f32> {
        self.voxels.view()
    }

    /// The same voxels as one slice, x fastest.
    pub fn as_slice(&self) -> &[f32] {
        self.voxels.as_slice().expect("a volume's voxels are contiguous by construction")
    }

    /// The smallest finite value, 0 when there is none: what lies outside an image, air for CT.
    pub fn lowest(&self) -> f32 {
        let lowest = self.voxels.iter().copied().filter(|v| v.is_finite()).fold(f32::INFINITY, f32::min);
        if lowest.is_finite() { lowest } else { 0.0 }
    }

    /// Gives the voxels away.
    pub fn into_voxels(self) -> Array3<f32> {
        self.voxels
    }

    /// The grid.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The modality.
    pub fn modality(&self) -> Modality {
        self.modality
    }

    /// The intensity unit.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Other voxels on the same grid, with the same modality and unit.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] when the shape differs.
    pub fn with_voxels(&self, voxels: Array3<f32>) -> Result<Self, Error> {
        Self::new(voxels, self.geometry.clone(), self.modality, self.unit)
    }

    /// The same voxels and grid under another meaning; the caller vouches for it.
    pub fn with_meaning(mut self, modality: Modality, unit: Unit) -> Self {
        self.modality = modality;
        self.unit = unit;
        self
    }

    /// Applies `f` to every voxel.
    pub fn map(&self, f: impl FnMut(f32) -> f32) -> Self {
        Self { voxels: self.voxels.mapv(f), geometry: self.geometry.clone(), modality: self.modality, unit: self.unit }
    }
}

#[cfg(test)]
impl Volume {
    /// A row of voxels 1 mm apart.
    pub(crate) fn row(values: &[f32]) -> Self {
        let geometry = Geometry::axis_aligned([values.len(), 1, 1], [1.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).unwrap();
        Self::new(voxels, geometry, Modality::Mr, Unit::Arbitrary).unwrap()
    }
}

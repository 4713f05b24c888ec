use std::{fs, path::PathBuf};

use isoscan_imaging::{Mask, Modality};
use isoscan_io::{Derivation, Series};
use isoscan_radiomics::Settings;

use super::table::unusable;
use crate::failure::Failure;

/// Where feature maps go.
#[derive(Debug, Clone)]
pub(crate) struct Maps {
    pub(crate) folder: PathBuf,
    pub(crate) format: MapFormat,
}

/// Format of a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MapFormat {
    /// Packed NIfTI.
    #[value(name = "nii.gz")]
    NiiGz,
    /// NRRD.
    Nrrd,
    /// MetaImage.
    Mha,
}

impl MapFormat {
    fn ending(self) -> &'static str {
        match self {
            Self::NiiGz => "nii.gz",
            Self::Nrrd => "nrrd",
            Self::Mha => "mha",
        }
    }
}

impl Maps {
    /// Writes the map of every feature around the voxels of a region as `FEATURE.nii.gz`, on the grid of the region's box;
    /// tells the maps that have voxels without a value.
    pub(crate) fn write(
        &self,
        below: &str,
        image: &Series,
        mask: &Mask,
        settings: &Settings,
    ) -> Result<Vec<String>, Failure> {
        let folder = self.folder.join(below);
        fs::create_dir_all(&folder).map_err(|error| unusable(&folder, &error))?;
        let params = serde_json::to_value(settings).map_err(Failure::new)?;
        let made = Derivation {
            params,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: crate::translate::made_at(),
            input_sha256: image.source.input_sha256()?.into_iter().collect(),
            ..Derivation::default()
        };
        let mut warnings = Vec::new();
        for map in isoscan_radiomics::maps(&image.volume, mask, settings)? {
            let path = folder.join(format!("{}.{}", map.name, self.format.ending()));
            let volume = map.volume(&map.geometry, Modality::Ot)?;
            let made = Derivation { description: format!("map of {}", map.name), ..made.clone() };
            isoscan_io::write(&path, &volume, None, Some(&made))?;
            if let Some(reason) = map.reason {
                warnings.push(format!("map {} is NaN in {} voxels: {reason}", map.name, map.undefined));
            }
        }
        Ok(warnings)
    }
}

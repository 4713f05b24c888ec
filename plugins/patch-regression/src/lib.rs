//! CT from MR by regression on patches: the baseline of learned MR to CT.
//!
//! Training keeps a dictionary of MR neighbourhoods with the HU at their centre. A voxel becomes the mean HU of the
//! entries whose neighbourhood is nearest to its own in the dictionary's principal components, weighted by nearness: the
//! pattern recognition half of M. Hofmann et al., J Nucl Med 49 (2008) 1875. `neighbourhood` defines what is compared.
//!
//! ```
//! use isoscan_patch_regression::PatchRegression;
//! use isoscan_sdk::{Modality, Translator, Unit};
//!
//! let output = PatchRegression::descriptor().output;
//! assert_eq!((output.modality, output.unit), (Some(Modality::Ct), Some(Unit::Hounsfield)));
//! ```

mod dictionary;
mod neighbourhood;
mod trainer;

use isoscan_sdk::{
    Axes, Call, Config, Descriptor, Input, Modality, Normalize, Output, Param, Patching, PluginError, Region,
    Translator, Unit,
};

use dictionary::Dictionary;
use neighbourhood::REACH;
pub use trainer::PatchRegressionTrainer;

/// The patch regression plugin.
pub struct PatchRegression {
    dictionary: Dictionary,
}

isoscan_sdk::export_plugin!(PatchRegression, train = PatchRegressionTrainer);

impl Translator for PatchRegression {
    fn descriptor() -> Descriptor {
        Descriptor {
            id: "patch-regression".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: "Patch regression".into(),
            summary: "Makes CT of MR by averaging the HU of the most similar training patches".into(),
            family: "classical".into(),
            inputs: vec![Input {
                modalities: vec![Modality::Mr],
                normalize: Some(Normalize::ZScore { region: Region::Body }),
                ..Input::any("image", "MR slices of the sequence that the dictionary was made of")
            }],
            output: Output {
                modality: Some(Modality::Ct),
                unit: Some(Unit::Hounsfield),
                ..Output::like_input("the slices in HU")
            },
            patching: Patching { halo: [REACH, REACH, 0], max_batch: 8, ..Patching::whole(Axes::Slices) },
            params: vec![Param::int("neighbours", [1, 256], 12, "", "entries that are averaged")],
            deterministic: true,
            synthetic: true,
        }
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        Ok(Self { dictionary: Dictionary::read(&config.bundle.join("weights"))? })
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let (image, host) = (call.image(), call.host);
        let neighbours = call.params.int("neighbours")? as usize;
        let [_, channels, _, ny, nx] = image.shape;
        if channels != 1 {
            return Err(PluginError::invalid(format_args!("expected 1 channel, found {channels}")));
        }
        let rows = image.as_slice().len() / nx.max(1);
        let mut output = call.output();
        let pairs = image.as_slice().chunks_exact(nx * ny).zip(output.as_mut_slice().chunks_exact_mut(nx * ny));
        for (index, (slice, out)) in pairs.enumerate() {
            self.dictionary.predict(slice, [nx, ny], neighbours, out, |row| {
                host.progress((index * ny + row) as f32 / rows as f32).map_err(PluginError::from)
            })?;
        }
        Ok(())
    }
}

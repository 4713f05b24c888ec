use std::path::Path;

use isoscan_sdk::{Axes, Call, Config, Descriptor, Input, Output, Patching, PluginError, Translator};

use crate::descriptor::descriptor;
use crate::pass::pass;
use crate::{Declaration, Halo, InputDeclaration, Reach, reach};

/// A dense f32 array, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Elements along each axis; for a network's tensors `[1, channel, ...]`.
    pub shape: Vec<usize>,
    /// Every element; as many as the product of `shape`.
    pub values: Vec<f32>,
}

/// A kind of exported network that a library can run, on the processor and in f32.
pub trait Network: Send + Sized + 'static {
    /// Model family in the descriptor, and id of the library without a bundle.
    const FAMILY: &'static str;
    /// The kind of file, in words.
    const FILE: &'static str;

    /// Reads the network's file.
    ///
    /// # Errors
    /// [`PluginError::Failed`] for what is no such file, [`PluginError::Invalid`] for one that cannot be run.
    fn load(file: &Path) -> Result<Self, PluginError>;

    /// What the network makes of its arguments. The same arguments give the same bytes.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the network does not take them or gives something else than one f32 array.
    fn forward(&mut self, given: &[Array]) -> Result<Array, PluginError>;
}

/// A plugin out of a [`Network`] and what the bundle declares of it.
#[derive(Debug)]
pub struct Runner<N> {
    network: N,
    declared: Declaration,
}

impl<N: Network> Runner<N> {
    /// Loads the network of the bundle folder `bundle`.
    fn load(bundle: &Path, declared: &Declaration) -> Result<N, PluginError> {
        let plain = Path::new(&declared.file).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let file = bundle.join(&declared.file);
        if !plain || !file.is_file() {
            return Err(PluginError::invalid(format_args!(
                "plugin.toml: expected 'weights' to name a {} inside the bundle, found '{}'",
                N::FILE,
                declared.file
            )));
        }
        N::load(&file)
    }
}

impl<N: Network> Translator for Runner<N> {
    /// That of the library alone: what it runs is in the bundle.
    fn descriptor() -> Descriptor {
        Descriptor {
            id: N::FAMILY.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            name: N::FAMILY.into(),
            summary: format!("Runs a {} of the bundle's own", N::FILE),
            family: N::FAMILY.into(),
            inputs: vec![Input::any("image", "the image")],
            output: Output::like_input("what the network makes of it"),
            patching: Patching::whole(Axes::Volume),
            params: Vec::new(),
            deterministic: true,
            synthetic: true,
        }
    }

    fn descriptor_in(bundle: &Path) -> Result<Descriptor, PluginError> {
        let declared = Declaration::read(bundle)?;
        let halo = match declared.network.halo {
            Some(halo) => halo,
            None => Halo::Voxels(measured(&mut Self::load(bundle, &declared)?, &declared)?),
        };
        descriptor(&declared, N::FAMILY, halo)
    }

    fn create(config: &Config) -> Result<Self, PluginError> {
        let declared = Declaration::read(&config.bundle)?;
        Ok(Self { network: Self::load(&config.bundle, &declared)?, declared })
    }

    fn run(&mut self, call: &mut Call<'_>) -> Result<(), PluginError> {
        let Self { network, declared } = self;
        let declared = &declared.network;
        let [batch, _, nz, ny, nx] = call.image().shape;
        let (scale, offset) = declared.output_change();
        for item in 0..batch {
            let images = declared.inputs.iter().enumerate().map(|(index, input)| {
                let view = call.input(index);
                let view =
                    view.ok_or_else(|| PluginError::invalid(format_args!("input '{}' is missing", input.name)))?;
                if view.shape[1] != 1 {
                    let (name, found) = (&input.name, view.shape[1]);
                    return Err(PluginError::invalid(format_args!(
                        "input '{name}': expected 1 channel, found {found}"
                    )));
                }
                Ok(view.batch(item).iter().map(|&voxel| seen(input, voxel)).collect())
            });
            let images: Vec<Vec<f32>> = images.collect::<Result<_, PluginError>>()?;
            let host = call.host;
            let made = pass(network, declared, &images, [nx, ny, nz], |part| {
                Ok(host.progress((item as f32 + part) / batch as f32)?)
            })?;
            finite(&images, &made)?;
            let mut output = call.output();
            let out = output.batch_mut(item);
            if out.len() != made.len() {
                let found = out.len();
                return Err(PluginError::invalid(format_args!(
                    "output: expected {} voxels, found {found}",
                    made.len()
                )));
            }
            for (out, value) in out.iter_mut().zip(made) {
                let value = scale * f64::from(value) + offset;
                *out = declared.output.clip.map_or(value, |[low, high]| value.clamp(low, high)) as f32;
            }
        }
        Ok(())
    }
}

/// What the network sees of a voxel.
fn seen(input: &InputDeclaration, voxel: f32) -> f32 {
    let voxel = f64::from(voxel);
    let clipped = input.clip.map_or(voxel, |[low, high]| voxel.clamp(low, high));
    (input.scale * clipped + input.offset) as f32
}

fn measured(network: &mut impl crate::Network, declared: &Declaration) -> Result<[usize; 3], PluginError> {
    match reach(network, &declared.network)? {
        Reach::Voxels(halo) => Ok(halo),
        Reach::Beyond(axis, looked) => {
            let axis = ["x", "y", "z"][axis];
            Err(PluginError::invalid(format_args!(
                "the network reaches more than {looked} voxels along {axis}, or depends on the whole image as instance \
                 normalisation does: declare halo = \"whole\" in [network] of plugin.toml, without a patch size, or a halo \
                 in voxels"
            )))
        }
    }
}

/// Refuses what is no image.
fn finite(images: &[Vec<f32>], made: &[f32]) -> Result<(), PluginError> {
    let count = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
    let bad = count(made);
    if bad == 0 {
        return Ok(());
    }
    let given: usize = images.iter().map(|image| count(image)).sum();
    let cause = if given == 0 { String::new() } else { format!(", as are {given} of the voxels that it was given") };
    let all = made.len();
    Err(PluginError::failed(format_args!("{bad} of {all} voxels of the network's output are not finite{cause}")))
}

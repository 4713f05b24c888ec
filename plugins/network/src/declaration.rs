use std::fs;
use std::path::Path;

use isoscan_sdk::{Modality, Normalize, PluginError, Unit};
use serde::Deserialize;

use crate::Layout;
use crate::check::check;

/// Largest `plugin.toml` that is read, bytes.
const MOST_BYTES: u64 = 1 << 20;

/// What a `plugin.toml` says of its network.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Id of the bundle.
    pub id: String,
    /// Version of the bundle.
    pub version: String,
    /// The network's file: what `weights` names.
    pub file: String,
    /// The table `[network]`.
    pub network: NetworkDeclaration,
}

/// The table `[network]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkDeclaration {
    /// Name for people; the id where left out.
    pub name: Option<String>,
    /// What it does, one sentence.
    pub summary: Option<String>,
    /// Axes of its convolutions.
    pub dims: Dims,
    /// Neighbouring slices that a 2.5-D network takes as channels, an odd number.
    pub slices: Option<usize>,
    /// How several inputs go in.
    #[serde(default)]
    pub feed: Feed,
    /// Where the axes of the network's tensors lead.
    pub orientation: Option<Layout>,
    /// Patch size x, y, z in voxels, halo included; 0 takes the whole extent. Left out, a 3-D network gets cores of 64
    /// voxels along each axis, and any other network whole slices.
    pub patch: Option<[usize; 3]>,
    /// True for a network that takes patches of exactly `patch` voxels.
    #[serde(default)]
    pub fixed: bool,
    /// Patch sizes must be multiples of this, x, y, z: the product of the network's strides.
    #[serde(default = "ones")]
    pub multiple: [usize; 3],
    /// Voxels of margin; measured where left out.
    pub halo: Option<Halo>,
    /// Most patches in one call; each passes the network by itself.
    #[serde(default = "one")]
    pub batch: usize,
    /// Images in; one of any kind where left out.
    #[serde(default = "one_input")]
    pub inputs: Vec<InputDeclaration>,
    /// The image out.
    #[serde(default)]
    pub output: OutputDeclaration,
}

/// Axes of a network's convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Dims {
    /// Axial slices, one by one.
    #[serde(rename = "2d")]
    Two,
    /// Axial slices with their neighbours as channels; the output is the middle one.
    #[serde(rename = "2.5d")]
    TwoAndHalf,
    /// Volumes.
    #[serde(rename = "3d")]
    Three,
}

/// How several inputs go in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// As channels of one tensor.
    #[default]
    Channels,
    /// As arguments of their own, in their order.
    Arguments,
}

/// Margin of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Halo {
    /// Voxels per side along x, y, z.
    Voxels([usize; 3]),
    /// No patches: every call gets the whole slice or volume.
    Whole(Whole),
}

/// The word for whole images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whole {
    /// `halo = "whole"`.
    Whole,
}

/// One of `[[network.inputs]]`. The network gets `scale * clipped + offset`, after what `normalize` asks of the host.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDeclaration {
    /// Name in scripts.
    #[serde(default = "image")]
    pub name: String,
    /// One line of text.
    #[serde(default)]
    pub text: String,
    /// Accepted modalities; empty accepts all.
    #[serde(default)]
    pub modalities: Vec<Modality>,
    /// Accepted units; empty accepts all.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// Voxel spacing that the network was made for, smallest and largest per axis x, y, z in mm.
    pub spacing_mm: Option<[[f64; 2]; 3]>,
    /// Intensities that the network was made for, in the image's unit.
    pub range: Option<[f64; 2]>,
    /// What the host does to the whole image first.
    pub normalize: Option<Normalize>,
    /// Intensities beyond are set to the nearer end; of the normalised image where `normalize` is there.
    pub clip: Option<[f64; 2]>,
    /// Factor.
    #[serde(default = "unity")]
    pub scale: f64,
    /// What is added after the factor.
    #[serde(default)]
    pub offset: f64,
}

/// The table `[network.output]`. The image is `scale * network + offset`, then clipped.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputDeclaration {
    /// One line of text.
    pub text: String,
    /// Modality; the first input's where left out.
    pub modality: Option<Modality>,
    /// Unit; the first input's where left out.
    pub unit: Option<Unit>,
    /// Channel of the network's output, from 0; needed where there are several.
    pub channel: Option<usize>,
    /// Output voxels per input voxel along x, y, z.
    pub refine: [usize; 3],
    /// Factor.
    pub scale: Option<f64>,
    /// What is added after the factor.
    pub offset: Option<f64>,
    /// True to undo `scale` and `offset` of the first input.
    pub back: bool,
    /// Intensities beyond are set to the nearer end.
    pub clip: Option<[f64; 2]>,
}

impl Declaration {
    /// Reads the `plugin.toml` of the bundle folder `bundle`.
    ///
    /// # Errors
    /// [`PluginError::Failed`] when the file cannot be read, [`PluginError::Invalid`] as for [`Declaration::parse`].
    pub fn read(bundle: &Path) -> Result<Self, PluginError> {
        let path = bundle.join("plugin.toml");
        let unread = |e: std::io::Error| PluginError::failed(format_args!("plugin.toml of the bundle: {e}"));
        let bytes = fs::metadata(&path).map_err(unread)?.len();
        if bytes > MOST_BYTES {
            return Err(PluginError::invalid(format_args!("plugin.toml: expected {MOST_BYTES} bytes, found {bytes}")));
        }
        Self::parse(&fs::read_to_string(&path).map_err(unread)?)
    }

    /// Reads the text of a `plugin.toml`.
    ///
    /// # Errors
    /// [`PluginError::Invalid`] with the key, what was expected and what was found.
    pub fn parse(text: &str) -> Result<Self, PluginError> {
        let wrong = |e: &toml::de::Error| PluginError::invalid(format_args!("plugin.toml: {}", line(e.message())));
        let mut table: toml::Table = toml::from_str(text).map_err(|e| wrong(&e))?;
        let required = |key: &str| match table.get(key).and_then(toml::Value::as_str) {
            Some(value) => Ok(value.to_owned()),
            None => Err(PluginError::invalid(format_args!("plugin.toml: expected '{key}', found none"))),
        };
        let (id, version, file) = (required("id")?, required("version")?, required("weights")?);
        let network = table
            .remove("network")
            .ok_or_else(|| PluginError::invalid("plugin.toml: expected a table [network], found none"))?;
        let network = network.try_into().map_err(|e: toml::de::Error| {
            PluginError::invalid(format_args!("plugin.toml, [network]: {}", line(&e.to_string())))
        })?;
        let declaration = Self { id, version, file, network };
        check(&declaration.network)?;
        Ok(declaration)
    }
}

impl NetworkDeclaration {
    /// Slices that make the channels of each input: 1 unless the network is 2.5-D.
    pub fn slices(&self) -> usize {
        self.slices.unwrap_or(1)
    }

    /// The declared patch size x, y, z; 0 where none is declared.
    pub fn patch(&self) -> [usize; 3] {
        self.patch.unwrap_or_default()
    }

    /// Where the axes of the network's tensors lead.
    pub fn layout(&self) -> Layout {
        self.orientation.unwrap_or_else(|| Layout::of_isoscan(self.dims))
    }

    /// Factor and summand that make an image of what the network gives.
    pub fn output_change(&self) -> (f64, f64) {
        let OutputDeclaration { scale, offset, back, .. } = self.output;
        match self.inputs.first().filter(|_| back) {
            Some(input) => (input.scale.recip(), -input.offset / input.scale),
            None => (scale.unwrap_or(1.0), offset.unwrap_or(0.0)),
        }
    }
}

impl Default for InputDeclaration {
    fn default() -> Self {
        Self {
            name: image(),
            text: String::new(),
            modalities: Vec::new(),
            units: Vec::new(),
            spacing_mm: None,
            range: None,
            normalize: None,
            clip: None,
            scale: 1.0,
            offset: 0.0,
        }
    }
}

impl Default for OutputDeclaration {
    fn default() -> Self {
        Self {
            text: String::new(),
            modality: None,
            unit: None,
            channel: None,
            refine: [1; 3],
            scale: None,
            offset: None,
            back: false,
            clip: None,
        }
    }
}

/// A message of the parser on one line.
fn line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ones() -> [usize; 3] {
    [1; 3]
}

fn one() -> usize {
    1
}

fn unity() -> f64 {
    1.0
}

fn image() -> String {
    "image".to_owned()
}

fn one_input() -> Vec<InputDeclaration> {
    vec![InputDeclaration::default()]
}

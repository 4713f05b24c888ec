//! The plugin under check, and the calls that are made to it.

use std::collections::BTreeMap;

use isoscan_abi::{Axes, Context, Descriptor, Input, Refine, STATUS_OK, Unit};
use serde_json::Value;

use crate::{
    Bundle, Fault, Options, Origin, descriptor,
    raw::{Array, Raw, RawCall, RawReply},
    sandbox::Reach,
};

/// Number of bytes that differ at most is told as this share of the output's range.
const CLOSE: f32 = 1e-5;

/// What a case found, or why it did not pass.
pub(super) type Verdict = Result<String, Stop>;

/// Why a case did not pass.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    /// The rule is broken: what was found.
    Fail(String),
    /// The rule does not apply: why.
    Skip(String),
    /// A gate before it did not open.
    Unmet,
}

/// A plugin whose library loads.
pub(super) struct Bench {
    pub(super) bundle: Bundle,
    pub(super) options: Options,
    /// The descriptor as the library wrote it.
    pub(super) text: String,
    pub(super) descriptor: Descriptor,
    reach: Reach,
}

/// A batch of equal boxes in an endless image.
#[derive(Debug, Clone)]
pub(super) struct Boxes {
    /// First voxels x, y, z.
    pub(super) first: Vec<[i64; 3]>,
    /// Voxels along x, y, z.
    pub(super) size: [usize; 3],
}

impl Bench {
    pub(super) fn load(bundle: Bundle, options: Options) -> Result<(Self, String), Stop> {
        let origin = Origin { plugin: bundle.id.clone(), version: bundle.version.clone(), job: String::new() };
        let reach = Reach::of(&bundle, &options, &origin)?;
        let text = Raw::start(&bundle, options.clone(), &reach)?.descriptor().to_owned();
        let descriptor = descriptor::parse(&text).map_err(Stop::Fail)?;
        let found = format!("{} {}: {}", descriptor.id, descriptor.version, descriptor.name);
        Ok((Self { bundle, options, text, descriptor, reach }, found))
    }

    /// A worker without an instance.
    pub(super) fn load_again(&self) -> Result<Raw<'_>, Fault> {
        Raw::start(&self.bundle, self.options.clone(), &self.reach)
    }

    /// A worker with an instance of one thread.
    pub(super) fn start(&self) -> Result<Raw<'_>, Fault> {
        self.start_with(1)
    }

    /// A worker with an instance of so many threads.
    pub(super) fn start_with(&self, threads: usize) -> Result<Raw<'_>, Fault> {
        let options = Options { threads, ..self.options.clone() };
        let mut raw = Raw::start(&self.bundle, options, &self.reach)?;
        raw.create()?;
        Ok(raw)
    }

    /// The call that the engine makes for one box of `size` voxels in a textured image, with default parameters.
    pub(super) fn usual(&self, size: [usize; 3]) -> RawCall {
        self.call(&Boxes { first: vec![[3, 5, 7]], size }, &texture)
    }

    /// A call for `boxes` with default parameters; `scene` gives 0..=1 by voxel, for the range of the first input.
    pub(super) fn call(&self, boxes: &Boxes, scene: &dyn Fn([i64; 3]) -> f32) -> RawCall {
        let inputs = &self.descriptor.inputs;
        let image = picture(boxes, range(&inputs[0]), scene);
        let beside = match self.descriptor.patching.axes {
            Axes::Volume => boxes.clone(),
            Axes::Slices | Axes::Patches => Boxes { first: vec![[0; 3]], size: [24, 24, 3] },
        };
        let others = inputs.iter().skip(1).map(|input| {
            let other = |[x, y, z]: [i64; 3]| texture([y + 1000, z, x]);
            picture(if input.aligned { boxes } else { &beside }, range(input), &other)
        });
        let output_shape = Refine::output_shape(self.refine(&[]), image.shape);
        let spacing_mm = inputs[0].spacing_mm.map_or([1.0; 3], |ranges| ranges.map(|[low, high]| (low + high) / 2.0));
        let context = Context { seed: 7, spacing_mm, patch_origins: boxes.first.clone() };
        RawCall {
            inputs: std::iter::once(image).chain(others).collect(),
            output_shape,
            output_disguise: None,
            params: self.params(&[]),
            context: serde_json::to_string(&context).unwrap_or_default(),
            around_inputs: 0,
            in_output: 0,
        }
    }

    /// Output voxels per voxel of the image along x, y, z, under the defaults with some values replaced.
    pub(super) fn refine(&self, replaced: &[(&str, Value)]) -> [usize; 3] {
        let given = replaced.iter().map(|(id, value)| ((*id).to_owned(), value.clone())).collect();
        let checked = self.descriptor.check_params(&given).or_else(|_| self.descriptor.check_params(&BTreeMap::new()));
        self.descriptor.output.refine.factors(&checked.unwrap_or_default())
    }

    /// The defaults with some values replaced, as JSON.
    pub(super) fn params(&self, replaced: &[(&str, Value)]) -> String {
        let defaults = self.descriptor.check_params(&BTreeMap::new()).unwrap_or_default();
        let mut object: BTreeMap<&str, Value> = BTreeMap::new();
        for (id, value) in &defaults {
            object.insert(id, serde_json::to_value(value).unwrap_or_default());
        }
        for (id, value) in replaced {
            object.insert(id, value.clone());
        }
        serde_json::to_string(&object).unwrap_or_default()
    }

    /// The box size nearest to `wanted` that the engine would send: its halo added, rounded up to the declared
    /// multiple, not above the declared patch.
    pub(super) fn size(&self, wanted: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|axis| self.extent(axis, wanted[axis]))
    }

    /// As [`Bench::size`] for one axis.
    pub(super) fn extent(&self, axis: usize, wanted: usize) -> usize {
        if axis == 2 && self.descriptor.patching.axes == Axes::Slices {
            return 1;
        }
        let whole = (wanted + 2 * self.halo(axis)).next_multiple_of(self.descriptor.patching.multiple[axis]);
        self.patch(axis).map_or(whole, |patch| whole.min(patch))
    }

    /// Declared halo along an axis, as far as the engine cuts there.
    pub(super) fn halo(&self, axis: usize) -> usize {
        match self.descriptor.patching.axes {
            Axes::Volume => 0,
            Axes::Slices if axis == 2 => 0,
            Axes::Slices | Axes::Patches => self.descriptor.patching.halo[axis],
        }
    }

    /// Declared patch size along an axis; `None` where the engine never cuts.
    pub(super) fn patch(&self, axis: usize) -> Option<usize> {
        let patching = &self.descriptor.patching;
        let size = match patching.axes {
            Axes::Volume => None,
            Axes::Slices if axis == 2 => Some(1),
            Axes::Slices | Axes::Patches => Some(patching.size[axis]),
        };
        size.filter(|&size| size > 0)
    }

    /// Smallest and largest voxel of the first input's range.
    pub(super) fn range(&self) -> [f32; 2] {
        range(&self.descriptor.inputs[0])
    }

    /// `Ok` when results can be compared: the plugin is declared deterministic and two calls agree.
    pub(super) fn require_repeatable(&self) -> Result<(), Stop> {
        if !self.descriptor.deterministic {
            return Err(Stop::Skip("it is not declared deterministic, so results cannot be compared".into()));
        }
        let mut raw = self.start()?;
        let call = self.usual(self.size([16, 16, 4]));
        let first = image(raw.call(&call, None)?)?;
        for _ in 0..3 {
            if !alike(&first, &image(raw.call(&call, None)?)?) {
                return Err(Stop::Skip("its results differ from call to call, see 'deterministic'".into()));
            }
        }
        Ok(())
    }
}

/// The voxels of a call that must give an image.
pub(super) fn image(reply: RawReply) -> Result<Vec<f32>, Stop> {
    if reply.status == STATUS_OK { Ok(reply.voxels) } else { Err(Stop::Fail(told(&reply))) }
}

/// Status and message.
pub(super) fn told(reply: &RawReply) -> String {
    match (&reply.status, &reply.message) {
        (&STATUS_OK, _) => "status 0 (done)".into(),
        (status, None) => format!("status {status} without a message"),
        (status, Some(message)) => format!("status {status}: {message}"),
    }
}

/// Same bits.
pub(super) fn alike(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Says how well voxels agree, or how badly: same bits, or within 1e-5 of the range of `expected`.
pub(super) fn agreement<'v>(pairs: impl Iterator<Item = (&'v f32, &'v f32)> + Clone) -> Verdict {
    let (mut low, mut high, mut worst, mut count) = (f32::INFINITY, f32::NEG_INFINITY, 0.0_f32, 0_usize);
    for (expected, found) in pairs {
        (low, high) = (low.min(*expected), high.max(*expected));
        if expected.to_bits() != found.to_bits() {
            count += 1;
            let difference = (expected - found).abs();
            worst = if difference.is_nan() { f32::INFINITY } else { worst.max(difference) };
        }
    }
    let range = (high - low).max(f32::MIN_POSITIVE);
    match (count, worst <= CLOSE * range) {
        (0, _) => Ok("bit-equal".into()),
        (_, true) => Ok(format!("within {:.1e} of the output's range", worst / range)),
        _ => Err(Stop::Fail(format!("{count} voxels differ, by up to {worst} where the output spans {range}"))),
    }
}

/// Noise in 0..=1 that depends on the place alone.
pub(super) fn texture([x, y, z]: [i64; 3]) -> f32 {
    let mut bits = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ (y as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f)
        ^ (z as u64).wrapping_mul(0x1656_67b1_9e37_79f9);
    bits = (bits ^ (bits >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits >> 40) as f32) / ((1 << 24) as f32)
}

fn picture(boxes: &Boxes, [low, high]: [f32; 2], scene: &dyn Fn([i64; 3]) -> f32) -> Array {
    let [nx, ny, nz] = boxes.size;
    let mut voxels = Vec::with_capacity(boxes.first.len() * nx * ny * nz);
    for first in &boxes.first {
        for z in 0..nz as i64 {
            for y in 0..ny as i64 {
                let row = (0..nx as i64).map(|x| scene([first[0] + x, first[1] + y, first[2] + z]));
                voxels.extend(row.map(|value| low + (high - low) * value));
            }
        }
    }
    Array { shape: [boxes.first.len(), 1, nz, ny, nx], voxels, disguise: None }
}

/// The declared range, or the usual one of the first declared unit.
fn range(input: &Input) -> [f32; 2] {
    match (input.range, input.units.first()) {
        (Some([low, high]), _) => [low as f32, high as f32],
        (None, Some(Unit::Suv)) => [0.0, 30.0],
        (None, Some(Unit::Normalized)) => [-1.0, 1.0],
        (None, Some(Unit::OpticalDensity)) => [0.0, 4.0],
        (None, Some(Unit::Hounsfield | Unit::Arbitrary) | None) => [-1024.0, 3071.0],
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fail(fault.to_string())
    }
}

use isoscan_abi::{Context, Descriptor, IsoCall, IsoHost, IsoStr, IsoTensor, Refine};

use crate::tensor::overlap;
use crate::{Params, PluginError, TensorView, TensorViewMut};

/// One call of [`crate::Translator::run`]: tensors in, tensor out, parameters, and the host.
///
/// The first input is always there, and the output lies on its grid: same batch, z, y and x, times what
/// [`Refine`](crate::Refine) says. Inputs that are declared `aligned` have the grid of the first.
#[derive(Debug)]
pub struct Call<'a> {
    /// Parameter values, checked.
    pub params: &'a Params,
    /// Where the patches come from: seed, spacing in mm, first voxels.
    pub context: &'a Context,
    /// Progress, cancel and log.
    pub host: Host<'a>,
    names: Vec<&'a str>,
    image: TensorView<'a>,
    inputs: Vec<TensorView<'a>>,
    output: TensorViewMut<'a>,
}

impl<'a> Call<'a> {
    /// The first input.
    pub fn image(&self) -> TensorView<'a> {
        self.image
    }

    /// The input of that name or index in the descriptor's list; `None` when it is optional and was left out, or when
    /// the descriptor has no such input.
    pub fn input<'k>(&self, key: impl Into<InputKey<'k>>) -> Option<TensorView<'a>> {
        let index = match key.into() {
            InputKey::Index(index) => index,
            InputKey::Name(name) => self.names.iter().position(|&n| n == name)?,
        };
        self.inputs.get(index).copied()
    }

    /// The tensor to fill; zero when the call begins.
    pub fn output(&mut self) -> TensorViewMut<'_> {
        self.output.reborrow()
    }

    /// # Safety
    /// The tensors of `raw` must describe memory that stays valid for `'a`, the output's touched by nobody else.
    pub(crate) unsafe fn open(
        raw: &'a IsoCall,
        descriptor: &'a Descriptor,
        params: &'a Params,
        context: &'a Context,
        host: Host<'a>,
    ) -> Result<Self, PluginError> {
        // SAFETY: the caller promises that `inputs` and `outputs` hold as many tensors as they say.
        let (raw_inputs, raw_outputs) =
            unsafe { (tensors(raw.inputs, raw.input_count)?, tensors(raw.outputs, raw.output_count)?) };
        let [raw_output] = raw_outputs else {
            return Err(PluginError::invalid(format_args!("expected 1 output, found {}", raw_outputs.len())));
        };
        let (found, known) = (raw_inputs.len(), descriptor.inputs.len());
        if let Some(missing) = descriptor.inputs.get(found).filter(|input| found == 0 || !input.optional) {
            return Err(PluginError::invalid(format_args!("input '{}' is missing", missing.name)));
        }
        if found > known {
            return Err(PluginError::invalid(format_args!("expected at most {known} inputs, found {found}")));
        }
        if raw_inputs.iter().any(|input| overlap(input, raw_output)) {
            return Err(PluginError::invalid("an input and the output share memory"));
        }
        let names: Vec<&str> = descriptor.inputs.iter().map(|input| input.name.as_str()).collect();
        // SAFETY: the caller promises valid memory; overlap with the output was refused above.
        let inputs: Vec<TensorView<'a>> = raw_inputs
            .iter()
            .zip(&names)
            .map(|(tensor, name)| unsafe { TensorView::open(tensor, name) })
            .collect::<Result<_, _>>()?;
        // SAFETY: as above.
        let output = unsafe { TensorViewMut::open(raw_output, "output") }?;
        let image = *inputs.first().ok_or_else(|| PluginError::failed("the descriptor declares no input"))?;
        let aligned = descriptor
            .inputs
            .iter()
            .zip(&inputs)
            .find(|(declared, input)| declared.aligned && grid(input.shape) != grid(image.shape));
        if let Some((declared, input)) = aligned {
            let (name, expected, found) = (&declared.name, image.shape, input.shape);
            return Err(PluginError::invalid(format_args!(
                "input '{name}' must lie on the grid of the first input {expected:?}, found {found:?}"
            )));
        }
        let expected = Refine::output_shape(descriptor.output.refine.factors(params.values()), image.shape);
        if grid(expected) != grid(output.shape) {
            let (place, found) = (if descriptor.output.refine.is_none() { "" } else { "refined " }, output.shape);
            return Err(PluginError::invalid(format_args!(
                "the output must lie on the {place}grid of the first input {expected:?}, found {found:?}"
            )));
        }
        Ok(Self { params, context, host, names, image, inputs, output })
    }
}

/// How an input is named: by its name or its place in the descriptor's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKey<'k> {
    /// Name in the descriptor.
    Name(&'k str),
    /// Place in the descriptor's list, from 0.
    Index(usize),
}

impl<'k> From<&'k str> for InputKey<'k> {
    fn from(name: &'k str) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for InputKey<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// What the host offers during a call; usable from any thread of the plugin.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    raw: &'a IsoHost,
}

// SAFETY: by contract `progress` and `log` may be called from any thread; `set_error` is called by the door alone, on
// the thread of the call.
unsafe impl Send for Host<'_> {}
// SAFETY: as for `Send`.
unsafe impl Sync for Host<'_> {}

impl<'a> Host<'a> {
    /// Reports the done part in 0..=1 and asks whether to go on; call it at least every few hundred milliseconds.
    ///
    /// # Errors
    /// [`Cancelled`] when the host wants the call to stop; pass it on with `?`.
    pub fn progress(&self, fraction: f32) -> Result<(), Cancelled> {
        if (self.raw.progress)(self.raw.ctx, fraction) == 0 { Ok(()) } else { Err(Cancelled) }
    }

    /// Writes a line to the host's log; never put patient data into it.
    pub fn log(&self, level: Level, message: &str) {
        (self.raw.log)(self.raw.ctx, level as u32, IsoStr::new(message));
    }

    pub(crate) fn new(raw: &'a IsoHost) -> Self {
        Self { raw }
    }

    pub(crate) fn set_error(&self, message: &str) {
        let message = if message.is_empty() { "the plugin gave no reason" } else { message };
        (self.raw.set_error)(self.raw.ctx, IsoStr::new(message));
    }
}

/// The host asked the call to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled by the host")]
pub struct Cancelled;

impl From<Cancelled> for PluginError {
    fn from(Cancelled: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// Weight of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is doubtful.
    Warning = 2,
    /// Something worth knowing.
    Info = 3,
    /// Something for the plugin's author.
    Debug = 4,
}

/// # Safety
/// `first` must point to `count` tensors, or be null.
pub(crate) unsafe fn tensors<'a>(first: *const IsoTensor, count: u32) -> Result<&'a [IsoTensor], PluginError> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() || !first.is_aligned() {
        return Err(PluginError::invalid(format_args!("the list of {count} tensors has no usable address")));
    }
    // SAFETY: non-null and aligned; the caller promises `count` tensors.
    Ok(unsafe { std::slice::from_raw_parts(first, count as usize) })
}

fn grid([batch, _, z, y, x]: [usize; 5]) -> [usize; 4] {
    [batch, z, y, x]
}

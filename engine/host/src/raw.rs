//! Calls that go to a plugin unchecked, for the checker: the plugin itself must notice what is wrong with them.

use std::sync::{Arc, atomic::AtomicBool};

use isoscan_abi::STATUS_OK;

use crate::{
    Bundle, Fault, Options, Origin, TensorBuf,
    hand::Hand,
    instance::{NO_MESSAGE, Order},
    memory::{BufferPool, Use},
    sandbox::Reach,
    tensor::Form,
    worker::Watch,
};

/// One worker process with one instance, and the memory of its calls.
pub(crate) struct Raw<'a> {
    hand: Hand,
    bundle: &'a Bundle,
    options: Options,
    origin: Origin,
    buffers: Arc<BufferPool>,
}

/// A tensor of a raw call.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    pub(crate) shape: [usize; 5],
    pub(crate) voxels: Vec<f32>,
    /// What the plugin is told instead of the truth.
    pub(crate) disguise: Option<Form>,
}

/// What a raw call passes.
#[derive(Debug, Clone)]
pub(crate) struct RawCall {
    pub(crate) inputs: Vec<Array>,
    pub(crate) output_shape: [usize; 5],
    pub(crate) output_disguise: Option<Form>,
    /// JSON text.
    pub(crate) params: String,
    /// JSON text.
    pub(crate) context: String,
    /// What lies around the input voxels.
    pub(crate) around_inputs: u32,
    /// What the output and its surroundings hold before the call.
    pub(crate) in_output: u32,
}

/// What came back of a raw call.
#[derive(Debug, Clone)]
pub(crate) struct RawReply {
    pub(crate) status: i32,
    /// `None` when the plugin gave none.
    pub(crate) message: Option<String>,
    pub(crate) voxels: Vec<f32>,
    /// False when the plugin wrote around the output's voxels.
    pub(crate) stayed_inside: bool,
    pub(crate) seconds: f64,
}

impl<'a> Raw<'a> {
    /// Starts a worker that loads the library; makes no instance.
    pub(crate) fn start(bundle: &'a Bundle, options: Options, reach: &Reach) -> Result<Self, Fault> {
        let origin = Origin { plugin: bundle.id.clone(), version: bundle.version.clone(), job: "check".to_owned() };
        let hand = Hand::start(bundle, &options, reach, &origin)?;
        Ok(Self { hand, bundle, options, origin, buffers: Arc::new(BufferPool::new(8, 0)) })
    }

    /// The descriptor as the library wrote it.
    pub(crate) fn descriptor(&self) -> &str {
        self.hand.descriptor()
    }

    /// True when the library describes itself as it did when it was loaded.
    pub(crate) fn describes_alike(&mut self) -> Result<bool, Fault> {
        let done = self.hand.execute(&Order::Describe, &self.watch(None), &self.origin)?;
        Ok(done.answer.value == 1)
    }

    /// Makes an instance where there is none.
    pub(crate) fn create(&mut self) -> Result<(), Fault> {
        self.hand.create(self.bundle, &self.options, &self.origin)
    }

    /// Frees the instance and makes another.
    pub(crate) fn create_again(&mut self) -> Result<(), Fault> {
        let config = crate::hand::config_of(self.bundle, &self.options);
        let done = self.hand.execute(&Order::Create { config: &config }, &self.watch(None), &self.origin)?;
        crate::hand::started(&done.answer, &self.origin)
    }

    /// Process id of the worker.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.hand.pid()
    }

    /// Calls; a status other than OK is no fault. Setting `cancel` asks the plugin to stop, and ends it a second later.
    pub(crate) fn call(&mut self, call: &RawCall, cancel: Option<&AtomicBool>) -> Result<RawReply, Fault> {
        let (inputs, output) = self.tensors(call)?;
        let order = Order::Run {
            inputs: inputs.iter().collect(),
            output: &output,
            params: &call.params,
            context: &call.context,
        };
        let watch = self.watch(cancel);
        let done = match self.hand.execute(&order, &watch, &self.origin) {
            Ok(done) => done,
            Err(fault) => {
                output.retire();
                return Err(fault);
            }
        };
        let message = (done.answer.status != STATUS_OK && done.answer.text != NO_MESSAGE).then_some(done.answer.text);
        Ok(RawReply {
            status: done.answer.status,
            message: message.filter(|text| !text.trim().is_empty()),
            voxels: output.to_vec(),
            stayed_inside: output.surroundings_hold(call.in_output),
            seconds: done.answer.spent.as_secs_f64(),
        })
    }

    fn tensors(&self, call: &RawCall) -> Result<(Vec<TensorBuf>, TensorBuf), Fault> {
        let mut inputs = Vec::new();
        for array in &call.inputs {
            let mut tensor = TensorBuf::take(&self.buffers, array.shape, Use::Input, &self.origin)?;
            tensor.flood(call.around_inputs);
            tensor.copy_from_slice(&array.voxels);
            array.disguise.into_iter().for_each(|form| tensor.disguise(form));
            inputs.push(tensor);
        }
        let mut output = TensorBuf::take(&self.buffers, call.output_shape, Use::Output, &self.origin)?;
        output.flood(call.in_output);
        call.output_disguise.into_iter().for_each(|form| output.disguise(form));
        Ok((inputs, output))
    }

    fn watch<'w>(&self, cancel: Option<&'w AtomicBool>) -> Watch<'w> {
        let silence = self.bundle.manifest.limits.max_silence();
        Watch { limit: self.options.limit(self.bundle), silence, cancel, progress: None }
    }
}

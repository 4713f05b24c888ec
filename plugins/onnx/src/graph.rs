use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use isoscan_network::{Array, Network};
use isoscan_sdk::PluginError;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::unimpl::UnimplementedOp;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

/// Most shapes whose plans are kept.
const PLANS: usize = 8;

/// A network of an ONNX file.
pub struct Graph {
    model: InferenceModel,
    /// Extents of each argument; `None` where the file leaves them open.
    inputs: Vec<Option<Vec<Option<usize>>>>,
    /// Plans by the shapes that they were made for.
    plans: BTreeMap<Vec<Vec<usize>>, Arc<TypedRunnableModel>>,
}

impl Network for Graph {
    const FAMILY: &'static str = "onnx";
    const FILE: &'static str = "network in an ONNX file";

    fn load(file: &Path) -> Result<Self, PluginError> {
        let bytes = fs::read(file).map_err(|e| PluginError::failed(format_args!("the network's file: {e}")))?;
        let model = guarded("the network's file cannot be read as ONNX", || read(&bytes))?;
        let unknown = model.nodes().iter().filter(|node| node.op_as::<UnimplementedOp>().is_some());
        let mut unknown: Vec<String> = unknown.map(|node| operator(&node.op().name())).collect();
        if !unknown.is_empty() {
            unknown.sort_unstable();
            unknown.dedup();
            return Err(PluginError::invalid(format_args!(
                "expected operators that tract knows, found {}: export the network without them, or as TorchScript",
                unknown.join(", ")
            )));
        }
        let outputs = model.outputs.len();
        if outputs != 1 {
            return Err(PluginError::invalid(format_args!("expected a network with 1 output, found {outputs}")));
        }
        let inputs = model.inputs.iter().map(|&input| Ok(extents(model.outlet_fact(input)?)));
        let inputs = inputs.collect::<TractResult<_>>().map_err(|e| failed("the network's inputs", &e))?;
        Ok(Self { model, inputs, plans: BTreeMap::new() })
    }

    fn forward(&mut self, given: &[Array]) -> Result<Array, PluginError> {
        self.check(given)?;
        let plan = self.plan(given.iter().map(|array| array.shape.clone()).collect())?;
        let made = guarded("the network failed", || {
            let tensors = given.iter().map(|array| Ok(Tensor::from_shape(&array.shape, &array.values)?.into_tvalue()));
            plan.run(tensors.collect::<TractResult<_>>()?)
        })?;
        let made = made.first().ok_or_else(|| PluginError::failed("the network gave nothing"))?;
        let view = made.to_plain_array_view::<f32>().map_err(|e| failed("the network's output", &e))?;
        Ok(Array { shape: view.shape().to_vec(), values: view.iter().copied().collect() })
    }
}

impl Graph {
    /// Refuses arguments of other extents than the file says.
    fn check(&self, given: &[Array]) -> Result<(), PluginError> {
        let (expected, found) = (self.inputs.len(), given.len());
        if expected != found {
            return Err(PluginError::invalid(format_args!(
                "the network takes {expected} arguments, found {found}: see 'feed' and [[network.inputs]]"
            )));
        }
        for (index, (declared, array)) in self.inputs.iter().zip(given).enumerate() {
            let Some(declared) = declared else { continue };
            let fits = |(declared, found): (&Option<usize>, &usize)| declared.is_none_or(|n| n == *found);
            if declared.len() == array.shape.len() && declared.iter().zip(&array.shape).all(fits) {
                continue;
            }
            let word = |n: &Option<usize>| n.map_or_else(|| "any".to_owned(), |n| n.to_string());
            let expected = declared.iter().map(word).collect::<Vec<_>>().join(", ");
            return Err(PluginError::invalid(format_args!(
                "argument {} of the network: expected the shape [{expected}], found {:?}",
                index + 1,
                array.shape
            )));
        }
        Ok(())
    }

    fn plan(&mut self, shapes: Vec<Vec<usize>>) -> Result<Arc<TypedRunnableModel>, PluginError> {
        if let Some(plan) = self.plans.get(&shapes) {
            return Ok(plan.clone());
        }
        let model = self.model.clone();
        let plan = guarded("the network cannot be prepared", || {
            let facts = shapes.iter().map(|shape| InferenceFact::dt_shape(f32::datum_type(), shape.as_slice()));
            let model = facts.enumerate().try_fold(model, |model, (index, fact)| model.with_input_fact(index, fact))?;
            model.into_optimized()?.into_runnable()
        })?;
        if self.plans.len() >= PLANS {
            self.plans.clear();
        }
        self.plans.insert(shapes, plan.clone());
        Ok(plan)
    }
}

fn read(mut bytes: &[u8]) -> TractResult<InferenceModel> {
    // Shapes that an exporter noted inside the graph are those of its example image.
    tract_onnx::onnx().with_ignore_value_info(true).model_for_read(&mut bytes)
}

/// `Foo` of `Unimplemented(Foo)`.
fn operator(name: &str) -> String {
    name.trim_start_matches("Unimplemented(").trim_end_matches(')').to_owned()
}

/// Batch, channels and spatial extents as the file says.
fn extents(fact: &InferenceFact) -> Option<Vec<Option<usize>>> {
    if fact.shape.is_open() {
        return None;
    }
    Some(fact.shape.dims().map(|dim| dim.concretize().and_then(|dim| dim.to_usize().ok())).collect())
}

/// Runs `body`; a panic of the library that reads files of strangers is an error like its others.
fn guarded<T>(what: &str, body: impl FnOnce() -> TractResult<T>) -> Result<T, PluginError> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(result) => result.map_err(|e| failed(what, &format!("{e:#}"))),
        Err(_) => Err(failed(what, &"its graph is not consistent")),
    }
}

/// One line of at most 400 characters.
fn failed(what: &str, cause: &dyn Display) -> PluginError {
    let cause = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = cause.chars().take(400).collect();
    PluginError::failed(format_args!("{what}: {short}"))
}

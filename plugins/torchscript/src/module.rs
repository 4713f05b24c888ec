use std::fmt::Display;
use std::path::Path;

use isoscan_network::{Array, Network};
use isoscan_sdk::PluginError;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor, no_grad};

/// A network of a TorchScript file.
pub struct Module(CModule);

impl Network for Module {
    const FAMILY: &'static str = "torchscript";
    const FILE: &'static str = "network in a TorchScript file";

    fn load(file: &Path) -> Result<Self, PluginError> {
        let unread = |e: &TchError| failed("the network's file cannot be read as TorchScript", e);
        // The executor that rewrites a graph after its first calls may round the later ones another way.
        tch::jit::f_set_profiling_mode(false).map_err(|e| unread(&e))?;
        let mut module = CModule::load_on_device(file, Device::Cpu).map_err(|e| unread(&e))?;
        module.f_set_eval().map_err(|e| unread(&e))?;
        Ok(Self(module))
    }

    fn forward(&mut self, given: &[Array]) -> Result<Array, PluginError> {
        let broken = |e: TchError| failed("the network failed", &e);
        let tensor = |array: &Array| {
            let shape: Vec<i64> = array.shape.iter().map(|&n| n.cast_signed() as i64).collect();
            Ok(IValue::Tensor(Tensor::f_from_slice(&array.values)?.f_view(shape.as_slice())?))
        };
        let arguments = given.iter().map(tensor).collect::<Result<Vec<_>, TchError>>().map_err(broken)?;
        let made = match no_grad(|| self.0.forward_is(&arguments)).map_err(broken)? {
            IValue::Tensor(made) => made,
            other => {
                let found = word(&other);
                return Err(PluginError::failed(format_args!(
                    "the network's output: expected one tensor, found {found}"
                )));
            }
        };
        if made.f_kind().map_err(broken)? != Kind::Float {
            let found = made.kind();
            return Err(PluginError::failed(format_args!("the network's output: expected f32, found {found:?}")));
        }
        let shape = made.size().iter().map(|&n| usize::try_from(n).unwrap_or_default()).collect();
        let flat = made.f_contiguous().and_then(|made| made.f_view([-1])).map_err(broken)?;
        Ok(Array { shape, values: Vec::try_from(flat).map_err(broken)? })
    }
}

fn word(value: &IValue) -> &'static str {
    match value {
        IValue::Tuple(_) => "a tuple",
        IValue::TensorList(_) | IValue::GenericList(_) => "a list",
        IValue::GenericDict(_) => "a dictionary",
        IValue::None => "nothing",
        _ => "something else",
    }
}

/// The sentence of libtorch's error: without the places in its own source and in the network's, on one line of at most 400
/// characters.
fn failed(what: &str, cause: &dyn Display) -> PluginError {
    let cause = cause.to_string();
    let cause = cause.split("\nException raised from").next().unwrap_or_default();
    let cause = cause.rsplit("RuntimeError: ").next().unwrap_or_default();
    let line = cause.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(400).collect();
    PluginError::failed(format_args!("{what}: {short}"))
}

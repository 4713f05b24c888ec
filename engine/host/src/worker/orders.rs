//! Orders as messages.

use crate::{TensorBuf, batch, instance::Order, link::Kind, tensor::Form};

/// Tensors of an order, and whether the worker writes to them.
pub(super) fn tensors_of<'a>(order: &Order<'_, &'a TensorBuf>) -> Vec<(&'a TensorBuf, bool)> {
    match order {
        Order::Run { inputs, output, .. } => {
            inputs.iter().map(|input| (*input, false)).chain([(*output, true)]).collect()
        }
        Order::Batch { parts } => parts
            .iter()
            .flat_map(|part| part.inputs.iter().map(|input| (*input, false)).chain([(part.output, true)]))
            .collect(),
        Order::Step { source, target, .. } => vec![(source, false), (target, false)],
        Order::Preview { source, output } => vec![(source, false), (output, true)],
        Order::Describe | Order::Create { .. } | Order::Begin { .. } | Order::Save { .. } => Vec::new(),
    }
}

pub(super) fn encode(order: &Order<'_, &TensorBuf>) -> (Kind, [u64; 5], Vec<u8>) {
    let mut body = Vec::new();
    let tensors = tensors_of(order);
    for (tensor, _) in &tensors {
        let Form { byte_len, dtype, ndim, shape, stride } = tensor.form();
        let words = [tensor.region().id, tensor.len() as u64, byte_len, dtype.into(), ndim.into()];
        for word in words.into_iter().chain(shape).chain(stride.map(i64::cast_unsigned)) {
            body.extend_from_slice(&word.to_ne_bytes());
        }
    }
    let (kind, words, texts): (Kind, [u64; 5], [&str; 2]) = match order {
        Order::Describe => (Kind::Describe, [0; 5], ["", ""]),
        Order::Create { config } => (Kind::Create, [0; 5], [config, ""]),
        Order::Run { inputs, params, context, .. } => {
            (Kind::Run, [inputs.len() as u64, params.len() as u64, 0, 0, 0], [params, context])
        }
        Order::Batch { parts } => {
            batch::write_texts(parts, &mut body);
            (Kind::Batch, [parts.len() as u64, tensors.len() as u64, 0, 0, 0], ["", ""])
        }
        Order::Begin { config } => (Kind::Begin, [0; 5], [config, ""]),
        Order::Step { step, .. } => (Kind::Step, [*step, 0, 0, 0, 0], ["", ""]),
        Order::Preview { .. } => (Kind::Preview, [0; 5], ["", ""]),
        Order::Save { dir, checkpoint } => (Kind::Save, [u64::from(*checkpoint), 0, 0, 0, 0], [dir, ""]),
    };
    texts.iter().for_each(|text| body.extend_from_slice(text.as_bytes()));
    (kind, words, body)
}

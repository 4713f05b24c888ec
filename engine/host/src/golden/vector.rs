use std::{
    fs,
    path::{Component, Path},
    sync::atomic::AtomicBool,
};

use isoscan_abi::Context;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Bundle, Fault, Golden, Plugin, Request};

/// Largest file of a golden vector.
const MAX_BYTES: u64 = 256 << 20;
/// Name of the tensor that the plugin must give.
const EXPECTED: &str = "expected";

/// The tensors of one golden vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector {
    /// Inputs by name.
    pub(crate) inputs: Vec<(String, Tensor)>,
    /// Shape of the output.
    pub(crate) shape: [usize; 5],
    /// The output; empty as long as it is not known.
    pub(crate) expected: Vec<f32>,
}

/// A tensor `[batch, channel, z, y, x]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    pub(crate) shape: [usize; 5],
    pub(crate) voxels: Vec<f32>,
}

impl Vector {
    pub(crate) fn read(bundle: &Bundle, golden: &Golden) -> Result<Self, String> {
        let Golden { file, tolerance, drift, .. } = golden;
        for (name, value) in [("tolerance", Some(*tolerance)), ("drift", *drift)] {
            if value.is_some_and(|value| value.is_nan() || value < 0.0) {
                return Err(format!("expected a {name} of at least 0, found {}", value.unwrap_or_default()));
            }
        }
        if !Path::new(file).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err("expected a file inside its bundle".to_owned());
        }
        let path = bundle.dir.join(file);
        let told = |e: std::io::Error| format!("cannot be read: {e}");
        let bytes = fs::metadata(&path).map_err(told)?.len();
        if bytes > MAX_BYTES {
            return Err(format!("expected at most {MAX_BYTES} bytes, found {bytes}"));
        }
        parse(&fs::read(&path).map_err(told)?)
    }

    /// The output of `plugin`.
    pub(crate) fn run(&self, golden: &Golden, plugin: &Plugin) -> Result<Vec<f32>, Fault> {
        let job = format!("golden vector {}", golden.file);
        let wrong = |reason: String| {
            let Bundle { id, version, .. } = plugin.bundle();
            let origin = crate::Origin { plugin: id.clone(), version: version.clone(), job: job.clone() };
            Fault::Request { origin: origin.boxed(), reason }
        };
        let params = plugin.descriptor().check_params(&golden.params).map_err(wrong)?;
        let declared = &plugin.descriptor().inputs;
        if let Some((name, _)) = self.inputs.iter().find(|(name, _)| declared.iter().all(|input| input.name != *name)) {
            return Err(wrong(format!("it has no input '{name}'")));
        }
        let given = |name: &str| self.inputs.iter().find(|(given, _)| given == name).map(|(_, tensor)| tensor);
        let tensors: Vec<&Tensor> = declared.iter().map_while(|input| given(&input.name)).collect();
        if tensors.len() < self.inputs.len() {
            return Err(wrong(format!("input '{}' is missing", declared[tensors.len()].name)));
        }
        let mut inputs = Vec::new();
        for tensor in tensors {
            let mut input = plugin.buffer(tensor.shape)?;
            input.copy_from_slice(&tensor.voxels);
            inputs.push(input);
        }
        let context =
            Context { seed: golden.seed, spacing_mm: golden.spacing_mm, patch_origins: vec![[0; 3]; self.shape[0]] };
        let reply = plugin.call(Request {
            inputs,
            output_shape: self.shape,
            params: &params,
            context: &context,
            cancel: &AtomicBool::new(false),
            job: &job,
            progress: None,
        })?;
        Ok(reply.output.to_vec())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let bytes = |voxels: &[f32]| -> Vec<u8> { voxels.iter().flat_map(|voxel| voxel.to_le_bytes()).collect() };
        let mut tensors: Vec<(&str, [usize; 5], Vec<u8>)> =
            self.inputs.iter().map(|(name, tensor)| (name.as_str(), tensor.shape, bytes(&tensor.voxels))).collect();
        tensors.push((EXPECTED, self.shape, bytes(&self.expected)));
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let text = views.and_then(|views| safetensors::serialize(views, None)).map_err(|e| e.to_string())?;
        fs::write(path, text).map_err(|e| e.to_string())
    }
}

fn parse(bytes: &[u8]) -> Result<Vector, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| format!("is no safetensors file: {e}"))?;
    let mut tensors = file.tensors();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut inputs, mut expected) = (Vec::new(), None);
    for (name, view) in tensors {
        let tensor = tensor(&view).map_err(|found| {
            format!("expected tensor '{name}' to be f32 of 5 dimensions [batch, channel, z, y, x], found {found}")
        })?;
        if name == EXPECTED {
            expected = Some(tensor);
        } else {
            inputs.push((name, tensor));
        }
    }
    let Some(Tensor { shape, voxels }) = expected else {
        return Err(format!("expected a tensor '{EXPECTED}', found none"));
    };
    Ok(Vector { inputs, shape, expected: voxels })
}

/// The tensor, or what was found instead.
fn tensor(view: &TensorView<'_>) -> Result<Tensor, String> {
    let found = || format!("{:?} {:?}", view.dtype(), view.shape());
    let shape: [usize; 5] = view.shape().try_into().map_err(|_| found())?;
    if view.dtype() != Dtype::F32 {
        return Err(found());
    }
    let (words, _) = view.data().as_chunks::<4>();
    Ok(Tensor { shape, voxels: words.iter().map(|&word| f32::from_le_bytes(word)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_vector_reads_back_and_a_wrong_one_says_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let tensor = Tensor { shape: [1, 1, 1, 1, 3], voxels: vec![1.0, -0.0, 1e-40] };
        let vector =
            Vector { inputs: vec![("image".into(), tensor)], shape: [1, 1, 1, 1, 2], expected: vec![3.0, 4.0] };
        vector.write(&path).unwrap();
        assert_eq!(parse(&fs::read(&path).unwrap()).unwrap(), vector);

        let flat = safetensors::serialize([("image", TensorView::new(Dtype::I8, vec![2], &[1, 2]).unwrap())], None);
        let refused = parse(&flat.unwrap()).unwrap_err();
        let words = "expected tensor 'image' to be f32 of 5 dimensions [batch, channel, z, y, x], found I8 [2]";
        assert_eq!(refused, words);
        assert!(parse(b"{}").unwrap_err().starts_with("is no safetensors file"));
    }
}

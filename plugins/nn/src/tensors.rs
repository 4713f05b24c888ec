use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::Path,
};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Kind, Tensor};

use crate::Error;

/// Writes named f32 tensors as a safetensors file, beside the final name first and then renamed into place.
///
/// The same tensors give the same bytes.
///
/// # Errors
/// [`Error::File`] when the folder cannot be written, [`Error::Torch`] when a tensor is not f32.
pub fn write_tensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<(), Error> {
    let bytes = tensors.iter().map(|(_, tensor)| little_endian(tensor)).collect::<Result<Vec<_>, _>>()?;
    let mut views = Vec::with_capacity(tensors.len());
    for ((name, tensor), data) in tensors.iter().zip(&bytes) {
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        views.push((name.as_str(), TensorView::new(Dtype::F32, shape, data).map_err(|e| format_error(path, e))?));
    }
    let file = safetensors::serialize(views, None).map_err(|e| format_error(path, e))?;
    write_atomically(path, &file).map_err(|source| Error::File { path: path.into(), source })
}

/// Reads every tensor of a safetensors file, by name.
///
/// # Errors
/// [`Error::File`] when it cannot be read, [`Error::Format`] when it is not safetensors, [`Error::WeightKind`] when a
/// tensor is not f32.
pub fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    let file = fs::read(path).map_err(|source| Error::File { path: path.into(), source })?;
    let tensors = SafeTensors::deserialize(&file).map_err(|e| format_error(path, e))?;
    let mut by_name = BTreeMap::new();
    for (name, view) in tensors.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(Error::WeightKind { name: name.into(), found: format!("{:?}", view.dtype()) });
        }
        let values: Vec<f32> =
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        by_name.insert(name.to_owned(), Tensor::f_from_slice(&values)?.f_view(shape.as_slice())?);
    }
    Ok(by_name)
}

/// A tensor of `shape` with the values, x fastest.
///
/// # Errors
/// [`Error::Torch`] when their number is not the product of `shape`.
pub fn image(values: &[f32], shape: &[usize]) -> Result<Tensor, Error> {
    let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
    Ok(Tensor::f_from_slice(values)?.f_view(shape.as_slice())?)
}

/// The values of an f32 tensor, x fastest.
///
/// # Errors
/// [`Error::Torch`] when the tensor is not f32.
pub fn values(tensor: &Tensor) -> Result<Vec<f32>, Error> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

fn format_error(path: &Path, source: safetensors::SafeTensorError) -> Error {
    Error::Format { path: path.into(), source }
}

fn little_endian(tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let values = values(&tensor.f_to_kind(Kind::Float)?)?;
    Ok(values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = path.with_extension("partial");
    let mut file = fs::File::create(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_come_back_bit_for_bit_and_files_repeat() {
        let dir = tempfile::tempdir().unwrap();
        let [first, second] = ["first.safetensors", "second.safetensors"].map(|name| dir.path().join(name));
        let values = [0.1_f32, -0.0, f32::MIN_POSITIVE, 1e30, 5.0, 6.0];
        let tensors =
            [("b".to_owned(), Tensor::from_slice(&values).view([2, 3])), ("a".to_owned(), Tensor::from(4.0_f32))];
        write_tensors(&first, &tensors).unwrap();
        write_tensors(&second, &tensors).unwrap();
        assert_eq!(fs::read(&first).unwrap(), fs::read(&second).unwrap());

        let read = read_tensors(&first).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read["b"].size(), [2, 3]);
        let back = Vec::<f32>::try_from(read["b"].flatten(0, -1)).unwrap();
        assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.map(f32::to_bits));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no partial file stays");
    }

    #[test]
    fn values_of_a_turned_image_come_x_fastest() {
        let turned = image(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[1, 1, 2, 3]).unwrap().transpose(2, 3);
        assert_eq!(values(&turned).unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert!(matches!(image(&[1.0; 5], &[2, 3]), Err(Error::Torch(_))));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_safetensors_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let absent = dir.path().join("absent.safetensors");
        assert!(matches!(read_tensors(&absent), Err(Error::File { path, .. }) if path == absent));
        let broken = dir.path().join("broken.safetensors");
        fs::write(&broken, b"not weights").unwrap();
        assert!(matches!(read_tensors(&broken), Err(Error::Format { path, .. }) if path == broken));
    }
}

use rayon::prelude::*;

use crate::image::{Bounds, Image};

/// The magnitude of the gradient on a box, in f32 as ITK computes it: half the difference of the two neighbours along
/// each axis, over the spacing in mm unless `in_voxels`. A neighbour outside the image is the voxel at its border.
pub(super) fn gradient_magnitude(image: &Image, bounds: Bounds, in_voxels: bool) -> Vec<f32> {
    let spacing_mm = if in_voxels { [1.0; 3] } else { image.geometry().spacing_mm() };
    let near = bounds.widened([1; 3], image.geometry().size());
    let values = image.values_in(near);
    let offset: [usize; 3] = std::array::from_fn(|a| bounds.first[a] - near.first[a]);
    let strides = [1, near.size[0], near.size[0] * near.size[1]];
    let [nx, ny, _] = bounds.size;
    let mut out = vec![0.0; bounds.count()];
    out.par_chunks_mut(nx).enumerate().for_each(|(row, out)| {
        for (x, out) in out.iter_mut().enumerate() {
            let place = [x + offset[0], row % ny + offset[1], row / ny + offset[2]];
            let here: usize = (0..3).map(|a| place[a] * strides[a]).sum();
            let mut sum = 0.0;
            for axis in 0..3 {
                let before = if place[axis] > 0 { here - strides[axis] } else { here };
                let after = if place[axis] + 1 < near.size[axis] { here + strides[axis] } else { here };
                let slope = (values[after] * 0.5 - values[before] * 0.5) / spacing_mm[axis];
                sum += slope * slope;
            }
            *out = sum.sqrt() as f32;
        }
    });
    out
}

//! What the tests of the networks share: noise, weights that let every path show, and the measured receptive field.

use tch::{Tensor, no_grad};

use crate::{Architecture, Dim, Error, Net, Random};

/// Standard normal noise.
pub(crate) fn noise(shape: &[i64], seed: u64) -> Tensor {
    let random = Random::new(seed, &[]);
    let values: Vec<f32> = (0..shape.iter().product::<i64>()).map(|i| random.normal(i as u64) as f32).collect();
    Tensor::from_slice(&values).view(shape)
}

/// A network with weights 3 times as large as it starts with, and none that is zero.
pub(crate) fn strong<A: Architecture>(recipe: &A::Recipe) -> Net<A> {
    let net = Net::<A>::new(recipe, 3, 0).unwrap();
    no_grad(|| {
        for (index, mut weight) in net.parameters().tensors().into_iter().enumerate() {
            let shape = weight.size();
            let start = weight.g_mul_scalar(3.0) + noise(&shape, index as u64) * 0.02;
            weight.copy_(&start);
        }
    });
    net
}

/// The largest distance along an axis from a voxel that changes the output, to that output; over all positions of a
/// voxel inside a cell of `multiple` voxels, looked for up to `multiple` voxels beyond `halo`. One channel goes in.
pub(crate) fn farthest(dim: Dim, halo: i64, multiple: i64, forward: impl Fn(&Tensor) -> Result<Tensor, Error>) -> i64 {
    let centre = ((halo + multiple) as u64).next_multiple_of(multiple as u64) as i64;
    let extent = 2 * centre + 2 * multiple;
    let mut farthest = 0;
    for axis in 0..dim.axes() {
        // The other axes need no more than the network's smallest extent, and reach the voxel in any case.
        let mut shape = vec![1, 1];
        shape.extend((0..dim.axes()).map(|other| if other == axis { extent } else { 4 * multiple }));
        let image = noise(&shape, 7);
        let base = no_grad(|| forward(&image)).unwrap();
        for offset in 0..multiple {
            let poked = image.copy();
            let _ = poked.narrow(axis as i64 + 2, centre + offset, 1).fill_(30.0);
            let moved = no_grad(|| forward(&poked)).unwrap().ne_tensor(&base);
            let touched = moved.movedim_int(axis as i64 + 2, 0).flatten(1, -1).any_dim(1, false);
            for position in 0..extent {
                if touched.int64_value(&[position]) != 0 {
                    farthest = farthest.max((position - centre - offset).abs());
                }
            }
        }
    }
    farthest
}

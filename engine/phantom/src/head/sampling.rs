use isoscan_imaging::{Geometry, Volume};
use ndarray::Array3;
use rayon::prelude::*;

use crate::Error;

/// For every cell of an axis the cells of the finer axis that it covers, with the covered length in cells of the finer.
pub(crate) type Cover = Vec<Vec<(usize, f64)>>;

/// How the voxels of `coarse` cover those of `fine` along x, y, z.
///
/// # Errors
/// [`Error::Oblique`] when the axes of the two grids differ.
pub(crate) fn covers(fine: &Geometry, coarse: &Geometry) -> Result<[Cover; 3], Error> {
    let angle = |(a, b): (&[f64; 3], &[f64; 3])| {
        let across: [f64; 3] =
            std::array::from_fn(|i| a[(i + 1) % 3] * b[(i + 2) % 3] - a[(i + 2) % 3] * b[(i + 1) % 3]);
        let along: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        across.iter().map(|v| v * v).sum::<f64>().sqrt().atan2(along)
    };
    let most = fine.direction().iter().zip(&coarse.direction()).map(angle).fold(0.0, f64::max);
    if most > 1e-6 {
        return Err(Error::Oblique { found_deg: most.to_degrees() });
    }
    let offset = fine.voxel_from_world().apply(coarse.origin_mm());
    Ok(std::array::from_fn(|axis| {
        let step = coarse.spacing_mm()[axis] / fine.spacing_mm()[axis];
        let count = fine.size()[axis] as f64;
        (0..coarse.size()[axis])
            .map(|cell| {
                let low = offset[axis] + cell as f64 * step - 0.5 * step + 0.5;
                let (first, end) = (low.max(0.0).floor(), (low + step).min(count).ceil().max(0.0));
                (first as usize..end as usize)
                    .map(|i| (i, (low + step).min(i as f64 + 1.0) - low.max(i as f64)))
                    .filter(|(_, length)| *length > 1e-9)
                    .collect()
            })
            .collect()
    }))
}

/// Means of `value` (x, y, z of the fine grid) over the voxels of `coarse`; what lies outside the fine grid counts
/// as `outside`.
pub(crate) fn mean_on(
    fine: &Geometry,
    coarse: &Geometry,
    outside: f64,
    value: impl Fn(usize) -> f64 + Sync,
) -> Result<Array3<f32>, Error> {
    gathered(fine, coarse, |parts| {
        let (sum, share) = parts.fold((0.0, 0.0), |(sum, share), (at, part)| (sum + part * value(at), share + part));
        (sum + outside * (1.0 - share)) as f32
    })
}

/// The number that fills most of each voxel of `coarse`, the smallest of equals; 0 outside the fine grid.
pub(crate) fn majority_on(fine: &Geometry, numbers: &[u8], coarse: &Geometry) -> Result<Array3<f32>, Error> {
    gathered(fine, coarse, |parts| {
        let mut shares = [0.0; 256];
        let mut rest = 1.0;
        for (at, part) in parts {
            shares[usize::from(numbers[at])] += part;
            rest -= part;
        }
        shares[0] += f64::max(rest, 0.0);
        let most = shares.iter().fold(0.0, |a: f64, &b| a.max(b));
        shares.iter().position(|&share| share > most - 1e-9).unwrap_or(0) as f32
    })
}

/// For every voxel of `coarse` a number from the fine voxels in it, by index, and the shares of its volume they fill.
fn gathered(
    fine: &Geometry,
    coarse: &Geometry,
    number: impl Fn(&mut dyn Iterator<Item = (usize, f64)>) -> f32 + Sync,
) -> Result<Array3<f32>, Error> {
    let [xs, ys, zs] = &covers(fine, coarse)?;
    let [columns, rows, _] = fine.size();
    let [nx, ny, nz] = coarse.size();
    let whole = coarse.voxel_volume_mm3() / fine.voxel_volume_mm3();
    let mut voxels = Array3::zeros((nz, ny, nx));
    voxels.as_slice_mut().expect("a new array is contiguous").par_chunks_mut(nx).enumerate().for_each(|(line, out)| {
        let (k, j) = (line / ny, line % ny);
        for (i, voxel) in out.iter_mut().enumerate() {
            let mut parts = zs[k].iter().flat_map(|&(z, dz)| {
                ys[j].iter().flat_map(move |&(y, dy)| {
                    xs[i].iter().map(move |&(x, dx)| ((z * rows + y) * columns + x, dx * dy * dz / whole))
                })
            });
            *voxel = number(&mut parts);
        }
    });
    Ok(voxels)
}

/// Means of a volume over the voxels of another grid with the same axes; outside the volume counts as `outside`.
///
/// # Errors
/// [`Error::Oblique`] when the axes differ.
pub(crate) fn volume_on(volume: &Volume, coarse: &Geometry, outside: f64) -> Result<Volume, Error> {
    let values = volume.as_slice();
    let voxels = mean_on(volume.geometry(), coarse, outside, |at| f64::from(values[at]))?;
    Ok(Volume::new(voxels, coarse.clone(), volume.modality(), volume.unit())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(size: [usize; 3], spacing: [f64; 3], origin: [f64; 3]) -> Geometry {
        Geometry::new(size, spacing, origin, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).unwrap()
    }

    #[test]
    fn means_and_majorities_weigh_by_covered_volume() {
        // Four cells of 1 mm from 0 to 4; coarse cells 0..1.5, 1.5..3, 3..4.5: the last has a third outside.
        let fine = grid([4, 1, 1], [1.0; 3], [0.5, 0.0, 0.0]);
        let coarse = grid([3, 1, 1], [1.5, 1.0, 1.0], [0.75, 0.0, 0.0]);
        let values = [3.0, 6.0, 12.0, 9.0];
        let means = mean_on(&fine, &coarse, 30.0, |at| values[at]).unwrap();
        assert_eq!(means.as_slice().unwrap(), [4.0, 10.0, 16.0]);
        let numbers = majority_on(&fine, &[1, 2, 2, 5], &coarse).unwrap();
        assert_eq!(numbers.as_slice().unwrap(), [1.0, 2.0, 5.0]);
    }

    #[test]
    fn turned_grids_are_refused() {
        let fine = grid([2, 2, 2], [1.0; 3], [0.0; 3]);
        let turned =
            Geometry::new([2, 2, 2], [1.0; 3], [0.0; 3], [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]).unwrap();
        let Err(Error::Oblique { found_deg }) = covers(&fine, &turned) else { panic!("a turned grid was taken") };
        assert!((found_deg - 90.0).abs() < 1e-9);
    }
}

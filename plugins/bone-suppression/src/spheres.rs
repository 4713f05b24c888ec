use isoscan_nn::{Error, Random};
use tch::Tensor;

/// Radii of the spheres, pixels: nodules of 8 to 26 mm in pixels of 1.6 mm.
const RADIUS: [f64; 2] = [2.5, 8.0];
/// Log attenuation of a chord of one pixel; in pixels of 1.6 mm that of soft tissue in lung at 120 kV, less its scatter.
const CHORD: [f64; 2] = [0.004, 0.012];

/// What `count` spheres add to each of the slices, `[batch, 1, y, x]`: `2 chord √(r² - d²)` at a distance d from the middle.
pub(crate) fn spheres(slices: &Tensor, count: u64, random: Random) -> Result<Tensor, Error> {
    let shape = slices.size();
    let [items, rows, columns] = [shape[0], shape[2], shape[3]];
    let mut added = vec![0.0f32; (items * rows * columns) as usize];
    for (item, slice) in added.chunks_mut((rows * columns) as usize).enumerate() {
        for sphere in 0..count {
            let draw = |number: u64| random.uniform(4 * (item as u64 * count + sphere) + number);
            let (y, x) = (rows as f64 * draw(0), columns as f64 * draw(1));
            let radius = RADIUS[0] * (RADIUS[1] / RADIUS[0]).powf(draw(2));
            let chord = CHORD[0] + (CHORD[1] - CHORD[0]) * draw(3);
            for (pixel, value) in slice.iter_mut().enumerate() {
                let (dy, dx) = ((pixel as i64 / columns) as f64 - y, (pixel as i64 % columns) as f64 - x);
                let half = (radius * radius - dy * dy - dx * dx).max(0.0).sqrt();
                *value += (2.0 * chord * half) as f32;
            }
        }
    }
    Ok(Tensor::f_from_slice(&added)?.f_view([items, 1, rows, columns])?)
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn spheres_are_as_dense_as_soft_tissue_and_differ_from_slice_to_slice() {
        let slices = Tensor::zeros([2, 1, 64, 64], (Kind::Float, Device::Cpu));
        let at = |count| spheres(&slices, count, Random::new(3, &[1])).unwrap();
        assert_eq!(at(0).abs().max().double_value(&[]), 0.0);
        let one = at(1);
        let highest = one.amax([1, 2, 3], false);
        for item in 0..2 {
            let highest = highest.double_value(&[item]);
            assert!(0.5 * 2.0 * CHORD[0] * RADIUS[0] < highest && highest <= 2.0 * CHORD[1] * RADIUS[1], "{highest}");
        }
        assert_ne!(highest.double_value(&[0]), highest.double_value(&[1]));
    }
}

//! What is compared: the 25 voxels of a 5 x 5 patch, and 24 more on a grid three voxels wide around it, which tell bone
//! from the air outside the head. Beyond the slice the nearest voxel stands.

/// Values of a neighbourhood.
pub(crate) const VALUES: usize = 49;
/// Voxels that a neighbourhood reaches to each side.
pub(crate) const REACH: usize = 6;
/// Distance between the voxels of the outer grid.
const WIDE: isize = 3;

/// The neighbourhood of voxel (x, y) of a slice of `size` (x, y) voxels.
pub(crate) fn neighbourhood(slice: &[f32], [nx, ny]: [usize; 2], [x, y]: [usize; 2]) -> [f32; VALUES] {
    let at = |dx: isize, dy: isize| {
        let x = x.saturating_add_signed(dx).min(nx - 1);
        let y = y.saturating_add_signed(dy).min(ny - 1);
        slice[y * nx + x]
    };
    let mut values = [0.0; VALUES];
    let offsets = (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| (dx, dy)));
    let wide = offsets.clone().filter(|&offset| offset != (0, 0)).map(|(dx, dy)| (WIDE * dx, WIDE * dy));
    for (value, (dx, dy)) in values.iter_mut().zip(offsets.chain(wide)) {
        *value = at(dx, dy);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbourhood_holds_the_patch_then_the_wide_grid() {
        let slice: Vec<f32> = (0..400).map(|i| i as f32).collect();
        let values = neighbourhood(&slice, [20, 20], [10, 10]);
        assert_eq!(values[..5], [168.0, 169.0, 170.0, 171.0, 172.0]);
        assert_eq!((values[12], values[24]), (210.0, 252.0));
        assert_eq!((values[25], values[48]), (84.0, 336.0));
    }

    #[test]
    fn nearest_voxel_stands_beyond_the_slice() {
        let values = neighbourhood(&[1.0, 2.0, 3.0, 4.0], [2, 2], [0, 0]);
        assert_eq!((values[0], values[4], values[20], values[24]), (1.0, 2.0, 3.0, 4.0));
    }
}

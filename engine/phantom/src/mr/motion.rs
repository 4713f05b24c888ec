use rustfft::num_complex::{Complex32, Complex64};

use crate::mr::kspace::{Axis, sample_plane};
use crate::random::{Purpose, between, keyed};

/// A head that moves in the plane of the slices between the shots of a scan.
///
/// Phase-encoding lines (along y) fall to the shots in blocks of equal number; the shot with the middle of k-space sees
/// the head where it was drawn, so the image lies on its labels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motion {
    /// Shots, at least 1.
    pub shots: u32,
    /// Largest shift along x and y, mm.
    pub translation_mm: f64,
    /// Largest rotation about z, degrees.
    pub rotation_deg: f64,
}

/// Where the head lies during one shot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shift {
    pub(crate) x_mm: f64,
    pub(crate) y_mm: f64,
    pub(crate) turn_rad: f64,
}

impl Motion {
    /// Draws a shift per shot, uniform within the limits.
    pub(crate) fn draw(&self, seed: u64, subject: u32, protocol: u32) -> Vec<Shift> {
        let random = &mut keyed(seed, subject, Purpose::Motion(protocol), 1, 0);
        let still = self.shots / 2;
        (0..self.shots)
            .map(|shot| {
                let mut within = |most: f64| between(random, -1.0, 1.0) * if shot == still { 0.0 } else { most };
                let (x_mm, y_mm) = (within(self.translation_mm), within(self.translation_mm));
                Shift { x_mm, y_mm, turn_rad: within(self.rotation_deg.to_radians()) }
            })
            .collect()
    }
}

/// K-space of a plane whose object moves between the shots. `field_mm` is the field of view along x and y.
pub(crate) fn sample_moving_plane(
    cells: &[f32],
    axes: [&Axis; 2],
    field_mm: [f64; 2],
    shifts: &[Shift],
) -> Vec<Complex32> {
    let (width, height) = (axes[0].acquired(), axes[1].acquired());
    let still = sample_plane(cells, axes);
    let mut samples = Vec::with_capacity(still.len());
    for (shot, shift) in shifts.iter().enumerate() {
        let lines = height * shot / shifts.len()..height * (shot + 1) / shifts.len();
        let turned = (shift.turn_rad != 0.0)
            .then(|| sample_plane(&turned(cells, [axes[0].fine(), axes[1].fine()], field_mm, shift.turn_rad), axes));
        let source = turned.as_ref().unwrap_or(&still);
        for ky in lines {
            for kx in 0..width {
                let cycles =
                    axes[0].order(kx) * shift.x_mm / field_mm[0] + axes[1].order(ky) * shift.y_mm / field_mm[1];
                let ramp = Complex64::from_polar(1.0, -std::f64::consts::TAU * cycles);
                samples.push(source[ky * width + kx] * Complex32::new(ramp.re as f32, ramp.im as f32));
            }
        }
    }
    samples
}

/// A plane turned about its middle, by linear interpolation; 0 enters from outside.
fn turned(cells: &[f32], [nx, ny]: [usize; 2], field_mm: [f64; 2], turn_rad: f64) -> Vec<f32> {
    let (sin, cos) = turn_rad.sin_cos();
    let (dx, dy) = (field_mm[0] / nx as f64, field_mm[1] / ny as f64);
    let at = |i: i64, j: i64| {
        let inside = (0..nx as i64).contains(&i) && (0..ny as i64).contains(&j);
        if inside { f64::from(cells[j as usize * nx + i as usize]) } else { 0.0 }
    };
    let middle = [0.5 * (nx as f64 - 1.0), 0.5 * (ny as f64 - 1.0)];
    (0..nx * ny)
        .map(|n| {
            let (x, y) = (((n % nx) as f64 - middle[0]) * dx, ((n / nx) as f64 - middle[1]) * dy);
            let (u, v) = ((cos * x + sin * y) / dx + middle[0], (cos * y - sin * x) / dy + middle[1]);
            let (i, j) = (u.floor(), v.floor());
            let (s, t) = (u - i, v - j);
            let (i, j) = (i as i64, j as i64);
            let rows = [j, j + 1].map(|j| (1.0 - s) * at(i, j) + s * at(i + 1, j));
            ((1.0 - t) * rows[0] + t * rows[1]) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KspaceWindow;
    use crate::mr::kspace::image_plane;

    fn axes(count: usize) -> [Axis; 2] {
        std::array::from_fn(|_| Axis::new(count, count, count, KspaceWindow::Rectangular, false))
    }

    #[test]
    fn one_whole_shift_moves_the_image() {
        let [x, y] = axes(16);
        let mut cells = vec![0.0f32; 256];
        cells[5 * 16 + 7] = 1.0;
        let shift = Shift { x_mm: 2.0, y_mm: -3.0, turn_rad: 0.0 };
        // 16 cells of 1 mm: two to the right, three up.
        let samples = sample_moving_plane(&cells, [&x, &y], [16.0, 16.0], &[shift]);
        let image = image_plane(&samples, [&x, &y]);
        assert!((image[2 * 16 + 9].norm() - 1.0).abs() < 1e-5, "{}", image[2 * 16 + 9]);
    }

    #[test]
    fn a_still_head_is_sampled_as_without_motion() {
        let [x, y] = axes(12);
        let cells: Vec<f32> = (0..144).map(|n| (n * 7 % 13) as f32).collect();
        let motion = Motion { shots: 3, translation_mm: 0.0, rotation_deg: 0.0 };
        let moving = sample_moving_plane(&cells, [&x, &y], [24.0, 24.0], &motion.draw(1, 0, 0));
        for (a, b) in moving.iter().zip(sample_plane(&cells, [&x, &y])) {
            assert!((a - b).norm() < 1e-6);
        }
    }

    #[test]
    fn the_shot_of_the_middle_stays_and_others_keep_their_limits() {
        let shifts = Motion { shots: 5, translation_mm: 4.0, rotation_deg: 3.0 }.draw(3, 1, 9);
        assert_eq!(shifts[2], Shift { x_mm: 0.0, y_mm: 0.0, turn_rad: 0.0 });
        assert!(shifts.iter().all(|s| s.x_mm.abs() <= 4.0 && s.turn_rad.abs() <= 3f64.to_radians()));
        assert!(shifts.iter().filter(|s| s.x_mm != 0.0).count() == 4);
    }

    #[test]
    fn a_quarter_turn_takes_x_to_y() {
        let mut cells = vec![0.0f32; 25];
        cells[2 * 5 + 4] = 1.0;
        let found = turned(&cells, [5, 5], [5.0, 5.0], std::f64::consts::FRAC_PI_2);
        assert!((found[4 * 5 + 2] - 1.0).abs() < 1e-6, "{found:?}");
    }
}

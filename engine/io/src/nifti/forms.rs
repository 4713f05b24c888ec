//! Grids from and to NIfTI's two coordinate forms. NIfTI points are RAS (x to the right, y to the front), Isoscan's are
//! LPS: the first two rows of an affine change sign at this door.

use std::path::Path;

use isoscan_imaging::{Affine3, Geometry};

use super::header::Forms;
use crate::{Error, Warning};

/// Axes that lean more than this from a right angle have no quaternion; f32 forms of orthogonal axes stay well below.
const SHEAR: f64 = 1e-4;

/// The grid of a header: sform when its code is positive, else qform, else pixel sizes with the centre of the grid at
/// the origin and x growing to the left (the convention of other readers for files without forms).
pub(crate) fn geometry(forms: &Forms, size: [usize; 3], path: &Path) -> Result<(Geometry, Option<Warning>), Error> {
    let (ras, warning) = if forms.sform_code > 0 {
        (from_rows(&forms.rows), None)
    } else if forms.qform_code > 0 {
        (from_quaternion(forms, path)?, None)
    } else {
        (centred(forms, size), Some(Warning::NoOrientation))
    };
    let ras = with_flat_axes(ras, size);
    let millimetres = millimetres_per_unit(forms.units);
    let lps = scaled_rows(&ras, [-millimetres, -millimetres, millimetres]);
    let geometry =
        Geometry::from_affine(size, &lps).map_err(|source| Error::Image { source, path: path.to_owned() })?;
    Ok((geometry, warning))
}

/// Forms of a grid, in mm. Sheared axes get no qform (code 0).
pub(crate) fn forms(geometry: &Geometry, qform_code: i32, sform_code: i32) -> Forms {
    let ras = scaled_rows(&geometry.world_from_voxel(), [-1.0, -1.0, 1.0]);
    let rows = std::array::from_fn(|row| {
        let [a, b, c] = ras.matrix[row];
        [a, b, c, ras.translation[row]]
    });
    let spacing = geometry.spacing_mm();
    let mut pixdim = [1.0, spacing[0], spacing[1], spacing[2], 0.0, 0.0, 0.0, 0.0];
    let mut forms =
        Forms { pixdim, units: 2, qform_code: 0, sform_code, quaternion: [0.0; 3], offset: ras.translation, rows };
    if let Some((quaternion, qfac)) = quaternion(&ras, spacing) {
        pixdim[0] = qfac;
        forms = Forms { pixdim, qform_code, quaternion, ..forms };
    }
    forms
}

fn millimetres_per_unit(units: i32) -> f64 {
    match units & 7 {
        1 => 1000.0,
        3 => 0.001,
        _ => 1.0,
    }
}

fn scaled_rows(affine: &Affine3, factors: [f64; 3]) -> Affine3 {
    Affine3 {
        matrix: std::array::from_fn(|row| affine.matrix[row].map(|x| x * factors[row])),
        translation: std::array::from_fn(|row| affine.translation[row] * factors[row]),
    }
}

fn from_rows(rows: &[[f64; 4]; 3]) -> Affine3 {
    Affine3 { matrix: rows.map(|[a, b, c, _]| [a, b, c]), translation: rows.map(|[.., t]| t) }
}

/// Method 2 of `nifti1.h`: R(a, b, c, d) with a = √(1 − b² − c² − d²), columns scaled by pixel sizes, the third also by
/// qfac, which is −1 only for a negative `pixdim[0]`.
fn from_quaternion(forms: &Forms, path: &Path) -> Result<Affine3, Error> {
    let [b, c, d] = forms.quaternion;
    let square = b * b + c * c + d * d;
    if square.is_nan() || square > 1.0 + 1e-4 {
        return Err(Error::Malformed {
            field: "quatern_b, c, d",
            expected: "a length of at most 1",
            found: square.sqrt().to_string(),
            path: path.to_owned(),
        });
    }
    let shrink = if square > 1.0 { square.sqrt().recip() } else { 1.0 };
    let [b, c, d] = [b, c, d].map(|x| x * shrink);
    let a = (1.0 - (b * b + c * c + d * d)).max(0.0).sqrt();
    let rotation = [
        [a * a + b * b - c * c - d * d, 2.0 * (b * c - a * d), 2.0 * (b * d + a * c)],
        [2.0 * (b * c + a * d), a * a + c * c - b * b - d * d, 2.0 * (c * d - a * b)],
        [2.0 * (b * d - a * c), 2.0 * (c * d + a * b), a * a + d * d - c * c - b * b],
    ];
    let qfac = if forms.pixdim[0] < 0.0 { -1.0 } else { 1.0 };
    let [x, y, z] = pixel_sizes(forms);
    let scale = [x, y, z * qfac];
    let matrix = rotation.map(|row| std::array::from_fn(|axis| row[axis] * scale[axis]));
    Ok(Affine3 { matrix, translation: forms.offset })
}

fn centred(forms: &Forms, size: [usize; 3]) -> Affine3 {
    let [x, y, z] = pixel_sizes(forms);
    let step = [-x, y, z];
    let matrix = std::array::from_fn(|row| std::array::from_fn(|axis| if row == axis { step[axis] } else { 0.0 }));
    let translation = std::array::from_fn(|axis| -step[axis] * (size[axis] as f64 - 1.0) / 2.0);
    Affine3 { matrix, translation }
}

/// Pixel sizes without sign; 0 stands in files whose axis holds one voxel and counts as 1.
fn pixel_sizes(forms: &Forms) -> [f64; 3] {
    std::array::from_fn(|axis| match forms.pixdim[axis + 1].abs() {
        0.0 => 1.0,
        size => size,
    })
}

/// Gives an axis with one voxel and no direction the unit normal of the other two.
fn with_flat_axes(affine: Affine3, size: [usize; 3]) -> Affine3 {
    let mut matrix = affine.matrix;
    let column = |m: &[[f64; 3]; 3], axis: usize| [m[0][axis], m[1][axis], m[2][axis]];
    for axis in 0..3 {
        if size[axis] == 1 && column(&matrix, axis) == [0.0; 3] {
            let normal = cross(column(&matrix, (axis + 1) % 3), column(&matrix, (axis + 2) % 3));
            let length = normal.iter().map(|x| x * x).sum::<f64>().sqrt();
            (0..3).for_each(|row| matrix[row][axis] = normal[row] / length);
        }
    }
    Affine3 { matrix, ..affine }
}

/// b, c, d and qfac of a RAS affine, or `None` when its axes are not at right angles. The largest of the four quaternion
/// parts is computed from the diagonal, the others from it, so that none loses digits.
fn quaternion(ras: &Affine3, spacing: [f64; 3]) -> Option<([f64; 3], f64)> {
    let mut r: [[f64; 3]; 3] = ras.matrix.map(|row| std::array::from_fn(|axis| row[axis] / spacing[axis]));
    let dot = |p: usize, q: usize| (0..3).map(|row| r[row][p] * r[row][q]).sum::<f64>();
    if [dot(0, 1), dot(0, 2), dot(1, 2)].iter().any(|lean| lean.abs() > SHEAR) {
        return None;
    }
    let qfac = if ras.determinant() < 0.0 { -1.0 } else { 1.0 };
    r.iter_mut().for_each(|row| row[2] *= qfac);
    let trace = [
        1.0 + r[0][0] + r[1][1] + r[2][2],
        1.0 + r[0][0] - r[1][1] - r[2][2],
        1.0 - r[0][0] + r[1][1] - r[2][2],
        1.0 - r[0][0] - r[1][1] + r[2][2],
    ];
    let largest = (0..4).fold(0, |best, i| if trace[i] > trace[best] { i } else { best });
    let s = 2.0 * trace[largest].sqrt();
    let (p, q) = (|i: usize, j: usize| (r[i][j] + r[j][i]) / s, |i: usize, j: usize| (r[i][j] - r[j][i]) / s);
    let [a, b, c, d] = match largest {
        0 => [s / 4.0, q(2, 1), q(0, 2), q(1, 0)],
        1 => [q(2, 1), s / 4.0, p(0, 1), p(0, 2)],
        2 => [q(0, 2), p(0, 1), s / 4.0, p(1, 2)],
        _ => [q(1, 0), p(0, 2), p(1, 2), s / 4.0],
    };
    let length = (a * a + b * b + c * c + d * d).sqrt().copysign(a);
    Some(([b / length, c / length, d / length], qfac))
}

fn cross(p: [f64; 3], q: [f64; 3]) -> [f64; 3] {
    [p[1] * q[2] - p[2] * q[1], p[2] * q[0] - p[0] * q[2], p[0] * q[1] - p[1] * q[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms_of(affine: [[f64; 4]; 3]) -> (Geometry, Forms) {
        let ras = Affine3 { matrix: affine.map(|[a, b, c, _]| [a, b, c]), translation: affine.map(|[.., t]| t) };
        let geometry = Geometry::from_affine([5, 6, 7], &scaled_rows(&ras, [-1.0, -1.0, 1.0])).unwrap();
        (geometry.clone(), forms(&geometry, 1, 1))
    }

    #[test]
    fn both_forms_give_the_grid_back() {
        let (s, c) = (0.6, 0.8);
        for affine in [
            [[2.0, 0.0, 0.0, -10.0], [0.0, 3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]],
            [[-2.0, 0.0, 0.0, -10.0], [0.0, 3.0, 0.0, 20.0], [0.0, 0.0, 4.0, 30.0]],
            [[0.0, 0.0, 4.0, 1.0], [-2.0, 0.0, 0.0, 2.0], [0.0, -3.0, 0.0, 3.0]],
            [[-2.0, 0.0, 0.0, 1.0], [0.0, -3.0 * c, 4.0 * s, 2.0], [0.0, 3.0 * s, 4.0 * c, 3.0]],
            [[-2.0, 0.0, 0.0, 1.0], [0.0, -3.0, 0.0, 2.0], [0.0, 0.0, 4.0, 3.0]],
        ] {
            let (geometry, both) = forms_of(affine);
            let only_qform = Forms { sform_code: 0, ..both.clone() };
            for read in [both, only_qform] {
                let (back, warning) = super::geometry(&read, [5, 6, 7], Path::new("x")).unwrap();
                assert!(back.corner_distance_mm(&geometry) < 1e-12, "{affine:?} gave {back}");
                assert_eq!(warning, None);
            }
        }
    }

    #[test]
    fn sheared_axes_have_no_qform() {
        let (_, forms) = forms_of([[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 1.0, 0.0], [0.0, 0.0, 4.0, 0.0]]);
        assert_eq!((forms.qform_code, forms.sform_code), (0, 1));
    }

    #[test]
    fn micrometres_become_millimetres_and_ras_becomes_lps() {
        let (_, mut micron) = forms_of([[2.0, 0.0, 0.0, 1000.0], [0.0, 3.0, 0.0, 2000.0], [0.0, 0.0, 4.0, 3000.0]]);
        micron.units = 3;
        let (geometry, _) = super::geometry(&micron, [5, 6, 7], Path::new("x")).unwrap();
        assert_eq!(geometry.origin_mm(), [-1.0, -2.0, 3.0]);
        assert_eq!(geometry.spacing_mm(), [0.002, 0.003, 0.004]);
    }
}

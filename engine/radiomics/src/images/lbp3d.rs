use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::PI;
use std::ops::{Add, Div};

use rayon::prelude::*;

use super::cubic::Coefficients;
use super::periodic::Real;
use crate::diagnostics::pairwise_sum;
use crate::image::Image;
use crate::prepare::Number;
use crate::roi::Roi;

/// The sphere sampled around each voxel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sphere {
    /// In voxels.
    pub(super) radius: f64,
    /// Subdivisions of the icosahedron.
    pub(super) subdivisions: u32,
    /// Bands of spherical harmonics.
    pub(super) levels: u32,
}

/// Local binary patterns in space of the voxels of `region`: the strength of each band of spherical harmonics of the
/// pattern, then the excess kurtosis of the samples.
///
/// Samples lie on the vertices v of an icosphere, cubic B-spline between voxels, 0 outside the image, rounded to the
/// image's type (halves away from zero); `s(v)` is 1 when the sample is at least the voxel itself. With
/// `c_m = Σ_v s(v) Y_nm(v)` a band's strength is `√Σ_v (Σ_m c_m Y_nm(v))²`. J. Banerjee, A. Moelker, W. Niessen and
/// T. van Walsum, 3D LBP-based rotationally invariant region description, ACCV 2012 workshops. As in PyRadiomics, the
/// polar and azimuthal angles have changed places, and no harmonic is conjugated.
pub(super) fn local_binary_patterns(image: &Image, region: &Roi, sphere: Sphere) -> Vec<Vec<f64>> {
    let vertices = icosphere(sphere.subdivisions, sphere.radius);
    let bands: Vec<Vec<Vec<[f64; 2]>>> =
        (0..sphere.levels).map(|n| vertices.iter().map(|v| harmonics(n as i32, *v, sphere.radius)).collect()).collect();
    let number = image.number();
    let coefficients = Coefficients::around(image, region, sphere.radius);
    let centres = image.values_of(region);
    let positions: Vec<[usize; 3]> = region.voxels().map(|(_, position)| position).collect();
    let by_voxel: Vec<Vec<f64>> = positions
        .par_iter()
        .zip(&centres)
        .map(|(position, &centre)| {
            let samples: Vec<f64> = vertices
                .iter()
                .map(|vertex| {
                    // PyRadiomics adds the vertex's x, y, z to the voxel's z, y, x.
                    let at = std::array::from_fn(|a| position[a] as f64 + vertex[2 - a]);
                    rounded(coefficients.at(at), number)
                })
                .collect();
            let is_set: Vec<bool> = samples.iter().map(|&sample| sample >= centre).collect();
            let strengths = bands.iter().map(|band| strength(band, &is_set));
            strengths.chain([excess_kurtosis(&samples, number)]).collect()
        })
        .collect();
    (0..=sphere.levels as usize).map(|k| by_voxel.iter().map(|values| values[k]).collect()).collect()
}

/// A sample as the image's type holds it.
fn rounded(sample: f64, number: Number) -> f64 {
    match number {
        Number::Integer { .. } => number.store((sample.abs() + 0.5).floor().copysign(sample)),
        _ => number.store(sample),
    }
}

/// `√Σ_v (Σ_m c_m Y_m(v))²`, from the harmonics of m = 0, 1, ... at each vertex: those of -m add the conjugate product.
fn strength(band: &[Vec<[f64; 2]>], is_set: &[bool]) -> f64 {
    let orders = band.first().map_or(0, Vec::len);
    let mut sums = vec![[0.0; 2]; orders];
    for (harmonics, _) in band.iter().zip(is_set).filter(|(_, set)| **set) {
        sums.iter_mut().zip(harmonics).for_each(|(sum, y)| *sum = [sum[0] + y[0], sum[1] + y[1]]);
    }
    let at_vertex = |harmonics: &Vec<[f64; 2]>| -> f64 {
        let products = sums.iter().zip(harmonics).map(|(c, y)| c[0] * y[0] - c[1] * y[1]);
        products.enumerate().map(|(m, product)| if m == 0 { product } else { 2.0 * product }).sum()
    };
    band.iter().map(|harmonics| at_vertex(harmonics).powi(2)).sum::<f64>().sqrt()
}

/// `m4 / m2² - 3`; NaN when the samples do not vary. Samples of an f32 image are summed in f32, as SciPy does.
fn excess_kurtosis(samples: &[f64], number: Number) -> f64 {
    if number == Number::Single {
        let samples: Vec<f32> = samples.iter().map(|&s| s as f32).collect();
        let mean = mean_in_pairs(&samples);
        let squares: Vec<f32> = samples.iter().map(|s| (s - mean) * (s - mean)).collect();
        let fourths: Vec<f32> = squares.iter().map(|s| s * s).collect();
        let (second, fourth) = (mean_in_pairs(&squares), mean_in_pairs(&fourths));
        let is_flat = second <= (1e-6 * mean) * (1e-6 * mean);
        return if is_flat { f64::NAN } else { f64::from(fourth / (second * second) - 3.0) };
    }
    let mean = mean_in_pairs(samples);
    let squares: Vec<f64> = samples.iter().map(|s| (s - mean) * (s - mean)).collect();
    let fourths: Vec<f64> = squares.iter().map(|s| s * s).collect();
    let (second, fourth) = (mean_in_pairs(&squares), mean_in_pairs(&fourths));
    // SciPy's rule: what lies below the digits of the mean is no variation.
    if second <= (1e-15 * mean).powi(2) { f64::NAN } else { fourth / (second * second) - 3.0 }
}

/// The mean with the sum in NumPy's order.
fn mean_in_pairs<T: Real + Add<Output = T> + Div<Output = T>>(values: &[T]) -> T {
    pairwise_sum(values) / T::of(values.len() as f64)
}

/// Real and imaginary part of the spherical harmonics of degree n and orders 0 to n, the angle to z taken as azimuth
/// and that in the xy plane as polar angle.
fn harmonics(n: i32, [x, y, z]: [f64; 3], radius: f64) -> Vec<[f64; 2]> {
    let (azimuth, polar) = ((z / radius).clamp(-1.0, 1.0).acos(), y.atan2(x));
    (0..=n)
        .map(|m| {
            let ratio: f64 = ((n - m + 1)..=(n + m)).map(f64::from).product();
            let scale = ((2 * n + 1) as f64 / (4.0 * PI) / ratio).sqrt() * legendre(n, m, polar.cos());
            let angle = f64::from(m) * azimuth;
            [scale * angle.cos(), scale * angle.sin()]
        })
        .collect()
}

/// The associated Legendre function with the sign `(-1)^m`, by the recurrence over the degree.
fn legendre(n: i32, m: i32, x: f64) -> f64 {
    let root = (1.0 - x * x).max(0.0).sqrt();
    let mut below = (1..=m).fold(1.0, |p, k| -p * f64::from(2 * k - 1) * root);
    if n == m {
        return below;
    }
    let mut here = x * f64::from(2 * m + 1) * below;
    for degree in m + 2..=n {
        let next = (x * f64::from(2 * degree - 1) * here - f64::from(degree + m - 1) * below) / f64::from(degree - m);
        (below, here) = (here, next);
    }
    here
}

/// Vertices of an icosahedron whose faces are split into four `subdivisions` times, each time pushed onto the sphere, x,
/// y, z; in the order of trimesh, which sums in f32 depend on.
fn icosphere(subdivisions: u32, radius: f64) -> Vec<[f64; 3]> {
    let (short, long) = (0.525_731_112_119_133_6, 0.850_650_808_352_04);
    let corners = |a: usize, b: usize| {
        [(-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)].map(|(s, l)| {
            let mut vertex = [0.0; 3];
            (vertex[a], vertex[b]) = (s * short, l * long);
            vertex
        })
    };
    let mut vertices = [corners(0, 1), corners(1, 2), corners(2, 0)].concat();
    let mut faces = faces(&vertices);
    for _ in 0..subdivisions {
        let key = |a: usize, b: usize| (a.max(b), a.min(b));
        let edges: BTreeSet<(usize, usize)> =
            faces.iter().flat_map(|&[a, b, c]| [key(a, b), key(b, c), key(c, a)]).collect();
        let middle_of: BTreeMap<(usize, usize), usize> = edges.iter().copied().zip(vertices.len()..).collect();
        let middles = edges.iter().map(|&(a, b)| std::array::from_fn(|k| (vertices[a][k] + vertices[b][k]) / 2.0));
        let middles: Vec<[f64; 3]> = middles.collect();
        vertices.extend(middles);
        vertices.iter_mut().for_each(|vertex| *vertex = onto_sphere(*vertex, radius));
        let split = |&[a, b, c]: &[usize; 3]| {
            let [ab, bc, ca] = [key(a, b), key(b, c), key(c, a)].map(|edge| middle_of[&edge]);
            [[a, ab, ca], [ab, b, bc], [ca, bc, c], [ab, bc, ca]]
        };
        faces = faces.iter().flat_map(split).collect();
    }
    if subdivisions == 0 {
        vertices.iter_mut().for_each(|vertex| *vertex = onto_sphere(*vertex, radius));
    }
    vertices
}

/// The faces of an icosahedron: the triples of vertices that are all an edge apart.
fn faces(vertices: &[[f64; 3]]) -> Vec<[usize; 3]> {
    let squared = |a: usize, b: usize| (0..3).map(|k| (vertices[a][k] - vertices[b][k]).powi(2)).sum::<f64>();
    let n = vertices.len();
    let edge = (1..n).map(|b| squared(0, b)).fold(f64::INFINITY, f64::min);
    let is_edge = |a: usize, b: usize| squared(a, b) < 1.5 * edge;
    let mut found = Vec::new();
    for (a, b) in (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).filter(|&(a, b)| is_edge(a, b)) {
        found.extend((b + 1..n).filter(|&c| is_edge(a, c) && is_edge(b, c)).map(|c| [a, b, c]));
    }
    found
}

fn onto_sphere(point: [f64; 3], radius: f64) -> [f64; 3] {
    let length = point.iter().map(|c| c * c).sum::<f64>().sqrt();
    point.map(|c| c + c / length * (radius - length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_icosphere_quadruples_its_faces() {
        for (subdivisions, vertices) in [(0, 12), (1, 42), (2, 162)] {
            let found = icosphere(subdivisions, 2.0);
            assert_eq!(found.len(), vertices);
            assert!(found.iter().all(|v| (v.iter().map(|c| c * c).sum::<f64>() - 4.0).abs() < 1e-12));
        }
    }

    /// P₂¹(x) = -3 x √(1 - x²), P₃⁰(x) = (5 x³ - 3 x) / 2.
    #[test]
    fn legendre_functions_by_hand() {
        assert!((legendre(2, 1, 0.6) + 3.0 * 0.6 * 0.8).abs() < 1e-15);
        assert!((legendre(3, 0, 0.6) - (5.0 * 0.216 - 1.8) / 2.0).abs() < 1e-15);
    }

    /// Samples 1, 1, 1, 5: deviations -1, -1, -1, 3; second moment 3, fourth 21.
    #[test]
    fn kurtosis_is_an_excess() {
        assert!((excess_kurtosis(&[1.0, 1.0, 1.0, 5.0], Number::Double) - (21.0 / 9.0 - 3.0)).abs() < 1e-15);
        assert!(excess_kurtosis(&[2.0; 5], Number::Single).is_nan());
    }

    #[test]
    fn halves_round_away_from_zero_in_an_integer_image() {
        let number = Number::Integer { low: -100.0, high: 100.0 };
        assert_eq!([2.5, -2.5, 2.4, 300.0].map(|v| rounded(v, number)), [3.0, -3.0, 2.0, 100.0]);
    }
}

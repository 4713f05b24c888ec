mod cubes;
mod diameter;
mod mesh;

use nalgebra::{Matrix3, SymmetricEigen};

use crate::family::Named;
use crate::roi::Roi;
use crate::table::{NanReason, Outcome, or_nan};
use diameter::Diameters;
pub(crate) use diameter::Hull;
use mesh::{Mesh, Surface};

/// Alphabetical.
pub(crate) const NAMES: [Named; 14] = [
    ("Elongation", Some("Q3CK")),
    ("Flatness", Some("N17B")),
    ("LeastAxisLength", Some("7J51")),
    ("MajorAxisLength", Some("TDIC")),
    ("Maximum2DDiameterColumn", None),
    ("Maximum2DDiameterRow", None),
    ("Maximum2DDiameterSlice", None),
    ("Maximum3DDiameter", Some("L0JK")),
    ("MeshVolume", Some("RNU0")),
    ("MinorAxisLength", Some("P9VJ")),
    ("Sphericity", Some("QCFX")),
    ("SurfaceArea", Some("C0JK")),
    ("SurfaceVolumeRatio", Some("2PR5")),
    ("VoxelVolume", Some("YEKZ")),
];

/// Size and form of a region in 3-D.
///
/// Area, volume and diameters are of the surface that marching cubes puts half way between voxels inside and outside;
/// axis lengths are four times the root of the eigenvalues of the voxel centres' covariance (over N).
pub(crate) struct Shape {
    voxel_volume_mm3: f64,
    mesh: Mesh,
    diameters: Diameters,
    /// Eigenvalues of the covariance, ascending, mm².
    eigenvalues: [f64; 3],
}

impl Shape {
    pub(crate) fn of(region: &Roi, spacing_mm: [f64; 3]) -> Self {
        let surface = Surface::of(region);
        Self {
            voxel_volume_mm3: region.count() as f64 * spacing_mm.iter().product::<f64>(),
            mesh: surface.mesh(spacing_mm),
            diameters: Diameters::of(&surface.cuts, spacing_mm),
            eigenvalues: without_rounding(SymmetricEigen::new(covariance(region, spacing_mm)).eigenvalues.into()),
        }
    }

    /// The value of one feature of [`NAMES`] or a deprecated one.
    pub(crate) fn feature(&self, name: &str) -> Outcome {
        let [least, minor, major] = self.eigenvalues;
        let Mesh { volume_mm3, area_mm2 } = self.mesh;
        let sphere_area_mm2 = (36.0 * std::f64::consts::PI * volume_mm3 * volume_mm3).cbrt();
        let (value, reason) = match name {
            "Compactness1" => (volume_mm3 / (area_mm2.powf(1.5) * std::f64::consts::PI.sqrt()), NanReason::NoVolume),
            "Compactness2" => {
                (36.0 * std::f64::consts::PI * volume_mm3.powi(2) / area_mm2.powi(3), NanReason::NoVolume)
            }
            "Elongation" => ((minor / major).sqrt(), NanReason::Undefined),
            "Flatness" => ((least / major).sqrt(), NanReason::Undefined),
            "LeastAxisLength" => (4.0 * least.sqrt(), NanReason::Undefined),
            "MajorAxisLength" => (4.0 * major.sqrt(), NanReason::Undefined),
            "MinorAxisLength" => (4.0 * minor.sqrt(), NanReason::Undefined),
            "Maximum2DDiameterColumn" => (self.diameters.column_mm, NanReason::Undefined),
            "Maximum2DDiameterRow" => (self.diameters.row_mm, NanReason::Undefined),
            "Maximum2DDiameterSlice" => (self.diameters.slice_mm, NanReason::Undefined),
            "Maximum3DDiameter" => (self.diameters.whole_mm, NanReason::Undefined),
            "MeshVolume" => (volume_mm3, NanReason::NoVolume),
            "Sphericity" => (sphere_area_mm2 / area_mm2, NanReason::NoVolume),
            "SphericalDisproportion" => (area_mm2 / sphere_area_mm2, NanReason::NoVolume),
            "SurfaceArea" => (area_mm2, NanReason::NoVolume),
            "SurfaceVolumeRatio" => (area_mm2 / volume_mm3, NanReason::NoVolume),
            "VoxelVolume" => (self.voxel_volume_mm3, NanReason::Undefined),
            _ => return Err(NanReason::Undefined),
        };
        or_nan(value, reason)
    }
}

/// Covariance (over N) of the voxel centres, x, y, z, mm². The sums are exact integers.
pub(crate) fn covariance(region: &Roi, spacing_mm: [f64; 3]) -> Matrix3<f64> {
    let ny = region.size[1];
    let mut n = 0i128;
    let mut first = [0i128; 3];
    let mut second = [[0i128; 3]; 3];
    let squares_below = |x: usize| (x * x.saturating_sub(1) * (2 * x).saturating_sub(1) / 6) as i128;
    for run in region.runs() {
        let (y, z) = ((run.row % ny) as i128, (run.row / ny) as i128);
        let (count, x_sum) = ((run.end - run.start) as i128, run.sum() as i128);
        let xx_sum = squares_below(run.end) - squares_below(run.start);
        n += count;
        for (sum, term) in first.iter_mut().zip([x_sum, y * count, z * count]) {
            *sum += term;
        }
        let rows = [
            [xx_sum, y * x_sum, z * x_sum],
            [y * x_sum, y * y * count, y * z * count],
            [z * x_sum, z * y * count, z * z * count],
        ];
        second.iter_mut().flatten().zip(rows.into_iter().flatten()).for_each(|(sum, term)| *sum += term);
    }
    Matrix3::from_fn(|a, b| {
        let exact = n * second[a][b] - first[a] * first[b];
        exact as f64 / (n * n) as f64 * spacing_mm[a] * spacing_mm[b]
    })
}

/// Eigenvalues of a covariance, ascending; those that are nothing but rounding beside the largest are 0, as of a region in
/// one plane. The covariance of voxels beside a plane is far above.
pub(crate) fn without_rounding<const N: usize>(mut eigenvalues: [f64; N]) -> [f64; N] {
    let largest = eigenvalues.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
    let is_rounding = |v: f64| v.abs() <= 16.0 * f64::EPSILON * largest || v < 0.0 && v > -1e-10;
    eigenvalues.iter_mut().filter(|v| is_rounding(**v)).for_each(|v| *v = 0.0);
    eigenvalues.sort_by(f64::total_cmp);
    eigenvalues
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: [usize; 3], spacing_mm: [f64; 3]) -> Shape {
        let inside = vec![true; size.iter().product()];
        Shape::of(&Roi { first: [0; 3], size, inside }, spacing_mm)
    }

    /// One voxel of side 1 becomes an octahedron with half diagonals 1/2: volume 1/6, area √3.
    #[test]
    fn one_voxel_is_an_octahedron() {
        let found = shape([1, 1, 1], [1.0; 3]);
        let rows = [
            ("MeshVolume", 1.0 / 6.0),
            ("SurfaceArea", 3f64.sqrt()),
            ("VoxelVolume", 1.0),
            ("Maximum3DDiameter", 1.0),
            ("Maximum2DDiameterSlice", 1.0),
            ("MajorAxisLength", 0.0),
        ];
        for (name, expected) in rows {
            assert!((found.feature(name).unwrap() - expected).abs() < 1e-15, "{name}");
        }
        assert_eq!(found.feature("Elongation"), Err(NanReason::Undefined));
    }

    /// Centres at 0, 2, 4, 6 mm: variance 5, length 4√5. The mesh spans 8 mm along x, 1 mm along y, 3 mm along z.
    #[test]
    fn a_bar_of_four_voxels() {
        let found = shape([4, 1, 1], [2.0, 1.0, 3.0]);
        let rows = [
            ("MajorAxisLength", 4.0 * 5f64.sqrt()),
            ("MinorAxisLength", 0.0),
            ("Elongation", 0.0),
            ("Maximum3DDiameter", 8.0),
            ("Maximum2DDiameterSlice", 8.0),
            ("Maximum2DDiameterColumn", 8.0),
            ("Maximum2DDiameterRow", 3.0),
            ("VoxelVolume", 24.0),
        ];
        for (name, expected) in rows {
            let value = found.feature(name).unwrap();
            assert!((value - expected).abs() < 1e-12, "{name}: {value}");
        }
    }

    /// Voxels in one plane have no third axis, also where the plane is oblique: here x + y + z = 4.
    #[test]
    fn a_plane_is_flat() {
        let inside = (0..125).map(|k| k % 5 + k / 5 % 5 + k / 25 == 4).collect();
        let oblique = Shape::of(&Roi { first: [0; 3], size: [5; 3], inside }, [0.7, 1.3, 2.1]);
        for shape in [oblique, shape([6, 1, 12], [1.0, 2.5, 3.0])] {
            assert_eq!(shape.feature("LeastAxisLength"), Ok(0.0));
            assert!(shape.feature("MinorAxisLength").unwrap() > 1.0);
        }
    }

    /// By definition Compactness2 is the third power of Sphericity, Compactness1 the root of it over 6π, and
    /// SphericalDisproportion the inverse of Sphericity.
    #[test]
    fn deprecated_names_say_what_sphericity_says() {
        let found = shape([4, 2, 3], [2.0, 1.0, 3.0]);
        let sphericity = found.feature("Sphericity").unwrap();
        let rows = [
            ("Compactness1", sphericity.powf(1.5) / (6.0 * std::f64::consts::PI)),
            ("Compactness2", sphericity.powi(3)),
            ("SphericalDisproportion", 1.0 / sphericity),
        ];
        for (name, expected) in rows {
            let value = found.feature(name).unwrap();
            assert!((value / expected - 1.0).abs() < 1e-12, "{name}: {value} {expected}");
        }
    }

    #[test]
    fn a_large_cuboid_nears_its_voxel_volume() {
        let found = shape([40, 40, 40], [0.5; 3]);
        let (mesh, voxels) = (found.feature("MeshVolume").unwrap(), found.feature("VoxelVolume").unwrap());
        assert!(mesh < voxels && mesh > 0.99 * voxels, "{mesh} {voxels}");
    }
}

//! Morphological features.

mod autocorrelation;
mod bounding_box;
mod ellipsoid;
mod hull;

use std::f64::consts::PI;

use super::Region;
use crate::family::Named;
use crate::roi::Roi;
use crate::shape::Shape;
use crate::table::{NanReason, Outcome, quotient};
use autocorrelation::moran_and_geary;
use bounding_box::OrientedBox;
use ellipsoid::{Ellipsoid, enclosing};
use hull::Hull;

/// In the order of the reference tables.
pub(crate) const NAMES: [Named; 29] = [
    ("morph_volume", Some("RNU0")),
    ("morph_vol_approx", Some("YEKZ")),
    ("morph_area_mesh", Some("C0JK")),
    ("morph_av", Some("2PR5")),
    ("morph_comp_1", Some("SKGS")),
    ("morph_comp_2", Some("BQWJ")),
    ("morph_sph_dispr", Some("KRCK")),
    ("morph_sphericity", Some("QCFX")),
    ("morph_asphericity", Some("25C7")),
    ("morph_com", Some("KLMA")),
    ("morph_diam", Some("L0JK")),
    ("morph_pca_maj_axis", Some("TDIC")),
    ("morph_pca_min_axis", Some("P9VJ")),
    ("morph_pca_least_axis", Some("7J51")),
    ("morph_pca_elongation", Some("Q3CK")),
    ("morph_pca_flatness", Some("N17B")),
    ("morph_vol_dens_aabb", Some("PBX1")),
    ("morph_area_dens_aabb", Some("R59B")),
    ("morph_vol_dens_ombb", Some("ZH1A")),
    ("morph_area_dens_ombb", Some("IQYR")),
    ("morph_vol_dens_aee", Some("6BDE")),
    ("morph_area_dens_aee", Some("RDD2")),
    ("morph_vol_dens_mvee", Some("SWZ1")),
    ("morph_area_dens_mvee", Some("BRI8")),
    ("morph_vol_dens_conv_hull", Some("R3ER")),
    ("morph_area_dens_conv_hull", Some("7T7F")),
    ("morph_integ_int", Some("99N0")),
    ("morph_moran_i", Some("N365")),
    ("morph_geary_c", Some("NPT7")),
];

/// Size, form and spread of intensity of a region, IBSI manual 3.1.
///
/// Volume V and area A are those of the mesh of the morphological mask, closed for every region, also for islands. From
/// them: surface to volume ratio `A/V`; compactness 1 `V/√(πA³)` and 2 `36πV²/A³`; spherical disproportion `A/(36πV²)^⅓`,
/// sphericity, its inverse, and asphericity, it less 1. Axis lengths are `4√λ` of the eigenvalues of the covariance (over
/// N - 1) of the voxel centres; they are [`NanReason::OneVoxel`] for a single voxel, and 0 across a line or a slice.
///
/// Densities divide V and A by those of a body around the mesh: the box along the axes; the oriented box (the smallest
/// that is found); the ellipsoid with the axis lengths above; the smallest ellipsoid around the mesh; the convex hull. An
/// ellipsoid without volume or area is [`NanReason::Undefined`].
///
/// The centre of mass shift is the distance from the mean of the voxel centres to their mean weighted by intensity,
/// [`NanReason::Undefined`] when the intensities add up to 0. Integrated intensity is V times the mean intensity. Moran's I
/// and Geary's C weigh pairs by their inverse distance; they are [`NanReason::NoVariation`] for a flat region. These four
/// read the intensity mask.
pub(crate) fn features(region: &Region) -> [Outcome; NAMES.len()] {
    let (form, spacing_mm) = (&region.morphological, region.spacing_mm);
    let shape = Shape::of(form, spacing_mm);
    let of = |name: &str| shape.feature(name);
    let number = |name: &str| of(name).unwrap_or(f64::NAN);
    let (volume, area) = (number("MeshVolume"), number("SurfaceArea"));
    let sphere_area = (36.0 * PI * volume * volume).cbrt();
    let ratio = |value: f64| if value.is_finite() { Ok(value) } else { Err(NanReason::NoVolume) };

    let axes = ["MajorAxisLength", "MinorAxisLength", "LeastAxisLength"]
        .map(|name| of(name).and_then(|length| unbiased(length, form.count())));
    let among = |k: usize| axes[0].and_then(|major| axes[k].and_then(|length| quotient(length, major)));
    let approximate = axes[0].and_then(|a| Ok(Ellipsoid { semi_axes_mm: [a / 2.0, axes[1]? / 2.0, axes[2]? / 2.0] }));

    let hull = Hull::of(form);
    let enclosing = enclosing(&hull.corners_mm(spacing_mm));
    let sides: [f64; 3] = std::array::from_fn(|a| form.size[a] as f64 * spacing_mm[a]);
    let oriented = OrientedBox::around(&hull, spacing_mm).sides_mm;
    let box_area = |s: [f64; 3]| 2.0 * (s[0] * s[1] + s[1] * s[2] + s[2] * s[0]);
    let box_densities = |s: [f64; 3]| [quotient(volume, s.iter().product()), quotient(area, box_area(s))];
    let ellipsoid_densities = |body: Result<Ellipsoid, NanReason>| {
        [body.and_then(|b| quotient(volume, b.volume_mm3())), body.and_then(|b| quotient(area, b.area_mm2()))]
    };
    let [aabb_volume, aabb_area] = box_densities(sides);
    let [ombb_volume, ombb_area] = box_densities(oriented);
    let [aee_volume, aee_area] = ellipsoid_densities(approximate);
    let [mvee_volume, mvee_area] = ellipsoid_densities(enclosing);

    let mean = region.intensities.iter().sum::<f64>() / region.intensities.len() as f64;
    let [moran, geary] = moran_and_geary(&region.intensity, &region.intensities, spacing_mm);
    [
        of("MeshVolume"),
        of("VoxelVolume"),
        of("SurfaceArea"),
        of("SurfaceVolumeRatio"),
        ratio(volume / (PI * area.powi(3)).sqrt()),
        ratio(36.0 * PI * volume * volume / area.powi(3)),
        ratio(area / sphere_area),
        of("Sphericity"),
        ratio(area / sphere_area - 1.0),
        centre_of_mass_shift_mm(region),
        of("Maximum3DDiameter"),
        axes[0],
        axes[1],
        axes[2],
        among(1),
        among(2),
        aabb_volume,
        aabb_area,
        ombb_volume,
        ombb_area,
        aee_volume,
        aee_area,
        mvee_volume,
        mvee_area,
        quotient(volume, hull.volume_mm3(spacing_mm)),
        quotient(area, hull.area_mm2(spacing_mm)),
        ratio(mean * volume),
        moran,
        geary,
    ]
}

/// An axis length from the covariance over N as one over N - 1.
fn unbiased(length_mm: f64, voxels: usize) -> Outcome {
    if voxels < 2 {
        return Err(NanReason::OneVoxel);
    }
    Ok(length_mm * (voxels as f64 / (voxels as f64 - 1.0)).sqrt())
}

fn centre_of_mass_shift_mm(region: &Region) -> Outcome {
    let geometric = centre(&region.morphological, std::iter::repeat(1.0));
    let weighted = centre(&region.intensity, region.intensities.iter().copied());
    let squared = |a: usize| ((geometric[a] - weighted[a]) * region.spacing_mm[a]).powi(2);
    let shift = (squared(0) + squared(1) + squared(2)).sqrt();
    if shift.is_finite() { Ok(shift) } else { Err(NanReason::Undefined) }
}

/// Mean voxel index, weighted.
fn centre(region: &Roi, weights: impl Iterator<Item = f64>) -> [f64; 3] {
    let (mut sums, mut total) = ([0.0; 3], 0.0);
    for ((_, position), weight) in region.voxels().zip(weights) {
        sums = std::array::from_fn(|a| sums[a] + weight * position[a] as f64);
        total += weight;
    }
    sums.map(|sum| sum / total)
}

#[cfg(test)]
mod tests {
    use super::super::region::tests::region_of;
    use super::*;

    fn value(region: &Region, tag: &str) -> Outcome {
        features(region)[NAMES.iter().position(|(name, _)| *name == tag).unwrap()]
    }

    /// One voxel is an octahedron: V = 1/6, A = √3, in a box of 1 x 1 x 1 with area 6, its own hull, in a sphere of
    /// radius 1/2; oriented, in a box of 1/3.
    #[test]
    fn one_voxel_by_hand() {
        let region = region_of([1, 1, 1], &[5.0]);
        let (volume, area) = (1.0 / 6.0, 3f64.sqrt());
        let rows = [
            ("morph_av", Ok(area / volume)),
            ("morph_comp_2", Ok(36.0 * PI * volume * volume / area.powi(3))),
            ("morph_com", Ok(0.0)),
            ("morph_diam", Ok(1.0)),
            ("morph_pca_maj_axis", Err(NanReason::OneVoxel)),
            ("morph_pca_flatness", Err(NanReason::OneVoxel)),
            ("morph_vol_dens_aabb", Ok(volume)),
            ("morph_area_dens_aabb", Ok(area / 6.0)),
            ("morph_vol_dens_ombb", Ok(3.0 * volume)),
            ("morph_vol_dens_aee", Err(NanReason::OneVoxel)),
            ("morph_vol_dens_mvee", Ok(volume / (PI / 6.0))),
            ("morph_area_dens_mvee", Ok(area / PI)),
            ("morph_vol_dens_conv_hull", Ok(1.0)),
            ("morph_area_dens_conv_hull", Ok(1.0)),
            ("morph_integ_int", Ok(5.0 * volume)),
            ("morph_moran_i", Err(NanReason::OneVoxel)),
        ];
        for (tag, expected) in rows {
            match (value(&region, tag), expected) {
                (Ok(found), Ok(expected)) => assert!((found - expected).abs() < 1e-6, "{tag}: {found} {expected}"),
                (found, expected) => assert_eq!(found, expected, "{tag}"),
            }
        }
    }

    /// A cube of 2 x 2 x 2 voxels without the last: the variance of each coordinate is 12/49 over N and 2/7 over N - 1;
    /// with the covariance -2/42 the eigenvalues are 1/3, 1/3 and 4/21.
    #[test]
    fn axis_lengths_divide_by_one_less_than_the_voxels() {
        let mut region = region_of([2, 2, 2], &[3.0; 8]);
        region.morphological.inside[7] = false;
        let major = value(&region, "morph_pca_maj_axis").unwrap();
        let least = value(&region, "morph_pca_least_axis").unwrap();
        assert!((major - 4.0 * (1.0f64 / 3.0).sqrt()).abs() < 1e-14, "{major}");
        assert!((least - 4.0 * (4.0f64 / 21.0).sqrt()).abs() < 1e-14, "{least}");
    }

    /// Voxels at 0 and 1 (2 mm apart) with intensities 1 and 3: centres at 1 mm and 1.5 mm.
    #[test]
    fn the_centre_of_mass_shifts_towards_the_brighter_voxel() {
        let mut region = region_of([2, 1, 1], &[1.0, 3.0]);
        region.spacing_mm = [2.0, 1.0, 1.0];
        assert_eq!(value(&region, "morph_com"), Ok(0.5));
        region.intensities = vec![-1.0, 1.0];
        assert_eq!(value(&region, "morph_com"), Err(NanReason::Undefined));
    }

    #[test]
    fn a_line_has_no_ellipsoid_and_a_slice_one_without_volume() {
        let line = region_of([3, 1, 1], &[1.0, 2.0, 4.0]);
        assert_eq!(value(&line, "morph_pca_flatness"), Ok(0.0));
        assert_eq!(value(&line, "morph_area_dens_aee"), Err(NanReason::Undefined));
        let slice = region_of([3, 3, 1], &[1.0, 2.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(value(&slice, "morph_vol_dens_aee"), Err(NanReason::Undefined));
        assert!(value(&slice, "morph_area_dens_aee").unwrap() > 0.0);
    }
}

//! What both modes give for regions at the edge of the definitions; the README lists it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "reference/readme.rs"]
mod readme;

use std::collections::BTreeMap;

use isoscan_imaging::{Geometry, Mask, Modality, Unit, Volume};
use isoscan_radiomics::{Error, FeatureTable, Settings, extract, ibsi};
use ndarray::Array3;

const SIZE: [usize; 3] = [8, 7, 6];

type Voxel = [usize; 3];

fn geometry() -> Geometry {
    Geometry::axis_aligned(SIZE, [1.0, 1.0, 2.0]).unwrap()
}

fn volume(intensity: impl Fn(Voxel) -> f32) -> Volume {
    let voxels = Array3::from_shape_fn((SIZE[2], SIZE[1], SIZE[0]), |(z, y, x)| intensity([x, y, z]));
    Volume::new(voxels, geometry(), Modality::Mr, Unit::Arbitrary).unwrap()
}

fn mask(inside: impl Fn(Voxel) -> bool) -> Mask {
    let inside = Array3::from_shape_fn((SIZE[2], SIZE[1], SIZE[0]), |(z, y, x)| inside([x, y, z]));
    Mask::new(inside, geometry()).unwrap()
}

fn texture([x, y, z]: Voxel) -> f32 {
    ((x * x * 3 + y * 5 + z * z * 2 + x * y * z) % 7 + 1) as f32
}

fn is_block([x, y, z]: Voxel) -> bool {
    (2..6).contains(&x) && (2..5).contains(&y) && (2..4).contains(&z)
}

fn cases() -> Vec<(&'static str, Volume, Mask)> {
    let with = |value: f32| move |voxel: Voxel| if voxel == [3, 3, 3] { value } else { texture(voxel) };
    let elsewhere = {
        let geometry = Geometry::new(SIZE, [1.0, 1.0, 2.0], [50.0, 0.0, 0.0], geometry().direction()).unwrap();
        Mask::new(mask(is_block).inside().to_owned(), geometry).unwrap()
    };
    vec![
        ("two parts that do not touch", volume(texture), mask(|v| is_block(v) && v[0] != 3)),
        ("at the border of the image", volume(texture), mask(|[x, y, z]| x < 3 && y < 3 && z < 2)),
        ("the whole image", volume(texture), mask(|_| true)),
        ("one slice", volume(texture), mask(|v| is_block(v) && v[2] == 2)),
        ("one row", volume(texture), mask(|v| is_block(v) && v[1] == 2 && v[2] == 2)),
        ("two voxels", volume(texture), mask(|v| v == [3, 3, 3] || v == [4, 3, 3])),
        ("one voxel", volume(texture), mask(|v| v == [3, 3, 3])),
        ("voxels that do not touch", volume(texture), mask(|v| v.iter().all(|i| i % 2 == 1))),
        ("flat", volume(|_| 5.0), mask(is_block)),
        ("one voxel NaN", volume(with(f32::NAN)), mask(is_block)),
        ("every voxel NaN", volume(|_| f32::NAN), mask(is_block)),
        ("one voxel infinite", volume(with(f32::INFINITY)), mask(is_block)),
        ("empty mask", volume(texture), mask(|_| false)),
        ("mask on another grid", volume(texture), elsewhere),
    ]
}

/// What a mode gives, in words: the refusal, or how many values, and the features without one by reason.
fn outcome(result: Result<FeatureTable, Error>) -> String {
    let table = match result {
        Ok(table) => table,
        Err(error) => return format!("refused: {error}"),
    };
    let mut without = BTreeMap::<String, Vec<String>>::new();
    for feature in &table.features {
        assert_eq!(feature.value.is_nan(), feature.reason.is_some(), "{}", feature.name);
        assert!(!feature.value.is_infinite(), "{}", feature.name);
        if let Some(reason) = feature.reason {
            let name = feature.name.trim_start_matches("original_").to_owned();
            without.entry(reason.to_string()).or_default().push(format!("`{name}`"));
        }
    }
    let values = table.features.iter().filter(|feature| feature.reason.is_none()).count();
    let reasons = without.into_iter().map(|(reason, names)| format!("; {reason}: {}", shortened(&names)));
    format!("{values} values{}", reasons.collect::<String>())
}

/// Up to eight names, or how many there are.
fn shortened(names: &[String]) -> String {
    if names.len() > 8 { format!("{} features", names.len()) } else { names.join(" ") }
}

fn in_both_modes(volume: &Volume, mask: &Mask) -> [Result<FeatureTable, Error>; 2] {
    let pyradiomics = Settings::from_json(r#"{"binWidth": 1, "minimumROIDimensions": 1}"#).unwrap();
    let by_ibsi = ibsi::Settings::from_text(
        "{discretisation: {fixed_bin_size: 1}, volume_histogram: {fixed_bin_size: 1}, aggregations: [3D_avg, 3D_comb]}",
    );
    [extract(volume, mask, &pyradiomics), ibsi::extract(volume, mask, &by_ibsi.unwrap())]
}

#[test]
fn every_case_gives_what_the_readme_says() {
    let row = |(case, volume, mask): &(&str, Volume, Mask)| {
        let [compatible, defined] = in_both_modes(volume, mask).map(outcome);
        format!("| {case} | {compatible} | {defined} |")
    };
    let rows: Vec<String> = cases().iter().map(row).collect();
    readme::require_table("Regions at the edge", &rows);
}

#[test]
fn a_mask_that_is_corrected_must_lie_in_the_image() {
    let cases = cases();
    let (_, volume, mask) = cases.iter().find(|(name, _, _)| *name == "mask on another grid").unwrap();
    let settings = Settings::from_json(r#"{"correctMask": true}"#).unwrap();
    let refused = extract(volume, mask, &settings).unwrap_err();
    assert!(matches!(refused, Error::OutsideImage { size: SIZE, .. }), "{refused}");
}

/// A region, a feature of PyRadiomics, and its tag.
const CONVENTIONS: [(&str, &str, &str); 17] = [
    ("flat", "firstorder_Skewness", "stat_skew"),
    ("flat", "firstorder_Kurtosis", "stat_kurt"),
    ("flat", "firstorder_Entropy", "ih_entropy"),
    ("flat", "glcm_Correlation", "cm_corr_3D_comb"),
    ("flat", "glcm_Imc1", "cm_info_corr1_3D_comb"),
    ("flat", "glcm_Imc2", "cm_info_corr2_3D_comb"),
    ("flat", "glcm_MCC", ""),
    ("flat", "ngtdm_Coarseness", "ngt_coarseness_3D"),
    ("flat", "ngtdm_Contrast", "ngt_contrast_3D"),
    ("flat", "ngtdm_Busyness", "ngt_busyness_3D"),
    ("flat", "ngtdm_Complexity", "ngt_complexity_3D"),
    ("flat", "ngtdm_Strength", "ngt_strength_3D"),
    ("flat", "", "ivh_v10"),
    ("one voxel", "ngtdm_Coarseness", "ngt_coarseness_3D"),
    ("one voxel", "shape_MeshVolume", "morph_volume"),
    ("voxels that do not touch", "ngtdm_Coarseness", "ngt_coarseness_3D"),
    ("voxels that do not touch", "ngtdm_Strength", "ngt_strength_3D"),
];

#[test]
fn values_by_convention_are_those_of_the_readme() {
    let cases = cases();
    let value = |table: &Result<FeatureTable, Error>, name: &str| {
        let value = table.as_ref().ok().and_then(|table| table.get(name));
        value.map_or("-".to_owned(), |value| format!("{}", (value * 1e6).round() / 1e6 + 0.0))
    };
    let row = |(case, feature, tag): &(&str, &str, &str)| {
        let (_, volume, mask) = cases.iter().find(|(name, _, _)| name == case).unwrap();
        let [compatible, defined] = in_both_modes(volume, mask);
        let names: Vec<String> = [feature, tag].iter().filter(|n| !n.is_empty()).map(|n| format!("`{n}`")).collect();
        let compatible = value(&compatible, &format!("original_{feature}"));
        format!("| {case} | {} | {compatible} | {} |", names.join(" "), value(&defined, tag))
    };
    let rows: Vec<String> = CONVENTIONS.iter().map(row).collect();
    readme::require_table("Values by convention", &rows);
}

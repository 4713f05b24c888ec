//! Parameter files as PyRadiomics reads them, and thousands of damaged ones.

use isoscan_radiomics::{FeatureFamily, ImageType, Interpolator, Settings, SincWindow};

const FILES: [&str; 4] = [
    include_str!("parameter_files/magnetic_resonance.yaml"),
    include_str!("parameter_files/slices.yaml"),
    include_str!("parameter_files/map.yaml"),
    include_str!("parameter_files/forms.yaml"),
];

#[test]
fn files_are_read_as_they_are() {
    let [resonance, slices, map, forms] = FILES.map(|text| Settings::from_text(text).unwrap());
    let kinds: Vec<ImageType> = resonance.image_types.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [ImageType::Original, ImageType::LoG, ImageType::Wavelet]);
    assert_eq!((resonance.normalize, resonance.normalize_scale, resonance.voxel_array_shift), (true, 100.0, 300.0));
    assert_eq!(resonance.features.len(), FeatureFamily::DEFAULT.len());
    assert_eq!(resonance.features[&FeatureFamily::Glcm].len(), 3);
    assert_eq!((slices.force_2d, slices.force_2d_dimension, slices.gldm_a), (true, 0, 1));
    assert_eq!(slices.distances, [1, 2]);
    assert_eq!(slices.resampled_pixel_spacing, None);
    assert_eq!((map.kernel_radius, map.masked_kernel, map.init_value.is_nan()), (2, false, true));
    assert_eq!(map.features.keys().copied().collect::<Vec<_>>(), [FeatureFamily::Glcm]);
    assert_eq!(
        forms.features.iter().map(|(f, names)| (*f, names.len())).collect::<Vec<_>>(),
        [(FeatureFamily::Shape, 6), (FeatureFamily::Shape2D, 0)]
    );
    assert_eq!(forms.interpolator, Some(Interpolator::WindowedSinc(SincWindow::Lanczos)));
    assert_eq!((forms.label, forms.resampled_pixel_spacing, forms.minimum_roi_size), (2, None, None));
    assert_eq!((forms.image_types[0].0, forms.kernel_radius), (ImageType::Original, 1));
}

/// Numbers of a linear congruential generator (Knuth, MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

#[test]
fn damaged_files_are_read_or_refused_in_words() {
    let pieces = [
        "[", "]", "{", "}", ":", " ", "\n", "-", "&a", "*a", "'", "\"", "!", "|", ">", "#", "%", "\t", "?", ",", "é",
        "\0",
    ];
    let mut random = Random(7);
    let (mut read, mut refused) = (0, 0);
    for round in 0..6000 {
        let mut text: Vec<char> = FILES[round % FILES.len()].chars().collect();
        for _ in 0..=random.below(4) {
            let place = random.below(text.len());
            let end = (place + random.below(30)).min(text.len());
            match random.below(5) {
                0 => drop(text.drain(place..end)),
                1 => text.truncate(place.max(1)),
                2 => {
                    let copy: Vec<char> = text[place..end].to_vec();
                    let target = random.below(text.len());
                    text.splice(target..target, copy);
                }
                _ => drop(text.splice(place..place, pieces[random.below(pieces.len())].chars())),
            }
            if text.is_empty() {
                text.push(' ');
            }
        }
        match Settings::from_text(&text.iter().collect::<String>()) {
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty());
            }
        }
    }
    assert!(read > 300 && refused > 3000, "{read} read, {refused} refused");
}

/// PyRadiomics' manual, setting `interpolator`: a name or SimpleITK's number.
#[test]
fn interpolators_have_names_and_numbers() {
    let names = [
        "sitkNearestNeighbor",
        "sitkLinear",
        "sitkBSpline",
        "sitkGaussian",
        "sitkLabelGaussian",
        "sitkHammingWindowedSinc",
        "sitkCosineWindowedSinc",
        "sitkWelchWindowedSinc",
        "sitkLanczosWindowedSinc",
        "sitkBlackmanWindowedSinc",
    ];
    for (index, name) in names.into_iter().enumerate() {
        let named = Settings::from_text(&format!("setting: {{interpolator: {name}}}")).unwrap();
        let numbered = Settings::from_text(&format!("setting: {{interpolator: {}}}", index + 1)).unwrap();
        assert_eq!(named, numbered, "{name}");
        assert_eq!(serde_json::to_value(named).unwrap()["interpolator"], name);
    }
}

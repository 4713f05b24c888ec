//! A study with invented numbers for the tests of the page.

use std::collections::BTreeMap;

use isoscan_metrics::{Ccc, ShareGain};
use ndarray::Array2;

use crate::model::{
    CccRow, DifferencePlot, MethodResult, Origin, Outcome, PluginVersion, Report, Role, Script, SimilarityRow,
    SliceFigure, SubjectRow,
};

/// A candidate of that name with the given share before, share after and interval.
pub(crate) fn method(name: &str, numbers: Option<(f64, f64, [f64; 2])>) -> MethodResult {
    MethodResult {
        name: name.into(),
        role: Role::Candidate,
        plugin: Some(PluginVersion {
            id: name.into(),
            version: "0.1.0".into(),
            sha256: "5e".repeat(32),
            weights_sha256: None,
        }),
        params: BTreeMap::new(),
        not_judged: None,
        gain: numbers.map(|(before, after, ci95)| ShareGain {
            before,
            after,
            gain: after - before,
            ci95,
            before_ci95: [before; 2],
            after_ci95: [after; 2],
            threshold: 0.8,
            resamples: 2000,
            subjects: 12,
            features: 100,
            undefined: 0,
        }),
        ccc: Vec::new(),
        similarity: Vec::new(),
    }
}

/// A row whose intervals reach 0.125 to each side.
pub(crate) fn ccc_row(feature: &str, roi: &str, before: Option<f64>, after: Option<f64>) -> CccRow {
    let ccc =
        |estimate: f64| Ccc { estimate, ci95: [estimate - 0.125, (estimate + 0.125).min(1.0)], n: 12, ci_reason: None };
    CccRow {
        feature: feature.into(),
        roi: roi.into(),
        before: before.map(ccc),
        after: after.map(ccc),
        reason: after.is_none().then(|| "both constant".into()),
    }
}

/// Three methods on twelve subjects, three of which met a fault.
pub(crate) fn report() -> Report {
    Report {
        title: "Harmonize abdomen CT".into(),
        origin: Origin::Phantom,
        source: "sharp kernel, low dose, 1 mm".into(),
        reference: Some("soft kernel, standard dose, 3 mm".into()),
        threshold: 0.8,
        seed: 1,
        engine_version: "0.1.0".into(),
        script: Script { name: "harmonize_ct.rhai".into(), sha256: "a1".repeat(32) },
        subjects: subjects(),
        methods: vec![
            filled("cyclegan", Role::Candidate, (0.411, 0.755), [0.232, 0.447], 0.55),
            filled("histogram", Role::Baseline, (0.411, 0.467), [-0.031, 0.158], 0.12),
            filled("identity", Role::Baseline, (0.411, 0.411), [0.0, 0.0], 0.0),
        ],
        slices: vec![slice("P-03", "cyclegan"), slice("P-03", "histogram")],
        bland_altman: vec![
            differences("cyclegan", "original_firstorder_Entropy", "liver", 1.0),
            differences("cyclegan", "original_glcm_JointEnergy", "spleen", 0.002),
        ],
        provenance: vec![("input".into(), "cohort of 12 subjects, sha256:77c1…".into()), ("jobs".into(), "2".into())],
        warnings: vec!["P-04: 2 of 128 slices lie outside the range the plugin was trained on.".into()],
        definitions: vec![
            ("PSNR".into(), "10 log10(R² / MSE) with R the range of the reference inside the body.".into()),
            ("SSIM".into(), "Gaussian window, σ = 1.5 voxels, K1 = 0.01, K2 = 0.03, mean over the body.".into()),
        ],
    }
}

fn subjects() -> Vec<SubjectRow> {
    let failed = |method: Option<&str>, stage: &str, message: &str| {
        (method.map(str::to_owned), Outcome::Failed { stage: stage.into(), message: message.into() })
    };
    (1..=12)
        .map(|number| {
            let (method, outcome) = match number {
                5 => failed(
                    Some("cyclegan"),
                    "translate",
                    "plugin cyclegan 0.1.0 crashed with signal 11 (segmentation fault)",
                ),
                8 => failed(Some("cyclegan"), "translate", "plugin cyclegan 0.1.0 passed its deadline of 60 s"),
                11 => failed(None, "read", "NIfTI file ends after 1048576 of 4194304 bytes"),
                _ => (None, Outcome::Done),
            };
            SubjectRow { id: format!("P-{number:02}"), method, outcome }
        })
        .collect()
}

/// A fixed sequence in 0..1 that looks unordered.
fn unordered(index: usize) -> f64 {
    (index as f64 * 0.618_033_988_749_895).fract()
}

fn filled(name: &str, role: Role, (before, after): (f64, f64), ci95: [f64; 2], lift: f64) -> MethodResult {
    let mut result = method(name, Some((before, after, ci95)));
    result.role = role;
    for roi in ["liver", "spleen", "muscle"] {
        for index in 0..36 {
            let family = ["firstorder", "glcm", "shape"][index % 3];
            let before = 0.15 + 0.8 * unordered(index + roi.len());
            let after = (before + lift * (1.0 - before) * (1.6 * unordered(3 * index + 1) - 0.15)).min(0.995);
            result.ccc.push(ccc_row(&format!("original_{family}_Feature{index:02}"), roi, Some(before), Some(after)));
        }
    }
    result.ccc.push(ccc_row("original_glcm_MCC", "muscle", Some(0.4), None));
    let similarity = |name: &str, unit: &str, before: f64, after: f64, higher_is_better| SimilarityRow {
        name: name.into(),
        unit: unit.into(),
        before,
        after,
        higher_is_better,
        n: 11,
    };
    result.similarity = vec![
        similarity("MAE", "HU", 21.4, 21.4 - 15.0 * lift, false),
        similarity("PSNR", "dB", 31.2, 31.2 + 9.0 * lift, true),
        similarity("SSIM", "", 0.812, 0.812 + 0.2 * lift, true),
    ];
    result
}

fn slice(subject: &str, method: &str) -> SliceFigure {
    let body = |smooth: f32| {
        Array2::from_shape_fn((160, 220), |(row, column)| {
            let (y, x) = ((row as f32 - 80.0) / 62.0, (column as f32 - 110.0) / 92.0);
            let noise = (unordered(row * 220 + column) as f32 - 0.5) * 120.0 * (1.0 - smooth);
            let liver = ((x + 0.4).powi(2) / 0.16 + (y + 0.1).powi(2) / 0.3) < 1.0;
            let spine = (x.powi(2) + (y - 0.6).powi(2)) < 0.03;
            let tissue = if spine {
                400.0
            } else if liver {
                110.0
            } else if x * x + y * y > 0.85 {
                -100.0
            } else {
                50.0
            };
            if x * x + y * y < 1.0 { tissue + noise } else { -1000.0 + noise / 4.0 }
        })
    };
    SliceFigure {
        synthetic: method != "identity",
        subject: subject.into(),
        method: method.into(),
        place: "axial, z = 31".into(),
        unit: "HU".into(),
        window: [40.0, 400.0],
        pixel_mm: [1.5, 1.5],
        before: body(0.0),
        after: body(if method == "cyclegan" { 0.75 } else { 0.2 }),
        reference: Some(body(0.8)),
    }
}

fn differences(method: &str, feature: &str, roi: &str, scale: f64) -> DifferencePlot {
    let pairs = |shift: f64, spread: f64| {
        (0..11)
            .map(|subject| {
                let reference = scale * (3.0 + 1.2 * unordered(subject + 2));
                [reference + scale * (shift + spread * (unordered(7 * subject) - 0.5)), reference]
            })
            .collect()
    };
    DifferencePlot {
        method: method.into(),
        feature: feature.into(),
        roi: roi.into(),
        before: pairs(0.9, 0.8),
        after: pairs(0.1, 0.3),
    }
}

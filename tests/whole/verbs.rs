//! Every verb of the script language, with what it gives.

use tempfile::TempDir;

use crate::fixture::{cohort, plugins, script, succeed};

#[test]
fn each_verb_gives_what_it_says() {
    let rows = [
        ("image.modality + \" \" + image.unit", "CT HU"),
        ("image.size", "[96, 96, 3]"),
        ("image.spacing", "[4.0, 4.0, 5.0]"),
        ("image.orientation", "LPS"),
        ("image.reorient(\"RAI\").reorient(\"LPS\").size", "[96, 96, 3]"),
        ("similarity(image.reorient(\"RAI\").reorient(\"LPS\"), image).mae", "0.0"),
        ("image.resample([2.0, 2.0, 5.0], \"linear\").size", "[191, 191, 3]"),
        ("image.resample([8, 8, 5], \"bspline\").resample_like(image, \"nearest\").size", "[96, 96, 3]"),
        ("image.crop([10, 20, 0], [30, 40, 2]).size", "[30, 40, 2]"),
        ("image.pad_to_multiple([64, 64, 4]).size", "[128, 128, 4]"),
        ("image.clip(-100, 100).threshold(-100, 100).voxels", "27648"),
        ("image.window(40, 400).unit", "normalized"),
        ("image.normalize(\"zscore\").unit", "normalized"),
        ("image.normalize(\"minmax\").threshold(0, 1).voxels", "27648"),
        ("image.normalize(\"percentile\", #{ low: 5, high: 95 }).unit", "normalized"),
        ("image.normalize(image.body(), \"zscore\").unit", "normalized"),
        ("image.treat_as(\"MR\").unit", "arbitrary"),
        (
            "liver.voxels == liver.erode(4).dilate(4).and(liver).voxels + liver.minus(liver.erode(4).dilate(4)).voxels",
            "true",
        ),
        ("liver.or(image.body()).largest_component().fill_holes().voxels >= liver.voxels", "true"),
        ("radiomics(image, liver, #{ featureClass: #{ firstorder: [\"Mean\"] } }).len()", "1"),
        (
            "radiomics(image, liver)[\"original_firstorder_Mean\"] == radiomics(image, liver, #{ binWidth: 5 })[\"original_firstorder_Mean\"]",
            "true",
        ),
        ("similarity(image, image, liver).ssim", "1.0"),
        ("ccc([1, 2, 3, 4, 5], [11, 12, 13, 14, 15]).estimate", "0.038461538461538464"),
        ("bland_altman([1.0, 2.0, 3.0], [0.0, 1.0, 2.0]).mean_difference", "1.0"),
        ("image.translate(\"invert\").translate(\"invert\").unit", "HU"),
        ("plugin(\"identity\", \"=0.1\")", "identity 0.1.0"),
        ("plugin(\"identity\").sha256.len()", "64"),
        ("similarity(image.translate(plugin(\"identity\", \"^0.1.0\")), image).mae", "0.0"),
        ("inputs_of(\"histogram\")", "[\"image\", \"reference\"]"),
        ("cohort(set.input).count", "5"),
        ("cohort(set.input).subjects[4].id", "sub-004"),
        ("cohort(set.input).subjects[0].rois.keys().contains(\"liver\")", "true"),
        ("cohort(set.input).subjects[0].style(image).modality", "CT"),
        ("cohort(set.input).each(|subject| subject.index * 10)", "[0, 10, 20, 30, 40]"),
        ("seed()", "9"),
    ];
    let mut text = String::from("let set = settings(#{ input: \"\" });\n");
    text += "let image = read(set.input + \"/sub-000/source.nii.gz\");\n";
    text += "let liver = read_mask(set.input + \"/sub-000/labels.nii.gz\", 2);\n";
    for (expression, _) in &rows {
        text += &format!("print({expression});\n");
    }
    text += "image.write(\"copy.nii\");\nimage.write_dicom(\"copy\");\nprint(read(\"OUT/copy\").size);\n";
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let script = script(folder.path(), &text.replace("OUT", out.to_str().unwrap()));
    let input = format!("input={}", cohort().display());
    let arguments = ["run", script.to_str().unwrap(), "--seed", "9", "--set", &input, "--out", out.to_str().unwrap()];
    let told = succeed(&[&arguments[..], &["--plugins", plugins().to_str().unwrap()]].concat());
    let lines: Vec<&str> = told.lines().collect();
    for ((expression, expected), found) in rows.iter().zip(&lines) {
        assert_eq!(found, expected, "{expression}");
    }
    assert_eq!(lines.len(), rows.len() + 1);
    assert_eq!(lines.last(), Some(&"[96, 96, 3]"));
    assert!(out.join("copy.nii").is_file());
}

#[test]
fn a_phantom_is_a_scan_with_labels() {
    let folder = TempDir::new().unwrap();
    let text = "let made = phantom(0, \"a-soft\");\nprint(made.image.size);\nprint(made.labels.unit);\n";
    let (script, out) = (script(folder.path(), text), folder.path().join("out"));
    let told = succeed(&["run", script.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(told.lines().collect::<Vec<_>>(), ["[256, 256, 12]", "label"]);
}

//! Every verb of the script language, with what it gives.

use std::path::Path;

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::{NiftiOptions, write_nifti, write_nifti_volumes};
use ndarray::Array3;
use tempfile::TempDir;

use crate::fixture::{cohort, plugins, script, succeed};

/// What a script prints, line by line. `FOLDER` and `OUT` in its text stand for the test's folder and the run's output.
fn printed(folder: &Path, text: &str, arguments: &[&str]) -> Vec<String> {
    let out = folder.join("out");
    let text = text.replace("FOLDER", folder.to_str().unwrap()).replace("OUT", out.to_str().unwrap());
    let script = script(folder, &text);
    let run = ["run", script.to_str().unwrap(), "--seed", "9", "--out", out.to_str().unwrap()];
    succeed(&[&run[..], arguments].concat()).lines().map(str::to_owned).collect()
}

/// Every expression with what it prints, after a few lines that prepare.
fn check(folder: &Path, before: &str, rows: &[(&str, &str)], arguments: &[&str]) {
    let prints: String = rows.iter().map(|(expression, _)| format!("print({expression});\n")).collect();
    let found = printed(folder, &format!("{before}{prints}"), arguments);
    for ((expression, expected), found) in rows.iter().zip(&found) {
        assert_eq!(found, expected, "{expression}");
    }
    assert_eq!(found.len(), rows.len());
}

/// An MR of 8 x 8 x 8 voxels of 2 mm whose intensities follow the column, and a label map of 5 x 5 x 5 voxels of 2 mm with
/// a hollow cube of 3 x 3 x 3.
fn write_worked_images(folder: &Path) {
    let grid = Geometry::axis_aligned([8; 3], [2.0; 3]).unwrap();
    let ramp = |slope: f32, first: f32| {
        let voxels = Array3::from_shape_fn((8, 8, 8), |(_, _, x)| slope * x as f32 + first);
        Volume::new(voxels, grid.clone(), Modality::Mr, Unit::Arbitrary).unwrap()
    };
    let (ramp, double) = (ramp(10.0, 0.0), ramp(20.0, 5.0));
    write_nifti(&folder.join("ramp.nii.gz"), &ramp, None, None).unwrap();
    write_nifti(&folder.join("double.nii.gz"), &double, None, None).unwrap();
    let both = folder.join("both.nii.gz");
    write_nifti_volumes(&both, &[&ramp, &double], None, None, &NiftiOptions::default()).unwrap();
    let near = |n: usize| (1..=3).contains(&n);
    let cube = |(z, y, x)| f32::from(near(x) && near(y) && near(z) && (z, y, x) != (2, 2, 2));
    let grid = Geometry::axis_aligned([5; 3], [2.0; 3]).unwrap();
    let cube = Volume::new(Array3::from_shape_fn((5, 5, 5), cube), grid, Modality::Seg, Unit::Label).unwrap();
    write_nifti(&folder.join("cube.nii.gz"), &cube, None, None).unwrap();
}

const WORKED: &str = r#"
let ramp = read("FOLDER/ramp.nii.gz");
let double = read("FOLDER/double.nii.gz");
let labels = read("FOLDER/cube.nii.gz");
let cube = read_mask("FOLDER/cube.nii.gz", 1);
let slab = ramp.threshold(20, 50);
"#;

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
        (
            "radiomics(image, liver, #{ mode: \"ibsi\", discretisation: #{ fixed_bin_size: 25 } }).keys().contains(\"stat_mean\")",
            "true",
        ),
        ("radiomics_table(image, liver, few).len()", "2"),
        ("radiomics_table(image, liver, few)[0].name", "original_firstorder_Mean"),
        ("radiomics_table(image, liver, few)[0].ibsi + radiomics_table(image, liver, few)[0].reason", "Q4LE"),
        ("radiomics_table(image, liver, few)[0].value == radiomics(image, liver).original_firstorder_Mean", "true"),
        ("few.setting.binWidth", "10"),
        ("radiomics_maps(image, liver, mean).keys()", "[\"original_firstorder_Mean\"]"),
        ("radiomics_maps(image, liver, mean).original_firstorder_Mean.size", "[96, 96, 3]"),
        ("perturb(image, liver, #{ growth: 0.2 }).mask.voxels > liver.voxels", "true"),
        ("similarity(perturb(image, liver, #{}).image, image).mae", "0.0"),
        (
            "stability([#{ image: image, mask: liver }, #{ image: image, mask: body }], turns, mean).keys()",
            "[\"original_firstorder_Mean\"]",
        ),
        (
            "stability([#{ image: image, mask: liver }, #{ image: image, mask: body }], turns, mean).original_firstorder_Mean.k",
            "2",
        ),
        // Of two regions even good agreement has an interval that reaches far below 0.90.
        (
            "stability([#{ image: image, mask: liver }, #{ image: image, mask: body }], turns, mean).original_firstorder_Mean.robust",
            "false",
        ),
        (
            "stability([#{ image: image, mask: liver }, #{ image: image, mask: body }], turns, mean).original_firstorder_Mean.one_way > 0.9",
            "true",
        ),
        ("stability([perturb(image, liver, #{})], turns, mean).original_firstorder_Mean.left_out", "0"),
        // Shrout and Fleiss 1979, table 2.
        (
            "(100 * icc([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]).one_way).round()",
            "17.0",
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
    let before = r#"
let set = settings(#{ input: "" });
let image = read(set.input + "/sub-000/source.nii.gz");
let liver = read_mask(set.input + "/sub-000/labels.nii.gz", 2);
let few = radiomics_settings("FOLDER/few.yaml");
let mean = #{ featureClass: #{ firstorder: ["Mean"] } };
let body = image.body();
let turns = #{ angles_deg: [0, 4] };
"#;
    let folder = TempDir::new().unwrap();
    let few = "setting: {binWidth: 10}\nfeatureClass: {firstorder: [Mean, Variance]}\n";
    std::fs::write(folder.path().join("few.yaml"), few).unwrap();
    let input = format!("input={}", cohort().display());
    check(folder.path(), before, &rows, &["--set", &input, "--plugins", plugins().to_str().unwrap()]);
}

#[test]
fn verbs_on_images_give_worked_values() {
    let rows = [
        ("ramp.at([3, 0, 0])", "30.0"),
        ("ramp.smooth(0).at([3, 4, 4])", "30.0"),
        ("ramp.smooth([0, 4, 4]).at([3, 4, 4])", "30.0"),
        ("ramp.median(1).at([0, 4, 4])", "0.0"),
        ("ramp.median([0, 1, 1]).at([3, 4, 4])", "30.0"),
        ("ramp.bilateral(#{ sigma_mm: 2, sigma_intensity: 1 }).at([3, 4, 4])", "30.0"),
        ("ramp.noise()", "0.0"),
        ("ramp.clip(5, 5).denoise(#{ sigma: 1 }).at([3, 4, 4])", "5.0"),
        ("ramp.gradient_magnitude().at([3, 4, 4])", "5.0"),
        // The mean of 20, 30 and 40.
        (
            "ramp.filter_response(#{ mean: #{ support: 3, dimensions: \"3D\", boundary: \"mirror\" } }).at([3, 4, 4])",
            "30.0",
        ),
        ("ramp.clip(5, 5).laplacian(2).at([4, 4, 4]).abs() < 0.0001", "true"),
        ("ramp.wavelet(\"haar\").keys()", "[\"HHH\", \"HHL\", \"HLH\", \"HLL\", \"LHH\", \"LHL\", \"LLH\", \"LLL\"]"),
        // 10 / √2 along x, times √2 along y and z.
        ("(1000 * ramp.wavelet(\"haar\", #{ level: 1 }).HLL.at([3, 4, 4]).abs()).round()", "14142.0"),
        ("ramp.resample([1, 2, 2], \"linear\").at([7, 4, 4])", "35.0"),
        ("ramp.resample([1, 2, 2], \"lanczos4\").size", "[15, 8, 8]"),
        ("labels.resample([1, 1, 1], \"linear\").region(1).voxels > 26 * 4", "true"),
        ("ramp.straighten().size", "[8, 8, 8]"),
        ("ramp.crop_to(slab, 0).size", "[4, 8, 8]"),
        ("ramp.crop_to(slab, 2).size", "[6, 8, 8]"),
        ("ramp.pad([1, 0, 0], [0, 0, 2]).size", "[9, 8, 10]"),
        ("ramp.pad([1, 0, 0], [0, 0, 0], 7).at([0, 0, 0])", "7.0"),
        ("ramp.pad([1, 0, 0], [0, 0, 0], \"edge\").at([0, 0, 0])", "0.0"),
        ("ramp.pad([1, 0, 0], [0, 0, 0], \"mirror\").at([0, 0, 0])", "10.0"),
        ("ramp.fit_to_size([4, 4, 12]).size", "[4, 4, 12]"),
        // Median 35, median distance from it 20.
        ("(1000 * ramp.normalize(\"robust\").at([7, 0, 0])).round()", "1180.0"),
        ("ramp.normalize(slab, \"white-stripe\", #{ mode: \"largest\", width: 0.5 }).unit", "normalized"),
        ("ramp.normalize(\"tissue-mode\").unit", "normalized"),
        ("ramp.correct_bias(slab, #{ iterations: [2], shrink: 1 }).unit", "arbitrary"),
        ("ramp.bias_field(#{ iterations: [2, 2] }).unit", "normalized"),
        ("(double.match_histogram(ramp).at([7, 0, 0]) - 70).abs() < 0.01", "true"),
        ("double.match_histogram(ramp, #{ bins: 64, points: 3, mask: slab, reference_mask: slab }).unit", "arbitrary"),
        (
            "standard_scale([ramp, double], #{ percentiles: [0, 50, 100], ends: [0, 100] }).landmarks",
            "[0.0, 50.0, 100.0]",
        ),
        (
            "ramp.standardize(standard_scale([double], #{ masks: [slab], percentiles: [0, 100] })).at([5, 0, 0])",
            "71.71428680419922",
        ),
        ("ramp.otsu()", "30.078125"),
        ("ramp.above(ramp.otsu()).voxels", "256"),
        ("ramp.otsu(4).len()", "3"),
        ("diff(ramp, double).voxels.differing", "512"),
        ("diff(ramp, double).voxels.largest", "75.0"),
        ("diff(ramp, ramp.reorient(\"RAI\")).geometry.same_place", "true"),
    ];
    let folder = TempDir::new().unwrap();
    write_worked_images(folder.path());
    check(folder.path(), WORKED, &rows, &[]);
}

#[test]
fn verbs_on_regions_give_worked_values() {
    let rows = [
        ("cube.voxels", "26"),
        ("cube.fill_cavities().voxels", "27"),
        ("cube.fill_holes().voxels", "27"),
        // The cavity, and the middles of the six sides, which reach the border of the grid.
        ("cube.close(2).voxels", "33"),
        ("slab.open(2).voxels", "256"),
        ("slab.erode(2).voxels", "128"),
        ("cube.components().voxels", "[26]"),
        ("slab.components(\"corners\").volumes_ml", "[2.048]"),
        ("cube.components().labels.unit", "label"),
        ("cube.signed_distance().at([2, 2, 2])", "2.0"),
        ("cube.signed_distance().at([1, 2, 2])", "-2.0"),
        ("cube.distance().at([0, 2, 2])", "2.0"),
        ("cube.to_labels().region(1).voxels", "26"),
        ("labels.region(1).resample_like(labels.resample([1, 1, 1], \"nearest\")).size", "[9, 9, 9]"),
        ("read_mask(\"FOLDER/cube.nii.gz\", labels).voxels", "26"),
        ("read_mask(\"FOLDER/cube.nii.gz\", 1, labels).warnings", "[]"),
    ];
    let folder = TempDir::new().unwrap();
    write_worked_images(folder.path());
    check(folder.path(), WORKED, &rows, &[]);
}

#[test]
fn verbs_read_what_they_wrote() {
    let rows = [
        ("list(\"FOLDER/both.nii.gz\").len()", "2"),
        ("list(\"FOLDER/both.nii.gz\")[1].volume", "1"),
        ("list(\"FOLDER/both.nii.gz\")[1].size", "[8, 8, 8]"),
        ("read(\"FOLDER/both.nii.gz\", #{ volume: 1 }).at([0, 0, 0])", "5.0"),
        ("read(\"FOLDER/ramp.nii.gz\", #{ modality: \"CT\" }).unit", "HU"),
        ("read(\"FOLDER/ramp.nii.gz\", #{ unit: \"normalized\", uneven: \"resample\" }).unit", "normalized"),
        ("ramp.padding == () && ramp.warnings.is_empty()", "true"),
        ("ramp.write(\"ramp.nrrd\")", "0.0"),
        ("diff(ramp, read(\"OUT/ramp.nrrd\")).voxels.differing", "0"),
        ("ramp.write(\"scaled.nii.gz\", #{ scaled: true })", "0.0"),
        ("ramp.write(\"ramp.mha\") + ramp.write(\"ramp.tif\")", "0.0"),
        ("ramp.write_dicom(\"series\") < 0.001", "true"),
        ("diff(ramp, read(\"OUT/series\")).voxels.largest.abs() < 0.001", "true"),
        ("ramp.write_dicom(\"enhanced.dcm\", #{ enhanced: true }) < 0.001", "true"),
        ("diff(ramp, read(\"OUT/enhanced.dcm\")).geometry.same_place", "true"),
        ("ramp.write_parametric_map(\"map.dcm\", #{ name: \"ramp\" })", ""),
        ("slab.write(\"slab.nii.gz\")", ""),
        ("read_mask(\"OUT/slab.nii.gz\").voxels", "256"),
        ("slab.write_seg(\"slab.dcm\", ramp, \"slab\", #{ property: [\"10200004\", \"SCT\", \"Liver\"] })", ""),
        ("list_regions(\"OUT/slab.dcm\")[0].name", "slab"),
        ("read_mask(\"OUT/slab.dcm\", \"slab\", ramp).voxels", "256"),
        ("labels.write_seg(\"labels.dcm\")", ""),
        ("read_mask(\"OUT/labels.dcm\", labels).voxels", "26"),
        ("scale.write(\"scale.json\")", ""),
        ("read_scale(\"OUT/scale.json\").landmarks == scale.landmarks", "true"),
        ("scale.percentiles.len()", "11"),
        ("map.write(\"map.tfm\")", ""),
        ("read_transform(\"OUT/map.tfm\").matrix == map.matrix", "true"),
    ];
    let folder = TempDir::new().unwrap();
    write_worked_images(folder.path());
    let before = format!("{WORKED}let scale = standard_scale([ramp]);\nlet map = ramp.register(double);\n");
    check(folder.path(), &before, &rows, &[]);
}

#[test]
fn a_blob_that_was_moved_is_laid_back() {
    let folder = TempDir::new().unwrap();
    for (name, origin_mm) in [("blob", [0.0; 3]), ("moved", [3.0, -2.0, 1.0])] {
        let axes = Geometry::axis_aligned([16; 3], [2.0; 3]).unwrap();
        let grid = Geometry::new([16; 3], [2.0; 3], origin_mm, axes.direction()).unwrap();
        let blob = Array3::from_shape_fn((16, 16, 16), |(z, y, x)| {
            let [x, y, z] = [x as f32 - 6.0, y as f32 - 8.0, z as f32 - 7.0];
            1000.0 * (-(x * x / 18.0 + y * y / 32.0 + z * z / 8.0)).exp()
        });
        let blob = Volume::new(blob, grid, Modality::Mr, Unit::Arbitrary).unwrap();
        write_nifti(&folder.path().join(format!("{name}.nii.gz")), &blob, None, None).unwrap();
    }
    let before = r#"
let blob = read("FOLDER/blob.nii.gz");
let moved = read("FOLDER/moved.nii.gz");
let map = moved.register(blob, #{ shrink_factors: [2, 1] });
"#;
    let rows = [
        ("map.matrix.map(|row| row[3].round())", "[3.0, -2.0, 1.0, 1.0]"),
        ("map.inverse().matrix.map(|row| row[3].round())", "[-3.0, 2.0, -1.0, 1.0]"),
        ("map.metric > 0 && map.iterations > 0 && map.converged", "true"),
        ("map.overlap > 0.8", "true"),
        ("map.inverse().metric == ()", "true"),
        ("diff(blob, moved.moved(map, blob, \"linear\")).voxels.root_mean_square < 10", "true"),
        ("moved.register(blob, #{ freedom: \"affine\", start: map, fixed_mask: blob.above(5) }).overlap > 0.5", "true"),
    ];
    check(folder.path(), before, &rows, &[]);
}

#[test]
fn a_verb_refuses_what_it_cannot_do() {
    let rows = [
        ("read(\"FOLDER/both.nii.gz\", #{ volume: 2 })", "volume must be 0 to 1, found 2"),
        ("read(\"FOLDER/ramp.nii.gz\", #{ volume: 1 })", "volume must be 0, the only one, found 1"),
        (
            "read(\"FOLDER/ramp.nii.gz\", #{ modalty: \"CT\" })",
            "option of read must be one of modality, unit, uneven, volume, found modalty",
        ),
        ("read(\"FOLDER/ramp.nii.gz\", #{ uneven: \"guess\" })", "uneven must be one of refuse, resample, found guess"),
        (
            "ramp.resample([1, 1, 1], \"cubic\")",
            "interpolation must be one of nearest, linear, bspline, lanczos3, lanczos4, lanczos5, found cubic",
        ),
        (
            "labels.resample([1, 1, 1], \"bspline\")",
            "interpolation of labels must be one of nearest, linear, gaussian, found bspline",
        ),
        ("labels.straighten(\"linear\")", "interpolation of labels must be one of nearest, found linear"),
        ("ramp.smooth(\"wide\")", "sigma in mm must be a number, found wide"),
        ("ramp.median([1, 1])", "radius must be a whole number or three [x, y, z], found 2 values"),
        (
            "ramp.normalize(\"mean\")",
            "normalization must be one of zscore, percentile, minmax, robust, white-stripe, tissue-mode, found mean",
        ),
        ("ramp.normalize(\"zscore\", #{ low: 1 })", "option of normalize must be left out, found low"),
        ("ramp.at([8, 0, 0])", "voxel must be from [0, 0, 0] and below [8, 8, 8], found [8, 0, 0]"),
        ("ramp.pad([1, 0, 0], [0, 0, -1])", "after must be three whole numbers from 0, found [0, 0, -1]"),
        ("ramp.pad([1, 0, 0], [0, 0, 0], \"wrap\")", "padding must be one of edge, mirror, found wrap"),
        ("ramp.register(double, #{ freedom: \"free\" })", "freedom must be one of rigid, affine, found free"),
        ("ramp.register(double, #{ fixed_mask: 1 })", "fixed_mask must be a mask, found 1"),
        ("standard_scale([ramp, 2])", "image must be an image, found 2"),
        ("standard_scale([ramp], #{ masks: [] })", "masks must be one mask for each of 1 images, found 0"),
        ("cube.components(\"sides\")", "connectivity must be one of faces, edges, corners, found sides"),
        ("ramp.write(\"ramp.nii\", #{ scale: true })", "option of write must be one of scaled, found scale"),
        (
            "slab.write_seg(\"slab.dcm\", ramp, \"slab\", #{ property: [\"Liver\"] })",
            "property must be three texts [code, scheme, meaning], found 1 texts",
        ),
    ];
    let folder = TempDir::new().unwrap();
    write_worked_images(folder.path());
    let tries: String = rows
        .iter()
        .map(|(line, _)| format!("try {{ {line}; print(\"done\"); }} catch (e) {{ print(e.message); }}\n"))
        .collect();
    let found = printed(folder.path(), &format!("{WORKED}{tries}"), &[]);
    for ((line, expected), found) in rows.iter().zip(&found) {
        assert_eq!(found, expected, "{line}");
    }
    assert_eq!(found.len(), rows.len());
}

#[test]
fn a_phantom_is_a_scan_with_labels() {
    let folder = TempDir::new().unwrap();
    let text = "let made = phantom(0, \"a-soft\");\nprint(made.image.size);\nprint(made.labels.unit);\n";
    let (script, out) = (script(folder.path(), text), folder.path().join("out"));
    let told = succeed(&["run", script.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(told.lines().collect::<Vec<_>>(), ["[256, 256, 12]", "label"]);
}

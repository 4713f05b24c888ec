//! `isoscan radiomics`: many cases, masks of every kind, tables of every format, and runs that were interrupted.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use isoscan_imaging::{Geometry, Modality, Unit, Volume};
use isoscan_io::write_nifti;
use ndarray::Array3;
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use tempfile::TempDir;

use crate::fixture::{command, isoscan, refused, script, shared, succeed};

type Line = BTreeMap<String, String>;

/// The lines of a CSV table by column.
fn lines(path: &Path) -> Vec<Line> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let line =
        |record: csv::StringRecord| names.iter().zip(&record).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    reader.records().map(|record| line(record.unwrap())).collect()
}

fn column<'a>(lines: &'a [Line], name: &str) -> Vec<&'a str> {
    lines.iter().map(|line| line.get(name).map_or("(no such column)", String::as_str)).collect()
}

/// Whether a voxel lies in the region of this label: 4 x 3 x 2 voxels for 1, 3 x 3 x 3 for 2.
fn inside(label: usize, x: usize, y: usize, z: usize) -> bool {
    match label {
        1 => (2..6).contains(&x) && (3..6).contains(&y) && (1..3).contains(&z),
        _ => (7..10).contains(&x) && (5..8).contains(&y) && (4..7).contains(&z),
    }
}

/// Writes `image.nii.gz` of 12 x 10 x 8 voxels of 1 x 1 x 2 mm with whole intensities, `labels.nii.gz` with the labels 1
/// and 2, and `far.nii.gz` with label 1 one voxel further.
fn write_images(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let grid = Geometry::axis_aligned([12, 10, 8], [1.0, 1.0, 2.0]).unwrap();
    let far = Geometry::new([12, 10, 8], [1.0, 1.0, 2.0], [1.0, 0.0, 0.0], grid.direction()).unwrap();
    let texture = |(z, y, x): (usize, usize, usize)| ((x * x * 7 + y * 31 + z * z * 13 + x * y * z) % 211) as f32;
    let labels = |(z, y, x)| (1..=2).find(|&label| inside(label, x, y, z)).unwrap_or(0) as f32;
    let write = |name: &str, voxels: Array3<f32>, grid: &Geometry, modality, unit| {
        let volume = Volume::new(voxels, grid.clone(), modality, unit).unwrap();
        write_nifti(&folder.join(name), &volume, None, None).unwrap();
    };
    let shape = (8, 10, 12);
    write("image.nii.gz", Array3::from_shape_fn(shape, texture), &grid, Modality::Mr, Unit::Arbitrary);
    write("labels.nii.gz", Array3::from_shape_fn(shape, labels), &grid, Modality::Seg, Unit::Label);
    write("far.nii.gz", Array3::from_shape_fn(shape, labels), &far, Modality::Seg, Unit::Label);
}

/// What the program tells without frames and line breaks, and its exit code.
fn told(arguments: &[&str]) -> (Option<i32>, String) {
    let output = isoscan(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "|").collect();
    (output.status.code(), words.join(" "))
}

const FEW: &str = "setting: {binWidth: 10}\nfeatureClass: {firstorder: [Mean, Range], shape: [VoxelVolume]}\n";

/// A folder with the images, `few.yaml` of three features, and the table of cases `cases.csv`.
fn with_cases(table: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    write_images(folder.path());
    fs::write(folder.path().join("few.yaml"), FEW).unwrap();
    fs::write(folder.path().join("cases.csv"), table).unwrap();
    folder
}

const GOOD: &str = "\
ID,Image,Mask,Label
a,image.nii.gz,labels.nii.gz,1
b,image.nii.gz,labels.nii.gz,2
c,labels.nii.gz,labels.nii.gz,1
d,image.nii.gz,labels.nii.gz,1
e,image.nii.gz,labels.nii.gz,2
";

#[test]
fn a_table_of_cases_gives_a_row_or_a_reason_for_each() {
    let folder = with_cases(
        "ID,Image,Mask,Label,site\na,image.nii.gz,labels.nii.gz,1,north\nb,image.nii.gz,labels.nii.gz,7,north\n\
         c,missing.nii.gz,labels.nii.gz,1,south\nd,image.nii.gz,far.nii.gz,1,south\ne,image.nii.gz,labels.nii.gz,2,south\n\
         f,image.nii.gz,,1,south\n",
    );
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (code, text) = told(&["radiomics", &at("cases.csv"), "--settings", &at("few.yaml"), "-o", &at("out.csv")]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("4 of 6 cases failed: b: no region of label 7 in the mask, found 1, 2:"), "{text}");
    let rows = lines(&folder.path().join("out.csv"));
    assert_eq!(column(&rows, "ID"), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(column(&rows, "site"), ["north", "north", "south", "south", "south", "south"]);
    assert_eq!(column(&rows, "original_shape_VoxelVolume"), ["48.0", "", "", "", "54.0", ""]);
    let errors: Vec<String> =
        column(&rows, "Error").iter().map(|error| error.replace(&folder.path().display().to_string(), "F")).collect();
    assert_eq!((errors[0].as_str(), errors[4].as_str()), ("", ""));
    assert_eq!(errors[1], "no region of label 7 in the mask, found 1, 2: F/labels.nii.gz");
    assert_eq!(errors[2], "cannot open: No such file or directory (os error 2): F/missing.nii.gz");
    assert_eq!(
        errors[3],
        "mask lies on another grid: expected 12x10x8 at 1.0000x1.0000x2.0000 mm from (0.00, 0.00, 0.00), found 12x10x8 \
         at 1.0000x1.0000x2.0000 mm from (1.00, 0.00, 0.00); largest corner distance 1.000000 mm, tolerance 1.00e-6 mm"
    );
    assert_eq!(errors[5], "line 7: no Mask");
    let made: serde_json::Value = serde_json::from_slice(&fs::read(at("out.provenance.json")).unwrap()).unwrap();
    assert_eq!((&made["mode"], &made["cases"]), (&"pyradiomics 3.1.0".into(), &6.into()));
    assert_eq!(made["inputs"][0]["image_sha256"], isoscan_io::sha256_file(at("image.nii.gz").as_ref()).unwrap());
    assert_eq!(made["settings"]["binWidth"], 10.0);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".journal")), "{left:?}");
}

#[test]
fn a_mask_on_another_grid_is_resampled_when_asked() {
    let folder = with_cases(GOOD);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let few = at("few.yaml");
    let pair = ["radiomics", &at("image.nii.gz"), &at("far.nii.gz"), "--settings", &few, "-o", &at("out.csv")];
    let told = refused(&pair);
    assert!(told.contains("found 12x10x8 at 1.0000x1.0000x2.0000 mm from (1.00, 0.00, 0.00)"), "{told}");
    assert!(!folder.path().join("out.csv").exists());
    succeed(&[&pair[..], &["--resample-mask"]].concat());
    assert_eq!(column(&lines(&folder.path().join("out.csv")), "original_shape_VoxelVolume"), ["48.0"]);
}

#[test]
fn every_label_has_a_row() {
    let folder = with_cases(GOOD);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (image, labels, few, out) = (at("image.nii.gz"), at("labels.nii.gz"), at("few.yaml"), at("out.csv"));
    let arguments = ["radiomics", &image, &labels, "--settings", &few, "-o", &out];
    succeed(&[&arguments[..], &["--all-labels"]].concat());
    let both = lines(out.as_ref());
    assert_eq!(column(&both, "Label"), ["1", "2"]);
    assert_eq!(column(&both, "original_shape_VoxelVolume"), ["48.0", "54.0"]);
    succeed(&[&arguments[..], &["--label", "2"]].concat());
    let second = lines(out.as_ref());
    assert_eq!(column(&second, "original_firstorder_Mean"), column(&both, "original_firstorder_Mean")[1..]);
    let told = refused(&[&arguments[..], &["--label", "3"]].concat());
    assert!(told.starts_with("no region of label 3 in the mask, found 1, 2:"), "{told}");
}

#[test]
fn unknown_settings_are_refused_with_the_nearest_name() {
    let folder = with_cases(GOOD);
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("wrong.yaml"), "setting:\n  binWidht: 10\n").unwrap();
    let told = refused(&["radiomics", &at("cases.csv"), "--settings", &at("wrong.yaml"), "-o", &at("out.csv")]);
    assert!(
        told.contains("line 2, column 3") && told.contains("unknown setting binWidht, did you mean binWidth; known:")
    );
    let told = refused(&["radiomics", &at("cases.csv"), "--set", "binwidth=10", "-o", &at("out.csv")]);
    assert!(told.starts_with("unknown setting binwidth, did you mean binWidth; known:"), "{told}");
}

#[test]
fn every_format_holds_the_same_table_whatever_the_number_of_jobs() {
    let folder = with_cases(&format!("{GOOD}f,image.nii.gz,labels.nii.gz,9\n"));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let make = |name: &str, jobs: &str| {
        let (code, text) = told(&["radiomics", &at("cases.csv"), "--jobs", jobs, "-o", &at(name)]);
        assert_eq!(code, Some(3), "{text}");
    };
    make("out.csv", "1");
    make("again.csv", "4");
    let bytes = |name: &str| fs::read(at(name)).unwrap();
    assert_eq!(bytes("out.csv"), bytes("again.csv"));
    let rows = lines(at("out.csv").as_ref());
    for name in ["out.json", "out.jsonl"] {
        make(name, "3");
        let text = String::from_utf8(bytes(name)).unwrap();
        let found: Vec<serde_json::Map<String, serde_json::Value>> = match name {
            "out.json" => serde_json::from_str(&text).unwrap(),
            _ => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        };
        assert_eq!(found.len(), rows.len());
        for (object, row) in found.iter().zip(&rows) {
            let filled = row.iter().filter(|(name, text)| !text.is_empty() && object.contains_key(*name));
            assert!(filled.clone().count() > 4);
            filled.for_each(|(name, text)| assert!(is_told(&object[name], text), "{name}: {} {text}", object[name]));
        }
    }
    make("out.parquet", "2");
    let found = parquet_rows(at("out.parquet").as_ref());
    assert_eq!(found.len(), rows.len());
    for (found, row) in found.iter().zip(&rows) {
        assert_eq!(found.keys().collect::<Vec<_>>(), row.keys().collect::<Vec<_>>());
        row.iter().for_each(|(name, text)| assert_eq!(found[name], *text, "{name}"));
    }
}

/// Whether a JSON value says what a cell of text does; the parser of the test may be wrong in a number's last bit.
fn is_told(value: &serde_json::Value, text: &str) -> bool {
    match value {
        serde_json::Value::String(own) => own == text,
        serde_json::Value::Null => text == "NaN",
        other => {
            let (own, number) = (other.as_f64().unwrap(), text.parse::<f64>().unwrap());
            (own - number).abs() <= f64::EPSILON * number.abs()
        }
    }
}

/// The rows of a Parquet file as a table of text would hold them.
fn parquet_rows(path: &Path) -> Vec<Line> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let text = |field: &Field| match field {
        Field::Null => String::new(),
        Field::Double(number) => format!("{number:?}"),
        Field::Long(number) => number.to_string(),
        Field::Str(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let row =
        |row: parquet::record::Row| row.get_column_iter().map(|(name, field)| (name.clone(), text(field))).collect();
    reader.get_row_iter(None).unwrap().map(|found| row(found.unwrap())).collect()
}

/// Waits until a file has this many lines.
fn wait_for_lines(path: &Path, count: usize) {
    while fs::read(path).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count()) < count {
        std::thread::yield_now();
    }
}

/// The cases of [`GOOD`] with a pipe in the place of the image of case `c`, which therefore never ends, and the finished
/// table of the same cases with a file in that place.
fn with_endless_case() -> (TempDir, Vec<u8>) {
    let folder = with_cases(&GOOD.replace("c,labels.nii.gz", "c,third.nii.gz"));
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(at("labels.nii.gz"), at("third.nii.gz")).unwrap();
    succeed(&["radiomics", &at("cases.csv"), "--settings", &at("few.yaml"), "-o", &at("whole.csv")]);
    fs::remove_file(at("third.nii.gz")).unwrap();
    assert!(Command::new("mkfifo").arg(at("third.nii.gz")).status().unwrap().success());
    let whole = fs::read(at("whole.csv")).unwrap();
    (folder, whole)
}

/// Kills a run once its journal holds what makes the table, the names of its columns, and the four cases that end.
fn kill_at_the_endless_case(arguments: &[&str], journal: &Path) {
    let mut child = command().args(arguments).stderr(Stdio::null()).spawn().unwrap();
    wait_for_lines(journal, 6);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Puts the file in the place of the pipe.
fn mend(folder: &Path) {
    fs::remove_file(folder.join("third.nii.gz")).unwrap();
    fs::copy(folder.join("labels.nii.gz"), folder.join("third.nii.gz")).unwrap();
}

#[test]
fn a_killed_run_is_continued_to_the_same_table() {
    let (folder, whole) = with_endless_case();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cases, few, out) = (at("cases.csv"), at("few.yaml"), at("out.csv"));
    let arguments = ["radiomics", &cases, "--settings", &few, "--jobs", "2", "-o", &out];
    kill_at_the_endless_case(&arguments, at("out.csv.journal").as_ref());
    assert_eq!(lines(at("out.csv.part").as_ref()).len(), 2, "cases a and b; d and e wait behind c");
    assert!(!folder.path().join("out.csv").exists());
    let journal = fs::read(at("out.csv.journal")).unwrap();
    fs::write(at("out.csv.journal"), [&journal[..], b"{\"case\":[2,{\"inp"].concat()).unwrap();
    mend(folder.path());
    let told = refused(&arguments);
    assert!(told.contains("an interrupted run left") && told.contains("--resume"), "{told}");
    let told = refused(&[&arguments[..], &["--set", "binWidth=12", "--resume"]].concat());
    assert!(told.starts_with("cannot continue: the setting binWidth changed from 10.0 to 12.0"), "{told}");
    let output = isoscan(&[&arguments[..], &["--resume"]].concat());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("4 of 5 cases are done"), "{told}");
    assert_eq!(fs::read(out).unwrap(), whole);
}

#[test]
fn inputs_that_changed_are_not_continued() {
    let (folder, _) = with_endless_case();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cases, few, out) = (at("cases.csv"), at("few.yaml"), at("out.csv"));
    let arguments = ["radiomics", &cases, "--settings", &few, "--jobs", "2", "-o", &out];
    kill_at_the_endless_case(&arguments, at("out.csv.journal").as_ref());
    mend(folder.path());
    fs::copy(at("far.nii.gz"), at("labels.nii.gz")).unwrap();
    let told = refused(&[&arguments[..], &["--resume"]].concat());
    assert!(told.starts_with("cannot continue: an input changed since its case was done:"), "{told}");
    fs::write(&cases, GOOD).unwrap();
    let told = refused(&[&arguments[..], &["--resume"]].concat());
    assert!(told.starts_with("cannot continue: the cases changed from 5"), "{told}");
}

#[test]
fn an_interrupt_ends_the_run_behind_the_case_in_work() {
    let (folder, whole) = with_endless_case();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (cases, few, out) = (at("cases.csv"), at("few.yaml"), at("out.csv"));
    let arguments = ["radiomics", &cases, "--settings", &few, "--jobs", "1", "-o", &out];
    let mut child = command().args(arguments).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_lines(at("out.csv.journal").as_ref(), 4);
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    // A writer that says nothing ends the case in work, as a damaged image.
    while child.try_wait().unwrap().is_none() {
        drop(fs::OpenOptions::new().read(true).write(true).open(at("third.nii.gz")).unwrap());
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    assert!(told.contains("stopped: 2 of 5 cases are done") || told.contains("stopped: 3 of 5"), "{told}");
    mend(folder.path());
    succeed(&[&arguments[..], &["--resume"]].concat());
    assert_eq!(fs::read(out).unwrap(), whole, "a case that failed is tried again");
}

#[test]
fn the_ibsi_mode_names_its_features_by_the_tags_of_the_standard() {
    let folder = with_cases(GOOD);
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("ibsi.yaml"), "discretisation: {fixed_bin_number: 8}\n").unwrap();
    let (image, labels) = (at("image.nii.gz"), at("labels.nii.gz"));
    let few = at("few.yaml");
    succeed(&["radiomics", &image, &labels, "--settings", &few, "-o", &at("pyradiomics.csv")]);
    let mode = ["--mode", "ibsi", "--settings", &at("ibsi.yaml"), "-o", &at("ibsi.csv")];
    succeed(&[&["radiomics", &image, &labels][..], &mode].concat());
    let (one, other) = (lines(at("pyradiomics.csv").as_ref()), lines(at("ibsi.csv").as_ref()));
    let number = |line: &Line, name: &str| line[name].parse::<f64>().unwrap();
    let mean = number(&one[0], "original_firstorder_Mean");
    assert!((number(&other[0], "stat_mean") - mean).abs() < 1e-9 * mean.abs());
    assert!(other[0].contains_key("cm_joint_max_3D_avg"));
    let made: serde_json::Value = serde_json::from_slice(&fs::read(at("ibsi.provenance.json")).unwrap()).unwrap();
    assert_eq!(made["mode"], "IBSI");
}

#[test]
fn images_and_masks_of_a_folder_are_paired_by_name() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    write_images(&data.join("north"));
    fs::rename(data.join("north/image.nii.gz"), data.join("north/p1_image.nii.gz")).unwrap();
    fs::rename(data.join("north/labels.nii.gz"), data.join("north/p1_label.nii.gz")).unwrap();
    write_images(&data.join("p2"));
    fs::rename(data.join("p2/labels.nii.gz"), data.join("p2/mask.nii.gz")).unwrap();
    let out = folder.path().join("out.csv");
    succeed(&["radiomics", data.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    let rows = lines(&out);
    assert_eq!(column(&rows, "ID"), ["north/p1", "p2"]);
    assert_eq!(column(&rows, "Mask"), ["north/p1_label.nii.gz", "p2/mask.nii.gz"]);
    assert_eq!(column(&rows, "original_shape_VoxelVolume"), ["48.0", "48.0"]);
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let told = refused(&["radiomics", empty.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    assert!(told.starts_with("no image with a mask:"), "{told}");
}

#[test]
fn masks_of_a_bids_dataset_lie_in_its_derivatives() {
    let folder = TempDir::new().unwrap();
    let images = folder.path().join("images");
    write_images(&images);
    let data = folder.path().join("data");
    let put = |from: &str, to: &str| {
        let path = data.join(to);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(images.join(from), path).unwrap();
    };
    for subject in ["sub-01", "sub-02"] {
        put("image.nii.gz", &format!("{subject}/anat/{subject}_T1w.nii.gz"));
        put("image.nii.gz", &format!("{subject}/anat/{subject}_FLAIR.nii.gz"));
        put("labels.nii.gz", &format!("derivatives/reader/{subject}/anat/{subject}_space-T1w_dseg.nii.gz"));
    }
    let description = r#"{"Name": "two", "BIDSVersion": "1.10.0"}"#;
    fs::write(data.join("dataset_description.json"), description).unwrap();
    let out = folder.path().join("out.csv");
    let arguments = ["radiomics", data.to_str().unwrap(), "--all-labels", "-o", out.to_str().unwrap()];
    succeed(&[&arguments[..], &["--select", "suffix=T1w"]].concat());
    let rows = lines(&out);
    assert_eq!(column(&rows, "sub"), ["01", "01", "02", "02"]);
    assert_eq!(column(&rows, "original_shape_VoxelVolume"), ["48.0", "54.0", "48.0", "54.0"]);
    succeed(&arguments);
    assert_eq!(lines(&out).len(), 8, "a mask belongs to every image of its subject");
}

#[test]
fn regions_of_a_dicom_study_are_measured_on_the_series_they_refer_to() {
    let folder = TempDir::new().unwrap();
    write_images(folder.path());
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(at("study")).unwrap();
    succeed(&["convert", &at("image.nii.gz"), &at("study/mr")]);
    let text = "let image = read(\"study/mr\");\nlet labels = read(\"labels.nii.gz\");\n\
                labels.region(1).write_seg(\"seg.dcm\", image, \"lesion\");\n";
    let script = script(folder.path(), text);
    let run = ["run", script.to_str().unwrap(), "--read", &at("."), "--out", &at("out")];
    let done = command().args(run).current_dir(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::rename(at("out/seg.dcm"), at("study/seg.dcm")).unwrap();
    contours::write(at("study/mr").as_ref(), at("study/rt.dcm").as_ref());
    let table = at("table.csv");
    let few = at("few.yaml");
    fs::write(&few, FEW).unwrap();
    succeed(&["radiomics", &at("study"), "--settings", &few, "-o", &table]);
    let rows = lines(table.as_ref());
    assert_eq!(column(&rows, "Mask"), ["rt.dcm", "rt.dcm", "seg.dcm"]);
    assert_eq!(column(&rows, "ROI"), ["lesion", "node", "lesion"]);
    assert_eq!(column(&rows, "original_shape_VoxelVolume"), ["48.0", "54.0", "48.0"]);
    let means = column(&rows, "original_firstorder_Mean");
    assert_eq!(means[0], means[2]);
    let pair = ["radiomics", &at("study/mr"), &at("study/rt.dcm"), "--settings", &few, "-o", &table];
    let told = refused(&pair);
    assert!(told.starts_with("expected one region in the mask, found 1 \"lesion\", 2 \"node\":"), "{told}");
    succeed(&[&pair[..], &["--roi", "node"]].concat());
    assert_eq!(column(&lines(table.as_ref()), "original_firstorder_Mean"), [means[1]]);
}

#[test]
fn maps_are_written_for_every_feature() {
    let folder = with_cases(GOOD);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let pair = ["radiomics", &at("image.nii.gz"), &at("labels.nii.gz"), "--settings", &at("few.yaml")];
    succeed(&[&pair[..], &["-o", &at("out.csv"), "--maps", &at("maps"), "--map-format", "nrrd"]].concat());
    let map = isoscan_io::read(at("maps/original_firstorder_Mean.nrrd").as_ref()).unwrap().volume;
    assert_eq!(map.geometry().size(), [6, 5, 4], "the region's box and a voxel around it");
    // The mean of the region's voxels around the corner (2, 3, 1): 2, 3 by 3, 4 by 1, 2.
    let texture = |x: usize, y: usize, z: usize| ((x * x * 7 + y * 31 + z * z * 13 + x * y * z) % 211) as f32;
    let corner =
        [2, 3].map(|x| [3, 4].map(|y| [1, 2].map(|z| texture(x, y, z)).iter().sum::<f32>()).iter().sum::<f32>());
    assert!((map.voxels()[[1, 1, 1]] - corner.iter().sum::<f32>() / 8.0).abs() < 1e-4);
    assert!(fs::exists(at("maps/original_firstorder_Range.nrrd")).unwrap());
    succeed(&[
        "radiomics",
        &at("cases.csv"),
        "--settings",
        &at("few.yaml"),
        "-o",
        &at("out.csv"),
        "--maps",
        &at("all"),
    ]);
    assert!(fs::exists(at("all/0002_b/original_firstorder_Mean.nii.gz")).unwrap());
}

#[test]
fn stability_is_measured_over_perturbations() {
    let folder = with_cases("Image,Mask,Label\nimage.nii.gz,labels.nii.gz,1\nimage.nii.gz,labels.nii.gz,2\n");
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::write(at("chain.yaml"), "angles_deg: [0, 5]\nbin_width_factors: [1, 2]\n").unwrap();
    let (cases, few, chain, out) = (at("cases.csv"), at("few.yaml"), at("chain.yaml"), at("out.csv"));
    let told = succeed(&["radiomics", &cases, "--settings", &few, "--perturb", &chain, "-o", &out]);
    assert!(told.contains("of 3 features are robust"), "{told}");
    let rows = lines(out.as_ref());
    let names = ["none", "bin width x 2", "rotation 5 deg", "rotation 5 deg, bin width x 2"];
    assert_eq!(column(&rows, "Perturbation"), [names, names].concat());
    let stable = lines(at("out.stability.csv").as_ref());
    assert_eq!(column(&stable, "Feature").len(), 3);
    assert_eq!((column(&stable, "Regions"), column(&stable, "Perturbations")), (vec!["2"; 3], vec!["4"; 3]));
    fs::write(at("chain.yaml"), "angels_deg: [0, 5]\n").unwrap();
    let told = refused(&["radiomics", &cases, "--perturb", &chain, "-o", &out]);
    assert!(told.starts_with("unknown field `angels_deg`, expected one of `angles_deg`"), "{told}");
}

#[test]
fn pyradiomics_values_of_a_public_case_come_from_its_files() {
    let Some(data) = shared("reference/radiomics/data/pyradiomics") else { return };
    let Some(values) = shared("reference/radiomics/values/brain1__s01_default.json") else { return };
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out.csv");
    let (image, label) = (data.join("brain1_image.nrrd"), data.join("brain1_label.nrrd"));
    succeed(&["radiomics", image.to_str().unwrap(), label.to_str().unwrap(), "-o", out.to_str().unwrap()]);
    let row = &lines(&out)[0];
    let expected: serde_json::Value = serde_json::from_slice(&fs::read(values).unwrap()).unwrap();
    let expected = expected["features"].as_object().unwrap();
    assert!(expected.len() > 100);
    for (name, value) in expected {
        let value: f64 = value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap();
        let found: f64 = row[name].parse().unwrap();
        assert!((found - value).abs() <= 1e-9 * value.abs() + 1e-12, "{name}: {found} {value}");
    }
}

/// A structure set as a planning system writes it.
mod contours {
    use std::path::Path;

    use dicom_core::{DataElement, PrimitiveValue, Tag, VR, value::DataSetSequence};
    use dicom_dictionary_std::{tags, uids};
    use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

    use super::inside;

    fn of(values: &[(Tag, VR, &str)], items: Vec<(Tag, Vec<InMemDicomObject>)>) -> InMemDicomObject {
        let mut object = InMemDicomObject::new_empty();
        for (tag, vr, value) in values {
            object.put(DataElement::new(*tag, *vr, PrimitiveValue::from(*value)));
        }
        for (tag, items) in items {
            object.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
        }
        object
    }

    /// Draws the regions 1 and 2 on a series as rectangles, half a voxel around the voxel centres.
    pub(super) fn write(series: &Path, path: &Path) {
        let image = isoscan_io::read(series).unwrap();
        let frame = image.source.frame_of_reference().unwrap();
        let uid = isoscan_io::list(series).unwrap().remove(0).id;
        let world_from_voxel = image.volume.geometry().world_from_voxel();
        let drawn = |label: usize| {
            let there = |axis: usize| {
                let voxels = (0..12 * 10 * 8).map(|n| [n % 12, n / 12 % 10, n / 120]);
                let along = voxels.filter(|[x, y, z]| inside(label, *x, *y, *z)).map(move |voxel| voxel[axis]);
                (along.clone().min().unwrap(), along.max().unwrap())
            };
            let ((x0, x1), (y0, y1), (z0, z1)) = (there(0), there(1), there(2));
            let (left, right) = (x0 as f64 - 0.5, x1 as f64 + 0.5);
            let (front, back) = (y0 as f64 - 0.5, y1 as f64 + 0.5);
            let rectangle = |z: usize| {
                let corners = [[left, front], [right, front], [right, back], [left, back]];
                let points = corners.map(|[x, y]| world_from_voxel.apply([x, y, z as f64]));
                let numbers: Vec<String> = points.iter().flatten().map(|mm| format!("{mm:.4}")).collect();
                let data = numbers.join("\\");
                let kind = (tags::CONTOUR_GEOMETRIC_TYPE, VR::CS, "CLOSED_PLANAR");
                let count = (tags::NUMBER_OF_CONTOUR_POINTS, VR::IS, "4");
                of(&[kind, count, (tags::CONTOUR_DATA, VR::DS, &data)], vec![])
            };
            let number = label.to_string();
            let own = (tags::REFERENCED_ROI_NUMBER, VR::IS, number.as_str());
            of(&[own], vec![(tags::CONTOUR_SEQUENCE, (z0..=z1).map(rectangle).collect())])
        };
        let named = |number: &str, name: &str| {
            let frame = (tags::REFERENCED_FRAME_OF_REFERENCE_UID, VR::UI, frame.as_str());
            of(&[(tags::ROI_NUMBER, VR::IS, number), frame, (tags::ROI_NAME, VR::LO, name)], vec![])
        };
        let series = of(&[(tags::SERIES_INSTANCE_UID, VR::UI, &uid)], vec![]);
        let study = of(&[], vec![(tags::RT_REFERENCED_SERIES_SEQUENCE, vec![series])]);
        let frames = of(
            &[(tags::FRAME_OF_REFERENCE_UID, VR::UI, &frame)],
            vec![(tags::RT_REFERENCED_STUDY_SEQUENCE, vec![study])],
        );
        let set = of(
            &[
                (tags::MODALITY, VR::CS, "RTSTRUCT"),
                (tags::SOP_CLASS_UID, VR::UI, uids::RT_STRUCTURE_SET_STORAGE),
                (tags::SOP_INSTANCE_UID, VR::UI, "1.2.3"),
            ],
            vec![
                (tags::REFERENCED_FRAME_OF_REFERENCE_SEQUENCE, vec![frames]),
                (tags::STRUCTURE_SET_ROI_SEQUENCE, vec![named("1", "lesion"), named("2", "node")]),
                (tags::ROI_CONTOUR_SEQUENCE, vec![drawn(1), drawn(2)]),
            ],
        );
        let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
        set.with_meta(meta).unwrap().write_to_file(path).unwrap();
    }
}

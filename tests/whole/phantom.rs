//! Phantoms of every kind as their users make them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::fixture::{contents, refused, script, succeed};

/// Every kind with a small grid: pixels, their side and the scanned length, mm.
const KINDS: &[(&str, [&str; 3])] = &[
    ("abdomen", ["64", "5", "10"]),
    ("brain", ["64", "3.4", "12"]),
    ("brain-pet", ["64", "3.4", "12"]),
    ("head-ct", ["64", "3.4", "10"]),
    ("vessels", ["64", "2.4", "12"]),
    ("chest", ["64", "6", "9"]),
    ("radiograph", ["96", "4", "10"]),
];

/// Makes phantoms in a new folder below `folder`.
fn made(folder: &TempDir, name: &str, kind: &str, more: &[&str]) -> PathBuf {
    let out = folder.path().join(name);
    let (_, [pixels, pixel_mm, length_mm]) = KINDS.iter().find(|(known, _)| *known == kind).unwrap();
    let size = ["--pixels", pixels, "--pixel-mm", pixel_mm, "--length-mm", length_mm];
    succeed(&[&["phantom", kind, "--out", out.to_str().unwrap()][..], &size, more].concat());
    out
}

/// The table of truth: by row, from column to cell.
fn truth(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(folder.join("truth.csv")).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| columns.iter().zip(line.split(',')).map(|(c, v)| ((*c).to_owned(), v.to_owned())).collect();
    lines.map(row).collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap()
}

/// Volume of a label per millimetre of scanned length.
fn section_mm2(labels: &Path, label: f32) -> f64 {
    let volume = isoscan_io::read(labels).unwrap().volume;
    let [x, y, _] = volume.geometry().spacing_mm();
    let count = volume.as_slice().iter().filter(|found| **found == label).count();
    count as f64 * x * y / volume.geometry().size()[2] as f64
}

#[test]
fn every_kind_is_written_as_dicom_that_passes_the_check() {
    let folder = TempDir::new().unwrap();
    for (kind, _) in KINDS {
        let out = made(&folder, kind, kind, &["--format", "dicom", "--seed", "5"]);
        let told = succeed(&["check-dicom", out.to_str().unwrap()]);
        assert!(!told.contains("error"), "{kind}: {told}");
        let subject = out.join("sub-000");
        let series: Vec<PathBuf> =
            fs::read_dir(&subject).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
        assert!(!series.is_empty(), "{kind}");
        for series in &series {
            let read = isoscan_io::read(series).unwrap();
            assert!(read.warnings.is_empty(), "{kind}: {:?}", read.warnings);
            let (low, high) =
                read.volume.as_slice().iter().fold((f32::MAX, f32::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
            assert!(high > low, "{kind}: {} is flat", series.display());
        }
        assert!(subject.join("labels.nii.gz").is_file(), "{kind}");
        assert_eq!(truth(&out).len(), 1, "{kind}");
        standard_checker_agrees(kind, &series);
    }
}

/// Asks `dciodvfy`, where it is installed, for errors. Its dictionary is older than Synthetic Data.
fn standard_checker_agrees(kind: &str, series: &[PathBuf]) {
    for series in series {
        let Ok(done) = Command::new("dciodvfy").arg(series.join("00001.dcm")).output() else {
            println!("skipped: no dciodvfy");
            return;
        };
        let told = String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
        let errors: Vec<&str> =
            told.lines().filter(|line| line.starts_with("Error") && !line.contains("0x0008,0x001c")).collect();
        assert_eq!(errors, Vec::<&str>::new(), "{kind}: {}", series.display());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let folder = TempDir::new().unwrap();
    for (kind, protocols) in [("brain", "a30-t1ge,a-pet"), ("vessels", "tof-3t,cta-neck")] {
        let run = |name: &str, seed: &str| {
            contents(&made(&folder, &format!("{kind}-{name}"), kind, &["--seed", seed, "--protocols", protocols]))
        };
        let first = run("first", "8");
        assert_eq!(first, run("again", "8"), "{kind}");
        let other = run("other", "9");
        assert_eq!(first.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>(), "{kind}");
        let labels = Path::new("sub-000/labels.nii.gz");
        assert_ne!(first[labels], other[labels], "{kind}");
    }
}

#[test]
fn contrasts_of_one_head_share_their_place_and_their_labels() {
    let folder = TempDir::new().unwrap();
    let protocols = "a30-t1ge,b15-flair,a-pet,h-a-bone";
    let more = ["--protocols", protocols, "--subjects", "2", "--condition", "tumours=1", "--seed", "3"];
    let out = made(&folder, "heads", "brain", &more);
    let rows = truth(&out);
    assert_eq!(rows.len(), 2);
    for (n, row) in rows.iter().enumerate() {
        assert_eq!((row["subject"].as_str(), row["tumour_count"].as_str()), (&*format!("sub-{n:03}"), "1"));
        let subject = out.join(format!("sub-{n:03}"));
        for stem in protocols.split(',') {
            assert!(subject.join(format!("{stem}.nii.gz")).is_file(), "{stem}");
        }
        assert!(subject.join("regions.nii.gz").is_file());
    }
    let names = fs::read_to_string(out.join("dseg.tsv")).unwrap();
    let white: f32 = names
        .lines()
        .find(|line| line.ends_with("\twhite-matter"))
        .unwrap()
        .split('\t')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let subject = out.join("sub-000");
    let fine = section_mm2(&subject.join("labels.nii.gz"), white);
    let thick = section_mm2(&subject.join("labels-b15-flair.nii.gz"), white);
    assert!((fine / thick - 1.0).abs() < 0.15, "{fine} and {thick} mm²");
    assert!(out.join("template.nii.gz").is_file());
}

#[test]
fn labels_have_the_volumes_of_the_truth() {
    let folder = TempDir::new().unwrap();
    let out = made(&folder, "abdomen", "abdomen", &["--source", "a-sharp", "--reference", "a-soft", "--seed", "2"]);
    // The truth reaches two millimetres beyond the scan at either end.
    for (label, column) in [(2.0, "liver_mm3"), (5.0, "fat_mm3"), (7.0, "spine_mm3")] {
        let expected = number(&truth(&out)[0], column) / 14.0;
        let found = section_mm2(&out.join("sub-000/labels.nii.gz"), label);
        assert!((found / expected - 1.0).abs() < 0.1, "{column}: {found} for {expected} mm²");
    }
}

#[test]
fn arteries_of_a_neck_fill_with_contrast_medium_and_keep_their_truth() {
    let folder = TempDir::new().unwrap();
    let out = made(&folder, "neck", "vessels", &["--protocols", "ncct-neck,cta-neck", "--seed", "4"]);
    let subject = out.join("sub-000");
    let read = |name: &str| isoscan_io::read(&subject.join(name)).unwrap().volume;
    let (plain, contrast, labels) = (read("ncct-neck.nii.gz"), read("cta-neck.nii.gz"), read("labels.nii.gz"));
    let mean = |image: &isoscan_imaging::Volume| {
        let inside: Vec<f32> = image
            .as_slice()
            .iter()
            .zip(labels.as_slice())
            .filter(|(_, label)| **label == 7.0)
            .map(|(v, _)| *v)
            .collect();
        inside.iter().sum::<f32>() / inside.len() as f32
    };
    assert!(mean(&contrast) > mean(&plain) + 100.0, "{} and {} HU", mean(&contrast), mean(&plain));
    let trees: serde_json::Value = serde_json::from_slice(&fs::read(subject.join("arteries.json")).unwrap()).unwrap();
    let row = &truth(&out)[0];
    let neck = trees.as_array().unwrap().iter().find(|tree| tree["territory"] == "neck").unwrap();
    assert_eq!(neck["vessels"].as_array().unwrap().len() as f64, number(row, "neck_arteries"));
    assert_eq!(neck["stenoses"].as_array().unwrap().len() as f64, number(row, "neck_stenoses"));
    let points = neck["vessels"][0]["points_mm"].as_array().unwrap().len();
    assert_eq!(points, neck["vessels"][0]["radii_mm"].as_array().unwrap().len());
}

#[test]
fn a_travelling_subject_lies_otherwise_in_every_session() {
    let folder = TempDir::new().unwrap();
    let out = made(&folder, "travel", "abdomen", &["--scanners", "a-soft,a-sharp", "--sessions", "2", "--seed", "6"]);
    assert!(out.join("dataset_description.json").is_file());
    let rows = truth(&out);
    let sessions: Vec<&str> = rows.iter().map(|row| row["session"].as_str()).collect();
    assert_eq!(sessions, ["asoft01", "asoft02", "asharp01", "asharp02"]);
    assert!(rows.iter().all(|row| row["subject"] == "sub-000"));
    let place = |session: &str, scanner: &str, what: &str| {
        let name = format!("sub-000_ses-{session}_acq-{scanner}_{what}.nii.gz");
        isoscan_io::read(&out.join("sub-000").join(format!("ses-{session}")).join("ct").join(name)).unwrap().volume
    };
    let [first, second] = ["asoft01", "asoft02"].map(|session| place(session, "asoft", "ct"));
    assert_eq!(first.geometry(), second.geometry());
    assert_ne!(first.as_slice(), second.as_slice());
    assert_ne!(place("asoft01", "asoft", "dseg"), place("asoft02", "asoft", "dseg"));
    let text = format!("let scans = cohort({:?});\nprint(scans.count);\n", out.to_str().unwrap());
    let (script, report) = (script(folder.path(), &text), folder.path().join("report"));
    let reading = ["run", script.to_str().unwrap(), "--out", report.to_str().unwrap(), "--read", out.to_str().unwrap()];
    assert_eq!(succeed(&reading).trim(), "4");
}

#[test]
fn phases_of_an_abdomen_and_parts_of_a_radiograph_are_views_of_one_subject() {
    let folder = TempDir::new().unwrap();
    let read = |path: PathBuf| isoscan_io::read(&path).unwrap().volume;
    let phases = ["--source", "a-soft:non-contrast", "--reference", "a-soft", "--seed", "2"];
    let subject = made(&folder, "phases", "abdomen", &phases).join("sub-000");
    let [plain, venous, labels] =
        ["source", "reference", "labels"].map(|name| read(subject.join(format!("{name}.nii.gz"))));
    let aorta = |image: &isoscan_imaging::Volume| {
        let inside = image.as_slice().iter().zip(labels.as_slice()).filter(|(_, label)| **label == 9.0);
        let (sum, count) = inside.fold((0.0, 0.0), |(sum, count), (hu, _)| (sum + f64::from(*hu), count + 1.0));
        sum / count
    };
    assert!(aorta(&venous) > aorta(&plain) + 40.0, "{} and {} HU", aorta(&venous), aorta(&plain));
    let parts = ["--protocols", "dx-b:standard,dx-b:soft,dx-b:bone,dx-b", "--condition", "heart-failure"];
    let subject = made(&folder, "parts", "radiograph", &parts).join("sub-000");
    let [standard, soft, bone] =
        ["standard", "soft", "bone"].map(|view| read(subject.join(format!("dx-b-{view}.nii.gz"))));
    let mean = |image: &isoscan_imaging::Volume| {
        image.as_slice().iter().map(|v| f64::from(*v)).sum::<f64>() / image.as_slice().len() as f64
    };
    let (whole, apart) = (mean(&standard), mean(&soft) + mean(&bone));
    assert!((whole - apart).abs() < 0.01, "{whole} for {apart}");
    assert!(subject.join("dx-b.nii.gz").is_file() && subject.join("ribs.nii.gz").is_file());
}

#[test]
fn words_that_name_nothing_are_refused_before_anything_is_drawn() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("none");
    let told = |more: &[&str]| refused(&[&["phantom", "--out", out.to_str().unwrap()][..], more].concat());
    assert!(told(&["knee"]).starts_with("no kind of phantom knee: expected one of abdomen,"));
    assert!(told(&["brain", "--protocol", "a-soft"]).starts_with("no protocol a-soft: expected one of a15-"));
    assert!(
        told(&["vessels", "--protocols", "tof-3t,tof-9t"]).starts_with("no protocol tof-9t: expected one of tof-3t")
    );
    assert!(told(&["brain", "--condition", "flu"]).starts_with("no condition of a head flu"));
    assert!(told(&["--protocol", "a-soft:late"]).starts_with("no view late: expected one of non-contrast"));
    assert!(
        told(&["chest", "--condition", "flu"]).starts_with("no condition flu: expected one of interstitial-disease")
    );
    assert!(told(&["--protocols", "a-soft,a-soft"]).contains("protocol a-soft is asked for twice"));
    assert!(!out.exists());
}

#[test]
fn every_kind_is_listed_with_its_protocols() {
    let all = succeed(&["phantom", "--list"]);
    for (kind, _) in KINDS {
        assert!(all.contains(&format!("{kind}: ")), "{kind}");
        let own = succeed(&["phantom", kind, "--list"]);
        assert!(all.contains(&own), "{kind}");
        assert!(own.lines().count() >= 4, "{kind}: {own}");
    }
}

#[test]
fn a_script_draws_a_subject_with_images_labels_and_truth() {
    let folder = TempDir::new().unwrap();
    let text = r#"
let small = #{condition: "tumours=1", pixels: 64, pixel_mm: 3.4, length_mm: 9};
let made = phantom("brain", 2, ["a30-t2", "a-pet"], small);
print(made.images.len());
print(made.images["a-pet"].unit);
print(made.image.size);
print(made.labels.size);
print(made.maps["a-pet"].regions.unit);
print(made.truth.tumour_count);
print(made.truth.details.findings[0].kind);
print(made.names["white-matter"] > 0);
small.session = 1;
let moved = phantom("brain", 2, "a30-t2", small);
print(moved.truth.details.pose.translation_mm[0] != 0.0);
try { phantom("brain", 2, "z-none"); } catch (e) { print(e.message.sub_string(0, 18)); }
try { phantom("brain", 2, "a30-t2", #{colour: 1}); } catch (e) { print(e.message.sub_string(0, 24)); }
"#;
    let (script, out) = (script(folder.path(), text), folder.path().join("out"));
    let told = succeed(&["run", script.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..2], ["2", "SUV"]);
    assert_eq!(lines[2], lines[3]);
    assert_eq!(lines[4..9], ["label", "1.0", "tumour", "true", "true"]);
    assert_eq!(lines[9], "no protocol z-none");
    assert!(lines[10].contains("option of phantom"), "{}", lines[10]);
}

#[test]
fn a_script_makes_the_image_of_a_coarser_scanner() {
    let folder = TempDir::new().unwrap();
    let text = r#"
let thin = phantom("abdomen", 0, "c-thin", #{pixels: 32, pixel_mm: 8, length_mm: 8}).image;
let thick = thin.thick_slices(2);
print(`${thick.size} ${thick.spacing} ${thick.unit}`);
print(thin.thick_slices(2, #{profile: "gaussian", thickness: 5.0, sigma: 3.0, seed: 4}).size);
print(thin.truncate_kspace([16, 8, 4]).spacing);
try { thin.thick_slices(3); } catch (e) { print(e.message); }
try { thin.thick_slices(2, #{profile: "square"}); } catch (e) { print(e.message); }
"#;
    let (script, out) = (script(folder.path(), text), folder.path().join("out"));
    let told = succeed(&["run", script.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[..3], ["[32, 32, 2] [8.0, 8.0, 4.0] HU", "[32, 32, 2]", "[16.0, 32.0, 2.0]"]);
    assert_eq!(lines[3], "factor must be a divisor of the number of slices, found 3");
    assert_eq!(lines[4], "profile must be one of rectangular, gaussian, found square");
}

//! Bad input: what is told, word for word.

use std::fs;

use tempfile::TempDir;

use crate::fixture::{cohort, plugins, refused, script, succeed};

/// Runs a script over the phantom cohort and gives what is told, without the picture of the script line.
fn script_refused(text: &str, more: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let path = script(folder.path(), text);
    let out = folder.path().join("out");
    let mut arguments = vec!["run", path.to_str().unwrap(), "--out", out.to_str().unwrap(), "--jobs", "1"];
    arguments.extend(["--plugins", plugins().to_str().unwrap(), "--read", cohort().to_str().unwrap()]);
    arguments.extend(more);
    let told = refused(&arguments);
    let (message, frame) = told.split_once(" ,-[").unwrap();
    let (_, remedy) = frame.split_once("`---- ").unwrap();
    format!("{message} {remedy}")
        .replace(&folder.path().display().to_string(), "FOLDER")
        .replace(&cohort().display().to_string(), "COHORT")
}

fn read(name: &str) -> String {
    format!("let image = read(\"{}\");", cohort().join(name).display())
}

#[test]
fn each_mistake_of_a_script_is_told_with_its_place_and_a_remedy() {
    let image = read("sub-000/source.nii.gz");
    let rows: Vec<(String, &[&str], &str)> = vec![
        (
            "let x = ;\n".to_owned(),
            &[],
            "Unexpected ';' help: the script was not started: nothing was read or written at FOLDER/script.rhai:1:9",
        ),
        (
            "loop { }\n".to_owned(),
            &[],
            "the script ran past its limit of operations help: look for a loop that does not end; voxels are worked on by verbs, not by loops at FOLDER/script.rhai:1:6",
        ),
        (
            "loop { }\n".to_owned(),
            &["--wall-time", "0"],
            "the script ran past its wall time help: raise it with --wall-time SECONDS at FOLDER/script.rhai:1:6",
        ),
        (
            image.clone(),
            &["--memory", "0"],
            "images held by the script exceed the memory budget: 1 MiB more on top of 0 of 0 MiB help: hold fewer images at once, lower --jobs, or raise --memory at FOLDER/script.rhai:1:13",
        ),
        (
            "let x = 1;\nlet y = raed(\"a\");\n".to_owned(),
            &[],
            "no such function: raed (text) help: check the name, the number and the types of its arguments at FOLDER/script.rhai:2:9",
        ),
        (
            "read(\"missing.nii\");\n".to_owned(),
            &[],
            "no such file or folder: missing.nii help: check the path; relative paths start at the folder where isoscan was started at FOLDER/script.rhai:1:1",
        ),
        (
            "read(\"/etc/hostname\");\n".to_owned(),
            &[],
            "not granted: /etc/hostname lies outside the folders that this run may touch help: grant the folder with --read DIR, or name it with --set at FOLDER/script.rhai:1:1",
        ),
        (
            format!("{image}\nimage.translate(\"histogram\");\n"),
            &[],
            "plugin histogram takes the inputs reference, found only the image help: give further images by name: `translate(plugin, #{}, #{ reference: image })`, or --input NAME=PATH at FOLDER/script.rhai:2:7",
        ),
        (
            format!("{image}\nimage.translate(\"identity\", #{{ strength: 2 }});\n"),
            &[],
            "plugin identity has no parameter 'strength': it has none help: see `isoscan plugins info PLUGIN` for its parameters at FOLDER/script.rhai:2:7",
        ),
        (
            format!("{image}\nimage.translate(\"cyclegun\");\n"),
            &[],
            "no plugin 'cyclegun': found faulty, histogram, identity, invert, learner help: see `isoscan plugins list`, or name a folder of bundles with --plugins at FOLDER/script.rhai:2:7",
        ),
        (
            "plugin(\"identity\", \"the newest\");\n".to_owned(),
            &[],
            "the version of a plugin must be a requirement such as \"=1.4\", \"^1.4.2\" or \"*\", found \"the newest\" (unexpected character 't' while parsing major version number) at FOLDER/script.rhai:1:1",
        ),
        (
            "let set = settings(#{ input: \"\" });\n".to_owned(),
            &["--set", "inptu=x"],
            "unknown setting 'inptu': the script declares input help: settings are declared in the script's settings(#{...}) at FOLDER/script.rhai:1:11",
        ),
    ];
    for (text, more, expected) in rows {
        assert_eq!(script_refused(&text, more), expected, "{text}");
    }
}

#[test]
fn each_bad_file_is_told_with_what_was_expected_and_found() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let scan = cohort().join("sub-000/source.nii.gz");
    let labels = cohort().join("sub-000/labels.nii.gz");
    let (scan, labels) = (scan.to_str().unwrap(), labels.to_str().unwrap());
    let bytes = fs::read(scan).unwrap();
    fs::write(at("truncated.nii.gz"), &bytes[..bytes.len() / 2]).unwrap();
    fs::write(at("text.nii"), "this is not an image").unwrap();
    fs::write(at("settings.json"), r#"{"setting": {"binWidht": 10}}"#).unwrap();
    let other = at("other");
    let size = ["--pixels", "64", "--pixel-mm", "5", "--length-mm", "10", "--out", &other];
    succeed(&[&["phantom", "--source", "a-sharp", "--reference", "a-soft"][..], &size].concat());
    let other = format!("{other}/sub-000/labels.nii.gz");
    let plugins = plugins().to_str().unwrap();
    let (out, csv, settings) = (at("out.nii.gz"), at("out.csv"), at("settings.json"));
    let (missing, truncated, text) = (at("missing.nii"), at("truncated.nii.gz"), at("text.nii"));
    let rows: Vec<(Vec<&str>, &str)> = vec![
        (
            vec!["info", &missing],
            "cannot open: No such file or directory (os error 2): FOLDER/missing.nii help: check the path",
        ),
        (
            vec!["convert", &truncated, &out],
            "damaged gzip stream: incomplete deflate stream: FOLDER/truncated.nii.gz help: the file is damaged: copy it again from its origin",
        ),
        (
            vec!["convert", &text, &out],
            "no image of a known format: FOLDER/text.nii help: isoscan reads DICOM, NIfTI, NRRD, MetaImage, and grey PNG and TIFF",
        ),
        (
            vec!["radiomics", scan, labels, "--label", "99", "-o", &csv],
            "no region of label 99 in the mask, found 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15: COHORT/sub-000/labels.nii.gz help: choose with --label N or --roi NAME, or all with --all-labels",
        ),
        (
            vec!["radiomics", scan, &other, "-o", &csv],
            "mask lies on another grid: expected 96x96x3 at 4.0000x4.0000x5.0000 mm from (-190.00, -190.00, -204.50), found 64x64x2 at 5.0000x5.0000x5.0000 mm from (-157.50, -157.50, -381.00); largest corner distance inf mm, tolerance 4.00e-6 mm help: bring the mask onto the image's grid with the setting correctMask or --resample-mask",
        ),
        (
            vec!["radiomics", scan, labels, "--settings", &settings, "-o", &csv],
            "unknown setting binWidht, did you mean binWidth; known: additionalInfo, binCount, binWidth, correctMask, distances, force2D, force2Ddimension, geometryTolerance, gldm_a, gradientUseSpacing, interpolator, label, label_channel, lbp2DMethod, lbp2DRadius, lbp2DSamples, lbp3DIcosphereRadius, lbp3DIcosphereSubdivision, lbp3DLevels, level, minimumROIDimensions, minimumROISize, normalize, normalizeScale, padDistance, preCrop, removeOutliers, resampledPixelSpacing, resegmentMode, resegmentRange, resegmentShape, sigma, start_level, symmetricalGLCM, voxelArrayShift, wavelet, weightingNorm, initValue, kernelRadius, maskedKernel, voxelBatch, storedType help: settings carry the names of PyRadiomics",
        ),
        (
            vec!["translate", "identity", scan, &out, "--set", "a=1", "--plugins", plugins],
            "plugin identity has no parameter 'a': it has none help: see `isoscan plugins info PLUGIN` for its parameters",
        ),
        (
            vec!["translate", "identity", scan, scan, "--plugins", plugins],
            "COHORT/sub-000/source.nii.gz exists help: name an output that does not exist yet",
        ),
        (
            vec!["translate", "invert", scan, &out, "--modality", "MR", "--plugins", plugins],
            "plugin invert takes modality CT for 'image', found MR help: choose a plugin for this modality with `isoscan plugins list`, or tell what the file does not with --modality",
        ),
    ];
    for (arguments, expected) in rows {
        let told = refused(&arguments).replace(&folder.path().display().to_string(), "FOLDER");
        assert_eq!(told.replace(&cohort().display().to_string(), "COHORT"), expected, "{arguments:?}");
    }
    assert!(!folder.path().join("out.nii.gz").exists() && !folder.path().join("out.csv").exists());
}

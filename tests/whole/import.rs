//! Networks of one's own: an exported file or a MONAI bundle becomes a plugin that keeps the contract.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use toml::Table;

use crate::fixture::{cohort, is_staged, refused, root, succeed};
use crate::vendor::text;

fn network(name: &str) -> PathBuf {
    root().join("plugins/onnx/tests/data").join(name)
}

/// A MONAI bundle around a network, its configurations edited.
fn monai(folder: &Path, edit: impl Fn(&mut Value, &mut Value)) -> PathBuf {
    let mut metadata = json!({
        "version": "0.2.1", "name": "Sharper spleens", "description": "Sharpens volumes", "data_source": "Phantoms",
        "network_data_format": {
            "inputs": {"image": {
                "type": "image", "format": "hounsfield", "modality": "CT", "num_channels": 1,
                "spatial_shape": [24, 20, 16], "channel_def": {"0": "image"}
            }},
            "outputs": {"pred": {"type": "image", "format": "image", "num_channels": 1, "spatial_shape": [24, 20, 16]}}
        }
    });
    let mut inference = json!({
        "imports": ["$import torch"],
        "device": "$torch.device('cpu')",
        "window": {"size": [24, 20, 16]},
        "low": -57,
        "preprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [1.5, 1.0, 2.0], "mode": "bilinear"},
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": "@low", "a_max": 164, "b_min": 0.0,
             "b_max": 1.0, "clip": true},
            {"_target_": "monai.transforms.NormalizeIntensityd", "keys": "image", "subtrahend": 0.5, "divisor": 0.25},
            {"_target_": "EnsureTyped", "keys": "image"}
        ]},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "@window#size", "sw_batch_size": 4, "overlap": 0.5},
        "postprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing"},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$@output_dir"}
        ]}
    });
    edit(&mut metadata, &mut inference);
    let bundle = folder.join("monai");
    let _ = fs::remove_dir_all(&bundle);
    for name in ["configs", "models"] {
        fs::create_dir_all(bundle.join(name)).unwrap();
    }
    for (name, value) in [("metadata.json", metadata), ("inference.json", inference)] {
        fs::write(bundle.join("configs").join(name), value.to_string()).unwrap();
    }
    fs::copy(network("volume.onnx"), bundle.join("models/model.onnx")).unwrap();
    bundle
}

#[test]
fn an_exported_network_becomes_a_plugin_that_keeps_the_contract() {
    if !is_staged("onnx") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let rows = [
        ("plane.onnx", "dims = '2d'\npatch = [64, 64, 1]\nbatch = 2", "[2, 1, 0]"),
        ("volume.onnx", "dims = '3d'", "[2, 2, 2]"),
        ("neighbours.onnx", "dims = '2.5d'\nslices = 3", "[1, 1, 1]"),
        ("strided.onnx", "dims = '2d'\nmultiple = [2, 2, 1]", "[4, 4, 0]"),
        ("instance.onnx", "dims = '2d'\nhalo = 'whole'", "[0, 0, 0]"),
    ];
    for (name, declared, halo) in rows {
        let declaration = folder.path().join("net.toml");
        fs::write(&declaration, format!("task = 'synthesis'\n[network]\n{declared}\n")).unwrap();
        let id = format!("org.site.{}", name.trim_end_matches(".onnx"));
        let file = network(name);
        let words = ["plugins", "import", text(&file), "--id", &id, "--declare", text(&declaration), "--out"];
        let told = succeed(&[&words[..], &[text(folder.path())]].concat());
        assert!(told.contains(&format!("margin x, y, z of a patch: {halo} voxels")), "{name}: {told}");
        let bundle = folder.path().join(format!("{id}-0.1.0"));
        let checked = succeed(&["plugins", "check", text(&bundle)]);
        assert!(checked.contains("golden-vectors") && checked.contains("patch-invariance"), "{checked}");
        let declared: Table = fs::read_to_string(bundle.join("plugin.toml")).unwrap().parse().unwrap();
        assert_eq!(declared["task"].as_str(), Some("synthesis"));
        assert!(declared["network"].get("halo").is_some());
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

/// Patches of any size put together give what the whole image gives: the margin is right.
#[test]
fn cut_and_whole_an_imported_network_gives_the_same_image() {
    if !is_staged("onnx") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let scan = format!("{}/sub-000/source.nii.gz", cohort().display());
    for (version, patch) in [("1.0.0", "[0, 0, 0]"), ("1.0.1", "[17, 13, 9]")] {
        fs::write(at("net.toml"), format!("[network]\ndims = '3d'\npatch = {patch}\n[network.output]\nunit = 'HU'\n"))
            .unwrap();
        let (file, declaration, out) = (network("volume.onnx"), at("net.toml"), at("."));
        let words = ["plugins", "import", text(&file), "--id", "cut", "--version", version, "--declare"];
        succeed(&[&words[..], &[text(&declaration), "--out", text(&out)]].concat());
        let (bundle, image) = (at(&format!("cut-{version}")), at(&format!("{version}.nii")));
        succeed(&["translate", text(&bundle), &scan, text(&image), "--allow-unsigned"]);
    }
    let [whole, cut] = ["1.0.0.nii", "1.0.1.nii"].map(|name| fs::read(at(name)).unwrap());
    assert_eq!(whole.len(), cut.len());
    let voxels = |bytes: &[u8]| -> Vec<f32> {
        bytes[352..].as_chunks::<4>().0.iter().map(|&word| f32::from_le_bytes(word)).collect()
    };
    let (whole, cut) = (voxels(&whole), voxels(&cut));
    let largest = whole.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
    assert!(largest > 1.0, "{largest}");
    for (a, b) in whole.iter().zip(&cut) {
        assert!((a - b).abs() <= 1e-5 * largest, "{a} {b}");
    }
}

#[test]
fn a_monai_bundle_brings_its_inference_settings() {
    if !is_staged("onnx") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let bundle = monai(folder.path(), |_, _| ());
    let told = succeed(&["plugins", "import", text(&bundle), "--id", "spleen", "--out", text(folder.path())]);
    assert!(told.contains("margin x, y, z of a patch: [6, 5, 4] voxels"), "{told}");
    let packed = folder.path().join("spleen-0.2.1");
    let checked = succeed(&["plugins", "check", text(&packed)]);
    assert!(checked.contains("PASS  patch-invariance"), "{checked}");
    let manifest: Table = fs::read_to_string(packed.join("plugin.toml")).unwrap().parse().unwrap();
    let network = &manifest["network"];
    let expected: Table = "
        dims = '3d'
        orientation = 'RAS'
        patch = [24, 20, 16]
        fixed = true
        halo = [6, 5, 4]
        batch = 4
        name = 'Sharper spleens'
        summary = 'Sharpens volumes'
        output = { unit = 'normalized' }
    "
    .parse()
    .unwrap();
    for (key, value) in &expected {
        assert_eq!(network.get(key), Some(value), "{key}");
    }
    let input = &network["inputs"][0];
    // -57..164 becomes 0..1, then (x - 0.5) / 0.25: 4 (x + 57) / 221 - 2.
    let number = |key: &str| input[key].as_float().unwrap();
    assert!((number("scale") - 4.0 / 221.0).abs() < 1e-12, "{input}");
    assert!((number("offset") - (4.0 * 57.0 / 221.0 - 2.0)).abs() < 1e-12, "{input}");
    let clip: Vec<f64> = input["clip"].as_array().unwrap().iter().filter_map(toml::Value::as_float).collect();
    assert!((clip[0] + 57.0).abs() < 1e-9 && (clip[1] - 164.0).abs() < 1e-9, "{clip:?}");
    assert_eq!(input["spacing_mm"], "x = [[1.5, 1.5], [1.0, 1.0], [2.0, 2.0]]".parse::<Table>().unwrap()["x"]);
    assert_eq!((input["modalities"][0].as_str(), input["units"][0].as_str()), (Some("CT"), Some("HU")));
    let card = fs::read_to_string(packed.join("CARD.md")).unwrap();
    assert!(card.contains("Sharpens volumes") && card.contains("Phantoms"), "{card}");
}

#[test]
fn what_a_monai_bundle_cannot_say_is_refused_by_name() {
    if !is_staged("onnx") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let transforms = |inference: &mut Value, extra: Value| {
        inference["preprocessing"]["transforms"].as_array_mut().unwrap().push(extra);
    };
    type Row = (Box<dyn Fn(&mut Value, &mut Value)>, &'static str);
    let rows: Vec<Row> = vec![
        (
            Box::new(move |_, i| transforms(i, json!({"_target_": "CropForegroundd", "keys": "image"}))),
            "the transform CropForegroundd cannot be expressed at all",
        ),
        (
            Box::new(move |_, i| transforms(i, json!({"_target_": "NormalizeIntensityd", "keys": "image"}))),
            "the transform NormalizeIntensityd cannot be expressed here: statistics can only be taken",
        ),
        (
            Box::new(|_, i| i["preprocessing"]["transforms"][4]["a_max"] = json!("$@low + 200")),
            "preprocessing::transforms::4::a_max: expected a value, found \"$@low + 200\"",
        ),
        (Box::new(|_, i| i["low"] = json!("@high")), "expected a reference to a value of this file, found \"@high\""),
        (Box::new(|_, i| i["low"] = json!("@low")), "expected references that end"),
        (
            Box::new(|_, i| i["inferer"]["_target_"] = json!("SliceInferer")),
            "expected SlidingWindowInferer or SimpleInferer, found \"SliceInferer\"",
        ),
        (
            Box::new(|_, i| {
                i["preprocessing"]["transforms"].as_array_mut().unwrap().drain(2..4);
            }),
            "does not say which way its images lie",
        ),
        (
            Box::new(|m, _| m["network_data_format"]["inputs"]["other"] = json!({})),
            "network_data_format::inputs: expected one image",
        ),
    ];
    for (edit, words) in rows {
        let bundle = monai(folder.path(), edit);
        let told = refused(&["plugins", "import", text(&bundle), "--id", "spleen", "--out", text(folder.path())]);
        assert!(told.contains(words), "{words}: {told}");
    }
    let bundle =
        monai(folder.path(), move |_, i| transforms(i, json!({"_target_": "CropForegroundd", "keys": "image"})));
    let words = ["plugins", "import", text(&bundle), "--id", "spleen", "--skip", "CropForegroundd", "--out"];
    assert!(succeed(&[&words[..], &[text(folder.path())]].concat()).contains("left out: CropForegroundd"));
    fs::remove_file(bundle.join("models/model.onnx")).unwrap();
    assert!(refused(&words[..7]).contains("expected models/model.ts in the MONAI bundle, found none"));
}

#[test]
fn what_is_no_network_or_has_no_declaration_is_refused() {
    if !is_staged("onnx") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("net.toml"), "[network]\ndims = '2d'\n").unwrap();
    fs::write(at("typo.toml"), "[network]\ndims = '2d'\nhallo = [1, 1, 0]\n").unwrap();
    fs::write(at("weights.safetensors"), "x").unwrap();
    fs::write(at("cut.onnx"), &fs::read(network("plane.onnx")).unwrap()[..100]).unwrap();
    let rows = [
        (at("weights.safetensors"), Some("net.toml"), "expected a network ending in .onnx, .pt, .ts or .pth"),
        (network("plane.onnx"), None, "expected --declare FILE"),
        (network("plane.onnx"), Some("typo.toml"), "unknown field `hallo`"),
        (network("unknown.onnx"), Some("net.toml"), "expected operators that tract knows, found Frobnicate"),
        (network("instance.onnx"), Some("net.toml"), "declare halo = \"whole\""),
        (at("cut.onnx"), Some("net.toml"), "the network's file cannot be read as ONNX"),
    ];
    for (file, declaration, words) in rows {
        let mut arguments =
            vec!["plugins".to_owned(), "import".into(), text(&file).into(), "--id".into(), "mine".into()];
        arguments.extend(declaration.map(|name| format!("--declare={}", at(name).display())));
        arguments.push(format!("--out={}", folder.path().display()));
        let told = refused(&arguments);
        assert!(told.contains(words), "{words}: {told}");
    }
}

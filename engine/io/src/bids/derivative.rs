use std::fs;
use std::path::{Path, PathBuf};

use isoscan_imaging::{Geometry, Volume};
use serde_json::{Map, Value, json};

use super::{BidsDataset, BidsImage, DESCRIPTION, object};
use crate::{Derivation, Error, Source, write_atomically, write_nifti};

/// Version of the standard that the names follow.
const VERSION: &str = "1.10.0";
/// Name under which `Sources` refer to the dataset that the images came from.
const LINK: &str = "source";
/// Metadata that describe the subject or the timing and so stay true of a translated image.
const KEPT: [&str; 7] =
    ["BodyPart", "PatientPosition", "RepetitionTime", "SliceTiming", "TaskName", "TracerName", "TracerRadionuclide"];

/// Writes an image derived from one of a dataset into the derivative dataset at `root`, which is made when it is not
/// there: the source's entities plus `desc-<style>` (and `res-` on another voxel size), the same suffix, a sidecar with
/// `Sources` as BIDS URIs and our keys under `Isoscan`, and `dataset_description.json` with `GeneratedBy`.
///
/// Letters and digits of `style` make the `desc` label. Each file appears whole; an image of the same name is replaced.
/// Gives the image's path.
///
/// # Errors
/// [`Error::Malformed`] when `style` has no letter or digit, or when `root` is a dataset that Isoscan did not make;
/// [`Error::Io`] when a file cannot be written; those of [`write_nifti`].
pub fn write_bids_derivative(
    root: &Path,
    dataset: &BidsDataset,
    image: &BidsImage,
    style: &str,
    volume: &Volume,
    source: &Source,
    made: &Derivation,
) -> Result<PathBuf, Error> {
    let desc: String = style.chars().filter(char::is_ascii_alphanumeric).collect();
    if desc.is_empty() {
        let (expected, found) = ("a style with letters or digits", style.to_owned());
        return Err(Error::Malformed { field: "desc", expected, found, path: root.to_owned() });
    }
    describe(root, dataset)?;
    let resampled = resampled(volume.geometry(), source);
    let name = name(image, &desc, resampled.as_deref());
    let folders = image.place.rsplit_once('/').map_or("", |(folders, _)| folders);
    let folder = root.join(folders);
    fs::create_dir_all(&folder).map_err(|source| Error::Io { action: "make folder", path: folder.clone(), source })?;
    let path = folder.join(format!("{name}.nii.gz"));
    write_nifti(&path, volume, Some(source), Some(made))?;
    let sidecar = sidecar(image, style, resampled.is_some().then_some(volume.geometry()), made);
    write_json(&folder.join(format!("{name}.json")), &sidecar)?;
    Ok(path)
}

/// The `res` label when the grid's spacing is not that of the source, such as `1x1x2p5`.
fn resampled(geometry: &Geometry, source: &Source) -> Option<String> {
    let before = match source {
        Source::Nifti(source) => source.geometry().spacing_mm(),
        Source::Dicom(source) => source.geometry().spacing_mm(),
        _ => return None,
    };
    let after = geometry.spacing_mm();
    let same = before.iter().zip(after).all(|(a, b)| (a - b).abs() <= 1e-4);
    let label = |mm: f64| format!("{}", (mm * 100.0).round() / 100.0).replace('.', "p");
    (!same).then(|| after.map(label).join("x"))
}

/// `desc` stands last and `res` before `den`, `label` and `desc`, as the standard orders them.
fn name(image: &BidsImage, desc: &str, res: Option<&str>) -> String {
    let mut entities: Vec<(String, String)> =
        image.entities.iter().filter(|(key, _)| key != "desc" && !(key == "res" && res.is_some())).cloned().collect();
    if let Some(res) = res {
        let place =
            entities.iter().position(|(key, _)| matches!(key.as_str(), "den" | "label")).unwrap_or(entities.len());
        entities.insert(place, ("res".to_owned(), res.to_owned()));
    }
    entities.push(("desc".to_owned(), desc.to_owned()));
    BidsImage { entities, ..image.clone() }.stem()
}

fn sidecar(image: &BidsImage, style: &str, resampled: Option<&Geometry>, made: &Derivation) -> Value {
    let kept = image.metadata.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let mut sidecar: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    sidecar.insert("Description".to_owned(), json!(made.description));
    sidecar.insert("Sources".to_owned(), json!([format!("bids:{LINK}:{}", image.place)]));
    sidecar.insert("SkullStripped".to_owned(), image.metadata.get("SkullStripped").cloned().unwrap_or(json!(false)));
    if let Some(geometry) = resampled {
        let [x, y, z] = geometry.spacing_mm();
        sidecar.insert("Resolution".to_owned(), json!(format!("voxels of {x} x {y} x {z} mm")));
    }
    let own = json!({
        "Synthetic": made.synthetic,
        "TargetStyle": style,
        "Plugin": {"Id": made.plugin_id, "Version": made.plugin_version, "Sha256": made.plugin_sha256},
        "WeightsSha256": made.weights_sha256,
        "Parameters": made.params,
        "Seed": made.seed,
        "ScriptSha256": made.script_sha256,
        "InputSha256": made.input_sha256,
        "EngineVersion": made.engine_version,
        "NotFor": "diagnosis",
    });
    sidecar.insert("Isoscan".to_owned(), own);
    Value::Object(sidecar)
}

/// Makes the derivative's description, or checks that it is ours.
fn describe(root: &Path, dataset: &BidsDataset) -> Result<(), Error> {
    let path = root.join(DESCRIPTION);
    if path.is_file() {
        let there = object(&path)?;
        let makers = there.get("GeneratedBy").and_then(Value::as_array).into_iter().flatten();
        let ours = makers.filter_map(|maker| maker.get("Name")?.as_str()).any(|name| name == "Isoscan");
        let expected = "an absent folder or a derivative that Isoscan made";
        let found = "another dataset".to_owned();
        return ours.then_some(()).ok_or(Error::Malformed { field: "GeneratedBy", expected, found, path });
    }
    fs::create_dir_all(root).map_err(|source| Error::Io { action: "make folder", path: root.to_owned(), source })?;
    let title = dataset.description.get("Name").and_then(Value::as_str).unwrap_or_default();
    let mut origin = Map::new();
    if let Some(doi) = dataset.description.get("DatasetDOI") {
        origin.insert("DOI".to_owned(), doi.clone());
    }
    let folder = dataset.root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    origin.insert("URL".to_owned(), json!(folder));
    let link = origin.get("DOI").cloned().unwrap_or_else(|| json!(folder));
    let description = json!({
        "Name": format!("{title}, translated"),
        "BIDSVersion": VERSION,
        "DatasetType": "derivative",
        "License": dataset.description.get("License").cloned().unwrap_or_else(|| json!("as the source dataset")),
        "GeneratedBy": [{
            "Name": "Isoscan",
            "Version": env!("CARGO_PKG_VERSION"),
            "Description": "Translates images with plugins; each sidecar names plugin, weights, parameters and seed under Isoscan.",
        }],
        "SourceDatasets": [origin],
        "DatasetLinks": {LINK: link},
    });
    let about = format!(
        "# {title}, translated\n\nImages derived from the dataset \"{title}\" by Isoscan. Those whose sidecar says `Synthetic: true` \
         are generated content: for research, not for diagnosis.\n"
    );
    write_atomically(&root.join("README.md"), |out| out.write_all(about.as_bytes()))?;
    write_json(&path, &description)
}

fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    write_atomically(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        out.write_all(b"\n")
    })
}

#[cfg(test)]
mod tests {
    use isoscan_imaging::{Modality, Unit};

    use super::super::read_bids;
    use super::*;

    /// A dataset of one image and a derivative beside it.
    fn folders() -> (tempfile::TempDir, BidsDataset) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("raw");
        fs::create_dir_all(root.join("sub-01/anat")).unwrap();
        fs::write(root.join(DESCRIPTION), r#"{"Name": "one", "BIDSVersion": "1.10.0"}"#).unwrap();
        fs::write(root.join("T1w.json"), r#"{"EchoTime": 0.003, "BodyPart": "BRAIN"}"#).unwrap();
        let head =
            Volume::filled(7.0, Geometry::axis_aligned([4, 4, 2], [1.0; 3]).unwrap(), Modality::Mr, Unit::Arbitrary);
        write_nifti(&root.join("sub-01/anat/sub-01_acq-x_T1w.nii.gz"), &head, None, None).unwrap();
        let dataset = read_bids(&root).unwrap();
        (folder, dataset)
    }

    #[test]
    fn a_derivative_names_its_source_and_reads_as_a_dataset() {
        let (folder, dataset) = folders();
        let image = &dataset.images[0];
        let series = crate::read(&image.path).unwrap();
        let made = Derivation { plugin_id: "identity".into(), synthetic: true, ..Derivation::default() };
        let root = folder.path().join("derived");
        let write =
            |volume: &Volume| write_bids_derivative(&root, &dataset, image, "site-B", volume, &series.source, &made);
        let path = write(&series.volume).unwrap();
        assert!(path.ends_with("sub-01/anat/sub-01_acq-x_desc-siteB_T1w.nii.gz"), "{path:?}");
        let fine = isoscan_imaging::with_spacing(series.volume.geometry(), [0.5, 0.5, 1.25]).unwrap();
        let finer = isoscan_imaging::resample(&series.volume, &fine, isoscan_imaging::Interpolation::Linear, 0.0);
        let path = write(&finer).unwrap();
        assert!(path.ends_with("sub-01/anat/sub-01_acq-x_res-0p5x0p5x1p25_desc-siteB_T1w.nii.gz"), "{path:?}");

        let derived = read_bids(&root).unwrap();
        assert_eq!(derived.images.len(), 2);
        assert_eq!(derived.description["DatasetType"], "derivative");
        let metadata = &derived.images[0].metadata;
        assert_eq!(metadata["Sources"], json!(["bids:source:sub-01/anat/sub-01_acq-x_T1w.nii.gz"]));
        assert_eq!((&metadata["BodyPart"], metadata.get("EchoTime")), (&json!("BRAIN"), None));
        assert_eq!(metadata["Isoscan"]["Synthetic"], true);
        assert_eq!(crate::read(&derived.images[0].path).unwrap().volume, series.volume);
    }

    #[test]
    fn a_foreign_dataset_is_not_written_into() {
        let (_folder, dataset) = folders();
        let image = &dataset.images[0];
        let series = crate::read(&image.path).unwrap();
        let write = |root: &Path, style: &str| {
            write_bids_derivative(root, &dataset, image, style, &series.volume, &series.source, &Derivation::default())
        };
        assert!(matches!(write(&dataset.root, "x"), Err(Error::Malformed { field: "GeneratedBy", .. })));
        assert!(matches!(write(&dataset.root, "-"), Err(Error::Malformed { field: "desc", .. })));
        assert_eq!(fs::read_dir(dataset.root.join("sub-01/anat")).unwrap().count(), 1);
    }
}

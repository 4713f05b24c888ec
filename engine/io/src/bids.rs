//! BIDS datasets: finding images with their entities and metadata, and writing derivatives.
//!
//! Names and rules are those of the Brain Imaging Data Structure 1.10: `sub-01_ses-02_acq-thin_T1w.nii.gz` has the
//! entities `sub`, `ses`, `acq` and the suffix `T1w`; a JSON file of an upper folder describes every image below whose
//! entities include its own (inheritance principle).

mod derivative;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use walkdir::{DirEntry, WalkDir};

use crate::Error;

pub use derivative::write_bids_derivative;

/// File with the name of a dataset, which marks its root folder.
const DESCRIPTION: &str = "dataset_description.json";
/// Folders of the root that hold no images of this dataset.
const OTHER_FOLDERS: [&str; 3] = ["derivatives", "sourcedata", "code"];

/// A dataset and its images, in the order of their paths.
#[derive(Debug, Clone, PartialEq)]
pub struct BidsDataset {
    /// Its folder.
    pub root: PathBuf,
    /// `dataset_description.json`.
    pub description: Map<String, Value>,
    /// Every NIfTI image below the subjects' folders.
    pub images: Vec<BidsImage>,
}

/// One image of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct BidsImage {
    /// The file.
    pub path: PathBuf,
    /// The file below the dataset's root, with `/` between folders.
    pub place: String,
    /// `anat`, `func`, `pet`, ...: the folder the image lies in.
    pub datatype: String,
    /// Key and value of each entity, in the order of the name; the first is `sub`.
    pub entities: Vec<(String, String)>,
    /// Last part of the name, such as `T1w`.
    pub suffix: String,
    /// What the JSON files say about the image, nearer ones first.
    pub metadata: Map<String, Value>,
}

impl BidsImage {
    /// Value of an entity, such as `01` for `ses`.
    pub fn entity(&self, key: &str) -> Option<&str> {
        self.entities.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// The name without its ending, such as `sub-01_T1w`.
    pub fn stem(&self) -> String {
        let entities = self.entities.iter().map(|(key, value)| format!("{key}-{value}_"));
        entities.chain([self.suffix.clone()]).collect()
    }

    /// Whether every wanted entity has its value here; `suffix` and `datatype` are wanted like entities.
    pub fn fits(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted.iter().all(|(key, value)| match key.as_str() {
            "suffix" => self.suffix == *value,
            "datatype" => self.datatype == *value,
            key => self.entity(key) == Some(value),
        })
    }
}

/// Whether a folder is the root of a dataset.
pub fn is_bids(folder: &Path) -> bool {
    folder.join(DESCRIPTION).is_file()
}

/// Finds the images of a dataset; derivatives inside it are datasets of their own and left out. No image is opened.
///
/// # Errors
/// [`Error::Malformed`] when the description or a sidecar is no JSON object, the description lacks Name or BIDSVersion, or
/// an image's entities do not start with the subject of its folder; [`Error::Io`] when a file cannot be read.
pub fn read_bids(root: &Path) -> Result<BidsDataset, Error> {
    let path = root.join(DESCRIPTION);
    let description = object(&path)?;
    for key in ["Name", "BIDSVersion"] {
        if !description.get(key).is_some_and(Value::is_string) {
            let found = description.get(key).map_or("nothing".to_owned(), Value::to_string);
            return Err(Error::Malformed {
                field: DESCRIPTION,
                expected: "a text for Name and for BIDSVersion",
                found,
                path,
            });
        }
    }
    let mut sidecars = Vec::new();
    let mut images = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(belongs) {
        let entry = entry.map_err(|e| Error::Io {
            action: "look into folder",
            path: e.path().unwrap_or(root).to_owned(),
            source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
        })?;
        let Some(name) = Name::of(entry.path()) else { continue };
        match name.ending {
            "json" => sidecars.push((entry.path().to_owned(), name.suffix, name.entities)),
            "nii" | "nii.gz" => images.extend(image(root, entry.path(), name)?),
            _ => {}
        }
    }
    for image in &mut images {
        image.metadata = inherited(image, &sidecars)?;
    }
    Ok(BidsDataset { root: root.to_owned(), description, images })
}

/// Suffixes of images that mark regions.
const MASKS: [&str; 3] = ["dseg", "mask", "seg"];

/// The masks of a dataset and of the derivatives inside it, in the order of their paths: images with the suffix `dseg`,
/// `mask` or `seg`. `place` is below the dataset's root, metadata is left empty. No image is opened.
///
/// # Errors
/// [`Error::Malformed`] when a mask's entities do not start with the subject of its folder, [`Error::Io`] when a folder
/// cannot be read.
pub fn read_bids_masks(dataset: &BidsDataset) -> Result<Vec<BidsImage>, Error> {
    let mut masks: Vec<BidsImage> =
        dataset.images.iter().filter(|image| MASKS.contains(&image.suffix.as_str())).cloned().collect();
    let derivatives = dataset.root.join("derivatives");
    let entries = WalkDir::new(&derivatives).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with('.')) {
        let entry = match entry {
            Err(e) if e.depth() == 0 => break,
            found => found.map_err(|e| Error::Io {
                action: "look into folder",
                path: e.path().unwrap_or(&derivatives).to_owned(),
                source: e.into_io_error().unwrap_or_else(|| std::io::Error::other("a loop of links")),
            })?,
        };
        let Some(name) = Name::of(entry.path()) else { continue };
        if MASKS.contains(&name.suffix.as_str()) && matches!(name.ending, "nii" | "nii.gz") {
            let of_subject =
                |folder: &&Path| folder.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sub-"));
            let Some(subject) = entry.path().ancestors().skip(1).filter(of_subject).last() else { continue };
            let root = subject.parent().unwrap_or(&derivatives);
            if let Some(mut found) = image(root, entry.path(), name)? {
                let place = entry.path().strip_prefix(&dataset.root).unwrap_or(entry.path());
                found.place = place.display().to_string();
                masks.push(found);
            }
        }
    }
    Ok(masks)
}

fn belongs(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    let other = entry.depth() == 1 && OTHER_FOLDERS.contains(&&*name);
    entry.depth() == 0 || !(name.starts_with('.') || other)
}

fn image(root: &Path, path: &Path, name: Name) -> Result<Option<BidsImage>, Error> {
    let folders: Vec<String> = path
        .strip_prefix(root)
        .into_iter()
        .flat_map(Path::components)
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let [subject, .., datatype, _] = folders.as_slice() else { return Ok(None) };
    let Some(label) = subject.strip_prefix("sub-") else { return Ok(None) };
    if name.entities.first() != Some(&("sub".to_owned(), label.to_owned())) {
        return Err(Error::Malformed {
            field: "image name",
            expected: "the subject of its folder first",
            found: "another start".to_owned(),
            path: path.to_owned(),
        });
    }
    Ok(Some(BidsImage {
        path: path.to_owned(),
        place: folders.join("/"),
        datatype: datatype.clone(),
        entities: name.entities,
        suffix: name.suffix,
        metadata: Map::new(),
    }))
}

/// The parts of a file name; `None` when it is not made of entities and a suffix.
struct Name<'a> {
    entities: Vec<(String, String)>,
    suffix: String,
    ending: &'a str,
}

impl<'a> Name<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let (stem, ending) = path.file_name()?.to_str()?.split_once('.')?;
        let mut parts: Vec<&str> = stem.split('_').collect();
        let suffix = parts.pop()?.to_owned();
        let entity = |part: &str| part.split_once('-').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let entities = parts.into_iter().map(entity).collect::<Option<Vec<_>>>()?;
        let plain = !suffix.is_empty() && suffix.chars().all(|c| c.is_ascii_alphanumeric());
        plain.then_some(Self { entities, suffix, ending })
    }
}

/// Keys and values in the order of a name.
type Entities = Vec<(String, String)>;

/// Joins the sidecars that describe an image; keys of deeper folders win.
fn inherited(image: &BidsImage, sidecars: &[(PathBuf, String, Entities)]) -> Result<Map<String, Value>, Error> {
    let mut applying: Vec<&PathBuf> = sidecars
        .iter()
        .filter(|(path, suffix, entities)| {
            *suffix == image.suffix
                && path.parent().is_some_and(|folder| image.path.starts_with(folder))
                && entities.iter().all(|entity| image.entities.contains(entity))
        })
        .map(|(path, _, _)| path)
        .collect();
    applying.sort_by_key(|path| path.components().count());
    let mut metadata = Map::new();
    for path in applying {
        metadata.extend(object(path)?);
    }
    Ok(metadata)
}

fn object(path: &Path) -> Result<Map<String, Value>, Error> {
    let text = std::fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|error| Error::Malformed {
        field: "JSON",
        expected: "an object",
        found: error.to_string(),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const NAMED: (&str, &str) = ("dataset_description.json", r#"{"Name": "two sites", "BIDSVersion": "1.10.0"}"#);

    #[test]
    fn images_are_found_with_entities_and_inherited_metadata() {
        let root = dataset(&[
            NAMED,
            ("T1w.json", r#"{"EchoTime": 0.003, "Manufacturer": "A"}"#),
            ("sub-01/ses-b/anat/sub-01_ses-b_T1w.json", r#"{"Manufacturer": "B"}"#),
            ("sub-01/ses-b/anat/sub-01_ses-b_T1w.nii.gz", ""),
            ("sub-01/ses-a/anat/sub-01_ses-a_acq-thin_T1w.nii", ""),
            ("sub-01/ses-a/anat/sub-01_ses-a_T2w.nii", ""),
            ("derivatives/x/sub-01/anat/sub-01_T1w.nii", ""),
            ("sub-01/notes.txt", ""),
        ]);
        let found = read_bids(root.path()).unwrap();
        let stems: Vec<String> = found.images.iter().map(BidsImage::stem).collect();
        assert_eq!(stems, ["sub-01_ses-a_T2w", "sub-01_ses-a_acq-thin_T1w", "sub-01_ses-b_T1w"]);
        let metadata = |index: usize, key: &str| found.images[index].metadata.get(key).cloned();
        assert_eq!(metadata(0, "EchoTime"), None);
        assert_eq!(metadata(1, "Manufacturer"), Some("A".into()));
        assert_eq!((metadata(2, "Manufacturer"), metadata(2, "EchoTime")), (Some("B".into()), Some(0.003.into())));
        let wanted = BTreeMap::from([("suffix".to_owned(), "T1w".to_owned()), ("ses".to_owned(), "b".to_owned())]);
        assert_eq!(found.images.iter().filter(|image| image.fits(&wanted)).count(), 1);
    }

    #[test]
    fn masks_are_found_in_the_dataset_and_its_derivatives() {
        let root = dataset(&[
            NAMED,
            ("sub-01/anat/sub-01_T1w.nii", ""),
            ("sub-01/anat/sub-01_mask.nii", ""),
            ("derivatives/raters/a/sub-01/anat/sub-01_space-T1w_dseg.nii.gz", ""),
            ("derivatives/raters/a/sub-01/anat/sub-01_T1w.nii.gz", ""),
            ("derivatives/notes_dseg.nii", ""),
        ]);
        let masks = read_bids_masks(&read_bids(root.path()).unwrap()).unwrap();
        let places: Vec<&str> = masks.iter().map(|mask| mask.place.as_str()).collect();
        let derived = "derivatives/raters/a/sub-01/anat/sub-01_space-T1w_dseg.nii.gz";
        assert_eq!(places, ["sub-01/anat/sub-01_mask.nii", derived]);
        assert_eq!((masks[1].entity("space"), masks[1].datatype.as_str()), (Some("T1w"), "anat"));
    }

    #[test]
    fn a_dataset_that_breaks_the_rules_is_refused_by_name() {
        let nameless = ("dataset_description.json", r#"{"BIDSVersion": "1.10.0"}"#);
        let stranger = ("sub-01/anat/sub-02_T1w.nii", "");
        let sidecar = ("sub-01/anat/sub-01_T1w.json", "[1]");
        let image = ("sub-01/anat/sub-01_T1w.nii", "");
        for (files, field) in [
            (vec![nameless], "dataset_description.json"),
            (vec![NAMED, stranger], "image name"),
            (vec![NAMED, image, sidecar], "JSON"),
        ] {
            let root = dataset(&files);
            assert!(matches!(read_bids(root.path()), Err(Error::Malformed { field: f, .. }) if f == field), "{field}");
        }
        assert!(!is_bids(dataset(&[]).path()) && is_bids(dataset(&[NAMED]).path()));
    }
}

//! What the numbers of a NIfTI file mean. The format has a field for labels only (the intent), so it is taken from the
//! comment that Isoscan writes, else from that field, else from a BIDS sidecar, else from the last word of the name, else
//! it stays open.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use isoscan_imaging::{Modality, Unit};
use serde::{Deserialize, Serialize};

use crate::Derivation;

/// Extension code of a plain-text comment.
pub(crate) const COMMENT: i32 = 6;

/// Intent code of a label map.
pub(crate) const LABEL_INTENT: i32 = 1002;

/// The JSON of a comment extension written by Isoscan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Comment {
    pub(crate) isoscan: Meaning,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Meaning {
    pub(crate) modality: Modality,
    pub(crate) unit: Unit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) derivation: Option<Derivation>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quantised: Option<Quantised>,
}

/// How far stored integers may lie from the voxels that they were made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantised {
    /// Distance of neighbouring stored values, in the volume's unit.
    pub(crate) step: f64,
    /// Largest distance of a voxel as read from the voxel as written, in the volume's unit.
    pub(crate) largest_error: f64,
}

impl Comment {
    pub(crate) fn parse(content: &[u8]) -> Option<Self> {
        let end = content.iter().rposition(|&b| b != 0)? + 1;
        serde_json::from_slice(&content[..end]).ok()
    }
}

/// Modality and unit of the file at `path` whose own comment, if any, is `comment`.
pub(crate) fn meaning(path: &Path, comment: Option<&Comment>, intent_code: i32) -> (Modality, Unit) {
    if let Some(comment) = comment {
        return (comment.isoscan.modality, comment.isoscan.unit);
    }
    match sidecar_modality(path).filter(|_| intent_code != LABEL_INTENT) {
        Some(modality) => (modality, default_unit(modality)),
        None => told_by_name(path, intent_code),
    }
}

/// Modality and unit that a file without comment and sidecar has.
pub(crate) fn told_by_name(path: &Path, intent_code: i32) -> (Modality, Unit) {
    if intent_code == LABEL_INTENT {
        return (Modality::Seg, Unit::Label);
    }
    let modality = named_modality(path).unwrap_or(Modality::Ot);
    (modality, default_unit(modality))
}

/// The unit that a modality's files carry unless they say otherwise.
pub(crate) fn default_unit(modality: Modality) -> Unit {
    match modality {
        Modality::Ct => Unit::Hounsfield,
        Modality::Seg => Unit::Label,
        _ => Unit::Arbitrary,
    }
}

/// The file name without `.nii`, `.nii.gz`, `.hdr` and the like; other dots stay.
pub(crate) fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    ["nii", "hdr", "img", "nrrd", "nhdr", "mha", "mhd", "png", "tif", "tiff"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending)?.strip_suffix('.'))
        .unwrap_or(name)
        .to_owned()
}

fn sidecar_modality(path: &Path) -> Option<Modality> {
    const LONGEST: u64 = 1 << 20;
    #[derive(Deserialize)]
    struct Sidecar {
        #[serde(rename = "Modality")]
        modality: String,
    }
    let mut text = String::new();
    let sidecar = File::open(path.with_file_name(stem(path) + ".json")).ok()?;
    sidecar.take(LONGEST).read_to_string(&mut text).ok()?;
    serde_json::from_str::<Sidecar>(&text).ok()?.modality.parse().ok()
}

fn named_modality(path: &Path) -> Option<Modality> {
    let stem = stem(path).to_ascii_lowercase();
    let last = stem.rsplit(['_', '-', '.']).next()?;
    Some(match last {
        "ct" => Modality::Ct,
        "mr" | "mri" | "t1" | "t1w" | "t2" | "t2w" | "pd" | "pdw" | "flair" | "t2star" | "swi" | "bold" => Modality::Mr,
        "pet" => Modality::Pt,
        "cr" => Modality::Cr,
        "dx" => Modality::Dx,
        "seg" | "dseg" | "mask" | "label" | "labels" | "roi" => Modality::Seg,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_comment_comes_before_the_intent_the_sidecar_and_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub-01.v1_T1w.nii.gz");
        assert_eq!(meaning(&path, None, 0), (Modality::Mr, Unit::Arbitrary));
        std::fs::write(dir.path().join("sub-01.v1_T1w.json"), r#"{"Modality": "CT"}"#).unwrap();
        assert_eq!(meaning(&path, None, 0), (Modality::Ct, Unit::Hounsfield));
        assert_eq!(meaning(&path, None, LABEL_INTENT), (Modality::Seg, Unit::Label));
        let own =
            Comment { isoscan: Meaning { modality: Modality::Pt, unit: Unit::Suv, derivation: None, quantised: None } };
        assert_eq!(meaning(&path, Some(&own), LABEL_INTENT), (Modality::Pt, Unit::Suv));
    }

    #[test]
    fn names_tell_their_modality_by_their_last_word() {
        for (name, expected) in [
            ("a_ct.nii", Modality::Ct),
            ("CT.nii.gz", Modality::Ct),
            ("sub-01.T1w.hdr.gz", Modality::Mr),
            ("s1_dseg.nii", Modality::Seg),
            ("ct_scan.nii", Modality::Ot),
            ("anatomical.nii", Modality::Ot),
        ] {
            assert_eq!(meaning(Path::new(name), None, 0).0, expected, "{name}");
        }
    }
}

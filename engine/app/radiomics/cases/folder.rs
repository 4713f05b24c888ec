use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use isoscan_io::{BidsImage, read_bids, read_bids_masks};
use walkdir::WalkDir;

use super::{Case, Pair, Place, Wanted};
use crate::failure::Failure;

/// Endings of image files.
const ENDINGS: [&str; 7] = [".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd", ".dcm"];

/// What joins the words of a name.
const JOINTS: [char; 3] = ['_', '-', '.'];

/// What a mask's name ends in.
const MASKS: [&str; 5] = ["segmentation", "label", "mask", "seg", "dseg"];

/// Pairs of a folder and the folders in it, in the order of the masks' paths.
///
/// A mask's name is that of its image but for its end, which is `label`, `mask`, `seg`, `dseg` or `segmentation` in place
/// of `image` or of nothing: `NAME_label` belongs to `NAME_image` or else to `NAME`, `label` to `image`. The end may stand
/// behind `_`, `-` or `.`, and further words behind it tell masks of one image apart: `NAME_label-2`, `NAME_mask_reader1`.
pub(super) fn paired(folder: &Path, wanted: &Wanted) -> Result<Vec<Case>, Failure> {
    let files = files(folder)?;
    let mut cases = Vec::new();
    for (place, stem) in &files {
        let Some((case, rest)) = mask_name(stem) else { continue };
        let beside = |name: &str| {
            let fits = |(other, stem): &&(PathBuf, String)| other.parent() == place.parent() && stem == name;
            files.iter().find(fits).map(|(path, _)| path.clone())
        };
        let names = ["_image", "-image", ".image", ""].map(|end| format!("{case}{end}"));
        let image = if case.is_empty() { beside("image") } else { names.iter().find_map(|name| beside(name)) };
        let Some(image) = image else { continue };
        let above = place.parent().and_then(|at| at.strip_prefix(folder).ok()).unwrap_or(Path::new(""));
        let id = [above.display().to_string(), case.to_owned(), rest.to_owned()];
        let id = id.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("/");
        cases.push(case_of(folder, &id, &image, place, wanted));
    }
    Ok(cases)
}

/// The name before the end that tells a mask, and the words behind it; `None` for the name of no mask.
fn mask_name(stem: &str) -> Option<(&str, &str)> {
    let lower = stem.to_ascii_lowercase();
    let parts = |end: &&str| {
        let at = lower.rfind(end)?;
        let (before, behind) = (&stem[..at], &stem[at + end.len()..]);
        let opens = before.is_empty() || before.ends_with(JOINTS);
        let closes = behind.is_empty() || behind.starts_with(JOINTS);
        (opens && closes).then(|| (before.trim_end_matches(JOINTS), behind.trim_start_matches(JOINTS)))
    };
    MASKS.iter().filter_map(parts).max_by_key(|(before, _)| before.len())
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, String)>, Failure> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(Failure::new)?;
        let name = entry.file_name().to_string_lossy();
        if let Some(ending) = ENDINGS.iter().find(|ending| name.to_ascii_lowercase().ends_with(*ending))
            && entry.file_type().is_file()
            && !name.starts_with('.')
        {
            found.push((entry.path().to_owned(), name[..name.len() - ending.len()].to_owned()));
        }
    }
    Ok(found)
}

fn case_of(folder: &Path, id: &str, image: &Path, mask: &Path, wanted: &Wanted) -> Case {
    let told = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
    Case {
        carried: vec![
            ("ID".to_owned(), id.to_owned()),
            ("Image".to_owned(), told(image)),
            ("Mask".to_owned(), told(mask)),
        ],
        pair: Ok(Pair { image: Place::Path(image.to_owned()), mask: mask.to_owned(), wanted: wanted.clone() }),
    }
}

/// The images of a BIDS dataset that fit `select`, each with the masks of the dataset and its derivatives whose entities
/// it has: subject and session agree, and so does every other entity that the mask names, but for those that tell how
/// the mask was made (`space`, `res`, `den`, `label`, `desc`, `seg`).
pub(super) fn of_bids(root: &Path, wanted: &Wanted, select: &[(String, String)]) -> Result<Vec<Case>, Failure> {
    let dataset = read_bids(root)?;
    let masks = read_bids_masks(&dataset)?;
    let select: BTreeMap<String, String> = select.iter().cloned().collect();
    let mut cases = Vec::new();
    for image in dataset.images.iter().filter(|image| image.fits(&select) && !marks(image)) {
        for mask in masks.iter().filter(|mask| belongs(mask, image)) {
            let own = format!("{}:{}", image.stem(), mask.stem());
            let mut case = case_of(root, &own, &image.path, &mask.path, wanted);
            let entities = image.entities.iter().filter(|(key, _)| key == "sub" || key == "ses");
            let entities: Vec<_> = entities.map(|(key, value)| (key.clone(), value.clone())).collect();
            case.carried.splice(1..1, entities);
            cases.push(case);
        }
    }
    Ok(cases)
}

fn marks(image: &BidsImage) -> bool {
    matches!(image.suffix.as_str(), "dseg" | "mask" | "seg" | "probseg")
}

fn belongs(mask: &BidsImage, image: &BidsImage) -> bool {
    let same = |key: &str| mask.entity(key) == image.entity(key);
    let made = ["space", "res", "den", "label", "desc", "seg"];
    let others = mask.entities.iter().filter(|(key, _)| !made.contains(&key.as_str()));
    same("sub") && same("ses") && others.into_iter().all(|(key, _)| same(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_known_by_the_end_of_their_names() {
        let rows = [
            ("brain1_label", Some(("brain1", ""))),
            ("label", Some(("", ""))),
            ("Lung-Mask_reader1", Some(("Lung", "reader1"))),
            ("a_seg", Some(("a", ""))),
            ("a_segmentation", Some(("a", ""))),
            ("a_mask_label-2", Some(("a_mask", "2"))),
            ("labelled", None),
            ("brain1_image", None),
        ];
        for (stem, expected) in rows {
            assert_eq!(mask_name(stem), expected, "{stem}");
        }
    }

    #[test]
    fn files_are_paired_by_name_in_every_folder() {
        let root = tempfile::tempdir().unwrap();
        let names = [
            "b/image.nii.gz",
            "b/mask.nii.gz",
            "a1_image.nrrd",
            "a1_label.nrrd",
            "a2.nii",
            "a2_seg.nii",
            "a2_mask-late.mha",
            "lonely_label.nrrd",
            "notes_label.txt",
        ];
        for name in names {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let cases = paired(root.path(), &Wanted::Usual).unwrap();
        let told: Vec<Vec<&str>> =
            cases.iter().map(|case| case.carried.iter().map(|(_, value)| value.as_str()).collect()).collect();
        assert_eq!(
            told,
            [
                ["a1", "a1_image.nrrd", "a1_label.nrrd"],
                ["a2/late", "a2.nii", "a2_mask-late.mha"],
                ["a2", "a2.nii", "a2_seg.nii"],
                ["b", "b/image.nii.gz", "b/mask.nii.gz"],
            ]
        );
    }
}

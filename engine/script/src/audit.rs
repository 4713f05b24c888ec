//! What a collection of images holds before something is learned from it: kinds, grids, intensities, copies, and whether
//! what is trained on and what is tested on share a subject. Nothing that names a patient is kept or told.

mod compare;
mod look;
mod verb;

use std::{collections::BTreeMap, fmt, path::PathBuf};

use isoscan_imaging::Modality;
use isoscan_io::SeriesSummary;
use serde::Serialize;

use crate::Error;
pub(crate) use verb::register;

/// One folder of images and its part in a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What it is called in the audit, such as `source` or `source t1`.
    pub name: String,
    /// Folder of images.
    pub folder: PathBuf,
    /// Whether something learns from it.
    pub role: Role,
    /// Modality of images whose files do not tell it.
    pub modality: Option<Modality>,
}

/// Part of a group in a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Something learns from it.
    Train,
    /// It decides when a training ends.
    Validation,
    /// It judges what was learned.
    Test,
}

/// What to look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AuditRequest {
    /// The groups, in the order of the report.
    pub groups: Vec<Group>,
    /// Names of groups whose images must belong together one to one: same subject, same place.
    pub together: Vec<Vec<String>>,
    /// Voxels of an image of a group in the place of one of the first of those that belong together, where not 1.
    pub refine: BTreeMap<String, [usize; 3]>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Every image, group by group.
    pub images: Vec<AuditedImage>,
    /// What is wrong or doubtful.
    pub findings: Vec<Finding>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditedImage {
    /// Name of its group.
    pub group: String,
    /// Part of its group in the training.
    pub role: Role,
    /// Number in its group, from 1.
    pub number: usize,
    /// Digest of what tells its subject.
    pub subject: String,
    /// Modality.
    pub modality: String,
    /// Intensity unit.
    pub unit: String,
    /// Voxels along x, y, z.
    pub size: [usize; 3],
    /// Spacing along x, y, z, mm.
    pub spacing_mm: [f64; 3],
    /// Patient directions of the axes.
    pub orientation: String,
    /// Smallest, mean and largest finite intensity.
    pub intensities: [f64; 3],
    /// Voxels that are not finite numbers.
    pub not_finite: usize,
    /// SHA-256 of its voxels along patient axes.
    pub voxels_sha256: String,
    /// The series.
    #[serde(skip)]
    pub series: SeriesSummary,
    #[serde(skip)]
    keys: look::Keys,
}

/// Something wrong or doubtful.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Kind.
    pub kind: FindingKind,
    /// Group and number of the images that it is about.
    pub images: Vec<(String, usize)>,
    /// One sentence.
    pub text: String,
}

/// Kinds of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Groups of different roles share a subject, a study or an image.
    Leakage,
    /// An image cannot be read.
    Unreadable,
    /// Images that must belong together lie on different grids.
    Geometry,
    /// A subject lacks an image that belongs to its others.
    MissingPair,
    /// Two images of a group have the same voxels, perhaps mirrored.
    Duplicate,
    /// Images of a group differ in modality or unit.
    Mixed,
    /// An image holds one intensity only, or voxels that are not numbers.
    Voxels,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leakage => "leakage",
            Self::Unreadable => "unreadable",
            Self::Geometry => "geometry",
            Self::MissingPair => "missing pair",
            Self::Duplicate => "duplicate",
            Self::Mixed => "mixed",
            Self::Voxels => "voxels",
        })
    }
}

impl Audit {
    /// True when training and held-out groups share something.
    pub fn leaks(&self) -> bool {
        self.findings.iter().any(|finding| finding.kind == FindingKind::Leakage)
    }

    /// The images of a group, in order.
    pub fn of_group<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a AuditedImage> {
        self.images.iter().filter(move |image| image.group == name)
    }

    /// Images of the groups that belong together, one tuple per subject that all of them have, in the order of the first
    /// group.
    ///
    /// Subjects are told by the first of these that tells the images of every group apart: the `sub-` and `ses-` labels
    /// of their paths, the paths below their folder without ending, the study.
    pub fn tuples<'a>(&'a self, groups: &[String]) -> Vec<Vec<&'a AuditedImage>> {
        compare::tuples(self, groups)
    }
}

impl AuditedImage {
    /// What a split into held-out subjects goes by: the patient where the file names one, else the labels of the path, else
    /// the path below its folder.
    pub fn split_key(&self) -> &str {
        self.keys.person()
    }
}

/// Reads every image of the groups and compares them.
///
/// # Errors
/// [`Error::EmptyCohort`] for a group without images, [`Error::Io`] for a folder that cannot be listed. An image that cannot
/// be read is a finding.
pub fn audit(request: &AuditRequest) -> Result<Audit, Error> {
    let mut images = Vec::new();
    let mut findings = Vec::new();
    let mut prints = Vec::new();
    for group in &request.groups {
        let found = look::look(group, &mut findings)?;
        for (image, print) in found {
            images.push(image);
            prints.push(print);
        }
    }
    let mut audit = Audit { images, findings };
    let compared = compare::findings(&audit, &prints, request);
    audit.findings.extend(compared);
    audit.findings.sort_by_key(|finding| finding.kind);
    Ok(audit)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use isoscan_imaging::{Geometry, Unit, Volume};

    use super::*;

    fn write(path: &Path, seed: usize, geometry: &Geometry, mirrored: bool) {
        let [nx, ny, nz] = geometry.size();
        let voxels = ndarray::Array3::from_shape_fn((nz, ny, nx), |(k, j, i)| {
            let i = if mirrored { nx - 1 - i } else { i };
            ((k * 91 + j * 17 + i * 3 + seed * 7) % 53) as f32
        });
        let volume = Volume::new(voxels, geometry.clone(), Modality::Mr, Unit::Arbitrary).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        isoscan_io::write(path, &volume, None, None).unwrap();
    }

    fn group(folder: &Path, name: &str, role: Role) -> Group {
        Group { name: name.into(), folder: folder.join(name), role, modality: Some(Modality::Mr) }
    }

    fn kinds(audit: &Audit) -> Vec<(FindingKind, Vec<(String, usize)>)> {
        audit.findings.iter().map(|finding| (finding.kind, finding.images.clone())).collect()
    }

    #[test]
    fn copies_and_mirrored_copies_are_found_and_across_a_split_they_leak() {
        let dir = tempfile::tempdir().unwrap();
        let grid = Geometry::axis_aligned([6, 5, 2], [1.0; 3]).unwrap();
        for (name, seed, mirrored) in
            [("train/a.nii", 1, false), ("train/b.nii", 2, false), ("train/c.nii", 1, true), ("test/d.nii", 2, true)]
        {
            write(&dir.path().join(name), seed, &grid, mirrored);
        }
        let groups = vec![group(dir.path(), "train", Role::Train), group(dir.path(), "test", Role::Test)];
        let found = audit(&AuditRequest { groups, ..AuditRequest::default() }).unwrap();
        let at = |name: &str, number| (name.to_owned(), number);
        let expected = vec![
            (FindingKind::Leakage, vec![at("train", 2), at("test", 1)]),
            (FindingKind::Duplicate, vec![at("train", 1), at("train", 3)]),
        ];
        assert_eq!(kinds(&found), expected);
        assert!(found.leaks() && found.findings[1].text.contains("mirrored"));
        assert_eq!(found.images[0].intensities[0], 0.0);
        let told = serde_json::to_string(&found).unwrap();
        assert!(!told.contains(".nii") && !told.contains("train/a"), "{told}");
    }

    #[test]
    fn subjects_are_paired_by_label_or_name_and_missing_ones_and_other_grids_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let grid = Geometry::axis_aligned([6, 5, 2], [1.0; 3]).unwrap();
        let other = Geometry::axis_aligned([6, 5, 2], [1.0, 1.0, 2.0]).unwrap();
        write(&dir.path().join("t1/sub-1/anat/sub-1_T1w.nii"), 1, &grid, false);
        write(&dir.path().join("t1/sub-2/anat/sub-2_T1w.nii"), 2, &grid, false);
        write(&dir.path().join("t1/sub-3/anat/sub-3_T1w.nii"), 3, &grid, false);
        write(&dir.path().join("t2/sub-3/anat/sub-3_T2w.nii"), 4, &other, false);
        write(&dir.path().join("t2/sub-1/anat/sub-1_T2w.nii"), 5, &grid, false);
        let groups = vec![group(dir.path(), "t1", Role::Train), group(dir.path(), "t2", Role::Train)];
        let names = vec!["t1".to_owned(), "t2".to_owned()];
        let request = AuditRequest { groups, together: vec![names.clone()], refine: BTreeMap::new() };
        let found = audit(&request).unwrap();
        let pairs: Vec<Vec<usize>> =
            found.tuples(&names).iter().map(|pair| pair.iter().map(|image| image.number).collect()).collect();
        assert_eq!(pairs, [[1, 1], [3, 2]]);
        let at = |name: &str, number| (name.to_owned(), number);
        let expected = vec![
            (FindingKind::Geometry, vec![at("t1", 3), at("t2", 2)]),
            (FindingKind::MissingPair, vec![at("t1", 2)]),
        ];
        assert_eq!(kinds(&found), expected);
    }

    #[test]
    fn a_label_on_both_sides_of_a_split_leaks_and_a_file_name_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let grid = Geometry::axis_aligned([6, 5, 2], [1.0; 3]).unwrap();
        for (seed, name) in
            ["train/sub-1_T1w.nii", "train/p.nii", "test/sub-1_T2w.nii", "test/p.nii"].iter().enumerate()
        {
            write(&dir.path().join(name), seed, &grid, false);
        }
        let groups = vec![group(dir.path(), "train", Role::Train), group(dir.path(), "test", Role::Test)];
        let found = audit(&AuditRequest { groups, ..AuditRequest::default() }).unwrap();
        assert_eq!(kinds(&found), [(FindingKind::Leakage, vec![("train".to_owned(), 2), ("test".to_owned(), 2)])]);
    }

    #[test]
    fn an_empty_group_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("train")).unwrap();
        let request = AuditRequest { groups: vec![group(dir.path(), "train", Role::Train)], ..AuditRequest::default() };
        assert!(matches!(audit(&request), Err(Error::EmptyCohort { .. })));
    }
}

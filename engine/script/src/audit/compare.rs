use std::collections::{BTreeMap, BTreeSet};

use isoscan_imaging::refined;

use super::{
    Audit, AuditRequest, AuditedImage, Finding, FindingKind,
    look::{Keys, Print},
};

/// Corners of grids that belong together may lie so far apart, mm.
const SAME_PLACE_MM: f64 = 0.1;

/// What the images say together.
pub(super) fn findings(audit: &Audit, prints: &[Print], request: &AuditRequest) -> Vec<Finding> {
    let images = &audit.images;
    let mut findings = Vec::new();
    for (a, first) in images.iter().enumerate() {
        for (b, second) in images.iter().enumerate().skip(a + 1) {
            findings.extend(of_pair((first, &prints[a]), (second, &prints[b])));
        }
    }
    findings.extend(images.iter().filter_map(of_voxels));
    findings.extend(request.groups.iter().filter_map(|group| mixed(audit, &group.name)));
    for together in &request.together {
        findings.extend(missing(audit, together));
        findings.extend(other_grids(audit, prints, together, request));
    }
    findings
}

fn of_pair((a, p): (&AuditedImage, &Print), (b, q): (&AuditedImage, &Print)) -> Option<Finding> {
    let copy = if p.plain == q.plain {
        Some("the same voxels")
    } else {
        q.mirrored.contains(&p.plain).then_some("the same voxels, mirrored")
    };
    let about = |kind, text| Some(Finding { kind, images: vec![place(a), place(b)], text });
    let names = format!("{} {} and {} {}", a.group, a.number, b.group, b.number);
    if a.role == b.role {
        let copy = copy.filter(|_| a.group == b.group)?;
        return about(FindingKind::Duplicate, format!("{names} have {copy}"));
    }
    let shared = |key: fn(&Keys) -> Option<&String>| key(&a.keys).is_some() && key(&a.keys) == key(&b.keys);
    let reason = copy.or_else(|| {
        let rows: [(bool, &str); 3] = [
            (shared(|keys| keys.patient.as_ref()), "the same patient"),
            (shared(|keys| keys.study.as_ref()), "the same study"),
            (shared(|keys| keys.label.as_ref()), "the same subject label"),
        ];
        rows.into_iter().find(|(shares, _)| *shares).map(|(_, reason)| reason)
    })?;
    about(FindingKind::Leakage, format!("{names} are on both sides of a split and have {reason}"))
}

fn of_voxels(image: &AuditedImage) -> Option<Finding> {
    let [low, _, high] = image.intensities;
    let text = match image.not_finite {
        0 if low < high => return None,
        0 => format!("every voxel of {} {} is {low}", image.group, image.number),
        count => format!("{count} voxels of {} {} are not numbers", image.group, image.number),
    };
    Some(Finding { kind: FindingKind::Voxels, images: vec![place(image)], text })
}

fn mixed(audit: &Audit, group: &str) -> Option<Finding> {
    let kinds: BTreeSet<String> =
        audit.of_group(group).map(|image| format!("{} in {}", image.modality, image.unit)).collect();
    if kinds.len() < 2 {
        return None;
    }
    let kinds: Vec<String> = kinds.into_iter().collect();
    let text = format!("images of {group} differ: {}", kinds.join(", "));
    Some(Finding { kind: FindingKind::Mixed, images: audit.of_group(group).map(place).collect(), text })
}

fn missing(audit: &Audit, together: &[String]) -> Vec<Finding> {
    let tuples = tuples(audit, together);
    let paired: BTreeSet<(String, usize)> = tuples.iter().flatten().map(|image| place(image)).collect();
    let alone = together.iter().flat_map(|group| audit.of_group(group)).filter(|image| !paired.contains(&place(image)));
    let finding = |image: &AuditedImage| Finding {
        kind: FindingKind::MissingPair,
        images: vec![place(image)],
        text: format!("{} {} has no counterpart in {}", image.group, image.number, others(together, &image.group)),
    };
    alone.map(finding).collect()
}

fn others(together: &[String], group: &str) -> String {
    together.iter().filter(|other| *other != group).map(String::as_str).collect::<Vec<_>>().join(" and ")
}

fn other_grids(audit: &Audit, prints: &[Print], together: &[String], request: &AuditRequest) -> Vec<Finding> {
    let print = |image: &AuditedImage| {
        audit.images.iter().position(|other| place(other) == place(image)).and_then(|at| prints.get(at))
    };
    let mut findings = Vec::new();
    for tuple in tuples(audit, together) {
        let Some((first, further)) = tuple.split_first() else { continue };
        for image in further {
            let factors = request.refine.get(&image.group).copied().unwrap_or([1; 3]);
            let (Some(a), Some(b)) = (print(first), print(image)) else { continue };
            let Ok(expected) = refined(&a.geometry, factors) else { continue };
            if expected.corner_distance_mm(&b.geometry) <= SAME_PLACE_MM {
                continue;
            }
            let (here, there) = (&a.geometry, &b.geometry);
            let text = format!(
                "{} {} and {} {} lie on different grids: {here} and {there}",
                first.group, first.number, image.group, image.number
            );
            findings.push(Finding { kind: FindingKind::Geometry, images: vec![place(first), place(image)], text });
        }
    }
    findings
}

/// See [`Audit::tuples`].
pub(super) fn tuples<'a>(audit: &'a Audit, groups: &[String]) -> Vec<Vec<&'a AuditedImage>> {
    const KINDS: [fn(&Keys) -> Option<&String>; 4] =
        [|keys| keys.session.as_ref(), |keys| keys.label.as_ref(), |keys| Some(&keys.path), |keys| keys.study.as_ref()];
    for key in KINDS {
        let Some(maps) = groups.iter().map(|group| by_key(audit, group, key)).collect::<Option<Vec<_>>>() else {
            continue;
        };
        let Some(first) = groups.first() else { return Vec::new() };
        let of_subject = |image: &AuditedImage| {
            let key = key(&image.keys)?;
            maps.iter().map(|map| map.get(key.as_str()).copied()).collect::<Option<Vec<_>>>()
        };
        let tuples: Vec<Vec<&AuditedImage>> = audit.of_group(first).filter_map(of_subject).collect();
        if !tuples.is_empty() {
            return tuples;
        }
    }
    Vec::new()
}

/// The images of a group by a key that tells them apart; `None` when it does not.
fn by_key<'a>(
    audit: &'a Audit,
    group: &str,
    key: fn(&Keys) -> Option<&String>,
) -> Option<BTreeMap<&'a str, &'a AuditedImage>> {
    let mut images = BTreeMap::new();
    for image in audit.images.iter().filter(|image| image.group == group) {
        if images.insert(key(&image.keys)?.as_str(), image).is_some() {
            return None;
        }
    }
    Some(images)
}

fn place(image: &AuditedImage) -> (String, usize) {
    (image.group.clone(), image.number)
}

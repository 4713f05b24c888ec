//! The file meta group against the data set.

use dicom_dictionary_std::tags;

use super::{Object, Report, rules};
use crate::dicom::attributes::text;

pub(crate) fn check(object: &Object, report: &mut Report) {
    let Some(meta) = &object.meta else {
        return report.add(&rules::META, &object.path, &[], "none that can be read");
    };
    let trimmed = |uid: &str| uid.trim_matches([' ', '\0']).to_owned();
    for (rule, tag, in_meta) in [
        (&rules::META_CLASS, tags::SOP_CLASS_UID, trimmed(&meta.media_storage_sop_class_uid)),
        (&rules::META_UID, tags::SOP_INSTANCE_UID, trimmed(&meta.media_storage_sop_instance_uid)),
    ] {
        if text(&object.data, tag).is_some_and(|uid| uid != in_meta) {
            report.add(rule, &object.path, &[tag], format!("{in_meta} in the meta group"));
        }
    }
}

//! What an output says of itself: derived, by what, from what, for what.

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use isoscan_imaging::Modality;

use super::Relation;
use crate::Derivation;
use crate::dicom::attributes::{code, put, put_items, text, texts, whole};
use crate::dicom::moment::Moment;
use crate::dicom::output::ascii;
use crate::dicom::uid::uid;

/// Coding scheme of this program, declared in each object; DICOM has no code for the translation of images.
pub(crate) const SCHEME: &str = "99ISOSCAN";

/// The private element that holds the derivation as JSON, in the block that [`SCHEME`] reserves.
pub(crate) const DERIVATION_JSON: Tag = Tag(0x0099, 0x1001);

/// What all objects of one output say of themselves.
pub(crate) struct Label<'a> {
    pub(crate) derivation: &'a Derivation,
    pub(crate) relation: &'a Relation,
    pub(crate) modality: Modality,
    pub(crate) series_uid: &'a str,
}

impl Label<'_> {
    /// The new series, with its date when one is given.
    pub(crate) fn put_series(&self, object: &mut InMemDicomObject) {
        let derivation = self.derivation;
        let number: i64 = whole(object, tags::SERIES_NUMBER).unwrap_or(0);
        let kind = if derivation.synthetic { "SYN" } else { "DER" };
        let what = if derivation.description.is_empty() { &derivation.plugin_id } else { &derivation.description };
        put(object, tags::SERIES_INSTANCE_UID, VR::UI, self.series_uid);
        put(object, tags::SERIES_NUMBER, VR::IS, (1000 + number.clamp(0, 1_000_000_000)).to_string());
        put(object, tags::SERIES_DESCRIPTION, VR::LO, ascii(&format!("{kind} {what}"), 64));
        let Some(moment) = self.moment(object) else { return };
        // PET's series date is the one that its decay correction refers to.
        let series_has_one = self.modality == Modality::Pt && text(object, tags::SERIES_DATE).is_some();
        let dates = [
            (tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME),
            (tags::CONTENT_DATE, tags::CONTENT_TIME),
            (tags::SERIES_DATE, tags::SERIES_TIME),
        ];
        for (date, time) in dates.into_iter().take(if series_has_one { 2 } else { 3 }) {
            put(object, date, VR::DA, moment.date());
            put(object, time, VR::TM, moment.time());
        }
    }

    /// When the output was made, on the clock of the object's time zone.
    pub(crate) fn moment(&self, object: &InMemDicomObject) -> Option<Moment> {
        let offset = text(object, tags::TIMEZONE_OFFSET_FROM_UTC);
        self.derivation.made_at.map(|seconds| Moment::of(seconds, offset.as_deref()))
    }

    /// Marks, words, codes, sources, equipment and the private block.
    pub(crate) fn put_derivation(&self, object: &mut InMemDicomObject, sources: &[InMemDicomObject]) {
        self.put_marks(object);
        put(object, tags::DERIVATION_DESCRIPTION, VR::ST, self.words());
        let mut codes = items_of(object, tags::DERIVATION_CODE_SEQUENCE);
        codes.extend(self.codes());
        put_items(object, tags::DERIVATION_CODE_SEQUENCE, codes);
        if !sources.is_empty() {
            put_items(object, tags::SOURCE_IMAGE_SEQUENCE, sources.to_vec());
        }
    }

    /// Everything but what was derived from what, which a multi-frame object says per frame.
    pub(crate) fn put_marks(&self, object: &mut InMemDicomObject) {
        let synthetic = self.derivation.synthetic;
        put(object, tags::SYNTHETIC_DATA, VR::CS, if synthetic { "YES" } else { "NO" });
        put(object, tags::CONTENT_QUALIFICATION, VR::CS, "RESEARCH");
        self.put_equipment(object);
        let mut schemes = items_of(object, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE);
        schemes.retain(|item| text(item, tags::CODING_SCHEME_DESIGNATOR).as_deref() != Some(SCHEME));
        schemes.push(scheme());
        put_items(object, tags::CODING_SCHEME_IDENTIFICATION_SEQUENCE, schemes);
        put(object, Tag(0x0099, 0x0010), VR::LO, SCHEME);
        put(object, DERIVATION_JSON, VR::UT, json(self.derivation));
    }

    /// Derivation Description (0008,2111).
    pub(crate) fn words(&self) -> String {
        let derivation = self.derivation;
        let kind = if derivation.synthetic { "Synthetic image" } else { "Derived image" };
        let maker = format!("{} {}", derivation.plugin_id, derivation.plugin_version);
        ascii(&format!("{kind}: {} by Isoscan plugin {maker}", derivation.description), 1024)
    }

    /// Items of Derivation Code Sequence (0008,9215).
    pub(crate) fn codes(&self) -> Vec<InMemDicomObject> {
        let mut codes = Vec::new();
        if self.relation.resampled {
            codes.push(code("113085", "DCM", "Spatial resampling"));
        }
        codes.push(if self.derivation.synthetic {
            code("TRANSLATION", SCHEME, "Translation of the image by a plugin")
        } else {
            code("PROCESSING", SCHEME, "Processing of the image by a plugin")
        });
        codes
    }

    /// Value 3 as the class asks, value 4 our mark.
    pub(crate) fn image_type(&self, object: &InMemDicomObject) -> String {
        let before = texts(object, tags::IMAGE_TYPE);
        let third = match self.modality {
            Modality::Ct => "AXIAL",
            Modality::Mr => before.get(2).filter(|word| !word.is_empty()).map_or("OTHER", String::as_str),
            _ => before.get(2).map_or("", String::as_str),
        };
        match (self.derivation.synthetic, self.modality) {
            // The PET class allows no other value 2 (PS3.3 C.8.9.4.1.1).
            (_, Modality::Pt) => "DERIVED\\PRIMARY".to_owned(),
            (true, _) => format!("DERIVED\\SECONDARY\\{third}\\SYNTHETIC"),
            (false, _) => format!("DERIVED\\SECONDARY\\{third}"),
        }
    }

    /// This program as the maker of the object, and as the last contributor behind the source's own equipment.
    fn put_equipment(&self, object: &mut InMemDicomObject) {
        let derivation = self.derivation;
        let version = ascii(&derivation.engine_version, 64);
        let version = if version.is_empty() { "unknown".to_owned() } else { version };
        let mut ours = InMemDicomObject::new_empty();
        let purpose = if derivation.synthetic && !self.relation.same_modality {
            code("109100", "DCM", "Synthesizing Equipment")
        } else {
            code("109102", "DCM", "Processing Equipment")
        };
        put_items(&mut ours, tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![purpose]);
        for target in [&mut *object, &mut ours] {
            put(target, tags::MANUFACTURER, VR::LO, "Isoscan");
            put(target, tags::MANUFACTURER_MODEL_NAME, VR::LO, "Isoscan");
            put(target, tags::SOFTWARE_VERSIONS, VR::LO, version.clone());
        }
        let weights = derivation.weights_sha256.as_deref().unwrap_or(&derivation.plugin_sha256);
        put(&mut ours, tags::DEVICE_UID, VR::UI, uid(&["device", weights]));
        if let Some(moment) = self.moment(object) {
            put(&mut ours, tags::CONTRIBUTION_DATE_TIME, VR::DT, format!("{}{}", moment.date(), moment.time()));
        }
        let parameters = ascii(&derivation.params.to_string(), 700);
        let words = format!("{} {} {parameters}", derivation.plugin_id, derivation.plugin_version);
        put(&mut ours, tags::CONTRIBUTION_DESCRIPTION, VR::ST, ascii(&words, 1024));
        let mut equipment = items_of(object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE);
        equipment.push(ours);
        put_items(object, tags::CONTRIBUTING_EQUIPMENT_SEQUENCE, equipment);
    }
}

fn scheme() -> InMemDicomObject {
    let mut item = InMemDicomObject::new_empty();
    put(&mut item, tags::CODING_SCHEME_DESIGNATOR, VR::SH, SCHEME);
    put(&mut item, tags::CODING_SCHEME_NAME, VR::ST, "Isoscan image derivations");
    put(&mut item, tags::CODING_SCHEME_RESPONSIBLE_ORGANIZATION, VR::ST, "Isoscan");
    item
}

pub(crate) fn items_of(object: &InMemDicomObject, tag: Tag) -> Vec<InMemDicomObject> {
    object.get(tag).and_then(|element| element.items()).map(<[_]>::to_vec).unwrap_or_default()
}

/// Pure ASCII JSON, so that it is the same text in every character set.
pub(crate) fn json(derivation: &Derivation) -> String {
    let text = serde_json::to_string(derivation).unwrap_or_default();
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            plain.push(c);
        } else {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| plain.push_str(&format!("\\u{unit:04x}")));
        }
    }
    plain
}

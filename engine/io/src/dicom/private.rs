//! The few private attributes without which an image cannot be placed or scaled.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::attributes::{text, texts};
use super::mosaic::MosaicHeader;

/// What is kept of the private attributes of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Private {
    /// Siemens: what tells how a mosaic is laid out.
    pub(crate) mosaic: MosaicHeader,
    /// Philips PET: uptake value per stored unit (7053,xx00).
    pub(crate) philips_uptake_factor: Option<f64>,
    /// Philips PET: Bq/ml per stored unit (7053,xx09).
    pub(crate) philips_activity_factor: Option<f64>,
}

impl Private {
    /// Looks into the whole data set, private attributes included.
    pub(crate) fn of(object: &InMemDicomObject) -> Self {
        let mut found = Self::default();
        if texts(object, tags::IMAGE_TYPE).iter().any(|word| word == "MOSAIC") {
            found.mosaic = MosaicHeader::of(object);
        }
        if text(object, tags::MODALITY).as_deref() == Some("PT") {
            let factor = |element| {
                let factor = element_of(object, 0x7053, "Philips PET Private Group", element).and_then(number)?;
                (factor.is_finite() && factor > 0.0).then_some(factor)
            };
            (found.philips_uptake_factor, found.philips_activity_factor) = (factor(0x00), factor(0x09));
        }
        found
    }
}

/// The private element that `creator` reserved in `group`, wherever its block lies (PS3.5 7.8.1).
pub(crate) fn element_of<'a>(
    object: &'a InMemDicomObject,
    group: u16,
    creator: &str,
    element: u8,
) -> Option<&'a InMemElement> {
    (0x10..=0xFF).find_map(|block| {
        let reserved = object.get(Tag(group, block)).and_then(words).is_some_and(|name| name.trim() == creator);
        if !reserved {
            return None;
        }
        object.get(Tag(group, block << 8 | u16::from(element)))
    })
}

/// The text of an element, also when its VR was lost.
fn words(element: &InMemElement) -> Option<String> {
    if element.vr() == dicom_core::VR::UN {
        return String::from_utf8(element.to_bytes().ok()?.into_owned()).ok();
    }
    element.to_str().ok().map(|text| text.into_owned())
}

/// A decimal number, also when its VR was lost.
fn number(element: &InMemElement) -> Option<f64> {
    words(element)?.trim_matches([' ', '\0']).parse().ok()
}

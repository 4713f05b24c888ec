use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use isoscan_imaging::{Modality, Slices, Unit, Volume};

use super::attributes::put;
use super::encode::plan;
use super::module::{anonymous, complete, fresh_study, is_projection, sop_class};
use super::output::{Content, Draft, write_slices};
use super::uid::uid;
use crate::provenance::sha256;
use crate::{Derivation, Error, Source, Written};

mod kept;
mod label;
mod origin;
mod padding;

use kept::{Kept, kept_of};
pub(crate) use kept::{equipment_history, other_modality_base, usual_window};
pub(crate) use label::{DERIVATION_JSON, Label, SCHEME, items_of, json};
pub(crate) use origin::{Origin, Relation, source_image};
pub(crate) use padding::Restored;

/// Writes a volume computed from `source` as a derived series: a folder of slices, `00001.dcm` onwards along the third
/// axis, whole or not at all.
///
/// Patient, study and frame of reference stay; series and instances are new, with UIDs that follow from the source, the
/// derivation and the pixels, so that the same run gives the same bytes and other pixels other UIDs. The objects say that
/// they are derived, by what, from which images, that they are synthetic when they are, and that they are for research. The
/// acquisition's attributes stay when the modality does and are dropped when it changes; private attributes are dropped,
/// and one private block (99ISOSCAN) holds `derivation` as JSON. Series, content and contribution carry the date of
/// [`Derivation::made_at`]; without it no date is written that the source does not have.
///
/// Pixels are stored as in the source when that holds every voxel exactly. Otherwise CT in HU is rounded to whole HU
/// (intercept −1024), wide ranges of other modalities to whole numbers, and the rest is spread over 16 bits with a slope.
/// Only HU beyond −33792 to 64511 are clamped. Voxels that the source declares as padding are padding again.
///
/// A source without patient (NIfTI, computed) gives a new study of a patient `ANON-…`, named after the input's digest.
///
/// # Errors
/// [`Error::NotWritable`] for label maps and for modalities without an image class, [`Error::NotFinite`],
/// [`Error::OutputExists`], [`Error::NotConformant`] when [`check_dicom`](crate::check_dicom) finds an error that the
/// source does not have, [`Error::Io`].
pub fn write_dicom(dir: &Path, volume: &Volume, source: &Source, derivation: &Derivation) -> Result<Written, Error> {
    write_dicom_slices(dir, volume, source, derivation)
}

/// Writes an image whose voxels stay in storage as [`write_dicom`] writes one in memory, with the same bytes. The slices are
/// read three times, a few of them at once: for their range, for what the UIDs follow from, and to be written.
///
/// # Errors
/// Those of [`write_dicom`]; [`Error::Storage`] when the slices, or those of the source that hold padding, cannot be read.
pub fn write_dicom_slices(
    dir: &Path,
    slices: &dyn Slices,
    source: &Source,
    derivation: &Derivation,
) -> Result<Written, Error> {
    let origin = Origin::of(source, slices, dir)?;
    require_writable(&origin, slices, dir)?;
    let relation = origin.relation(slices);
    let image = &Restored::of(slices, &origin, &relation);
    let plan = plan(image, origin.alike(&relation), dir)?;
    let content = Content::of(image, &plan, dir)?;
    let pipeline = sha256(json(derivation).as_bytes());
    let series_uid = uid(&["derived series", origin.id(), &pipeline, &content.hashes.join("")]);
    let label = Label { derivation, relation: &relation, modality: image.modality(), series_uid: &series_uid };
    let sources = origin.source_images(relation.locations);
    let files = write_slices(dir, image, &plan, &origin.files(), |k| {
        let (mut object, padding) = match origin.nearest(image.geometry(), k) {
            Some(slice) => kept_of(slice, &Kept { unit: image.unit(), relation: &relation, plan: &plan }),
            None => (fresh_study(&anonymous(origin.id()), origin.id()), None),
        };
        complete(&mut object, image.modality(), origin.id());
        if !relation.same_grid {
            kept::put_new_grid(&mut object, image, k);
        }
        label.put_series(&mut object);
        put(
            &mut object,
            tags::SOP_INSTANCE_UID,
            VR::UI,
            uid(&["derived image", &series_uid, &k.to_string(), &content.hashes[k]]),
        );
        kept::put_pet_counts(&mut object, image, &relation, k);
        let image_type = label.image_type(&object);
        put(&mut object, tags::IMAGE_TYPE, VR::CS, image_type);
        label.put_derivation(&mut object, &sources);
        Draft { object, padding }
    })?;
    Ok(Written { files, max_error: content.max_error, clamped: content.clamped })
}

fn require_writable(origin: &Origin, image: &dyn Slices, path: &Path) -> Result<(), Error> {
    let (modality, unit) = (image.modality(), image.unit());
    let as_source = matches!(origin, Origin::Series(series) if series.modality() == modality);
    let has_class = sop_class(modality).is_some() || (as_source && modality == Modality::Dx);
    let [nx, ny, nz] = image.geometry().size();
    let sized = nx.max(ny).max(nz) <= usize::from(u16::MAX) && (nz == 1 || !is_projection(modality));
    if has_class && unit != Unit::Label && sized {
        return Ok(());
    }
    Err(Error::NotWritable { modality, unit, path: path.to_owned() })
}

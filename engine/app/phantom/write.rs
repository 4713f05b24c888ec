//! The files of one subject.

use std::{borrow::Cow, fs, path::Path, sync::atomic::AtomicBool};

use isoscan_imaging::{Modality, Unit, Volume};
use isoscan_io::{Derivation, Segment};
use isoscan_phantom::{Acquisition, LabelMap, Order, Subject, Truth, Visit, draw};

use super::{
    header::header,
    layout::{Layout, Named},
    require_going_on, tables, travel,
};
use crate::failure::Failure;

/// How subjects are written.
pub(super) struct Writer<'a> {
    pub(super) dicom: bool,
    pub(super) layout: &'a Layout,
    pub(super) cancel: &'a AtomicBool,
}

impl Writer<'_> {
    /// Draws, scans and writes one subject into its place below `folder`; gives what is known of it.
    pub(super) fn subject(&self, folder: &Path, order: &Order) -> Result<Vec<Truth>, Failure> {
        let name = format!("sub-{:03}", order.subject);
        let visit = Visit::only(order.seed);
        match self.layout {
            Layout::Flat(protocol) => {
                let subject = draw(order, &visit)?;
                let stem = folder.join(format!("{name}_{}", super::layout::stem(protocol)));
                self.scan(&stem, order, "", &subject.acquire(protocol)?)?;
                let truth = subject.truth()?;
                tables::write_arteries(&folder.join(format!("{name}_arteries.json")), &truth)?;
                Ok(vec![truth])
            }
            Layout::Folder(scans) => {
                let subject = draw(order, &visit)?;
                let folder = folder.join(name);
                make_folder(&folder)?;
                self.scans(&folder, order, &subject, scans)?;
                let truth = subject.truth()?;
                tables::write_arteries(&folder.join("arteries.json"), &truth)?;
                Ok(vec![truth])
            }
            Layout::Travel { scanners, sessions } => travel::subject(self, folder, order, scanners, *sessions),
        }
    }

    /// The subject after the last, in the style to reach: that of the last scan of a folder.
    pub(super) fn template(&self, folder: &Path, order: &Order) -> Result<(), Failure> {
        let Layout::Folder(scans) = self.layout else { return Ok(()) };
        let Some(style) = scans.last() else { return Ok(()) };
        require_going_on(self.cancel)?;
        let scan = draw(order, &Visit::only(order.seed))?.acquire(&style.protocol)?;
        isoscan_io::write_nifti(&folder.join("template.nii.gz"), &scan.image, None, None)?;
        Ok(())
    }

    /// The scans of a subject's folder. Labels lie on the first scan's grid; a scan on another grid, or with other labels,
    /// has labels of its own.
    fn scans(&self, folder: &Path, order: &Order, subject: &Subject, scans: &[Named]) -> Result<(), Failure> {
        let mut written: Vec<LabelMap> = Vec::new();
        for Named { stem, protocol } in scans {
            require_going_on(self.cancel)?;
            let made = subject.acquire(protocol)?;
            self.scan(&folder.join(stem), order, "", &made)?;
            for map in made.maps {
                let same = |other: &LabelMap| other.name == map.name && other.volume == map.volume;
                if written.iter().any(same) {
                    continue;
                }
                let first = !written.iter().any(|other| other.name == map.name);
                let name = if first { map.name.to_owned() } else { format!("{}-{stem}", map.name) };
                isoscan_io::write_nifti(&folder.join(format!("{name}.nii.gz")), &map.volume, None, None)?;
                tables::write_names(&folder.join(format!("{name}.tsv")), map.names)?;
                if self.dicom && made.image.modality() != Modality::Dx {
                    self.segmentation(&folder.join(format!("{name}-seg.dcm")), &folder.join(stem), order, &map)?;
                }
                written.push(map);
            }
        }
        Ok(())
    }

    /// Writes one scan as `stem.nii.gz` or as a folder `stem`.
    pub(super) fn scan(&self, stem: &Path, order: &Order, session: &str, made: &Acquisition) -> Result<(), Failure> {
        if self.dicom {
            isoscan_io::write_dicom_new(stem, &storable(&made.image), &header(order, &made.facts, session))?;
        } else {
            isoscan_io::write_nifti(&stem.with_added_extension("nii.gz"), &made.image, None, None)?;
        }
        Ok(())
    }

    /// Writes labels as a DICOM segmentation of the series in `series`.
    pub(super) fn segmentation(
        &self,
        path: &Path,
        series: &Path,
        order: &Order,
        map: &LabelMap,
    ) -> Result<(), Failure> {
        let present = |label: i32| map.volume.as_slice().contains(&(label as f32));
        let segments: Vec<Segment> = map
            .names
            .iter()
            .filter(|(label, _)| present(*label))
            .map(|(label, name)| Segment { name: (*name).to_owned(), ..Segment::unnamed(*label) })
            .collect();
        if segments.is_empty() {
            return Ok(());
        }
        let source = isoscan_io::read(series)?.source;
        let derivation = Derivation {
            plugin_id: "isoscan phantom".to_owned(),
            plugin_version: env!("CARGO_PKG_VERSION").to_owned(),
            params: serde_json::json!({"kind": order.kind, "subject": order.subject}),
            seed: order.seed,
            description: "exact labels of a phantom".to_owned(),
            synthetic: true,
            engine_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Derivation::default()
        };
        Ok(isoscan_io::write_segmentation(path, &map.volume, &segments, &source, &derivation)?)
    }
}

/// Radiographs in DICOM are whole numbers: optical densities are written in thousandths, those below 0 as 0.
fn storable(image: &Volume) -> Cow<'_, Volume> {
    if (image.modality(), image.unit()) != (Modality::Dx, Unit::OpticalDensity) {
        return Cow::Borrowed(image);
    }
    let thousandths = image.map(|density| (1000.0 * density).round().max(0.0));
    Cow::Owned(thousandths.with_meaning(Modality::Dx, Unit::Arbitrary))
}

pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}

/// Writes a label map as NIfTI.
pub(super) fn labels(path: &Path, volume: &Volume) -> Result<(), Failure> {
    Ok(isoscan_io::write_nifti(path, volume, None, None)?)
}

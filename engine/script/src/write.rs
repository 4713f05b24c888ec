use std::path::PathBuf;
use std::sync::Arc;

use isoscan_imaging::{Unit, Volume};
use isoscan_io::{
    BidsDataset, BidsImage, Code, Derivation, NiftiOptions, NiftiStored, Quantity, Segment, Source, Written,
};
use rhai::{Engine, Map};

use crate::{
    Error,
    cohort::Subject,
    options::{Options, list, text},
    scan::{Roi, Scan},
    state::Run,
    value::argument,
    verb::{Verb, of_image_and},
};

/// Folder of the BIDS derivative below the output folder.
const DERIVATIVE: &str = "derivative";

/// Registers what writes. `save` writes a subject's translated image as NIfTI and as a derived DICOM series, or of a BIDS
/// dataset as an image of the BIDS dataset `derivative`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("save", move |subject: &mut Subject, method: &str, scan: Scan| -> Verb<()> {
        if let Some((dataset, image)) = subject.bids() {
            return Ok(write_bids(&shared, dataset, image, method, &scan)?);
        }
        let stem = format!("translated/{}/{method}", subject.id());
        write_image(&shared, &scan, &format!("{stem}.nii.gz"), &Map::new())?;
        write_dicom(&shared, &scan, &format!("{stem}_dicom"), &Map::new())?;
        Ok(())
    });
    of_image_and(engine, run, "write", |run, scan, name, options| {
        write_image(run, scan, &text("name", name)?, options)
    });
    of_image_and(engine, run, "write_dicom", |run, scan, name, options| {
        write_dicom(run, scan, &text("name", name)?, options)
    });
    of_image_and(engine, run, "write_parametric_map", |run, scan, name, options| {
        write_parametric_map(run, scan, &text("name", name)?, options)
    });
    of_image_and(engine, run, "write_seg", |run, labels, name, options| {
        Options::new("write_seg", options, &[])?;
        let made = derivation(run, labels)?;
        write_segmentation(run, &text("name", name)?, &labels.volume, &[], &labels.source, &made)
    });
    let shared = run.clone();
    engine.register_fn("write", move |roi: &mut Roi, name: &str| -> Verb<()> { Ok(write_mask(&shared, roi, name)?) });
    let shared = run.clone();
    engine.register_fn("write_seg", move |roi: &mut Roi, name: &str, scan: Scan, label: &str| -> Verb<()> {
        Ok(write_region(&shared, roi, name, &scan, label, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn(
        "write_seg",
        move |roi: &mut Roi, name: &str, scan: Scan, label: &str, options: Map| -> Verb<()> {
            Ok(write_region(&shared, roi, name, &scan, label, &options)?)
        },
    );
}

/// Writes one image of the derivative dataset with its sidecar.
fn write_bids(run: &Run, dataset: &BidsDataset, image: &BidsImage, method: &str, scan: &Scan) -> Result<(), Error> {
    let root = run.access.writable(DERIVATIVE)?;
    let made = derivation(run, scan)?;
    let path = isoscan_io::write_bids_derivative(&root, dataset, image, method, &scan.volume, &scan.source, &made)?;
    run.wrote(&path)
}

/// How the image was made, for its file.
fn derivation(run: &Run, scan: &Scan) -> Result<Derivation, Error> {
    let maker = scan.maker.as_deref();
    let description = match maker {
        Some(maker) => format!("{} {}", maker.plugin, maker.version),
        None => "preprocessed".to_owned(),
    };
    Ok(Derivation {
        plugin_id: maker.map_or_else(String::new, |m| m.plugin.clone()),
        plugin_version: maker.map_or_else(String::new, |m| m.version.clone()),
        plugin_sha256: maker.map_or_else(String::new, |m| m.library_sha256.clone()),
        weights_sha256: maker.and_then(|m| m.weights_sha256.clone()),
        params: serde_json::Value::Array(scan.steps.as_ref().clone()),
        seed: run.seed,
        script_sha256: Some(run.script_sha256.clone()),
        description,
        synthetic: maker.is_some_and(|m| m.synthetic),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: run.made_at,
        input_sha256: scan.source.input_sha256()?.into_iter().collect(),
    })
}

/// The path of an output, its folder made.
pub(crate) fn place(run: &Run, name: &str) -> Result<PathBuf, Error> {
    let path = run.access.writable(name)?;
    if let Some(folder) = path.parent() {
        let failed = |source| isoscan_io::Error::Io { action: "make folder", path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    Ok(path)
}

/// Notes the files; gives the largest distance of a voxel from what they give back.
fn noted(run: &Run, written: &Written) -> Result<f64, Error> {
    for file in &written.files {
        run.wrote(file)?;
    }
    Ok(written.max_error)
}

/// Writes one image below the output folder, in the format that its name ends in.
fn write_image(run: &Run, scan: &Scan, name: &str, given: &Map) -> Result<f64, Error> {
    let options = Options::new("write", given, &["scaled"])?;
    let path = place(run, name)?;
    let made = derivation(run, scan)?;
    if !options.flag("scaled", false)? {
        return noted(run, &isoscan_io::write(&path, &scan.volume, Some(&scan.source), Some(&made))?);
    }
    let stored = NiftiOptions { stored: NiftiStored::Scaled16, ..NiftiOptions::default() };
    let written = isoscan_io::write_nifti_volumes(&path, &[&scan.volume], Some(&scan.source), Some(&made), &stored)?;
    run.wrote(&path)?;
    Ok(written.largest_error)
}

/// Writes one derived DICOM series as a folder below the output folder, or as one multi-frame file.
fn write_dicom(run: &Run, scan: &Scan, name: &str, given: &Map) -> Result<f64, Error> {
    let options = Options::new("write_dicom", given, &["enhanced"])?;
    let enhanced = options.flag("enhanced", false)?;
    let path = if enhanced { place(run, name)? } else { run.access.writable(name)? };
    let write = if enhanced { isoscan_io::write_dicom_enhanced } else { isoscan_io::write_dicom };
    noted(run, &write(&path, &scan.volume, &scan.source, &derivation(run, scan)?)?)
}

/// Writes a region as a label map, 1 inside and 0 outside.
fn write_mask(run: &Run, roi: &Roi, name: &str) -> Result<(), Error> {
    let path = place(run, name)?;
    let labels = Scan::new(run, roi.mask.to_volume(), Arc::new(Source::None))?;
    noted(run, &isoscan_io::write(&path, &labels.volume, None, Some(&derivation(run, &labels)?))?)?;
    Ok(())
}

/// Writes a region of an image as a DICOM segmentation.
fn write_region(run: &Run, roi: &Roi, name: &str, scan: &Scan, label: &str, given: &Map) -> Result<(), Error> {
    let options = Options::new("write_seg", given, &["category", "property"])?;
    let usual = Segment::unnamed(1);
    let segment = Segment {
        label: 1,
        name: label.to_owned(),
        category: code(&options, "category", usual.category)?,
        property: code(&options, "property", usual.property)?,
    };
    scan.volume.geometry().require_same(roi.mask.geometry(), 1e-3)?;
    let made = derivation(run, scan)?;
    write_segmentation(run, name, &roi.mask.to_volume(), &[segment], &scan.source, &made)
}

fn write_segmentation(
    run: &Run,
    name: &str,
    labels: &Volume,
    segments: &[Segment],
    source: &Source,
    made: &Derivation,
) -> Result<(), Error> {
    let path = place(run, name)?;
    isoscan_io::write_segmentation(&path, labels, segments, source, made)?;
    run.wrote(&path)
}

/// Writes an image as a DICOM parametric map.
fn write_parametric_map(run: &Run, scan: &Scan, name: &str, given: &Map) -> Result<(), Error> {
    let options = Options::new("write_parametric_map", given, &["name", "quantity", "unit"])?;
    let quantity = Quantity {
        name: options.text("name")?.unwrap_or_else(|| scan.volume.unit().to_string()),
        quantity: code(&options, "quantity", Code::new("C25337", "NCIt", "Number"))?,
        unit: code(&options, "unit", unit_code(scan.volume.unit()))?,
    };
    let path = place(run, name)?;
    isoscan_io::write_parametric_map(&path, &scan.volume, &quantity, &scan.source, &derivation(run, scan)?)?;
    run.wrote(&path)
}

fn unit_code(unit: Unit) -> Code {
    match unit {
        Unit::Hounsfield => Code::new("[hnsf'U]", "UCUM", "Hounsfield unit"),
        Unit::Suv => Code::new("g/ml{SUVbw}", "UCUM", "Standardized Uptake Value body weight"),
        _ => Code::new("1", "UCUM", "no units"),
    }
}

/// `[code, scheme, meaning]`.
fn code(options: &Options<'_>, name: &str, default: Code) -> Result<Code, Error> {
    let Some(given) = options.get(name) else { return Ok(default) };
    let parts = list(name, given)?.iter().map(|part| text(name, part)).collect::<Result<Vec<_>, _>>()?;
    match parts.as_slice() {
        [value, scheme, meaning] => Ok(Code::new(value, scheme, meaning)),
        _ => Err(argument(name, "three texts [code, scheme, meaning]", format!("{} texts", parts.len()))),
    }
}

use std::sync::Arc;

use isoscan_io::Derivation;
use rhai::{Engine, EvalAltResult};

use crate::{Error, cohort::Subject, scan::Scan, state::Run};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers `save`: a subject's translated image as NIfTI and as a derived DICOM series.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("save", move |subject: &mut Subject, method: &str, scan: Scan| -> Verb<()> {
        let stem = format!("translated/{}/{method}", subject.id());
        write_nifti(&shared, &scan, &format!("{stem}.nii.gz"))?;
        write_dicom(&shared, &scan, &format!("{stem}_dicom"))?;
        Ok(())
    });
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
        input_sha256: scan.source.input_sha256()?.into_iter().collect(),
    })
}

/// Writes one NIfTI file below the output folder.
pub(crate) fn write_nifti(run: &Run, scan: &Scan, name: &str) -> Result<(), Error> {
    let path = run.access.writable(name)?;
    if let Some(folder) = path.parent() {
        let failed = |source| isoscan_io::Error::Io { action: "make folder", path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    isoscan_io::write_nifti(&path, &scan.volume, Some(&scan.source), Some(&derivation(run, scan)?))?;
    run.wrote(&path)
}

/// Writes one derived DICOM series as a folder below the output folder.
pub(crate) fn write_dicom(run: &Run, scan: &Scan, name: &str) -> Result<(), Error> {
    let folder = run.access.writable(name)?;
    for file in isoscan_io::write_dicom(&folder, &scan.volume, &scan.source, &derivation(run, scan)?)? {
        run.wrote(&file)?;
    }
    Ok(())
}

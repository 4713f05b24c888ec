//! Verbs that measure regions by radiomics.

use std::sync::Arc;

use isoscan_radiomics as radiomics;
use radiomics::filters::{Filter, response};
use radiomics::{Feature, FeatureTable, Mode, Perturbation, Settings, StoredType, ibsi, read_parameters};
use rhai::{Array, Dynamic, Engine, Map};
use serde_json::{Value, json};

use crate::{
    Error,
    options::Options,
    reading::note_file,
    scan::{Roi, Scan},
    state::Run,
    value::{argument, json, told},
    verb::{Verb, of_image_and},
};

/// Registers them.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_fn("radiomics", |scan: Scan, roi: Roi| -> Verb<Map> {
        Ok(values(&table(&scan, &roi, &Map::new())?))
    });
    engine.register_fn("radiomics", |scan: Scan, roi: Roi, settings: Map| -> Verb<Map> {
        Ok(values(&table(&scan, &roi, &settings)?))
    });
    engine.register_fn("radiomics_table", |scan: Scan, roi: Roi| -> Verb<Array> {
        Ok(lines(&table(&scan, &roi, &Map::new())?))
    });
    engine.register_fn("radiomics_table", |scan: Scan, roi: Roi, settings: Map| -> Verb<Array> {
        Ok(lines(&table(&scan, &roi, &settings)?))
    });
    let shared = run.clone();
    engine.register_fn("radiomics_maps", move |scan: Scan, roi: Roi, settings: Map| -> Verb<Map> {
        Ok(feature_maps(&shared, &scan, &roi, &settings)?)
    });
    of_image_and(engine, run, "filter_response", filter_response);
    let shared = run.clone();
    engine.register_fn("perturb", move |scan: Scan, roi: Roi, how: Map| -> Verb<Map> {
        Ok(perturbed(&shared, &scan, &roi, &how)?)
    });
    let shared = run.clone();
    engine.register_fn("radiomics_settings", move |path: &str| -> Verb<Dynamic> {
        let real = shared.access.readable(path).map_err(Box::<rhai::EvalAltResult>::from)?;
        note_file(&shared, &real)?;
        let failed = |source| isoscan_io::Error::Io { action: "read", path: path.into(), source };
        let text = std::fs::read_to_string(&real).map_err(|error| Error::from(failed(error)))?;
        rhai::serde::to_dynamic(read_parameters(&text).map_err(Error::from)?)
    });
}

/// How a script's map says to measure: `mode` is `pyradiomics`, the default, or `ibsi`; the rest are the settings of that
/// mode. An image as it was read is told by the type of its file.
pub(crate) fn mode(scan: &Scan, given: &Map) -> Result<Mode, Error> {
    let mut given = given.clone();
    let named = given.remove("mode").map(|mode| mode.clone().into_string().map_err(|_| told(&mode))).transpose();
    let known = "pyradiomics or ibsi";
    let named = named.map_err(|found| argument("mode", known, found))?;
    let text = json("settings", &Dynamic::from_map(given))?.to_string();
    match named.as_deref() {
        None | Some("pyradiomics") => {
            let mut settings = Settings::from_json(&text)?;
            let read = scan.steps.is_empty() && scan.maker.is_none();
            if let (true, StoredType::Detect, Some(stored)) = (read, settings.stored_type, scan.source.intensity_type())
            {
                // 64-bit whole numbers have no name there and are found by looking at the voxels.
                let _ = settings.set("storedType", &Value::from(stored));
            }
            Ok(Mode::Pyradiomics(Box::new(settings)))
        }
        Some("ibsi") => Ok(Mode::Ibsi(Box::new(ibsi::Settings::from_text(&text)?))),
        Some(other) => Err(argument("mode", known, other)),
    }
}

fn table(scan: &Scan, roi: &Roi, given: &Map) -> Result<FeatureTable, Error> {
    Ok(mode(scan, given)?.extract(&scan.volume, &roi.mask)?)
}

fn values(table: &FeatureTable) -> Map {
    table.features.iter().map(|feature| (feature.name.as_str().into(), Dynamic::from_float(feature.value))).collect()
}

/// A map for each feature: `name`, `family`, `value`, the `ibsi` code, and the `reason` of a value that is no number.
fn lines(table: &FeatureTable) -> Array {
    let line = |feature: &Feature| {
        Dynamic::from_map(Map::from([
            ("name".into(), feature.name.clone().into()),
            ("family".into(), feature.family.name().into()),
            ("value".into(), Dynamic::from_float(feature.value)),
            ("ibsi".into(), feature.ibsi.unwrap_or_default().into()),
            ("reason".into(), feature.reason.map(|reason| reason.to_string()).unwrap_or_default().into()),
        ]))
    };
    table.features.iter().map(line).collect()
}

/// Of every feature, by its name, an image of its values around each voxel of the region: on the image's grid, or where the
/// settings resample on that of the region's box.
fn feature_maps(run: &Run, scan: &Scan, roi: &Roi, given: &Map) -> Result<Map, Error> {
    let Mode::Pyradiomics(settings) = mode(scan, given)? else {
        return Err(argument("mode", "pyradiomics, for maps", "ibsi"));
    };
    let told = json("settings", &Dynamic::from_map(given.clone()))?;
    let mut maps = Map::new();
    for map in radiomics::maps(&scan.volume, &roi.mask, &settings)? {
        let whole = map.volume(scan.volume.geometry(), scan.volume.modality());
        let volume = match whole {
            Err(radiomics::Error::GeometryMismatch { .. }) => map.volume(&map.geometry, scan.volume.modality())?,
            found => found?,
        };
        let step = json!({"verb": "radiomics_maps", "settings": told, "feature": map.name});
        maps.insert(map.name.as_str().into(), Dynamic::from(scan.then(run, volume, step)?));
    }
    Ok(maps)
}

/// The response to a convolutional filter of IBSI-2, such as `#{ mean: #{ support: 5, dimensions: "3D", boundary: "mirror" } }`.
fn filter_response(run: &Run, scan: &Scan, filter: &Dynamic, options: &Map) -> Result<Scan, Error> {
    Options::new("filter_response", options, &[])?;
    let told = json("filter", filter)?;
    let parsed: Filter = serde_json::from_value(told.clone())
        .map_err(|error| argument("filter", "one of IBSI-2 with its parameters", error))?;
    let volume = response(&scan.volume, &parsed)?;
    scan.then(run, volume, json!({"verb": "filter_response", "filter": told}))
}

/// Disturbs an image and its region, as `#{ angle_deg: 5, shift_voxels: [0.5, 0, 0], noise: 0 }` says: gives both as `image` and
/// `mask`.
fn perturbed(run: &Run, scan: &Scan, roi: &Roi, how: &Map) -> Result<Map, Error> {
    let told = json("perturbation", &Dynamic::from_map(how.clone()))?;
    let parsed: Perturbation = serde_json::from_value(told.clone())
        .map_err(|error| argument("perturbation", "a map of what is changed", error))?;
    let (volume, mask) = radiomics::perturb(&scan.volume, &roi.mask, &parsed, run.seed)?;
    let step = json!({"verb": "perturb", "perturbation": told});
    Ok(Map::from([
        ("image".into(), Dynamic::from(scan.then(run, volume, step)?)),
        ("mask".into(), Dynamic::from(Roi::new(run, mask)?)),
    ]))
}

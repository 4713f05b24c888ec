use std::{collections::BTreeMap, sync::Arc};

use isoscan_host::Pin;
use isoscan_pipeline::{Job, translate};
use rhai::{Dynamic, Engine, EvalAltResult, Map};
use serde_json::json;

use crate::{
    Error,
    ledger::PluginRecord,
    scan::{Maker, Scan},
    state::Run,
    value,
};

/// The requirement that every version fulfils.
const ANY: &str = "*";

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// A plugin version that a script chose; its type in scripts is `Plugin`.
#[derive(Clone)]
struct Chosen(Pin);

/// Registers plugins and the translation verb.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    engine.register_type_with_name::<Chosen>("Plugin");
    let shared = run.clone();
    engine.register_fn("plugin", move |id: &str| -> Verb<Chosen> { Ok(Chosen(shared.plugins.get(id, ANY)?)) });
    let shared = run.clone();
    engine.register_fn("plugin", move |id: &str, version: &str| -> Verb<Chosen> {
        Ok(Chosen(shared.plugins.get(id, version)?))
    });
    engine.register_get("id", |plugin: &mut Chosen| plugin.0.bundle().id.clone());
    engine.register_get("version", |plugin: &mut Chosen| plugin.0.bundle().version.clone());
    engine.register_get("sha256", |plugin: &mut Chosen| plugin.0.bundle().manifest_sha256.clone());
    engine.register_fn("to_string", |plugin: &mut Chosen| {
        format!("{} {}", plugin.0.bundle().id, plugin.0.bundle().version)
    });
    let shared = run.clone();
    engine.register_fn("inputs_of", move |plugin: Dynamic| -> Verb<rhai::Array> {
        let plugin = chosen(&shared, &plugin)?;
        Ok(plugin.descriptor().inputs.iter().map(|input| input.name.clone().into()).collect())
    });
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: Dynamic| -> Verb<Scan> {
        Ok(apply(&shared, scan, &plugin, &Map::new(), &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: Dynamic, params: Map| -> Verb<Scan> {
        Ok(apply(&shared, scan, &plugin, &params, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: Dynamic, params: Map, inputs: Map| -> Verb<Scan> {
        Ok(apply(&shared, scan, &plugin, &params, &inputs)?)
    });
}

/// The plugin that a script names by its id, or chose with `plugin(id, version)`.
fn chosen(run: &Run, plugin: &Dynamic) -> Result<Pin, Error> {
    if let Some(Chosen(pin)) = plugin.clone().try_cast() {
        return Ok(pin);
    }
    let id = plugin.clone().into_immutable_string();
    let id = id.map_err(|_| value::argument("the plugin", "an id or plugin(id, version)", value::told(plugin)))?;
    run.plugins.get(&id, ANY)
}

/// Translates with a plugin; `inputs` are its further images by name, and those it does not declare are left out.
fn apply(run: &Run, scan: &Scan, plugin: &Dynamic, params: &Map, inputs: &Map) -> Result<Scan, Error> {
    let plugin = chosen(run, plugin)?;
    let params: BTreeMap<String, serde_json::Value> =
        params.iter().map(|(name, v)| Ok((name.to_string(), value::json(name, v)?))).collect::<Result<_, Error>>()?;
    let mut further: Vec<(&str, Scan)> = Vec::new();
    for (name, given) in inputs {
        let image =
            given.clone().try_cast::<Scan>().ok_or_else(|| value::argument(name, "an image", value::told(given)))?;
        if plugin.descriptor().inputs.iter().any(|input| input.name == name.as_str()) {
            further.push((name, image));
        }
    }
    let volumes: Vec<(&str, &isoscan_imaging::Volume)> =
        further.iter().map(|(name, image)| (*name, image.volume.as_ref())).collect();
    let job = Job { seed: run.seed, name: &plugin.bundle().id, cancel: run.stop.flag() };
    let done = translate(&plugin, &scan.volume, &volumes, &params, &job).inspect_err(|error| {
        if let isoscan_pipeline::Error::Fault(fault) = error {
            run.plugins.note(&plugin, fault);
        }
    })?;
    let bundle = plugin.bundle();
    let maker = Maker {
        plugin: bundle.id.clone(),
        version: bundle.version.clone(),
        library_sha256: bundle.sha256.clone(),
        weights_sha256: bundle.weights_sha256.clone(),
        params: json!(done.params),
        synthetic: plugin.descriptor().synthetic,
        outside_range: done.outside_range,
    };
    run.ledger().plugins.insert(
        (maker.plugin.clone(), maker.version.clone()),
        PluginRecord {
            id: maker.plugin.clone(),
            version: maker.version.clone(),
            trust: bundle.level.to_string(),
            manifest_sha256: bundle.manifest_sha256.clone(),
            library_sha256: maker.library_sha256.clone(),
            weights_sha256: maker.weights_sha256.clone(),
        },
    );
    let step = json!({"verb": "translate", "plugin": maker.plugin, "version": maker.version, "params": maker.params,
        "voxels_outside_range": maker.outside_range});
    Ok(scan.then(run, done.volume, step)?.by(maker))
}

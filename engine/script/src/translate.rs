use std::{collections::BTreeMap, sync::Arc};

use isoscan_pipeline::{Job, translate};
use rhai::{Engine, EvalAltResult, Map};
use serde_json::json;

use crate::{
    Error,
    ledger::PluginRecord,
    scan::{Maker, Scan},
    state::Run,
    value,
};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers the translation verb.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: &str| -> Verb<Scan> {
        Ok(apply(&shared, scan, plugin, &Map::new(), &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: &str, params: Map| -> Verb<Scan> {
        Ok(apply(&shared, scan, plugin, &params, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("translate", move |scan: &mut Scan, plugin: &str, params: Map, inputs: Map| -> Verb<Scan> {
        Ok(apply(&shared, scan, plugin, &params, &inputs)?)
    });
    let shared = run.clone();
    engine.register_fn("inputs_of", move |plugin: &str| -> Verb<rhai::Array> {
        let plugin = shared.plugins.get(plugin)?;
        Ok(plugin.descriptor().inputs.iter().map(|input| input.name.clone().into()).collect())
    });
}

/// Translates with a plugin; `inputs` are its further images by name, and those it does not declare are left out.
fn apply(run: &Run, scan: &Scan, id: &str, params: &Map, inputs: &Map) -> Result<Scan, Error> {
    let plugin = run.plugins.get(id)?;
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
    let job = Job { seed: run.seed, name: id, cancel: run.stop.flag() };
    let done = translate(&plugin, &scan.volume, &volumes, &params, &job)?;
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
        maker.plugin.clone(),
        PluginRecord {
            version: maker.version.clone(),
            library_sha256: maker.library_sha256.clone(),
            weights_sha256: maker.weights_sha256.clone(),
        },
    );
    let step = json!({"verb": "translate", "plugin": maker.plugin, "version": maker.version, "params": maker.params,
        "voxels_outside_range": maker.outside_range});
    Ok(scan.then(run, done.volume, step)?.by(maker))
}

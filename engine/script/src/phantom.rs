use std::sync::Arc;

use isoscan_io::Source;
use isoscan_phantom::{Grid, abdomen, labels_on, protocol, scan};
use rhai::{Dynamic, Engine, EvalAltResult, Map};

use crate::{Error, scan::Scan, state::Run, value::argument};

type Verb<T> = Result<T, Box<EvalAltResult>>;

/// Registers `phantom(subject, protocol)`: a simulated abdomen CT with its labels and the run's seed.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("phantom", move |subject: i64, id: &str| -> Verb<Map> { Ok(make(&shared, subject, id)?) });
}

fn make(run: &Run, subject: i64, id: &str) -> Result<Map, Error> {
    let subject = u32::try_from(subject).map_err(|_| argument("subject", "a whole number from 0", subject))?;
    let protocol = protocol(id)?;
    let anatomy = abdomen(run.seed, subject, &Grid::default());
    let image = scan(&anatomy, protocol, run.seed, subject)?;
    let labels = labels_on(&anatomy, image.geometry());
    let source = Arc::new(Source::None);
    let mut map = Map::new();
    map.insert("image".into(), Dynamic::from(Scan::new(run, image, source.clone())?));
    map.insert("labels".into(), Dynamic::from(Scan::new(run, labels, source)?));
    Ok(map)
}

use std::sync::Arc;

use rhai::{Dynamic, Engine, Map};

use super::{Audit, AuditRequest, Group, Role, audit};
use crate::{Error, options::Options, state::Run, value::argument, verb::Verb};

/// Registers `audit`.
pub(crate) fn register(engine: &mut Engine, run: &Arc<Run>) {
    let shared = run.clone();
    engine.register_fn("audit", move |groups: Map| -> Verb<Dynamic> {
        told(&of_folders(&shared, &groups, &Map::new())?)
    });
    let shared = run.clone();
    engine.register_fn("audit", move |groups: Map, options: Map| -> Verb<Dynamic> {
        told(&of_folders(&shared, &groups, &options)?)
    });
}

fn told(audit: &Audit) -> Verb<Dynamic> {
    let mut map: Map = rhai::serde::to_dynamic(audit)?.cast();
    map.insert("leaks".into(), audit.leaks().into());
    Ok(map.into())
}

/// Folders by name; those whose name begins with `test` or `validation` are held out.
fn of_folders(run: &Run, groups: &Map, given: &Map) -> Result<Audit, Error> {
    let options = Options::new("audit", given, &["paired"])?;
    let mut request = AuditRequest::default();
    for (name, folder) in groups {
        let text = folder.clone().into_immutable_string();
        let text = text.map_err(|_| argument(name, "the path of a folder", crate::value::told(folder)))?;
        let role = match name.as_str() {
            name if name.starts_with("test") => Role::Test,
            name if name.starts_with("validation") => Role::Validation,
            _ => Role::Train,
        };
        let folder = run.access.readable(&text)?;
        request.groups.push(Group { name: name.to_string(), folder, role, modality: None });
    }
    if options.flag("paired", false)? {
        let training = request.groups.iter().filter(|group| group.role == Role::Train);
        request.together.push(training.map(|group| group.name.clone()).collect());
    }
    audit(&request)
}

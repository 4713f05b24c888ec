//! Where plugins lie, who is trusted, and how they are run: the same options for every command that runs some.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use isoscan_host::{
    Bundle, Error, Event, Isolation, Options, Plugin, Policy, Shelf, ShelfOptions, Staged, Store, Trust, open_bundle,
    test_golden,
};

use super::keys;
use crate::{failure::Failure, progress::note};

/// Where plugins lie and how they are run.
#[derive(Args, Clone)]
pub(crate) struct Where {
    /// Folder of plugin bundles; may be given more than once [default: `plugins` beside the program]
    #[arg(long = "plugins", value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Run bundles that no trusted key signed, in a sandbox that is never relaxed
    #[arg(long)]
    allow_unsigned: bool,
    /// File of trusted keys [default: isoscan/keys.toml in the user's configuration folder]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// Folder that plugins are copied to and run from [default: isoscan in the user's state folder]
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// What to do where the kernel cannot enforce the sandbox
    #[arg(long, value_enum, default_value_t = Sandbox::Required)]
    sandbox: Sandbox,
    /// Longest time of one call into a plugin, seconds [default: what the plugin declares, or 120]
    #[arg(long, value_name = "SECONDS")]
    deadline: Option<f64>,
    /// Run plugins in this process: a crash of a plugin is then a crash of the program
    #[arg(long)]
    in_process: bool,
}

#[derive(ValueEnum, Clone, Copy)]
enum Sandbox {
    /// Refuse the plugin
    Required,
    /// Run signed and built-in plugins with what there is, and say what is missing
    BestEffort,
}

/// A plugin for one command, and what keeps its files in the store.
pub(crate) struct Opened {
    plugin: Plugin,
    _staged: Option<Staged>,
}

impl std::ops::Deref for Opened {
    type Target = Plugin;

    fn deref(&self) -> &Plugin {
        &self.plugin
    }
}

impl Where {
    /// The folders given, or the one beside the program.
    pub(crate) fn folders(&self) -> Result<Vec<PathBuf>, Failure> {
        if !self.folders.is_empty() {
            return Ok(self.folders.clone());
        }
        Ok(built_in()?.filter(|folder| folder.is_dir()).into_iter().collect())
    }

    /// What the operator trusts.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        keys::trust(self.keys.as_deref(), self.allow_unsigned)
    }

    /// Options of the host for `workers` calls at a time with `threads` each.
    pub(crate) fn options(&self, workers: usize, threads: usize) -> Result<Options, Failure> {
        let isolation = if self.in_process { Isolation::InProcess } else { Isolation::Worker };
        let sandbox = match self.sandbox {
            Sandbox::Required => Policy::Required,
            Sandbox::BestEffort => Policy::BestEffort,
        };
        Ok(Options { isolation, workers, threads, sandbox, ..strict_options(self.deadline)? })
    }

    /// The plugins of the folders for one command: loaded when asked for.
    pub(crate) fn shelf(&self, workers: usize, threads: usize) -> Result<Arc<Shelf>, Failure> {
        let host = self.options(workers, threads)?;
        let on_event = Arc::new(|event: &Event| {
            if matches!(event, Event::Unprotected { .. }) {
                tell(event);
            }
        });
        let plain = ShelfOptions::new(self.folders()?, self.store()?, self.trust()?, host);
        let shelf = Shelf::open(ShelfOptions { on_event, ..plain })?;
        shelf.reconcile();
        Ok(Arc::new(shelf))
    }

    /// The plugins of the folders in service, for a command that stays running; what happens to them is shown.
    pub(crate) fn serving(&self, workers: usize, shadow: f64) -> Result<Arc<Shelf>, Failure> {
        let host = Options { spare: true, ..self.options(workers, 1)? };
        let plain = ShelfOptions::new(self.folders()?, self.store()?, self.trust()?, host);
        Ok(Arc::new(Shelf::open(ShelfOptions { eager: true, shadow, on_event: Arc::new(tell), ..plain })?))
    }

    /// The plugin of an id, such as `cyclegan` or `cyclegan@=1.4`, or the bundle or library at a path.
    pub(crate) fn open(&self, id_or_path: &str, threads: usize) -> Result<Opened, Failure> {
        let path = Path::new(id_or_path);
        if path.components().count() == 1 && !path.exists() {
            let (id, requirement) = id_or_path.split_once('@').unwrap_or((id_or_path, "*"));
            let shelf = self.shelf(1, threads)?;
            let pin = isoscan_script::pin(&shelf, id, requirement)?;
            return Ok(Opened { plugin: pin.plugin().clone(), _staged: None });
        }
        let bundle = judged(path, &self.trust()?)?;
        let options = self.options(1, threads)?;
        if path.is_file() {
            return Ok(Opened { plugin: told(Plugin::open(&bundle, options)?), _staged: None });
        }
        let staged = Store::open(&self.store()?)?.stage(&bundle)?;
        let plugin = told(Plugin::open(&staged.bundle, options)?);
        test_golden(&plugin, &staged.bundle)?;
        Ok(Opened { plugin, _staged: Some(staged) })
    }

    pub(crate) fn store(&self) -> Result<PathBuf, Failure> {
        let user = || user_folder("XDG_STATE_HOME", ".local/state");
        self.store.clone().or_else(user).ok_or_else(|| {
            Failure::new("no folder for staged plugins: neither XDG_STATE_HOME nor HOME is set")
                .help("name one with --store DIR")
        })
    }
}

/// One worker of one thread in the closed sandbox: how a vendor's bundle is tried.
pub(crate) fn strict_options(deadline_s: Option<f64>) -> Result<Options, Failure> {
    if let Some(wrong) = deadline_s.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
        return Err(Failure::new(format!("--deadline must be positive, found {wrong}")));
    }
    Ok(Options {
        isolation: Isolation::Worker,
        workers: 1,
        threads: 1,
        deadline: deadline_s.map(Duration::from_secs_f64),
        sandbox: Policy::Required,
        spare: false,
        worker_program: program()?,
    })
}

/// The bundle or library at `path`, its files as its manifest says, and who vouches for it.
pub(super) fn judged(path: &Path, trust: &Trust) -> Result<Bundle, Error> {
    let mut bundle = open_bundle(path)?;
    bundle.level = trust.judge(&bundle)?;
    Ok(bundle)
}

/// The program's own folder among the user's: below what `variable` names, or below `otherwise` in the home folder.
pub(super) fn user_folder(variable: &str, otherwise: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute(variable).or_else(|| Some(absolute("HOME")?.join(otherwise)))?;
    Some(folder.join("isoscan"))
}

/// Folder of the plugins that come with the program.
pub(super) fn built_in() -> Result<Option<PathBuf>, Failure> {
    Ok(program()?.parent().map(|folder| folder.join("plugins")))
}

pub(super) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| Failure::new(format!("cannot find the program's own file: {error}")))
}

/// Shows what the sandbox cannot promise.
fn told(plugin: Plugin) -> Plugin {
    for promise in plugin.unkept_promises() {
        note(&format!("plugin {}: {promise}", plugin.bundle().id));
    }
    plugin
}

/// Shows what happens to the plugins of a shelf.
fn tell(event: &Event) {
    note(&event.to_string());
    if let Some(table) = event.drift_table() {
        note(&table.to_string());
    }
}

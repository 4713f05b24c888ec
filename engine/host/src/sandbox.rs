//! What a worker may reach: its bundle, the libraries it is linked with, and nothing else.
//!
//! Two walls of the kernel stand behind each other: landlock says which files may be opened, [`calls`] which system
//! calls pass at all. Both are closed before any foreign code runs, and cannot be opened again.

mod calls;
mod resolve;

pub(crate) use resolve::{ask_linker, libraries};

use std::{fs, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::{
    Bundle, Fault, Isolation, Level, Options, Origin, Party, Policy, Step, TrainConfig, library::Refusal, worker,
};

/// What a worker loads and what it may reach; travels as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// The library to load.
    pub(crate) library: PathBuf,
    /// The plugin's own folder.
    pub(crate) bundle: PathBuf,
    /// Files and folders to read.
    pub(crate) read: Vec<PathBuf>,
    /// Folder to write into.
    pub(crate) write: Option<PathBuf>,
    /// Most private memory, MiB.
    pub(crate) memory_mb: u64,
    /// Refuse to go on where the kernel cannot keep a promise.
    pub(crate) strict: bool,
}

/// A place and what may be done there.
type Grant = (PathBuf, BitFlags<AccessFs>);

/// What every plugin may read.
const SYSTEM: [&str; 10] = [
    // Where the engine finds the library, and threads find their stacks.
    "/proc/self",
    // By which OpenMP and libtorch choose their code paths and threads.
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    // Where the dynamic linker looks.
    "/etc/ld.so.cache",
    // Sources of zeros and of noise.
    "/dev/zero",
    "/dev/urandom",
    // By which the C library writes local times.
    "/etc/localtime",
    "/usr/share/zoneinfo",
];
/// The place for what nobody wants to keep.
const NOTHING: &str = "/dev/null";
/// The first landlock that can forbid to shorten files.
const NEEDED: ABI = ABI::V3;
/// Open files of a worker: its libraries and weights one after the other, and some to spare.
const OPEN_FILES: u64 = 256;

impl Reach {
    /// That of the bundle's workers.
    ///
    /// # Errors
    /// As for [`worker::linked_with`].
    pub(crate) fn of(bundle: &Bundle, options: &Options, origin: &Origin) -> Result<Self, Fault> {
        let mut read = match options.isolation {
            Isolation::InProcess => Vec::new(),
            Isolation::Worker => worker::linked_with(&bundle.library, &options.worker_program, origin)?,
        };
        read.push(if bundle.is_bare() { bundle.library.clone() } else { bundle.dir.clone() });
        Ok(Self {
            library: bundle.library.clone(),
            bundle: bundle.dir.clone(),
            read,
            write: None,
            memory_mb: bundle.manifest.limits.memory_mb,
            strict: options.sandbox == Policy::Required || bundle.level == Level::Local,
        })
    }

    /// That of a training session's worker.
    ///
    /// # Errors
    /// [`Fault::Rejected`] when there is no folder to write into.
    pub(crate) fn for_training(&self, config: &TrainConfig, origin: &Origin) -> Result<Self, Fault> {
        let folder = &config.folder;
        if !folder.is_dir() {
            let (origin, step) = (origin.boxed(), Step::Sandbox);
            let reason = format!("expected a folder for the weights, found none at {}", folder.display());
            return Err(Fault::Rejected { origin, step, party: Party::Operator, reason });
        }
        let read = self.read.iter().chain(&config.resume).cloned().collect();
        Ok(Self { read, write: Some(folder.clone()), ..self.clone() })
    }
}

/// Closes the sandbox around this process, which must have one thread only, and limits its memory and files.
///
/// Gives the promises that the kernel cannot keep: none where `reach` is strict.
///
/// # Errors
/// A promise that cannot be kept although `reach` is strict, or a rule that could not be made.
pub(crate) fn close(reach: &Reach) -> Result<Vec<String>, Refusal> {
    limit(reach).map_err(|e| refusal(Party::EngineOperator, format!("its memory cannot be limited: {e}")))?;
    let fenced = fence(|abi| granted(reach, abi))?;
    // Nothing grants the root folder, so that whoever can list it is not fenced in.
    if fenced.is_none() && fs::read_dir("/").is_ok() {
        return Err(broken(&"the root folder can still be listed"));
    }
    let unkept: Vec<String> = [fenced, calls::filter(false).err()].into_iter().flatten().collect();
    if reach.strict && !unkept.is_empty() {
        return Err(refusal(Party::EngineOperator, unkept.join("; ")));
    }
    Ok(unkept)
}

/// Closes the sandbox for the dynamic linker, which may read everything and change nothing, as far as the kernel can.
fn close_for_linker() -> Result<(), Refusal> {
    let _ = fence(|_| vec![("/".into(), make_bitflags!(AccessFs::{ReadFile | ReadDir | Execute}))])?;
    let _ = calls::filter(true);
    Ok(())
}

/// Private memory is limited, and not address space: shared tensors, mapped weights and libraries take much of that
/// without costing anything.
fn limit(reach: &Reach) -> rustix::io::Result<()> {
    let bytes = reach.memory_mb.saturating_mul(1 << 20);
    for (resource, most) in [(Resource::Data, bytes), (Resource::Nofile, OPEN_FILES), (Resource::Core, 0)] {
        // Raising what the operator's own limits allow would be refused.
        let most = getrlimit(resource).maximum.unwrap_or(most).min(most);
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// Closes the file system but for what is `granted`; gives the promise that the kernel cannot keep.
fn fence(granted: impl Fn(ABI) -> Vec<Grant>) -> Result<Option<String>, Refusal> {
    let abi = newest();
    if abi == ABI::Unsupported {
        let promise = "the kernel offers no landlock: a plugin could read and change the operator's files";
        return Ok(Some(promise.to_owned()));
    }
    let status =
        rules(abi).and_then(|rules| admit(rules, granted(abi), abi)?.restrict_self()).map_err(|e| broken(&e))?;
    if status.ruleset != RulesetStatus::FullyEnforced || !status.no_new_privs {
        return Err(broken(&format!("it is {:?}", status.ruleset)));
    }
    Ok((abi < NEEDED).then(|| {
        format!("the kernel offers landlock {abi} and not {NEEDED}: a plugin could empty the operator's files")
    }))
}

/// The newest landlock that kernel and engine know.
fn newest() -> ABI {
    const VERSION: libc::c_ulong = 1;
    // SAFETY: with this flag the call takes no pointer and answers a number.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION) };
    i32::try_from(version).map_or(ABI::Unsupported, ABI::from)
}

/// Every right that this landlock knows, and none granted yet.
fn rules(abi: ABI) -> Result<RulesetCreated, RulesetError> {
    let mut rules =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::from_all(abi))?;
    if abi >= ABI::V4 {
        rules = rules.handle_access(AccessNet::from_all(abi))?;
    }
    if abi >= ABI::V6 {
        rules = rules.scope(Scope::from_all(abi))?;
    }
    rules.create()
}

/// What `reach` names, and what every program needs.
fn granted(reach: &Reach, abi: ABI) -> Vec<Grant> {
    // Mapping a library's code takes the right to read; the right to execute is for starting programs.
    let reading = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    let special = make_bitflags!(AccessFs::{Execute | MakeChar | MakeBlock | MakeSock | MakeFifo | MakeSym});
    let writing = AccessFs::from_all(ABI::V4.min(abi)) & !special;
    let read = SYSTEM.iter().map(PathBuf::from).chain(reach.read.iter().cloned()).map(|path| (path, reading));
    let write = reach.write.iter().cloned().map(|path| (path, writing));
    read.chain(write).chain([(NOTHING.into(), make_bitflags!(AccessFs::{ReadFile | WriteFile}))]).collect()
}

/// Adds the grants. A place that does not exist is left out: nothing can be read there.
fn admit(mut rules: RulesetCreated, granted: Vec<Grant>, abi: ABI) -> Result<RulesetCreated, RulesetError> {
    for (path, rights) in granted {
        let Ok(place) = PathFd::new(&path) else { continue };
        let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(abi) };
        rules = rules.add_rule(PathBeneath::new(place, rights))?;
    }
    Ok(rules)
}

fn broken(what: &dyn std::fmt::Display) -> Refusal {
    refusal(Party::EngineOperator, format!("landlock failed: {what}"))
}

fn refusal(party: Party, reason: String) -> Refusal {
    Refusal { step: Step::Sandbox, party, reason }
}

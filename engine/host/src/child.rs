//! The worker process: loads one plugin, carries out orders, and ends with its engine.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs::{self, File},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    str,
};

use isoscan_abi::{IsoTensor, STATUS_INVALID};
use rustix::{
    io::fcntl_dupfd_cloexec,
    net::{SocketType, sockopt::socket_type},
    process::{Signal, getppid, set_parent_process_death_signal},
    stdio::dup2_stdin,
};

use crate::{
    Party, Step, batch, crash,
    instance::{Answer, Hearing, Instance, Order},
    library::{self, Library, Refusal},
    link::{self, Kind, Message, PROTOCOL, shortened},
    memory::{Control, Mapping},
    sandbox::{self, Reach},
    tensor::Placement,
};

/// Longest message or log line that a plugin gets through.
const TEXT: usize = 16 << 10;
/// Exit status of a program that was not started by an engine.
const NOT_A_WORKER: i32 = 2;
/// Exit status of a worker that lost its engine or cannot understand it.
pub(crate) const LOST: i32 = 3;
/// Id of the buffer, voxels, and the tensor's form: bytes, type, dimensions, shape, strides.
pub(crate) const TENSOR_BYTES: usize = 15 * 8;

/// Runs a plugin worker: the body of the hidden command `isoscan plugin-worker`.
///
/// The engine passes a socket as standard input, and the process ends when that closes. Returns only when it cannot be
/// a worker: with the exit status 2, for the program to pass on. A worker program does nothing before calling this.
pub fn plugin_worker() -> i32 {
    let stdin = std::io::stdin();
    if !matches!(socket_type(&stdin), Ok(SocketType::SEQPACKET)) {
        return NOT_A_WORKER;
    }
    let Ok(socket) = take_stdin() else { return NOT_A_WORKER };
    let status = if serve(&socket).is_some() { 0 } else { LOST };
    // SAFETY: ends the process without the destructors of foreign libraries, which are not ours to trust.
    unsafe { libc::_exit(status) }
}

/// Moves the socket away from standard input, which the plugin's code could read.
fn take_stdin() -> rustix::io::Result<OwnedFd> {
    let stdin = std::io::stdin();
    let socket = fcntl_dupfd_cloexec(&stdin, 3)?;
    if let Ok(nothing) = File::open("/dev/null") {
        dup2_stdin(&nothing)?;
    }
    Ok(socket)
}

/// Works until the engine closes the socket; `None` when something else ends it.
fn serve(socket: &OwnedFd) -> Option<()> {
    settle(socket)?;
    let mut inbox = Vec::new();
    link::send(socket, Kind::Hello, 0, [PROTOCOL, 0, 0, 0, 0], &[], None, true).ok()?;
    let load = link::receive(socket, &mut inbox, true).ok()?;
    // The engine may have died before the death signal was set.
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent.map(i64::from) != i64::try_from(load.words[0]).ok() {
        return None;
    }
    if load.kind == Kind::Link {
        let Err(error) = sandbox::ask_linker(Path::new(OsStr::from_bytes(&load.body)));
        let words = [Step::Sandbox as u64, Party::EngineOperator as u64, 0, 0, 0];
        let reason = format!("the dynamic linker cannot be asked: {error}");
        return link::send(socket, Kind::Refused, 0, words, reason.as_bytes(), None, true).ok().map(|_| ());
    }
    if load.kind != Kind::Load {
        return None;
    }
    let control = Control::open(load.file.as_ref()?.as_fd()).ok()?;
    let reach: Reach = serde_json::from_slice(&load.body).ok()?;
    drop(load);
    crash::limited_to(reach.memory_mb);
    let unkept = match sandbox::close(&reach) {
        Ok(unkept) => unkept.join("\n"),
        Err(refusal) => return refuse(socket, &refusal),
    };
    link::send(socket, Kind::Closed, 0, [0; 5], unkept.as_bytes(), None, true).ok()?;
    let library = match library::open(&reach.library, &reach.bundle) {
        Ok(library) => library,
        Err(refusal) => return refuse(socket, &refusal),
    };
    report_ready(socket, &library)?;
    let mut worker = Child { socket, control, buffers: BTreeMap::new(), instance: Instance::new(library) };
    loop {
        match link::receive(socket, &mut inbox, true) {
            Ok(message) => worker.take(&message)?,
            Err(link::Silence::Closed) => return Some(()),
            Err(_) => return None,
        }
    }
}

fn refuse(socket: &OwnedFd, refusal: &Refusal) -> Option<()> {
    let words = [refusal.step as u64, refusal.party as u64, 0, 0, 0];
    let reason = shortened(&refusal.reason, TEXT);
    link::send(socket, Kind::Refused, 0, words, reason.as_bytes(), None, true).ok().map(|_| ())
}

fn report_ready(socket: &OwnedFd, library: &Library) -> Option<()> {
    let [from, to] = library.span;
    let extensions = u64::from(library.train.is_some()) | u64::from(library.batch.is_some()) << 1;
    let words = [from, to, extensions, u64::from(library.compared), 0];
    link::send(socket, Kind::Ready, 0, words, library.text.as_bytes(), None, true).ok().map(|_| ())
}

/// Ties the process to its engine and prepares it for foreign code.
fn settle(socket: &OwnedFd) -> Option<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).ok()?;
    close_strays(socket)?;
    crash::report_to(socket.as_fd()).ok()?;
    // When memory runs out, the system should end a worker and not the engine.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    // SAFETY: ignoring a signal runs no code. The engine decides what an interrupt from the terminal means.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    if !keep_freed_memory() {
        let warning = "the allocator refused its tuning: calls with large intermediate arrays may be slower";
        link::send(socket, Kind::Log, 0, [2, 0, 0, 0, 0], warning.as_bytes(), None, false).ok()?;
    }
    Some(())
}

/// Closes every file but the socket and the standard ones: a library in the engine may have opened files that are passed
/// on by mistake.
fn close_strays(socket: &OwnedFd) -> Option<()> {
    let number = u32::try_from(socket.as_raw_fd()).ok()?;
    // SAFETY: a worker program does nothing before `plugin_worker`, so that nobody in this process owns these files.
    let closed = unsafe {
        let below = if number > 3 { libc::close_range(3, number - 1, 0) } else { 0 };
        below | libc::close_range(number + 1, u32::MAX, 0)
    };
    // A kernel without the call leaves them open; the engine's own are closed by their flags.
    let unknown = std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS);
    (closed == 0 || unknown).then_some(())
}

/// Lets glibc reuse large arrays: by default it maps, zeroes and unmaps every one of them.
#[cfg(target_env = "gnu")]
fn keep_freed_memory() -> bool {
    const GIB: i32 = 1 << 30;
    const TOP: i32 = crash::ALLOCATED_AT_ONCE as i32;
    // SAFETY: `mallopt` takes plain numbers; no other thread allocates yet.
    unsafe {
        let threshold = libc::mallopt(libc::M_MMAP_THRESHOLD, GIB) == 1 || libc::mallopt(libc::M_MMAP_MAX, 0) == 1;
        let trim = libc::mallopt(libc::M_TRIM_THRESHOLD, -1) == 1;
        let top = libc::mallopt(libc::M_TOP_PAD, TOP) == 1;
        threshold && trim && top
    }
}

#[cfg(not(target_env = "gnu"))]
fn keep_freed_memory() -> bool {
    true
}

struct Child<'a> {
    socket: &'a OwnedFd,
    control: Control,
    buffers: BTreeMap<(u64, bool), Mapping>,
    instance: Instance,
}

impl Child<'_> {
    /// Carries out one message of the engine; `None` when it makes no sense.
    fn take(&mut self, message: &Message) -> Option<()> {
        let [a, b, c, ..] = message.words;
        match message.kind {
            Kind::Map => {
                let file = message.file.as_ref()?.as_fd();
                let map = Mapping::new(file, usize::try_from(b).ok()?, c != 0);
                // An order that needs a buffer which could not be mapped says so.
                map.ok().map(|map| self.buffers.insert((a, c != 0), map));
            }
            Kind::Unmap => drop(self.buffers.remove(&(a, b != 0))),
            _ => {
                let answer = match self.order(message) {
                    Ok(order) => self.execute(&order),
                    Err(text) => Answer { status: STATUS_INVALID, text, value: 0, spent: Default::default() },
                };
                let nanos = u64::try_from(answer.spent.as_nanos()).unwrap_or(u64::MAX);
                let words = [i64::from(answer.status).cast_unsigned(), nanos, answer.value, 0, 0];
                let text = shortened(&answer.text, TEXT).as_bytes();
                link::send(self.socket, Kind::Reply, message.number, words, text, None, true).ok()?;
            }
        }
        Some(())
    }

    fn execute(&mut self, order: &Order<'_, IsoTensor>) -> Answer {
        let (socket, control) = (self.socket, &self.control);
        let progress = |fraction| control.report(fraction);
        let log = |level: u32, text: &str| {
            let text = shortened(text, TEXT).as_bytes();
            let _ = link::send(socket, Kind::Log, 0, [level.into(), 0, 0, 0, 0], text, None, false);
        };
        self.instance.execute(order, &Hearing::new(&progress, &log))
    }

    fn order<'m>(&self, message: &'m Message) -> Result<Order<'m, IsoTensor>, String> {
        let body = &message.body;
        let [word, params_len, ..] = message.words;
        match message.kind {
            Kind::Describe => Ok(Order::Describe),
            Kind::Create => Ok(Order::Create { config: text(body)? }),
            Kind::Begin => Ok(Order::Begin { config: text(body)? }),
            Kind::Save => Ok(Order::Save { dir: text(body)?, checkpoint: word != 0 }),
            Kind::Step => {
                let [source, target] = [self.tensor(body, 0, false)?, self.tensor(body, 1, false)?];
                Ok(Order::Step { step: word, source, target })
            }
            Kind::Preview => {
                let [source, output] = [self.tensor(body, 0, false)?, self.tensor(body, 1, true)?];
                Ok(Order::Preview { source, output })
            }
            Kind::Run => {
                let short = || "the order ends early".to_owned();
                let count = usize::try_from(word).map_err(|_| short())?;
                let inputs = (0..count).map(|i| self.tensor(body, i, false)).collect::<Result<_, _>>()?;
                let output = self.tensor(body, count, true)?;
                let texts = body.get((count + 1) * TENSOR_BYTES..).ok_or_else(short)?;
                let params_len = usize::try_from(params_len).map_err(|_| short())?;
                let (params, context) = texts.split_at_checked(params_len).ok_or_else(short)?;
                Ok(Order::Run { inputs, output, params: text(params)?, context: text(context)? })
            }
            Kind::Batch => {
                let tensor = |index, writable| self.tensor(body, index, writable);
                let parts = batch::read_parts(body, word, params_len, tensor)?;
                Ok(Order::Batch { parts })
            }
            kind => Err(format!("the order {kind:?} is not one for a worker")),
        }
    }

    /// The view of the order's tensor `index`.
    fn tensor(&self, body: &[u8], index: usize, writable: bool) -> Result<IsoTensor, String> {
        let start = index.saturating_mul(TENSOR_BYTES);
        let bytes = body.get(start..start.saturating_add(TENSOR_BYTES)).ok_or("the order ends early")?;
        let number = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[8 * at + i]));
        let id = number(0);
        let map = self.buffers.get(&(id, writable)).ok_or_else(|| format!("buffer {id} could not be mapped"))?;
        let [voxels, byte_len] = [number(1), number(2)];
        let short = |at: usize| u32::try_from(number(at)).unwrap_or(u32::MAX);
        let place = usize::try_from(voxels).ok().and_then(|n| Placement::of(n, map));
        let place = place.ok_or_else(|| format!("a tensor of {voxels} voxels does not fit buffer {id}"))?;
        Ok(IsoTensor {
            data: map.start().wrapping_add(place.before).cast(),
            byte_len,
            dtype: short(3),
            ndim: short(4),
            shape: std::array::from_fn(|axis| number(5 + axis)),
            stride: std::array::from_fn(|axis| number(10 + axis).cast_signed()),
        })
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    str::from_utf8(bytes).map_err(|e| format!("the order's text is not UTF-8: {e}"))
}

//! The engine's side of a worker process.

mod orders;
mod words;

use std::{
    collections::BTreeMap,
    io::{PipeReader, Read, pipe},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{OFlags, fcntl_setfl},
};

use orders::{encode, tensors_of};
use words::LastWords;

use crate::{
    Death, Fault, LogLine, Origin, Party, Step, TensorBuf, Traffic,
    child::LOST,
    crash::signal_name,
    instance::{Answer, Order},
    link::{self, Kind, MAX_BODY, Message, PROTOCOL, Silence},
    memory::{Control, Region},
    process::{self, timespec},
    sandbox::{self, Reach},
};

/// How often the wish to cancel and the progress are looked at.
const LOOK: Duration = Duration::from_millis(4);
/// Time a plugin has to stop by itself once it is asked to.
pub(crate) const GRACE: Duration = Duration::from_secs(1);
/// Time between the end of a connection and the end of its process.
const DYING: Duration = Duration::from_secs(2);
/// Time the dynamic linker has to say what it takes.
const LINKING: Duration = Duration::from_secs(10);
/// Variables of the engine's environment that a worker gets: where libraries lie, how numbers and times are told, and
/// whether a panic shows its stack.
const PASSED_ON: [&str; 6] = ["LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE"];
/// Most log lines kept of one call.
const LOG_LINES: usize = 256;

/// A process that runs one plugin. Dropped, it ends.
pub(crate) struct Worker {
    child: Option<Child>,
    socket: OwnedFd,
    output: PipeReader,
    last_words: LastWords,
    control: Control,
    mapped: BTreeMap<(u64, bool), Weak<Region>>,
    number: u64,
    inbox: Vec<u8>,
    log: Vec<LogLine>,
    traffic: Traffic,
    span: [u64; 2],
    pub(crate) descriptor: String,
    pub(crate) trains: bool,
    pub(crate) batches: bool,
    pub(crate) compared: bool,
    pub(crate) is_created: bool,
    /// Promises that its sandbox cannot keep.
    pub(crate) unkept: Vec<String>,
    memory_mb: u64,
}

/// What the engine minds while a plugin works.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) limit: Duration,
    /// Longest time between two reports of progress.
    pub(crate) silence: Option<Duration>,
    pub(crate) cancel: Option<&'a AtomicBool>,
    pub(crate) progress: Option<&'a (dyn Fn(f32) + Sync)>,
}

/// An answer and what came with it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) log: Vec<LogLine>,
    pub(crate) traffic: Traffic,
}

impl Watch<'_> {
    /// Minds the time only.
    pub(crate) fn of(limit: Duration) -> Self {
        Self { limit, silence: None, cancel: None, progress: None }
    }
}

impl Worker {
    /// Starts a process and lets it load the bundle's library.
    pub(crate) fn start(
        reach: &Reach,
        threads: usize,
        program: &Path,
        limit: Duration,
        origin: &Origin,
    ) -> Result<Self, Fault> {
        let (mut worker, control_file) = Self::greeted(program, threads, limit, origin)?;
        worker.memory_mb = reach.memory_mb;
        let watch = Watch::of(limit);
        let words = [u64::from(std::process::id()), 0, 0, 0, 0];
        worker.send(Kind::Load, words, &told(reach, origin)?, Some(&control_file), origin)?;
        let mut answer = worker.next(&watch, origin).map_err(died_loading)?;
        let closed = answer.kind == Kind::Closed;
        if closed {
            worker.unkept = answer.text().lines().map(str::to_owned).collect();
            answer = worker.next(&watch, origin).map_err(died_loading)?;
        }
        match answer.kind {
            Kind::Ready if !closed || (reach.strict && !worker.unkept.is_empty()) => {
                Err(worker.breach("it went on without a closed sandbox".to_owned(), origin))
            }
            Kind::Ready => {
                worker.span = [answer.words[0], answer.words[1]];
                (worker.trains, worker.batches) = (answer.words[2] & 1 != 0, answer.words[2] & 2 != 0);
                worker.compared = answer.words[3] != 0;
                worker.descriptor = answer.text();
                Ok(worker)
            }
            Kind::Refused => {
                let (step, party) = refusal_of(&answer);
                Err(Fault::Rejected { origin: origin.boxed(), step, party, reason: answer.text() })
            }
            kind => Err(worker.breach(format!("expected Ready, found {kind:?}"), origin)),
        }
    }

    /// A process that has said hello, and the control page's file, which it must be sent.
    fn greeted(program: &Path, threads: usize, limit: Duration, origin: &Origin) -> Result<(Self, OwnedFd), Fault> {
        let unusable = |reason: String| Fault::Worker { origin: origin.boxed(), program: program.to_owned(), reason };
        let (mut worker, control_file) =
            Self::spawn(program, threads).map_err(|e| unusable(format!("it cannot be started: {e}")))?;
        let watch = Watch::of(limit);
        let hello = worker.next(&watch, origin).map_err(|fault| match fault {
            Fault::Crashed { death, .. } => unusable(format!("it ended with {death} before it said hello")),
            Fault::Deadline { limit, .. } => unusable(format!("it said no hello within {} s", limit.as_secs_f64())),
            other => other,
        })?;
        if hello.kind != Kind::Hello || hello.words[0] != PROTOCOL {
            return Err(unusable(format!("expected worker protocol {PROTOCOL}, found {}", hello.words[0])));
        }
        Ok((worker, control_file))
    }

    /// All that the process prints until its end.
    fn printed(&mut self, limit: Duration) -> std::io::Result<String> {
        let (start, mut text, mut piece) = (Instant::now(), Vec::new(), [0; 4096]);
        while start.elapsed() < limit && text.len() < MAX_BODY {
            let mut event = [PollFd::new(&self.output, PollFlags::IN)];
            poll(&mut event, Some(&timespec(limit.saturating_sub(start.elapsed()))))?;
            match self.output.read(&mut piece) {
                Ok(0) => return Ok(String::from_utf8_lossy(&text).into_owned()),
                Ok(n) => text.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(e) => return Err(e),
            }
        }
        Err(std::io::Error::other(format!("no end within {} s and {MAX_BODY} bytes", limit.as_secs())))
    }

    /// The process and the control page's file, which it must be sent.
    fn spawn(program: &Path, threads: usize) -> std::io::Result<(Self, OwnedFd)> {
        let (socket, its_socket) = link::pair()?;
        let (output, its_output) = pipe()?;
        fcntl_setfl(&output, OFlags::NONBLOCK)?;
        let (control, control_file) = Control::create()?;
        let threads = threads.to_string();
        // Nothing here may need `pre_exec`, a user or a group id: those make the standard library fork the whole engine.
        let mut command = Command::new(program);
        command.arg("plugin-worker").stdin(Stdio::from(its_socket));
        command.stdout(its_output.try_clone()?).stderr(its_output);
        // What the engine's environment holds beyond these, such as credentials, is none of a plugin's business.
        command.env_clear().envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, &threads);
        }
        // OpenMP threads that spin at barriers starve each other where another process has one of their cores.
        command.env("OMP_WAIT_POLICY", "PASSIVE");
        let worker = Self {
            child: Some(process::spawn(command)?),
            socket,
            output,
            last_words: LastWords::default(),
            control,
            mapped: BTreeMap::new(),
            number: 0,
            inbox: Vec::new(),
            log: Vec::new(),
            traffic: Traffic::default(),
            span: [0; 2],
            descriptor: String::new(),
            trains: false,
            batches: false,
            compared: false,
            is_created: false,
            unkept: Vec::new(),
            memory_mb: 0,
        };
        Ok((worker, control_file))
    }

    /// Sends an order and waits for its answer. After a fault the worker must be dropped.
    pub(crate) fn execute(
        &mut self,
        order: &Order<'_, &TensorBuf>,
        watch: &Watch<'_>,
        origin: &Origin,
    ) -> Result<Done, Fault> {
        self.log.clear();
        self.traffic = Traffic::default();
        self.control.reset();
        self.share(order, origin)?;
        let (kind, words, body) = encode(order);
        if body.len() > MAX_BODY {
            let reason = format!(
                "parameters and context of a call may take {MAX_BODY} bytes together with its tensor shapes, found {}",
                body.len()
            );
            return Err(Fault::Request { origin: origin.boxed(), reason });
        }
        self.number += 1;
        self.send(kind, words, &body, None, origin)?;
        let reply = self.next(watch, origin)?;
        if reply.kind != Kind::Reply || reply.number != self.number {
            let breach =
                format!("expected the reply to order {}, found {:?} to {}", self.number, reply.kind, reply.number);
            return Err(self.breach(breach, origin));
        }
        let Ok(status) = i32::try_from(reply.words[0].cast_signed()) else {
            return Err(self.breach(format!("expected a status, found {}", reply.words[0].cast_signed()), origin));
        };
        let spent = Duration::from_nanos(reply.words[1]);
        let answer = Answer { status, text: reply.text(), value: reply.words[2], spent };
        self.is_created |= kind == Kind::Create && status == isoscan_abi::STATUS_OK;
        Ok(Done { answer, log: std::mem::take(&mut self.log), traffic: self.traffic })
    }

    /// The process's id; `None` once it is buried.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// False when the process has died since its last answer.
    pub(crate) fn is_alive(&mut self) -> bool {
        for _ in 0..LOG_LINES {
            match link::receive(&self.socket, &mut self.inbox, false) {
                Err(Silence::Nothing) => return true,
                Ok(message) if message.kind == Kind::Log => {}
                _ => return false,
            }
        }
        true
    }

    /// Lets the worker map the order's buffers that it does not know, and forget those that exist no more.
    fn share(&mut self, order: &Order<'_, &TensorBuf>, origin: &Origin) -> Result<(), Fault> {
        let gone: Vec<(u64, bool)> =
            self.mapped.iter().filter(|(_, region)| region.strong_count() == 0).map(|(&key, _)| key).collect();
        for key in gone {
            self.mapped.remove(&key);
            self.send(Kind::Unmap, [key.0, u64::from(key.1), 0, 0, 0], &[], None, origin)?;
        }
        for (tensor, writable) in tensors_of(order) {
            let region = tensor.region();
            if !self.mapped.contains_key(&(region.id, writable)) {
                let words = [region.id, region.map.len() as u64, u64::from(writable), 0, 0];
                self.send(Kind::Map, words, &[], Some(&region.file()), origin)?;
                self.mapped.insert((region.id, writable), Arc::downgrade(region));
                self.traffic.mapped_buffers += 1;
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        kind: Kind,
        words: [u64; 5],
        body: &[u8],
        file: Option<&dyn AsFd>,
        origin: &Origin,
    ) -> Result<(), Fault> {
        let file = file.map(AsFd::as_fd);
        match link::send(&self.socket, kind, self.number, words, body, file, true) {
            Ok(bytes) => {
                self.traffic.message_bytes += bytes;
                Ok(())
            }
            Err(_) => Err(self.closed(origin)),
        }
    }

    /// The next message that is not a log line.
    fn next(&mut self, watch: &Watch<'_>, origin: &Origin) -> Result<Message, Fault> {
        let start = Instant::now();
        let mut asked_to_stop: Option<Instant> = None;
        let mut told = 0.0;
        let mut heard = (self.control.beats(), start);
        loop {
            self.sleep(LOOK.min(watch.limit.saturating_sub(start.elapsed())));
            match link::receive(&self.socket, &mut self.inbox, false) {
                Ok(message) => {
                    self.traffic.message_bytes += link::HEADER + message.body.len();
                    match message.kind {
                        // On to the clock as well: a plugin that logs for ever must not outlive its deadline.
                        Kind::Log => self.note(&message),
                        Kind::Crash => return Err(self.crashed(&message, origin)),
                        _ => return Ok(message),
                    }
                }
                Err(Silence::Nothing) => {}
                Err(Silence::Closed) => return Err(self.closed(origin)),
                Err(Silence::Malformed(breach)) => return Err(self.breach(breach, origin)),
            }
            let progress = self.control.progress();
            if let Some(tell) = watch.progress.filter(|_| progress != told) {
                told = progress;
                tell(progress);
            }
            let beats = self.control.beats();
            if beats != heard.0 {
                heard = (beats, Instant::now());
            }
            if let Some(limit) = watch.silence.filter(|&limit| heard.1.elapsed() >= limit) {
                self.kill();
                return Err(Fault::Stalled { origin: origin.boxed(), limit });
            }
            if asked_to_stop.is_none() && watch.cancel.is_some_and(|cancel| cancel.load(Ordering::Acquire)) {
                self.control.cancel();
                asked_to_stop = Some(Instant::now());
            }
            if asked_to_stop.is_some_and(|at| at.elapsed() > GRACE) {
                self.kill();
                return Err(Fault::Cancelled { origin: origin.boxed() });
            }
            if start.elapsed() >= watch.limit {
                self.kill();
                return Err(Fault::Deadline { origin: origin.boxed(), limit: watch.limit });
            }
        }
    }

    /// Waits for a message or printed text, and takes the text.
    fn sleep(&mut self, at_most: Duration) {
        let mut events = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.output, PollFlags::IN)];
        // A pipe that all writers closed would wake at once for ever; the socket closes with it.
        let watched = if self.last_words.ended { &mut events[..1] } else { &mut events[..] };
        let _ = poll(watched, Some(&timespec(at_most)));
        if !events[1].revents().is_empty() {
            self.last_words.read(&mut self.output);
        }
    }

    fn note(&mut self, message: &Message) {
        if self.log.len() < LOG_LINES {
            let level = u32::try_from(message.words[0]).unwrap_or(u32::MAX).clamp(1, 4);
            self.log.push(LogLine { level, text: message.text() });
        }
    }

    /// The process wrote from its signal handler that it dies.
    fn crashed(&mut self, record: &Message, origin: &Origin) -> Fault {
        let [signal, counter, address, has_address, is_short] = record.words;
        let inside = (self.span[0]..self.span[1]).contains(&counter);
        let death = Death::Signal {
            signal: signal_name(i32::try_from(signal).unwrap_or(0)),
            address: (has_address != 0).then_some(address),
            offset: inside.then(|| counter - self.span[0]),
            short_of_mb: (is_short != 0).then_some(self.memory_mb),
        };
        self.fault_of(death, origin)
    }

    /// The connection ended: the process died without a word, or closed it.
    fn closed(&mut self, origin: &Origin) -> Fault {
        // The order may have met a process whose last word still lies in the socket.
        while let Ok(message) = link::receive(&self.socket, &mut self.inbox, false) {
            if message.kind == Kind::Crash {
                return self.crashed(&message, origin);
            }
        }
        let status = self.child.as_mut().and_then(|child| process::wait(child, DYING));
        match status {
            Some(status) => self.fault_of(death_of(status), origin),
            None => self.breach("it closed its connection".to_owned(), origin),
        }
    }

    fn breach(&mut self, breach: String, origin: &Origin) -> Fault {
        self.kill();
        Fault::Protocol { origin: origin.boxed(), breach }
    }

    fn fault_of(&mut self, death: Death, origin: &Origin) -> Fault {
        self.last_words.read(&mut self.output);
        let last_words = self.last_words.lines();
        Fault::Crashed { origin: origin.boxed(), death, last_words }
    }

    fn kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        if let Some(child) = self.child.take() {
            process::bury(child);
        }
    }
}

fn death_of(status: ExitStatus) -> Death {
    match status.signal() {
        Some(signal) => Death::Signal { signal: signal_name(signal), address: None, offset: None, short_of_mb: None },
        None => Death::Exit { code: status.code().unwrap_or_default() },
    }
}

/// The shared libraries that `library` needs, as the dynamic linker finds them in this environment.
///
/// # Errors
/// [`Fault::Worker`] when the program is no worker, [`Fault::Rejected`] when the linker gives no answer.
pub(crate) fn linked_with(library: &Path, program: &Path, origin: &Origin) -> Result<Vec<PathBuf>, Fault> {
    let rejected = |reason: String| {
        let (origin, step) = (origin.boxed(), Step::Sandbox);
        Fault::Rejected { origin, step, party: Party::EngineOperator, reason }
    };
    let (mut worker, _) = Worker::greeted(program, 1, LINKING, origin)?;
    let words = [u64::from(std::process::id()), 0, 0, 0, 0];
    worker.send(Kind::Link, words, library.as_os_str().as_bytes(), None, origin)?;
    let printed = worker.printed(LINKING).map_err(|e| rejected(format!("the dynamic linker gave no answer: {e}")))?;
    if let Ok(message) = link::receive(&worker.socket, &mut worker.inbox, false) {
        return Err(rejected(message.text()));
    }
    // A linker that stumbled over the library has named what it could; opening the library tells why.
    match worker.child.as_mut().and_then(|child| process::wait(child, DYING)) {
        Some(status) if status.code() != Some(LOST) => Ok(sandbox::libraries(&printed)),
        _ => Err(rejected("the process that asks the dynamic linker was lost".to_owned())),
    }
}

/// The body of [`Kind::Load`].
fn told(reach: &Reach, origin: &Origin) -> Result<Vec<u8>, Fault> {
    let refused = |reason: String| {
        let (origin, step) = (origin.boxed(), Step::Sandbox);
        Fault::Rejected { origin, step, party: Party::Operator, reason }
    };
    let body = serde_json::to_vec(reach).map_err(|e| refused(format!("its paths cannot be passed on: {e}")))?;
    if body.len() > MAX_BODY {
        let reason = format!("the paths that it may reach may take {MAX_BODY} bytes, found {}", body.len());
        return Err(refused(reason));
    }
    Ok(body)
}

/// A worker that dies or hangs while it loads is a library that cannot be loaded.
fn died_loading(fault: Fault) -> Fault {
    let (origin, reason, bus_error) = match fault {
        Fault::Crashed { origin, death, .. } => {
            let bus_error = matches!(&death, Death::Signal { signal, .. } if signal == "SIGBUS");
            (origin, format!("its process died while loading: {death}"), bus_error)
        }
        Fault::Deadline { origin, limit } => {
            (origin, format!("its process did not finish loading within {} s", limit.as_secs_f64()), false)
        }
        Fault::Protocol { origin, breach } => {
            (origin, format!("its process broke the protocol while loading: {breach}"), false)
        }
        other => return other,
    };
    // The linker meets the missing end of a library that was cut short as a bus error.
    let party = if bus_error { Party::Operator } else { Party::PluginAuthor };
    Fault::Rejected { origin, step: Step::Open, party, reason }
}

/// Step and party of a [`Kind::Refused`] message.
fn refusal_of(message: &Message) -> (Step, Party) {
    let step = Step::ALL.into_iter().find(|&step| step as u64 == message.words[0]).unwrap_or(Step::Open);
    let party = Party::ALL.into_iter().find(|&party| party as u64 == message.words[1]).unwrap_or(Party::PluginAuthor);
    (step, party)
}

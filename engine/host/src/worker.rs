//! The engine's side of a worker process.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{PipeReader, Read, pipe},
    os::{fd::AsFd, fd::OwnedFd, unix::process::ExitStatusExt},
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

use crate::{
    Bundle, Death, Fault, LogLine, Options, Origin, Party, Step, TensorBuf, Traffic,
    crash::signal_name,
    instance::{Answer, Order},
    link::{self, Kind, MAX_BODY, Message, PROTOCOL, Silence},
    memory::{Control, Region},
    process::{self, timespec},
};

/// How often the wish to cancel and the progress are looked at.
const LOOK: Duration = Duration::from_millis(4);
/// Time a plugin has to stop by itself once it is asked to.
const GRACE: Duration = Duration::from_secs(1);
/// Time between the end of a connection and the end of its process.
const DYING: Duration = Duration::from_secs(2);
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
    pub(crate) compared: bool,
    pub(crate) is_created: bool,
}

/// What the engine minds while a plugin works.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) limit: Duration,
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

impl Worker {
    /// Starts a process and lets it load the bundle's library.
    pub(crate) fn start(bundle: &Bundle, options: &Options, limit: Duration, origin: &Origin) -> Result<Self, Fault> {
        let unusable =
            |reason: String| Fault::Worker { origin: origin.boxed(), program: options.worker_program.clone(), reason };
        let (mut worker, control_file) =
            Self::spawn(options).map_err(|e| unusable(format!("it cannot be started: {e}")))?;
        let watch = Watch { limit, cancel: None, progress: None };
        let hello = worker.next(&watch, origin).map_err(|fault| match fault {
            Fault::Crashed { death, .. } => unusable(format!("it ended with {death} before it said hello")),
            Fault::Deadline { limit, .. } => unusable(format!("it said no hello within {} s", limit.as_secs_f64())),
            other => other,
        })?;
        if hello.kind != Kind::Hello || hello.words[0] != PROTOCOL {
            return Err(unusable(format!("expected worker protocol {PROTOCOL}, found {}", hello.words[0])));
        }
        let path = bundle.library.to_string_lossy();
        let words = [u64::from(std::process::id()), 0, 0, 0, 0];
        worker.send(Kind::Load, words, path.as_bytes(), Some(&control_file), origin)?;
        let answer = worker.next(&watch, origin).map_err(died_loading)?;
        match answer.kind {
            Kind::Ready => {
                worker.span = [answer.words[0], answer.words[1]];
                (worker.trains, worker.compared) = (answer.words[2] != 0, answer.words[3] != 0);
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

    /// The process and the control page's file, which it must be sent.
    fn spawn(options: &Options) -> std::io::Result<(Self, OwnedFd)> {
        let (socket, its_socket) = link::pair()?;
        let (output, its_output) = pipe()?;
        fcntl_setfl(&output, OFlags::NONBLOCK)?;
        let (control, control_file) = Control::create()?;
        let threads = options.threads.to_string();
        // Nothing here may need `pre_exec`, a user or a group id: those make the standard library fork the whole engine.
        let mut command = Command::new(&options.worker_program);
        command.arg("plugin-worker").stdin(Stdio::from(its_socket));
        command.stdout(its_output.try_clone()?).stderr(its_output);
        for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
            command.env(variable, &threads);
        }
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
            compared: false,
            is_created: false,
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
        let [signal, counter, address, has_address, _] = record.words;
        let inside = (self.span[0]..self.span[1]).contains(&counter);
        let death = Death::Signal {
            signal: signal_name(i32::try_from(signal).unwrap_or(0)),
            address: (has_address != 0).then_some(address),
            offset: inside.then(|| counter - self.span[0]),
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

/// The last lines that a process printed.
#[derive(Default)]
struct LastWords {
    lines: VecDeque<String>,
    open: Vec<u8>,
    ended: bool,
}

impl LastWords {
    const LINES: usize = 20;
    const WIDTH: usize = 300;
    /// Together as much as a pipe holds.
    const PIECES: usize = 16;

    /// Takes what is there without waiting, but not what a plugin that prints for ever adds meanwhile.
    fn read(&mut self, output: &mut PipeReader) {
        let mut piece = [0; 4096];
        for _ in 0..Self::PIECES {
            match output.read(&mut piece) {
                Ok(0) => {
                    self.ended = true;
                    return;
                }
                Ok(n) => piece[..n].iter().for_each(|&byte| self.push(byte)),
                Err(_) => return,
            }
        }
    }

    fn push(&mut self, byte: u8) {
        match byte {
            b'\n' => self.end_line(),
            _ if self.open.len() < Self::WIDTH => self.open.push(byte),
            _ => {}
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.open).trim().to_owned();
        self.open.clear();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == Self::LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn lines(&mut self) -> Vec<String> {
        self.end_line();
        self.lines.iter().cloned().collect()
    }
}

/// Tensors of an order, and whether the worker writes to them.
fn tensors_of<'a>(order: &Order<'_, &'a TensorBuf>) -> Vec<(&'a TensorBuf, bool)> {
    match order {
        Order::Run { inputs, output, .. } => {
            inputs.iter().map(|input| (*input, false)).chain([(*output, true)]).collect()
        }
        Order::Step { source, target, .. } => vec![(source, false), (target, false)],
        Order::Preview { source, output } => vec![(source, false), (output, true)],
        Order::Create { .. } | Order::Begin { .. } | Order::Save { .. } => Vec::new(),
    }
}

fn encode(order: &Order<'_, &TensorBuf>) -> (Kind, [u64; 5], Vec<u8>) {
    let mut body = Vec::new();
    for (tensor, _) in tensors_of(order) {
        body.extend_from_slice(&tensor.region().id.to_ne_bytes());
        for extent in tensor.shape() {
            body.extend_from_slice(&(extent as u64).to_ne_bytes());
        }
    }
    let (kind, words, texts): (Kind, [u64; 5], [&str; 2]) = match order {
        Order::Create { config } => (Kind::Create, [0; 5], [config, ""]),
        Order::Run { inputs, params, context, .. } => {
            (Kind::Run, [inputs.len() as u64, params.len() as u64, 0, 0, 0], [params, context])
        }
        Order::Begin { config } => (Kind::Begin, [0; 5], [config, ""]),
        Order::Step { step, .. } => (Kind::Step, [*step, 0, 0, 0, 0], ["", ""]),
        Order::Preview { .. } => (Kind::Preview, [0; 5], ["", ""]),
        Order::Save { dir, checkpoint } => (Kind::Save, [u64::from(*checkpoint), 0, 0, 0, 0], [dir, ""]),
    };
    texts.iter().for_each(|text| body.extend_from_slice(text.as_bytes()));
    (kind, words, body)
}

fn death_of(status: ExitStatus) -> Death {
    match status.signal() {
        Some(signal) => Death::Signal { signal: signal_name(signal), address: None, offset: None },
        None => Death::Exit { code: status.code().unwrap_or_default() },
    }
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

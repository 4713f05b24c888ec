//! Starting and burying worker processes.

use std::{
    io,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus},
    sync::{
        OnceLock,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// Time a worker has to end by itself once its socket is closed.
const FAREWELL: Duration = Duration::from_millis(200);

/// Starts `command` from a thread that lives as long as the engine.
///
/// The kernel kills a worker when the *thread* that started it ends, so the thread of a pool must not be it.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SUPERVISOR: OnceLock<Sender<(Command, Sender<io::Result<Child>>)>> = OnceLock::new();
    let supervisor = SUPERVISOR.get_or_init(|| {
        background("isoscan-spawn", |orders: Receiver<(Command, Sender<io::Result<Child>>)>| {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        })
    });
    let (answer, outcome) = channel();
    let gone = || io::Error::other("the thread that starts workers is gone");
    supervisor.send((command, answer)).map_err(|_| gone())?;
    outcome.recv().map_err(|_| gone())?
}

/// Waits for `child` in the background, and kills it when it takes too long.
pub(crate) fn bury(child: Child) {
    static UNDERTAKER: OnceLock<Sender<(Child, Instant)>> = OnceLock::new();
    let undertaker = UNDERTAKER.get_or_init(|| {
        background("isoscan-reap", |children: Receiver<(Child, Instant)>| {
            for (mut child, until) in children {
                if wait(&mut child, until.saturating_duration_since(Instant::now())).is_none() {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        })
    });
    let _ = undertaker.send((child, Instant::now() + FAREWELL));
}

/// The exit status of `child` if it ends within `limit`.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    let end: OwnedFd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok()?;
    let _ = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&timespec(limit)));
    child.try_wait().ok().flatten()
}

pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}

/// A thread that works off what is sent to it; without a thread every send fails.
fn background<T: Send + 'static>(name: &str, work: impl FnOnce(Receiver<T>) + Send + 'static) -> Sender<T> {
    let (sender, receiver) = channel();
    let _ = thread::Builder::new().name(name.to_owned()).spawn(move || work(receiver));
    sender
}

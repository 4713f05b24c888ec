//! The last word of a dying worker.
//!
//! The end of a connection is seen only after the kernel has torn down the process's memory, which takes long when
//! there is much of it. So a signal handler sends the cause first.

use std::{
    ffi::{c_int, c_void},
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
};

use crate::link::{self, Kind};

const SIGNALS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGSYS];
/// The C library asks the system for this much more than it needs, bytes.
pub(crate) const ALLOCATED_AT_ONCE: u64 = 64 << 20;
const STACK: usize = 64 << 10;

/// Socket of the handler; -1 before it is installed.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
/// What must be left of the memory limit to be far from it, bytes; 0 before it is known.
static SHARE: AtomicUsize = AtomicUsize::new(0);

/// Reports deadly signals of this process through `socket`, which must stay open.
///
/// The calling thread gets a stack of its own for the handler, so that its stack overflows are reported too.
pub(crate) fn report_to(socket: BorrowedFd<'_>) -> io::Result<()> {
    SOCKET.store(socket.as_raw_fd(), Ordering::Release);
    let memory: &'static mut [u8] = Box::leak(vec![0; STACK].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK };
    // SAFETY: the stack is leaked, so the kernel may use it as long as the process lives.
    if unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    for signal in SIGNALS {
        // SAFETY: all zeros is a valid `sigaction` with an empty mask.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = report as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND;
        // SAFETY: `report` has the signature that SA_SIGINFO asks for and calls async-signal-safe functions only.
        if unsafe { libc::sigaction(signal, &action, ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Notes the private memory that this process may have, for [`report_to`]'s handler.
pub(crate) fn limited_to(memory_mb: u64) {
    let share = memory_mb.saturating_mul((1 << 20) / 8).saturating_add(ALLOCATED_AT_ONCE);
    SHARE.store(usize::try_from(share).unwrap_or(usize::MAX), Ordering::Release);
}

/// True when not even an eighth of the memory limit is left beside what the C library takes at once.
fn is_short() -> bool {
    let share = SHARE.load(Ordering::Acquire);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a null hint asks for unused addresses; nobody touches the mapping, and the process ends. The call is a
    // plain system call.
    share > 0
        && unsafe { libc::mmap(ptr::null_mut(), share, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) }
            == libc::MAP_FAILED
}

extern "C" fn report(signal: c_int, detail: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the kernel passes valid pointers to a handler installed with SA_SIGINFO.
    let (code, address) = unsafe { ((*detail).si_code, (*detail).si_addr() as u64) };
    let has_address = code > 0 && signal != libc::SIGABRT && signal != libc::SIGSYS;
    let words = [signal as u64, program_counter(context), address, u64::from(has_address), u64::from(is_short())];
    let record = link::header(Kind::Crash, 0, words, 0);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `record` is a live local of that length; `send` is async-signal-safe. `raise` ends the process: the
    // handler was reset when it was entered.
    unsafe {
        libc::send(SOCKET.load(Ordering::Acquire), record.as_ptr().cast(), record.len(), flags);
        libc::raise(signal);
    }
}

#[cfg(target_arch = "x86_64")]
fn program_counter(context: *mut c_void) -> u64 {
    // SAFETY: the kernel passes a `ucontext_t` to a handler installed with SA_SIGINFO.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs[libc::REG_RIP as usize].cast_unsigned() }
}

#[cfg(target_arch = "aarch64")]
fn program_counter(context: *mut c_void) -> u64 {
    // SAFETY: the kernel passes a `ucontext_t` to a handler installed with SA_SIGINFO.
    unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.pc }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn program_counter(_context: *mut c_void) -> u64 {
    0
}

/// Name of a signal, or `signal N`.
pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGILL => "SIGILL",
        libc::SIGFPE => "SIGFPE",
        libc::SIGABRT => "SIGABRT",
        libc::SIGSYS => "SIGSYS",
        libc::SIGKILL => "SIGKILL",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGPIPE => "SIGPIPE",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}

//! The system calls that pass.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Calls that pass with any arguments.
///
/// They act on this process alone or on files, and for files landlock says which. What is missing is refused with
/// `EPERM`: other processes (`execve`, `kill`, `ptrace`, ..), sockets, mounts and namespaces, the kernel's larger
/// doors (`bpf`, `io_uring_setup`, `userfaultfd`, `perf_event_open`, `keyctl`, ..), memory beside the limit
/// (`memfd_create`, `shmget`), and what landlock does not guard (`chmod`, `chown`, `utimensat`, `setxattr`).
const FREE: &[c_long] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_get_mempolicy,
    // Threads.
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_membarrier,
    libc::SYS_getcpu,
    // Who and what am I.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_getrandom,
    // Signals inside the process.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Files.
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_flock,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    // Pipes, and the one socket there is.
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
];

/// Older names of the same, which other processors never had.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_rename,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_wait,
    libc::SYS_pause,
    libc::SYS_time,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// What a program needs to start, beside the rest.
#[cfg(target_arch = "x86_64")]
const STARTING: &[c_long] = &[libc::SYS_execve, libc::SYS_arch_prctl];
#[cfg(not(target_arch = "x86_64"))]
const STARTING: &[c_long] = &[libc::SYS_execve];

/// `arch_prctl` requests that ask for the processor's matrix registers: which there are, which are allowed, one more.
#[cfg(target_arch = "x86_64")]
const MATRIX_REGISTERS: [u64; 3] = [0x1021, 0x1022, 0x1023];
/// Close on exec, non-blocking, the terminal's settings (how `isatty` asks), bytes waiting.
const REQUESTS: [u64; 4] = [libc::FIOCLEX, libc::FIONBIO, libc::TCGETS, libc::FIONREAD];
/// Copies, flags and locks; not the owner, by which a process can be made to get signals, and not seals.
const FILE_COMMANDS: [i32; 12] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
];
/// Names of threads and of memory, and whether a filter is on; not the signal that ends a worker with its engine.
const PROCESS_COMMANDS: [i32; 4] = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA, libc::PR_GET_SECCOMP];

/// Lets only the calls of these lists pass from now on; for the dynamic linker also what starts it.
///
/// # Errors
/// The promise that cannot be kept, and why.
pub(super) fn filter(for_linker: bool) -> Result<(), String> {
    let unkept = |why: String| {
        let harm = "a plugin could start programs, talk to the network and disturb other processes";
        format!("the kernel offers no seccomp filter ({why}): {harm}")
    };
    let [unknown, allowed] = programs(for_linker).map_err(|e| unkept(e.to_string()))?;
    for program in [&unknown, &allowed] {
        seccompiler::apply_filter_all_threads(program).map_err(|e| unkept(e.to_string()))?;
    }
    // SAFETY: asks with plain numbers.
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) };
    if mode != libc::SECCOMP_MODE_FILTER as i32 {
        return Err(unkept(format!("expected mode 2, found {mode}")));
    }
    Ok(())
}

/// First the filter that knows no `clone3`, so that the C library falls back on `clone`, whose flags a filter can see;
/// then the one that refuses what is not allowed. The stricter of two answers counts.
fn programs(for_linker: bool) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    let unknown = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let unknown = SeccompFilter::new(unknown, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch)?;
    let mut rules = allowed()?;
    if for_linker {
        rules.extend(STARTING.iter().map(|&call| (call, vec![])));
    }
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let allowed = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?;
    Ok([unknown.try_into()?, allowed.try_into()?])
}

fn allowed() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FREE.iter().chain(OLDER).map(|&call| (call, vec![])).collect();
    let mut only = |call: c_long, conditions: Vec<SeccompCondition>| {
        rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
        Ok(())
    };
    let thread = libc::CLONE_THREAD as u64;
    only(libc::SYS_clone, vec![masked(0, thread, thread)?])?;
    let this = u64::from(std::process::id());
    only(libc::SYS_tgkill, vec![equal(0, this)?])?;
    only(libc::SYS_sched_setaffinity, vec![equal(0, 0)?])?;
    // Reading limits, not setting them: the new limits are the third argument.
    only(libc::SYS_prlimit64, vec![equal(0, 0)?, null(2)?])?;
    // Shared memory without a file would not count against the memory limit.
    let anonymous = libc::MAP_ANONYMOUS as u64;
    only(libc::SYS_mmap, vec![masked(3, anonymous, 0)?])?;
    only(libc::SYS_mmap, vec![masked(3, libc::MAP_TYPE as u64, libc::MAP_PRIVATE as u64)?])?;
    for request in REQUESTS {
        only(libc::SYS_ioctl, vec![equal(1, request)?])?;
    }
    for command in FILE_COMMANDS {
        only(libc::SYS_fcntl, vec![equal(1, command as u64)?])?;
    }
    for command in PROCESS_COMMANDS {
        only(libc::SYS_prctl, vec![equal(0, command as u64)?])?;
    }
    #[cfg(target_arch = "x86_64")]
    for request in MATRIX_REGISTERS {
        only(libc::SYS_arch_prctl, vec![equal(0, request)?])?;
    }
    Ok(rules)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
}

fn null(argument: u8) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

fn masked(argument: u8, mask: u64, value: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
}

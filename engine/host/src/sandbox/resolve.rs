//! Which files the dynamic linker takes for a library.
//!
//! The system's own linker is asked. It maps the library and what it needs and prints their names; it runs no code of
//! theirs, but a library made to confuse it might. So it runs in a worker process too, which can write nothing.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

#[cfg(target_arch = "aarch64")]
const LINKER: &str = "/lib/ld-linux-aarch64.so.1";
#[cfg(not(target_arch = "aarch64"))]
const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Becomes the linker, which prints what it takes for `library`.
pub(crate) fn ask_linker(library: &Path) -> io::Result<Infallible> {
    super::close_for_linker().map_err(|refusal| io::Error::other(refusal.reason))?;
    Err(Command::new(LINKER).env("LD_TRACE_LOADED_OBJECTS", "1").arg(library).exec())
}

/// The files in the linker's answer. Those that it does not find are left out: opening the library then fails with its
/// words. What is no library is left out too, so that a forged answer opens the way to nothing else.
pub(crate) fn libraries(answer: &str) -> Vec<PathBuf> {
    answer.lines().filter_map(file_of).filter(|path| is_elf(path)).collect()
}

fn is_elf(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == *b"\x7fELF"
}

/// The file in a line like `libm.so.6 => /lib/libm.so.6 (0x7f00)` or `/lib64/ld-linux.so.2 (0x7f00)`.
fn file_of(line: &str) -> Option<PathBuf> {
    let (found, _) = line.trim().rsplit_once(" (0x")?;
    let path = found.split_once(" => ").map_or(found, |(_, path)| path);
    path.starts_with('/').then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_lines_are_read() {
        let rows = [
            ("\tlinux-vdso.so.1 (0x00007fd7c1d24000)", None),
            (
                "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fd7c1a76000)",
                Some("/lib/x86_64-linux-gnu/libc.so.6"),
            ),
            ("\t/lib64/ld-linux-x86-64.so.2 (0x00007fd7c1d26000)", Some("/lib64/ld-linux-x86-64.so.2")),
            ("\tliba.so => /a folder (0x1)/liba.so (0x00007fd7c1d26000)", Some("/a folder (0x1)/liba.so")),
            ("\tlibmissing.so => not found", None),
            ("\tstatically linked", None),
        ];
        for (line, file) in rows {
            assert_eq!(file_of(line), file.map(PathBuf::from), "{line}");
        }
        let answer = "\tlibforged.so => /etc/passwd (0x1)\n\t/proc/self/exe (0x1)\n";
        assert_eq!(libraries(answer), [PathBuf::from("/proc/self/exe")]);
    }
}

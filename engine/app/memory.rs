//! How much memory work may take.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

/// Starts the program again with a C library that takes large blocks of memory in huge pages, unless it has been told how to
/// take them already. First touches of volumes cost more than reading them does otherwise; see `engine/README.md`. Where
/// the program cannot be started again it goes on as it is.
pub(crate) fn ask_for_huge_pages() {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    if std::env::var_os(TUNABLES).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let arguments: Vec<_> = std::env::args_os().collect();
    let Some((name, rest)) = arguments.split_first() else { return };
    // `exec` comes back only when it failed.
    let _ = Command::new(program).arg0(name).args(rest).env(TUNABLES, "glibc.malloc.hugetlb=1").exec();
}

/// A number of bytes, such as `512MiB` or `2GB`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let times: f64 = match unit.trim() {
            "KiB" => 1024.0,
            "MiB" => 1048576.0,
            "GiB" => 1073741824.0,
            "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            _ => return Err("expected a number with KiB, MiB, GiB, kB, MB or GB, such as 512MiB".to_owned()),
        };
        let number: f64 = number.parse().map_err(|_| format!("expected a number before {unit}"))?;
        Ok(Self((number * times) as u64))
    }
}

/// `1536 MiB` in words.
pub(crate) fn told(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Memory that the system can give away now; `None` where it does not tell.
pub(crate) fn available() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit() {
        for (text, bytes) in [("512MiB", 512 << 20), ("1.5GiB", 3 << 29), ("2 GB", 2_000_000_000), ("1KiB", 1024)] {
            assert_eq!(text.parse::<Bytes>(), Ok(Bytes(bytes)), "{text}");
        }
        for text in ["512", "MiB", "x", "1.2.3GB", "5TB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
    }
}

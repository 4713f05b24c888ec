//! Fetches the part of libtorch that `tch` needs, without CUDA, from the PyTorch wheel.
//!
//! The wheel holds 1.1 GB; kept are the headers and three libraries. `libtorch_cpu.so` names the CUDA runtime and its
//! profiler interface among its dependencies, so their two small libraries are fetched too, though nothing calls them.
//! `libtorch.so` itself is only a name that torch-sys links: an empty one that pulls in the two real libraries does.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::cargo::run;
use crate::error::Error;
use crate::say;

/// The version that torch-sys checks in `build-version`.
const VERSION: &str = "2.13.0";

/// A wheel of the Python package index and the members to take from it.
struct Wheel {
    requirement: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// `member prefix=where it goes`.
    members: &'static [&'static str],
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
        members: &["nvidia/cu13/lib/libcudart.so.13=lib/libcudart.so.13"],
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
        members: &["nvidia/cu13/lib/libcupti.so.13=lib/libcupti.so.13"],
    },
    Wheel {
        requirement: "torch==2.13.0",
        file: "torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl",
        sha256: "60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7",
        members: &[
            "torch/include/=include/",
            "torch/lib/libtorch_cpu.so=lib/libtorch_cpu.so",
            "torch/lib/libc10.so=lib/libc10.so",
            "torch/lib/libgomp.so.1=lib/libgomp.so.1",
        ],
    },
];

/// Programs the set-up calls, with the Debian package of each; g++ is for the build of torch-sys that follows.
const PROGRAMS: [(&str, &str); 4] =
    [("python3", "python3 python3-pip"), ("gcc", "build-essential"), ("g++", "build-essential"), ("strip", "binutils")];

/// `prefix=target` pairs of members of a wheel, written under a folder.
const EXTRACT: &str = "
import os, shutil, sys, zipfile
wheel, out, rules = sys.argv[1], sys.argv[2], [rule.split('=') for rule in sys.argv[3:]]
with zipfile.ZipFile(wheel) as archive:
    for member in archive.infolist():
        for prefix, target in rules:
            if member.is_dir() or not member.filename.startswith(prefix):
                continue
            path = os.path.join(out, target + member.filename[len(prefix):])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with archive.open(member) as source, open(path, 'wb') as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
";

/// The folder of a usable libtorch: the one `LIBTORCH` names, else `.libtorch/libtorch` under `root`, fetched if absent.
///
/// Finished downloads stay in `.libtorch/wheels` until all of them are checked and unpacked, so that a run that was
/// stopped goes on where it was. The folder appears under its final name only when it is whole.
///
/// # Errors
/// [`Error::LibtorchElsewhere`] when `LIBTORCH` names a folder without libtorch, [`Error::Platform`] elsewhere than on
/// Linux x86-64, [`Error::ProgramMissing`], [`Error::Checksum`], and what the called programs and the disk refuse.
pub(crate) fn ensure(root: &Path) -> Result<PathBuf, Error> {
    let folder = root.join(".libtorch");
    let own = folder.join("libtorch");
    if let Some(named) = std::env::var_os("LIBTORCH").map(PathBuf::from)
        && named != own
    {
        return elsewhere(named);
    }
    if is_whole(&own) {
        return Ok(own);
    }
    if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
        return Err(Error::Platform { os: std::env::consts::OS, arch: std::env::consts::ARCH });
    }
    for (program, package) in PROGRAMS {
        need(program, &["--version"], package)?;
    }
    need("python3", &["-m", "pip", "--version"], "python3-pip")?;

    fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
    let lock_path = folder.join("lock");
    let lock = File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
    lock.lock().map_err(Error::file("lock", &lock_path))?;
    if is_whole(&own) {
        return Ok(own);
    }
    fetch(&folder, &own)?;
    Ok(own)
}

fn elsewhere(named: PathBuf) -> Result<PathBuf, Error> {
    if !named.join("lib").is_dir() {
        return Err(Error::LibtorchElsewhere { path: named });
    }
    say(&format!("libtorch: using LIBTORCH={}", named.display()));
    Ok(named)
}

fn is_whole(libtorch: &Path) -> bool {
    let version = fs::read_to_string(libtorch.join("build-version")).unwrap_or_default();
    version.trim() == VERSION && libtorch.join("lib/libtorch.so").is_file()
}

fn fetch(folder: &Path, own: &Path) -> Result<(), Error> {
    say(&format!("libtorch {VERSION}: fetching it once into {} (527 MB download, 396 MB on disk)", folder.display()));
    let wheels = folder.join("wheels");
    fs::create_dir_all(&wheels).map_err(Error::file("create", &wheels))?;
    for wheel in &WHEELS {
        download(wheel, &wheels)?;
    }

    let partial = folder.join("partial");
    remove_folder(&partial)?;
    for wheel in &WHEELS {
        say(&format!("libtorch: unpacking {}", wheel.requirement));
        let mut python = Command::new("python3");
        python.args(["-c", EXTRACT]).arg(wheels.join(wheel.file)).arg(&partial).args(wheel.members);
        run(&mut python, "unpacking")?;
    }
    finish(&partial)?;

    remove_folder(own)?;
    fs::rename(&partial, own).map_err(Error::file("rename", &partial))?;
    remove_folder(&wheels)?;
    say(&format!("libtorch {VERSION}: ready in {}", own.display()));
    Ok(())
}

/// Brings one wheel into `wheels` unless a whole one lies there.
fn download(wheel: &Wheel, wheels: &Path) -> Result<(), Error> {
    let path = wheels.join(wheel.file);
    if path.is_file() && check(wheel, &path).is_ok() {
        say(&format!("libtorch: {} is already here", wheel.requirement));
        return Ok(());
    }
    say(&format!("libtorch: downloading {}", wheel.requirement));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--retries", "10", "--timeout", "60"]);
    if pip_can_resume() {
        pip.args(["--resume-retries", "20"]);
    }
    pip.args(["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "none"]);
    for glibc in ["2_28", "2_25", "2_17"] {
        pip.args(["--platform", &format!("manylinux_{glibc}_x86_64")]);
    }
    pip.arg("--dest").arg(wheels).arg(wheel.requirement);
    run(&mut pip, &format!("pip download {}", wheel.requirement))?;
    if !path.is_file() {
        return Err(Error::WheelMissing { file: wheel.file.to_owned() });
    }
    check(wheel, &path)
}

/// Whether this pip can go on with a transfer that broke off (since pip 25.1).
fn pip_can_resume() -> bool {
    let help = Command::new("python3").args(["-m", "pip", "download", "--help"]).output();
    help.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("--resume-retries"))
}

/// Compares the hash and deletes the file when it differs, so that the next run downloads it again.
fn check(wheel: &Wheel, path: &Path) -> Result<(), Error> {
    let found = sha256(path)?;
    if found == wheel.sha256 {
        return Ok(());
    }
    fs::remove_file(path).map_err(Error::file("delete", path))?;
    Err(Error::Checksum { file: wheel.file.to_owned(), expected: wheel.sha256, found })
}

/// The SHA-256 of a file in lower-case hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> Result<String, Error> {
    let mut file = File::open(path).map_err(Error::file("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(Error::file("read", path))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Strips the libraries, makes the empty `libtorch.so` and, last, writes the version that marks the folder as whole.
fn finish(partial: &Path) -> Result<(), Error> {
    let lib = partial.join("lib");
    let mut strip = Command::new("strip");
    strip.arg("--strip-unneeded").arg(lib.join("libtorch_cpu.so")).arg(lib.join("libc10.so"));
    run(&mut strip, "strip")?;

    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-nostdlib", "-Wl,-soname,libtorch.so", "-Wl,--no-as-needed"]);
    gcc.arg("-L").arg(&lib).args(["-ltorch_cpu", "-lc10", "-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined"]);
    gcc.arg("-o").arg(lib.join("libtorch.so"));
    run(&mut gcc, "gcc")?;

    let version = partial.join("build-version");
    fs::write(&version, format!("{VERSION}\n")).map_err(Error::file("write", &version))
}

fn need(program: &'static str, arguments: &[&str], package: &'static str) -> Result<(), Error> {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err(Error::ProgramMissing { program, package }) }
}

/// Deletes a folder if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("delete", path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_of_abc_is_the_one_of_fips_180() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert_eq!(sha256(&path).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_wheel_with_another_hash_is_deleted_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WHEELS[0].file);
        fs::write(&path, "half a wheel").unwrap();
        let found = check(&WHEELS[0], &path).unwrap_err();
        assert!(matches!(found, Error::Checksum { expected, .. } if expected == WHEELS[0].sha256));
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_without_its_version_mark_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/libtorch.so"), "").unwrap();
        assert!(!is_whole(folder.path()));
        fs::write(folder.path().join("build-version"), "2.13.0\n").unwrap();
        assert!(is_whole(folder.path()));
    }

    #[test]
    fn libtorch_set_to_a_folder_without_libraries_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let found = elsewhere(folder.path().to_path_buf()).unwrap_err();
        assert!(matches!(found, Error::LibtorchElsewhere { .. }));
    }
}

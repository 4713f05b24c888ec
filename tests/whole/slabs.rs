//! Images larger than the memory that they may take.

use std::{
    fs,
    process::{Child, Stdio},
};

use tempfile::TempDir;

use crate::fixture::{cohort, command, contents, plugins, refused, succeed};

/// A phantom at a spacing that makes it 381 x 381 x 97 voxels: 54 MiB.
fn large(folder: &TempDir) -> String {
    let scan = cohort().join("sub-000/source.nii.gz");
    let out = folder.path().join("large.nii").display().to_string();
    succeed(&["convert", scan.to_str().unwrap(), &out, "--spacing", "1,1,0.125"]);
    out
}

/// Most resident memory that the process had, KiB, as long as it could be asked.
fn peak_kib(mut child: Child) -> u64 {
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let told = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = told.and_then(|told| told.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(peak);
        std::thread::yield_now();
    }
    assert!(child.wait().unwrap().success());
    peak
}

#[test]
fn slabs_give_the_bytes_of_the_whole_within_their_memory() {
    let folder = TempDir::new().unwrap();
    let image = large(&folder);
    let at = |name: &str| folder.path().join(name).display().to_string();
    let plugins = plugins().to_str().unwrap();
    for (plugin, name) in [("identity", "out.nii"), ("invert", "out.nii.gz"), ("invert", "folder")] {
        let (whole, slabs) = (at(&format!("whole-{name}")), at(&format!("slabs-{name}")));
        let words = ["translate", plugin, &image];
        succeed(&[&words[..], &[&whole, "--plugins", plugins]].concat());
        let mut program = command();
        program.args(words).args([&slabs, "--plugins", plugins, "--allow-unsigned", "--memory", "96MiB"]);
        let peak = peak_kib(program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        assert!((1..96 << 10).contains(&peak), "{plugin} {name}: {peak} KiB");
        let bytes = |path: &str| match fs::read(path) {
            Ok(bytes) => [(path.into(), bytes)].into(),
            Err(_) => contents(path.as_ref()),
        };
        assert!(bytes(&whole).values().eq(bytes(&slabs).values()), "{plugin} {name}");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn too_little_memory_is_refused_with_what_it_takes() {
    let folder = TempDir::new().unwrap();
    let image = large(&folder);
    let out = folder.path().join("out.nii").display().to_string();
    let words = ["translate", "identity", &image, &out, "--plugins", plugins().to_str().unwrap()];
    let told = refused(&[&words[..], &["--memory", "34MiB"]].concat());
    assert!(told.contains("for the engine's buffers, found 1 MiB"), "{told}");
    assert!(!folder.path().join("out.nii").exists());
}

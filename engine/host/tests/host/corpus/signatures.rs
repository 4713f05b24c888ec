//! Bundles that nobody who may vouches for.

use std::{fs, path::Path};

use isoscan_host::{Party::*, Step};

use super::{KIT, Row, check, edit, sign_with};

const SIGNATURE: &str = "plugin.toml.minisig";

/// Exchanges what `change` makes of the signature's lines.
fn rewrite(dir: &Path, change: impl FnOnce(&mut [String])) {
    let text = fs::read_to_string(dir.join(SIGNATURE)).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(dir.join(SIGNATURE), lines.join("\n") + "\n").unwrap();
}

/// Another letter at the place `at` of a line in base64.
fn flip(line: &mut String, at: usize) {
    let other = if line.as_bytes()[at] == b'A' { "B" } else { "A" };
    line.replace_range(at..=at, other);
}

fn replace(dir: &Path, bytes: impl AsRef<[u8]>) {
    fs::write(dir.join(SIGNATURE), bytes).unwrap();
}

const FORGED: &str = "the signature by key own does not match its plugin.toml";
const UNREADABLE: &str = "its signature cannot be read: ";

const ROWS: &[Row] = &[
    Row(
        "no signature",
        |dir| fs::remove_file(dir.join(SIGNATURE)).unwrap(),
        Step::Trust,
        Operator,
        "it is not signed, and unsigned plugins are not allowed here",
    ),
    Row("an unknown key", |dir| sign_with(dir, &KIT.unknown), Step::Trust, Operator, "which is not trusted here"),
    Row(
        "a key that may not",
        |dir| sign_with(dir, &KIT.narrow),
        Step::Trust,
        Operator,
        "key narrow may not sign it, only org.other.*",
    ),
    Row("another bundle's", |dir| replace(dir, &KIT.good[SIGNATURE]), Step::Trust, Operator, FORGED),
    Row(
        "another manifest",
        |dir| {
            let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
            fs::write(dir.join("plugin.toml"), manifest.replacen("\"Adds\"", "\"Bdds\"", 1)).unwrap();
        },
        Step::Trust,
        Operator,
        FORGED,
    ),
    Row(
        "a longer manifest",
        |dir| {
            let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
            fs::write(dir.join("plugin.toml"), manifest + "\n").unwrap();
        },
        Step::Trust,
        Operator,
        FORGED,
    ),
    Row(
        "higher limits",
        |dir| {
            let signature = fs::read(dir.join(SIGNATURE)).unwrap();
            edit(dir, "memory_mb = 8192", "memory_mb = 9192");
            replace(dir, signature);
        },
        Step::Trust,
        Operator,
        FORGED,
    ),
    Row(
        "an unknown key under a known name",
        |dir| {
            let own = String::from_utf8(KIT.bad[SIGNATURE].clone()).unwrap();
            sign_with(dir, &KIT.unknown);
            // 12 bytes: algorithm, key id and two bytes of the signature.
            rewrite(dir, |lines| lines[1].replace_range(..16, &own.lines().nth(1).unwrap()[..16]));
        },
        Step::Trust,
        Operator,
        FORGED,
    ),
    Row("a bit of it", |dir| rewrite(dir, |lines| flip(&mut lines[1], 40)), Step::Trust, Operator, FORGED),
    Row("a bit of the second", |dir| rewrite(dir, |lines| flip(&mut lines[3], 40)), Step::Trust, Operator, FORGED),
    Row("a bit of the comment", |dir| rewrite(dir, |lines| lines[2].push('x')), Step::Trust, Operator, FORGED),
    Row(
        "two lines of it",
        |dir| rewrite(dir, |lines| lines[2..].fill(String::new())),
        Step::Trust,
        PluginAuthor,
        UNREADABLE,
    ),
    Row("a short line", |dir| rewrite(dir, |lines| lines[1].truncate(20)), Step::Trust, PluginAuthor, UNREADABLE),
    Row("a short last line", |dir| rewrite(dir, |lines| lines[3].truncate(20)), Step::Trust, PluginAuthor, UNREADABLE),
    Row(
        "a last line of words",
        |dir| rewrite(dir, |lines| lines[3] = "é".repeat(44)),
        Step::Trust,
        PluginAuthor,
        UNREADABLE,
    ),
    Row("an empty file", |dir| replace(dir, ""), Step::Trust, PluginAuthor, UNREADABLE),
    Row("bytes that are no text", |dir| replace(dir, [0xff; 300]), Step::Trust, PluginAuthor, UNREADABLE),
    Row("four lines of nothing", |dir| replace(dir, "\n".repeat(300)), Step::Trust, PluginAuthor, UNREADABLE),
    Row("a comment without end", |dir| replace(dir, [b'x'; 20_000]), Step::Trust, PluginAuthor, UNREADABLE),
    Row(
        "a manifest without hashes",
        |dir| {
            let manifest = fs::read_to_string(dir.join("plugin.toml")).unwrap();
            let (before, _) = manifest.split_once("[files]").unwrap();
            super::write_manifest(dir, before);
        },
        Step::Trust,
        Operator,
        "unsigned plugins are not allowed here",
    ),
];

#[test]
fn a_bundle_that_nobody_vouches_for_is_refused() {
    check(ROWS);
}

//! Manifests that a key signed and nobody should have.

use std::{fs, path::Path};

use isoscan_host::{Party::*, Step};

use super::{LIBRARY, Row, check, edit, write_manifest};

const LIMIT: &str = "memory_mb = 8192";
const ESCAPES: &str = "leads out of its bundle folder";
const NAMES: &str = "library = \"libcorpus.so\"";

/// The manifest below another line.
fn add(dir: &Path, line: &str) {
    let text = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    write_manifest(dir, format!("{line}\n{text}"));
}

/// The manifest without the lines that contain `part`.
fn cut(dir: &Path, part: &str) {
    let text = fs::read_to_string(dir.join("plugin.toml")).unwrap();
    let kept: String = text.lines().filter(|line| !line.contains(part)).map(|line| format!("{line}\n")).collect();
    assert!(kept.len() < text.len(), "{part} in {text}");
    write_manifest(dir, kept);
}

const NAMED: &[Row] = &[
    Row("a library above", |dir| edit(dir, NAMES, "library = \"../libcorpus.so\""), Step::Read, PluginAuthor, ESCAPES),
    Row(
        "a library beside",
        |dir| edit(dir, NAMES, "library = \"weights/../../x.so\""),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row(
        "a library anywhere",
        |dir| edit(dir, NAMES, "library = \"/usr/lib/libm.so\""),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row("a library here", |dir| edit(dir, NAMES, "library = \"./libcorpus.so\""), Step::Read, PluginAuthor, ESCAPES),
    Row("a library nowhere", |dir| edit(dir, NAMES, "library = \"\""), Step::Read, PluginAuthor, ESCAPES),
    Row(
        "a library of two lines",
        |dir| edit(dir, NAMES, "library = \"a\\nb\\u001B[2J\""),
        Step::Read,
        Operator,
        "is missing",
    ),
    Row(
        "a library of no end",
        |dir| edit(dir, NAMES, &format!("library = \"{}\"", "x".repeat(99_999))),
        Step::Read,
        Operator,
        "is missing",
    ),
    Row("a null in a name", |dir| edit(dir, NAMES, "library = \"lib\\u0000.so\""), Step::Read, PluginAuthor, ESCAPES),
    Row(
        "the manifest as library",
        |dir| edit(dir, NAMES, "library = \"plugin.toml\""),
        Step::Read,
        PluginAuthor,
        "no use of plugin.toml",
    ),
    Row(
        "weights above",
        |dir| edit(dir, "weights = \"weights\"", "weights = \"..\""),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row(
        "weights nowhere",
        |dir| edit(dir, "weights = \"weights\"", "weights = \"w\""),
        Step::Read,
        Operator,
        "is missing",
    ),
    Row(
        "a card anywhere",
        |dir| edit(dir, "card = \"card.md\"", "card = \"/etc/passwd\""),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row("a vector above", |dir| edit(dir, "file = \"golden/", "file = \"../"), Step::Read, PluginAuthor, ESCAPES),
    Row("a vector nowhere", |dir| edit(dir, "file = \"golden/", "file = \"other/"), Step::Read, Operator, "is missing"),
    Row(
        "a listed file above",
        |dir| edit(dir, "\"card.md\" = ", "\"../card.md\" = "),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row(
        "a listed file anywhere",
        |dir| edit(dir, "\"card.md\" = ", "\"/etc/passwd\" = "),
        Step::Read,
        PluginAuthor,
        ESCAPES,
    ),
    Row(
        "a library not listed",
        |dir| cut(dir, "\"libcorpus.so\" = "),
        Step::Read,
        PluginAuthor,
        "not in the manifest's [files]",
    ),
    Row(
        "a vector not listed",
        |dir| cut(dir, "\"golden/slice.safetensors\" = "),
        Step::Read,
        PluginAuthor,
        "not in the manifest's [files]",
    ),
    Row(
        "its own hash",
        |dir| edit(dir, "[files]", "[files]\n\"plugin.toml\" = \"\""),
        Step::Read,
        PluginAuthor,
        "no hash",
    ),
    Row("another hash", |dir| edit(dir, "\"sha256:", "\"md5:"), Step::Read, PluginAuthor, "expected sha256: and 64"),
    Row(
        "half a hash",
        |dir| edit(dir, "\"sha256:", "\"sha256:ab"),
        Step::Read,
        PluginAuthor,
        "expected sha256: and 64",
    ),
];

const WRITTEN: &[Row] = &[
    Row("not UTF-8", |dir| write_manifest(dir, b"id = \"\xff\""), Step::Read, PluginAuthor, "expected UTF-8"),
    Row("not TOML", |dir| write_manifest(dir, "{\"id\":\n\n\"x\"}"), Step::Read, PluginAuthor, "TOML parse error"),
    Row("nothing", |dir| write_manifest(dir, ""), Step::Read, PluginAuthor, "missing field"),
    Row("2 MiB", |dir| add(dir, &"#".repeat(2 << 20)), Step::Read, PluginAuthor, "expected at most 1048576 bytes"),
    Row(
        "deep tables",
        |dir| add(dir, &format!("a = {}", "[".repeat(500_000))),
        Step::Read,
        PluginAuthor,
        "plugin.toml",
    ),
    Row(
        "deep keys",
        |dir| add(dir, &format!("a{} = 1", ".a".repeat(400_000))),
        Step::Read,
        PluginAuthor,
        "plugin.toml",
    ),
    Row("an unknown key", |dir| add(dir, "colour = \"red\""), Step::Read, PluginAuthor, "unknown field `colour`"),
    Row("an id twice", |dir| add(dir, "id = \"org.corpus.good\""), Step::Read, PluginAuthor, "duplicate key"),
    Row("no id", |dir| cut(dir, "id = \"org.corpus.bad\""), Step::Read, PluginAuthor, "missing field `id`"),
    Row(
        "an id in capitals",
        |dir| edit(dir, "org.corpus.bad", "Corpus"),
        Step::Read,
        PluginAuthor,
        "expected an id of",
    ),
    Row("an id above", |dir| edit(dir, "org.corpus.bad", "../bad"), Step::Read, PluginAuthor, "expected an id of"),
    Row(
        "an id of two lines",
        |dir| edit(dir, "org.corpus.bad", "a\\nb\\u001B[2J"),
        Step::Read,
        PluginAuthor,
        "expected an id of",
    ),
    Row(
        "an id of no end",
        |dir| edit(dir, "org.corpus.bad", &"A".repeat(900_000)),
        Step::Read,
        PluginAuthor,
        "expected an id of",
    ),
    Row("no version", |dir| cut(dir, "version = \"1.0.0\""), Step::Read, PluginAuthor, "missing field `version`"),
    Row(
        "half a version",
        |dir| edit(dir, "\"1.0.0\"", "\"1.0\""),
        Step::Read,
        PluginAuthor,
        "expected a version like 1.2.3",
    ),
    Row(
        "a word as version",
        |dir| edit(dir, "\"1.0.0\"", "\"new\""),
        Step::Read,
        PluginAuthor,
        "expected a version like 1.2.3",
    ),
    Row("a number as version", |dir| edit(dir, "\"1.0.0\"", "1.0"), Step::Read, PluginAuthor, "expected a string"),
    Row("no library", |dir| cut(dir, NAMES), Step::Read, PluginAuthor, "missing field `library`"),
    Row("a list as library", |dir| edit(dir, NAMES, "library = []"), Step::Read, PluginAuthor, "expected a string"),
    Row("no output", |dir| cut(dir, "[output]"), Step::Read, PluginAuthor, "plugin.toml"),
];

const LIMITED: &[Row] = &[
    Row("memory of NaN", |dir| edit(dir, LIMIT, "memory_mb = nan"), Step::Read, PluginAuthor, "plugin.toml"),
    Row(
        "no memory",
        |dir| edit(dir, LIMIT, "memory_mb = 0"),
        Step::Read,
        PluginAuthor,
        "limits.memory_mb: expected 1 to",
    ),
    Row("negative memory", |dir| edit(dir, LIMIT, "memory_mb = -1"), Step::Read, PluginAuthor, "plugin.toml"),
    Row(
        "endless memory",
        |dir| edit(dir, LIMIT, "memory_mb = 9223372036854775807"),
        Step::Read,
        PluginAuthor,
        "limits.memory_mb",
    ),
    Row(
        "a deadline of NaN",
        |dir| edit(dir, LIMIT, "deadline_s = nan"),
        Step::Read,
        PluginAuthor,
        "limits.deadline_s: expected",
    ),
    Row(
        "a negative deadline",
        |dir| edit(dir, LIMIT, "deadline_s = -1.0"),
        Step::Read,
        PluginAuthor,
        "limits.deadline_s: expected",
    ),
    Row(
        "an endless deadline",
        |dir| edit(dir, LIMIT, "deadline_s = inf"),
        Step::Read,
        PluginAuthor,
        "limits.deadline_s: expected",
    ),
    Row(
        "no silence at all",
        |dir| edit(dir, LIMIT, "max_silence_s = 0.0"),
        Step::Read,
        PluginAuthor,
        "limits.max_silence_s",
    ),
    Row(
        "no threads",
        |dir| edit(dir, LIMIT, "threads = 0"),
        Step::Read,
        PluginAuthor,
        "limits.threads: expected at least 1",
    ),
    Row("an unknown limit", |dir| edit(dir, LIMIT, "disk_mb = 1"), Step::Read, PluginAuthor, "unknown field `disk_mb`"),
    Row(
        "a tolerance of NaN",
        |dir| edit(dir, "tolerance = ", "tolerance = nan #"),
        Step::Read,
        PluginAuthor,
        "expected a tolerance of",
    ),
    Row(
        "a negative drift",
        |dir| edit(dir, "tolerance = ", "drift = -1.0\ntolerance = "),
        Step::Read,
        PluginAuthor,
        "expected a drift of",
    ),
    Row(
        "flat voxels",
        |dir| edit(dir, "tolerance = ", "spacing_mm = [1.0, 0.0, 1.0] #"),
        Step::Read,
        PluginAuthor,
        "plugin.toml",
    ),
    Row(
        "an unknown parameter",
        |dir| edit(dir, "tolerance = ", "params = { loss = 1.0 }\ntolerance = "),
        Step::Test,
        PluginAuthor,
        "loss",
    ),
    Row(
        "a parameter out of range",
        |dir| edit(dir, "tolerance = ", "params = { gain = 3.0 }\ntolerance = "),
        Step::Test,
        PluginAuthor,
        "gain",
    ),
    Row(
        "a newer contract",
        |dir| edit(dir, "major = 1", "major = 2"),
        Step::Read,
        EngineOperator,
        "it needs contract 2.0, the engine has 1.2",
    ),
    Row(
        "a newer minor contract",
        |dir| edit(dir, "needs = 0", "needs = 9"),
        Step::Read,
        EngineOperator,
        "it needs contract 1.9, the engine has 1.2",
    ),
    Row(
        "an older contract",
        |dir| edit(dir, "major = 1", "major = 0"),
        Step::Read,
        PluginAuthor,
        "it needs contract 0.0, the engine has 1.2",
    ),
    Row("another summary", |dir| edit(dir, "\"Adds\"", "\"a\\nb\""), Step::Describe, PluginAuthor, "summary: expected"),
    Row(
        "another range",
        |dir| edit(dir, "max = 2.0", "max = 9.0"),
        Step::Describe,
        PluginAuthor,
        "params[0].max: expected 9",
    ),
    Row("no parameters", |dir| edit(dir, "[[params]]", "[[models]]"), Step::Read, PluginAuthor, "plugin.toml"),
    Row(
        "no patches",
        |dir| edit(dir, "max_batch = 1", "max_batch = 0"),
        Step::Read,
        PluginAuthor,
        "expected max_batch above 0",
    ),
];

#[test]
fn a_manifest_that_names_other_files_than_its_own_is_refused() {
    assert!(NAMES.contains(LIBRARY));
    check(NAMED);
}

#[test]
fn a_manifest_that_cannot_be_read_is_refused() {
    check(WRITTEN);
}

#[test]
fn a_manifest_that_asks_for_the_impossible_is_refused() {
    check(LIMITED);
}

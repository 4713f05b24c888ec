//! Signed bundles whose library is not what the manifest says, or bad company.

use std::{fs, path::Path};

use isoscan_host::{Party::*, Step};

use super::{LIBRARY, Row, check, library, seal};
use crate::versions::vector;

/// The library compiled with `flags`, signed by a key that may.
fn build(dir: &Path, flags: &[&str]) {
    replace(dir, LIBRARY, library(flags));
}

fn replace(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(dir.join(name), bytes).unwrap();
    seal(dir);
}

/// The library with some bytes at `at` exchanged.
fn patch(dir: &Path, at: usize, bytes: &[u8]) {
    let mut library = fs::read(dir.join(LIBRARY)).unwrap();
    library[at..at + bytes.len()].copy_from_slice(bytes);
    replace(dir, LIBRARY, library);
}

const OPENING: &[Row] = &[
    Row("text", |dir| replace(dir, LIBRARY, "x".repeat(5000)), Step::Open, PluginAuthor, "invalid ELF header"),
    Row("nothing", |dir| replace(dir, LIBRARY, ""), Step::Open, PluginAuthor, "file too short"),
    Row("32 bit", |dir| patch(dir, 4, &[1]), Step::Open, PluginAuthor, "ELFCLASS32"),
    Row("a program", |dir| patch(dir, 16, &[2]), Step::Open, PluginAuthor, "cannot dynamically load executable"),
    Row("another machine", |dir| patch(dir, 18, &[0xb7]), Step::Open, Operator, "cannot open shared object file"),
    Row("no program headers", |dir| patch(dir, 56, &[0]), Step::Open, PluginAuthor, "object file has no"),
    Row(
        "a symbol that nobody has",
        |dir| build(dir, &["-DLOADING=extern void no_one(void); no_one()"]),
        Step::Open,
        PluginAuthor,
        "undefined symbol: no_one",
    ),
    Row("a constructor that aborts", |dir| build(dir, &["-DLOADING=abort()"]), Step::Open, PluginAuthor, "SIGABRT"),
    Row(
        "a constructor that ends",
        |dir| build(dir, &["-DLOADING=_exit(0)"]),
        Step::Open,
        PluginAuthor,
        "exit status 0",
    ),
    Row(
        "a constructor that touches nothing",
        |dir| build(dir, &["-DLOADING=*(volatile int *)8 = 1"]),
        Step::Open,
        PluginAuthor,
        "SIGSEGV at address 0x8",
    ),
    Row(
        "a constructor that closes everything",
        |dir| build(dir, &["-DLOADING=for (int fd = 0; fd < 100; fd++) close(fd)"]),
        Step::Open,
        PluginAuthor,
        "its process died while loading",
    ),
    Row(
        "a constructor that writes into everything",
        |dir| {
            build(
                dir,
                &["-DLOADING=for (int fd = 3; fd < 100; fd++) if (write(fd, \"all\\nis fine\\n\", 12)) continue"],
            )
        },
        Step::Open,
        PluginAuthor,
        "its process broke the protocol while loading",
    ),
    Row(
        "a constructor with long last words",
        |dir| {
            build(
                dir,
                &["-DLOADING=for (int i = 0; i < 9999; i++) puts(\"a\\r\\nb\\x1b[2J\"); fflush(stdout); abort()"],
            )
        },
        Step::Open,
        PluginAuthor,
        "SIGABRT",
    ),
    Row("no entry", |dir| build(dir, &["-DNAMELESS"]), Step::Entry, PluginAuthor, "expected the symbol"),
    Row("another magic", |dir| build(dir, &["-DMAGIC={'A'}"]), Step::Entry, PluginAuthor, "expected the magic ISOSCAN"),
    Row(
        "a newer contract",
        |dir| build(dir, &["-DMAJOR=2"]),
        Step::Entry,
        EngineOperator,
        "contract version 1, found 2",
    ),
    Row(
        "an older contract",
        |dir| build(dir, &["-DMAJOR=0"]),
        Step::Entry,
        PluginAuthor,
        "contract version 1, found 0",
    ),
    Row(
        "a newer minor contract",
        |dir| build(dir, &["-DMINOR=9"]),
        Step::Entry,
        EngineOperator,
        "it needs contract 1.9",
    ),
    Row(
        "drifted types",
        |dir| build(dir, &["-DDRIFT=1"]),
        Step::Entry,
        PluginAuthor,
        "expected layout hash 0x1185a009",
    ),
];

const DESCRIBING: &[Row] = &[
    Row(
        "another id",
        |dir| build(dir, &["-DID=\"org.corpus.good\""]),
        Step::Describe,
        PluginAuthor,
        "found org.corpus.good",
    ),
    Row(
        "another version",
        |dir| build(dir, &["-DVERSION=\"1.0.1\""]),
        Step::Describe,
        PluginAuthor,
        "found org.corpus.bad 1.0.1",
    ),
    Row("another range", |dir| build(dir, &["-DMAX=\"3\""]), Step::Describe, PluginAuthor, "params[0].max: expected 2"),
    Row(
        "another input",
        |dir| build(dir, &["-DINPUT=\"scan\""]),
        Step::Describe,
        PluginAuthor,
        "inputs[0].name: expected",
    ),
    Row(
        "not deterministic",
        |dir| build(dir, &["-DDETERMINISTIC=\"false\""]),
        Step::Describe,
        PluginAuthor,
        "deterministic: ",
    ),
    Row(
        "an id of two lines",
        |dir| build(dir, &["-DID=\"a\\\\nb\""]),
        Step::Describe,
        PluginAuthor,
        "expected an id of",
    ),
    Row(
        "an endless version",
        |dir| build(dir, &["-DDESCRIBING=static char v[5000]; memset(v, '[', 4999); return iso_str(v)"]),
        Step::Describe,
        PluginAuthor,
        "its descriptor cannot be read",
    ),
    Row(
        "no descriptor",
        |dir| build(dir, &["-DDESCRIPTION=\"\""]),
        Step::Describe,
        PluginAuthor,
        "its descriptor cannot be read",
    ),
    Row(
        "a descriptor of two lines",
        |dir| build(dir, &["-DDESCRIPTION=\"{\\\"a\\\\nb\\\": 1}\""]),
        Step::Describe,
        PluginAuthor,
        "its descriptor cannot be read",
    ),
    Row(
        "a descriptor that is no text",
        |dir| build(dir, &["-DDESCRIPTION=\"\\xff\\xfe\\n\""]),
        Step::Describe,
        PluginAuthor,
        "its descriptor cannot be read",
    ),
    Row(
        "a descriptor nowhere",
        |dir| build(dir, &["-DDESCRIBING=return (IsoStr){(const uint8_t *)8, 9}"]),
        Step::Open,
        PluginAuthor,
        "SIGSEGV",
    ),
    Row(
        "a null descriptor",
        |dir| build(dir, &["-DDESCRIBING=return (IsoStr){NULL, 9}"]),
        Step::Describe,
        PluginAuthor,
        "its descriptor cannot be read",
    ),
    Row(
        "a descriptor without end",
        |dir| build(dir, &["-DDESCRIBING=return (IsoStr){(const uint8_t *)DESCRIPTOR, (size_t)1 << 62}"]),
        Step::Open,
        PluginAuthor,
        "died while loading",
    ),
];

const WORKING: &[Row] = &[
    Row(
        "no instance",
        |dir| build(dir, &["-DCREATING=return ISO_STATUS_FAILED"]),
        Step::Create,
        PluginAuthor,
        "it gave no message",
    ),
    Row(
        "no instance for two lines of reasons",
        |dir| {
            build(
                dir,
                &[
                    "-DCREATING=host->set_error(host->ctx, iso_str(\"bad\\nweights\\x1b[2J\")); return ISO_STATUS_INVALID",
                ],
            )
        },
        Step::Create,
        Operator,
        "bad weights",
    ),
    Row("an instance that dies", |dir| build(dir, &["-DCREATING=abort()"]), Step::Create, PluginAuthor, "SIGABRT"),
    Row(
        "an instance that dies with long last words",
        |dir| {
            build(
                dir,
                &["-DCREATING=for (int i = 0; i < 9999; i++) putchar(i % 7 ? '\\r' : '['); fflush(stdout); abort()"],
            )
        },
        Step::Create,
        PluginAuthor,
        "SIGABRT",
    ),
    Row("a death at work", |dir| build(dir, &["-DRUNNING=abort()"]), Step::Test, PluginAuthor, "SIGABRT"),
    Row(
        "an error of two lines",
        |dir| build(dir, &["-DRUNNING=host->set_error(host->ctx, iso_str(\"bad\\nscan\")); return ISO_STATUS_FAILED"]),
        Step::Test,
        PluginAuthor,
        "bad scan",
    ),
    Row(
        "an output of NaN",
        |dir| build(dir, &["-DRUNNING=output[0] = NAN"]),
        Step::Test,
        PluginAuthor,
        "1 output voxels are not",
    ),
    Row(
        "a wrong voxel",
        |dir| build(dir, &["-DRUNNING=output[7] += 0.5f"]),
        Step::Test,
        PluginAuthor,
        "differs from what is expected",
    ),
    Row(
        "another output",
        |dir| build(dir, &["-DRUNNING=output[7] = image[0]"]),
        Step::Test,
        PluginAuthor,
        "differs from what is expected",
    ),
    Row(
        "an output of its own each time",
        |dir| build(dir, &["-DRUNNING=static float n; output[7] = (float)getpid() + n++"]),
        Step::Test,
        PluginAuthor,
        "expected the same output twice",
    ),
    Row("a voxel beside", |dir| build(dir, &["-DRUNNING=output[count] = 1.0f"]), Step::Test, PluginAuthor, "SIGSEGV"),
    Row("an unknown status", |dir| build(dir, &["-DRUNNING=return -77"]), Step::Test, PluginAuthor, "status -77"),
];

const GOLDEN: &str = "golden/slice.safetensors";

const TESTING: &[Row] = &[
    Row("a vector of text", |dir| replace(dir, GOLDEN, "a\nb"), Step::Test, PluginAuthor, "is no safetensors file"),
    Row("an empty vector", |dir| replace(dir, GOLDEN, ""), Step::Test, PluginAuthor, "is no safetensors file"),
    Row(
        "a vector without end",
        |dir| replace(dir, GOLDEN, [0xff; 64]),
        Step::Test,
        PluginAuthor,
        "is no safetensors file",
    ),
    Row(
        "another expectation",
        |dir| replace(dir, GOLDEN, vector(&[("image", &[1.0, 2.0]), ("expected", &[2.0, 2.5])])),
        Step::Test,
        PluginAuthor,
        "differs from what is expected",
    ),
    Row(
        "an expectation of NaN",
        |dir| replace(dir, GOLDEN, vector(&[("image", &[1.0, 2.0]), ("expected", &[2.0, f32::NAN])])),
        Step::Test,
        PluginAuthor,
        "differs from what is expected",
    ),
    Row(
        "no expectation",
        |dir| replace(dir, GOLDEN, vector(&[("image", &[1.0])])),
        Step::Test,
        PluginAuthor,
        "expected a tensor 'expected'",
    ),
    Row("no input", |dir| replace(dir, GOLDEN, vector(&[("expected", &[1.0])])), Step::Test, PluginAuthor, "found 0"),
    Row(
        "an unknown input",
        |dir| replace(dir, GOLDEN, vector(&[("a\nb", &[1.0]), ("image", &[1.0]), ("expected", &[2.0])])),
        Step::Test,
        PluginAuthor,
        "it has no input 'a",
    ),
];

#[test]
fn a_library_that_does_not_open_or_fit_is_refused() {
    check(OPENING);
}

#[test]
fn a_library_that_describes_another_plugin_than_was_signed_is_refused() {
    check(DESCRIBING);
}

#[test]
fn a_library_that_does_not_do_its_work_is_refused() {
    check(WORKING);
}

#[test]
fn a_golden_vector_that_does_not_come_out_is_a_refusal() {
    check(TESTING);
}

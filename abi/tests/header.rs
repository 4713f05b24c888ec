//! `include/isoscan.h` says the same as the Rust types: text, hash, sizes and offsets.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use isoscan_abi::{
    ENTRY_SYMBOL, EXTENSION_TRAIN, IsoCall, IsoEntry, IsoHost, IsoLossSink, IsoStr, IsoTensor, IsoTrain, abi_hash,
};

const COMMITTED: &str = include_str!("../include/isoscan.h");

/// Set `ISOSCAN_BLESS=1` to write the generated header over the committed one.
#[test]
fn committed_header_is_the_generated_one() {
    let generated = generated_header();
    if std::env::var_os("ISOSCAN_BLESS").is_some() {
        let path = root().join("include/isoscan.h");
        std::fs::write(path.with_extension("new"), &generated).unwrap();
        std::fs::rename(path.with_extension("new"), path).unwrap();
        return;
    }
    assert_eq!(COMMITTED, generated, "run this test with ISOSCAN_BLESS=1 and commit include/isoscan.h");
}

#[test]
fn header_names_the_hash_of_the_rust_layouts() {
    let line = format!("#define ISO_ABI_HASH UINT64_C({:#018x})", abi_hash());
    assert!(COMMITTED.contains(&line), "no line {line}");
}

#[test]
fn every_function_of_the_header_has_a_thread_tag() {
    let mut comment = String::new();
    let mut functions = 0;
    for line in COMMITTED.lines().map(str::trim) {
        if line.starts_with("//") {
            comment.push_str(line);
            continue;
        }
        if line.contains("(*") {
            functions += 1;
            assert!(comment.contains("[call thread]") || comment.contains("[any thread]"), "{line}");
        }
        comment.clear();
    }
    assert_eq!(functions, 4 + 5 + 1 + 5, "functions of host, entry, loss sink and training");
}

#[test]
fn c11_compiler_sees_the_rust_sizes_and_offsets() {
    compile("cc", "-std=c11", "layout.c");
}

#[test]
fn cxx17_compiler_sees_the_rust_sizes_and_offsets() {
    compile("c++", "-std=c++17", "layout.cpp");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn compile(compiler: &str, standard: &str, name: &str) {
    let source = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&source, layout_asserts()).unwrap();
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(root().join("include"))
        .arg(&source)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn generated_header() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let sources = ["src/lib.rs", "src/tensor.rs", "src/train.rs"];
    let builder = sources.iter().fold(cbindgen::Builder::new(), |b, file| b.with_src(root().join(file)));
    let mut text = Vec::new();
    builder.with_config(config).generate().unwrap().write(&mut text);
    let text = unlinked(&String::from_utf8(text).unwrap());
    let (body, end) = text.rsplit_once("#endif  /* ISOSCAN_H */").unwrap();
    format!("{}\n\n{}\n#endif  /* ISOSCAN_H */{end}", body.trim_end(), constants_and_symbol())
}

/// What cbindgen cannot say: arrays, text, the hash, and the exported symbol.
fn constants_and_symbol() -> String {
    format!(
        r#"// First bytes of every IsoEntry.
#define ISO_MAGIC {{'I', 'S', 'O', 'S', 'C', 'A', 'N', 0}}

// Hash over the sizes and offsets of every struct above; goes into IsoEntry.abi_hash.
#define ISO_ABI_HASH UINT64_C({:#018x})

// Id of the training extension; get_extension answers with const IsoTrain *.
#define ISO_EXTENSION_TRAIN "{EXTENSION_TRAIN}"

#if defined(_WIN32)
#define ISO_EXPORT __declspec(dllexport)
#else
#define ISO_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {{
#endif

// The symbol that a plugin library defines.
extern ISO_EXPORT const IsoEntry {ENTRY_SYMBOL};

#ifdef __cplusplus
}}
#endif

// Borrows a zero-terminated text.
static inline IsoStr iso_str(const char *text) {{
    IsoStr str;
    str.ptr = (const uint8_t *)text;
    str.len = strlen(text);
    return str;
}}
"#,
        abi_hash()
    )
}

/// Turns the links of the Rust docs, ``[`STATUS_OK`]``, into the names of the header, `ISO_STATUS_OK`.
fn unlinked(text: &str) -> String {
    let mut out = text.replace("[`", "").replace("`]", "").replace('`', "").replace("IsoHost::", "IsoHost.");
    for name in ["MAGIC", "ABI_MAJOR", "MAX_DIMS", "DTYPE_F32", "EXTENSION_TRAIN", "STATUS_OK", "STATUS_CANCELLED"] {
        out = out.replace(&format!(" {name}"), &format!(" ISO_{name}"));
    }
    out = out.replace("under ENTRY_SYMBOL", &format!("as {ENTRY_SYMBOL}"));
    out.replace(" abi_hash of", " ISO_ABI_HASH of").replace("STATUS_* codes", "ISO_STATUS_* codes")
}

fn layout_asserts() -> String {
    let mut out = String::from("#include <isoscan.h>\n#ifndef __cplusplus\n#include <assert.h>\n#endif\n");
    macro_rules! assert_layout {
        ($($name:ident { $($field:ident),* })*) => {$(
            let (size, align) = (size_of::<$name>(), align_of::<$name>());
            writeln!(out, "static_assert(sizeof({}) == {size}, \"size\");", stringify!($name)).unwrap();
            let alignof = format!("offsetof(struct {{ char c; {} s; }}, s)", stringify!($name));
            writeln!(out, "#ifndef __cplusplus\nstatic_assert({alignof} == {align}, \"alignment\");\n#endif").unwrap();
            writeln!(out, "#ifdef __cplusplus\nstatic_assert(alignof({}) == {align}, \"\");\n#endif", stringify!($name)).unwrap();
            $(writeln!(
                out,
                "static_assert(offsetof({0}, {1}) == {2}, \"{0}.{1}\");",
                stringify!($name), stringify!($field), offset_of!($name, $field)
            ).unwrap();)*
        )*};
    }
    assert_layout! {
        IsoStr { ptr, len }
        IsoTensor { data, byte_len, dtype, ndim, shape, stride }
        IsoHost { ctx, progress, set_error, log, get_extension }
        IsoCall { inputs, outputs, input_count, output_count, params, context }
        IsoEntry { magic, abi_major, abi_minor_needed, abi_hash, describe, create, destroy, run, get_extension }
        IsoLossSink { ctx, report }
        IsoTrain { begin, step, translate, save, end }
    }
    out
}

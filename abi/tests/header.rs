//! `include/isoscan.h` says the same as the Rust types: text, hash, sizes and offsets.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fmt::Write;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

use isoscan_abi::{
    ENTRY_SYMBOL, EXTENSION_BATCH, EXTENSION_BUNDLE, EXTENSION_TRAIN, IsoBatch, IsoBundle, IsoCall, IsoEntry, IsoHost,
    IsoLossSink, IsoStr, IsoTensor, IsoTrain, abi_hash,
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
    assert_eq!(functions, 4 + 5 + 1 + 5 + 1 + 1, "functions of host, entry, loss sink, training, batch and bundle");
}

/// The header asserts the sizes and offsets that Rust has.
#[test]
fn c11_and_cxx17_compilers_agree_and_find_nothing_to_warn_of() {
    for (compiler, standard, name) in COMPILERS {
        let output = compile(compiler, standard, name, COMMITTED);
        assert_eq!(output, "", "{compiler}");
    }
}

#[test]
fn compilers_refuse_a_header_whose_structs_moved() {
    let moved = COMMITTED.replacen("    uint32_t dtype;\n", "    uint64_t dtype;\n", 1);
    for (compiler, standard, name) in &COMPILERS[..2] {
        let output = compile(compiler, standard, &format!("moved-{name}"), &moved);
        assert!(output.contains("size of IsoTensor"), "{compiler}: {output}");
    }
}

/// The first two are needed, the others are asked where they are installed.
const COMPILERS: [(&str, &str, &str); 4] = [
    ("cc", "-std=c11", "layout.c"),
    ("c++", "-std=c++17", "layout.cpp"),
    ("clang", "-std=c11", "clang.c"),
    ("clang++", "-std=c++17", "clang.cpp"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the compiler says of a file that includes `header`.
fn compile(compiler: &str, standard: &str, name: &str, header: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("header-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("isoscan.h"), header).unwrap();
    std::fs::write(folder.join(name), "#include <isoscan.h>\n").unwrap();
    let output = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", "."])
        .arg(name)
        .current_dir(&folder)
        .output();
    match output {
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(_) if compiler.starts_with("clang") => String::new(),
        Err(error) => panic!("{compiler}: {error}"),
    }
}

fn generated_header() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let sources = ["src/lib.rs", "src/tensor.rs", "src/train.rs", "src/batch.rs", "src/bundle.rs"];
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

// Hash over the sizes and offsets of every struct of contract 1.0; goes into IsoEntry.abi_hash.
#define ISO_ABI_HASH UINT64_C({:#018x})

// Id of the training extension; get_extension answers with const IsoTrain *.
#define ISO_EXTENSION_TRAIN "{EXTENSION_TRAIN}"

// Id of the batch extension; get_extension answers with const IsoBatch *.
#define ISO_EXTENSION_BATCH "{EXTENSION_BATCH}"

// Id of the bundle extension; get_extension answers with const IsoBundle *.
#define ISO_EXTENSION_BUNDLE "{EXTENSION_BUNDLE}"

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

// Whether a text of the host, such as an extension id, says the same.
static inline int iso_is(IsoStr text, const char *expected) {{
    size_t len = strlen(expected);
    return text.len == len && memcmp(text.ptr, expected, len) == 0;
}}

// The layouts of this contract, in bytes.
#ifdef __cplusplus
#define ISO_ASSERT static_assert
#define ISO_ALIGN alignof
#else
#define ISO_ASSERT _Static_assert
#define ISO_ALIGN _Alignof
#endif
{}
#undef ISO_ASSERT
#undef ISO_ALIGN
"#,
        abi_hash(),
        layout_asserts().trim_end()
    )
}

/// Turns the links of the Rust docs, ``[`STATUS_OK`]``, into the names of the header, `ISO_STATUS_OK`.
fn unlinked(text: &str) -> String {
    let mut out = text.replace("[`", "").replace("`]", "").replace('`', "").replace("IsoHost::", "IsoHost.");
    for name in [
        "MAGIC",
        "ABI_MAJOR",
        "MAX_DIMS",
        "DTYPE_F32",
        "EXTENSION_TRAIN",
        "EXTENSION_BUNDLE",
        "STATUS_OK",
        "STATUS_CANCELLED",
    ] {
        out = out.replace(&format!(" {name}"), &format!(" ISO_{name}"));
    }
    out = out.replace("under ENTRY_SYMBOL", &format!("as {ENTRY_SYMBOL}"));
    out.replace(" abi_hash of", " ISO_ABI_HASH of").replace("STATUS_* codes", "ISO_STATUS_* codes")
}

fn layout_asserts() -> String {
    let mut out = String::new();
    macro_rules! assert_layout {
        ($($name:ident { $($field:ident),* })*) => {$(
            let (name, size, align) = (stringify!($name), size_of::<$name>(), align_of::<$name>());
            writeln!(
                out,
                "ISO_ASSERT(sizeof({name}) == {size} && ISO_ALIGN({name}) == {align}, \"size of {name}\");"
            ).unwrap();
            $(writeln!(
                out,
                "ISO_ASSERT(offsetof({0}, {1}) == {2}, \"{0}.{1}\");",
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
        IsoBatch { run }
        IsoBundle { open }
    }
    out
}

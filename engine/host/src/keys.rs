//! Key pairs, the operator's file of trusted keys, and signing.

use std::{fs, io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use minisign::{KeyPair, PublicKey, PublicKeyBox, SecretKey, SecretKeyBox};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Integrity, TrustedKey,
    error::line,
    manifest::SIGNATURE,
    open_bundle,
    store::{write_atomically, write_new},
    trust::{key_id, public_key},
};

/// A file of trusted keys: a table `[[key]]` each.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default, rename = "key")]
    keys: Vec<TrustedKey>,
}

/// The trusted keys in a TOML file, each a table `[[key]]` with `name`, `public` and `ids`.
///
/// # Errors
/// [`Error::Read`], and [`Error::Key`] for text that is none, a key that is none, and a name or key that comes twice.
pub fn read_keys(path: &Path) -> Result<Vec<TrustedKey>, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Read { path: path.into(), cause })?;
    let wrong = |message: String| Error::Key { path: path.into(), message };
    let KeyFile { keys } = toml::from_str(&text).map_err(|e| wrong(line(&e.to_string())))?;
    for (at, key) in keys.iter().enumerate() {
        check(key, &keys[..at]).map_err(wrong)?;
    }
    Ok(keys)
}

/// Adds a key to the file, which is made when missing.
///
/// # Errors
/// As [`read_keys`], [`Error::Key`] for a key that is there already, and [`Error::Write`].
pub fn add_key(path: &Path, key: &TrustedKey) -> Result<(), Error> {
    let mut keys = match read_keys(path) {
        Err(Error::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => Vec::new(),
        keys => keys?,
    };
    check(key, &keys).map_err(|message| Error::Key { path: path.into(), message })?;
    keys.push(key.clone());
    write_keys(path, keys)
}

/// Takes the key of that name out of the file and gives it.
///
/// # Errors
/// As [`read_keys`], [`Error::Key`] when it has no such key, and [`Error::Write`].
pub fn remove_key(path: &Path, name: &str) -> Result<TrustedKey, Error> {
    let mut keys = read_keys(path)?;
    let Some(at) = keys.iter().position(|key| key.name == name) else {
        let known: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        let message = format!("expected one of the keys {}, found '{name}'", known.join(", "));
        return Err(Error::Key { path: path.into(), message });
    };
    let removed = keys.remove(at);
    write_keys(path, keys)?;
    Ok(removed)
}

/// Makes a key pair in minisign's files and gives the public key; the secret key is encrypted where there is a password.
/// Neither file may be there already.
///
/// # Errors
/// [`Error::Write`], and [`Error::Key`] when no key can be made.
pub fn generate_key(secret: &Path, public: &Path, password: Option<String>) -> Result<TrustedKey, Error> {
    let wrong = |e: minisign::PError| Error::Key { path: secret.into(), message: e.to_string() };
    let comment = if password.is_some() { "minisign encrypted secret key" } else { "minisign secret key" };
    let pair = match password {
        Some(password) => KeyPair::generate_encrypted_keypair(Some(password)),
        None => KeyPair::generate_unencrypted_keypair(),
    };
    let KeyPair { pk, sk } = pair.map_err(wrong)?;
    let secret_text = sk.to_box(Some(comment)).map_err(wrong)?.into_string();
    let public_text = pk.to_box().map_err(wrong)?.into_string();
    if public.exists() {
        let cause = io::ErrorKind::AlreadyExists.into();
        return Err(Error::Write { path: public.into(), cause });
    }
    write_new(secret, secret_text.as_bytes(), 0o600)?;
    write_new(public, public_text.as_bytes(), 0o644)?;
    Ok(TrustedKey { name: key_id(pk.keynum()), public: pk.to_base64(), ids: Vec::new() })
}

/// The base64 form of the key in one of minisign's public key files.
///
/// # Errors
/// [`Error::Read`], and [`Error::Key`] for a file that is none.
pub fn read_public_key(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Read { path: path.into(), cause })?;
    let wrong = |e: minisign::PError| Error::Key { path: path.into(), message: e.to_string() };
    let key = PublicKeyBox::from_string(&text).and_then(PublicKeyBox::into_public_key).map_err(wrong)?;
    Ok(key.to_base64())
}

/// Signs the bundle in `dir` and gives the key's id: writes `plugin.toml.minisig`, a minisign signature over the bytes of
/// the manifest with the trusted comment `id version`.
///
/// # Errors
/// Those of [`open_bundle`]; [`Error::Unhashed`] for a manifest that vouches for no file; [`Error::Key`] for a file that
/// is no secret key, and for a password that is missing or wrong; [`Error::Write`].
pub fn sign_bundle(dir: &Path, secret: &Path, password: Option<String>) -> Result<String, Error> {
    let bundle = open_bundle(dir)?;
    if bundle.integrity != Integrity::Hashed {
        return Err(Error::Unhashed { plugin: bundle.id });
    }
    let key = secret_key(secret, password)?;
    let wrong = |e: minisign::PError| Error::Key { path: secret.into(), message: e.to_string() };
    let public = PublicKey::from_secret_key(&key).map_err(wrong)?;
    let id = key_id(public.keynum());
    let comment = format!("{} {}", bundle.id, bundle.version);
    let untrusted = format!("signature from minisign secret key {id}");
    let manifest = bundle.manifest_text.as_bytes();
    let signature = minisign::sign(Some(&public), &key, manifest, Some(&comment), Some(&untrusted)).map_err(wrong)?;
    write_atomically(&bundle.dir.join(SIGNATURE), signature.into_string().as_bytes(), 0o644)?;
    Ok(id)
}

/// Nothing is ever asked for on the terminal.
fn secret_key(path: &Path, password: Option<String>) -> Result<SecretKey, Error> {
    let text = fs::read_to_string(path).map_err(|cause| Error::Read { path: path.into(), cause })?;
    let wrong = |message: String| Error::Key { path: path.into(), message };
    let boxed = SecretKeyBox::from_string(&text).map_err(|e| wrong(e.to_string()))?;
    let plain = boxed.clone().into_unencrypted_secret_key();
    match (plain.or_else(|e| without_checksum(&text).ok_or(e)), password) {
        (Ok(key), _) => Ok(key),
        (Err(_), Some(password)) => boxed.into_secret_key(Some(password)).map_err(|e| wrong(e.to_string())),
        (Err(e), None) if e.to_string().contains("encrypted") => Err(wrong("the key needs its password".to_owned())),
        (Err(e), None) => Err(wrong(e.to_string())),
    }
}

/// A secret key of `minisign -G -W`, which leaves the checksum of a key without a password zero.
fn without_checksum(text: &str) -> Option<SecretKey> {
    const CHECKSUM_BYTES: usize = 32;
    let bytes = BASE64_STANDARD.decode(text.lines().nth(1)?.trim()).ok()?;
    let key = SecretKey::from_bytes(&bytes).ok()?;
    let (_, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    (!key.is_encrypted() && checksum.iter().all(|&byte| byte == 0)).then_some(key)
}

/// What a key must be beside those before it.
fn check(key: &TrustedKey, others: &[TrustedKey]) -> Result<(), String> {
    let TrustedKey { name, public, ids } = key;
    let number = public_key(public)?.keynum().to_vec();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(format!("expected a name for key {}, found '{name}'", key_id(&number)));
    }
    if ids.is_empty() || ids.iter().any(String::is_empty) {
        return Err(format!("key '{name}': expected at least one id that it may sign, found {ids:?}"));
    }
    for other in others {
        if other.name == *name {
            return Err(format!("expected keys of different names, found '{name}' twice"));
        }
        if public_key(&other.public)?.keynum() == number {
            return Err(format!("key {} is there already, as '{}'", key_id(&number), other.name));
        }
    }
    Ok(())
}

fn write_keys(path: &Path, keys: Vec<TrustedKey>) -> Result<(), Error> {
    let text = toml::to_string(&KeyFile { keys });
    let text = text.map_err(|e| Error::Key { path: path.into(), message: e.to_string() })?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|cause| Error::Write { path: parent.into(), cause })?;
    write_atomically(path, text.as_bytes(), 0o644)
}

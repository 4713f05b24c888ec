//! Who vouches for a bundle.

use std::{
    fmt,
    io::{self, Read},
    path::PathBuf,
};

use minisign::{PublicKey, SignatureBox};
use serde::{Deserialize, Serialize};

use crate::{Bundle, Error, Integrity, hash::open_plain, manifest::SIGNATURE};

/// Largest signature file, bytes; minisign's comments take at most 8 KiB.
pub(crate) const SIGNATURE_BYTES: u64 = 1 << 14;
/// Base64 of the 64 bytes of an Ed25519 signature.
const GLOBAL_SIGNATURE_CHARS: usize = 88;

/// What vouches for a bundle, weakest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Level {
    /// Nobody: it runs only where the operator allows unsigned plugins, always in a fully enforced sandbox.
    #[default]
    Local,
    /// A trusted key that may sign this id.
    Signed {
        /// Name of the key in the operator's file.
        key: String,
    },
    /// It lies in the folder of the program itself.
    BuiltIn,
}

/// What an operator trusts.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// The keys and the ids that each may sign.
    pub keys: Vec<TrustedKey>,
    /// Folder of the plugins that come with the program.
    pub built_in: Option<PathBuf>,
    /// Lets unsigned bundles run.
    pub allow_unsigned: bool,
}

/// A public key and what it may sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKey {
    /// Name for people.
    pub name: String,
    /// The public key in minisign's base64 form.
    pub public: String,
    /// Ids it may sign; `org.vendor.*` covers every id that begins with `org.vendor.`.
    pub ids: Vec<String>,
}

impl Trust {
    /// What vouches for `bundle`: the folder it lies in, or a signature over its manifest, whose hashes then vouch for
    /// the rest.
    ///
    /// # Errors
    /// [`Error::Unsigned`] where nobody vouches and unsigned bundles may not run, [`Error::UnknownKey`] likewise for a
    /// key that is not trusted; and even where they may run [`Error::Signature`], [`Error::KeyNotForId`] and
    /// [`Error::Forged`] for a signature that is wrong. [`Error::Key`] for a trusted key that is none.
    pub fn judge(&self, bundle: &Bundle) -> Result<Level, Error> {
        let plugin = || bundle.id.clone();
        if bundle.integrity != Integrity::Hashed {
            return self.allow_unsigned.then_some(Level::Local).ok_or_else(|| Error::Unsigned { plugin: plugin() });
        }
        if self.is_built_in(bundle) {
            return Ok(Level::BuiltIn);
        }
        let Some(signature) = read_signature(bundle)? else {
            return self.allow_unsigned.then_some(Level::Local).ok_or_else(|| Error::Unsigned { plugin: plugin() });
        };
        let Some((TrustedKey { name, ids, .. }, public)) = self.key_of(&signature)? else {
            let unknown = || Error::UnknownKey { plugin: plugin(), key: key_id(signature.keynum()) };
            return self.allow_unsigned.then_some(Level::Local).ok_or_else(unknown);
        };
        if !ids.iter().any(|pattern| covers(pattern, &bundle.id)) {
            return Err(Error::KeyNotForId { plugin: plugin(), key: name.to_owned(), ids: ids.to_vec() });
        }
        let manifest = io::Cursor::new(&bundle.manifest_text);
        match minisign::verify(&public, &signature, manifest, true, false, false) {
            Ok(()) => Ok(Level::Signed { key: name.to_owned() }),
            Err(_) => Err(Error::Forged { plugin: plugin(), key: name.to_owned() }),
        }
    }

    fn is_built_in(&self, bundle: &Bundle) -> bool {
        let folder = self.built_in.as_ref().and_then(|folder| folder.canonicalize().ok());
        folder.is_some() && bundle.dir.parent() == folder.as_deref()
    }

    /// The trusted key that has the signature's key id.
    fn key_of(&self, signature: &SignatureBox) -> Result<Option<(&TrustedKey, PublicKey)>, Error> {
        for key in &self.keys {
            let wrong = |message| Error::Key { path: key.name.clone().into(), message };
            let public = public_key(&key.public).map_err(wrong)?;
            if public.keynum() == signature.keynum() {
                return Ok(Some((key, public)));
            }
        }
        Ok(None)
    }
}

impl TrustedKey {
    /// The key's id as minisign prints it, 16 hexadecimal digits; `None` where [`TrustedKey::public`] is no key.
    pub fn key_id(&self) -> Option<String> {
        public_key(&self.public).ok().map(|public| key_id(public.keynum()))
    }
}

/// The signature beside the manifest, when there is one.
fn read_signature(bundle: &Bundle) -> Result<Option<SignatureBox>, Error> {
    let path = bundle.dir.join(SIGNATURE);
    let wrong = |message: &str| Error::Signature { plugin: bundle.id.clone(), message: message.to_owned() };
    let file = match open_plain(&path) {
        Ok(file) => file.ok_or_else(|| wrong("expected a plain file, found a link or device"))?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(Error::Read { path, cause }),
    };
    let mut text = String::new();
    let read = file.take(SIGNATURE_BYTES + 1).read_to_string(&mut text);
    read.map_err(|e| wrong(&e.to_string()))?;
    if text.len() as u64 > SIGNATURE_BYTES {
        return Err(wrong(&format!("expected at most {SIGNATURE_BYTES} bytes, found more")));
    }
    // The verifier indexes into the last line without asking for its length.
    if text.lines().nth(3).is_none_or(|last| last.trim().len() != GLOBAL_SIGNATURE_CHARS) {
        return Err(wrong("expected the four lines of a minisign signature"));
    }
    let signature = SignatureBox::from_string(&text).map_err(|e| wrong(&e.to_string()))?;
    if !signature.is_prehashed() {
        return Err(wrong("expected minisign's present form, found its old one without a hash"));
    }
    Ok(Some(signature))
}

/// A public key from minisign's base64 form.
pub(crate) fn public_key(base64: &str) -> Result<PublicKey, String> {
    PublicKey::from_base64(base64.trim()).map_err(|e| format!("expected a minisign public key, found '{base64}': {e}"))
}

/// A key's id as minisign prints it.
pub(crate) fn key_id(number: &[u8]) -> String {
    number.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// `org.vendor.*` covers what begins with `org.vendor.`, `*` everything, and a pattern without a star itself.
fn covers(pattern: &str, id: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == id, |prefix| id.starts_with(prefix))
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("unsigned"),
            Self::Signed { key } => write!(f, "signed by {key}"),
            Self::BuiltIn => f.write_str("built-in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_itself_or_all_that_begins_as_it_does() {
        let rows = [
            ("org.a.*", "org.a.net", true),
            ("org.a.*", "org.ab.net", false),
            ("org.a.*", "org.a", false),
            ("org.a", "org.a", true),
            ("org.a", "org.a.net", false),
            ("*", "anything", true),
            ("", "anything", false),
        ];
        for (pattern, id, expected) in rows {
            assert_eq!(covers(pattern, id), expected, "{pattern} {id}");
        }
    }
}

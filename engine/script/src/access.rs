use std::path::{Path, PathBuf};

use crate::Error;

/// The folders a script may touch: reading in those granted on the command line, writing below the output folder.
#[derive(Debug, Clone)]
pub struct Access {
    base: PathBuf,
    readable: Vec<PathBuf>,
    output: PathBuf,
}

impl Access {
    /// Relative paths start at `base`; `readable` and `output` must exist.
    ///
    /// # Errors
    /// [`Error::Missing`] names a folder that does not exist.
    pub fn new(base: &Path, readable: &[PathBuf], output: &Path) -> Result<Self, Error> {
        let real = |path: &Path| path.canonicalize().map_err(|_| Error::Missing { path: path.to_owned() });
        Ok(Self {
            base: base.to_owned(),
            readable: readable.iter().map(|path| real(path)).collect::<Result<_, _>>()?,
            output: real(output)?,
        })
    }

    /// The real path of something to read; links are followed before the grant is checked.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::NotGranted`].
    pub fn readable(&self, path: &str) -> Result<PathBuf, Error> {
        let wanted = self.base.join(path);
        let real = wanted.canonicalize().map_err(|_| Error::Missing { path: PathBuf::from(path) })?;
        if self.readable.iter().chain([&self.output]).any(|folder| real.starts_with(folder)) {
            return Ok(real);
        }
        Err(Error::NotGranted { path: PathBuf::from(path) })
    }

    /// A path below the output folder for `name`, whose parts must be plain names.
    ///
    /// # Errors
    /// [`Error::NotGranted`] when `name` is absolute or climbs out, also through a link.
    pub fn writable(&self, name: &str) -> Result<PathBuf, Error> {
        let refused = || Error::NotGranted { path: PathBuf::from(name) };
        let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if name.is_empty() || !plain {
            return Err(refused());
        }
        let path = self.output.join(name);
        let existing = path.ancestors().find(|folder| folder.exists()).ok_or_else(refused)?;
        let real = existing.canonicalize().map_err(|_| refused())?;
        if real.starts_with(&self.output) { Ok(path) } else { Err(refused()) }
    }

    /// The output folder.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// `path` as it is told in reports: relative to a granted folder where it lies below one.
    pub fn told(&self, path: &Path) -> String {
        let below = self.readable.iter().find_map(|folder| path.strip_prefix(folder).ok());
        below.filter(|rest| !rest.as_os_str().is_empty()).unwrap_or(path).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_granted_folders_are_readable_and_only_plain_names_writable() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["data", "secret", "out"] {
            std::fs::create_dir(at(folder)).unwrap();
            std::fs::write(at(folder).join("file"), "x").unwrap();
        }
        std::os::unix::fs::symlink(at("secret"), at("data/link")).unwrap();
        std::os::unix::fs::symlink(at("secret"), at("out/link")).unwrap();
        let access = Access::new(root.path(), &[at("data")], &at("out")).unwrap();
        let rows = [("data/file", true), ("out/file", true), ("secret/file", false), ("data/link/file", false)];
        for (path, granted) in rows {
            assert_eq!(access.readable(path).is_ok(), granted, "{path}");
        }
        for (name, granted) in [("a/b.csv", true), ("../x", false), ("/etc/x", false), ("link/x", false), ("", false)] {
            assert_eq!(access.writable(name).is_ok(), granted, "{name}");
        }
    }
}

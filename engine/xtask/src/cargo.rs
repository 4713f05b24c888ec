use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::Error;

/// The workspace as `cargo metadata` tells it.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// The target folder, wherever `CARGO_TARGET_DIR` puts it.
    pub(crate) target: PathBuf,
    /// The folder of each member.
    pub(crate) members: Vec<PathBuf>,
}

impl Workspace {
    /// The workspace that the current folder belongs to.
    pub(crate) fn here() -> Result<Workspace, Error> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--no-deps"]).stderr(Stdio::inherit());
        let output = command.output().map_err(|source| Error::Start { program: "cargo".into(), source })?;
        if !output.status.success() {
            return Err(Error::Failed { what: "cargo metadata".into(), status: output.status });
        }
        let document: Value =
            serde_json::from_slice(&output.stdout).map_err(|_| Error::Metadata { what: "readable JSON" })?;
        Workspace::from_metadata(&document)
    }

    fn from_metadata(document: &Value) -> Result<Workspace, Error> {
        let path = |value: &Value, what| value.as_str().map(PathBuf::from).ok_or(Error::Metadata { what });
        let packages = document["packages"].as_array().ok_or(Error::Metadata { what: "packages" })?;
        let members = packages
            .iter()
            .map(|package| {
                let manifest = path(&package["manifest_path"], "manifest_path")?;
                manifest.parent().map(PathBuf::from).ok_or(Error::Metadata { what: "manifest folder" })
            })
            .collect::<Result<_, _>>()?;
        Ok(Workspace {
            root: path(&document["workspace_root"], "workspace_root")?,
            target: path(&document["target_directory"], "target_directory")?,
            members,
        })
    }

    /// Where release programs, libraries and staged bundles lie.
    pub(crate) fn release(&self) -> PathBuf {
        self.target.join("release")
    }

    /// The program itself.
    pub(crate) fn program(&self) -> PathBuf {
        self.release().join(format!("isoscan{}", std::env::consts::EXE_SUFFIX))
    }
}

/// The cargo that runs this command.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Runs `command` with the terminal's output and fails unless it ends well; `what` names it in the message.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|source| Error::Start { program, source })?;
    if status.success() { Ok(()) } else { Err(Error::Failed { what: what.to_owned(), status }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_comes_from_cargo() {
        let document = serde_json::json!({
            "workspace_root": "/a", "target_directory": "/elsewhere",
            "packages": [{"manifest_path": "/a/plugins/identity/Cargo.toml"}],
        });
        let workspace = Workspace::from_metadata(&document).unwrap();
        assert_eq!(workspace.release(), PathBuf::from("/elsewhere/release"));
        assert_eq!(workspace.members, [PathBuf::from("/a/plugins/identity")]);
    }

    #[test]
    fn metadata_without_packages_is_refused() {
        let found = Workspace::from_metadata(&serde_json::json!({})).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some("cargo metadata has no packages"));
    }
}

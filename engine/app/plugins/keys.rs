//! `isoscan plugins keys`, and what the operator trusts.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use isoscan_host::{Trust, TrustedKey, add_key, generate_key, read_keys, read_public_key, remove_key};

use super::{
    place::{built_in, user_folder},
    sign::password,
};
use crate::{failure::Failure, progress::say};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// File of trusted keys [default: isoscan/keys.toml in the user's configuration folder]
    #[arg(long, value_name = "FILE", global = true)]
    keys: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key pair: NAME.key to sign with and keep secret, NAME.pub to hand out
    New {
        /// Begin of the two files' names
        name: PathBuf,
        /// File whose first line is the password that protects the secret key
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Trust a key
    Add {
        /// Name for people
        name: String,
        /// The public key, or minisign's file of it
        public: String,
        /// Id that the key may sign; `org.vendor.*` for all that begin so. May be given more than once
        #[arg(long = "id", value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// List the trusted keys
    List,
    /// Trust a key no longer
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let file = args.keys.as_deref();
    match &args.command {
        Command::New { name, password_file } => {
            let [secret, public] = ["key", "pub"].map(|ending| {
                let mut path = name.clone().into_os_string();
                path.push(".");
                path.push(ending);
                PathBuf::from(path)
            });
            let password = password_file.as_deref().map(password).transpose()?;
            let key = generate_key(&secret, &public, password)?;
            say(&format!("key {}\nsecret key {}\npublic key {}", key.name, secret.display(), public.display()));
        }
        Command::Add { name, public, ids } => {
            let path = Path::new(public);
            let public = if path.is_file() { read_public_key(path)? } else { public.clone() };
            let key = TrustedKey { name: name.clone(), public, ids: ids.clone() };
            add_key(&keys_file(file)?, &key)?;
            say(&line(&key));
        }
        Command::List => known(file)?.iter().for_each(|key| say(&line(key))),
        Command::Remove { name } => say(&line(&remove_key(&keys_file(file)?, name)?)),
    }
    Ok(())
}

/// What the operator trusts: the keys of `file` or of the default one, and the plugins beside the program.
pub(crate) fn trust(file: Option<&Path>, allow_unsigned: bool) -> Result<Trust, Failure> {
    Ok(Trust { keys: known(file)?, built_in: built_in()?, allow_unsigned })
}

/// The keys of `file`, or of the default one, which need not be there.
fn known(file: Option<&Path>) -> Result<Vec<TrustedKey>, Failure> {
    let path = match (file, default_file()) {
        (Some(file), _) => file.to_owned(),
        (None, Some(default)) if default.exists() => default,
        (None, _) => return Ok(Vec::new()),
    };
    Ok(read_keys(&path)?)
}

fn keys_file(file: Option<&Path>) -> Result<PathBuf, Failure> {
    let missing = || {
        Failure::new("neither XDG_CONFIG_HOME nor HOME says where your configuration lies")
            .help("name a file with --keys")
    };
    file.map(Path::to_owned).or_else(default_file).ok_or_else(missing)
}

fn default_file() -> Option<PathBuf> {
    Some(user_folder("XDG_CONFIG_HOME", ".config")?.join("keys.toml"))
}

fn line(key: &TrustedKey) -> String {
    format!("{} {} may sign {}", key.name, key.key_id().unwrap_or_default(), key.ids.join(", "))
}

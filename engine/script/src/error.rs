use std::path::PathBuf;

use isoscan_host::Step;
use isoscan_imaging as imaging;
use isoscan_radiomics as radiomics;
use rhai::{Dynamic, EvalAltResult, Position};

/// Why a verb of a script could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder does not exist.
    #[error("no such file or folder: {path}")]
    Missing {
        /// The path as the script gave it.
        path: PathBuf,
    },
    /// A path lies outside the folders granted on the command line.
    #[error("not granted: {path} lies outside the folders that this run may touch")]
    NotGranted {
        /// The path as the script gave it.
        path: PathBuf,
    },
    /// A cohort folder holds no image.
    #[error("no image series under {path}")]
    EmptyCohort {
        /// The folder.
        path: PathBuf,
    },
    /// A subject lacks what the script asks of it.
    #[error("subject {subject} has no {what}")]
    Lacks {
        /// Subject id.
        subject: String,
        /// `reference`, ...
        what: &'static str,
    },
    /// `--set` names a setting that the script does not declare.
    #[error("unknown setting '{key}': the script declares {known}")]
    UnknownSetting {
        /// The key given.
        key: String,
        /// The keys declared.
        known: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{what} must be {expected}, found {found}")]
    Argument {
        /// The argument or setting.
        what: String,
        /// What is legal.
        expected: String,
        /// What was given.
        found: String,
    },
    /// No plugin of this id.
    #[error("no plugin '{id}': found {known}")]
    UnknownPlugin {
        /// The id asked for.
        id: String,
        /// The ids there are.
        known: String,
    },
    /// The images that a script holds exceed the memory budget.
    #[error(
        "images held by the script exceed the memory budget: {asked_mib} MiB more on top of {held_mib} of {limit_mib} MiB"
    )]
    Memory {
        /// Size of the refused image.
        asked_mib: u64,
        /// Held now.
        held_mib: u64,
        /// The budget.
        limit_mib: u64,
    },
    /// A table or page could not be made.
    #[error(transparent)]
    Report(#[from] isoscan_report::Error),
    /// An image operation failed.
    #[error(transparent)]
    Imaging(#[from] isoscan_imaging::Error),
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] isoscan_io::Error),
    /// A translation failed.
    #[error(transparent)]
    Pipeline(#[from] isoscan_pipeline::Error),
    /// A bundle was refused.
    #[error(transparent)]
    Bundle(#[from] isoscan_host::Error),
    /// Feature extraction failed.
    #[error(transparent)]
    Radiomics(#[from] isoscan_radiomics::Error),
    /// A statistic could not be computed.
    #[error(transparent)]
    Metrics(#[from] isoscan_metrics::Error),
    /// A phantom could not be made.
    #[error(transparent)]
    Phantom(#[from] isoscan_phantom::Error),
    /// A document could not be written as JSON.
    #[error("cannot write {what} as JSON: {reason}")]
    Json {
        /// The document.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Missing { .. } => "check the path; relative paths start at the folder where isoscan was started",
            Self::NotGranted { .. } => "grant the folder with --read DIR, or name it with --set",
            Self::EmptyCohort { .. } => "a cohort is a folder of subjects, or of DICOM series or NIfTI files",
            Self::Lacks { .. } => "guard the line with `if subject.has_reference`",
            Self::UnknownSetting { .. } => "settings are declared in the script's settings(#{...})",
            Self::UnknownPlugin { .. } => "see `isoscan plugins list`, or name a folder of bundles with --plugins",
            Self::Memory { .. } => "hold fewer images at once, lower --jobs, or raise --memory",
            Self::Pipeline(error) => return translation_help(error),
            Self::Bundle(error) => return refusal_help(error.step()),
            Self::Io(error) => return file_help(error),
            Self::Imaging(imaging::Error::GeometryMismatch { .. }) => {
                "bring one onto the other's grid: `image.resample_like(other, \"linear\")`"
            }
            Self::Radiomics(radiomics::Error::GeometryMismatch { .. }) => {
                "bring the mask onto the image's grid with the setting correctMask or --resample-mask"
            }
            Self::Imaging(imaging::Error::EmptyMask { .. }) | Self::Radiomics(radiomics::Error::EmptyMask { .. }) => {
                "check the label number and that the mask belongs to this image"
            }
            Self::Radiomics(radiomics::Error::NotImplemented { .. }) => "leave it out of the settings",
            Self::Radiomics(radiomics::Error::UnknownName { .. }) => "settings carry the names of PyRadiomics",
            _ => return None,
        })
    }

    /// The plugin's id, version and kind of failure, when a plugin is to blame.
    fn fault(&self) -> Option<&isoscan_host::Fault> {
        match self {
            Self::Pipeline(isoscan_pipeline::Error::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

fn translation_help(error: &isoscan_pipeline::Error) -> Option<&'static str> {
    use isoscan_pipeline::Error;
    Some(match error {
        Error::Modality { .. } | Error::Unit { .. } => {
            "choose a plugin for this modality with `isoscan plugins list`, or tell what the file does not with --modality"
        }
        Error::Parameter { .. } => "see `isoscan plugins info PLUGIN` for its parameters",
        Error::Inputs { .. } => {
            "give further images by name: `translate(plugin, #{}, #{ reference: image })`, or --input NAME=PATH"
        }
        Error::Grid { .. } => {
            "bring it onto the first image's grid before, with `image.resample_like(first, \"linear\")`"
        }
        Error::Fault(isoscan_host::Fault::Rejected { step, .. }) => return refusal_help(*step),
        Error::Fault(_) => "the plugin failed, not the script: catch it with try { } catch, or report it to its author",
        _ => return None,
    })
}

fn refusal_help(step: Step) -> Option<&'static str> {
    Some(match step {
        Step::Trust => "trust its key with `isoscan plugins keys add`, or run it unsigned with --allow-unsigned",
        Step::Sandbox => "signed and built-in plugins run with what the kernel has under --sandbox best-effort",
        Step::Read | Step::Stage => "`isoscan plugins verify BUNDLE` tells everything that is wrong with its files",
        Step::Serve => "let withdrawn versions serve again with `isoscan plugins rollback ID --undo`",
        Step::Open | Step::Entry | Step::Layout | Step::Describe | Step::Create | Step::Test => {
            "`isoscan plugins check BUNDLE` tells its author what to correct"
        }
        _ => return None,
    })
}

fn file_help(error: &isoscan_io::Error) -> Option<&'static str> {
    use isoscan_io::Error;
    Some(match error {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "check the path",
        Error::NotAnImage { .. } | Error::NoSeries { .. } => {
            "isoscan reads DICOM, NIfTI, NRRD, MetaImage, and grey PNG and TIFF"
        }
        Error::SeveralSeries { .. } | Error::SeveralVolumes { .. } => {
            "choose one with `#{ volume: N }` in a script or --volume N; `isoscan info` lists them with their numbers"
        }
        Error::Truncated { .. } | Error::Gzip { .. } | Error::Malformed { .. } => {
            "the file is damaged: copy it again from its origin"
        }
        Error::Unsupported { .. } | Error::Decode { .. } => {
            "convert it with another tool, such as dcm2niix or gdcmconv, and try again"
        }
        Error::UnevenSlices { .. } => {
            "fetch the missing slices, or have even ones made with `#{ uneven: \"resample\" }` or --uneven resample"
        }
        Error::NoSuchRegion { .. } => "`isoscan info` and `list_regions(path)` tell the regions of a file",
        Error::NotALabelMap { .. } => "a mask holds whole numbers; was the image given in its place?",
        Error::OutputExists { .. } => "name an output that does not exist yet",
        _ => return None,
    })
}

/// A verb's failure as the script's `catch` sees it: a map with `kind`, `message` and `help`, for plugin faults also
/// `plugin` and `version`.
impl From<Error> for Box<EvalAltResult> {
    fn from(error: Error) -> Self {
        let mut map = rhai::Map::new();
        let kind = if error.fault().is_some() { "fault" } else { "error" };
        map.insert("kind".into(), kind.into());
        map.insert("message".into(), error.to_string().into());
        map.insert("help".into(), error.help().map_or(Dynamic::UNIT, Into::into));
        if let Some(fault) = error.fault() {
            map.insert("plugin".into(), fault.origin().plugin.clone().into());
            map.insert("version".into(), fault.origin().version.clone().into());
        }
        EvalAltResult::ErrorRuntime(Dynamic::from_map(map), Position::NONE).into()
    }
}

/// A script that did not finish, with the place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// Script file as given.
    pub file: PathBuf,
    /// Text of the script.
    pub text: String,
    /// Line, from 1; 0 when the failure has no place.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// What is wrong, what was expected.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

//! Where awing keeps what a person makes, by the platform's conventions: collected faces, tuned models, and secrets that other
//! programs and browsers know.
//!
//! Out: folders, which may not exist yet. `XDG_DATA_HOME`, where it is set to an absolute path, decides on every system;
//! otherwise it is the user's folder for the data of programs that stays on this computer. None without a home folder.

use directories::BaseDirs;
use std::path::PathBuf;

/// The default collection of faces.
pub(crate) fn samples() -> Option<PathBuf> {
    Some(data()?.join("samples"))
}

/// The tuned models.
pub(crate) fn models() -> Option<PathBuf> {
    Some(data()?.join("models"))
}

/// What only this person's programs may know, a file each.
pub(crate) fn secrets() -> Option<PathBuf> {
    Some(data()?.join("secrets"))
}

fn data() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || BaseDirs::new().map(|dirs| dirs.data_local_dir().to_owned());
    Some(named.or_else(home)?.join("awing"))
}

//! The folders for user data, by the platform's conventions: collected faces, tuned models, profiles, `awing.toml`, and
//! secrets shared with other programs and browsers.
//!
//! Out: folders, which may not exist yet. `XDG_DATA_HOME`, if set to an absolute path, applies on every system;
//! otherwise it is the user's local data folder, which is not synced to other computers. None without a home folder.

use directories::BaseDirs;
use std::path::PathBuf;

/// The default collection of faces.
pub(crate) fn samples() -> Option<PathBuf> {
    Some(data()?.join("samples"))
}

/// The profiles of people.
pub(crate) fn profiles() -> Option<PathBuf> {
    Some(data()?.join("profiles"))
}

/// The tuned models.
pub(crate) fn models() -> Option<PathBuf> {
    Some(data()?.join("models"))
}

/// Secrets of this user's programs, a file each.
pub(crate) fn secrets() -> Option<PathBuf> {
    Some(data()?.join("secrets"))
}

/// The file `awing.toml`: in `XDG_CONFIG_HOME` if set, otherwise in the user's settings folder.
pub(crate) fn config() -> Option<PathBuf> {
    let home = || BaseDirs::new().map(|dirs| dirs.config_dir().to_owned());
    Some(named("XDG_CONFIG_HOME").or_else(home)?.join("awing/awing.toml"))
}

/// The folder that the environment names, if that is an absolute path.
fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn data() -> Option<PathBuf> {
    let home = || BaseDirs::new().map(|dirs| dirs.data_local_dir().to_owned());
    Some(named("XDG_DATA_HOME").or_else(home)?.join("awing"))
}

//! Profiles of people: their neutral pose, and how far they open and close their eyes, under a name.
//!
//! In: names, and what a [`SignalMeter`](crate::runtime::signals::SignalMeter) has learned. Out: a file for each, in a
//! folder that only the user can read. Errors name the file and the remedy; a profile that can't be read is never
//! replaced.

use super::places;
use crate::runtime::files::{private_folder, read_text, write_whole};
use crate::runtime::signals::Profile;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::SystemTime;

/// The most letters of a name.
const LONGEST: usize = 60;

/// The name of a profile: letters, digits, `-`, `_` and dots, so that it can be the name of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileName(String);

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_whole = (1..=LONGEST).contains(&name.chars().count()) && name.chars().all(is_plain);
        if is_whole && !name.starts_with(['.', '-']) {
            return Ok(Self(name.to_owned()));
        }
        Err(format!("a name has up to {LONGEST} letters, digits, -, _ and dots, and begins with a letter or a digit"))
    }
}

impl std::fmt::Display for ProfileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

/// The stored profiles.
pub(crate) struct Profiles {
    folder: PathBuf,
}

impl Profiles {
    /// The user's profiles.
    ///
    /// # Errors
    /// Without a home folder.
    pub(crate) fn of_user() -> Result<Self> {
        Ok(Self { folder: places::profiles().context("there is no home folder to keep profiles in")? })
    }

    /// Name and last change of each, sorted by name.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(crate) fn list(&self) -> Result<Vec<(ProfileName, Option<SystemTime>)>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.folder.display()))?,
        };
        let mut profiles = Vec::new();
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", self.folder.display()))?;
            let file = entry.file_name().to_string_lossy().into_owned();
            if let Some(Ok(name)) = file.strip_suffix(".json").map(str::parse::<ProfileName>) {
                profiles.push((name, entry.metadata().and_then(|about| about.modified()).ok()));
            }
        }
        profiles.sort_by(|(a, _), (b, _)| a.0.cmp(&b.0));
        Ok(profiles)
    }

    /// The profile of this name; `None` if there is none yet.
    ///
    /// # Errors
    /// If its file can't be read or is damaged.
    pub(crate) fn load(&self, name: &ProfileName) -> Result<Option<Profile>> {
        let file = self.file(name);
        let text = match read_text(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read {}", file.display()))?,
        };
        let profile = serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; `awing profiles forget {name}` removes it", file.display()))?;
        Ok(Some(profile))
    }

    /// Stores a profile, replacing an earlier one.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn save(&self, name: &ProfileName, profile: &Profile) -> Result<()> {
        let file = self.file(name);
        let cannot = || format!("cannot write {}", file.display());
        private_folder(true).create(&self.folder).with_context(cannot)?;
        write_whole(&file, &serde_json::to_vec(profile)?).with_context(cannot)
    }

    /// Deletes a profile.
    ///
    /// # Errors
    /// If there is none of this name, or it can't be deleted.
    pub(crate) fn forget(&self, name: &ProfileName) -> Result<()> {
        let file = self.file(name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                bail!("there is no profile {name}; `awing profiles` lists them")
            }
            removed => removed.with_context(|| format!("cannot remove {}", file.display())),
        }
    }

    fn file(&self, name: &ProfileName) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// The profile in use.
pub(crate) struct OwnProfile {
    pub name: ProfileName,
    profiles: Profiles,
    /// The stored profile, or that of an average person.
    pub stored: Profile,
}

impl OwnProfile {
    /// Opens a profile of the user; a new one is that of an average person.
    ///
    /// # Errors
    /// Without a home folder, or if it can't be read.
    pub(crate) fn open(name: ProfileName) -> Result<Self> {
        let profiles = Profiles::of_user()?;
        let stored = profiles.load(&name)?.unwrap_or_default();
        Ok(Self { name, profiles, stored })
    }

    /// Stores the profile if it changed.
    ///
    /// # Errors
    /// If it can't be written.
    pub(crate) fn save(&mut self, profile: Profile) -> Result<()> {
        if profile != self.stored {
            self.profiles.save(&self.name, &profile)?;
            self.stored = profile;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> ProfileName {
        name.parse().unwrap()
    }

    #[test]
    fn a_profile_is_stored_privately_read_back_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: folder.path().join("new/profiles") };
        assert!(profiles.list().unwrap().is_empty());
        let profile = Profile::default();
        for name in ["Zoë", "anna"] {
            assert_eq!(profiles.load(&named(name)).unwrap(), None);
            profiles.save(&named(name), &profile).unwrap();
            assert_eq!(profiles.load(&named(name)).unwrap().as_ref(), Some(&profile));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&profiles.folder).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "nobody else can look into the folder");
        }
        let names: Vec<String> = profiles.list().unwrap().into_iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(names, ["Zoë", "anna"]);
        profiles.forget(&named("anna")).unwrap();
        assert_eq!(profiles.list().unwrap().len(), 1);
        let error = profiles.forget(&named("anna")).unwrap_err().to_string();
        assert!(error.contains("no profile anna") && error.contains("awing profiles"), "{error}");
    }

    #[test]
    fn a_damaged_profile_is_an_error_that_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: folder.path().to_owned() };
        fs::write(folder.path().join("anna.json"), "{\"neutral\": 3}").unwrap();
        let error = format!("{:#}", profiles.load(&named("anna")).unwrap_err());
        assert!(error.contains("anna.json") && error.contains("awing profiles forget anna"), "{error}");
    }

    #[test]
    fn a_profile_of_no_face_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let profiles = Profiles { folder: folder.path().to_owned() };
        let stored = serde_json::to_value(Profile::default()).unwrap();
        for (place, value, reason) in [
            ("/neutral/face/16/1", 80.0, "points"),
            ("/eyes/0/open", 0.0, "eyes"),
            ("/eyes/1/shut", 7.0, "eyes"),
            ("/eyes/1/straight/0", -3.0, "eyes"),
        ] {
            let mut damaged = stored.clone();
            *damaged.pointer_mut(place).unwrap() = value.into();
            fs::write(folder.path().join("anna.json"), damaged.to_string()).unwrap();
            let error = format!("{:#}", profiles.load(&named("anna")).unwrap_err());
            assert!(error.contains("forget anna") && error.contains(reason), "{place}: {error}");
        }
        let mut damaged = stored;
        *damaged.pointer_mut("/neutral/rotation").unwrap() = vec![0.0; 4].into();
        fs::write(folder.path().join("anna.json"), damaged.to_string()).unwrap();
        let error = format!("{:#}", profiles.load(&named("anna")).unwrap_err());
        assert!(error.contains("quaternion"), "{error}");
    }

    #[test]
    fn a_name_is_the_name_of_a_file_and_of_nothing_else() {
        for name in ["", ".", "..", "../anna", "a/b", "a\\b", ".hidden", "-x", "a b", &"x".repeat(61)] {
            assert!(name.parse::<ProfileName>().is_err(), "{name:?}");
        }
        for name in ["anna", "Zoë-2", "7", "a_b.c"] {
            assert!(name.parse::<ProfileName>().is_ok(), "{name:?}");
        }
    }
}

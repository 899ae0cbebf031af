//! The library on disk: `NAME.safetensors` and `NAME.json` for each model, and the choice.

use super::record::{BUNDLED, TuningRecord, plain_name};
use crate::program::places;
use crate::runtime::files::{Staged, private_folder, read_text, read_whole, write_whole};
use crate::runtime::model::{Kind, Model};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The choice. No model has such a name: names do not begin with a dot.
const CHOICE_FILE: &str = ".choice.json";
/// Locked by a process that changes the library.
const LOCK_FILE: &str = ".lock";
/// How many choices can be rolled back.
const MOST_BEFORE: usize = 32;

/// A folder of tuned models.
#[derive(Clone, Debug)]
pub(crate) struct ModelLibrary {
    folder: PathBuf,
}

/// A model just added to the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    /// Its name, which differs from the one in the record if that was taken.
    pub name: String,
    pub file: PathBuf,
}

/// A record as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// The model file, beside this one.
    file: String,
    #[serde(flatten)]
    record: TuningRecord,
}

/// The chosen model, and the earlier ones, the last one last. `None` is the bundled one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Choice {
    chosen: Option<String>,
    before: Vec<Option<String>>,
}

impl ModelLibrary {
    /// The library of the user; `None` without a home folder.
    pub(crate) fn of_user() -> Option<Self> {
        places::models().map(Self::at)
    }

    /// The library in `folder`, which need not exist.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The names of all models, sorted.
    ///
    /// # Errors
    /// If the folder can't be read.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| cannot_read(&self.folder))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.with_context(|| cannot_read(&self.folder))?.file_name().to_string_lossy().into_owned();
            names.extend(name.strip_suffix(".json").filter(|name| !name.starts_with('.')).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// The record of a model.
    ///
    /// # Errors
    /// If there is none of this name, or its record is damaged.
    pub(crate) fn record(&self, name: &str) -> Result<TuningRecord> {
        Ok(self.stored(name)?.record)
    }

    /// The file of a model.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        Ok(self.folder.join(self.stored(name)?.file))
    }

    /// Adds a model from the bytes of its file. If the record's name is taken, the model gets another; nothing is
    /// replaced.
    ///
    /// # Errors
    /// If the file is not a landmark model, or the folder can't be written to.
    pub(crate) fn register(&self, bytes: &[u8], record: TuningRecord) -> Result<Registered> {
        check(bytes).context("the tuned model can't be used")?;
        let _lock = self.lock()?;
        let wish = plain_name(&record.name);
        let is_taken = |name: &String| name == BUNDLED || self.json(name).exists() || self.model(name).exists();
        let mut names = std::iter::once(wish.clone()).chain((2..).map(|i| format!("{wish}-{i}")));
        let name = names.find(|name| !is_taken(name)).unwrap_or(wish);
        let file = self.model(&name);
        let stored =
            Stored { file: format!("{name}.safetensors"), record: TuningRecord { name: name.clone(), ..record } };
        let json = serde_json::to_vec_pretty(&stored)?;
        // Both are on the disk before either is in place; without its record a model is not part of the library.
        let model = Staged::write(&file, bytes).with_context(|| cannot_write(&file))?;
        let record = Staged::write(&self.json(&name), &json).with_context(|| cannot_write(&self.json(&name)))?;
        model.place().with_context(|| cannot_write(&file))?;
        record.place().with_context(|| cannot_write(&self.json(&name)))?;
        Ok(Registered { name, file })
    }

    /// The name of the chosen model; `None`: the bundled one.
    ///
    /// # Errors
    /// If the choice can't be read.
    pub(crate) fn chosen(&self) -> Result<Option<String>> {
        Ok(self.choice()?.chosen)
    }

    /// Chooses the model that awing starts with; `None`: the bundled one.
    ///
    /// # Errors
    /// If there is none of this name, its file can't be used, or the choice can't be written.
    pub(crate) fn choose(&self, name: Option<&str>) -> Result<()> {
        if let Some(name) = name {
            let file = self.file(name)?;
            let bytes = read_whole(&file).with_context(|| cannot_read(&file))?;
            check(&bytes).with_context(|| format!("{} can't be used", file.display()))?;
        }
        let _lock = self.lock()?;
        let mut choice = self.choice()?;
        if choice.chosen.as_deref() != name {
            choice.before.push(choice.chosen.take());
            choice.chosen = name.map(str::to_owned);
            let superfluous = choice.before.len().saturating_sub(MOST_BEFORE);
            choice.before.drain(..superfluous);
        }
        self.save(&choice)
    }

    /// Chooses the previously chosen model that still exists; `None`: the bundled one.
    ///
    /// # Errors
    /// If there was no other, or the choice can't be written.
    pub(crate) fn roll_back(&self) -> Result<Option<String>> {
        let _lock = self.lock()?;
        let mut choice = self.choice()?;
        while let Some(before) = choice.before.pop() {
            let is_there = before.as_ref().is_none_or(|name| self.json(name).is_file());
            if is_there && before != choice.chosen {
                choice.chosen = before;
                self.save(&choice)?;
                return Ok(choice.chosen);
            }
        }
        bail!("no other model was chosen before; awing models lists them")
    }

    /// Deletes a model that is not chosen.
    ///
    /// # Errors
    /// If there is none of this name, it is chosen, or it can't be deleted.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        if name == BUNDLED {
            bail!("the bundled model is part of the program");
        }
        let _lock = self.lock()?;
        // A damaged record can be deleted, too.
        if !self.json(name).is_file() || !self.names()?.iter().any(|there| there == name) {
            bail!(self.unknown(name));
        }
        if self.choice()?.chosen.as_deref() == Some(name) {
            bail!("{name} is in use; choose another model first: awing models use {BUNDLED}");
        }
        for path in [self.json(name), self.model(name)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed.with_context(|| cannot_write(&path))?,
            }
        }
        Ok(())
    }

    fn json(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn model(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.safetensors"))
    }

    fn stored(&self, name: &str) -> Result<Stored> {
        // A name that leads out of the folder is not in the library.
        if !self.names()?.iter().any(|there| there == name) {
            bail!(self.unknown(name));
        }
        let path = self.json(name);
        let text = read_text(&path).with_context(|| cannot_read(&path))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no record of a tuned model", path.display()))
    }

    fn unknown(&self, name: &str) -> String {
        format!("there is no tuned model {name} in {}; awing models lists them", self.folder.display())
    }

    fn choice(&self) -> Result<Choice> {
        let path = self.folder.join(CHOICE_FILE);
        match read_text(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Choice::default()),
            text => serde_json::from_str(&text.with_context(|| cannot_read(&path))?)
                .with_context(|| format!("{} is damaged; delete it to choose again", path.display())),
        }
    }

    fn save(&self, choice: &Choice) -> Result<()> {
        let path = self.folder.join(CHOICE_FILE);
        write_whole(&path, &serde_json::to_vec(choice)?).with_context(|| cannot_write(&path))
    }

    /// Locks the library against changes by other processes until dropped.
    fn lock(&self) -> Result<File> {
        private_folder(true).create(&self.folder).with_context(|| cannot_write(&self.folder))?;
        let path = self.folder.join(LOCK_FILE);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.with_context(|| cannot_write(&path))?;
        file.lock().with_context(|| cannot_write(&path))?;
        Ok(file)
    }
}

/// Checks that these are the bytes of a landmark model.
fn check(bytes: &[u8]) -> Result<()> {
    if Model::from_bytes(bytes)?.config().kind != Kind::Landmarks {
        bail!("it is a detector, and a landmark model is needed");
    }
    Ok(())
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::model::{WeightFormat, default_detector, default_landmarks};
    use tempfile::TempDir;

    fn record(name: &str) -> TuningRecord {
        TuningRecord {
            name: name.into(),
            created: 1_795_910_400,
            base: BUNDLED.into(),
            samples: 60,
            clips: 12,
            accepted: true,
            verdict: "better".into(),
            held_out_before: Some(7.0),
            held_out_after: Some(5.4),
            guard_before: None,
            guard_after: None,
        }
    }

    /// A model file.
    fn bytes() -> Vec<u8> {
        default_landmarks().unwrap().to_bytes(WeightFormat::F16).unwrap()
    }

    /// A library with models of these names.
    fn library(names: &[&str]) -> (TempDir, ModelLibrary) {
        let folder = tempfile::tempdir().unwrap();
        let library = ModelLibrary::at(folder.path().join("models"));
        for name in names {
            library.register(&bytes(), record(name)).unwrap();
        }
        (folder, library)
    }

    #[test]
    fn a_registered_model_is_a_copy_with_its_record_and_replaces_none() {
        let (_folder, library) = library(&["glasses"]);
        let again = library.register(&bytes(), TuningRecord { samples: 3, ..record("glasses") }).unwrap();
        assert_eq!(again.name, "glasses-2");
        assert_eq!(fs::read(&again.file).unwrap(), bytes());
        assert_eq!(library.record("glasses").unwrap(), record("glasses"));
        assert_eq!(library.record("glasses-2").unwrap().samples, 3);
        for (wish, name) in [("bundled", "bundled-2"), ("../my model", "my-model"), ("", "tuned")] {
            assert_eq!(library.register(&bytes(), record(wish)).unwrap().name, name);
        }
        assert_eq!(library.names().unwrap(), ["bundled-2", "glasses", "glasses-2", "my-model", "tuned"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&library.folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn what_is_no_landmark_model_is_not_registered() {
        let (_folder, library) = library(&[]);
        let detector = default_detector().unwrap().to_bytes(WeightFormat::F16).unwrap();
        for bytes in [detector.as_slice(), b"half a model", b""] {
            assert!(library.register(bytes, record("x")).is_err());
        }
        assert!(library.names().unwrap().is_empty());
    }

    #[test]
    fn choices_are_rolled_back_one_by_one() {
        let (_folder, library) = library(&["a", "b"]);
        assert_eq!(library.chosen().unwrap(), None);
        assert!(library.roll_back().is_err());
        for name in [Some("a"), Some("b"), Some("b"), None] {
            library.choose(name).unwrap();
            assert_eq!(library.chosen().unwrap().as_deref(), name);
        }
        for expected in [Some("b"), Some("a"), None] {
            assert_eq!(library.roll_back().unwrap().as_deref(), expected);
        }
        assert!(library.roll_back().is_err());
        assert!(library.choose(Some("c")).is_err() && library.choose(Some("../a")).is_err());
        assert_eq!(library.chosen().unwrap(), None);
    }

    #[test]
    fn the_model_in_use_is_not_removed_and_a_removed_one_is_never_rolled_back_to() {
        let (_folder, library) = library(&["a", "b"]);
        library.choose(Some("a")).unwrap();
        assert!(library.remove("a").unwrap_err().to_string().contains("in use"));
        library.choose(Some("b")).unwrap();
        library.remove("a").unwrap();
        assert_eq!(library.names().unwrap(), ["b"]);
        assert!(!library.model("a").exists());
        assert_eq!(library.roll_back().unwrap(), None);
        assert!(
            library.remove("a").is_err() && library.remove(BUNDLED).is_err() && library.remove("../models").is_err()
        );
    }

    #[test]
    fn a_damaged_record_is_named_and_can_be_removed() {
        let (_folder, library) = library(&["a"]);
        fs::write(library.json("a"), "{").unwrap();
        assert!(format!("{:#}", library.record("a").unwrap_err()).contains("a.json"));
        library.remove("a").unwrap();
        assert!(library.names().unwrap().is_empty());
    }
}

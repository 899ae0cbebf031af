//! A recording on disk, and the list of all recordings of a collection.

use super::{CollectedFace, CollectionError, Review};
use crate::runtime::counted::counted;
use crate::runtime::files::{private_folder, read_text, write_whole};
use crate::runtime::image::Frame;
use crate::runtime::landmarks::WFLW_POINTS;
use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The faces of a recording.
pub const FACES_FILE: &str = "faces.jsonl";
/// Locked by the process that writes to the recording.
pub(super) const LOCK_FILE: &str = "lock";

/// A recording that this process may change.
#[derive(Debug)]
pub struct Recording {
    folder: PathBuf,
    faces: Vec<CollectedFace>,
    /// Number of the next picture.
    next_picture: usize,
    _lock: File,
}

impl Recording {
    /// A new, empty recording `collection/name`. Missing folders are made.
    ///
    /// # Errors
    /// [`CollectionError::Exists`] if the folder is there, [`CollectionError::Write`].
    pub fn create(collection: &Path, name: &str) -> Result<Self, CollectionError> {
        private_folder(true)
            .create(collection)
            .map_err(|source| CollectionError::Write { path: collection.to_owned(), source })?;
        let folder = collection.join(name);
        private_folder(false).create(&folder).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => CollectionError::Exists { path: folder.clone() },
            _ => CollectionError::Write { path: folder.clone(), source },
        })?;
        let begin = || {
            let recording = Self { _lock: lock(&folder)?, folder: folder.clone(), faces: Vec::new(), next_picture: 0 };
            recording.save()?;
            Ok(recording)
        };
        // A folder without faces could be neither listed nor deleted.
        begin().inspect_err(|_| drop(fs::remove_dir_all(&folder)))
    }

    /// The recording in `folder`.
    ///
    /// # Errors
    /// [`CollectionError::NoRecording`], [`CollectionError::InUse`], and errors in its file.
    #[cfg_attr(not(feature = "window"), allow(dead_code, reason = "faces are corrected in a window"))]
    pub fn open(folder: &Path) -> Result<Self, CollectionError> {
        if !folder.join(FACES_FILE).is_file() {
            return Err(CollectionError::NoRecording { path: folder.to_owned() });
        }
        let lock = lock(folder)?;
        let text = text_of(folder)?;
        let faces = faces_in(&text, folder)?;
        let number = |name: &str| name.split('.').next()?.parse::<usize>().ok();
        let taken = fs::read_dir(folder)
            .map_err(|source| CollectionError::Read { path: folder.to_owned(), source })?
            .filter_map(|entry| number(&entry.ok()?.file_name().to_string_lossy()));
        let next_picture = taken.max().map_or(0, |last| last + 1);
        let recording = Self { folder: folder.to_owned(), faces, next_picture, _lock: lock };
        if !text.is_empty() && !text.ends_with('\n') {
            // Lines are appended.
            recording.save()?;
        }
        Ok(recording)
    }

    /// The faces of the recording in `folder`, read-only. Also works while another process writes.
    ///
    /// # Errors
    /// [`CollectionError::Read`]; [`CollectionError::Row`] or [`CollectionError::Content`] with the line.
    pub fn read(folder: &Path) -> Result<Vec<CollectedFace>, CollectionError> {
        faces_in(&text_of(folder)?, folder)
    }

    /// The recording's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The faces, in the order in which they were added.
    #[cfg_attr(not(feature = "window"), allow(dead_code, reason = "faces are corrected in a window"))]
    pub fn faces(&self) -> &[CollectedFace] {
        &self.faces
    }

    /// Stores a frame, lossless, and returns its name for [`CollectedFace::image`].
    ///
    /// # Errors
    /// [`CollectionError::Picture`].
    pub fn add_picture(&mut self, frame: &Frame) -> Result<String, CollectionError> {
        let name = format!("{:06}.png", self.next_picture);
        frame.save(&self.folder.join(&name))?;
        self.next_picture += 1;
        Ok(name)
    }

    /// Adds faces; their pictures have to exist already. Written at once, so that a thousand additions don't write the
    /// whole file a thousand times.
    ///
    /// # Errors
    /// [`CollectionError::Write`]; the recording is then as before.
    pub fn add(&mut self, faces: Vec<CollectedFace>) -> Result<(), CollectionError> {
        let path = self.folder.join(FACES_FILE);
        let write = || -> io::Result<()> {
            let text = lines_of(&faces)?;
            let mut file = File::options().write(true).open(&path)?;
            let end = file.seek(SeekFrom::End(0))?;
            let written = file.write_all(&text).and_then(|()| file.sync_data());
            // A part of a line would be in the way of the next.
            written.inspect_err(|_| drop(file.set_len(end)))
        };
        write().map_err(|source| CollectionError::Write { path: path.clone(), source })?;
        self.faces.extend(faces);
        Ok(())
    }

    /// Replaces face number `index`.
    ///
    /// # Errors
    /// [`CollectionError::Write`]; the recording is then as before.
    ///
    /// # Panics
    /// If there is no such face.
    #[cfg_attr(not(feature = "window"), allow(dead_code, reason = "faces are corrected in a window"))]
    pub fn replace(&mut self, index: usize, face: CollectedFace) -> Result<(), CollectionError> {
        let before = std::mem::replace(&mut self.faces[index], face);
        self.save().inspect_err(|_| self.faces[index] = before)
    }

    /// Writes the whole file anew.
    fn save(&self) -> Result<(), CollectionError> {
        let path = self.folder.join(FACES_FILE);
        let written = lines_of(&self.faces).and_then(|text| write_whole(&path, &text));
        written.map_err(|source| CollectionError::Write { path, source })
    }
}

/// The text of a recording's faces without a last line that was cut off by a power failure, or is still being written.
pub fn without_cut_line(text: &str) -> &str {
    let last = text.rfind('\n').map_or(0, |end| end + 1);
    match serde_json::from_str::<serde::de::IgnoredAny>(&text[last..]) {
        Err(error) if error.is_eof() => &text[..last],
        _ => text,
    }
}

fn text_of(folder: &Path) -> Result<String, CollectionError> {
    let path = folder.join(FACES_FILE);
    read_text(&path).map_err(|source| CollectionError::Read { path, source })
}

fn faces_in(text: &str, folder: &Path) -> Result<Vec<CollectedFace>, CollectionError> {
    let path = folder.join(FACES_FILE);
    let mut faces = Vec::new();
    for (index, line) in without_cut_line(text).lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let face: CollectedFace = serde_json::from_str(line).map_err(|source| CollectionError::Row {
            path: path.clone(),
            line: number,
            source,
        })?;
        check(&face).map_err(|message| CollectionError::Content { path: path.clone(), line: number, message })?;
        faces.push(face);
    }
    Ok(faces)
}

fn lines_of(faces: &[CollectedFace]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for face in faces {
        serde_json::to_writer(&mut text, face)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// The folders of all recordings of a collection, in the order of their names; none if there is no collection.
///
/// # Errors
/// [`CollectionError::Read`].
pub fn recordings(collection: &Path) -> Result<Vec<PathBuf>, CollectionError> {
    let read = |source| CollectionError::Read { path: collection.to_owned(), source };
    let entries = match fs::read_dir(collection) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(read)?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        folders.push(entry.map_err(read)?.path());
    }
    folders.retain(|folder| folder.join(FACES_FILE).is_file());
    folders.sort();
    Ok(folders)
}

/// The recordings at a path: those of a collection, or the recording itself; none if it is neither.
///
/// # Errors
/// [`CollectionError::Read`].
pub fn recordings_at(path: &Path) -> Result<Vec<PathBuf>, CollectionError> {
    match path.is_dir() {
        true if path.join(FACES_FILE).is_file() => Ok(vec![path.to_owned()]),
        true => recordings(path),
        false => Ok(Vec::new()),
    }
}

/// The number of accepted faces, in the recordings at a path, that the detector had missed. Rows without what a
/// collected face has, from another source, don't count.
///
/// # Errors
/// [`CollectionError::Read`].
pub fn undetected_faces(path: &Path) -> Result<usize, CollectionError> {
    let mut count = 0;
    for folder in recordings_at(path)? {
        let text = text_of(&folder)?;
        let faces = text.lines().filter_map(|line| serde_json::from_str::<CollectedFace>(line).ok());
        count += faces.filter(|face| face.review == Review::Accepted && !face.is_detected()).count();
    }
    Ok(count)
}

pub(super) fn lock(folder: &Path) -> Result<File, CollectionError> {
    let path = folder.join(LOCK_FILE);
    let write = |source| CollectionError::Write { path: path.clone(), source };
    let file = File::options().write(true).create(true).truncate(false).open(&path).map_err(write)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CollectionError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(write(source)),
    }
}

/// Checks of a face beyond its JSON types.
fn check(face: &CollectedFace) -> Result<(), String> {
    let lists = [("points", Some(face.points.len())), ("predicted", face.predicted.as_ref().map(Vec::len))];
    for (name, count) in lists {
        if let Some(count) = count.filter(|&count| count != WFLW_POINTS) {
            return Err(format!("{name} holds {}, {WFLW_POINTS} are expected", counted(count, "point")));
        }
    }
    let lists = [("weight", &face.weight), ("confidence", &face.confidence)];
    for (name, values) in lists {
        let Some(values) = values else { continue };
        if values.len() != WFLW_POINTS || values.iter().any(|v| !(0.0..=1.0).contains(v)) {
            return Err(format!("{name} is not {WFLW_POINTS} numbers in 0..=1"));
        }
    }
    match face.points.iter().chain(face.predicted.iter().flatten()).flatten().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err("coordinates must be finite numbers".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(image: &str) -> CollectedFace {
        CollectedFace {
            image: image.into(),
            width: 20,
            height: 10,
            points: (0..98).map(|i| [i as f32 * 0.1, 3.25]).collect(),
            weight: None,
            review: Review::Pending,
            clip: "1".into(),
            predicted: None,
            confidence: Some(vec![0.5; 98]),
            score: Some(0.75),
            source: Some("camera".into()),
            time_s: Some(1.5),
            other: serde_json::Map::new(),
        }
    }

    #[test]
    fn a_recording_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::create(folder.path(), "a").unwrap();
        let image = recording.add_picture(&Frame::filled(20, 10, [1, 2, 3])).unwrap();
        recording.add(vec![face(&image)]).unwrap();
        let corrected = CollectedFace { review: Review::Accepted, ..face(&image) };
        recording.replace(0, corrected.clone()).unwrap();
        let at = recording.folder().to_owned();
        assert_eq!(Recording::read(&at).unwrap(), std::slice::from_ref(&corrected));
        drop(recording);
        let mut again = Recording::open(&at).unwrap();
        assert_eq!(again.faces(), [corrected]);
        assert_eq!(again.add_picture(&Frame::filled(2, 2, [0; 3])).unwrap(), "000001.png");
        assert_eq!(recordings(folder.path()).unwrap(), [at]);
    }

    #[test]
    fn rows_of_another_source_are_no_faces_that_the_detector_missed() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::create(folder.path(), "a").unwrap();
        let missed = CollectedFace { review: Review::Accepted, score: None, predicted: None, ..face("0.png") };
        recording.add(vec![missed.clone(), CollectedFace { review: Review::Pending, ..missed }]).unwrap();
        let at = recording.folder().join(FACES_FILE);
        let rows = fs::read_to_string(&at).unwrap();
        fs::write(&at, format!("{{\"image\": \"1.png\", \"points\": []}}\n{rows}")).unwrap();
        assert_eq!(undetected_faces(folder.path()).unwrap(), 1);
    }

    #[test]
    fn keys_of_other_programs_survive_a_correction() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::create(folder.path(), "a").unwrap();
        let mut with_note = face("000000.png");
        with_note.other.insert("note".into(), "glasses".into());
        recording.add(vec![with_note]).unwrap();
        let at = recording.folder().to_owned();
        drop(recording);
        let mut again = Recording::open(&at).unwrap();
        let first = again.faces()[0].clone();
        again.replace(0, first).unwrap();
        assert_eq!(Recording::read(&at).unwrap()[0].other["note"], "glasses");
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_the_next_face_follows_the_whole_ones() {
        let folder = tempfile::tempdir().unwrap();
        let mut recording = Recording::create(folder.path(), "a").unwrap();
        recording.add(vec![face("000000.png"), face("000001.png")]).unwrap();
        let at = recording.folder().to_owned();
        drop(recording);
        let file = at.join(FACES_FILE);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() - 20]).unwrap();
        assert_eq!(Recording::read(&at).unwrap().len(), 1);
        let mut again = Recording::open(&at).unwrap();
        again.add(vec![face("000002.png")]).unwrap();
        let names: Vec<_> = Recording::read(&at).unwrap().into_iter().map(|face| face.image).collect();
        assert_eq!(names, ["000000.png", "000002.png"]);
        // A last line that only lacks its end is whole.
        drop(again);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.trim_end()).unwrap();
        assert_eq!(Recording::read(&at).unwrap().len(), 2);
    }

    #[test]
    fn two_writers_exclude_each_other_and_readers_are_not_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::create(folder.path(), "a").unwrap();
        assert!(matches!(Recording::open(recording.folder()), Err(CollectionError::InUse { .. })));
        assert!(Recording::read(recording.folder()).unwrap().is_empty());
        assert!(matches!(Recording::create(folder.path(), "a"), Err(CollectionError::Exists { .. })));
    }

    #[test]
    fn a_damaged_row_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::create(folder.path(), "a").unwrap();
        let good = serde_json::to_string(&face("0.png")).unwrap();
        for (bad, expected) in [
            (good.replace("[0.0,3.25],", ""), "97 points"),
            (good.replace("0.5,0.5]", "0.5,1.5]"), "confidence"),
            (good.replace("\"pending\"", "\"maybe\""), "not a collected face"),
        ] {
            fs::write(recording.folder().join(FACES_FILE), format!("{good}\n\n{bad}\n")).unwrap();
            let message = Recording::read(recording.folder()).unwrap_err().to_string();
            assert!(message.contains("faces.jsonl:3") && message.contains(expected), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_enter_a_recording() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let recording = Recording::create(&folder.path().join("samples"), "a").unwrap();
        for path in [recording.folder(), recording.folder().parent().unwrap()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}

//! Reads whole files up to a size limit, makes private folders, claims outputs, and writes files atomically: a file is
//! written beside its target, flushed to disk, then renamed over the target.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// No real model, checkpoint, picture or list is larger, and more would not fit into the memory of many computers.
const MOST_BYTES: u64 = 2 << 30;
/// The same for inputs without a length, such as a pipe or a device: they may never end.
const MOST_BYTES_OF_A_STREAM: u64 = 256 << 20;
/// On a file system whose files do not keep their numbers, a lock that is still there can't be told from another.
const MOST_ATTEMPTS: usize = 100;
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Reads all of a file.
///
/// # Errors
/// Any I/O error; [`io::ErrorKind::FileTooLarge`] beyond the limit.
pub fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let most = if about.is_file() { MOST_BYTES } else { MOST_BYTES_OF_A_STREAM };
    let too_large = |most: u64| {
        let message = format!("it has more than {} MiB, which no file that awing reads has", most >> 20);
        io::Error::new(io::ErrorKind::FileTooLarge, message)
    };
    if about.is_file() && about.len() > most {
        return Err(too_large(most));
    }
    let mut bytes = Vec::new();
    if about.is_file() {
        bytes.try_reserve_exact(about.len() as usize + 1)?;
    }
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(most)) } else { Ok(bytes) }
}

/// Reads a UTF-8 text file, without the byte order mark that some editors add.
///
/// # Errors
/// As [`read_whole`]; [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = read_whole(path)?;
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let text = String::from_utf8(bytes).map_err(|_| {
        let reason = if is_utf16 { "it is in UTF-16: save it in UTF-8" } else { "it is not text in UTF-8" };
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })?;
    Ok(text.strip_prefix(BYTE_ORDER_MARK).map(str::to_owned).unwrap_or(text))
}

/// Writes `bytes` to `path` so that a reader sees either the old file or the new one, never a part.
///
/// # Errors
/// Any I/O error; the old file is then untouched.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Staged::write(path, bytes)?.place()
}

/// A builder for a folder that on Unix only its owner can enter; `with_parents`: it also makes missing parent folders,
/// and an existing folder is no error.
pub fn private_folder(with_parents: bool) -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(with_parents);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Keeps other processes from an output that is written for a long time, until it is dropped or the process ends,
/// however it ends. It is a lock on a hidden file beside the output, or in it if that is a folder.
#[derive(Debug)]
pub struct Claim {
    lock: PathBuf,
    /// Locked.
    _file: File,
}

/// An output that somebody else is writing to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path} is being written by {holder}: wait until that has ended, or name another output")]
pub struct Claimed {
    pub path: PathBuf,
    pub holder: String,
}

impl Claim {
    /// Claims the file or folder `path`, which need not exist. `None` for a pipe or a device, which many may write to,
    /// and where the system can't lock: that is no reason not to write.
    ///
    /// # Errors
    /// [`Claimed`], with what is known of the one who writes.
    pub fn of(path: &Path) -> Result<Option<Self>, Claimed> {
        let Some(lock) = lock_of(path) else { return Ok(None) };
        for _ in 0..MOST_ATTEMPTS {
            let opened = File::options().read(true).write(true).create(true).truncate(false).open(&lock);
            let Ok(mut file) = opened else { return Ok(None) };
            match file.try_lock() {
                // Its owner may have removed it in the meantime.
                Ok(()) if !is_same_file(&file, &lock) => continue,
                Ok(()) => {
                    let program = std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_owned()));
                    let program = program.unwrap_or_else(|| "a program".into());
                    let about = format!("{} (process {})", program.display(), std::process::id());
                    // Only for the message of another process.
                    let _ = file.set_len(0).and_then(|()| file.write_all(about.as_bytes()));
                    return Ok(Some(Self { lock, _file: file }));
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = fs::read_to_string(&lock).ok().filter(|holder| !holder.is_empty());
                    let holder = holder.unwrap_or_else(|| "another process".into());
                    return Err(Claimed { path: path.to_owned(), holder });
                }
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
        Ok(None)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is still locked. What remains of a process that was killed is locked by nobody.
        let _ = fs::remove_file(&self.lock);
    }
}

/// The file that is locked for an output, the same for every way to write its path.
fn lock_of(path: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(path).or_else(|_| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Ok::<_, io::Error>(fs::canonicalize(folder)?.join(path.file_name().unwrap_or_default()))
    });
    let real = real.ok()?;
    if real.is_dir() {
        return Some(real.join(".awing.lock"));
    }
    let may_be_claimed = fs::metadata(&real).map_or(true, |about| about.is_file());
    let mut name = std::ffi::OsString::from(".");
    name.push(real.file_name()?);
    name.push(".lock");
    may_be_claimed.then(|| real.with_file_name(name))
}

#[cfg(unix)]
fn is_same_file(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |about: fs::Metadata| (about.dev(), about.ino());
    file.metadata().ok().map(number) == fs::metadata(path).ok().map(number)
}

/// Elsewhere a file that is open is not removed.
#[cfg(not(unix))]
fn is_same_file(_: &File, path: &Path) -> bool {
    path.exists()
}

/// A complete file, waiting beside its target. Files that belong together are all written before the first is placed. A
/// file that is not placed is removed when dropped.
pub struct Staged {
    beside: PathBuf,
    path: PathBuf,
}

impl Staged {
    /// Writes `bytes` beside `path`.
    ///
    /// # Errors
    /// Any I/O error.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.tmp", std::process::id()));
        let staged = Self { beside: beside.into(), path: path.to_owned() };
        let mut file = File::create(&staged.beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(staged)
    }

    /// Renames the file to its target, replacing what is there.
    ///
    /// # Errors
    /// Any I/O error; the old file is then untouched.
    pub fn place(self) -> io::Result<()> {
        fs::rename(&self.beside, &self.path)
    }
}

/// The name of the target, from the name of what a killed process left of a [`Staged`] file.
pub fn target_of_unfinished(name: &str) -> Option<&str> {
    let (target, process) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
    (!process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit())).then_some(target)
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After `place` there is nothing to remove.
        let _ = fs::remove_file(&self.beside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_not_part_of_a_text_and_other_encodings_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_text(&path).map_err(|e| e.to_string())
        };
        assert_eq!(read(b"\xef\xbb\xbfversion: 1").unwrap(), "version: 1");
        assert_eq!(read("gr\u{fc}n".as_bytes()).unwrap(), "gr\u{fc}n");
        assert!(read(b"\xff\xfev\0e\0").unwrap_err().contains("UTF-16"));
        assert!(read(b"gr\xfcn").unwrap_err().contains("not text in UTF-8"));
    }

    #[test]
    fn an_output_has_one_writer_at_a_time_whatever_its_path_is_written_like() {
        let folder = tempfile::tempdir().unwrap();
        let names = || fs::read_dir(folder.path()).unwrap().count();
        let file = folder.path().join("faces.jsonl");
        let claim = Claim::of(&file).unwrap().unwrap();
        let refused = Claim::of(&folder.path().join(".").join("faces.jsonl")).unwrap_err();
        assert!(refused.holder.contains(&std::process::id().to_string()), "{refused}");
        let other = Claim::of(&folder.path().join("others.jsonl")).unwrap().unwrap();
        drop(claim);
        fs::write(&file, "").unwrap();
        #[cfg(unix)]
        {
            let _claim = Claim::of(&file).unwrap().unwrap();
            std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
            assert!(Claim::of(&folder.path().join("link")).is_err());
            fs::remove_file(folder.path().join("link")).unwrap();
        }
        let whole = Claim::of(folder.path()).unwrap().unwrap();
        assert!(Claim::of(folder.path()).is_err());
        drop((whole, other));
        assert_eq!(names(), 1, "nothing stays behind");
        // Files of a killed process don't block anything.
        fs::write(folder.path().join(".faces.jsonl.lock"), "awing (process 1)").unwrap();
        Claim::of(&file).unwrap().unwrap();
        assert_eq!(names(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_not_claimed() {
        assert!(Claim::of(Path::new("/dev/null")).unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_too_large_or_never_ends_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("holes");
        File::create(&path).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert_eq!(read_whole(&path).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        #[cfg(unix)]
        assert_eq!(read_whole(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}

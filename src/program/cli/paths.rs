//! The files of a command, compared before any of them is opened.
//!
//! In: the paths that the command reads and writes, each with its option. Out: nothing, or an error that names both
//! paths: an output is an input, two outputs are one file, or an output file has other content than would be written.
//! The comparison follows links, `.` and `..`, and ignores case where the file system does. Devices and pipes hold
//! nothing that could be lost.

use crate::program::capture::Recorder;
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Links are followed this many times; more mean a cycle.
const MOST_LINKS: usize = 40;
/// The first bytes of a file, which tell its type.
const SIGNATURE_LENGTH: usize = 12;

/// The option of commands that write files.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct Overwrite {
    /// Replace output files even if they have other content; inputs are never replaced
    #[arg(long)]
    pub(super) overwrite: bool,
}

/// The content of an output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON, or JSON lines.
    Json,
    /// Rows of comma-separated values under a header.
    Csv,
    Picture,
    /// A video or a moving GIF.
    Video,
    Model,
    Onnx,
    /// A picture of each frame, in a folder.
    Frames,
    Text,
}

/// The files of a command.
#[derive(Default)]
pub(super) struct Paths {
    inputs: Vec<Named>,
    outputs: Vec<Output>,
}

/// A path, and how the user named it.
struct Named {
    option: &'static str,
    path: PathBuf,
}

struct Output {
    name: Named,
    content: Content,
    /// In a folder: the names that are known, by their lower case.
    files: HashMap<String, String>,
}

impl Paths {
    /// Adds files or folders that are read.
    pub(super) fn reads<P: Into<PathBuf>>(mut self, option: &'static str, paths: impl IntoIterator<Item = P>) -> Self {
        self.inputs.extend(paths.into_iter().map(|path| Named { option, path: path.into() }));
        self
    }

    /// Adds files that are written; `-` is standard output.
    pub(super) fn writes<P: Into<PathBuf>>(
        mut self,
        option: &'static str,
        paths: impl IntoIterator<Item = P>,
        content: Content,
    ) -> Self {
        let files = paths.into_iter().map(Into::into).filter(|path| path.as_os_str() != "-");
        let output = |path| Output { name: Named { option, path }, content, files: HashMap::new() };
        self.outputs.extend(files.map(output));
        self
    }

    /// Adds a folder for files with these names; only `--overwrite` replaces an existing one.
    pub(super) fn writes_into(mut self, option: &'static str, folder: &Path, names: &[String]) -> Self {
        let files = names.iter().map(|name| (name.to_lowercase(), name.clone())).collect();
        let name = Named { option, path: folder.to_owned() };
        self.outputs.push(Output { name, content: Content::Frames, files });
        self
    }

    /// Refuses outputs that would destroy something.
    ///
    /// # Errors
    /// See the module.
    pub(super) fn check(&self, overwrite: Overwrite) -> Result<()> {
        self.keep_inputs()?;
        for (i, output) in self.outputs.iter().enumerate() {
            let place = Place::of(&output.name.path);
            for other in &self.outputs[..i] {
                if place.is_some() && Place::of(&other.name.path) == place {
                    bail!(
                        "{} and {} are the same file: name two different ones",
                        other.name.in_words(),
                        output.name.in_words()
                    );
                }
            }
            if !overwrite.overwrite {
                output.keep_other_content()?;
            }
        }
        Ok(())
    }

    /// Refuses outputs that are inputs; for inputs that are known only after others were read.
    ///
    /// # Errors
    /// If there is one.
    pub(super) fn keep_inputs(&self) -> Result<()> {
        let outputs: Vec<_> = self.outputs.iter().filter_map(|o| Some((o, Place::of(&o.name.path)?))).collect();
        if outputs.is_empty() {
            return Ok(());
        }
        for input in &self.inputs {
            let Some(place) = Place::of(&input.path) else { continue };
            for (output, written) in &outputs {
                if *written == place || output.has_frame(&input.path) {
                    let kind = if output.content == Content::Frames { "folder" } else { "file" };
                    let Named { option, .. } = output.name;
                    bail!(
                        "{} would be written over {}: name another {kind} for {option}",
                        output.name.in_words(),
                        input.in_words(),
                    );
                }
            }
        }
        Ok(())
    }
}

impl Named {
    fn in_words(&self) -> String {
        format!("{} {}", self.option, self.path.display())
    }
}

impl Output {
    /// Whether the file has a name, in the folder that is written to, that a frame may get.
    fn has_frame(&self, file: &Path) -> bool {
        let folder = || fs::canonicalize(file).ok()?.parent().and_then(Place::of);
        self.content == Content::Frames
            && file.file_name().and_then(OsStr::to_str).is_some_and(|name| self.is_frame(name))
            && folder() == Place::of(&self.name.path)
    }

    fn is_frame(&self, name: &str) -> bool {
        match self.files.is_empty() {
            true => name.starts_with("frame_") && name.ends_with(".png"),
            false => self.files.contains_key(&name.to_lowercase()),
        }
    }

    /// A picture in the folder that is written to, with a name that one of its pictures gets.
    fn picture_there(&self) -> Option<PathBuf> {
        let Self { name: Named { path, .. }, content, files } = self;
        if *content != Content::Frames || !files.is_empty() {
            return files.values().map(|name| path.join(name)).find(|file| file.exists());
        }
        let names = fs::read_dir(path).ok()?.flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_str().is_some_and(|name| self.is_frame(name))).min().map(|name| path.join(name))
    }

    fn keep_other_content(&self) -> Result<()> {
        let Self { name: Named { option, path }, content, .. } = self;
        if let Some(file) = self.picture_there() {
            bail!("{option} {} exists already: name another folder, or use --overwrite", file.display());
        }
        if !path.is_file() {
            return Ok(());
        }
        let start = signature(path).with_context(|| format!("cannot read {}", path.display()))?;
        if !start.is_empty() && !content.may_begin_with(&start) {
            bail!(
                "{} exists already and does not hold {}: name another file, or use --overwrite",
                self.name.in_words(),
                content.in_words()
            );
        }
        Ok(())
    }
}

impl Content {
    /// The content of a picture or video file, by its extension.
    pub(super) fn of_recording(path: &Path) -> Self {
        if Recorder::is_folder(path) {
            return Self::Frames;
        }
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if ending.is_some_and(|e| matches!(e.as_str(), "png" | "jpg" | "jpeg")) { Self::Picture } else { Self::Video }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Csv => "rows of faces",
            Self::Picture | Self::Frames => "a picture",
            Self::Video => "a video",
            Self::Model => "a model",
            Self::Onnx => "an ONNX model",
            Self::Text => "text",
        }
    }

    fn may_begin_with(self, start: &[u8]) -> bool {
        match self {
            Self::Json => start.trim_ascii_start().first().is_some_and(|byte| matches!(byte, b'{' | b'[')),
            Self::Csv => start.starts_with(b"frame,"),
            Self::Picture | Self::Frames => {
                [&b"\x89PNG"[..], b"\xff\xd8"].iter().any(|signature| start.starts_with(signature))
            }
            Self::Video => {
                let is_mp4 = start.get(4..8) == Some(b"ftyp");
                is_mp4 || [&b"\x1a\x45\xdf\xa3"[..], b"RIFF", b"GIF8"].iter().any(|s| start.starts_with(s))
            }
            // The length of the description, then the description.
            Self::Model => start.get(8) == Some(&b'{'),
            // The first field: the version of the format.
            Self::Onnx => start.first() == Some(&0x08),
            Self::Text => start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()),
        }
    }
}

fn signature(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?.take(SIGNATURE_LENGTH as u64).read_to_end(&mut start)?;
    Ok(start)
}

/// The file system object behind a path.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Of a file or folder that is there: device and number.
    #[cfg(unix)]
    Numbered(u64, u64),
    /// Its actual or future path, without links.
    Path(PathBuf),
}

impl Place {
    /// `None` for what is neither a file nor a folder, such as a device or a pipe.
    fn of(path: &Path) -> Option<Self> {
        let Ok(there) = fs::metadata(path) else { return Some(Self::Path(of_new_file(path))) };
        if !there.is_file() && !there.is_dir() {
            return None;
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Some(Self::Numbered(there.dev(), there.ino()))
        }
        #[cfg(not(unix))]
        Some(Self::Path(fs::canonicalize(path).unwrap_or_else(|_| of_new_file(path))))
    }
}

/// The path at which a missing file would be created.
fn of_new_file(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(name) = path.file_name() else { return path };
    let Ok(folder) = fs::canonicalize(folder) else { return path };
    // These file systems usually ignore case.
    let folds_case = cfg!(any(windows, target_os = "macos"));
    folder.join(if folds_case { name.to_string_lossy().to_lowercase().into() } else { name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(paths: &Paths) -> Option<String> {
        paths.check(Overwrite::default()).err().map(|error| format!("{error:#}"))
    }

    #[test]
    fn an_output_is_recognized_as_an_input_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        fs::write(at("faces.jsonl"), "{}").unwrap();
        fs::hard_link(at("faces.jsonl"), at("same.jsonl")).unwrap();
        let mut names = vec!["faces.jsonl", "./faces.jsonl", "deep/../faces.jsonl", "same.jsonl"];
        if cfg!(unix) {
            #[cfg(unix)]
            std::os::unix::fs::symlink("faces.jsonl", at("link.jsonl")).unwrap();
            names.push("link.jsonl");
        }
        for name in names {
            let paths = Paths::default().reads("--data", [at("faces.jsonl")]).writes(
                "--predictions",
                [at(name)],
                Content::Json,
            );
            let text = refusal(&paths).unwrap_or_else(|| panic!("{name} is the input"));
            assert!(text.contains("--data") && text.contains("--predictions") && text.contains(name), "{text}");
            assert!(paths.check(Overwrite { overwrite: true }).is_err(), "an input is never replaced");
        }
        let other = Paths::default().reads("--data", [at("faces.jsonl")]).writes("--out", [at("new")], Content::Json);
        assert_eq!(refusal(&other), None);
    }

    #[test]
    fn frames_are_not_written_over_one_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let paths = |input: &str| {
            fs::write(folder.path().join(input), "a picture").unwrap();
            let paths = Paths::default().reads("--input", [folder.path().join(input)]);
            paths.writes("--save", [folder.path()], Content::of_recording(folder.path()))
        };
        assert!(refusal(&paths("frame_000002.png")).unwrap().contains("frame_000002.png"));
        fs::remove_file(folder.path().join("frame_000002.png")).unwrap();
        assert_eq!(refusal(&paths("photo.png")), None);
        let into = |name: &str| {
            let save = folder.path().to_owned();
            Paths::default().reads("--input", [folder.path().join("photo.png")]).writes_into(
                "--save",
                &save,
                &[name.into()],
            )
        };
        assert!(
            refusal(&into("Photo.PNG")).unwrap().contains("another folder"),
            "it would be that file on many systems"
        );
        assert_eq!(refusal(&into("photo.jpg")), None);
        fs::write(folder.path().join("COPY.jpg"), "of yesterday").unwrap();
        assert!(refusal(&into("COPY.jpg")).unwrap().contains("COPY.jpg exists already"));
        into("COPY.jpg").check(Overwrite { overwrite: true }).unwrap();
        let same = Paths::default().reads("--input", [folder.path()]);
        let same = same.writes("--save", [folder.path().join(".")], Content::of_recording(folder.path()));
        assert!(refusal(&same).unwrap().contains("another folder"));
    }

    #[test]
    fn the_frames_of_another_video_are_replaced_only_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let paths = || Paths::default().writes("--save", [folder.path()], Content::of_recording(folder.path()));
        fs::write(folder.path().join("notes.txt"), "no frame").unwrap();
        assert_eq!(refusal(&paths()), None);
        fs::write(folder.path().join("frame_000007.png"), "of another video").unwrap();
        assert!(refusal(&paths()).unwrap().contains("frame_000007.png exists already"));
        paths().check(Overwrite { overwrite: true }).unwrap();
    }

    #[test]
    fn two_outputs_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let out = |name: &str| [folder.path().join(name)];
        let both = Paths::default().writes("--json", out("a"), Content::Json);
        assert!(refusal(&both.writes("--save", out("./a"), Content::Video)).unwrap().contains("same file"));
        let none = Paths::default().writes("--json", ["-"], Content::Json);
        assert_eq!(refusal(&none.reads("--input", ["-"])), None, "neither is a file");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_is_that_file() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        let out = |name: &str| [folder.path().join(name)];
        let both = Paths::default().writes("--json", out("a"), Content::Json).writes("--save", out("b"), Content::Json);
        assert!(refusal(&both).unwrap().contains("same file"));
        let device = || Paths::default().reads("--input", ["/dev/null"]);
        assert_eq!(refusal(&device().writes("--json", ["/dev/null"], Content::Json)), None);
    }

    #[test]
    fn a_file_that_holds_something_else_is_replaced_only_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let samples: [(&[u8], Content); 7] = [
            (b" {\"frame\": 0}", Content::Json),
            (b"frame,face_id,timestamp", Content::Csv),
            (b"\x89PNG\r\n\x1a\n", Content::Picture),
            (b"\0\0\0\x20ftypisom", Content::Video),
            (b"\x40\0\0\0\0\0\0\0{\"__m", Content::Model),
            (b"\x08\x08\x12\x05awing", Content::Onnx),
            (b"Dear reader,", Content::Text),
        ];
        for (i, (bytes, content)) in samples.iter().enumerate() {
            fs::write(&file, bytes).unwrap();
            let out = |content| Paths::default().writes("--out", [&file], content);
            assert_eq!(refusal(&out(*content)), None, "{content:?}");
            for (j, (_, other)) in samples.iter().enumerate().filter(|(j, _)| *j != i) {
                if *other == Content::Text {
                    continue;
                }
                let text = refusal(&out(*other)).unwrap_or_else(|| panic!("{j} over {content:?}"));
                assert!(text.contains("--overwrite"), "{text}");
                out(*other).check(Overwrite { overwrite: true }).unwrap();
            }
        }
        fs::write(&file, b"").unwrap();
        assert_eq!(refusal(&Paths::default().writes("--out", [&file], Content::Model)), None, "it is empty");
    }
}

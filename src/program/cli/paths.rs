//! The files of a command, compared before any of them is opened.
//!
//! In: the paths that the command reads and writes, each with its option. Out: nothing, or an error that names both
//! paths: an output is an input, two outputs are one file, or an output file holds something that awing did not write
//! there before.
//! The comparison follows links, `.` and `..`, and ignores case where the file system does. Devices and pipes hold
//! nothing that could be lost.

use crate::program::capture::Recorder;
use crate::program::live::{CsvRows, JsonLines};
use crate::runtime::image::is_marked;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Links are followed this many times; more mean a cycle.
const MOST_LINKS: usize = 40;
/// So many first and last bytes of a file tell who wrote it. A line of JSON about a crowd takes a few hundred
/// kilobytes.
const BEGINNING_LENGTH: usize = 1 << 20;
const END_LENGTH: usize = 64;

/// The option of commands that write files.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(super) struct Overwrite {
    /// Replace output files even if awing did not write them; inputs are never replaced
    #[arg(long)]
    pub(super) overwrite: bool,
}

/// The content of an output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A line of JSON for each frame.
    Lines,
    /// A line of JSON for each face or picture of an evaluation.
    Predictions,
    /// The report of a fine-tuning, which the command compares itself.
    Report,
    /// Rows of comma-separated values under a header.
    Csv,
    Picture,
    /// A video or a moving GIF.
    Video,
    /// A video that is not complete, under a name that says so.
    Unfinished,
    Model,
    /// Numbers in the format of models, without the description of one.
    Tensors,
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
        let (beginning, end) = ends(path).with_context(|| format!("cannot read {}", path.display()))?;
        if !beginning.is_empty() && !content.was_written(&beginning, &end) {
            bail!(
                "{} exists already and does not hold {} by awing: name another file, or use --overwrite",
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
            Self::Lines => "lines of JSON",
            Self::Predictions => "predictions",
            Self::Report => "a report",
            Self::Csv => "rows of faces",
            Self::Picture | Self::Frames => "a picture",
            Self::Video | Self::Unfinished => "a video",
            Self::Model => "a model",
            Self::Tensors => "tensors",
            Self::Onnx => "an ONNX model",
            Self::Text => "text",
        }
    }

    /// Whether awing wrote a file of this content that begins and ends like this.
    fn was_written(self, beginning: &[u8], end: &[u8]) -> bool {
        const MODEL: &[u8] = b"{\"__metadata__\":{\"awing\":";
        // In a safetensors file it follows its own length.
        let description = beginning.get(8..).unwrap_or_default();
        match self {
            Self::Lines => JsonLines::begin_like(beginning),
            Self::Predictions => is_prediction(beginning),
            Self::Report => beginning.trim_ascii_start().starts_with(b"{"),
            Self::Csv => CsvRows::begin_like(beginning),
            Self::Picture | Self::Frames => is_marked(beginning),
            Self::Video => Recorder::has_made(beginning, end),
            Self::Unfinished => {
                let is_mp4 = beginning.get(4..8) == Some(b"ftyp");
                is_mp4 || [&b"\x1a\x45\xdf\xa3"[..], b"RIFF", b"GIF8"].iter().any(|s| beginning.starts_with(s))
            }
            Self::Model => description.starts_with(MODEL),
            Self::Tensors => description.starts_with(b"{") && !description.starts_with(MODEL),
            // The version of the format and the name of the program.
            Self::Onnx => beginning.first() == Some(&0x08) && beginning.get(2..9) == Some(b"\x12\x05awing"),
            Self::Text => beginning.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()),
        }
    }
}

/// Whether a file begins with a line that `awing eval --predictions` writes: about a face, or about a picture.
fn is_prediction(beginning: &[u8]) -> bool {
    let Some(Ok(line)) = beginning.split(|byte| *byte == b'\n').next().map(serde_json::from_slice::<Value>) else {
        return false;
    };
    let found = |face: &Value| face.get("box").is_some() && face.get("score").is_some();
    match line.get("faces").and_then(Value::as_array) {
        Some(faces) => line.get("image").is_some() && faces.iter().all(found),
        None => ["image", "landmarks", "score"].iter().all(|key| line.get(key).is_some()),
    }
}

fn ends(path: &Path) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut beginning, mut end) = (Vec::new(), Vec::new());
    let mut file = File::open(path)?;
    (&file).take(BEGINNING_LENGTH as u64).read_to_end(&mut beginning)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_LENGTH as u64)))?;
    file.take(END_LENGTH as u64).read_to_end(&mut end)?;
    Ok((beginning, end))
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
    use crate::runtime::image::Frame;

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
                Content::Lines,
            );
            let text = refusal(&paths).unwrap_or_else(|| panic!("{name} is the input"));
            assert!(text.contains("--data") && text.contains("--predictions") && text.contains(name), "{text}");
            assert!(paths.check(Overwrite { overwrite: true }).is_err(), "an input is never replaced");
        }
        let other = Paths::default().reads("--data", [at("faces.jsonl")]).writes("--out", [at("new")], Content::Lines);
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
        let both = Paths::default().writes("--json", out("a"), Content::Lines);
        assert!(refusal(&both.writes("--save", out("./a"), Content::Video)).unwrap().contains("same file"));
        let none = Paths::default().writes("--json", ["-"], Content::Lines);
        assert_eq!(refusal(&none.reads("--input", ["-"])), None, "neither is a file");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_file_that_is_not_there_yet_is_that_file() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        let out = |name: &str| [folder.path().join(name)];
        let both =
            Paths::default().writes("--json", out("a"), Content::Lines).writes("--save", out("b"), Content::Lines);
        assert!(refusal(&both).unwrap().contains("same file"));
        let device = || Paths::default().reads("--input", ["/dev/null"]);
        assert_eq!(refusal(&device().writes("--json", ["/dev/null"], Content::Lines)), None);
    }

    #[test]
    fn only_what_awing_wrote_is_replaced_without_being_told_to() {
        use Content::{Lines, Model, Onnx, Picture, Predictions, Tensors, Text, Unfinished, Video};
        let folder = tempfile::tempdir().unwrap();
        let picture = |name: &str| {
            Frame::filled(8, 8, [9; 3]).save(&folder.path().join(name)).unwrap();
            fs::read(folder.path().join(name)).unwrap()
        };
        let (png, jpeg) = (picture("a.png"), picture("a.jpg"));
        let own: [(&[u8], Content); 12] = [
            (b"{\"version\": 2, \"frame\": 0, \"input\": \"a.mp4\", \"time_s\": 0}\n", Lines),
            (b"{\"image\":\"a.jpg\",\"landmarks\":[[1,2]],\"score\":0.9}\n{", Predictions),
            (b"{\"faces\":[{\"box\":[1,2,3,4],\"score\":0.9}],\"image\":\"a.jpg\"}\n", Predictions),
            (&png, Picture),
            (&jpeg, Picture),
            (b"\0\0\0\x20ftypisom ... annotated by awing", Video),
            (b"GIF89a ... \x21\xfe\x12annotated by awing\0\x3b", Video),
            (b"\0\0\0\x20ftypisom", Unfinished),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{\"awing\":\"{", Model),
            (b"\x40\0\0\0\0\0\0\0{\"stack0\":{", Tensors),
            (b"\x08\x08\x12\x05awing", Onnx),
            (b"step,loss\n", Text),
        ];
        let others: [(&[u8], Content); 14] = [
            (b"{\"name\": \"a package\", \"version\": 2}", Lines),
            (b"[]", Lines),
            (b"{\"image\": \"a.jpg\", \"points\": [[1, 2]]}\n", Predictions),
            (b"{\"image\": \"a.jpg\", \"faces\": [[1, 2, 3, 4]]}\n", Predictions),
            (b"frame,face_id,timestamp,confidence,success,gaze_0_x", Content::Csv),
            (b"\x89PNG\r\n\x1a\n", Picture),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Picture),
            (b"\0\0\0\x20ftypisom", Video),
            (b"GIF89a ... annotated by awing ... \x3b", Video),
            (b"annotated by hand", Unfinished),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{\"format\":\"pt\"}", Model),
            (b"\x40\0\0\0\0\0\0\0{\"__metadata__\":{\"awing\":\"{", Tensors),
            (b"\x08\x08\x12\x07pytorch", Onnx),
            (b"\x7fELF\x02", Text),
        ];
        let file = folder.path().join("file");
        let out = |bytes: &[u8], content| {
            fs::write(&file, bytes).unwrap();
            Paths::default().writes("--out", [&file], content)
        };
        for (bytes, content) in own {
            assert_eq!(refusal(&out(bytes, content)), None, "{content:?}: {}", bytes.escape_ascii());
            for other in [Lines, Predictions, Content::Csv, Picture, Video, Model, Onnx] {
                assert!(other == content || refusal(&out(bytes, other)).is_some(), "{content:?} over {other:?}");
            }
        }
        for (bytes, content) in others {
            let text = refusal(&out(bytes, content));
            let text = text.unwrap_or_else(|| panic!("{content:?}: {}", bytes.escape_ascii()));
            assert!(text.contains("--overwrite") && text.contains("by awing"), "{text}");
            out(bytes, content).check(Overwrite { overwrite: true }).unwrap();
        }
        assert_eq!(refusal(&out(b"", Model)), None, "it is empty");
    }
}

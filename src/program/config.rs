//! The file `awing.toml`: the user's default options.
//!
//! In: the file in the system's settings folder, or another. Out: its entries as the equivalent command-line arguments,
//! each with its line. An unknown field or a value of the wrong type is an error that names the file, the line and what
//! is allowed; the command line checks the values themselves.

use super::capture::Input;
use super::places;
use crate::runtime::files::read_text;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// A field of the file.
#[derive(Debug, PartialEq)]
pub(crate) struct Setting {
    /// Its table; empty for the fields at the beginning.
    pub table: &'static str,
    pub key: &'static str,
    /// The equivalent argument of `awing track`.
    pub flag: &'static str,
    kind: Kind,
    /// The default.
    pub default: &'static str,
    comment: &'static str,
    example: &'static str,
}

/// The type of a field.
#[derive(Debug, PartialEq)]
enum Kind {
    Text,
    /// Relative to the folder of the file.
    Path,
    /// A source of frames; if it is a file, relative to the folder of the file.
    Input,
    Number,
    /// With the argument for `false`.
    Switch(&'static str),
}

/// The names of a field: table, key, flag, kind, default, comment, example.
const fn setting(
    (table, key): (&'static str, &'static str),
    flag: &'static str,
    kind: Kind,
    default: &'static str,
    comment: &'static str,
    example: &'static str,
) -> Setting {
    Setting { table, key, flag, kind, default, comment, example }
}

/// All fields, in the order in which they are written.
pub(crate) const SETTINGS: [Setting; 23] = [
    setting(("", "profile"), "--profile", Kind::Text, "none", "The profile to load and keep up to date", "\"anna\""),
    setting(("", "model"), "--model", Kind::Path, "the chosen one", "A landmark model, or \"bundled\"", "\"bundled\""),
    setting(
        ("camera", "input"),
        "--input",
        Kind::Input,
        "the first camera, or the demo",
        "A camera, a video, the address of a stream, or \"demo\"",
        "\"camera:0\"",
    ),
    setting(("camera", "size"), "--size", Kind::Text, "about 640x480", "Width and height", "\"1280x720\""),
    setting(("camera", "fps"), "--fps", Kind::Number, "the highest up to 60", "Frames per second", "30"),
    setting(("camera", "fov"), "--fov", Kind::Number, "64", "Field of view in degrees, for distances", "64"),
    setting(
        ("camera", "mirror"),
        "--mirror",
        Kind::Switch("--no-mirror"),
        "for cameras",
        "Left and right as in a mirror",
        "true",
    ),
    setting(("tracking", "faces"), "--faces", Kind::Number, "4", "Maximum number of faces to track", "1"),
    setting(("tracking", "threads"), "--threads", Kind::Number, "1", "Number of threads", "2"),
    setting(
        ("tracking", "precision"),
        "--precision",
        Kind::Text,
        "auto",
        "\"auto\", \"f32\", \"f16\" or \"int8\"",
        "\"auto\"",
    ),
    setting(
        ("tracking", "device"),
        "--device",
        Kind::Text,
        "auto",
        "\"auto\", \"cpu\", \"cuda\" or \"metal\"",
        "\"cpu\"",
    ),
    setting(
        ("look", "style"),
        "--look",
        Kind::Text,
        "curves",
        "\"curves\", \"dots\", \"full\", \"minimal\" or \"confidence\"",
        "\"minimal\"",
    ),
    setting(
        ("look", "gauges"),
        "--gauges",
        Kind::Switch("--no-gauges"),
        "false",
        "Head axes, gaze, meters of eyes and mouth",
        "true",
    ),
    setting(("look", "scale"), "--scale", Kind::Number, "the desktop's", "The window, text and lines as large", "1.5"),
    setting(("output", "json"), "--json", Kind::Path, "none", "Lines of JSON", "\"faces.jsonl\""),
    setting(("output", "csv"), "--csv", Kind::Path, "none", "A table", "\"faces.csv\""),
    setting(("output", "osf"), "--osf", Kind::Text, "none", "As OpenSeeFace", "\"127.0.0.1:11573\""),
    setting(("output", "vmc"), "--vmc", Kind::Text, "none", "By VMC", "\"127.0.0.1:39539\""),
    setting(
        ("output", "vmc_shapes"),
        "--vmc-shapes",
        Kind::Text,
        "vrm",
        "The names of VMC's blend shapes: \"vrm\" or \"perfect-sync\"",
        "\"perfect-sync\"",
    ),
    setting(("output", "ifacialmocap"), "--ifacialmocap", Kind::Text, "none", "As iFacialMocap", "\"127.0.0.1:49983\""),
    setting(
        ("output", "serve"),
        "--serve",
        Kind::Text,
        "none",
        "A page for browsers and OBS; with another address than 127.0.0.1 for other computers, too",
        "\"127.0.0.1:8098\"",
    ),
    setting(("output", "vts"), "--vts", Kind::Text, "none", "VTube Studio", "\"ws://127.0.0.1:8001\""),
    setting(
        ("output", "virtual_camera"),
        "--virtual-camera",
        Kind::Path,
        "none",
        "The annotated picture as a camera (Linux)",
        "\"/dev/video9\"",
    ),
];

impl Setting {
    /// `camera.size`.
    pub(crate) fn name(&self) -> String {
        if self.table.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.table, self.key) }
    }

    /// The arguments that set it, by the names that the command line has for them.
    pub(crate) fn argument_names(&self) -> impl Iterator<Item = String> {
        let other = if let Kind::Switch(off) = self.kind { Some(off) } else { None };
        [Some(self.flag), other].into_iter().flatten().map(|flag| flag.trim_start_matches('-').replace('-', "_"))
    }

    /// The arguments for a value; `None` if the value is of another kind.
    fn arguments(&self, value: &DeValue<'_>, folder: &Path) -> Option<Vec<String>> {
        let value = match (&self.kind, value) {
            (Kind::Switch(off), DeValue::Boolean(is_on)) => {
                return Some(vec![if *is_on { self.flag } else { off }.to_owned()]);
            }
            (Kind::Number, DeValue::Integer(number)) => number.to_string(),
            (Kind::Number, DeValue::Float(number)) => number.to_string(),
            (Kind::Text, DeValue::String(text)) => text.to_string(),
            (Kind::Path, DeValue::String(text)) if *text == "bundled" || *text == "-" => text.to_string(),
            (Kind::Input, DeValue::String(text)) if !names_a_file(text) => text.to_string(),
            (Kind::Path | Kind::Input, DeValue::String(text)) => folder.join(&**text).to_string_lossy().into_owned(),
            _ => return None,
        };
        // In one word: a value may begin with a dash.
        Some(vec![format!("{}={value}", self.flag)])
    }

    fn wants(&self) -> &'static str {
        match self.kind {
            Kind::Text | Kind::Path | Kind::Input => "a text in quotation marks",
            Kind::Number => "a number",
            Kind::Switch(_) => "true or false",
        }
    }
}

/// Whether an input is a file or a folder. A bare number is meant for a camera: the message about it must not name a
/// file in the folder of the settings.
fn names_a_file(input: &str) -> bool {
    let is_number = !input.is_empty() && input.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && matches!(Input::new(&[input]), Input::Files(_))
}

/// A field that is set.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub setting: &'static Setting,
    /// As written in the file.
    pub value: String,
    pub arguments: Vec<String>,
    pub line: usize,
}

/// A file that was read.
#[derive(Debug, PartialEq)]
pub(crate) struct Config {
    pub path: PathBuf,
    pub entries: Vec<Entry>,
}

impl Config {
    /// The file in the system's settings folder; `None` if there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn of_user() -> Result<Option<Self>> {
        places::config().filter(|path| path.exists()).map(|path| Self::read(&path)).transpose()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it can't be read, is not TOML, or has a field that is unknown or of the wrong type.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        let entries = entries(&text, path.parent().unwrap_or(Path::new("")));
        let entries =
            entries.map_err(|(at, reason)| anyhow::anyhow!("{}", Self::at(path, line_of(&text, at), &reason)))?;
        Ok(Self { path: path.to_owned(), entries })
    }

    /// An error in a line of a file.
    pub(crate) fn at(path: &Path, line: usize, reason: &str) -> String {
        format!("{}, line {line}: {reason}", path.display())
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

/// The fields that are set; or the position of an error, and the reason.
fn entries(text: &str, folder: &Path) -> Result<Vec<Entry>, (usize, String)> {
    let document = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let mut entries = Vec::new();
    for (key, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) if has_table(key.get_ref()) => {
                for (inner, value) in table {
                    entries.push(entry(text, key.get_ref(), inner, value, folder)?);
                }
            }
            _ => entries.push(entry(text, "", key, value, folder)?),
        }
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn has_table(name: &str) -> bool {
    SETTINGS.iter().any(|setting| !setting.table.is_empty() && setting.table == name)
}

fn entry(
    text: &str,
    table: &str,
    key: &Spanned<DeString<'_>>,
    value: &Spanned<DeValue<'_>>,
    folder: &Path,
) -> Result<Entry, (usize, String)> {
    let at = key.span().start;
    let setting = SETTINGS.iter().find(|setting| setting.table == table && setting.key == key.get_ref());
    let Some(setting) = setting else {
        let mut known: Vec<String> =
            SETTINGS.iter().filter(|setting| setting.table == table).map(|setting| setting.key.to_owned()).collect();
        if table.is_empty() {
            let mut tables: Vec<&str> =
                SETTINGS.iter().map(|setting| setting.table).filter(|t| !t.is_empty()).collect();
            tables.dedup();
            known.extend(tables.iter().map(|table| format!("[{table}]")));
        }
        let place = if table.is_empty() { String::new() } else { format!(" in [{table}]") };
        return Err((at, format!("there is no field {}{place}; there are {}", key.get_ref(), known.join(", "))));
    };
    let written = text.get(value.span()).unwrap_or_default().to_owned();
    let Some(arguments) = setting.arguments(value.get_ref(), folder) else {
        let (name, wanted, example) = (setting.name(), setting.wants(), setting.example);
        return Err((at, format!("{name} = {written}: it has to be {wanted}, such as {example}")));
    };
    Ok(Entry { setting, value: written, arguments, line: line_of(text, at) })
}

/// A file with every field, all of them commented out.
fn template() -> String {
    let mut text = String::from(
        "# Default options of awing. The command line overrides them; awing --no-config ignores this file.\n\
         # Remove the # in front of a line to use it. awing config shows the values in use.\n",
    );
    let mut table = "";
    for setting in &SETTINGS {
        if setting.table != table {
            table = setting.table;
            let _ = write!(text, "\n[{table}]\n");
        } else if setting.table.is_empty() && setting.key == SETTINGS[0].key {
            text.push('\n');
        }
        let Setting { key, comment, example, default, .. } = setting;
        let _ = write!(text, "# {comment} (without it: {default})\n#{key} = {example}\n");
    }
    text
}

/// The template with every setting in force.
#[cfg(test)]
pub(crate) fn uncommented_template() -> String {
    let bare = |line: &str| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line).to_owned();
    template().lines().map(|line| bare(line) + "\n").collect()
}

/// Writes the template to a new file.
///
/// # Errors
/// If there is one already, or it can't be written.
pub(crate) fn init(path: &Path) -> Result<()> {
    use std::io::Write as _;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    match std::fs::File::create_new(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; edit it, or move it away first", path.display())
        }
        file => file
            .and_then(|mut file| file.write_all(template().as_bytes()))
            .with_context(|| format!("cannot write {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field's name, the arguments that it stands for, and its line.
    type Read = (String, Vec<String>, usize);

    fn read(text: &str) -> Result<Vec<Read>, (usize, String)> {
        let entries = entries(text, Path::new("/home/me"))?;
        Ok(entries.into_iter().map(|entry| (entry.setting.name(), entry.arguments, entry.line)).collect())
    }

    #[test]
    fn fields_become_arguments_with_their_lines() {
        let text = "profile = \"anna\"\nmodel = \"mine.safetensors\"\n\n[camera]\nmirror = false\nfps = 30\n\
                    [look]\nscale = 1.5\ngauges = true\n[output]\nvmc = \"localhost\"\n";
        let entry = |name: &str, argument: &str, line| (name.to_owned(), vec![argument.to_owned()], line);
        let expected = [
            entry("profile", "--profile=anna", 1),
            entry("model", "--model=/home/me/mine.safetensors", 2),
            entry("camera.mirror", "--no-mirror", 5),
            entry("camera.fps", "--fps=30", 6),
            entry("look.scale", "--scale=1.5", 8),
            entry("look.gauges", "--gauges", 9),
            entry("output.vmc", "--vmc=localhost", 11),
        ];
        assert_eq!(read(text).unwrap(), expected);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn an_input_is_relative_to_the_file_only_if_it_is_a_file() {
        let argument = |input: &str| read(&format!("camera.input = \"{input}\"\n")).unwrap()[0].1[0].clone();
        for file in ["clip.mp4", "photos/", "camera:front.mp4"] {
            assert_eq!(argument(file), format!("--input=/home/me/{file}"));
        }
        for other in ["/videos/clip.mp4", "camera", "camera:1", "0", "demo", "-", "rtsp://me:p@cam/1", "http://cam/"] {
            assert_eq!(argument(other), format!("--input={other}"));
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_what_is_possible() {
        for (text, line, words) in [
            ("\nprofil = \"x\"", 2, &["no field profil", "profile", "[camera]"][..]),
            ("[camera]\nsize = \"1x1\"\nzoom = 2\n", 3, &["no field zoom in [camera]", "size", "mirror"]),
            ("[camra]\nsize = \"1x1\"\n", 1, &["no field camra", "[camera]"]),
            ("[camera]\n\nfps = \"fast\"\n", 3, &["camera.fps = \"fast\"", "a number", "30"]),
            ("[look]\ngauges = 1\n", 2, &["look.gauges = 1", "true or false"]),
            ("camera = 3\n", 1, &["no field camera"]),
            ("[output]\njson = [\"a\"]\n", 2, &["output.json", "a text"]),
            ("profile = anna\n", 1, &[]),
            ("[camera]\nsize = \"1x1\"\nsize = \"1x1\"\n", 3, &["duplicate"]),
        ] {
            let (at, reason) = entries(text, Path::new("")).unwrap_err();
            assert_eq!(line_of(text, at), line, "{text}: {reason}");
            assert!(!reason.is_empty() && words.iter().all(|word| reason.contains(word)), "{text}: {reason}");
        }
    }

    #[test]
    fn the_file_that_init_writes_sets_nothing_until_a_line_is_uncommented() {
        assert_eq!(read(&template()).unwrap(), []);
        assert_eq!(read(&uncommented_template()).unwrap().len(), SETTINGS.len());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/awing.toml");
        init(&path).unwrap();
        assert_eq!(Config::read(&path).unwrap(), Config { path: path.clone(), entries: Vec::new() });
        let error = init(&path).unwrap_err().to_string();
        assert!(error.contains("awing.toml is there already"), "{error}");
    }
}

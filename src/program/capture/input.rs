//! What `--input` names.
//!
//! In: the words of the command line, which need not be UTF-8. Out: a camera, the demo, standard input, the address of a
//! stream, or files. A file that exists is never taken for an address.

use super::pictures;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where frames come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The camera of this number; `None`: the first.
    Camera(Option<u32>),
    Demo,
    /// YUV4MPEG on standard input.
    Stdin,
    /// A video, a picture or a folder of pictures; several: pictures and folders of them.
    Files(Vec<PathBuf>),
}

impl Input {
    /// What the words name.
    pub fn new(words: &[impl AsRef<OsStr>]) -> Self {
        let text = match words {
            [word] => word.as_ref().to_str().unwrap_or_default(),
            _ => "",
        };
        let number = text.strip_prefix("camera:").map(str::parse);
        match (text, number) {
            ("-", _) => Self::Stdin,
            ("demo", _) => Self::Demo,
            ("camera", _) => Self::Camera(None),
            (_, Some(Ok(number))) => Self::Camera(Some(number)),
            _ => Self::Files(words.iter().map(|word| PathBuf::from(word.as_ref())).collect()),
        }
    }

    /// The files and folders that are read, with the pictures of the folders.
    pub fn paths(&self) -> Vec<PathBuf> {
        match self {
            // What it is there, if it is a file.
            Self::Stdin if cfg!(unix) => vec!["/dev/stdin".into()],
            Self::Files(paths) => {
                let inside = |path: &PathBuf| if path.is_dir() { pictures::of_folder(path).ok() } else { None };
                paths.iter().flat_map(|path| [vec![path.clone()], inside(path).unwrap_or_default()].concat()).collect()
            }
            Self::Camera(_) | Self::Demo | Self::Stdin => Vec::new(),
        }
    }

    /// Whether it is a file that is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Files(paths) if paths.iter().any(|path| std::fs::symlink_metadata(path).is_err()))
    }

    /// What to call it where there is little room: a file without its folders.
    pub fn short_name(&self) -> Option<String> {
        match self {
            Self::Files(paths) => match paths.as_slice() {
                [path] => path.file_name().map(|name| Path::new(name).display().to_string()),
                _ => None,
            },
            Self::Camera(_) | Self::Demo | Self::Stdin => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_they_say_and_everything_else_is_a_file() {
        assert_eq!(Input::new(&["camera:3"]), Input::Camera(Some(3)));
        assert_eq!(Input::new(&["-"]), Input::Stdin);
        assert_eq!(Input::new(&["camera:front.mp4"]), Input::Files(vec!["camera:front.mp4".into()]));
        assert_eq!(Input::new(&["demo", "-"]), Input::Files(vec!["demo".into(), "-".into()]));
    }
}

//! The input that `--input` names.
//!
//! In: the words of the command line, which need not be UTF-8. Out: a camera, the demo, standard input, the address of
//! a stream, or files. A file that exists is never taken for an address.

use super::pictures;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The source of frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The camera of this number; `None`: the first.
    Camera(Option<u32>),
    Demo,
    /// YUV4MPEG on standard input.
    Stdin,
    /// A stream of the network.
    Address(Address),
    /// A video, a picture or a folder of pictures; several: pictures and folders of them.
    Files(Vec<PathBuf>),
}

/// The address of a stream: a scheme that awing knows, `://`, and the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    scheme: &'static str,
    text: String,
}

/// Schemes of addresses.
const SCHEMES: [&str; 9] = ["rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "tcp", "http", "https"];

impl Address {
    fn new(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once("://")?;
        let scheme = SCHEMES.into_iter().find(|known| known.eq_ignore_ascii_case(scheme))?;
        let is_file = std::fs::symlink_metadata(text).is_ok();
        (!is_file).then(|| Self { scheme, text: text.to_owned() })
    }

    /// In lower case.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether frames arrive at their own rate. Over HTTP it may also be a file.
    pub fn is_live(&self) -> bool {
        !self.scheme.starts_with("http")
    }

    /// The address without a name and a password.
    pub fn name(&self) -> String {
        let (_, rest) = self.text.split_once("://").unwrap_or_default();
        let host = rest.find('/').unwrap_or(rest.len());
        let secret = rest[..host].rfind('@').map_or(0, |at| at + 1);
        format!("{}://{}", self.scheme, &rest[secret..])
    }
}

impl Input {
    /// Parses the words.
    pub fn new(words: &[impl AsRef<OsStr>]) -> Self {
        let text = match words {
            [word] => word.as_ref().to_str().unwrap_or_default(),
            _ => "",
        };
        match text {
            "-" => return Self::Stdin,
            "demo" => return Self::Demo,
            "camera" => return Self::Camera(None),
            _ => {}
        }
        if let Some(Ok(number)) = text.strip_prefix("camera:").map(str::parse) {
            return Self::Camera(Some(number));
        }
        match Address::new(text) {
            Some(address) => Self::Address(address),
            None => Self::Files(words.iter().map(|word| PathBuf::from(word.as_ref())).collect()),
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
            Self::Camera(_) | Self::Demo | Self::Stdin | Self::Address(_) => Vec::new(),
        }
    }

    /// The names of the pictures that it consists of; `None` if it is anything else.
    pub fn pictures(&self) -> Option<Vec<String>> {
        let Self::Files(paths) = self else { return None };
        let is_pictures = paths.iter().all(|path| path.is_dir() || pictures::is_picture(path));
        let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
        is_pictures.then(|| self.paths().iter().filter(|path| !path.is_dir()).filter_map(name).collect())
    }

    /// Whether it is a missing file; one in a folder that can't be entered may be there.
    pub fn is_missing(&self) -> bool {
        let is_missing = |path: &PathBuf| {
            std::fs::symlink_metadata(path).is_err_and(|error| error.kind() != std::io::ErrorKind::PermissionDenied)
        };
        matches!(self, Self::Files(paths) if paths.iter().any(is_missing))
    }

    /// A short name: a file without its folders.
    pub fn short_name(&self) -> Option<String> {
        match self {
            Self::Files(paths) => match paths.as_slice() {
                [path] => path.file_name().map(|name| Path::new(name).display().to_string()),
                _ => None,
            },
            Self::Camera(_) | Self::Demo | Self::Stdin | Self::Address(_) => None,
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
        let Input::Address(camera) = Input::new(&["RTSP://me:p@ss@cam.local/1"]) else { panic!("it is an address") };
        assert_eq!((camera.name().as_str(), camera.is_live()), ("rtsp://cam.local/1", true));
        assert!(matches!(Input::new(&["tel://1"]), Input::Files(_)));
        assert_eq!(Input::new(&["demo", "-"]), Input::Files(vec!["demo".into(), "-".into()]));
    }
}

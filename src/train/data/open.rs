//! Reads a data set in any supported format.
//!
//! In: a file or folder. Out: its [`Sample`]s. Fails with [`DataError`], naming the file and the line.

use super::jsonl::read_recorded;
use super::{DataError, Sample, read_300w, read_jsonl, read_pts_folder, read_wflw, w300};
use crate::runtime::named::named;
use crate::train::collection;
use std::fs;
use std::path::{Path, PathBuf};

/// The supported formats of annotated faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Detected from the file or folder.
    #[default]
    Auto,
    /// A file of JSON lines ([`read_jsonl`]), or a folder with `train.jsonl` and `val.jsonl` or `test.jsonl`.
    Jsonl,
    /// A list of WFLW ([`read_wflw`]), or the folder that WFLW was unpacked into.
    Wflw,
    /// The folder of 300-W ([`read_300w`]).
    W300,
    /// A folder of pictures and `.pts` files ([`read_pts_folder`]).
    Pts,
    /// A folder of recordings that `awing capture` made, or one of them: the accepted faces.
    Collection,
}

named!(Format {
    Auto = "auto": "Detected from the file or folder",
    Jsonl = "jsonl": "JSON lines",
    Wflw = "wflw": "A list of WFLW, or its folder",
    W300 = "300w": "The folder of 300-W",
    Pts = "pts": "A folder of pictures and .pts files",
    Collection = "collection": "A folder that awing capture made",
});

/// The part of a data set to read, if it has both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    Test,
}

/// Reads annotated faces in the format detected from the path: JSON lines, WFLW's lists, the folder of 300-W, or a
/// folder of pictures and `.pts` files. `split` matters only if the path holds both parts.
///
/// # Errors
/// [`DataError`], naming the faulty file and line; [`DataError::Unrecognized`] if no format matches.
pub fn read_faces(path: &Path, split: Split) -> Result<Vec<Sample>, DataError> {
    open(path, Format::Auto, split)
}

/// Reads a data set. `split` matters only if the path holds both parts.
///
/// # Errors
/// The errors of the format's reader; [`DataError::Unrecognized`] if `path` matches no supported format, or lacks what
/// the requested format needs.
pub fn open(path: &Path, format: Format, split: Split) -> Result<Vec<Sample>, DataError> {
    let unrecognized = |expected| Err(DataError::Unrecognized { path: path.to_owned(), expected });
    let exists = fs::metadata(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let format = if format == Format::Auto { recognize(path, exists.is_dir(), split) } else { format };
    match format {
        Format::Auto => unrecognized(
            "a .jsonl file, a list of WFLW (list_98pt_rect_attr_*.txt), or a folder with one of these, with the parts \
             of 300-W, with recordings of `awing capture`, or with pictures and .pts files",
        ),
        Format::Jsonl if exists.is_dir() => match jsonl_in(path, split) {
            Some(file) => read_jsonl(&file),
            None => unrecognized("train.jsonl (to train), val.jsonl or test.jsonl (to test)"),
        },
        Format::Jsonl => read_jsonl(path),
        Format::Wflw if exists.is_dir() => match wflw_list_in(path, split) {
            Some(list) => read_wflw(&list),
            None => {
                unrecognized("WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{train,test}.txt")
            }
        },
        Format::Wflw => read_wflw(path),
        Format::W300 => read_300w(path, split),
        Format::Pts => read_pts_folder(path),
        Format::Collection => read_collection(path),
    }
}

/// The accepted faces of all recordings at a path.
fn read_collection(path: &Path) -> Result<Vec<Sample>, DataError> {
    let mut samples = Vec::new();
    for recording in collection::recordings_at(path)? {
        match read_recorded(&recording.join(collection::FACES_FILE)) {
            // None of its faces is accepted yet.
            Err(DataError::Empty { .. }) => {}
            read => samples.extend(read?),
        }
    }
    if samples.is_empty() {
        return Err(DataError::NothingAccepted { path: path.to_owned() });
    }
    Ok(samples)
}

/// The format of a path; [`Format::Auto`] if none matches.
fn recognize(path: &Path, is_folder: bool, split: Split) -> Format {
    if is_folder {
        if wflw_list_in(path, split).is_some() {
            Format::Wflw
        } else if w300::is_300w(path) {
            Format::W300
        } else if jsonl_in(path, split).is_some() {
            Format::Jsonl
        } else if collection::recordings_at(path).is_ok_and(|recordings| !recordings.is_empty()) {
            Format::Collection
        } else if fs::read_dir(path).is_ok_and(|mut entries| entries.any(|e| e.is_ok_and(|e| is_pts(&e.path())))) {
            Format::Pts
        } else {
            Format::Auto
        }
    } else if path.extension().is_some_and(|e| e == "jsonl") {
        Format::Jsonl
    } else if is_wflw_list(path) {
        Format::Wflw
    } else {
        Format::Auto
    }
}

/// Whether a file is one of WFLW's lists, by its name.
pub(in crate::train) fn is_wflw_list(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("list_98pt_rect_attr"))
}

fn is_pts(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pts"))
}

fn jsonl_in(folder: &Path, split: Split) -> Option<PathBuf> {
    let names: &[&str] = match split {
        Split::Train => &["train.jsonl"],
        Split::Test => &["val.jsonl", "test.jsonl"],
    };
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

fn wflw_list_in(folder: &Path, split: Split) -> Option<PathBuf> {
    let name = match split {
        Split::Train => "list_98pt_rect_attr_train.txt",
        Split::Test => "list_98pt_rect_attr_test.txt",
    };
    ["", "list_98pt_rect_attr_train_test", "WFLW_annotations/list_98pt_rect_attr_train_test"]
        .iter()
        .map(|inner| folder.join(inner).join(name))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::train::data::pts::tests::pts;

    fn jsonl_row(name: &str) -> String {
        let points: Vec<String> = (0..98).map(|i| format!("[{i}, {}]", i % 7)).collect();
        format!("{{\"image\": \"{name}\", \"points\": [{}]}}\n", points.join(","))
    }

    fn wflw_row(name: &str) -> String {
        let coordinates: String = (0..98).map(|i| format!("{i} {} ", i % 7)).collect();
        format!("{coordinates}1 2 3 4 0 0 0 0 0 0 {name}\n")
    }

    fn names(path: &Path, split: Split) -> Vec<String> {
        open(path, Format::Auto, split).unwrap().into_iter().map(|s| s.name).collect()
    }

    #[test]
    fn every_format_is_recognized() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for part in ["train", "val"] {
            fs::write(at(&format!("ours/{part}.jsonl")), jsonl_row(part)).unwrap();
        }
        for part in ["train", "test"] {
            let list = format!("wflw/WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{part}.txt");
            fs::write(at(&list), wflw_row(part)).unwrap();
        }
        for folder in ["300w/ibug", "300w/helen/testset", "300w/afw", "plain"] {
            fs::write(at(&format!("{folder}/face.pts")), pts(68)).unwrap();
            Frame::filled(9, 9, [0; 3]).save(&at(&format!("{folder}/face.png"))).unwrap();
        }
        assert_eq!(names(&at("ours"), Split::Train), ["train"]);
        assert_eq!(names(&at("ours"), Split::Test), ["val"]);
        assert_eq!(names(&at("ours/val.jsonl"), Split::Train), ["val"]);
        assert_eq!(names(&at("wflw"), Split::Train), ["train"]);
        assert_eq!(names(&at("wflw"), Split::Test), ["test"]);
        let list = at("wflw/WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt");
        assert_eq!(names(&list, Split::Train), ["test"]);
        assert_eq!(names(&at("300w"), Split::Train), ["afw/face.png"]);
        assert_eq!(names(&at("300w"), Split::Test), ["helen/testset/face.png", "ibug/face.png"]);
        assert_eq!(names(&at("plain"), Split::Test), ["face.png"]);
    }

    #[test]
    fn a_recording_that_is_being_added_to_can_be_read_and_a_cut_file_of_labels_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let points: Vec<String> = (0..98).map(|i| format!("[{i}, {}]", i % 7)).collect();
        let row = format!("{{\"image\": \"1.png\", \"points\": [{}]}}\n", points.join(","));
        let cut = format!("{row}{row}{}", &row[..200]);
        for name in [collection::FACES_FILE, "mine.jsonl"] {
            std::fs::write(root.path().join(name), &cut).unwrap();
        }
        let recorded = open(root.path(), Format::Collection, Split::Train).unwrap();
        assert_eq!(recorded.len(), 2);
        let error = open(&root.path().join("mine.jsonl"), Format::Auto, Split::Train).unwrap_err().to_string();
        assert!(error.contains("mine.jsonl:3"), "{error}");
    }

    #[test]
    fn an_unrecognized_path_is_refused_with_the_supported_formats() {
        let root = tempfile::tempdir().unwrap();
        let message = open(root.path(), Format::Auto, Split::Test).unwrap_err().to_string();
        assert!(message.contains(&root.path().display().to_string()) && message.contains(".jsonl"), "{message}");
        let message = open(&root.path().join("nothing"), Format::Auto, Split::Test).unwrap_err().to_string();
        assert!(message.contains("nothing"), "{message}");
        for format in [Format::Jsonl, Format::Wflw, Format::W300, Format::Pts] {
            assert!(open(root.path(), format, Split::Train).is_err());
        }
    }
}

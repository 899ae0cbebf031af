//! 300-W (Sagonas et al., ICCV-W 2013): folders of pictures with `.pts` files.
//!
//! Expected below the root, in upper or lower case: `afw`, `helen/trainset`, `helen/testset`, `lfpw/trainset`,
//! `lfpw/testset`, `ibug`. The usual split: training uses afw and the train sets; the two test sets form the subset
//! `common`, ibug is `challenge`, and both together are `full`.

use super::pts::read_faces;
use super::{DataError, Sample, Split};
use std::path::{Path, PathBuf};

const TRAIN: [(&[&str], &[&str]); 3] = [(&["afw"], &[]), (&["helen", "trainset"], &[]), (&["lfpw", "trainset"], &[])];
const TEST: [(&[&str], &[&str]); 3] = [
    (&["helen", "testset"], &["common", "full"]),
    (&["lfpw", "testset"], &["common", "full"]),
    (&["ibug"], &["challenge", "full"]),
];

/// Reads one part of 300-W. Missing folders are skipped with a warning in the log.
///
/// # Errors
/// As [`super::read_pts_folder`], and [`DataError::Empty`] if none of the part's folders exists.
pub fn read_300w(root: &Path, split: Split) -> Result<Vec<Sample>, DataError> {
    let parts = match split {
        Split::Train => TRAIN,
        Split::Test => TEST,
    };
    let mut samples = Vec::new();
    for (path, subsets) in parts {
        let Some(folder) = descend(root, path) else {
            tracing::warn!("300-W is not complete: {} has no folder {}", root.display(), path.join("/"));
            continue;
        };
        for mut sample in read_faces(&folder, path[0])? {
            sample.name = format!("{}/{}", path.join("/"), sample.name);
            sample.subsets = subsets.iter().map(|&s| s.to_owned()).collect();
            samples.push(sample);
        }
    }
    if samples.is_empty() {
        let expected = "the folders afw, helen/trainset, lfpw/trainset (to train) or helen/testset, lfpw/testset, ibug \
                        (to test) are expected";
        return Err(DataError::Empty { path: root.to_owned(), expected });
    }
    Ok(samples)
}

/// Whether a folder looks like the root of 300-W.
pub(super) fn is_300w(root: &Path) -> bool {
    TRAIN.iter().chain(&TEST).filter(|(path, _)| descend(root, path).is_some()).count() >= 2
}

/// The folder at `path` below `root`, ignoring case.
fn descend(root: &Path, path: &[&str]) -> Option<PathBuf> {
    path.iter().try_fold(root.to_owned(), |folder, name| {
        let entries = std::fs::read_dir(&folder).ok()?.filter_map(Result::ok).map(|e| e.path());
        let matches = |path: &PathBuf| path.file_name().is_some_and(|f| f.eq_ignore_ascii_case(name)) && path.is_dir();
        entries.filter(matches).min()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::image::Frame;
    use crate::train::data::pts::tests::pts;
    use std::fs;

    fn add_face(root: &Path, folder: &str, name: &str) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        Frame::filled(90, 90, [1, 2, 3]).save(&folder.join(format!("{name}.png"))).unwrap();
        fs::write(folder.join(format!("{name}.pts")), pts(68)).unwrap();
    }

    #[test]
    fn the_split_and_its_subsets_are_those_of_the_published_tables() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["afw", "helen/trainset", "helen/testset", "lfpw/trainset", "lfpw/testset", "iBUG"] {
            add_face(root.path(), folder, "image_1 _01");
        }
        assert!(is_300w(root.path()));
        let train = read_300w(root.path(), Split::Train).unwrap();
        let sets: Vec<&str> = train.iter().map(|s| s.dataset.as_str()).collect();
        assert_eq!(sets, ["afw", "helen", "lfpw"]);
        let test = read_300w(root.path(), Split::Test).unwrap();
        let sets: Vec<(&str, &str)> = test.iter().map(|s| (s.dataset.as_str(), s.subsets[0].as_str())).collect();
        assert_eq!(sets, [("helen", "common"), ("lfpw", "common"), ("ibug", "challenge")]);
        assert!(test.iter().all(|s| s.subsets[1] == "full"));
        assert_eq!(test[1].name, "lfpw/testset/image_1 _01.png");
    }

    #[test]
    fn a_part_that_is_missing_altogether_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        add_face(root.path(), "afw", "a");
        assert!(read_300w(root.path(), Split::Train).is_ok());
        assert!(matches!(read_300w(root.path(), Split::Test), Err(DataError::Empty { .. })));
        assert!(!is_300w(root.path()));
    }
}

//! The names of annotated copies of pictures in a folder.
//!
//! In: the names of pictures, one after the other. Out: the same names, with two exceptions: copies of formats that
//! awing does not write are PNGs, and a name already used by a picture from another folder gets a number.

use std::collections::HashSet;
use std::path::Path;

/// The endings of pictures that are written in their own format.
const WRITTEN: [&str; 3] = ["jpg", "jpeg", "png"];

/// Gives unique names.
#[derive(Default)]
pub struct CopyNames {
    /// In lower case, as some file systems don't tell upper from lower.
    taken: HashSet<String>,
}

impl CopyNames {
    /// The name of the copy of a picture of this name.
    pub fn of(&mut self, picture: &str) -> String {
        let path = Path::new(picture);
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let (stem, mut ending) = (part(path.file_stem()), part(path.extension()));
        if !WRITTEN.iter().any(|written| ending.eq_ignore_ascii_case(written)) {
            ending = "png".into();
        }
        let mut name = format!("{stem}.{ending}");
        for number in 2.. {
            if self.taken.insert(name.to_lowercase()) {
                break;
            }
            name = format!("{stem}-{number}.{ending}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_their_names_and_none_is_given_twice() {
        let mut names = CopyNames::default();
        let given = ["IMG_1.JPG", "b.webp", "b.png", "img_1.jpg", "x.y.jpeg"].map(|name| names.of(name));
        assert_eq!(given, ["IMG_1.JPG", "b.png", "b-2.png", "img_1-2.jpg", "x.y.jpeg"]);
    }
}

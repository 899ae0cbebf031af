//! The note in a picture file that awing wrote it.
//!
//! In: a complete PNG or JPEG. Out: the same picture with the note; other formats as they are. And whether the beginning
//! of a file has the note.

/// A PNG's chunk of text: its length, type, key and value, and its checksum.
const CHUNK: &[u8] = b"\0\0\0\x0etEXtSoftware\0awing\x95F\x9e\'";
/// Where it stands: behind the signature and the first chunk, which have fixed lengths.
const IN_PNG: usize = 8 + 25;
/// A JPEG's comment.
const SEGMENT: &[u8] = b"\xff\xfe\0\x07awing";

/// The picture with the note.
pub(super) fn marked(mut picture: Vec<u8>) -> Vec<u8> {
    if let Some((at, note)) = place(&picture).filter(|(at, _)| *at <= picture.len()) {
        picture.splice(at..at, note.iter().copied());
    }
    picture
}

/// Whether a file that begins like this has the note.
#[cfg(any(feature = "program", test))]
pub fn is_marked(beginning: &[u8]) -> bool {
    place(beginning).is_some_and(|(at, note)| beginning.get(at..).is_some_and(|rest| rest.starts_with(note)))
}

/// Where the note stands in a picture, and what it is.
fn place(picture: &[u8]) -> Option<(usize, &'static [u8])> {
    match picture {
        [0x89, b'P', b'N', b'G', ..] => Some((IN_PNG, CHUNK)),
        // The segment that makes it a JFIF file has to be the first.
        [0xff, 0xd8, 0xff, 0xe0, high, low, ..] => Some((4 + usize::from(u16::from_be_bytes([*high, *low])), SEGMENT)),
        [0xff, 0xd8, ..] => Some((2, SEGMENT)),
        _ => None,
    }
}

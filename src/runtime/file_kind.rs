//! Recognizes files of the wrong kind, for error messages.
//!
//! In: the first bytes of a file. Out: its kind and what reads it, as the end of a sentence that begins with "it is";
//! `None` if the kind is unknown.

/// The kind of a file that begins with `bytes`.
pub fn recognized(bytes: &[u8]) -> Option<&'static str> {
    const PICTURE: &str = "a picture, which `awing track --input FILE` reads";
    const VIDEO: &str = "a video, which `awing track --input FILE` reads";
    let is_at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
    let begins = |magic: &[u8]| bytes.starts_with(magic);
    Some(match bytes {
        _ if begins(b"PK\x03\x04") && contains(bytes, b"data.pkl") => {
            "a PyTorch checkpoint, which `awing import FILE --out MODEL.safetensors` reads"
        }
        _ if begins(b"PK\x03\x04") => "a zip archive: unpack it first",
        // A pickle that begins with PyTorch's magic number, or any other.
        [0x80, 2..=5, ..] => {
            "a Python pickle; if it is a PyTorch checkpoint, `awing import FILE --out MODEL.safetensors` reads it"
        }
        // The version of ONNX's format, then the name of the program that wrote it.
        [8, 1..=32, 0x12, ..] => "an ONNX file, which awing writes (`awing export`) but does not read",
        _ if is_at(4, b"TFL3") => "a TensorFlow Lite model, which awing does not read",
        _ if begins(b"\x89HDF") => "a Keras model, which awing does not read",
        [0xff, 0xd8, 0xff, ..] | [b'B', b'M', ..] => PICTURE,
        _ if begins(b"\x89PNG") || begins(b"GIF8") || (begins(b"RIFF") && is_at(8, b"WEBP")) => PICTURE,
        _ if begins(b"II*\0") || begins(b"MM\0*") => PICTURE,
        _ if is_at(4, b"ftyp") || begins(b"\x1a\x45\xdf\xa3") || (begins(b"RIFF") && is_at(8, b"AVI ")) => VIDEO,
        _ if begins(b"YUV4MPEG2") => "a video, which `awing track --input - < FILE` reads",
        _ if is_safetensors(bytes) => "a safetensors file, as awing's own models are",
        [] => "an empty file",
        _ if begins(b"\0\0\0\0") => "a file that begins with zeros: a copy or download that was not completed?",
        _ if is_text(bytes) => "a text file",
        _ => return None,
    })
}

/// Whether the first kilobyte holds `part`.
fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes[..bytes.len().min(1024)].windows(part.len()).any(|window| window == part)
}

/// Whether it begins like a safetensors file: with a length and a JSON header.
pub fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length < 1 << 28) && bytes.get(8) == Some(&b'{')
}

fn is_text(bytes: &[u8]) -> bool {
    let beginning = &bytes[..bytes.len().min(256)];
    // The last character may be incomplete.
    let is_utf8 = std::str::from_utf8(beginning).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !beginning.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_mistaken_for_models_are_recognized() {
        let checkpoint = [&b"PK\x03\x04"[..], &[0; 26], b"wflw/data.pkl"].concat();
        for (bytes, expected) in [
            (&checkpoint[..], "awing import"),
            (b"PK\x03\x04 and other things", "zip archive"),
            (b"\x80\x02\x8a\x0a\x6c", "awing import"),
            (b"\x08\x08\x12\x07pytorch", "ONNX"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "picture"),
            (b"\0\0\0\x20ftypisom", "video"),
            (b"\x10\0\0\0\0\0\0\0{}", "safetensors"),
            (b"[model]\nkind = \"landmarks\"\n", "text"),
            (b"", "empty"),
        ] {
            let said = recognized(bytes).unwrap_or_else(|| panic!("{expected} is not recognized"));
            assert!(said.contains(expected), "{said}");
        }
        assert_eq!(recognized(b"\x01\x02\x03\x04 whatever"), None);
    }
}

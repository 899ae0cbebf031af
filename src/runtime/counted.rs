//! Counts of things in words.
//!
//! In: a number and the singular of a noun whose plural only has an s. Out: "1 face", "2 faces", "0 faces".

use std::fmt::Display;

pub fn counted<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_every_other_number_plural() {
        assert_eq!([0, 1, 2].map(|n: usize| counted(n, "frame")), ["0 frames", "1 frame", "2 frames"]);
    }
}

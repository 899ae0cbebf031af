//! Held-out faces: a training leaves them out, so that it can be measured on them.
//!
//! Data sets without their own test split are split by photograph: all faces of one photograph are on the same side.
//! The side depends only on the photograph's name, so it is the same in every training and on every machine. Nothing
//! here fails.

use super::Sample;
use crate::train::fnv::Fnv1a;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A number `n` for each data set: one photograph in `n` is held out, none if it is 0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldOut(BTreeMap<String, u64>);

impl HoldOut {
    /// Whether this split holds out the face.
    pub fn contains(&self, sample: &Sample) -> bool {
        self.0
            .get(&sample.dataset)
            .is_some_and(|&every| every > 0 && Fnv1a::of(photograph(&sample.name)).is_multiple_of(every))
    }
}

/// The name of the photograph without folder and ending, and without `_f0`, `_f1` ..., the number of a face in it.
fn photograph(name: &str) -> &str {
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name);
    match stem.rsplit_once("_f") {
        Some((photograph, face)) if !face.is_empty() && face.bytes().all(|b| b.is_ascii_digit()) => photograph,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_of_one_photograph_are_on_one_side() {
        assert_eq!(photograph("faces/wflw98/0_Parade_0_194_f0.jpg"), "0_Parade_0_194");
        assert_eq!(photograph("faces/wflw98/0_Parade_0_194_f12.jpg"), "0_Parade_0_194");
        assert_eq!(photograph("big_face.png"), "big_face");
        assert_eq!(photograph("big_f.png"), "big_f");
    }

    #[test]
    fn about_one_in_so_many_is_held_out() {
        let count = (0..2000).filter(|i| Fnv1a::of(&format!("picture_{i}")).is_multiple_of(5)).count();
        assert!((330..470).contains(&count), "{count}");
    }
}

//! Parsers for values on the command line.
//!
//! In: what the user typed. Out: the value. Errors: a sentence that says what the value has to be; clap adds the option
//! and a pointer to the help.

use crate::runtime::named::{Named, by_name};
use crate::runtime::workers::MOST_THREADS;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::str::FromStr;

/// The detector finds no more in any picture.
const MOST_FACES: usize = 1000;
/// The largest batch of an exported network.
const MOST_IN_A_BATCH: usize = 1024;
/// A frame of this size takes 192 MiB.
const MOST_PIXELS_A_SIDE: u32 = 1 << 13;

/// A variant of a library enum by its name; the help lists the names with their meanings.
pub(super) fn named<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    named_if(|_| true)
}

/// As [`named`], but only the variants for which `is_offered` holds.
pub(super) fn named_if<T: Named + Send + Sync>(is_offered: fn(T) -> bool) -> impl TypedValueParser<Value = T> {
    let offered = T::VARIANTS.iter().filter(|(variant, ..)| is_offered(*variant));
    let values = offered.map(|(_, name, meaning)| PossibleValue::new(*name).help(*meaning));
    PossibleValuesParser::new(values).try_map(|name| by_name(&name))
}

/// A whole number above 0.
pub(super) fn positive<T: FromStr + PartialOrd + From<u8>>(text: &str) -> Result<T, String> {
    match text.parse() {
        Ok(number) if number > T::from(0) => Ok(number),
        _ => Err("it has to be a whole number above 0".into()),
    }
}

/// The batch size of an exported network.
pub(super) fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=MOST_IN_A_BATCH).contains(&number) => Ok(number),
        _ => Err(format!("it has to be a whole number from 1 to {MOST_IN_A_BATCH}")),
    }
}

/// A frame rate. Many cameras have 29.97 frames per second, some 7.5.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (1.0..=1000.0).contains(&rate) => Ok(rate),
        _ => Err("it has to be a number of frames per second from 1 to 1000, as in 30 or 29.97".into()),
    }
}

/// A percentage.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(percent) if percent > 0.0 && percent <= 1e6 => Ok(percent),
        _ => Err("it has to be a percentage above 0, as in 8".into()),
    }
}

/// A number of threads.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    match positive(text)? {
        number if number <= MOST_THREADS => Ok(number),
        _ => Err(format!("at most {MOST_THREADS} can be used: more threads than cores make nothing faster")),
    }
}

/// A number of faces to track at once.
pub(super) fn faces(text: &str) -> Result<usize, String> {
    match positive(text)? {
        number if number <= MOST_FACES => Ok(number),
        _ => Err(format!("at most {MOST_FACES} can be tracked: no picture has room for more")),
    }
}

/// A number of minutes.
pub(super) fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1e6 => Ok(minutes),
        _ => Err("it has to be a number of minutes above 0".into()),
    }
}

/// A number of seconds.
pub(super) fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e6 => Ok(seconds),
        _ => Err("it has to be a number of seconds above 0".into()),
    }
}

/// The scale of a window.
pub(super) fn scale(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(scale) if (0.5..=8.0).contains(&scale) => Ok(scale),
        _ => Err("it has to be a number from 0.5 to 8".into()),
    }
}

/// A camera's field of view in degrees.
pub(super) fn fov(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(degrees) if (10.0..=150.0).contains(&degrees) => Ok(degrees),
        _ => Err("it has to be an angle from 10 to 150 degrees".into()),
    }
}

/// Width and height in pixels.
pub(super) fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match parsed {
        Some((width, height)) if [width, height].iter().all(|side| (1..=MOST_PIXELS_A_SIDE).contains(side)) => {
            Ok((width, height))
        }
        Some((width, height)) if width.max(height) > MOST_PIXELS_A_SIDE => {
            Err(format!("at most {MOST_PIXELS_A_SIDE} pixels a side are possible: no camera has more"))
        }
        _ => Err("it has to be width and height in pixels, as in 640x480".into()),
    }
}

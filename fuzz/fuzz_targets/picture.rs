//! A picture of any format that awing reads.
#![no_main]

use awing::Frame;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let _ = Frame::decode(bytes, Path::new("fuzzed"));
});

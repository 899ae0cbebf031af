//! A model file.
#![no_main]

use awing::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| _ = Model::from_bytes(bytes));

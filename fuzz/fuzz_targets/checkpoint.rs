//! A checkpoint of PyTorch: its zip archive or older container, its pickle, its tensors.
#![no_main]

use awing::train::import_pytorch_bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = import_pytorch_bytes(bytes);
});

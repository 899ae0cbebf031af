//! Writes frames of the built-in demo to standard output as raw RGB, so that other programs can be measured on the same
//! frames as `awing`.
//!
//! Run `cargo run --release --example demo_frames -- FRAMES [FACES]`; frames have 640x480 pixels.

use awing::Frame;
use awing::internals::capture::{CaptureOptions, Input, open};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let frames: u64 = arguments.next().ok_or("how many frames?")?.parse()?;
    let faces = arguments.next().map(|faces| faces.parse()).transpose()?;
    let mut demo = open(&Input::Demo, &CaptureOptions { faces, ..CaptureOptions::default() }, &|| true)?;
    let mut frame = Frame::default();
    let mut output = std::io::stdout().lock();
    for _ in 0..frames {
        demo.next(&mut frame)?;
        output.write_all(frame.rgb())?;
    }
    Ok(())
}

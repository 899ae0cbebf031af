//! The commands, one file each: parse, call, print.
//!
//! In: the program's arguments. Out: its exit status, 0 if it did what was asked. Errors end in one line on standard
//! error that says what failed and what to do; a reader that closes standard output (`awing --json - | head`) is no
//! error.

mod args;
mod bench;
mod bench_live;
mod bench_profile;
mod cameras;
mod device;
mod eval;
mod export;
mod heatmaps;
mod import;
mod interrupt;
mod json;
mod live;
mod outputs;
mod painter;
mod quantize;
mod recording;
#[cfg(feature = "window")]
mod show;
mod status;
mod takes;
mod track;
mod tracking;
mod train;

use args::{Arguments, Command};
use clap::Parser;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

/// What is logged unless the environment variable `AWING_LOG` says otherwise. The drawing library warns of every shape
/// that happens to be empty, such as the white of a closed eye.
const USUAL_LOG: &str = "warn,tiny_skia=error";

/// Parses the command line and runs the command. Errors are printed; nothing panics.
pub fn main() -> ExitCode {
    let start = Instant::now();
    let filter = tracing_subscriber::EnvFilter::try_from_env("AWING_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(USUAL_LOG));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    let Arguments { command, track } = Arguments::parse();
    let result = match command {
        None => track::run(&track),
        Some(Command::Track(arguments)) => track::run(&arguments),
        Some(Command::Cameras(arguments)) => cameras::run(&arguments),
        Some(Command::Bench(arguments)) if arguments.live || arguments.soak => bench_live::run(&arguments, start),
        Some(Command::Bench(arguments)) => bench::run(&arguments, start),
        Some(Command::Train(arguments)) => train::run(arguments),
        Some(Command::Eval(arguments)) => eval::run(arguments),
        Some(Command::Quantize(arguments)) => quantize::run(&arguments),
        Some(Command::Export(arguments)) => export::run(&arguments),
        Some(Command::Import(arguments)) => import::run(&arguments),
        Some(Command::Heatmaps(arguments)) => heatmaps::run(&arguments),
    };
    match result {
        Err(error) if !is_closed_pipe(&error) => {
            // With its causes, each of which says only what it adds.
            say(&format!("awing: {error:#}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Says something on standard error. That nobody reads it is no reason to end.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether the reader of what is written went away; it got what it wanted.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    io.map(io::Error::kind).any(|kind| kind == io::ErrorKind::BrokenPipe)
}

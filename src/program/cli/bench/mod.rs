//! `awing bench`: timings.
//!
//! In: the source and the tracker's options. Out, on standard output, as a table or as one JSON object: the time of
//! every stage ([`stages`]), of every layer of a network with `--profile` ([`profile`]), of every instruction set and
//! precision with `--compare` ([`compare`]), or, with `--live` and `--soak`, the latency from the camera to the screen
//! ([`live`]).

mod compare;
mod cpu_time;
mod live;
mod live_report;
mod profile;
mod stages;

use super::arguments::{CameraArguments, TrackerArguments};
use super::parse::{minutes, positive};
use crate::program::capture::Input;
use crate::program::console::print;
use anyhow::Result;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};

#[derive(clap::Args, Clone, Debug)]
pub(super) struct BenchArguments {
    /// The source of frames, as for `track` [default: the demo; for --live and --soak the first camera]
    #[arg(value_name = "INPUT", conflicts_with = "named_input")]
    input: Option<OsString>,
    /// The same as INPUT
    #[arg(long = "input", value_name = "INPUT")]
    named_input: Option<OsString>,
    /// Stop after N frames
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = positive::<u64>)]
    frames: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// Time every layer of the landmark network, or of the network that --model names
    #[arg(long, conflicts_with_all = ["input", "named_input", "live", "soak"])]
    profile: bool,
    /// Time the landmark network in every instruction set and precision that this CPU can run
    #[arg(long, conflicts_with_all = ["input", "named_input", "profile", "live", "soak", "threads", "precision"])]
    compare: bool,
    /// Annotated faces on which --compare measures the error
    #[arg(long, value_name = "FILE", requires = "compare")]
    data: Option<PathBuf>,
    /// Measure a camera's frames on their way to the screen: latency, load and lost frames
    #[arg(long)]
    live: bool,
    /// Like --live for a long time, with memory growth
    #[arg(long, conflicts_with_all = ["live", "frames"])]
    pub soak: bool,
    /// Duration of --soak in minutes
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = minutes, requires = "soak")]
    pub minutes: f64,
    #[command(flatten)]
    camera: CameraArguments,
    #[command(flatten)]
    tracker: TrackerArguments,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing bench
  awing bench --profile
  awing bench camera:0 --live";

/// Runs the command; `start` is when the program began.
pub(super) fn run(arguments: &BenchArguments, start: Instant) -> Result<()> {
    let BenchArguments { input, frames, json, tracker, .. } = arguments;
    let setup = tracker.setup()?;
    let input = input.as_ref().or(arguments.named_input.as_ref()).map(|input| Input::new(&[input]));
    // The demo shows as many faces as requested.
    let capture = arguments.camera.options(tracker.faces);
    let text = if arguments.profile {
        profile::run(&setup, *frames, *json)?
    } else if arguments.compare {
        compare::run(&setup, arguments.data.as_deref(), *frames, *json)?
    } else if arguments.live || arguments.soak {
        let length = match arguments.soak {
            true => live::Length::Time(Duration::from_secs_f64(arguments.minutes * 60.0)),
            false => live::Length::Frames(*frames),
        };
        live::run(input.unwrap_or(Input::Camera(None)), capture, setup, length, start)?.print(*json)?
    } else {
        stages::run(&input.unwrap_or(Input::Demo), &capture, &setup, *frames, *json, start)?
    };
    print(&text)
}

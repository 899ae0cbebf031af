//! What can be said on the command line.

use super::device::DeviceChoice;
use super::{
    eval::EvalArguments, export::ExportArguments, heatmaps::HeatmapsArguments, import::ImportArguments,
    quantize::QuantizeArguments, train::TrainArguments,
};
use crate::program::capture::CaptureOptions;
use crate::program::tracker_setup::TrackerSetup;
use crate::runtime::engine::Precision;
use crate::runtime::track::TrackerOptions;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Finds and follows faces in live video and puts 98 landmarks on each.
#[derive(Parser)]
#[command(name = "awing", version, about, args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub track: TrackArguments,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Follow faces in a camera's picture, a video, pictures or the built-in demo (this is also what happens without a
    /// command).
    Track(TrackArguments),
    /// List the cameras that can capture, and what each offers.
    Cameras(CamerasArguments),
    /// Measure how long every stage takes.
    Bench(BenchArguments),
    /// Train a model.
    Train(TrainArguments),
    /// Measure a model on annotated faces.
    Eval(EvalArguments),
    /// Take over a PyTorch checkpoint of the paper's network.
    Import(ImportArguments),
    /// Write a model for other programs: ONNX, or PyTorch's names.
    Export(ExportArguments),
    /// Make a landmark model faster and smaller: products in bytes; or bring it back to half precision.
    Quantize(QuantizeArguments),
    /// Write what a network sees: the raw heatmaps of every stack.
    Heatmaps(HeatmapsArguments),
}

#[derive(Args, Clone, Debug)]
pub(super) struct TrackArguments {
    /// Where pictures come from: `camera`, `camera:N`, `demo`, a video, a picture, a folder of pictures, or `-` for
    /// YUV4MPEG on standard input [default: the first camera, or the demo where there is none]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
    /// Show no window
    #[arg(long)]
    pub headless: bool,
    /// Write one line of JSON a frame to this file (`-`: standard output)
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// Save what is seen with the landmarks drawn in: a video (.mp4 through ffmpeg, or .gif), a picture (.png, .jpg)
    /// of the last frame, or a folder for a picture of each
    #[arg(long, value_name = "PATH")]
    pub save: Option<PathBuf>,
    /// End after so many frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: Option<u64>,
    /// Show the picture as a mirror does; files that are written are never mirrored [default: for cameras]
    #[arg(long, overrides_with = "no_mirror")]
    pub mirror: bool,
    /// Show the picture as the camera sees it
    #[arg(long, overrides_with = "mirror")]
    pub no_mirror: bool,
    /// Make window, text and lines so many times as large; 2 suits a screen with twice as many pixels [default: what
    /// the desktop says]
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    pub scale: Option<f32>,
    #[command(flatten)]
    pub camera: CameraArguments,
    #[command(flatten)]
    pub tracker: TrackerArguments,
}

/// What is wished of a camera; where it can't, it does what comes next to it.
#[derive(Args, Clone, Debug)]
pub(super) struct CameraArguments {
    /// Size of the camera's pictures [default: about 640x480]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<(u32, u32)>,
    /// Pictures a second of the camera (or the demo) [default: the most up to 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fps: Option<u32>,
}

impl CameraArguments {
    /// What a source is asked for.
    pub(super) fn options(&self, faces: Option<usize>) -> CaptureOptions {
        CaptureOptions { size: self.size, frames_per_second: self.fps, keeps_trying: false, faces }
    }
}

#[derive(Args, Clone, Debug)]
pub(super) struct CamerasArguments {
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
}

/// How faces are tracked.
#[derive(Args, Clone, Debug)]
pub(super) struct TrackerArguments {
    /// Follow at most so many faces [default: 4]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub faces: Option<usize>,
    /// The landmark model [default: the one in this program]
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// The face detector [default: the one in this program]
    #[arg(long, value_name = "PATH")]
    pub detector: Option<PathBuf>,
    /// Where the landmark network runs; `auto` is the CPU, where small networks are fastest
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceChoice,
    /// Busy threads at most [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Arithmetic of the landmark network
    #[arg(long, value_enum, default_value = "f16")]
    pub precision: PrecisionChoice,
    /// Leave the landmarks as the network finds them
    #[arg(long)]
    pub no_smooth: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct BenchArguments {
    /// Where pictures come from, as for `track` [default: the demo; for --live and --soak the first camera]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
    /// End after so many frames
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Time every layer of the landmark network instead, or of the network that --model names
    #[arg(long, conflicts_with_all = ["input", "live", "soak"])]
    pub profile: bool,
    /// Measure the way from a camera to the screen: delay, load, lost frames
    #[arg(long)]
    pub live: bool,
    /// Let a camera run for long and measure memory and the slowest frame, besides what --live does
    #[arg(long, conflicts_with_all = ["live", "frames"])]
    pub soak: bool,
    /// How long --soak takes
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = minutes, requires = "soak")]
    pub minutes: f64,
    #[command(flatten)]
    pub camera: CameraArguments,
    #[command(flatten)]
    pub tracker: TrackerArguments,
}

/// The arithmetic of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PrecisionChoice {
    /// Single precision.
    F32,
    /// Half precision, or what is faster on this core at the same accuracy.
    #[default]
    F16,
    /// Bytes, for a model that `awing quantize` made; as f16 otherwise, and on cores that can't.
    Int8,
}

impl PrecisionChoice {
    /// As it is said on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            PrecisionChoice::F32 => "f32",
            PrecisionChoice::F16 => "f16",
            PrecisionChoice::Int8 => "int8",
        }
    }
}

impl From<PrecisionChoice> for Precision {
    fn from(choice: PrecisionChoice) -> Self {
        match choice {
            PrecisionChoice::F32 => Precision::F32,
            PrecisionChoice::F16 => Precision::F16,
            PrecisionChoice::Int8 => Precision::Int8,
        }
    }
}

impl TrackerArguments {
    /// What the tracker is made from.
    pub(super) fn setup(&self) -> TrackerSetup {
        let defaults = TrackerOptions::default();
        TrackerSetup {
            options: TrackerOptions {
                faces: self.faces.unwrap_or(defaults.faces),
                smoothing: defaults.smoothing.filter(|_| !self.no_smooth),
                threads: self.threads.unwrap_or(defaults.threads),
                precision: self.precision.into(),
            },
            model: self.model.clone(),
            detector: self.detector.clone(),
            gpu: self.device.named_gpu(),
        }
    }
}

impl TrackArguments {
    /// Whether the picture is to be mirrored; `None`: as suits the source.
    #[cfg(feature = "window")]
    pub(super) fn is_mirrored(&self) -> Option<bool> {
        (self.mirror || self.no_mirror).then_some(self.mirror)
    }
}

fn scale(text: &str) -> std::result::Result<f32, String> {
    match text.parse() {
        Ok(scale) if (0.5..=8.0).contains(&scale) => Ok(scale),
        _ => Err("it has to be a number from 0.5 to 8".into()),
    }
}

fn size(text: &str) -> std::result::Result<(u32, u32), String> {
    let parsed = text.split_once(['x', 'X']).and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    match parsed {
        Some((width, height)) if (1..=1 << 15).contains(&width) && (1..=1 << 15).contains(&height) => {
            Ok((width, height))
        }
        _ => Err("it has to be width and height in pixels, as in 640x480".into()),
    }
}

pub(super) fn minutes(text: &str) -> std::result::Result<f64, String> {
    match text.parse() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1e6 => Ok(minutes),
        _ => Err("it has to be a number of minutes above 0".into()),
    }
}

pub(super) fn positive(text: &str) -> std::result::Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it has to be a whole number above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::gpu::GpuKind;
    use clap::CommandFactory;

    fn parse(arguments: &str) -> std::result::Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("awing").chain(arguments.split_whitespace()))
    }

    #[test]
    fn the_definition_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_command_faces_are_tracked() {
        let cli = parse("").unwrap();
        assert!(cli.command.is_none() && cli.track.input.is_none());
        let cli = parse("--input demo --frames 3 --no-smooth").unwrap();
        assert_eq!((cli.track.input, cli.track.frames), (Some("demo".into()), Some(3)));
        assert!(cli.track.tracker.no_smooth);
        let Some(Command::Track(track)) = parse("track --json - --faces 2 --headless").unwrap().command else {
            panic!("`track` is a command")
        };
        assert_eq!((track.json, track.tracker.faces, track.headless), (Some("-".into()), Some(2), true));
    }

    #[test]
    fn what_the_tracker_is_told_comes_from_the_arguments() {
        let setup = |arguments: &str| parse(arguments).unwrap().track.tracker.setup();
        assert_eq!(setup("").options, TrackerOptions::default());
        let told = "--faces 2 --threads 3 --no-smooth --precision f32 --model a.safetensors --detector b.safetensors";
        let told = setup(told);
        let expected = TrackerSetup {
            options: TrackerOptions { faces: 2, smoothing: None, threads: 3, precision: Precision::F32 },
            model: Some("a.safetensors".into()),
            detector: Some("b.safetensors".into()),
            gpu: None,
        };
        assert_eq!(told, expected);
        assert_eq!(setup("--device cuda").gpu, Some(GpuKind::Cuda));
    }

    #[test]
    #[cfg(feature = "window")]
    fn the_last_word_on_mirroring_counts() {
        let mirrored = |arguments: &str| parse(arguments).unwrap().track.is_mirrored();
        assert_eq!(mirrored(""), None);
        assert_eq!(mirrored("--mirror"), Some(true));
        assert_eq!(mirrored("--mirror --no-mirror"), Some(false));
        assert_eq!(mirrored("--no-mirror --mirror"), Some(true));
    }

    #[test]
    fn wishes_about_a_camera_reach_it() {
        let camera = parse("--input camera:2 --size 1280x720 --fps 60").unwrap().track.camera;
        let options =
            CaptureOptions { size: Some((1280, 720)), frames_per_second: Some(60), ..CaptureOptions::default() };
        assert_eq!(camera.options(None), options);
        for arguments in ["--size 640", "--size 0x480", "--size axb", "--fps 0", "bench --soak --minutes 0"] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
        let Some(Command::Bench(bench)) = parse("bench --soak --minutes 0.5").unwrap().command else {
            panic!("`bench` is a command")
        };
        assert_eq!((bench.soak, bench.minutes), (true, 0.5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in [
            "--frames 0",
            "--faces 0",
            "--scale 0",
            "--scale x",
            "--threads 0",
            "--threads x",
            "--device abacus",
            "--nonsense",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}

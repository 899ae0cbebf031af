//! What can be said on the command line.

use super::device::DeviceChoice;
use super::{eval::EvalArguments, train::TrainArguments};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

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
    /// Measure how long every stage takes.
    Bench(BenchArguments),
    /// Train a model.
    Train(TrainArguments),
    /// Measure a model on annotated faces.
    Eval(EvalArguments),
}

#[derive(Args, Clone, Debug)]
pub(super) struct TrackArguments {
    /// Where pictures come from: `camera`, `camera:N`, `demo`, a video, a picture, a folder of pictures, or `-` for
    /// YUV4MPEG on standard input [default: the first camera, or the demo where there is none]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<Input>,
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
    /// Show the picture as a mirror does
    #[arg(long)]
    pub mirror: bool,
    #[command(flatten)]
    pub tracker: TrackerArguments,
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
    /// Where the networks run
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceChoice,
    /// Busy threads at most [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Leave the landmarks as the network finds them
    #[arg(long)]
    pub no_smooth: bool,
}

#[derive(Args, Clone, Debug)]
pub(super) struct BenchArguments {
    /// Where pictures come from, as for `track` [default: the demo]
    #[arg(long, value_name = "INPUT")]
    pub input: Option<Input>,
    /// End after so many frames
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub frames: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tracker: TrackerArguments,
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The camera of this number.
    Camera(u32),
    Demo,
    /// YUV4MPEG.
    Stdin,
    /// A picture, a video or a folder of pictures.
    Path(PathBuf),
}

impl FromStr for Input {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty name is no input".into()),
            "camera" => Ok(Self::Camera(0)),
            "demo" => Ok(Self::Demo),
            "-" => Ok(Self::Stdin),
            _ => match text.strip_prefix("camera:") {
                Some(number) => number
                    .parse()
                    .map(Self::Camera)
                    .map_err(|_| format!("`{number}` is no camera's number: try camera:0")),
                None => Ok(Self::Path(text.into())),
            },
        }
    }
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("it has to be a whole number above 0".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &str) -> Result<Arguments, clap::Error> {
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
        assert_eq!((cli.track.input, cli.track.frames), (Some(Input::Demo), Some(3)));
        assert!(cli.track.tracker.no_smooth);
        let Some(Command::Track(track)) = parse("track --json - --faces 2 --headless").unwrap().command else {
            panic!("`track` is a command")
        };
        assert_eq!((track.json, track.tracker.faces, track.headless), (Some("-".into()), Some(2), true));
    }

    #[test]
    fn inputs_are_told_apart() {
        let input = |text: &str| Input::from_str(text);
        assert_eq!(input("camera"), Ok(Input::Camera(0)));
        assert_eq!(input("camera:3"), Ok(Input::Camera(3)));
        assert_eq!(input("-"), Ok(Input::Stdin));
        assert_eq!(input("./demo"), Ok(Input::Path("./demo".into())));
        assert_eq!(input("film.mp4"), Ok(Input::Path("film.mp4".into())));
        assert!(input("camera:front").unwrap_err().contains("camera:0"));
        assert!(input("").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in ["--frames 0", "--faces 0", "--threads 0", "--threads x", "--device abacus", "--nonsense"] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}

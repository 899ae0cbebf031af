//! The commands, one file or folder each: parse, call, print.
//!
//! In: the program's arguments. Out: its exit status, 0 on success. An error prints one line on standard error that
//! says what failed and what to do. It is no error if a reader closes standard output (`awing --json - | head`). Each
//! command owns its arguments and needs no other command; shared code is in `arguments`, `comparison`, `device`,
//! `interrupt`, `measure`, `parse`, `paths` and `progress`. The help of every command ends with examples.

mod annotate;
mod arguments;
mod bench;
mod cameras;
mod capture;
mod comparison;
mod completions;
mod config;
mod device;
mod eval;
mod export;
mod finetune;
mod heatmaps;
mod import;
mod interrupt;
mod landmarks;
mod measure;
mod models;
mod parse;
mod paths;
mod profiles;
mod progress;
mod quantize;
mod track;
mod train;

use super::capture::{CaptureError, end_decoders};
use super::console::{PrintError, say};
use super::live::NoReader;
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// The log levels if the environment variable `AWING_LOG` is not set. The drawing library warns about every empty
/// shape, such as the white of a closed eye.
const DEFAULT_LOG: &str = "warn,tiny_skia=error";

/// Track faces in live video, videos and pictures, with 98 landmarks each
#[derive(Parser)]
#[command(name = "awing", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    track: track::TrackArguments,
}

const EXAMPLES: &str = "\
Examples:
  awing
  awing photo.jpg --save annotated.jpg
  awing clip.mp4 --headless --json faces.jsonl
  awing capture --help";

#[derive(Subcommand)]
enum Command {
    /// Track faces from a camera, a video, pictures or the built-in demo (the default command)
    #[command(after_help = track::EXAMPLES)]
    Track(Box<track::TrackArguments>),
    /// Collect faces that are worth correcting, for fine-tuning; list and delete them
    #[command(after_help = capture::EXAMPLES)]
    Capture(capture::CaptureArguments),
    /// List the cameras and their modes
    #[command(after_help = cameras::EXAMPLES)]
    Cameras(cameras::CamerasArguments),
    /// Measure the time of every stage
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::BenchArguments),
    /// Correct collected faces in a window, or import labels from other programs
    #[command(after_help = annotate::EXAMPLES)]
    Annotate(annotate::AnnotateArguments),
    /// Train a model on annotated faces
    #[command(after_help = train::EXAMPLES)]
    Train(train::TrainArguments),
    /// Fine-tune a model on corrected faces; keep it only if it is better
    #[command(name = "finetune", after_help = finetune::EXAMPLES)]
    FineTune(finetune::FineTuneArguments),
    /// Evaluate a model on annotated faces
    #[command(after_help = eval::EXAMPLES)]
    Eval(eval::EvalArguments),
    /// List tuned models, choose the one that awing starts with, compare models
    #[command(after_help = models::EXAMPLES)]
    Models(models::ModelsArguments),
    /// List the profiles of people, and delete them
    #[command(after_help = profiles::EXAMPLES)]
    Profiles(profiles::ProfilesArguments),
    /// Show awing.toml and the defaults, or write a commented one
    #[command(after_help = config::EXAMPLES)]
    Config(config::ConfigArguments),
    /// Import a PyTorch checkpoint of the paper's network
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArguments),
    /// Export a model to ONNX, or its weights under PyTorch's names
    #[command(after_help = export::EXAMPLES)]
    Export(export::ExportArguments),
    /// Quantize a landmark model or a detector, so that it can be run in int8, or undo that
    #[command(after_help = quantize::EXAMPLES)]
    Quantize(quantize::QuantizeArguments),
    /// Draw or write a network's heatmaps
    #[command(after_help = heatmaps::EXAMPLES)]
    Heatmaps(heatmaps::HeatmapsArguments),
    /// List the landmarks by part and scheme, or draw them with their numbers
    #[command(after_help = landmarks::EXAMPLES)]
    Landmarks(landmarks::LandmarksArguments),
    /// Print completions for a shell, or the manual pages
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArguments),
}

impl Arguments {
    fn tracking(self) -> Command {
        self.command.unwrap_or(Command::Track(Box::new(self.track)))
    }
}

/// Logs to standard error: the levels of `AWING_LOG` or the default; colours on a terminal only, and not with
/// `NO_COLOR`.
fn start_log() {
    let asked = std::env::var("AWING_LOG").unwrap_or_default();
    let (levels, complaint) = match asked.parse::<Targets>() {
        Ok(levels) if !asked.is_empty() => (levels, None),
        parsed => (DEFAULT_LOG.parse().expect("the default parses"), parsed.err()),
    };
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // The module matters only to those who raised the log level.
    let with_module = !asked.is_empty();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(is_coloured).without_time();
    let lines = lines.with_target(with_module);
    tracing_subscriber::registry().with(lines.with_filter(levels)).init();
    if let Some(complaint) = complaint {
        tracing::warn!("AWING_LOG={asked}: {complaint}; using {DEFAULT_LOG}");
    }
}

/// Parses the command line and runs the command. Errors are printed; nothing panics.
pub fn main() -> ExitCode {
    let start = Instant::now();
    start_log();
    let words: Vec<OsString> = std::env::args_os().collect();
    let matches = Arguments::command().get_matches_from(&words);
    let Arguments { command, track } = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    if let Some(word) = track.unknown_word() {
        let message = format!("there is neither a command nor a file \"{}\"", word.display());
        Arguments::command().error(ErrorKind::InvalidSubcommand, message).exit();
    }
    let result = match (Arguments { command, track }).tracking() {
        Command::Track(arguments) => {
            config::completed(words, &matches, &arguments.config).and_then(|(words, origins)| {
                // From the same words, and options of `track`: it is the same command.
                let Command::Track(arguments) = Arguments::parse_from(words).tracking() else { return Ok(()) };
                track::run(*arguments).map_err(|error| origins.place(error))
            })
        }
        Command::Capture(arguments) => capture::run(&arguments),
        Command::Cameras(arguments) => cameras::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments, start),
        Command::Annotate(arguments) => annotate::run(&arguments),
        Command::Train(arguments) => train::run(arguments),
        Command::FineTune(arguments) => finetune::run(&arguments),
        Command::Eval(arguments) => eval::run(arguments),
        Command::Quantize(arguments) => quantize::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Models(arguments) => models::run(&arguments),
        Command::Profiles(arguments) => profiles::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Heatmaps(arguments) => heatmaps::run(&arguments),
        Command::Landmarks(arguments) => landmarks::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, Arguments::command()),
    };
    end_decoders();
    match result {
        Err(error) if is_interrupted(&error) => {
            say(&format!("awing: {error:#}"));
            ExitCode::SUCCESS
        }
        Err(error) if !is_closed_pipe(&error) => {
            // With its causes: each says only what it adds.
            say(&format!("awing: {error:#}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Whether Ctrl-C ended the command before there was anything to do.
fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(CaptureError::Interrupted(_))) || error.is::<NoReader>()
}

/// Whether the reader closed standard output, because it has what it wanted. Other outputs that break off are errors.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<PrintError>()).any(PrintError::is_closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("awing").chain(arguments.split_whitespace()))
    }

    #[test]
    fn only_a_reader_that_has_enough_of_standard_output_is_no_failure() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_closed_pipe(&PrintError::from(broken()).into()));
        assert!(!is_closed_pipe(&PrintError::from(io::Error::from(io::ErrorKind::StorageFull)).into()));
        assert!(!is_closed_pipe(&anyhow::Error::new(broken()).context("cannot write to a.jsonl")));
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    /// Every command with its name, but for `help`.
    fn commands() -> Vec<clap::Command> {
        let mut command = Arguments::command();
        command.build();
        let all = command.get_subcommands().filter(|command| command.get_name() != "help");
        std::iter::once(command.clone()).chain(all.cloned()).collect()
    }

    #[test]
    fn every_command_ends_its_help_with_examples_that_are_understood() {
        for mut command in commands() {
            let help = command.render_long_help().to_string();
            let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{}", command.get_name()));
            let examples: Vec<&str> = examples.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            assert!(examples.len() >= 2, "{examples:?}");
            for example in examples {
                assert!(example == "awing" || example.starts_with("awing "), "{example}");
                match Arguments::try_parse_from(example.split_whitespace()) {
                    Err(error) if error.kind() != ErrorKind::DisplayHelp => panic!("{example}: {error}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn the_help_says_what_happens_without_an_option() {
        // What these options ask for does not happen without them, or is said in other words.
        let needs_none = ["help", "version", "json", "csv", "save", "out", "plot", "predictions", "compare"];
        for command in commands() {
            for argument in command.get_arguments() {
                let help =
                    argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
                let name = format!("{} {}", command.get_name(), argument.get_id());
                assert!(!help.is_empty(), "{name} says nothing");
                assert!(!help.ends_with('.'), "{name}: {help}");
                let has_default = help.contains("[default") || !argument.get_default_values().is_empty();
                let is_switch = !argument.get_action().takes_values();
                let is_known = needs_none.contains(&argument.get_id().as_str()) || argument.is_required_set();
                if ["threads", "faces", "model", "detector", "device", "size", "fps"]
                    .contains(&argument.get_id().as_str())
                {
                    assert!(has_default || is_switch || is_known, "{name}: {help}");
                }
            }
        }
    }

    #[test]
    fn without_a_command_faces_are_tracked() {
        let cli = parse("").unwrap();
        assert!(cli.command.is_none() && cli.track.input.is_none());
        assert!(parse("a.jpg b.jpg --headless").unwrap().command.is_none() && parse("a.jpg --input b.jpg").is_err());
        let cli = parse("--input demo --frames 3 --no-smooth").unwrap();
        assert_eq!((cli.track.input, cli.track.frames), (Some("demo".into()), Some(3)));
        assert!(cli.track.tracker.no_smooth);
        assert!(parse("capture clip.mp4").is_ok() && parse("bench clip.mp4").is_ok());
        assert!(parse("capture clip.mp4 --list").is_err() && parse("bench clip.mp4 --profile").is_err());
        let Some(Command::Track(track)) = parse("track --json - --faces 2 --headless").unwrap().command else {
            panic!("`track` is a command")
        };
        assert_eq!((track.json, track.tracker.faces, track.headless), (Some("-".into()), Some(2), true));
    }

    #[test]
    fn the_length_of_a_soak_is_read() {
        let Some(Command::Bench(bench)) = parse("bench --soak --minutes 0.5").unwrap().command else {
            panic!("`bench` is a command")
        };
        assert_eq!((bench.soak, bench.minutes), (true, 0.5));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for arguments in ["--frames 0", "--scale 0", "--scale x", "bench --soak --minutes 0", "--nonsense"] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}

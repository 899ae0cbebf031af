//! The commands, one file each: parse, call, print.

mod device;
mod eval;
mod train;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Real-time face landmarks on an ordinary CPU.
#[derive(Parser)]
#[command(name = "awing", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train a model.
    Train(train::TrainArguments),
    /// Measure a model on annotated faces.
    Eval(eval::EvalArguments),
}

/// Parses the command line and runs the command. Errors are printed; nothing panics.
pub fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("AWING_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Arguments::parse().command {
        Command::Train(arguments) => train::run(arguments),
        Command::Eval(arguments) => eval::run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("awing: {error:#}");
            ExitCode::FAILURE
        }
    }
}

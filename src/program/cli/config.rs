//! `awing config`, and the file `awing.toml` in front of the arguments of `awing track`.
//!
//! In: the arguments and the file. Out: the arguments, completed from the file where the command line sets nothing, or
//! a table of all values and their origin.

use super::Arguments;
use crate::program::config::{Config, Entry, SETTINGS, init};
use crate::program::console::print;
use crate::program::places;
use anyhow::{Context, Result, bail};
use clap::parser::ValueSource;
use clap::{ArgMatches, Parser};
use std::ffi::OsString;
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  awing config --init
  awing config
  awing --config stream.toml";

#[derive(clap::Args)]
pub(super) struct ConfigArguments {
    /// Write a commented file, unless there is one
    #[arg(long)]
    init: bool,
    /// The file [default: awing.toml in the system's settings folder]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Whether `awing track` reads a file, and which.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct ConfigChoice {
    /// Read defaults for these options from this file [default: awing.toml in the system's settings folder, if it
    /// exists; see `awing config`]
    #[arg(long, value_name = "FILE", conflicts_with = "no_config")]
    config: Option<PathBuf>,
    /// Ignore awing.toml
    #[arg(long)]
    no_config: bool,
}

impl ConfigChoice {
    fn read(&self) -> Result<Option<Config>> {
        match &self.config {
            _ if self.no_config => Ok(None),
            Some(path) => Config::read(path).map(Some),
            None => Config::of_user(),
        }
    }
}

/// The places in the file of the arguments that come from it.
#[derive(Default)]
pub(super) struct Origins(Vec<(&'static str, String)>);

impl Origins {
    /// Adds the place to an error that is about such an argument, and so begins with its name.
    pub(super) fn place(&self, error: anyhow::Error) -> anyhow::Error {
        let said = error.to_string();
        let is_about =
            |flag: &str| said.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        match self.0.iter().find(|(flag, _)| is_about(flag)) {
            Some((_, place)) => error.context(place.clone()),
            None => error,
        }
    }
}

/// The arguments `words`, already parsed to `matches`, completed from the file.
///
/// # Errors
/// If the file can't be read, or has an unknown field or an invalid value.
pub(super) fn completed(
    words: Vec<OsString>,
    matches: &ArgMatches,
    choice: &ConfigChoice,
) -> Result<(Vec<OsString>, Origins)> {
    let mut origins = Origins::default();
    let Some(config) = choice.read()? else { return Ok((words, origins)) };
    let (matches, first) = match matches.subcommand_matches("track") {
        Some(matches) => (matches, 2),
        None => (matches, 1),
    };
    let is_said = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let mut added = Vec::new();
    for entry in &config.entries {
        check(&config, entry)?;
        let mut names = entry.setting.argument_names();
        // An input needs no option.
        let is_input_said = entry.setting.flag == "--input" && is_said("inputs");
        if !(is_input_said || names.any(|name| is_said(&name))) {
            added.extend(entry.arguments.iter().map(OsString::from));
            origins.0.push((entry.setting.flag, Config::at(&config.path, entry.line, &entry.setting.name())));
        }
    }
    let mut words = words;
    words.splice(first..first, added);
    Ok((words, origins))
}

/// Refuses a value that the command line would not accept.
fn check(config: &Config, entry: &Entry) -> Result<()> {
    let reason = match Arguments::try_parse_from(std::iter::once("awing".to_owned()).chain(entry.arguments.clone())) {
        Ok(arguments) => match arguments.track.check_addresses() {
            Ok(()) => return Ok(()),
            Err(error) => error.root_cause().to_string(),
        },
        Err(error) => reason(&error),
    };
    let reason = format!("{} = {}: {reason}", entry.setting.name(), entry.value);
    bail!("{}", Config::at(&config.path, entry.line, &reason))
}

/// The reason in an error about one argument.
fn reason(error: &clap::Error) -> String {
    let said = error.to_string();
    // The lines after that are about the command line.
    let reason = said.lines().map(|line| line.trim_start_matches("error: ").trim()).take_while(|line| !line.is_empty());
    let possible = said.lines().find(|line| line.trim_start().starts_with("[possible values"));
    reason.filter(|line| !line.starts_with('[')).chain(possible.map(str::trim)).collect::<Vec<_>>().join(" ")
}

/// Runs the command.
pub(super) fn run(arguments: &ConfigArguments) -> Result<()> {
    let place = || places::config().context("there is no home folder to keep awing.toml in; name a file with --config");
    let path = arguments.config.clone().map_or_else(place, Ok)?;
    let text = if arguments.init {
        init(&path)?;
        format!("wrote {}\n", path.display())
    } else {
        let config = match &arguments.config {
            Some(path) => Some(Config::read(path)?),
            None => Config::of_user()?,
        };
        if let Some(config) = &config {
            config.entries.iter().try_for_each(|entry| check(config, entry))?;
        }
        let head = match &config {
            Some(config) => format!("{}\n", config.path.display()),
            None => format!("there is no {}; awing config --init writes one\n", path.display()),
        };
        head + &table(config.as_ref())
    };
    print(&text)
}

/// A row for each field: its value and its origin.
fn table(config: Option<&Config>) -> String {
    let rows: Vec<[String; 3]> = SETTINGS
        .iter()
        .map(|setting| {
            let entry = config.and_then(|config| config.entries.iter().find(|entry| entry.setting == setting));
            match entry {
                Some(entry) => [setting.name(), entry.value.clone(), format!("line {}", entry.line)],
                None => [setting.name(), setting.default.into(), "default".into()],
            }
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    rows.iter().map(|[name, value, from]| format!("{name:<names$}  {value:<values$}  {from}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::config::uncommented_template;

    #[test]
    fn every_setting_of_the_template_is_accepted_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("awing.toml");
        std::fs::write(&path, uncommented_template()).unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.entries.len(), SETTINGS.len());
        for entry in &config.entries {
            check(&config, entry).unwrap();
        }
    }
}

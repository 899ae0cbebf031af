//! `awing completions`: shell completions and manual pages.
//!
//! In: a shell, or `man`. Out: the completions or the manual page on standard output, or files with the usual names in
//! a folder.

use crate::program::console::print;
use crate::runtime::files::write_whole;
use anyhow::{Context, Result};
use clap::ValueEnum;
use clap_complete::{Generator, Shell};
use std::fs;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct CompletionsArguments {
    /// What to print
    #[arg(value_name = "SHELL")]
    target: Target,
    /// Write files with the usual names into this folder instead; for `man`, a page for each command
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Target {
    /// Completions for Bash.
    Bash,
    /// Completions for Elvish.
    Elvish,
    /// Completions for fish.
    Fish,
    /// Completions for PowerShell.
    #[value(name = "powershell")]
    PowerShell,
    /// Completions for Zsh.
    Zsh,
    /// The manual page.
    Man,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing completions bash --out ~/.local/share/bash-completion/completions/
  awing completions man --out ~/.local/share/man/man1/";

/// Runs it; `program` is the definition of the whole command line.
pub(super) fn run(arguments: &CompletionsArguments, program: clap::Command) -> Result<()> {
    let CompletionsArguments { target, out } = arguments;
    let files = files(*target, program)?;
    let Some(folder) = out else {
        let (_, first) = &files[0];
        return print(first);
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, content) in &files {
        let path = folder.join(name);
        write_whole(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    print(format!("wrote {} into {}\n", files[0].0, folder.display()))
}

/// The files with their names, the main one first.
fn files(target: Target, mut program: clap::Command) -> Result<Vec<(String, Vec<u8>)>> {
    let shell = match target {
        Target::Bash => Shell::Bash,
        Target::Elvish => Shell::Elvish,
        Target::Fish => Shell::Fish,
        Target::PowerShell => Shell::PowerShell,
        Target::Zsh => Shell::Zsh,
        Target::Man => return manual(program),
    };
    let name = program.get_name().to_owned();
    let mut content = Vec::new();
    clap_complete::generate(shell, &mut program, &name, &mut content);
    let file = match shell {
        // zsh finds the file by the program's name.
        Shell::Bash => name,
        shell => shell.file_name(&name),
    };
    Ok(vec![(file, content)])
}

/// The page of the program, and one for each command.
fn manual(program: clap::Command) -> Result<Vec<(String, Vec<u8>)>> {
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let name = program.get_name().to_owned();
    let commands = program.get_subcommands().map(|command| {
        let title = format!("{name}-{}", command.get_name());
        command.clone().name(title)
    });
    let pages = std::iter::once(program.clone()).chain(commands);
    let page = |command: clap::Command| {
        let file = format!("{}.1", command.get_name());
        let mut content = Vec::new();
        clap_mangen::Man::new(command).render(&mut content).context("cannot make the manual page")?;
        Ok((file, content))
    };
    pages.map(page).collect()
}

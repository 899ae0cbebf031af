//! `awing profiles`: what awing has learned about people, by name.
//!
//! Out, on standard output: a line for each profile, or what was deleted.

use crate::program::console::print;
use crate::program::profiles::{ProfileName, Profiles};
use anyhow::Result;
use chrono::{DateTime, Local};

pub(super) const EXAMPLES: &str = "\
Examples:
  awing --profile anna
  awing profiles
  awing profiles forget anna";

#[derive(clap::Args)]
pub(super) struct ProfilesArguments {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(clap::Subcommand)]
enum Action {
    /// List the profiles (the default)
    List,
    /// Delete a profile
    Forget {
        /// A profile from the list
        name: ProfileName,
    },
}

/// Runs the command.
pub(super) fn run(arguments: &ProfilesArguments) -> Result<()> {
    let profiles = Profiles::of_user()?;
    let text = match arguments.action.as_ref().unwrap_or(&Action::List) {
        Action::List => table(&profiles)?,
        Action::Forget { name } => {
            profiles.forget(name)?;
            format!("forgot {name}\n")
        }
    };
    print(&text)
}

fn table(profiles: &Profiles) -> Result<String> {
    let all = profiles.list()?;
    if all.is_empty() {
        return Ok("There is no profile yet; awing --profile NAME makes one.\n".into());
    }
    let width = all.iter().map(|(name, _)| name.to_string().chars().count()).max().unwrap_or(0);
    let rows = all.iter().map(|(name, changed)| match changed {
        Some(changed) => format!("{name:<width$}  {}\n", DateTime::<Local>::from(*changed).format("%Y-%m-%d %H:%M")),
        None => format!("{name}\n"),
    });
    Ok(rows.collect())
}

//! The program as a process, and what it says.
#![allow(dead_code, reason = "every test uses a part of it")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program, in its own folder and without a display.
pub fn awing(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_awing"));
    command.current_dir(folder).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("AWING_LOG");
    // Nobody's own choice of a model, and nobody's settings.
    command
        .env("XDG_DATA_HOME", folder.join("data"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .stdin(Stdio::null());
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    awing(folder).args(arguments).output().unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn lines(text: &[u8]) -> Vec<Value> {
    String::from_utf8_lossy(text).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

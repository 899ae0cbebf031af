//! Embeds the default models in the library, after checking them against `models/SHA256SUMS`, and stamps the version
//! with the commit in a checkout. A published package has no commit: its version says it all.

use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;

/// Metadata that every model file begins with (see `src/runtime/model/file.rs`).
const FORMAT: &str = "\"awing\":\"{\"format\":1,";

fn main() {
    println!("cargo::rerun-if-changed=models");
    let sums =
        std::fs::read_to_string("models/SHA256SUMS").unwrap_or_else(|e| stop(&format!("models/SHA256SUMS: {e}")));
    for (name, variable) in [("edge-98", "AWING_LANDMARK_MODEL"), ("detector", "AWING_DETECTOR_MODEL")] {
        let file = format!("{name}.safetensors");
        let path = Path::new("models").join(&file);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| stop(&format!("{}: {e}", path.display())));
        let listed = sums.lines().find_map(|l| l.strip_suffix(&file).map(str::trim));
        let Some(listed) = listed else { stop(&format!("models/SHA256SUMS does not list {file}")) };
        let actual: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        if actual != listed {
            stop(&format!(
                "{} has the checksum {actual}, models/SHA256SUMS says {listed}: restore it from git",
                path.display()
            ));
        }
        let header = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]).replace("\\\"", "\"");
        if !header.contains(FORMAT) {
            stop(&format!("{} is not a model file of this version of awing", path.display()));
        }
        let absolute = std::fs::canonicalize(&path).unwrap_or_else(|e| stop(&e.to_string()));
        println!("cargo::rustc-env={variable}={}", absolute.display());
    }
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let stamped = match git(&["rev-parse", "--short", "HEAD"]) {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    };
    // Both change with a commit or a switch of branches. A path that does not exist would rebuild the crate every time.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rustc-env=AWING_VERSION={stamped}");
}

/// The answer of git, if it is installed and this is a checkout. A package that is unpacked inside another repository
/// must not get that one's commit.
fn git(arguments: &[&str]) -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn stop(reason: &str) -> ! {
    println!("cargo::error={reason}");
    std::process::exit(1);
}

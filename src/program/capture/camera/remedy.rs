//! Remedies for cameras that cannot be used.
//!
//! In: the system's error, the camera's number, and whether it was there before. Out: a sentence, without its full
//! stop, that names the cause and the remedy; for a camera in use also the program that uses it, if Linux shows it.

use std::io;
#[cfg(target_os = "linux")]
use std::path::Path;

/// How the reason begins if the camera is not there any more.
pub(super) const UNPLUGGED: &str = "it was unplugged";

/// The reason for `error` and the remedy.
pub(super) fn explain(index: u32, error: &io::Error, was_there: bool) -> String {
    match error.kind() {
        io::ErrorKind::NotFound if was_there => UNPLUGGED.to_owned(),
        io::ErrorKind::ResourceBusy => busy(index),
        io::ErrorKind::PermissionDenied => forbidden(index),
        io::ErrorKind::NotFound => "not found. Is it plugged in? `awing cameras` lists the cameras".to_owned(),
        _ if is_gone(error) => UNPLUGGED.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(target_os = "linux")]
fn is_gone(error: &io::Error) -> bool {
    use nix::errno::Errno;
    [Errno::ENODEV, Errno::ENXIO].iter().any(|gone| error.raw_os_error() == Some(*gone as i32))
}

#[cfg(not(target_os = "linux"))]
fn is_gone(_: &io::Error) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn forbidden(index: u32) -> String {
    format!(
        "no permission to open /dev/video{index}; if your user is not in the group `video`, run \
         `sudo usermod -aG video $USER` and log in again"
    )
}

#[cfg(not(target_os = "linux"))]
fn forbidden(_: u32) -> String {
    "no permission to use it; allow this program in the system's privacy settings for cameras".to_owned()
}

#[cfg(target_os = "linux")]
fn busy(index: u32) -> String {
    let device = format!("/dev/video{index}");
    match holders(Path::new("/proc"), Path::new(&device)).as_slice() {
        [] => format!("another program uses it; `sudo fuser -v {device}` names it: close that program"),
        programs => format!("{} uses it; close that program", programs.join(" and ")),
    }
}

#[cfg(not(target_os = "linux"))]
fn busy(_: u32) -> String {
    "another program uses it; close that program".to_owned()
}

/// The other processes that have `device` open, each as `name (process 123)`. Those of other users are invisible to us.
#[cfg(target_os = "linux")]
fn holders(processes: &Path, device: &Path) -> Vec<String> {
    use std::fs;
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found = Vec::new();
    for process in entries(processes) {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let holds = || {
            entries(&process.path().join("fd")).any(|file| fs::read_link(file.path()).is_ok_and(|open| open == device))
        };
        if id != std::process::id() && holds() {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("{} (process {id})", name.trim()));
        }
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_programs_that_hold_a_camera_are_named() {
        let processes = tempfile::tempdir().unwrap();
        let device = Path::new("/dev/video7");
        for (id, name, open) in
            [("41", "browser", "/dev/video7"), ("42", "player", "/dev/video8"), ("self", "x", "/dev/video7")]
        {
            let folder = processes.path().join(id);
            fs::create_dir_all(folder.join("fd")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            symlink(open, folder.join("fd/3")).unwrap();
        }
        assert_eq!(holders(processes.path(), device), ["browser (process 41)"]);
    }

    #[test]
    fn every_cause_has_its_remedy() {
        let text = |kind: io::ErrorKind| explain(63, &kind.into(), false);
        assert!(text(io::ErrorKind::ResourceBusy).contains("close that program"));
        assert!(text(io::ErrorKind::PermissionDenied).contains("usermod -aG video"));
        assert!(text(io::ErrorKind::NotFound).contains("awing cameras"));
        let gone = io::Error::from_raw_os_error(nix::errno::Errno::ENODEV as i32);
        assert_eq!(explain(63, &gone, true), explain(63, &io::ErrorKind::NotFound.into(), true));
    }
}

//! `awing track`, and `awing` without a command: live tracking.
//!
//! In: a source and the outputs. Out: a session ([`live`]): a window, JSON lines, packets to other programs, a page for
//! browsers, an annotated video or picture, and about once a second a line on standard error.

use super::arguments::{CameraArguments, TrackerArguments};
use super::config::ConfigChoice;
use super::interrupt;
use super::parse::{fov, named, positive, scale};
use super::paths::{Content, Overwrite, Paths};
use crate::program::capture::{CopyNames, Input, Recorder, VirtualCamera};
use crate::program::console::say;
use crate::program::live::{
    self, DisplayOptions, Lifecycle, OutputOptions, ProgressLines, SessionOptions, SessionSource, SignalOptions,
};
use crate::program::output::serve::Listener;
use crate::program::output::{Protocol, Receiver, VmcShapes, VtsAddress};
use crate::program::profiles::{OwnProfile, ProfileName};
use crate::program::view::{Look, Style};
use crate::runtime::signals::DEFAULT_FOV_DEG;
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct TrackArguments {
    /// The same as INPUT
    #[arg(long, value_name = "INPUT")]
    pub input: Option<OsString>,
    /// The source of frames: `camera`, `camera:N`, `demo`, a video, pictures, folders of pictures, the address of a
    /// stream (`rtsp://...`, `http://...`), or `-` for YUV4MPEG on standard input [default: the first camera, or the
    /// demo if there is none]
    #[arg(value_name = "INPUT", conflicts_with = "input")]
    inputs: Vec<OsString>,
    /// Run without a window
    #[arg(long)]
    pub headless: bool,
    /// Write one JSON line per frame to this file (`-`: standard output)
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// Write one CSV row per face and frame to this file (`-`: standard output)
    #[arg(long, value_name = "PATH")]
    csv: Option<PathBuf>,
    /// Send the faces of each frame in OpenSeeFace's format, over UDP [default port: 11573]
    #[arg(long, value_name = "HOST:PORT")]
    osf: Option<String>,
    /// Send the first face of each frame by VMC, over OSC [default port: 39539]
    #[arg(long, value_name = "HOST:PORT")]
    vmc: Option<String>,
    /// The blend shapes that --vmc sends
    #[arg(long, value_name = "SET", default_value_t = VmcShapes::Vrm, value_parser = named::<VmcShapes>())]
    vmc_shapes: VmcShapes,
    /// Send the first face of each frame in iFacialMocap's format, over UDP [default port: 49983]
    #[arg(long, value_name = "HOST[:PORT]")]
    ifacialmocap: Option<String>,
    /// Send the first face of each frame to VTube Studio's plugin API [default: ws://127.0.0.1:8001]
    #[arg(long, value_name = "ws://HOST:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1")]
    vts: Option<String>,
    /// Serve a page with the picture and the faces, and a WebSocket with JSON lines, to browsers and OBS on this
    /// computer; with another of its addresses, also to other computers that have the printed token [default:
    /// 127.0.0.1:8098]
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, default_missing_value = "127.0.0.1")]
    serve: Option<String>,
    /// Offer the annotated picture to other programs as a camera: a device of the module v4l2loopback
    #[arg(long, value_name = "/dev/videoN")]
    virtual_camera: Option<PathBuf>,
    /// The camera's field of view along the longer side of its picture, in degrees; distances depend on it
    #[arg(long, value_name = "DEGREES", default_value_t = DEFAULT_FOV_DEG, value_parser = fov)]
    fov: f32,
    /// Set the neutral pose, straight ahead and at rest, from the first face one second after it appears
    #[arg(long)]
    neutral: bool,
    /// Load this profile and keep it up to date: the neutral pose, and what awing learned about the person's eyes and
    /// face (`awing profiles` lists them)
    #[arg(long, value_name = "NAME")]
    profile: Option<ProfileName>,
    /// Save an annotated copy: a video (.mp4 through ffmpeg, or .gif), a picture of the last frame (.png, .jpg), or a
    /// folder (`FOLDER/`) with a picture of each frame; pictures keep their names
    #[arg(long, value_name = "PATH")]
    save: Option<PathBuf>,
    /// Stop after N frames
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    pub frames: Option<u64>,
    /// Mirror the picture in the window; files are never mirrored [default: for cameras]
    #[arg(long, overrides_with = "no_mirror")]
    mirror: bool,
    /// Show the picture as the camera sees it
    #[arg(long, overrides_with = "mirror")]
    no_mirror: bool,
    /// Scale the window, text and lines by this factor; 2 suits a screen with twice the pixel density [default: the
    /// desktop's scale]
    #[arg(long, value_name = "FACTOR", value_parser = scale)]
    scale: Option<f32>,
    /// Style of the landmarks, in the window and in saved pictures and videos
    #[arg(long, value_name = "STYLE", default_value_t = Style::Curves, value_parser = named::<Style>())]
    look: Style,
    /// Draw where the head points, where the eyes look, and how far eyes and mouth are open
    #[arg(long, overrides_with = "no_gauges")]
    gauges: bool,
    /// Draw no gauges
    #[arg(long, overrides_with = "gauges", hide = true)]
    no_gauges: bool,
    #[command(flatten)]
    pub config: ConfigChoice,
    #[command(flatten)]
    overwrite: Overwrite,
    #[command(flatten)]
    pub camera: CameraArguments,
    #[command(flatten)]
    pub tracker: TrackerArguments,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing
  awing track photo.jpg --save annotated.jpg
  awing track photos/ --save annotated/
  awing track clip.mp4 --headless --json faces.jsonl";

/// Runs the command.
pub(super) fn run(arguments: TrackArguments) -> Result<()> {
    let input = arguments.input();
    let has_window = arguments.has_window(input.as_ref());
    let lifecycle = Arc::new(Lifecycle::new(has_window));
    let interrupted = lifecycle.clone();
    interrupt::on_interrupt(move || interrupted.request_end())?;
    let capture = arguments.camera.options(arguments.tracker.faces);
    arguments.paths(input.as_ref()).check(arguments.overwrite)?;
    if let Some(path) = arguments.json.as_ref().filter(|path| path.extension().is_some_and(|ending| ending == "csv")) {
        bail!("--json {}: this writes JSON lines; --csv writes a table", path.display());
    }
    if [&arguments.json, &arguments.csv].iter().all(|path| path.as_deref() == Some(Path::new("-"))) {
        bail!("--json - and --csv - would mix on standard output: write one of them to a file");
    }
    arguments.check_that_no_address_is_an_input()?;
    arguments.check_addresses()?;
    let profile = arguments.profile.clone().map(OwnProfile::open).transpose()?;
    let receivers = arguments.receivers()?;
    let vts = arguments.vts.as_deref().map(VtsAddress::find).transpose()?;
    let virtual_camera = arguments.virtual_camera.as_deref().map(VirtualCamera::open).transpose();
    let virtual_camera = virtual_camera.context("--virtual-camera")?;
    let server = arguments.serve.as_deref().map(Listener::bind).transpose()?;
    if let Some(server) = &server {
        say(&format!("the page is {}", server.url()));
    }
    let source = match input {
        Some(input) => SessionSource::open(input, capture, &|| lifecycle.is_running())?,
        None => SessionSource::open_camera_or_demo(capture)?,
    };
    let display = has_window.then(|| arguments.display());
    let options = SessionOptions {
        source,
        tracker: arguments.tracker.setup()?,
        display,
        frames: arguments.frames,
        signals: SignalOptions { fov_deg: arguments.fov, starts_neutral: arguments.neutral, profile },
        outputs: OutputOptions {
            default_picture: receivers.is_empty()
                && vts.is_none()
                && virtual_camera.is_none()
                && server.is_none()
                && [&arguments.json, &arguments.csv, &arguments.save].iter().all(|path| path.is_none()),
            look: arguments.look(),
            receivers,
            vts,
            virtual_camera,
            server,
            json: arguments.json,
            csv: arguments.csv,
            save: arguments.save,
        },
    };
    live::run(options, &lifecycle, Arc::new(ProgressLines::new()))
}

impl TrackArguments {
    /// The first input without an option that is not a file.
    pub(super) fn unknown_word(&self) -> Option<&OsStr> {
        let mut words = self.inputs.iter().map(OsString::as_os_str);
        words.find(|word| Input::new(&[word]).is_missing())
    }

    /// Refuses addresses that can't be any, without looking for their hosts. The cause is the reason alone.
    pub(super) fn check_addresses(&self) -> Result<()> {
        self.named_receivers().try_for_each(|(protocol, name)| Receiver::check(protocol, name))?;
        self.vts.as_deref().map_or(Ok(()), VtsAddress::check)?;
        self.serve.as_deref().map_or(Ok(()), Listener::check)
    }

    /// Options with an optional value take the next word, which may have been meant as an input.
    fn check_that_no_address_is_an_input(&self) -> Result<()> {
        for (option, address) in [("--serve", &self.serve), ("--vts", &self.vts)] {
            if let Some(address) = address.as_ref().filter(|address| !address.contains("://"))
                && !Input::new(&[OsStr::new(address)]).is_missing()
            {
                bail!("{option} {address}: this is an input, not an address: put it before {option}");
            }
        }
        Ok(())
    }

    fn input(&self) -> Option<Input> {
        match (&self.input, self.inputs.as_slice()) {
            (Some(input), _) => Some(Input::new(&[input])),
            (None, []) => None,
            (None, inputs) => Some(Input::new(inputs)),
        }
    }

    fn paths(&self, input: Option<&Input>) -> Paths {
        let save = self.save.as_deref();
        let mut paths = self.tracker.paths().reads("--input", input.map(Input::paths).unwrap_or_default());
        paths = paths.writes("--json", self.json.as_ref(), Content::Lines);
        paths = paths.writes("--csv", self.csv.as_ref(), Content::Csv);
        let pictures = input.and_then(Input::pictures);
        if let Some((save, pictures)) = save.filter(|save| Recorder::is_folder(save)).zip(pictures) {
            let mut names = CopyNames::default();
            let copies: Vec<String> = pictures.iter().map(|picture| names.of(picture)).collect();
            paths = paths.writes_into("--save", save, &copies);
        } else if let Some(save) = save {
            paths = paths.writes("--save", [save], Content::of_recording(save));
            paths = paths.writes("--save", Recorder::part_of(save), Content::Unfinished);
        }
        paths
    }

    /// The addresses that signals are sent to.
    fn named_receivers(&self) -> impl Iterator<Item = (Protocol, &str)> {
        let named = [
            (Protocol::OpenSeeFace, &self.osf),
            (Protocol::Vmc(self.vmc_shapes), &self.vmc),
            (Protocol::IFacialMocap, &self.ifacialmocap),
        ];
        named.into_iter().filter_map(|(protocol, name)| Some((protocol, name.as_deref()?)))
    }

    /// Resolves them.
    fn receivers(&self) -> Result<Vec<Receiver>> {
        self.named_receivers().map(|(protocol, name)| Receiver::find(protocol, name)).collect()
    }

    /// Whether frames are shown. Pictures are not if an output is written: there is nothing to wait for.
    fn has_window(&self, input: Option<&Input>) -> bool {
        let is_written = [&self.json, &self.csv, &self.save].iter().any(|path| path.is_some());
        let is_pictures = input.is_some_and(|input| input.pictures().is_some());
        !(self.headless || is_written && is_pictures)
    }

    fn look(&self) -> Look {
        Look { style: self.look, gauges: self.gauges && !self.no_gauges, boxes: false }
    }

    fn display(&self) -> DisplayOptions {
        DisplayOptions {
            title: "awing",
            scale: self.scale,
            is_mirrored: (self.mirror || self.no_mirror).then_some(self.mirror),
            look: self.look(),
            stays: self.frames.is_none() && [&self.json, &self.csv, &self.save].iter().all(|path| path.is_none()),
            paints_without_display: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Track {
        #[command(flatten)]
        track: TrackArguments,
    }

    #[test]
    fn the_last_word_on_mirroring_counts() {
        let is_mirrored = |arguments: &str| {
            let arguments = std::iter::once("awing").chain(arguments.split_whitespace());
            Track::parse_from(arguments).track.display().is_mirrored
        };
        assert_eq!(is_mirrored(""), None);
        assert_eq!(is_mirrored("--mirror"), Some(true));
        assert_eq!(is_mirrored("--mirror --no-mirror"), Some(false));
        assert_eq!(is_mirrored("--no-mirror --mirror"), Some(true));
    }
}

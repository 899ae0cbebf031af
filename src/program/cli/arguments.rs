//! Arguments that several commands share.

use super::device::DeviceChoice;
use super::parse::{named, positive, size};
use crate::program::capture::CaptureOptions;
use crate::program::live::TrackerSetup;
use crate::runtime::engine::Precision;
use crate::runtime::track::TrackerOptions;
use std::path::PathBuf;

/// What is asked of a camera; the closest mode that it supports is used.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct CameraArguments {
    /// Size of the camera's frames [default: about 640x480]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<(u32, u32)>,
    /// Frames per second of the camera (or the demo) [default: the most up to 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub fps: Option<u32>,
}

impl CameraArguments {
    /// What a source is asked for; `faces`: how many the demo shows.
    pub(super) fn options(&self, faces: Option<usize>) -> CaptureOptions {
        CaptureOptions { size: self.size, frames_per_second: self.fps, keeps_trying: false, faces }
    }
}

/// How faces are tracked.
#[derive(clap::Args, Clone, Debug)]
pub(super) struct TrackerArguments {
    /// Maximum number of faces to follow [default: 4]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub faces: Option<usize>,
    /// The landmark model [default: the built-in one]
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// The face detector [default: the built-in one]
    #[arg(long, value_name = "PATH")]
    pub detector: Option<PathBuf>,
    /// Where the landmark network runs; `auto` is the CPU, where small networks are fastest
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceChoice,
    /// Number of threads [default: 1]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub threads: Option<usize>,
    /// Precision of the landmark network
    #[arg(long, value_parser = named::<Precision>(), default_value_t = Precision::F16)]
    pub precision: Precision,
    /// Do not smooth the landmarks over time
    #[arg(long)]
    pub no_smooth: bool,
}

impl TrackerArguments {
    /// What the tracker is made from.
    pub(super) fn setup(&self) -> TrackerSetup {
        let defaults = TrackerOptions::default();
        TrackerSetup {
            options: TrackerOptions {
                faces: self.faces.unwrap_or(defaults.faces),
                smoothing: defaults.smoothing.filter(|_| !self.no_smooth),
                threads: self.threads.unwrap_or(defaults.threads),
                precision: self.precision,
            },
            model: self.model.clone(),
            detector: self.detector.clone(),
            gpu: self.device.named_gpu(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::gpu::GpuKind;
    use clap::Parser;

    #[derive(Parser)]
    struct Both {
        #[command(flatten)]
        camera: CameraArguments,
        #[command(flatten)]
        tracker: TrackerArguments,
    }

    fn parse(arguments: &str) -> Result<Both, clap::Error> {
        Both::try_parse_from(std::iter::once("test").chain(arguments.split_whitespace()))
    }

    #[test]
    fn the_tracker_is_set_up_from_the_arguments() {
        let setup = |arguments: &str| parse(arguments).unwrap().tracker.setup();
        assert_eq!(setup("").options, TrackerOptions::default());
        let given = "--faces 2 --threads 3 --no-smooth --precision f32 --model a.safetensors --detector b.safetensors";
        let expected = TrackerSetup {
            options: TrackerOptions { faces: 2, smoothing: None, threads: 3, precision: Precision::F32 },
            model: Some("a.safetensors".into()),
            detector: Some("b.safetensors".into()),
            gpu: None,
        };
        assert_eq!(setup(given), expected);
        assert_eq!(setup("--device cuda").gpu, Some(GpuKind::Cuda));
    }

    #[test]
    fn a_camera_is_asked_for_what_the_arguments_say() {
        let camera = parse("--size 1280x720 --fps 60").unwrap().camera;
        let options =
            CaptureOptions { size: Some((1280, 720)), frames_per_second: Some(60), ..CaptureOptions::default() };
        assert_eq!(camera.options(None), options);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for arguments in [
            "--size 640",
            "--size 0x480",
            "--size axb",
            "--fps 0",
            "--faces 0",
            "--threads 0",
            "--threads x",
            "--device abacus",
            "--precision f64",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}

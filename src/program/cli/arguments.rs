//! Arguments that several commands share.

use super::device::DeviceChoice;
use super::parse::{faces, named, rate, size, threads};
use super::paths::Paths;
use crate::program::capture::CaptureOptions;
use crate::program::console::say;
use crate::program::live::{LandmarkModel, TrackerSetup};
use crate::program::models::{BUNDLED, ModelLibrary, TuningRecord};
use crate::runtime::counted::counted;
use crate::runtime::engine::Precision;
use crate::runtime::model::Kind;
use crate::runtime::track::TrackerOptions;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;

/// The requested camera mode; the closest supported one is used.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Camera")]
pub(super) struct CameraArguments {
    /// Size of the camera's frames [default: about 640x480]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<(u32, u32)>,
    /// Frames per second of the camera or the demo [default: the highest rate up to 60]
    #[arg(long, value_name = "N", value_parser = rate)]
    pub fps: Option<f64>,
}

impl CameraArguments {
    /// The request to a source; `faces`: how many the demo shows.
    pub(super) fn options(&self, faces: Option<usize>) -> CaptureOptions {
        CaptureOptions { size: self.size, frames_per_second: self.fps, faces, ..CaptureOptions::default() }
    }
}

/// Options of the tracker.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tracking")]
pub(super) struct TrackerArguments {
    /// Maximum number of faces to track [default: 4]
    #[arg(long, value_name = "N", value_parser = faces)]
    pub faces: Option<usize>,
    /// The landmark model: a file, or `bundled` [default: the one that `awing models use` chose, else the bundled one]
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// The face detector [default: the bundled one]
    #[arg(long, value_name = "PATH")]
    pub detector: Option<PathBuf>,
    /// The device of the landmark network; small networks are fastest on the CPU
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceChoice,
    /// Number of threads [default: 1]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub threads: Option<usize>,
    /// Precision of the networks
    #[arg(long, value_parser = named::<Precision>(), default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Do not smooth the landmarks over time
    #[arg(long)]
    pub no_smooth: bool,
}

impl TrackerArguments {
    /// The files that the tracker is made from.
    pub(super) fn paths(&self) -> Paths {
        Paths::default().reads("--model", self.model.as_ref()).reads("--detector", self.detector.as_ref())
    }

    /// The tracker's setup. Prints a line if a tuned model is chosen.
    ///
    /// # Errors
    /// If the model's file can't be read.
    pub(super) fn setup(&self) -> Result<TrackerSetup> {
        self.setup_in(ModelLibrary::of_user().as_ref())
    }

    fn setup_in(&self, library: Option<&ModelLibrary>) -> Result<TrackerSetup> {
        let model = match (&self.model, library) {
            (Some(path), _) if path.as_os_str() == BUNDLED => LandmarkModel::Bundled,
            (Some(path), _) => LandmarkModel::open(path)?,
            (None, Some(library)) => chosen_model(library),
            (None, None) => LandmarkModel::Bundled,
        };
        let defaults = TrackerOptions::default();
        Ok(TrackerSetup {
            options: TrackerOptions {
                faces: self.faces.unwrap_or(defaults.faces),
                smoothing: defaults.smoothing.filter(|_| !self.no_smooth),
                threads: self.threads.unwrap_or(defaults.threads),
                precision: self.precision,
            },
            model,
            detector: self.detector.clone(),
            gpu: self.device.named_gpu(),
        })
    }
}

/// The model that the user chose, with a line that says so; if it can't be used, the bundled one, with the reason.
fn chosen_model(library: &ModelLibrary) -> LandmarkModel {
    let chosen = || -> Result<Option<(LandmarkModel, TuningRecord)>> {
        let Some(name) = library.chosen()? else { return Ok(None) };
        let use_of = || format!("cannot use the chosen model {name}");
        let model = LandmarkModel::open(&library.file(&name).with_context(use_of)?).with_context(use_of)?;
        // Checked now, while the bundled model can still replace it.
        let kind = model.model().with_context(use_of)?.config().kind;
        ensure!(kind == Kind::Landmarks, "cannot use the chosen model {name}: it is a detector");
        Ok(Some((model, library.record(&name)?)))
    };
    match chosen() {
        Ok(None) => LandmarkModel::Bundled,
        Ok(Some((model, record))) => {
            let TuningRecord { name, samples, .. } = &record;
            let (date, faces) = (record.date(), counted(*samples, "face"));
            say(&format!("model: {name}, tuned {date} on {faces} (for the bundled one: --model {BUNDLED})"));
            model
        }
        Err(error) => {
            say(&format!("awing: {error:#}; using the bundled model (awing models use NAME chooses another)"));
            LandmarkModel::Bundled
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
        let setup = |arguments: &str| parse(arguments).unwrap().tracker.setup_in(None).unwrap();
        assert_eq!(setup("").options, TrackerOptions::default());
        let given = "--faces 2 --threads 3 --no-smooth --precision f32 --model bundled --detector b.safetensors";
        let expected = TrackerSetup {
            options: TrackerOptions { faces: 2, smoothing: None, threads: 3, precision: Precision::F32 },
            model: LandmarkModel::Bundled,
            detector: Some("b.safetensors".into()),
            gpu: None,
        };
        assert_eq!(setup(given), expected);
        assert_eq!(setup("--device cuda").gpu, Some(GpuKind::Cuda));
    }

    #[test]
    fn a_camera_is_asked_for_what_the_arguments_say() {
        let camera = parse("--size 1280x720 --fps 59.94").unwrap().camera;
        let options =
            CaptureOptions { size: Some((1280, 720)), frames_per_second: Some(59.94), ..CaptureOptions::default() };
        assert_eq!(camera.options(None), options);
    }

    #[test]
    fn values_that_make_no_sense_are_refused() {
        for arguments in [
            "--size 640",
            "--size 0x480",
            "--size axb",
            "--fps 0",
            "--fps -30",
            "--fps nan",
            "--fps 1001",
            "--faces 0",
            "--threads 0",
            "--threads x",
            "--threads 100000",
            "--threads 99999999999999999999",
            "--faces 1000000000",
            "--size 32768x32768",
            "--device abacus",
            "--precision f64",
        ] {
            assert!(parse(arguments).is_err(), "{arguments}");
        }
    }
}

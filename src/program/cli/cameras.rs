//! `awing cameras`: the cameras that can capture.
//!
//! Out, on standard output: number, name, and for every format and size the frame rates, the best first; as text or as
//! one JSON array of `{"index", "name", "modes": [{"format", "width", "height", "frames_per_second"}]}`.
//! Devices that can't capture, such as those with metadata only, are left out.

use anyhow::Result;

#[derive(clap::Args, Clone, Debug)]
pub(super) struct CamerasArguments {
    /// Print one JSON array instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  awing cameras
  awing cameras --json";

/// Runs the command.
#[cfg(feature = "camera")]
pub(super) fn run(arguments: &CamerasArguments) -> Result<()> {
    use crate::program::console::print;
    let cameras = crate::program::capture::camera::list()?;
    let text = if arguments.json { listing::json(&cameras) } else { listing::table(&cameras) };
    print(&text)
}

#[cfg(not(feature = "camera"))]
pub(super) fn run(_: &CamerasArguments) -> Result<()> {
    Err(crate::program::capture::CaptureError::CameraLeftOut.into())
}

#[cfg(feature = "camera")]
mod listing {
    use crate::program::capture::camera::{CameraDescription, Mode};
    use serde_json::{Value, json};

    pub(super) fn json(cameras: &[CameraDescription]) -> String {
        let mode = |mode: &Mode| {
            json!({
                "format": mode.format.to_string(),
                "width": mode.width,
                "height": mode.height,
                "frames_per_second": mode.rate.per_second(),
            })
        };
        let camera = |camera: &CameraDescription| {
            let modes: Vec<Value> = camera.modes.iter().map(mode).collect();
            json!({ "index": camera.index, "name": camera.name, "modes": modes })
        };
        format!("{}\n", cameras.iter().map(camera).collect::<Value>())
    }

    pub(super) fn table(cameras: &[CameraDescription]) -> String {
        if cameras.is_empty() {
            return "there is no camera that can capture\n".into();
        }
        let mut text = String::new();
        for CameraDescription { index, name, modes } in cameras {
            text += &format!("camera:{index}  {name}\n");
            // Rates of the same format and size share a line.
            let mut lines: Vec<(&Mode, String)> = Vec::new();
            for mode in modes {
                let is_same = |m: &Mode| (m.format, m.width, m.height) == (mode.format, mode.width, mode.height);
                match lines.iter_mut().find(|(first, _)| is_same(first)) {
                    Some((_, rates)) => *rates += &format!(", {}", mode.rate),
                    None => lines.push((mode, mode.rate.to_string())),
                }
            }
            for (Mode { format, width, height, .. }, rates) in lines {
                text += &format!("    {format:<5}  {:>9}  {rates} frames/s\n", format!("{width}x{height}"));
            }
        }
        text
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::program::capture::camera::{PixelFormat, Rate};

        fn camera() -> CameraDescription {
            let mode =
                |format, width, height, frames, seconds| Mode { format, width, height, rate: Rate { frames, seconds } };
            CameraDescription {
                index: 2,
                name: "A camera".into(),
                modes: vec![
                    mode(PixelFormat::Yuyv, 640, 480, 30000, 1001),
                    mode(PixelFormat::Mjpeg, 1280, 720, 60, 1),
                    mode(PixelFormat::Yuyv, 640, 480, 15, 1),
                ],
            }
        }

        #[test]
        fn people_read_a_line_for_every_size() {
            let text = table(&[camera()]);
            assert!(text.starts_with("camera:2  A camera\n"), "{text}");
            assert!(text.contains("YUYV     640x480  29.97, 15 frames/s\n"), "{text}");
            assert!(text.contains("MJPEG   1280x720  60 frames/s\n"), "{text}");
            assert!(table(&[]).contains("no camera"));
        }

        #[test]
        fn programs_read_an_array() {
            let value: Value = serde_json::from_str(&json(&[camera()])).unwrap();
            assert_eq!(value[0]["index"], 2);
            assert_eq!(value[0]["modes"][1]["format"], "MJPEG");
            assert!((value[0]["modes"][0]["frames_per_second"].as_f64().unwrap() - 29.97).abs() < 0.01);
            assert_eq!(json(&[]), "[]\n");
        }
    }
}

//! The report of `awing bench --live` and `--soak`.

use super::cpu_time::CpuTimes;
use crate::program::cli::measure::Spread;
use crate::runtime::counted::counted;
use anyhow::Result;
use serde::Serialize;

/// The measurements.
#[derive(Serialize)]
pub(super) struct Report {
    pub input: String,
    pub width: usize,
    pub height: usize,
    pub seconds: f64,
    /// Whether there was a window.
    pub is_in_window: bool,
    /// Frames that were shown, and those of them with a face.
    pub shown: u64,
    pub shown_with_faces: u64,
    /// Frames that were tracked but replaced by a newer one before they were shown.
    pub not_shown: u64,
    pub camera: CameraFrames,
    /// Latency from the capture of a frame until it is shown.
    pub capture_to_display_ms: Spread,
    pub tracker_ms: Spread,
    pub slowest_tracker_frame: SlowestFrame,
    /// Shares of one core, by thread, where the system reports them.
    pub core_share: Option<CpuTimes>,
    /// To the first shown frame with landmarks, from the camera's first frame and from the start of the program.
    pub first_landmarks_after_first_frame_s: Option<f64>,
    pub first_landmarks_s: Option<f64>,
    pub memory_mb: Option<Memory>,
}

/// What happened to the camera's frames.
#[derive(Serialize)]
pub(super) struct CameraFrames {
    pub delivered: u64,
    /// Replaced by a newer one before they were tracked.
    pub replaced: u64,
    pub lost: u64,
    pub damaged: u64,
}

/// The memory that the process holds.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Memory {
    pub after_warm_up: f64,
    pub most_later: f64,
}

/// The frame that took longest.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct SlowestFrame {
    pub ms: f32,
    /// How long of that the thread was ready but had no core, where the system reports it.
    pub waited_for_core_ms: Option<f64>,
}

impl Report {
    /// As one JSON object, or as a table.
    ///
    /// # Errors
    /// Never, but serde does not know.
    pub(super) fn print(&self, as_json: bool) -> Result<String> {
        if as_json { Ok(format!("{}\n", serde_json::to_string(self)?)) } else { Ok(table(self)) }
    }
}

fn table(report: &Report) -> String {
    let Report { input, width, height, seconds, shown, shown_with_faces, not_shown, camera, .. } = report;
    let CameraFrames { delivered, replaced, lost, damaged } = camera;
    let rate = *shown as f64 / seconds.max(1e-9);
    let shown_how = if report.is_in_window { "shown in a window" } else { "painted, without a window," };
    let shown = counted(*shown, "frame");
    let mut text = format!(
        "{input}: {shown} of {width}x{height} {shown_how} in {seconds:.1} s ({rate:.1} a second), a face in \
         {shown_with_faces}\n{delivered} delivered, {replaced} not tracked, {not_shown} not shown, {lost} lost, \
         {damaged} damaged\n\n                      median     95 %\n"
    );
    for (name, spread) in [("capture to display", &report.capture_to_display_ms), ("tracker", &report.tracker_ms)] {
        text += &format!("{name:<19} {:>8.2} {:>8.2} ms\n", spread.median, spread.p95);
    }
    let SlowestFrame { ms, waited_for_core_ms } = report.slowest_tracker_frame;
    let waited = waited_for_core_ms.map_or_else(String::new, |ms| format!(", {ms:.2} ms of it without a core"));
    text += &format!("slowest frame of the tracker {ms:.2} ms{waited}\n\n");
    if let Some(CpuTimes { capture, tracking, display }) = report.core_share {
        let [capture, tracking, display] = [capture, tracking, display].map(|share| 100.0 * share);
        text += &format!("of one core: capture {capture:.1} %, tracking {tracking:.1} %, display {display:.1} %\n");
    }
    if let (Some(camera), Some(start)) = (report.first_landmarks_after_first_frame_s, report.first_landmarks_s) {
        text += &format!(
            "first landmarks shown {camera:.3} s after the camera's first frame, {start:.3} s after the start\n"
        );
    }
    if let Some(Memory { after_warm_up, most_later }) = report.memory_mb {
        let growth = most_later - after_warm_up;
        text += &format!("memory {after_warm_up:.1} MB after the warm-up, {growth:.1} MB more at most later\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_every_figure() {
        let report = Report {
            input: "camera 0".into(),
            width: 640,
            height: 480,
            seconds: 20.0,
            is_in_window: false,
            shown: 600,
            shown_with_faces: 590,
            not_shown: 1,
            camera: CameraFrames { delivered: 605, replaced: 4, lost: 2, damaged: 3 },
            capture_to_display_ms: Spread { median: 3.5, p95: 5.25 },
            tracker_ms: Spread { median: 1.5, p95: 2.0 },
            slowest_tracker_frame: SlowestFrame { ms: 9.0, waited_for_core_ms: Some(6.5) },
            core_share: Some(CpuTimes { capture: 0.01, tracking: 0.05, display: 0.1 }),
            first_landmarks_after_first_frame_s: Some(0.125),
            first_landmarks_s: Some(0.25),
            memory_mb: Some(Memory { after_warm_up: 50.0, most_later: 51.5 }),
        };
        let text = table(&report);
        for part in [
            "600 frames of 640x480 painted, without a window, in 20.0 s (30.0 a second), a face in 590",
            "605 delivered, 4 not tracked, 1 not shown, 2 lost, 3 damaged",
            "capture to display      3.50     5.25 ms",
            "slowest frame of the tracker 9.00 ms, 6.50 ms of it without a core",
            "capture 1.0 %, tracking 5.0 %, display 10.0 %",
            "0.125 s after the camera's first frame, 0.250 s",
            "1.5 MB more",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }
}

//! The panel of times in the window: frame rate, latency and times, averaged over half a second.

use super::frame::TrackedFrame;
use std::time::{Duration, Instant};

/// The averaging interval.
const AVERAGING_TIME: Duration = Duration::from_millis(500);

/// Sums over the frames since the last averages, and these averages as text.
pub(super) struct Figures {
    since: Instant,
    first_number: u64,
    shown: u32,
    delay_s: f32,
    painting_s: f32,
    landmarks_ms: f32,
    detector_ms: f32,
    smoothing_ms: f32,
    /// Tracked frames per second.
    pub rate: Option<f32>,
    pub text: Vec<String>,
}

impl Figures {
    /// Without figures yet; `first_number` is that of the first frame.
    pub(super) fn new(first_number: u64) -> Self {
        Self {
            since: Instant::now(),
            first_number,
            shown: 0,
            delay_s: 0.0,
            painting_s: 0.0,
            landmarks_ms: 0.0,
            detector_ms: 0.0,
            smoothing_ms: 0.0,
            rate: None,
            text: Vec::new(),
        }
    }

    /// A new frame was painted and is on the screen.
    pub(super) fn count(&mut self, tracked: &TrackedFrame, painting_s: f32, is_live: bool) {
        self.shown += 1;
        self.delay_s += tracked.captured.map_or(0.0, |captured| captured.elapsed().as_secs_f32());
        self.painting_s += painting_s;
        self.landmarks_ms += tracked.times.landmarks_ms;
        self.detector_ms += tracked.times.detect_ms;
        self.smoothing_ms += tracked.times.smooth_ms;
        let elapsed = self.since.elapsed();
        // A still picture has no rate.
        if elapsed < AVERAGING_TIME || tracked.number == self.first_number {
            return;
        }
        let count = self.shown as f32;
        let rate = (tracked.number - self.first_number) as f32 / elapsed.as_secs_f32();
        let from = if is_live { "capture" } else { "frame" };
        let text = vec![
            format!("{rate:.0} frames/s, {from} to display {:.0} ms", 1000.0 * self.delay_s / count),
            format!("landmarks {:.1} ms, detector {:.1} ms", self.landmarks_ms / count, self.detector_ms / count),
            format!(
                "smoothing {:.2} ms, drawing {:.1} ms",
                self.smoothing_ms / count,
                1000.0 * self.painting_s / count
            ),
        ];
        *self = Self { text, rate: Some(rate), ..Self::new(tracked.number) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_means_over_the_frames_that_were_shown() {
        let mut figures = Figures::new(0);
        figures.text.push("earlier".into());
        for number in 1..=10 {
            let mut tracked = TrackedFrame { number, ..TrackedFrame::default() };
            tracked.times.landmarks_ms = number as f32;
            if number == 10 {
                figures.since = Instant::now().checked_sub(2 * AVERAGING_TIME).unwrap();
            }
            figures.count(&tracked, 0.002, true);
        }
        assert!(figures.text[0].starts_with("10 frames/s, capture to display 0 ms"), "{:?}", figures.text);
        assert!(figures.text[1].starts_with("landmarks 5.5 ms") && figures.text[2].ends_with("drawing 2.0 ms"));
        assert_eq!((figures.shown, figures.first_number), (0, 10));
    }
}

//! Progress lines on standard error, about once a second: what is tracked, and how fast.

use super::frame::TrackedFrame;
use super::observer::Observer;
use crate::program::capture::Source;
use crate::program::console::say;
use crate::runtime::counted::counted;
use crate::runtime::track::Face;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a line is printed.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Prints the lines, unless a window shows the same, and one for the whole session at its end.
pub(crate) struct ProgressLines(Mutex<Counts>);

struct Counts {
    start: Instant,
    /// Frames altogether, and those with a face.
    frames: u64,
    with_faces: u64,
    last_line: Instant,
    /// Since the last line.
    recent: u64,
    recent_ms: f64,
}

impl ProgressLines {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let counts = Counts { start: now, frames: 0, with_faces: 0, last_line: now, recent: 0, recent_ms: 0.0 };
        Self(Mutex::new(counts))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for ProgressLines {
    fn after_tracking(&self, frame: &TrackedFrame, is_displaying: bool) {
        let mut counts = self.counts();
        counts.frames += 1;
        counts.with_faces += u64::from(!frame.faces.is_empty());
        counts.recent += 1;
        counts.recent_ms += f64::from(frame.times.total_ms);
        let since = counts.last_line.elapsed();
        if since >= LINE_INTERVAL {
            let rate = counts.recent as f64 / since.as_secs_f64();
            let mean_ms = counts.recent_ms / counts.recent as f64;
            if !is_displaying {
                let faces = in_words(&frame.faces);
                say(&format!("{faces}, {rate:.0} frames a second, {mean_ms:.1} ms a frame"));
            }
            counts.last_line = Instant::now();
            counts.recent = 0;
            counts.recent_ms = 0.0;
        }
    }

    fn tracking_ended(&self, source: &dyn Source) {
        let Counts { start, frames, with_faces, .. } = &*self.counts();
        let rate = *frames as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let (source, frames) = (source.describe(), counted(*frames, "frame"));
        say(&format!("{source}: {frames}, a face in {with_faces}, {rate:.0} frames a second"));
    }
}

/// The faces of a frame as text.
fn in_words(faces: &[Face]) -> String {
    let each: Vec<String> = faces.iter().map(|f| format!("#{} {:.0} %", f.id, 100.0 * f.score)).collect();
    match faces.len() {
        0 => "no face".into(),
        n => format!("{} ({})", counted(n, "face"), each.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    #[test]
    fn faces_are_listed_by_number_and_score() {
        let face = |id, score| Face { id, score, rect: Rect::new(0.0, 0.0, 1.0, 1.0), landmarks: Vec::new() };
        assert_eq!(in_words(&[]), "no face");
        assert_eq!(in_words(&[face(1, 0.934)]), "1 face (#1 93 %)");
        assert_eq!(in_words(&[face(1, 0.934), face(7, 0.5)]), "2 faces (#1 93 %, #7 50 %)");
    }
}

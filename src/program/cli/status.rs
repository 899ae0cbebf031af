//! What is seen and how fast, in a line on standard error about once a second.

use super::say;
use crate::runtime::track::{Face, StageTimes};
use std::time::{Duration, Instant};

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(1);

/// Counts frames and says what it counted.
pub(super) struct Status {
    start: Instant,
    /// Frames altogether, and those with a face.
    frames: u64,
    with_faces: u64,
    last: Instant,
    /// Since the last line.
    recent: u64,
    recent_ms: f64,
}

impl Status {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { start: now, frames: 0, with_faces: 0, last: now, recent: 0, recent_ms: 0.0 }
    }

    /// Counts a frame; says so once a second, unless the window shows it.
    pub(super) fn count(&mut self, faces: &[Face], times: &StageTimes, is_shown: bool) {
        self.frames += 1;
        self.with_faces += u64::from(!faces.is_empty());
        self.recent += 1;
        self.recent_ms += f64::from(times.total_ms);
        let since = self.last.elapsed();
        if since >= EVERY {
            let rate = self.recent as f64 / since.as_secs_f64();
            let mean_ms = self.recent_ms / self.recent as f64;
            if !is_shown {
                say(&format!("{}, {rate:.0} frames a second, {mean_ms:.1} ms a frame", seen(faces)));
            }
            self.last = Instant::now();
            self.recent = 0;
            self.recent_ms = 0.0;
        }
    }

    /// Says what there was altogether.
    pub(super) fn finish(&self, source: &str) {
        let Self { frames, with_faces, .. } = self;
        let rate = *frames as f64 / self.start.elapsed().as_secs_f64().max(1e-9);
        say(&format!("{source}: {frames} frames, a face in {with_faces}, {rate:.0} frames a second"));
    }
}

/// The faces of a frame in words.
fn seen(faces: &[Face]) -> String {
    let each: Vec<String> = faces.iter().map(|f| format!("#{} {:.0} %", f.id, 100.0 * f.score)).collect();
    match faces.len() {
        0 => "no face".into(),
        1 => format!("1 face ({})", each.join(", ")),
        n => format!("{n} faces ({})", each.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    #[test]
    fn faces_are_told_by_number_and_score() {
        let face = |id, score| Face { id, score, rect: Rect::new(0.0, 0.0, 1.0, 1.0), landmarks: Vec::new() };
        assert_eq!(seen(&[]), "no face");
        assert_eq!(seen(&[face(1, 0.934)]), "1 face (#1 93 %)");
        assert_eq!(seen(&[face(1, 0.934), face(7, 0.5)]), "2 faces (#1 93 %, #7 50 %)");
    }
}

//! Fades faces in and out.
//!
//! In: the faces of each frame, and the time. Out: these faces, and those that have just disappeared, with an opacity.

use crate::program::view::ShownFace;
use crate::runtime::signals::Signals;
use crate::runtime::track::Face;
use std::time::{Duration, Instant};

/// How long a face takes to fade in, and out.
const COMING: Duration = Duration::from_millis(180);
const GOING: Duration = Duration::from_millis(240);

/// The faces on the screen.
pub(super) struct Fading {
    faces: Vec<Entry>,
    last: Instant,
}

struct Entry {
    face: Face,
    signals: Option<Signals>,
    /// 0..=1, linear in time.
    strength: f32,
    is_there: bool,
}

impl Fading {
    pub(super) fn new() -> Self {
        Self { faces: Vec::new(), last: Instant::now() }
    }

    /// Sets the current faces. If frames are `unrelated`, none of them fades.
    pub(super) fn set(&mut self, faces: &[Face], signals: &[Signals], unrelated: bool) {
        if unrelated {
            self.faces.clear();
        }
        self.faces.iter_mut().for_each(|entry| entry.is_there = false);
        for face in faces {
            let signals = signals.iter().find(|signals| signals.id == face.id).cloned();
            match self.faces.iter_mut().find(|entry| entry.face.id == face.id) {
                Some(entry) => {
                    (entry.is_there, entry.signals) = (true, signals);
                    (entry.face.score, entry.face.rect) = (face.score, face.rect);
                    entry.face.landmarks.clone_from(&face.landmarks);
                }
                None => {
                    let strength = if unrelated { 1.0 } else { 0.0 };
                    self.faces.push(Entry { face: face.clone(), signals, strength, is_there: true });
                }
            }
        }
    }

    /// Lets time pass until `now`.
    pub(super) fn pass(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(std::mem::replace(&mut self.last, now));
        for entry in &mut self.faces {
            let (duration, sign) = if entry.is_there { (COMING, 1.0) } else { (GOING, -1.0) };
            let change = sign * elapsed.as_secs_f32() / duration.as_secs_f32();
            entry.strength = (entry.strength + change).clamp(0.0, 1.0);
        }
        self.faces.retain(|entry| entry.is_there || entry.strength > 0.0);
    }

    /// Whether a face is fading.
    pub(super) fn is_moving(&self) -> bool {
        self.faces.iter().any(|entry| !entry.is_there || entry.strength < 1.0)
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = ShownFace<'_>> {
        // Slow at both ends.
        let eased = |x: f32| x * x * (3.0 - 2.0 * x);
        self.faces.iter().map(move |entry| ShownFace {
            face: &entry.face,
            signals: entry.signals.as_ref(),
            opacity: eased(entry.strength),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::geometry::Rect;

    fn face(id: u64) -> Face {
        Face { id, score: 0.9, rect: Rect::new(1.0, 1.0, 5.0, 5.0), landmarks: Vec::new() }
    }

    #[test]
    fn a_face_comes_and_goes_softly_and_then_stands_still() {
        let mut fading = Fading::new();
        let start = fading.last;
        let opacity = |fading: &Fading| fading.shown().map(|shown| shown.opacity).collect::<Vec<_>>();
        fading.set(&[face(1)], &[], false);
        assert_eq!((opacity(&fading), fading.is_moving()), (vec![0.0], true));
        fading.pass(start + COMING / 2);
        assert_eq!(opacity(&fading), [0.5]);
        fading.pass(start + COMING);
        assert_eq!((opacity(&fading), fading.is_moving()), (vec![1.0], false));
        fading.set(&[face(2)], &[], false);
        fading.pass(start + COMING + GOING / 2);
        assert_eq!(fading.shown().map(|shown| shown.face.id).collect::<Vec<_>>(), [1, 2]);
        fading.pass(start + COMING + 2 * GOING);
        assert_eq!(fading.shown().map(|shown| shown.face.id).collect::<Vec<_>>(), [2]);
        fading.set(&[face(3)], &[], true);
        assert_eq!((opacity(&fading), fading.is_moving()), (vec![1.0], false), "pictures of a folder");
    }
}

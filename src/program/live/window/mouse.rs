//! Detects moves and clicks of the mouse.
//!
//! In: the polled state of the mouse. Out: its moves and clicks.

use crate::program::view::Pointer;
use crate::runtime::geometry::{CanvasSpace, Point};
use std::time::{Duration, Instant};

/// The largest time and distance in pixels between the two clicks of a double click.
const DOUBLE_CLICK: Duration = Duration::from_millis(400);
const STILL: f32 = 8.0;
/// A mouse that was not moved for this long is idle.
const RESTS_AFTER: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MouseEvent {
    Moved,
    Click,
    /// The second click of two.
    DoubleClick,
}

/// The mouse as it was last.
#[derive(Default)]
pub(super) struct Mouse {
    at: Option<Point<CanvasSpace>>,
    moved: Option<Instant>,
    is_down: bool,
    clicked: Option<(Instant, Point<CanvasSpace>)>,
}

impl Mouse {
    /// Its position.
    pub(super) fn at(&self) -> Option<Point<CanvasSpace>> {
        self.at
    }

    /// The position that it points at; `None` for an idle mouse.
    pub(super) fn points_at(&self, now: Instant) -> Option<Point<CanvasSpace>> {
        self.at.filter(|_| self.moved.is_some_and(|moved| now.saturating_duration_since(moved) <= RESTS_AFTER))
    }

    /// Takes over its present state.
    pub(super) fn follow(&mut self, pointer: Pointer, now: Instant) -> Option<MouseEvent> {
        let before = self.at.replace(pointer.at);
        let was_down = std::mem::replace(&mut self.is_down, pointer.left);
        if pointer.left && !was_down {
            let is_second = self.clicked.take().is_some_and(|(then, there)| {
                now.saturating_duration_since(then) <= DOUBLE_CLICK && there.distance(pointer.at) <= STILL
            });
            if is_second {
                return Some(MouseEvent::DoubleClick);
            }
            self.clicked = Some((now, pointer.at));
            return Some(MouseEvent::Click);
        }
        // The initial position is not a move.
        let has_moved = before.is_some_and(|before| before != pointer.at);
        if has_moved {
            self.moved = Some(now);
        }
        has_moved.then_some(MouseEvent::Moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_quick_clicks_at_one_place_are_a_double_click() {
        let start = Instant::now();
        let events = |moments: &[(u64, bool, f32)]| {
            let mut mouse = Mouse::default();
            let each = moments.iter().map(|&(ms, left, x)| {
                let pointer = Pointer { at: Point::new(x, 5.0), left, other: false, wheel: 0.0 };
                mouse.follow(pointer, start + Duration::from_millis(ms))
            });
            each.flatten().filter(|event| *event != MouseEvent::Moved).collect::<Vec<_>>()
        };
        use MouseEvent::{Click, DoubleClick};
        let twice = |gap, x| [(0, true, 5.0), (80, true, 5.0), (90, false, 5.0), (gap, true, x), (gap + 50, false, x)];
        assert_eq!(events(&twice(200, 6.0)), [Click, DoubleClick]);
        assert_eq!(events(&twice(900, 6.0)), [Click, Click]);
        assert_eq!(events(&twice(200, 60.0)), [Click, Click]);
        let thrice = [(0, true, 5.0), (9, false, 5.0), (99, true, 5.0), (150, false, 5.0), (200, true, 5.0)];
        assert_eq!(events(&thrice), [Click, DoubleClick, Click]);
    }
}

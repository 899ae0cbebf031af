//! The list of samples: its visible rows.
//!
//! In: heights in pixels. Out: the sample at a position and the position of a sample. Nothing fails.

/// The visible rows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct List {
    /// The top of the first row.
    pub top: f32,
    pub row: f32,
    /// The number of rows that fit.
    pub rows: usize,
    /// The sample of the first visible row.
    pub first: usize,
}

impl List {
    /// Scrolls by as little as possible to show `sample` of `count`.
    pub(super) fn show(&mut self, sample: usize, count: usize) {
        let latest = (sample + 1).saturating_sub(self.rows.max(1));
        self.first = self.first.clamp(latest.min(sample), sample).min(self.last_first(count));
    }

    /// Scrolls by steps of the wheel; positive is towards the start.
    pub(super) fn scroll(&mut self, steps: f32, count: usize) {
        const ROWS: f32 = 3.0;
        let first = self.first as f32 - ROWS * steps;
        self.first = (first.max(0.0) as usize).min(self.last_first(count));
    }

    fn last_first(&self, count: usize) -> usize {
        count.saturating_sub(self.rows)
    }

    /// The sample at this height of the window; it may be beyond the last one.
    pub(super) fn sample_at(&self, y: f32) -> Option<usize> {
        let row = (y - self.top) / self.row;
        (self.row > 0.0 && row >= 0.0 && row < self.rows as f32).then(|| self.first + row as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_in_hand_is_in_sight_and_where_it_is_clicked() {
        let mut list = List { top: 50.0, row: 20.0, rows: 10, first: 0 };
        for sample in [0, 5, 9, 10, 60, 99, 40, 0] {
            list.show(sample, 100);
            let y = list.top + (sample - list.first) as f32 * list.row + 1.0;
            assert_eq!(list.sample_at(y), Some(sample));
        }
        list.scroll(-100.0, 100);
        assert_eq!(list.first, 90);
        list.scroll(100.0, 100);
        assert_eq!((list.first, list.sample_at(49.0), list.sample_at(260.0)), (0, None, None));
        assert_eq!(List::default().sample_at(10.0), None);
    }
}

//! Undo and redo: one list of changes over all samples of a session.

use super::labels::Labels;

/// A change of a sample's labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    /// The sample's place in the order of the session.
    pub sample: usize,
    pub before: Labels,
    pub after: Labels,
}

/// All changes, and how many of them are applied.
#[derive(Debug, Default)]
pub(super) struct History {
    changes: Vec<Change>,
    in_force: usize,
}

impl History {
    /// Records a change and drops undone ones. A change that continues the last one (a held key) becomes part of it.
    pub(super) fn note(&mut self, change: Change, continues: bool) {
        self.changes.truncate(self.in_force);
        match self.changes.last_mut() {
            Some(last) if continues && last.sample == change.sample => last.after = change.after,
            _ => self.changes.push(change),
        }
        self.in_force = self.changes.len();
    }

    /// The change to undo, if there is one.
    pub(super) fn undo(&mut self) -> Option<&Change> {
        self.in_force = self.in_force.checked_sub(1)?;
        self.changes.get(self.in_force)
    }

    /// The change to redo, if there is one.
    pub(super) fn redo(&mut self) -> Option<&Change> {
        let change = self.changes.get(self.in_force)?;
        self.in_force += 1;
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::collection::Review;

    fn change(sample: usize, review: Review) -> Change {
        let labels = |review| Labels { points: Vec::new(), weight: None, review };
        Change { sample, before: labels(Review::Pending), after: labels(review) }
    }

    #[test]
    fn changes_are_taken_back_in_reverse_and_made_again_in_order() {
        let mut history = History::default();
        history.note(change(0, Review::Accepted), false);
        history.note(change(1, Review::Rejected), false);
        assert_eq!(history.undo().map(|c| c.sample), Some(1));
        assert_eq!(history.undo().map(|c| c.sample), Some(0));
        assert!(history.undo().is_none());
        assert_eq!(history.redo().map(|c| c.sample), Some(0));
        history.note(change(2, Review::Accepted), false);
        assert!(history.redo().is_none(), "another change was made since");
        assert_eq!(history.undo().map(|c| c.sample), Some(2));
    }

    #[test]
    fn a_held_key_is_one_change() {
        let mut history = History::default();
        history.note(change(0, Review::Pending), false);
        history.note(change(0, Review::Accepted), true);
        assert_eq!(history.undo().map(|c| c.after.review), Some(Review::Accepted));
        assert!(history.undo().is_none());
    }
}

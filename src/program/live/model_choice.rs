//! The landmark model of a session: the bundled one, or the tuned one once there is one.

use super::tracker_setup::LandmarkModel;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The choice, changed by the window and pages.
pub(super) struct ModelChoice(Mutex<State>);

struct State {
    /// The tuned model, and whether it is in use.
    tuned: Option<(LandmarkModel, bool)>,
    /// Incremented by every change.
    changes: u64,
}

impl ModelChoice {
    /// A session starts with `model`; one that is not bundled counts as tuned.
    pub(super) fn new(model: &LandmarkModel) -> Self {
        let tuned = (*model != LandmarkModel::Bundled).then(|| (model.clone(), true));
        Self(Mutex::new(State { tuned, changes: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches to a newly tuned model.
    pub(super) fn accept(&self, model: LandmarkModel) {
        let mut state = self.state();
        state.tuned = Some((model, true));
        state.changes += 1;
    }

    /// Switches between the bundled and the tuned model; returns the model now in use, and its name. `None` if there is
    /// no tuned model.
    pub(super) fn change(&self) -> Option<(LandmarkModel, &'static str)> {
        let mut state = self.state();
        let (model, is_used) = state.tuned.as_mut()?;
        *is_used = !*is_used;
        let changed = match *is_used {
            true => (model.clone(), "the tuned model"),
            false => (LandmarkModel::Bundled, "the bundled model"),
        };
        state.changes += 1;
        Some(changed)
    }

    /// Whether the tuned model is in use; `None` if there is none.
    pub(super) fn is_tuned(&self) -> Option<bool> {
        self.state().tuned.as_ref().map(|(_, is_used)| *is_used)
    }

    #[cfg(feature = "window")]
    pub(super) fn in_use(&self) -> LandmarkModel {
        self.state().in_use()
    }

    /// The model in use, if it changed since the last call, whose count of changes is `seen`.
    #[cfg(feature = "window")]
    pub(super) fn changed_since(&self, seen: &mut u64) -> Option<LandmarkModel> {
        let state = self.state();
        (std::mem::replace(seen, state.changes) != state.changes).then(|| state.in_use())
    }
}

impl State {
    #[cfg(feature = "window")]
    fn in_use(&self) -> LandmarkModel {
        match &self.tuned {
            Some((model, true)) => model.clone(),
            _ => LandmarkModel::Bundled,
        }
    }
}

#[cfg(all(test, feature = "window"))]
mod tests {
    use super::*;

    #[test]
    fn an_accepted_model_is_used_until_somebody_changes_back() {
        let choice = ModelChoice::new(&LandmarkModel::Bundled);
        let mut seen = 0;
        assert!(choice.change().is_none() && choice.is_tuned().is_none() && choice.changed_since(&mut seen).is_none());
        let tuned = LandmarkModel::File { path: "tuned".into(), bytes: [1][..].into() };
        choice.accept(tuned.clone());
        assert_eq!((choice.is_tuned(), choice.changed_since(&mut seen)), (Some(true), Some(tuned.clone())));
        assert_eq!(choice.change(), Some((LandmarkModel::Bundled, "the bundled model")));
        assert_eq!((choice.is_tuned(), choice.changed_since(&mut seen)), (Some(false), Some(LandmarkModel::Bundled)));
        assert_eq!(choice.changed_since(&mut seen), None);
        assert_eq!(choice.change(), Some((tuned.clone(), "the tuned model")));
        assert_eq!(ModelChoice::new(&tuned).is_tuned(), Some(true));
    }
}

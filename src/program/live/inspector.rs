//! The network's views of the faces on the screen.
//!
//! In: the shown frame and its faces. Out: a [`NetworkView`] of each. For these views the network runs once more, on
//! the main thread and only while they are shown, so they don't slow down tracking. Only inference can fail.

use super::frame::TrackedFrame;
use super::tracker_setup::LandmarkModel;
use crate::program::view::{NetworkView, NetworkViewer};
use crate::runtime::engine::Precision;
use anyhow::Result;

/// Makes the views and keeps them.
pub(super) struct NetworkInspector {
    model: LandmarkModel,
    /// For this precision.
    viewer: Option<(Precision, NetworkViewer)>,
    views: Vec<NetworkView>,
    /// Whether `views` belong to the frame that is shown.
    is_fresh: bool,
}

impl NetworkInspector {
    pub(super) fn new(model: LandmarkModel) -> Self {
        Self { model, viewer: None, views: Vec::new(), is_fresh: false }
    }

    /// The views that were made last.
    pub(super) fn views(&self) -> &[NetworkView] {
        &self.views
    }

    /// Another frame is shown.
    pub(super) fn invalidate(&mut self) {
        self.is_fresh = false;
    }

    /// Makes the views of the faces in the frame, unless they exist already.
    ///
    /// # Errors
    /// If the model can't be loaded, or inference fails.
    pub(super) fn look(&mut self, tracked: &TrackedFrame, precision: Precision) -> Result<()> {
        let Self { model, viewer, views, is_fresh } = self;
        let viewer = match viewer {
            Some((of, viewer)) if *of == precision => viewer,
            _ => {
                *is_fresh = false;
                &mut viewer.insert((precision, NetworkViewer::new(&model.model()?, precision)?)).1
            }
        };
        if !std::mem::replace(is_fresh, true) {
            views.resize_with(tracked.faces.len(), NetworkView::default);
            for (view, face) in views.iter_mut().zip(&tracked.faces) {
                if !viewer.look(&tracked.frame, face, view)? {
                    *view = NetworkView::default();
                }
            }
        }
        Ok(())
    }
}

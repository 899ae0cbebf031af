//! Stands in for virtual cameras on other systems than Linux and in builds without cameras.

use super::CaptureError;
use crate::runtime::image::Frame;
use std::path::Path;

/// None can be opened.
#[derive(Clone, Debug)]
pub enum VirtualCamera {}

#[derive(Clone, Copy, Debug)]
pub struct OutputMode {
    pub width: usize,
    pub height: usize,
}

impl VirtualCamera {
    /// # Errors
    /// Always.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let reason = "virtual cameras need Linux and an awing built with the feature \"camera\"".into();
        Err(CaptureError::VirtualCamera { path: path.to_owned(), reason })
    }

    pub fn begin(&self, _: usize, _: usize) -> Result<OutputMode, CaptureError> {
        match *self {}
    }

    pub fn write(&self, _: &Frame, _: OutputMode, _: &mut Vec<u8>) -> Result<(), CaptureError> {
        match *self {}
    }
}

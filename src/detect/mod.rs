//! The face detector: frame in, boxes out.

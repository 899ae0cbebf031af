//! The tracker: frames in, faces with stable ids out.

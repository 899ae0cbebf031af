//! The trainer: optimizer, schedule, averaging, checkpoints.

//! The Adaptive Wing loss and its weighting.

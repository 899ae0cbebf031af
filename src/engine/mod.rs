//! The compiled inference plan of a model on the CPU.

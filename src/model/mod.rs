//! Network definitions, their configuration, and the model file.

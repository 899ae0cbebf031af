//! Readers of data sets, augmentation, and the batch loader.

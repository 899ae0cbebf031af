//! Heatmaps: targets and weight maps (encode), sub-pixel positions with a confidence (decode).

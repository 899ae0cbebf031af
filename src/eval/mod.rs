//! Measures of accuracy, reports and plots.

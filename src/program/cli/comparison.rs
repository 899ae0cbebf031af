//! The table of a comparison of two models.

use crate::train::eval::Comparison;
use std::fmt::Write as _;

/// A line for each metric, with the difference and its interval.
pub(super) fn comparison_table(comparisons: &[Comparison]) -> String {
    let mut text =
        format!("{:<22} {:>6} {:>9} {:>9} {:>11}  95 % interval\n", "figure", "faces", "first", "second", "difference");
    for c in comparisons {
        let (low, high) = c.interval;
        let verdict = if c.is_clear() { "" } else { "  (could be chance)" };
        let _ = writeln!(
            text,
            "{:<22} {:>6} {:>9.4} {:>9.4} {:>+11.4}  {low:+.4} .. {high:+.4}{verdict}",
            c.figure, c.faces, c.first, c.second, c.difference
        );
    }
    text
}

//! The log of a training, a CSV file with a line every few steps, and the learning curve as a picture.
//!
//! In and out: [`LogRow`]s. Fails with [`TrainError`], naming the file and the line.

use super::error::{LogError, TrainError};
use crate::runtime::files::{read_text, write_whole};
use crate::train::plot::{Chart, Series};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// One line of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRow {
    /// Steps done.
    pub step: u64,
    /// Pictures seen.
    pub images: u64,
    /// Time spent training, over all sessions.
    pub seconds: f64,
    pub learning_rate: f64,
    /// Mean loss since the last line; none before the first step.
    pub loss: Option<f64>,
    /// The validation measure, where this line has one.
    pub validation: Option<f64>,
}

const HEADER: &str = "step,images,seconds,learning_rate,loss,validation";
/// A start that is worse than all that follows by this factor is left out of the range of the curve.
const BAD_START: f64 = 2.0;

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("log.csv")
}

pub(super) fn curve_path(folder: &Path) -> PathBuf {
    folder.join("curve.png")
}

/// Writes the whole log; it is short.
pub(super) fn write(folder: &Path, rows: &[LogRow]) -> Result<(), TrainError> {
    let mut text = String::from(HEADER);
    text.push('\n');
    for r in rows {
        let validation = r.validation.map(|v| v.to_string()).unwrap_or_default();
        let loss = r.loss.map(|v| format!("{v:.6}")).unwrap_or_default();
        let _ = writeln!(text, "{},{},{:.1},{:.3e},{loss},{validation}", r.step, r.images, r.seconds, r.learning_rate);
    }
    let file = path(folder);
    write_whole(&file, text.as_bytes()).map_err(|source| TrainError::Write { path: file, source })
}

/// Reads a log.
///
/// # Errors
/// [`TrainError::Read`] for a file that can't be read, [`TrainError::Log`] with the line that is damaged.
pub fn read_log(file: &Path) -> Result<Vec<LogRow>, TrainError> {
    let text = read_text(file).map_err(|source| TrainError::Read { path: file.to_owned(), source })?;
    let damaged = |i, source| TrainError::Log { path: file.to_owned(), line: i + 1, source };
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, line)| line != HEADER) {
        return Err(damaged(0, LogError::Fields { expected: HEADER }));
    }
    lines.map(|(i, line)| read_row(line).map_err(|source| damaged(i, source))).collect()
}

fn read_row(line: &str) -> Result<LogRow, LogError> {
    let fields: Vec<&str> = line.split(',').collect();
    if fields.len() != HEADER.split(',').count() {
        return Err(LogError::Fields { expected: HEADER });
    }
    let number =
        |k: usize| fields[k].parse::<f64>().map_err(|source| LogError::Number { text: fields[k].to_owned(), source });
    let optional = |k: usize| if fields[k].is_empty() { Ok(None) } else { number(k).map(Some) };
    Ok(LogRow {
        step: number(0)? as u64,
        images: number(1)? as u64,
        seconds: number(2)?,
        learning_rate: number(3)?,
        loss: optional(4)?,
        validation: optional(5)?,
    })
}

/// Draws the validation measure over the pictures seen; nothing while there are fewer than two values.
pub(super) fn draw_curve(folder: &Path, rows: &[LogRow], measure: &str) -> Result<(), TrainError> {
    let points: Vec<(f64, f64)> =
        rows.iter().filter_map(|r| r.validation.map(|v| (r.images as f64 / 1000.0, v))).collect();
    if points.len() < 2 {
        return Ok(());
    }
    let chart = Chart {
        y_range: without_a_bad_start(&points),
        title: "Learning curve".into(),
        x_label: "thousand pictures".into(),
        y_label: measure.into(),
        series: vec![Series { name: measure.into(), points }],
        ..Chart::default()
    };
    Ok(chart.save(&curve_path(folder))?)
}

/// The range of the measures without that of the start, if that is so bad that it would flatten the rest: the weights
/// were random. The line then comes in through the upper edge.
fn without_a_bad_start(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let (&(start, first), rest) = points.split_first()?;
    let low = rest.iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = rest.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    (start == 0.0 && low < high && first > BAD_START * high).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_from_random_weights_does_not_flatten_the_curve() {
        let rest = [(1.0, 6.0), (2.0, 4.0)];
        let range = |first: f64| without_a_bad_start(&[&[(0.0, first)][..], &rest].concat());
        assert_eq!((range(60.0), range(7.0)), (Some((4.0, 6.0)), None));
        assert_eq!(without_a_bad_start(&[(0.0, 60.0), (1.0, 4.0)]), None, "there is nothing else to see");
    }

    #[test]
    fn a_log_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let row =
            LogRow { step: 5, images: 120, seconds: 1.5, learning_rate: 2e-3, loss: Some(0.25), validation: None };
        let rows = vec![row.clone(), LogRow { step: 10, loss: None, validation: Some(4.5), ..row }];
        write(folder.path(), &rows).unwrap();
        assert_eq!(read_log(&path(folder.path())).unwrap(), rows);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log.csv");
        std::fs::write(&file, format!("{HEADER}\n1,2,3,4,5,\n1,2,x,4,5,\n")).unwrap();
        assert!(matches!(read_log(&file), Err(TrainError::Log { line: 3, .. })));
        std::fs::write(&file, "my own notes").unwrap();
        assert!(matches!(read_log(&file), Err(TrainError::Log { line: 1, .. })));
    }
}

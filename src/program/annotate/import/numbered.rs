//! Groups single points with names into faces.
//!
//! In: points as they are drawn one by one in a labelling program, each with its label and perhaps a group. Out: the
//! points of each face in the order of the numbers in their labels ("0" to "97", "1" to "98", "point_12"); if no label
//! has a number, in the order in which they were drawn.

use crate::runtime::geometry::{FrameSpace, Point};
use std::collections::BTreeMap;

/// A point with its label, and whether it was placed.
#[derive(Clone, Debug)]
pub(super) struct NamedPoint {
    pub label: String,
    pub group: Option<i64>,
    pub at: Point<FrameSpace>,
    pub is_known: bool,
}

/// The points of a face, and which of them were placed; or why they are not a face.
pub(super) type NumberedFace = Result<(Vec<Point<FrameSpace>>, Vec<bool>), String>;

/// The faces of the points: one for each group.
pub(super) fn faces(points: Vec<NamedPoint>) -> Vec<NumberedFace> {
    let mut groups: BTreeMap<Option<i64>, Vec<NamedPoint>> = BTreeMap::new();
    for point in points {
        groups.entry(point.group).or_default().push(point);
    }
    groups.into_values().map(face).collect()
}

fn face(mut points: Vec<NamedPoint>) -> NumberedFace {
    let numbers: Vec<Option<usize>> = points.iter().map(|point| number_in(&point.label)).collect();
    if numbers.iter().any(Option::is_some) {
        if let Some(i) = numbers.iter().position(Option::is_none) {
            return Err(format!("the label {:?} has no number, unlike the others", points[i].label));
        }
        points.sort_by_key(|point| number_in(&point.label));
        let first = number_in(&points[0].label).unwrap_or(0).min(1);
        if let Some(i) = (0..points.len()).find(|&i| number_in(&points[i].label) != Some(first + i)) {
            let label = &points[i].label;
            return Err(format!("instead of point {} there is one with the label {label:?}", first + i));
        }
    }
    Ok(points.into_iter().map(|point| (point.at, point.is_known)).unzip())
}

/// The last number in a label.
fn number_in(label: &str) -> Option<usize> {
    let digits = |c: char| c.is_ascii_digit();
    label.split(|c| !digits(c)).rfind(|part| !part.is_empty())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(labels: &[&str]) -> Vec<NamedPoint> {
        let named = labels.iter().enumerate().map(|(i, label)| NamedPoint {
            label: (*label).to_owned(),
            group: None,
            at: Point::new(i as f32, 0.0),
            is_known: true,
        });
        named.collect()
    }

    fn order(labels: &[&str]) -> Result<Vec<f32>, String> {
        let face = faces(points(labels)).remove(0)?;
        Ok(face.0.iter().map(|p| p.x).collect())
    }

    #[test]
    fn numbers_in_labels_say_the_order_from_0_or_1() {
        assert_eq!(order(&["2", "0", "1"]), Ok(vec![1.0, 2.0, 0.0]));
        assert_eq!(order(&["p_3", "p_1", "p_2"]), Ok(vec![1.0, 2.0, 0.0]));
        assert_eq!(order(&["eye", "eye", "nose"]), Ok(vec![0.0, 1.0, 2.0]));
    }

    #[test]
    fn missing_and_repeated_numbers_are_named() {
        assert!(order(&["0", "1", "3"]).is_err_and(|e| e.contains("instead of point 2")));
        assert!(order(&["0", "1", "1"]).is_err_and(|e| e.contains("instead of point 2")));
        assert!(order(&["0", "tip"]).is_err_and(|e| e.contains("tip")));
    }
}

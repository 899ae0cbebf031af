//! Where the maps lie: two maps share memory when one is read for the last time before the other is written.

use super::plan::{CHANNEL_MULTIPLE, Map, MapId, Step};
use std::ops::Range;

/// The steps from the first that writes a map to the last that touches it.
type Life = Range<usize>;

/// Gives every map its memory, notes in the steps whose borders have to be cleared before they are written, and returns
/// how many bytes there are.
pub(super) fn place(maps: &mut [Map], steps: &mut [Step]) -> usize {
    let lives = lives(maps.len(), steps);
    // The largest first, each as low as it can be.
    let mut order: Vec<MapId> = (0..maps.len()).collect();
    order.sort_by_key(|&id| (std::cmp::Reverse(maps[id].bytes()), id));
    let mut placed: Vec<MapId> = Vec::new();
    for &id in &order {
        let apart =
            |&&other: &&MapId| !is_shared(&maps[id]) || !is_shared(&maps[other]) || overlap(&lives[id], &lives[other]);
        let mut others: Vec<Range<usize>> = placed.iter().filter(apart).map(|&other| maps[other].range()).collect();
        others.sort_by_key(|range| range.start);
        let mut start = 0;
        for other in others {
            if other.start >= start + maps[id].bytes() {
                break;
            }
            start = start.max(other.end);
        }
        maps[id].start = start;
        placed.push(id);
    }
    for (id, map) in maps.iter().enumerate().filter(|(_, map)| is_shared(map)) {
        let spoils = |other: &Map| other.start != map.start || other.shape() != map.shape();
        let is_spoilt = maps.iter().any(|other| overlap(&map.range(), &other.range()) && spoils(other));
        if is_spoilt && let Some(step) = steps.get_mut(lives[id].start) {
            step.clears.push(id);
        }
    }
    maps.iter().map(|map| map.range().end).max().unwrap_or(0)
}

/// Whether the map may share its memory. One whose cells are not full may not: what fills them up has to stay zero.
fn is_shared(map: &Map) -> bool {
    !map.pinned && map.channels.is_multiple_of(CHANNEL_MULTIPLE)
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

fn lives(maps: usize, steps: &[Step]) -> Vec<Life> {
    let mut lives = vec![Range { start: usize::MAX, end: 0 }; maps];
    for (i, step) in steps.iter().enumerate() {
        let (read, written) = step.cells();
        for map in read.into_iter().chain(written) {
            lives[map] = lives[map].start.min(i)..i + 1;
        }
    }
    lives
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::plan::{Action, Cells};

    fn map(side: usize, border: usize) -> Map {
        Map { height: side, width: side, channels: 16, pitch: 16, border, bytes_each: 4, pinned: false, start: 0 }
    }

    fn step(read: MapId, written: MapId) -> Step {
        let cells = |map| Cells { map, start: 0, table: 0 };
        let action = Action::Gate { boundary: cells(read), to: cells(written), coordinates: vec![] };
        Step { name: String::new(), action, multiply_adds: 0, clears: vec![] }
    }

    #[test]
    fn maps_that_live_at_the_same_time_lie_apart_and_others_share() {
        let mut maps = vec![map(8, 0), map(8, 1), map(8, 0), map(4, 1)];
        let mut steps = vec![step(0, 1), step(1, 2), step(2, 3)];
        let bytes = place(&mut maps, &mut steps);
        for (a, b) in [(0, 1), (1, 2), (2, 3)] {
            assert!(!overlap(&maps[a].range(), &maps[b].range()), "{a} and {b}");
        }
        assert!(bytes < maps.iter().map(Map::bytes).sum());
        // The last map lies where others have been: its border is not zero any more.
        assert_eq!(steps[2].clears, [3]);
    }

    #[test]
    fn pinned_maps_share_with_nobody() {
        let mut maps = vec![map(8, 0), Map { pinned: true, ..map(8, 0) }, map(8, 0)];
        let mut steps = vec![step(0, 0), step(1, 1), step(2, 2)];
        place(&mut maps, &mut steps);
        assert!(!overlap(&maps[1].range(), &maps[0].range()) && !overlap(&maps[1].range(), &maps[2].range()));
    }
}

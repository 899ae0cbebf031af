//! Assigns memory to the maps: two maps share memory if one is last read before the other is first written.
//!
//! In: a [`Draft`]. Out: the [`Plan`] with its memory allocated and its constant maps written.

use super::memory::Memory;
use super::plan::{Address, CHANNEL_MULTIPLE, Draft, InMap, Map, MapId, PlacedMap, PlacedStep, Plan, Step};
use std::cmp::Reverse;
use std::ops::Range;

/// The steps from the first that writes a map to the last that reads or writes it.
type Lifetime = Range<usize>;

/// Assigns memory to every map.
pub(super) fn place(draft: Draft) -> Plan {
    let Draft { steps, maps, tables, constants, output, stacks } = draft;
    let lifetimes = lifetimes(maps.len(), &steps);
    let maps = allocate(maps, &lifetimes);
    let mut clears = clears(&maps, &lifetimes, steps.len());
    let mut memory = Memory::new(maps.iter().map(|map| map.range().end).max().unwrap_or(0));
    for (map, bytes) in constants {
        memory.write(maps[map].start, &bytes);
    }
    let at = |InMap { map, offset }: InMap| Address(maps[map].start + offset);
    let place_step = |(number, step): (usize, Step<InMap>)| {
        let Step { name, precision, action, multiply_adds, depthwise_multiply_adds } = step;
        let action = action.place(&at);
        let step = Step { name, precision, action, multiply_adds, depthwise_multiply_adds };
        PlacedStep { step, clears: std::mem::take(&mut clears[number]) }
    };
    Plan {
        steps: steps.into_iter().enumerate().map(place_step).collect(),
        tables,
        output: maps[output].clone(),
        stacks: stacks.into_iter().map(|map| maps[map].clone()).collect(),
        memory,
    }
}

fn lifetimes(maps: usize, steps: &[Step<InMap>]) -> Vec<Lifetime> {
    let mut lifetimes = vec![Range { start: usize::MAX, end: 0 }; maps];
    for (number, step) in steps.iter().enumerate() {
        for position in step.action.starts() {
            let lifetime = &mut lifetimes[position.map];
            *lifetime = lifetime.start.min(number)..number + 1;
        }
    }
    lifetimes
}

/// Places the largest map first, each at the lowest address where it overlaps no map that lives at the same time.
fn allocate(maps: Vec<Map>, lifetimes: &[Lifetime]) -> Vec<PlacedMap> {
    let mut maps: Vec<PlacedMap> = maps.into_iter().map(|map| PlacedMap { map, start: 0 }).collect();
    let mut order: Vec<MapId> = (0..maps.len()).collect();
    order.sort_by_key(|&id| (Reverse(maps[id].map.bytes()), id));
    let mut placed: Vec<MapId> = Vec::new();
    for &id in &order {
        let is_apart = |&&other: &&MapId| {
            !is_shared(&maps[id].map) || !is_shared(&maps[other].map) || overlap(&lifetimes[id], &lifetimes[other])
        };
        let mut others: Vec<Range<usize>> = placed.iter().filter(is_apart).map(|&other| maps[other].range()).collect();
        others.sort_by_key(|range| range.start);
        let bytes = maps[id].map.bytes();
        let mut start = 0;
        for other in others {
            if other.start >= start + bytes {
                break;
            }
            start = start.max(other.end);
        }
        maps[id].start = start;
        placed.push(id);
    }
    maps
}

/// For every step, the borders of maps that it writes first and that other maps overwrite.
fn clears(maps: &[PlacedMap], lifetimes: &[Lifetime], steps: usize) -> Vec<Vec<Range<usize>>> {
    let mut clears = vec![Vec::new(); steps];
    for (map, lifetime) in maps.iter().zip(lifetimes).filter(|(map, _)| is_shared(&map.map)) {
        let overwrites = |other: &PlacedMap| overlap(&map.range(), &other.range()) && !map.has_borders_of(other);
        if maps.iter().any(overwrites)
            && let Some(clears) = clears.get_mut(lifetime.start)
        {
            clears.extend(map.gaps());
        }
    }
    clears
}

/// Whether the map may share its memory. A map with padded cells may not: the padding of f32 and bf16 has to stay zero.
fn is_shared(map: &Map) -> bool {
    !map.pinned && map.channels.is_multiple_of(CHANNEL_MULTIPLE)
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::engine::plan::{Action, Cells, Element, Gate, StepPrecision};

    fn map(side: usize, border: usize) -> Map {
        let element = Element::F32;
        Map { height: side, width: side, channels: 16, pitch: 16, border, element, pinned: false }
    }

    /// A step that reads one map and writes another, both four bytes from their starts.
    fn step(read: MapId, written: MapId) -> Step<InMap> {
        let cells = |map| Cells { start: InMap { map, offset: 4 }, table: 0 };
        let gate = Gate { boundary: cells(read), to: cells(written), coordinates: vec![] };
        Step {
            name: String::new(),
            precision: StepPrecision::F32,
            action: Action::Gate(gate),
            multiply_adds: 0,
            depthwise_multiply_adds: 0,
        }
    }

    fn draft(maps: Vec<Map>, steps: Vec<Step<InMap>>) -> Draft {
        let stacks = (0..maps.len()).collect();
        Draft { steps, maps, tables: vec![], constants: vec![], output: 0, stacks }
    }

    #[test]
    fn maps_that_live_at_the_same_time_lie_apart_and_others_share() {
        let maps = vec![map(8, 0), map(8, 1), map(8, 0), map(4, 1)];
        let bytes: usize = maps.iter().map(Map::bytes).sum();
        let plan = place(draft(maps, vec![step(0, 1), step(1, 2), step(2, 3)]));
        let maps = &plan.stacks;
        for (a, b) in [(0, 1), (1, 2), (2, 3)] {
            assert!(!overlap(&maps[a].range(), &maps[b].range()), "{a} and {b}");
        }
        assert!(plan.memory.bytes() < bytes);
        // The last map reuses memory of others: its border is no longer zero.
        assert_eq!(plan.steps[2].clears, maps[3].gaps());
    }

    #[test]
    fn steps_of_a_plan_point_into_the_memory_of_their_maps() {
        let plan = place(draft(vec![map(8, 0), map(8, 1), map(8, 0)], vec![step(0, 1), step(1, 2)]));
        for (number, step) in plan.steps.iter().enumerate() {
            let maps = [&plan.stacks[number], &plan.stacks[number + 1]];
            let expected = maps.map(|map| Address(map.start + 4));
            assert_eq!(step.step.action.starts(), expected.iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn pinned_maps_share_with_nobody() {
        let maps = vec![map(8, 0), Map { pinned: true, ..map(8, 0) }, map(8, 0)];
        let plan = place(draft(maps, vec![step(0, 0), step(1, 1), step(2, 2)]));
        let range = |map: MapId| plan.stacks[map].range();
        assert!(!overlap(&range(1), &range(0)) && !overlap(&range(1), &range(2)));
    }

    #[test]
    fn constant_maps_are_written() {
        let mut draft = draft(vec![map(4, 0), Map { pinned: true, ..map(4, 0) }], vec![step(1, 0)]);
        draft.constants.push((1, 2.5_f32.to_ne_bytes().repeat(3)));
        let plan = place(draft);
        assert_eq!(plan.memory.floats(plan.stacks[1].start, 4), [2.5, 2.5, 2.5, 0.0]);
    }
}

//! Which blocks of remote sources lie where in the scratch file. The block that wasn't read for the longest time goes
//! when another needs its slot.

use std::ops::Range;

use crate::{
    Error,
    wire::{MAX_RUN, Run, SLOTS},
};

/// Which blocks lie in which slots.
#[derive(Default)]
pub(super) struct Blocks {
    slots: Vec<Slot>,
    /// Rises with each look at a block.
    clock: u64,
}

#[derive(Default)]
struct Slot {
    block: Option<Block>,
    used: u64,
}

struct Block {
    source: u32,
    number: u64,
    state: State,
}

/// How a block stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It was asked for.
    Awaited,
    /// It lies in this slot.
    Present(u32),
    /// It was asked for in vain.
    Failed(Error),
}

impl Blocks {
    /// How a block stands that is about to be read. A failure is told once.
    pub(super) fn state(&mut self, source: u32, number: u64) -> Option<State> {
        self.clock += 1;
        let slot = self.slots.iter_mut().find(|slot| slot.holds(source, number))?;
        slot.used = self.clock;
        let state = slot.block.as_ref().map(|block| block.state.clone());
        if matches!(state, Some(State::Failed(_))) {
            slot.block = None;
        }
        state
    }

    /// Whether a block is here or was asked for.
    pub(super) fn knows(&self, source: u32, number: u64) -> bool {
        self.slots.iter().any(|slot| slot.holds(source, number))
    }

    /// Finds slots for blocks that follow each other, up to one that is known already. The first isn't.
    pub(super) fn reserve(&mut self, source: u32, blocks: Range<u64>) -> Run {
        let mut run = Run { source, block: blocks.start, slots: Vec::new() };
        for number in blocks.take(MAX_RUN) {
            if self.knows(source, number) {
                break;
            }
            let Some(index) = self.free() else { break };
            self.clock += 1;
            let block = Block { source, number, state: State::Awaited };
            self.slots[index as usize] = Slot { block: Some(block), used: self.clock };
            run.slots.push(index);
        }
        run
    }

    /// Takes note of what became of a run.
    pub(super) fn settle(&mut self, run: &Run, result: Result<(), Error>) {
        for (number, index) in (run.block..).zip(&run.slots) {
            let slot = self.slots.get_mut(*index as usize).filter(|slot| slot.holds(run.source, number));
            if let Some(block) = slot.and_then(|slot| slot.block.as_mut()) {
                block.state = match &result {
                    Ok(()) => State::Present(*index),
                    Err(why) => State::Failed(why.clone()),
                };
            }
        }
    }

    /// A new slot, or the one that is missed least. What is on its way keeps its slot; there is far less of that than there
    /// are slots.
    fn free(&mut self) -> Option<u32> {
        let known = self.slots.len() as u32;
        if known < SLOTS {
            self.slots.push(Slot::default());
            return Some(known);
        }
        let idle = (0..known).zip(&self.slots).filter(|(_, slot)| !slot.is_awaited());
        idle.min_by_key(|(_, slot)| slot.used).map(|(index, _)| index)
    }
}

impl Slot {
    fn holds(&self, source: u32, number: u64) -> bool {
        self.block.as_ref().is_some_and(|block| block.source == source && block.number == number)
    }

    fn is_awaited(&self) -> bool {
        self.block.as_ref().is_some_and(|block| block.state == State::Awaited)
    }
}

/// How a reader moves through a source: one that goes straight on is worth reading ahead for, one that jumps isn't.
#[derive(Default)]
pub(super) struct Pace {
    last: Option<u64>,
    run: usize,
}

impl Pace {
    /// Takes note that `block` of `count` is read; how many to ask for at once, it included.
    pub(super) fn step(&mut self, block: u64, count: u64) -> usize {
        if self.last != Some(block) {
            let follows = self.last.is_some_and(|last| last + 1 == block);
            self.run = match follows {
                true => (self.run * 2).min(MAX_RUN),
                // What is that short, as segments are, is mostly read to its end.
                false if count <= MAX_RUN as u64 => MAX_RUN,
                false => 1,
            };
            self.last = Some(block);
        }
        self.run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_that_was_read_last_is_kept() {
        let mut blocks = Blocks::default();
        for number in 0..u64::from(SLOTS) {
            let run = blocks.reserve(7, number..number + 1);
            blocks.settle(&run, Ok(()));
        }
        assert_eq!(blocks.state(7, 0), Some(State::Present(0)));
        let run = blocks.reserve(8, 0..2);
        assert_eq!(run.slots, [1, 2], "the slots that weren't read for the longest time");
        assert_eq!(blocks.state(7, 1), None);
        assert_eq!(blocks.state(8, 1), Some(State::Awaited));
        blocks.settle(&run, Err(Error::Cancelled));
        assert_eq!(blocks.state(8, 1), Some(State::Failed(Error::Cancelled)));
        assert_eq!(blocks.state(8, 1), None, "the next look asks again");
    }

    #[test]
    fn awaited_blocks_keep_their_slots() {
        let mut blocks = Blocks::default();
        let first = blocks.reserve(1, 0..4);
        for number in 0..u64::from(SLOTS) * 2 {
            let run = blocks.reserve(2, number..number + 1);
            assert!(run.slots.iter().all(|slot| !first.slots.contains(slot)));
            blocks.settle(&run, Ok(()));
        }
        assert_eq!(blocks.reserve(1, 4..9).slots.len(), MAX_RUN);
        assert_eq!(blocks.reserve(1, 8..12).block, 8);
    }

    #[test]
    fn only_readers_that_go_straight_on_read_ahead() {
        let mut pace = Pace::default();
        let runs: Vec<_> = [500, 0, 0, 1, 2, 3, 900, 2].into_iter().map(|block| pace.step(block, 1000)).collect();
        assert_eq!(runs, [1, 1, 1, 2, 4, 4, 1, 1]);
        assert_eq!(Pace::default().step(0, 3), MAX_RUN);
    }
}

//! The live edge of segments that no list names. A manifest that addresses them by number alone says how to name the
//! next million; which of them are there, only the folder knows. Retention removes the oldest.

use std::ops::Range;

use crate::{MAX_SEGMENTS, track::partition_point};

/// How far before the expected edge the newest segment is looked for: writers are a few segments behind their manifest.
const BEHIND: usize = 16;

/// Which segments are there, by index. They are taken to be without a hole; `expected` is about where the newest should
/// be. Looks for some tens of segments, however many there are.
pub(super) fn available(expected: usize, has: impl Fn(usize) -> bool) -> Range<usize> {
    let expected = expected.min(MAX_SEGMENTS - 1);
    let known =
        if has(0) { Some(0) } else { (0..=BEHIND).filter_map(|back| expected.checked_sub(back)).find(|at| has(*at)) };
    let Some(known) = known else { return 0..0 };
    let first = partition_point(0, known, |at| !has(at));
    let (mut there, mut step) = (known, 1);
    while there + step < MAX_SEGMENTS && has(there + step) {
        there += step;
        step *= 2;
    }
    let beyond = (there + step).min(MAX_SEGMENTS);
    first..partition_point(there + 1, beyond, has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there() {
        for (there, expected) in [
            (0..0, 5),
            (0..1, 0),
            (0..100, 0),
            (0..100, 1_000_000),
            (0..1_300_000, 1_300_000),
            (90..100, 104),
            (90..100, 99),
            (90..100, 92),
            (1_299_000..1_300_000, 1_300_001),
            (0..MAX_SEGMENTS, 3),
        ] {
            let looks = std::cell::Cell::new(0);
            let found = available(expected, |at| {
                looks.set(looks.get() + 1);
                there.contains(&at)
            });
            assert_eq!(found, there, "expected {expected}");
            assert!(looks.get() < 100, "{} looks", looks.get());
        }
    }

    #[test]
    fn without_a_hint_old_segments_are_not_found() {
        assert_eq!(available(500, |at| (90..100).contains(&at)), 0..0);
    }
}

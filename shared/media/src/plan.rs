//! Where to cut, from times alone: no media is needed to test it.

/// Where decoding begins and which frame is the first of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The first frame shown.
    pub(crate) base: i64,
}

/// How the packets of the last GOPs of a clip are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// So many packets, in decoding order, are copied.
    pub(crate) copied: usize,
    /// Frames after these and before mark-out have to be encoded.
    pub(crate) encoded: usize,
}

/// Cuts before `mark_out`. `times` are the PTS of packets in decoding order; every later packet is shown at or after
/// `mark_out`.
///
/// A cut after the n-th packet is clean if all n are shown before all others: then a decoder that gets just these shows
/// just these, without a hole. The last clean cut before mark-out leaves the fewest frames to encode: none at all without
/// B-frames, and rarely more than two with them.
pub(crate) fn cut_tail(times: &[i64], mark_out: i64) -> Tail {
    let mut latest = i64::MIN;
    let mut copied = 0;
    let earliest_after = suffix_minimum(times);
    for (index, time) in times.iter().enumerate() {
        latest = latest.max(*time);
        if latest >= mark_out {
            break;
        }
        if latest < earliest_after[index + 1] {
            copied = index + 1;
        }
    }
    Tail { copied, encoded: times[copied..].iter().filter(|time| **time < mark_out).count() }
}

/// How many packets, in decoding order, a cut needs that encodes nothing: the first clean cut that has all frames before
/// `mark_out`.
pub(crate) fn cut_after(times: &[i64], mark_out: i64) -> usize {
    let earliest_after = suffix_minimum(times);
    let mut latest = i64::MIN;
    for (index, earliest) in earliest_after.iter().enumerate() {
        if *earliest >= mark_out && latest < *earliest {
            return index;
        }
        if let Some(time) = times.get(index) {
            latest = latest.max(*time);
        }
    }
    times.len()
}

/// For each index, the least of `times` from there on.
fn suffix_minimum(times: &[i64]) -> Vec<i64> {
    let mut least = vec![i64::MAX; times.len() + 1];
    for index in (0..times.len()).rev() {
        least[index] = least[index + 1].min(times[index]);
    }
    least
}

/// Whether the first frame shown at or after mark-in is settled by `times`, the PTS of the packets read so far in decoding
/// order: it is once a packet is to be decoded no earlier than that frame is shown, since every later one is shown later.
pub(crate) fn settle_start(times: &[i64], mark_in: i64, next_dts: Option<i64>) -> Option<Start> {
    let base = times.iter().copied().filter(|time| *time >= mark_in).min()?;
    next_dts.is_none_or(|dts| dts >= base).then_some(Start { base })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[i64], mark_out: i64, copied: usize, encoded: usize) {
        assert_eq!(cut_tail(times, mark_out), Tail { copied, encoded }, "{times:?} before {mark_out}");
    }

    #[test]
    fn without_b_frames_nothing_is_encoded() {
        check(&[0, 1, 2, 3, 4], 3, 3, 0);
        check(&[0, 1, 2], 9, 3, 0);
        check(&[5, 6], 5, 0, 0);
    }

    #[test]
    fn a_mark_inside_a_run_of_b_frames_leaves_only_these_to_encode() {
        // I P b b P b b
        let times = [0, 3, 1, 2, 6, 4, 5];
        check(&times, 4, 4, 0);
        check(&times, 5, 4, 1);
        check(&times, 6, 4, 2);
        check(&times, 7, 7, 0);
        check(&times, 2, 1, 1);
    }

    #[test]
    fn leading_pictures_of_the_next_gop_are_encoded() {
        // I P, then an I at 6 whose leading pictures are 4 and 5.
        check(&[0, 3, 1, 2, 6, 4, 5], 6, 4, 2);
    }

    #[test]
    fn a_copy_that_encodes_nothing_ends_at_the_next_clean_cut() {
        let times = [0, 3, 1, 2, 6, 4, 5, 7];
        assert_eq!(cut_after(&times, 4), 4);
        assert_eq!(cut_after(&times, 5), 7);
        assert_eq!(cut_after(&times, 3), 4);
        assert_eq!(cut_after(&times, 99), 8);
        assert_eq!(cut_after(&times, 0), 0);
    }

    #[test]
    fn the_start_is_settled_only_when_no_earlier_frame_can_come() {
        // Mark-in 2: after I0 P3 the frame at 2 is still to come.
        assert_eq!(settle_start(&[0, 3], 2, Some(1)), None);
        assert_eq!(settle_start(&[0, 3, 1, 2], 2, Some(2)), Some(Start { base: 2 }));
        assert_eq!(settle_start(&[0, 3], 2, None), Some(Start { base: 3 }));
        assert_eq!(settle_start(&[0], 2, None), None);
    }
}

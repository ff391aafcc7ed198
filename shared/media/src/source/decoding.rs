//! Decoding times, where a container has none: Matroska says only when a frame is shown.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Gives the frames of one video track the times at which they are decoded, from those at which they are shown.
///
/// A decoder that holds `delay` frames back shows the earliest that it has each time it gets another. So the n-th frame is
/// decoded when the n-th earliest is shown, less the delay: then every frame is decoded before it is shown, and in order.
pub(super) struct DecodingTimes {
    delay: usize,
    frame: i64,
    held: BinaryHeap<Reverse<i64>>,
    /// Frames so far, as long as fewer than `delay`, and the first's time.
    begun: usize,
    first: i64,
}

impl DecodingTimes {
    /// For a track whose decoder holds `delay` frames back, and whose frames last `frame` ticks.
    pub(super) fn new(delay: usize, frame: i64) -> Self {
        Self { delay, frame, held: BinaryHeap::new(), begun: 0, first: 0 }
    }

    /// Forgets the frames so far: reading goes on elsewhere.
    pub(super) fn restart(&mut self) {
        self.held.clear();
        self.begun = 0;
    }

    /// When the next frame, shown at `pts`, is decoded.
    pub(super) fn next(&mut self, pts: i64) -> i64 {
        if self.begun == 0 {
            self.first = pts;
        }
        self.held.push(Reverse(pts));
        if self.held.len() > self.delay
            && let Some(Reverse(dts)) = self.held.pop()
        {
            return dts.min(pts);
        }
        self.begun += 1;
        let lead = (self.delay + 1).saturating_sub(self.begun) as i64;
        self.first.saturating_sub(lead.saturating_mul(self.frame)).min(pts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(delay: usize, shown: &[i64]) -> Vec<i64> {
        let mut decoding = DecodingTimes::new(delay, 1);
        shown.iter().map(|pts| decoding.next(*pts)).collect()
    }

    #[test]
    fn frames_are_decoded_in_order_and_before_they_are_shown() {
        assert_eq!(times(0, &[0, 1, 2]), [0, 1, 2]);
        assert_eq!(times(1, &[0, 2, 1, 4, 3]), [-1, 0, 1, 2, 3]);
        assert_eq!(times(2, &[0, 4, 2, 1, 3, 8]), [-2, -1, 0, 1, 2, 3]);
    }
}

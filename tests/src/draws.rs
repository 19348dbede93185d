//! Numbers to draw tests from, the same in every run.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "test support: a test fails by panicking")]

/// Steele, Lea and Flood's SplitMix64: enough to draw calls with, and the same draws in every run.
#[derive(Clone, Debug)]
pub struct Draws(pub u64);

impl Draws {
    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("an index")]
    }
}

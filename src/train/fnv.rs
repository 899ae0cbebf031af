//! FNV-1a in 64 bits (Fowler, Noll, Vo): checksums and choices that are the same on every machine.
//!
//! In: bytes. Out: a number. It detects accidental changes, not deliberate ones: collisions are easy to construct.

/// The hash of the bytes so far.
#[derive(Clone, Copy)]
pub(in crate::train) struct Fnv1a(u64);

impl Fnv1a {
    pub fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }

    pub fn value(self) -> u64 {
        self.0
    }

    /// Sixteen hexadecimal digits.
    pub fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    /// Of a whole text.
    pub fn of(text: &str) -> u64 {
        let mut hash = Self::new();
        hash.add(text.as_bytes());
        hash.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(Fnv1a::of(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Fnv1a::of("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(Fnv1a::of("foobar"), 0x8594_4171_f739_67e8);
    }
}

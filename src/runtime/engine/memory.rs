//! Memory that begins at a cache line, so that no vector in it crosses one.

/// One cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

pub(super) const LINE_BYTES: usize = 64;

/// A fixed number of bytes, initially zero.
pub(super) struct Memory(Vec<Line>);

impl Memory {
    /// At least `bytes` bytes.
    pub fn new(bytes: usize) -> Self {
        Self(vec![Line([0; LINE_BYTES]); bytes.div_ceil(LINE_BYTES)])
    }

    /// A copy of `values`, padded with zeros to whole lines.
    pub fn of(values: &[f32]) -> Self {
        Self::of_bytes(&values.iter().flat_map(|v| v.to_ne_bytes()).collect::<Vec<_>>())
    }

    /// As [`Self::of`].
    pub fn of_bytes(values: &[u8]) -> Self {
        let mut memory = Self::new(values.len());
        memory.write(0, values);
        memory
    }

    /// Copies `values` to the bytes from `at` on.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn write(&mut self, at: usize, values: &[u8]) {
        assert!(at + values.len() <= self.bytes());
        // SAFETY: the memory has room for the values; they don't overlap, because the borrow of the memory is
        // exclusive.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.pointer_mut().add(at), values.len()) };
    }

    /// Sets a range of bytes to zero.
    ///
    /// # Panics
    /// If the range ends beyond the memory.
    pub fn clear(&mut self, range: std::ops::Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.bytes());
        // SAFETY: the range lies in the memory, whose borrow is exclusive.
        unsafe { self.pointer_mut().add(range.start).write_bytes(0, range.len()) };
    }

    pub fn bytes(&self) -> usize {
        self.0.len() * LINE_BYTES
    }

    pub fn pointer(&self) -> *const u8 {
        self.0.as_ptr().cast()
    }

    pub fn pointer_mut(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }

    /// `count` f32 values from byte `at` on.
    ///
    /// # Panics
    /// If they end beyond the memory, or `at` is not a multiple of four.
    pub fn floats(&self, at: usize, count: usize) -> &[f32] {
        assert!(at.is_multiple_of(4) && at + count * 4 <= self.bytes());
        // SAFETY: the range lies in the memory and is aligned for `f32`, for which every bit pattern is valid.
        unsafe { std::slice::from_raw_parts(self.pointer().add(at).cast(), count) }
    }
}

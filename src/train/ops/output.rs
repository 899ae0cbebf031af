//! The output of kernels: one vector, in parts that threads write at the same time.
//!
//! In: the caller's vector. Out: the same vector with new contents; its memory is not cleared in between.

/// The output of a kernel; ranges of different threads don't overlap.
#[derive(Clone, Copy)]
pub(super) struct Out(*mut f32);

// SAFETY: every thread writes its own range of pixels only.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

impl Out {
    /// The first number.
    pub fn pointer(self) -> *mut f32 {
        self.0
    }
}

/// Replaces the contents of `out` by `length` numbers, all written by `write` through its pointer. The memory of `out`
/// is reused if it is large enough, and not cleared first.
///
/// # Safety
/// `write` must write every one of the `length` numbers.
pub(super) unsafe fn fill(out: &mut Vec<f32>, length: usize, write: impl FnOnce(Out)) {
    out.clear();
    out.reserve_exact(length);
    write(Out(out.as_mut_ptr()));
    // SAFETY: `write` has written them by this function's contract.
    unsafe { out.set_len(length) };
}

//! Sums of the bytes of neighbouring rows, for means of blocks of pixels.

/// Adds the bytes to the sums; the first row of a block replaces them. At most 257 rows fit.
#[inline(always)]
pub(crate) fn add_row(sums: &mut [u16], row: &[u8], is_first: bool) {
    if is_first {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum = u16::from(value));
    } else {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += u16::from(value));
    }
}

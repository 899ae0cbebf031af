//! Declarations of `linux/videodev2.h`, a drop-in for the published crate of this name.
//!
//! The published crate generates them when it is built and so needs libclang; here they are checked in. One file
//! serves every 64-bit little-endian Linux: generated for x86-64 and for aarch64 it was the same (ARCHITECTURE.md
//! says how to make it anew).
#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals, dead_code, clippy::all)]

#[cfg(not(all(target_pointer_width = "64", target_endian = "little")))]
compile_error!("these V4L2 declarations are for 64-bit little-endian machines; leave the `camera` feature off");

include!("bindings.rs");

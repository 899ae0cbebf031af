//! `--device`: the CPU or a GPU.

use crate::train::gpu::{Gpu, GpuKind};
use anyhow::Result;

/// The device to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DeviceChoice {
    /// When training, the GPU that awing was built for, if there is one; otherwise the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU (needs a build with `--features cuda`).
    Cuda,
    /// An Apple GPU (needs a build with `--features metal`).
    Metal,
}

impl DeviceChoice {
    /// Opens the GPU; `None` is the CPU.
    ///
    /// # Errors
    /// If the named GPU is missing from this computer or this build.
    pub(super) fn open(self) -> Result<Option<Gpu>> {
        match self {
            Self::Cpu => Ok(None),
            Self::Auto if cfg!(feature = "cuda") => Ok(Gpu::open(GpuKind::Cuda).ok()),
            Self::Auto if cfg!(feature = "metal") => Ok(Gpu::open(GpuKind::Metal).ok()),
            Self::Auto => Ok(None),
            Self::Cuda => Ok(Some(Gpu::open(GpuKind::Cuda)?)),
            Self::Metal => Ok(Some(Gpu::open(GpuKind::Metal)?)),
        }
    }

    /// The GPU, if one was named. Tracking uses one only on request: the CPU finishes a small network before a GPU has
    /// started.
    pub(super) fn named_gpu(self) -> Option<GpuKind> {
        match self {
            Self::Auto | Self::Cpu => None,
            Self::Cuda => Some(GpuKind::Cuda),
            Self::Metal => Some(GpuKind::Metal),
        }
    }
}

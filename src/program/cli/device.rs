//! `--device`: where candle computes.

use crate::train::gpu::{Gpu, GpuKind};
use anyhow::Result;
use candle_core::Device;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum DeviceChoice {
    /// The GPU that awing was built for, if there is one, else the CPU.
    Auto,
    Cpu,
    /// An NVIDIA GPU (needs a build with `--features cuda`).
    Cuda,
    /// An Apple GPU (needs a build with `--features metal`).
    Metal,
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If a GPU is named that this computer or this build does not have.
    pub(super) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if cfg!(feature = "cuda") => Ok(Self::gpu_or_cpu(GpuKind::Cuda)),
            Self::Auto if cfg!(feature = "metal") => Ok(Self::gpu_or_cpu(GpuKind::Metal)),
            Self::Auto => Ok(Device::Cpu),
            Self::Cuda => Ok(Gpu::open(GpuKind::Cuda)?.device().clone()),
            Self::Metal => Ok(Gpu::open(GpuKind::Metal)?.device().clone()),
        }
    }

    fn gpu_or_cpu(kind: GpuKind) -> Device {
        Gpu::open(kind).map_or(Device::Cpu, |gpu| gpu.device().clone())
    }

    /// The GPU, if one was named. Tracking uses one only if told to: a small network is done on the CPU before a GPU has
    /// started.
    pub(super) fn named_gpu(self) -> Option<GpuKind> {
        match self {
            Self::Auto | Self::Cpu => None,
            Self::Cuda => Some(GpuKind::Cuda),
            Self::Metal => Some(GpuKind::Metal),
        }
    }
}

//! `--device`: where candle computes.

use anyhow::{Context, Result};
use candle_core::Device;

/// Where to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
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
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if cfg!(feature = "cuda") => Ok(Device::new_cuda(0).unwrap_or(Device::Cpu)),
            Self::Auto if cfg!(feature = "metal") => Ok(Device::new_metal(0).unwrap_or(Device::Cpu)),
            Self::Auto => Ok(Device::Cpu),
            Self::Cuda => Device::new_cuda(0)
                .context("no CUDA device: this needs an NVIDIA GPU with its driver, and a build with --features cuda"),
            Self::Metal => {
                Device::new_metal(0).context("no Metal device: this needs a Mac, and a build with --features metal")
            }
        }
    }
}

//! `--device`: where candle computes.

use crate::engine::Accelerator;
use anyhow::Result;
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
            Self::Auto if cfg!(feature = "cuda") => Ok(Accelerator::Cuda.open().unwrap_or(Device::Cpu)),
            Self::Auto if cfg!(feature = "metal") => Ok(Accelerator::Metal.open().unwrap_or(Device::Cpu)),
            Self::Auto => Ok(Device::Cpu),
            Self::Cuda => Ok(Accelerator::Cuda.open()?),
            Self::Metal => Ok(Accelerator::Metal.open()?),
        }
    }

    /// The GPU, if one was named. Tracking leaves the choice to whoever gives the command: a small network is done on the
    /// CPU before a GPU has started.
    pub fn named_accelerator(self) -> Option<Accelerator> {
        match self {
            Self::Auto | Self::Cpu => None,
            Self::Cuda => Some(Accelerator::Cuda),
            Self::Metal => Some(Accelerator::Metal),
        }
    }
}

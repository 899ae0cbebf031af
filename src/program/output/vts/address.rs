//! The address of VTube Studio.

use crate::program::output::address::{resolve, split};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::net::SocketAddr;

/// The default address of its API.
const USUAL_PORT: u16 = 8001;

/// The address of its WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct VtsAddress {
    /// Without a path.
    pub(super) url: String,
    pub(super) sockets: Vec<SocketAddr>,
}

impl VtsAddress {
    /// Checks that `name` can be an address.
    ///
    /// # Errors
    /// If it can't be.
    pub(crate) fn check(name: &str) -> Result<()> {
        parsed(name).map(drop).with_context(|| format!("--vts {name}"))
    }

    /// Finds `name`: ws://HOST:PORT, HOST:PORT or HOST.
    ///
    /// # Errors
    /// If there is no such host or port.
    pub(crate) fn find(name: &str) -> Result<Self> {
        Self::find_host(name).with_context(|| format!("--vts {name}"))
    }

    fn find_host(name: &str) -> Result<Self> {
        let (host, port) = parsed(name)?;
        let sockets = resolve(host, port)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Ok(Self { url: format!("ws://{host}:{port}"), sockets })
    }
}

/// The host and the port.
fn parsed(name: &str) -> Result<(&str, u16)> {
    let host = match name.split_once("://") {
        None => name,
        Some(("ws", host)) => host.strip_suffix('/').unwrap_or(host),
        Some(_) => bail!("the address has to begin with ws://, as in ws://127.0.0.1:{USUAL_PORT}"),
    };
    split(host, USUAL_PORT)
}

impl fmt::Display for VtsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--vts {}", self.url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_by_address_or_by_host() {
        for (name, url) in [
            ("ws://127.0.0.1:8001", "ws://127.0.0.1:8001"),
            ("ws://127.0.0.1:9/", "ws://127.0.0.1:9"),
            ("127.0.0.1", "ws://127.0.0.1:8001"),
            ("ws://[::1]:9", "ws://[::1]:9"),
        ] {
            assert_eq!(VtsAddress::find(name).unwrap().url, url, "{name}");
        }
        for name in ["wss://127.0.0.1:8001", "http://127.0.0.1", "ws://", "ws://127.0.0.1:port", "ws://nowhere.invalid"]
        {
            assert!(format!("{:#}", VtsAddress::find(name).unwrap_err()).starts_with(&format!("--vts {name}: ")));
        }
    }
}

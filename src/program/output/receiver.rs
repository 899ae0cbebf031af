//! The receivers of signals.
//!
//! In: HOST or HOST:PORT as typed. Out: a socket connected to the first usable address of the host. IPv4 comes first:
//! most receivers listen to nothing else. Fails if there is none, naming the option.

use super::address::{resolve, split};
use super::vmc::VmcShapes;
use anyhow::{Context, Result};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// The format of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    OpenSeeFace,
    Vmc(VmcShapes),
    IFacialMocap,
}

impl Protocol {
    /// Its option.
    fn option(self) -> &'static str {
        match self {
            Self::OpenSeeFace => "--osf",
            Self::Vmc(_) => "--vmc",
            Self::IFacialMocap => "--ifacialmocap",
        }
    }

    /// The default port of its receivers.
    fn port(self) -> u16 {
        match self {
            Self::OpenSeeFace => 11573,
            Self::Vmc(_) => 39539,
            Self::IFacialMocap => 49983,
        }
    }
}

/// A resolved receiver.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub protocol: Protocol,
    /// As typed.
    name: String,
    /// Never blocks.
    pub socket: Arc<UdpSocket>,
}

impl Receiver {
    /// Checks that `name` can be HOST or HOST:PORT.
    ///
    /// # Errors
    /// If it can't be.
    pub(crate) fn check(protocol: Protocol, name: &str) -> Result<()> {
        split(name, protocol.port()).map(drop).with_context(|| format!("{} {name}", protocol.option()))
    }

    /// Resolves the receiver `name`, which is HOST or HOST:PORT.
    ///
    /// # Errors
    /// If there is no such host or port, or nothing can be sent there.
    pub(crate) fn find(protocol: Protocol, name: &str) -> Result<Self> {
        let socket = connect(name, protocol.port()).with_context(|| format!("{} {name}", protocol.option()))?;
        Ok(Self { protocol, name: name.into(), socket: Arc::new(socket) })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol.option(), self.name)
    }
}

fn connect(name: &str, usual_port: u16) -> Result<UdpSocket> {
    let (host, port) = split(name, usual_port)?;
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for address in resolve(host, port)? {
        result = connect_to(address);
        if result.is_ok() {
            break;
        }
    }
    result.context("nothing can be sent to this address")
}

fn connect_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_found_at_its_usual_port_over_ipv4() {
        let receiver = Receiver::find(Protocol::OpenSeeFace, "localhost").unwrap();
        assert_eq!(receiver.socket.peer_addr().unwrap(), "127.0.0.1:11573".parse().unwrap());
    }
}

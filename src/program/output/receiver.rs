//! Who is sent to.
//!
//! In: HOST or HOST:PORT as typed. Out: a socket that is connected to the first of the host's addresses that can be used.
//! IPv4 comes first: most receivers listen to nothing else. Fails if there is none, naming the option.

use super::vmc::VmcShapes;
use anyhow::{Context, Result, bail, ensure};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    OpenSeeFace,
    Vmc(VmcShapes),
    IFacialMocap,
}

impl Protocol {
    /// The option that asks for it.
    fn option(self) -> &'static str {
        match self {
            Self::OpenSeeFace => "--osf",
            Self::Vmc(_) => "--vmc",
            Self::IFacialMocap => "--ifacialmocap",
        }
    }

    /// Where its receivers usually listen.
    fn port(self) -> u16 {
        match self {
            Self::OpenSeeFace => 11573,
            Self::Vmc(_) => 39539,
            Self::IFacialMocap => 49983,
        }
    }
}

/// A receiver that was found.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub protocol: Protocol,
    /// As typed.
    name: String,
    /// Never blocks.
    pub socket: Arc<UdpSocket>,
}

impl Receiver {
    /// Finds the receiver `name`, which is HOST or HOST:PORT.
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
    let addresses = (host, port).to_socket_addrs().with_context(|| format!("cannot find the host \"{host}\""))?;
    let mut addresses: Vec<SocketAddr> = addresses.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut result = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for address in addresses {
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

/// Host and port; addresses of IPv6 with a port are in brackets.
fn split(name: &str, usual_port: u16) -> Result<(&str, u16)> {
    let (host, port) = if let Some((host, rest)) = name.strip_prefix('[').and_then(|name| name.split_once(']')) {
        match rest.strip_prefix(':') {
            None if !rest.is_empty() => bail!("behind the \"]\" only a port can follow, as in [::1]:{usual_port}"),
            port => (host, port),
        }
    } else {
        match name.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (name, None),
            Some((host, port)) => (host, Some(port)),
            None => (name, None),
        }
    };
    ensure!(!host.is_empty(), "the host is missing, as in 127.0.0.1:{usual_port}");
    let port = match port {
        None => usual_port,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => bail!("\"{port}\" is no port: it has to be a number from 1 to {}", u16::MAX),
        },
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_come_with_a_port_or_without() {
        for (name, expected) in [
            ("127.0.0.1", ("127.0.0.1", 7)),
            ("localhost:99", ("localhost", 99)),
            ("::1", ("::1", 7)),
            ("[::1]", ("::1", 7)),
            ("[::1]:99", ("::1", 99)),
        ] {
            assert_eq!(split(name, 7).unwrap(), expected, "{name}");
        }
        for name in ["", ":99", "localhost:", "localhost:0", "localhost:65536", "localhost:osc", "[::1]99", "[]:99"] {
            let error = split(name, 7).unwrap_err().to_string();
            assert!(error.contains("port") || error.contains("host"), "{name}: {error}");
        }
    }

    #[test]
    fn a_receiver_is_found_at_its_usual_port_over_ipv4() {
        let receiver = Receiver::find(Protocol::OpenSeeFace, "localhost").unwrap();
        assert_eq!(receiver.socket.peer_addr().unwrap(), "127.0.0.1:11573".parse().unwrap());
    }
}

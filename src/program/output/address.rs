//! Parses typed addresses: HOST or HOST:PORT; an IPv6 address with a port is in brackets.

use anyhow::{Context, Result, bail, ensure};
use std::net::{SocketAddr, ToSocketAddrs};

/// The host and port of `name`.
///
/// # Errors
/// If the host is missing or can't be one, or the port is not a number from 1 to 65535.
pub(super) fn split(name: &str, usual_port: u16) -> Result<(&str, u16)> {
    let (host, port) = if let Some((host, rest)) = name.strip_prefix('[').and_then(|name| name.split_once(']')) {
        match rest.strip_prefix(':') {
            None if !rest.is_empty() => bail!("after the \"]\" only a port can follow, as in [::1]:{usual_port}"),
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
    let is_name = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte) || !byte.is_ascii());
    ensure!(is_name, "\"{host}\" is no host: it has to be a name or a number, as in 127.0.0.1:{usual_port}");
    let is_number = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(!is_number, "the host is missing before the port, as in 127.0.0.1:{host}");
    let port = match port {
        None => usual_port,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => bail!("\"{port}\" is no port: it has to be a number from 1 to {}", u16::MAX),
        },
    };
    Ok((host, port))
}

/// The addresses of a host. IPv4 comes first: most programs listen to nothing else.
///
/// # Errors
/// If there is no such host.
pub(super) fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let addresses = (host, port).to_socket_addrs().with_context(|| format!("cannot find the host \"{host}\""))?;
    let mut addresses: Vec<SocketAddr> = addresses.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
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
        for name in [
            "",
            ":99",
            "99",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:osc",
            "[::1]99",
            "[]:99",
            "http://localhost:99",
            "local host:99",
        ] {
            let error = split(name, 7).unwrap_err().to_string();
            assert!(error.contains("port") || error.contains("host"), "{name}: {error}");
        }
    }
}

//! The address that the server listens on.
//!
//! In: HOST or HOST:PORT as typed. Out: a listening socket, before a session starts; the access rules; and the address
//! for the browser. If listening fails, the error has a remedy.

use super::guard::Guard;
use crate::program::output::address::{resolve, split};
use crate::program::output::secret;
use anyhow::{Context, Result, anyhow};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

/// The default port.
pub(super) const USUAL_PORT: u16 = 8098;
/// The name of the token's file.
const TOKEN: &str = "serve-token";
/// The digits of a token.
const TOKEN_LENGTH: usize = 32;

/// A socket that listens.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(super) socket: Arc<TcpListener>,
    pub(super) guard: Arc<Guard>,
    url: String,
}

impl Listener {
    /// Checks that `name` can be HOST or HOST:PORT.
    ///
    /// # Errors
    /// If it can't be.
    pub(crate) fn check(name: &str) -> Result<()> {
        split(name, USUAL_PORT).map(drop).with_context(|| format!("--serve {name}"))
    }

    /// Listens to `name`, which is HOST or HOST:PORT.
    ///
    /// # Errors
    /// If there is no such host, or the port is taken.
    pub(crate) fn bind(name: &str) -> Result<Self> {
        Self::bind_to(name).with_context(|| format!("--serve {name}"))
    }

    fn bind_to(name: &str) -> Result<Self> {
        let (host, port) = split(name, USUAL_PORT)?;
        let addresses = resolve(host, port)?;
        let socket = TcpListener::bind(addresses.as_slice()).map_err(|error| in_words(error, port))?;
        let address = socket.local_addr().context("cannot listen")?;
        let token = if address.ip().is_loopback() { None } else { Some(token()?) };
        let shown = SocketAddr::new(reachable(address.ip()), address.port());
        let url = match &token {
            None => format!("http://{shown}/"),
            Some(token) => format!("http://{shown}/?token={token}"),
        };
        Ok(Self { socket: Arc::new(socket), guard: Arc::new(Guard::new(host, token)), url })
    }

    /// The address to open in a browser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn in_words(error: io::Error, port: u16) -> anyhow::Error {
    let other_port = if port < u16::MAX { port + 1 } else { USUAL_PORT };
    match error.kind() {
        io::ErrorKind::AddrInUse => anyhow!(
            "another program listens there, perhaps another awing: end it, or use another port, as in \
             --serve 127.0.0.1:{other_port}"
        ),
        io::ErrorKind::AddrNotAvailable => anyhow!(
            "this is no address of this computer: 127.0.0.1:{port} is for browsers on this computer, 0.0.0.0:{port} for \
             all that reach it"
        ),
        io::ErrorKind::PermissionDenied => {
            anyhow!("this port needs special rights: use one above 1023, as in --serve 127.0.0.1:{USUAL_PORT}")
        }
        _ => anyhow!(error).context("cannot listen to this address"),
    }
}

/// The token of this computer, the same at each start, so that saved addresses stay valid. If it can't be stored, it is
/// new each time.
fn token() -> Result<String> {
    let is_token = |text: &String| text.len() == TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if let Some(token) = secret::stored(TOKEN).filter(is_token) {
        return Ok(token);
    }
    let token = secret::random()?;
    if let Err(error) = secret::store(TOKEN, &token) {
        tracing::warn!("--serve: the token is valid only for this run: {error:#}");
    }
    Ok(token)
}

/// An address under which others reach a server that listens to `ip`, if that is all of them: the one that this
/// computer would send from. Nothing is sent.
fn reachable(ip: IpAddr) -> IpAddr {
    if !ip.is_unspecified() {
        return ip;
    }
    let far = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect(far)?;
        socket.local_addr()
    });
    own.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |own| own.ip())
}

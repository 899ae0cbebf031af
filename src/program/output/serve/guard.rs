//! Access control.
//!
//! In: the head of a request. Out: the reason if it is refused. A page of another site can't read the served data: its
//! requests carry its own origin, and if one of its names points here, they carry that name as the host.

use super::http::Request;
use std::net::IpAddr;

/// The requirements on a request.
#[derive(Debug)]
pub(super) struct Guard {
    /// The host that was typed.
    host: String,
    /// `None`: only this computer is listened to.
    token: Option<String>,
}

/// Why a request is refused, with the status of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: &'static str,
    pub reason: &'static str,
}

const WRONG_HOST: Refusal = Refusal {
    status: "403 Forbidden",
    reason: "this name is not the server's: open the address that awing printed, or give awing the name: --serve NAME:PORT",
};
const WRONG_ORIGIN: Refusal =
    Refusal { status: "403 Forbidden", reason: "pages of other sites must not read from here" };
const WRONG_TOKEN: Refusal = Refusal {
    status: "403 Forbidden",
    reason: "the token is missing or wrong: open the full address that awing printed",
};

impl Guard {
    pub(super) fn new(host: &str, token: Option<String>) -> Self {
        Self { host: host.to_owned(), token }
    }

    /// Why the request is refused altogether.
    pub(super) fn refusal(&self, request: &Request) -> Option<Refusal> {
        let Some(host) = &request.host else { return Some(WRONG_HOST) };
        if !self.is_own(name_of(host)) {
            return Some(WRONG_HOST);
        }
        let is_same =
            |origin: &String| origin.strip_prefix("http://").is_some_and(|site| site.eq_ignore_ascii_case(host));
        (!request.origin.as_ref().is_none_or(is_same)).then_some(WRONG_ORIGIN)
    }

    /// Why the request gets no faces.
    pub(super) fn refusal_of_faces(&self, request: &Request) -> Option<Refusal> {
        let token = self.token.as_ref()?;
        let is_right = request.parameter("token").is_some_and(|given| is_equal(given.as_bytes(), token.as_bytes()));
        (!is_right).then_some(WRONG_TOKEN)
    }

    /// Whether no outside site can point this name here. Names without a dot and those of `.local` belong to the local
    /// network.
    fn is_own(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("localhost") || name.eq_ignore_ascii_case(&self.host) {
            return true;
        }
        let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>();
        match (&self.token, ip) {
            (None, ip) => ip.is_ok_and(|ip| ip.is_loopback()),
            (Some(_), Ok(_)) => true,
            (Some(_), Err(_)) => {
                let name = name.to_ascii_lowercase();
                !name.is_empty() && (!name.contains('.') || name.ends_with(".local"))
            }
        }
    }
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Compares in constant time.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| std::hint::black_box(difference | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(host: &str, origin: Option<&str>, query: &str) -> Request {
        let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
        let head = format!("GET /ws{query} HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        Request::parse(head.as_bytes()).unwrap()
    }

    #[test]
    fn names_that_a_site_made_lead_here_and_origins_of_other_sites_are_refused() {
        let here = Guard::new("127.0.0.1", None);
        let refusal = |host: &str, origin: Option<&str>| here.refusal(&request(host, origin, ""));
        for host in ["127.0.0.1:8098", "localhost:8098", "LOCALHOST", "[::1]:8098", "127.0.0.2:1"] {
            assert_eq!(refusal(host, None), None, "{host}");
            assert_eq!(refusal(host, Some(&format!("http://{host}"))), None, "{host}");
        }
        for host in ["evil.example", "evil.example:8098", "192.168.1.7:8098", "localhost.evil.example", "", "box"] {
            assert_eq!(refusal(host, None), Some(WRONG_HOST), "{host}");
        }
        for origin in ["http://evil.example", "null", "https://127.0.0.1:8098", "http://127.0.0.1:80", "file://"] {
            assert_eq!(refusal("127.0.0.1:8098", Some(origin)), Some(WRONG_ORIGIN), "{origin}");
        }
    }

    #[test]
    fn other_computers_need_the_token_and_an_address_or_a_local_name() {
        let guard = Guard::new("studio.example", Some("0123456789abcdef".into()));
        for host in ["192.168.1.7:8098", "[fe80::1]:8098", "jetson:8098", "jetson.local", "studio.example:8098"] {
            assert_eq!(guard.refusal(&request(host, None, "")), None, "{host}");
        }
        assert_eq!(guard.refusal(&request("evil.example:8098", None, "")), Some(WRONG_HOST));
        let of_faces = |query: &str| guard.refusal_of_faces(&request("192.168.1.7", None, query));
        assert_eq!(of_faces("?token=0123456789abcdef"), None);
        assert_eq!(of_faces("?page&token=0123456789abcdef&picture"), None);
        for query in ["", "?token=", "?token=0123456789abcdeF", "?token=0123456789abcde", "?nottoken=0123456789abcdef"]
        {
            assert_eq!(of_faces(query), Some(WRONG_TOKEN), "{query}");
        }
        assert_eq!(Guard::new("127.0.0.1", None).refusal_of_faces(&request("127.0.0.1", None, "")), None);
    }
}

//! The thread that sends to VTube Studio.
//!
//! In: the newest frame. Out: values, once the user has allowed it there. While VTube Studio is not running, awing
//! tries to connect every two seconds, and reports that once.

use super::address::VtsAddress;
use super::client::{Client, Failure, PATIENCE};
use super::parameters::{Parameters, name_of, shapes};
use crate::program::console::say;
use crate::program::latest::Latest;
use crate::program::output::secret;
use crate::program::output::snapshot::Snapshot;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

/// The name of the token's file.
const TOKEN: &str = "vts-token";
/// The shortest and the longest interval between values: VTube Studio releases values that are not repeated.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(16);
const LONGEST_INTERVAL: Duration = Duration::from_millis(33);
/// How long the last values are repeated while no frame arrives.
const HELD: Duration = Duration::from_secs(1);
/// How long the user may take to answer.
const PATIENCE_WITH_PERSON: Duration = Duration::from_secs(600);
/// How often awing tries to connect.
const RETRY: Duration = Duration::from_secs(2);

/// Errors of VTube Studio: who was asked said no; is being asked; the request comes before the permission; a parameter
/// was deleted; another plugin sets it.
const DENIED: i64 = 50;
const IS_ASKING: i64 = 51;
const NOT_AUTHENTICATED: i64 = 8;
const NO_SUCH_PARAMETER: i64 = 453;
const SET_BY_ANOTHER: i64 = 454;

/// Sends values until the session ends or the user refuses.
pub(in crate::program::output) fn run(address: &VtsAddress, latest: &Latest<Snapshot>) {
    let mut plugin = Plugin {
        address,
        latest,
        parameters: Parameters::default(),
        is_reported: false,
        has_asked: false,
        complaints: HashSet::new(),
    };
    loop {
        match plugin.connection() {
            Failure::Over => return,
            Failure::Refused { code: DENIED, .. } => {
                return tracing::warn!(
                    "{address}: VTube Studio does not allow awing, so nothing is sent; awing asks again at its next start"
                );
            }
            Failure::Refused { code: IS_ASKING, .. } => {}
            Failure::Refused { code, message } => {
                plugin.report(&format!("VTube Studio refuses: {message} (error {code})"))
            }
            Failure::Gone(reason) => {
                plugin.report(&format!(
                    "VTube Studio isn't there ({reason}): start it, and switch on its plugin API in its settings"
                ));
            }
        }
        let start = Instant::now();
        while start.elapsed() < RETRY {
            if latest.is_closed() {
                return;
            }
            thread::sleep(RETRY / 20);
        }
    }
}

struct Plugin<'a> {
    address: &'a VtsAddress,
    latest: &'a Latest<Snapshot>,
    parameters: Parameters,
    /// Whether the reason for not sending was reported.
    is_reported: bool,
    /// Whether the need for permission was reported.
    has_asked: bool,
    /// Errors that were reported.
    complaints: HashSet<i64>,
}

impl Plugin<'_> {
    /// Why nothing is sent, once until something is.
    fn report(&mut self, reason: &str) {
        if !std::mem::replace(&mut self.is_reported, true) {
            tracing::warn!("{}: {reason}; tracking goes on, and awing keeps trying", self.address);
        }
    }

    /// Sends over one connection for as long as it lasts.
    fn connection(&mut self) -> Failure {
        let latest = self.latest;
        let is_over = || latest.is_closed();
        let sent = Client::connect(self.address, &is_over).and_then(|mut client| {
            self.authenticate(&mut client)?;
            let usable = self.create_parameters(&mut client)?;
            say(&format!("{}: VTube Studio is there, and faces are sent", self.address));
            (self.is_reported, self.has_asked) = (false, false);
            self.send_frames(&mut client, usable)
        });
        sent.err().unwrap_or(Failure::Over)
    }

    /// Gets permission: with the stored token, or from the user.
    fn authenticate(&mut self, client: &mut Client) -> Result<(), Failure> {
        let kept = secret::stored(TOKEN);
        if let Some(token) = &kept
            && refusal_of(token, client)?.is_none()
        {
            return Ok(());
        }
        if !std::mem::replace(&mut self.has_asked, true) {
            let again = if kept.is_some() { " again, since it no longer knows awing's token" } else { "" };
            say(&format!("{}: VTube Studio asks{again} whether it may be controlled: allow awing there", self.address));
        }
        let answer = client.ask("AuthenticationToken", &plugin(), PATIENCE_WITH_PERSON)?;
        let token = answer["authenticationToken"].as_str().ok_or_else(|| Failure::Gone("it gave no token".into()))?;
        if let Err(error) = secret::store(TOKEN, token) {
            tracing::warn!("{}: VTube Studio will ask again next time: {error:#}", self.address);
        }
        match refusal_of(token, client)? {
            None => Ok(()),
            Some(message) => Err(Failure::Refused { code: NOT_AUTHENTICATED, message }),
        }
    }

    fn send_frames(&mut self, client: &mut Client, mut usable: HashSet<String>) -> Result<(), Failure> {
        let mut snapshot = Snapshot::default();
        let (mut came, mut sent) = (None::<Instant>, None::<Instant>);
        while !self.latest.is_closed() {
            let since = sent.map_or(SHORTEST_INTERVAL, |sent| sent.elapsed());
            thread::sleep(SHORTEST_INTERVAL.saturating_sub(since));
            if self.latest.take(&mut snapshot, LONGEST_INTERVAL.saturating_sub(since.max(SHORTEST_INTERVAL))) {
                came = Some(Instant::now());
            }
            let Some(face) = snapshot.first_face().filter(|_| came.is_some_and(|came| came.elapsed() < HELD)) else {
                sent = None;
                continue;
            };
            let mut values = Vec::new();
            self.parameters.values(&face.signals, |name, value| {
                if usable.contains(name) {
                    values.push(json!({"id": name, "value": value}));
                }
            });
            sent = Some(Instant::now());
            if values.is_empty() {
                continue;
            }
            let request = json!({"faceFound": true, "mode": "set", "parameterValues": values});
            match client.ask("InjectParameterData", &request, PATIENCE) {
                Ok(_) => {}
                // Only once: a user who keeps deleting them does not want them.
                Err(Failure::Refused { code: NO_SUCH_PARAMETER, .. }) if self.complaints.insert(NO_SUCH_PARAMETER) => {
                    usable = self.create_parameters(client)?;
                }
                Err(Failure::Refused { code, message }) if code != NOT_AUTHENTICATED => {
                    let remedy = if code == SET_BY_ANOTHER { ": end the other plugin" } else { "" };
                    self.complain(code, &format!("refuses values: {message}{remedy}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Over)
    }

    /// Creates the parameters that VTube Studio lacks; returns those that it has then.
    fn create_parameters(&mut self, client: &mut Client) -> Result<HashSet<String>, Failure> {
        let list = client.ask("InputParameterList", &json!({}), PATIENCE)?;
        let names = |kind: &str| list[kind].as_array().cloned().unwrap_or_default();
        let all = names("defaultParameters").into_iter().chain(names("customParameters"));
        let name = |parameter: Value| Some(parameter["name"].as_str()?.to_owned());
        let mut usable: HashSet<String> = all.filter_map(name).collect();
        for shape in shapes() {
            let name = name_of(shape);
            if usable.contains(&name) {
                continue;
            }
            let parameter = json!({
                "parameterName": name,
                "explanation": format!("awing: ARKit's blend shape {shape}"),
                "min": 0,
                "max": 1,
                "defaultValue": 0,
            });
            match client.ask("ParameterCreation", &parameter, PATIENCE) {
                Ok(_) => drop(usable.insert(name)),
                Err(Failure::Refused { code, message }) => {
                    self.complain(code, &format!("does not create the parameter {name}: {message}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(usable)
    }

    /// Reports an error of VTube Studio, each kind once.
    fn complain(&mut self, code: i64, what: &str) {
        if self.complaints.insert(code) {
            tracing::warn!("{}: VTube Studio {what} (error {code}); tracking goes on", self.address);
        }
    }
}

/// The plugin's identity.
fn plugin() -> Value {
    json!({"pluginName": "awing", "pluginDeveloper": "awing"})
}

/// Why VTube Studio does not take this token, if it does not.
fn refusal_of(token: &str, client: &mut Client) -> Result<Option<String>, Failure> {
    let mut with_token = plugin();
    with_token["authenticationToken"] = token.into();
    let reason = match client.ask("Authentication", &with_token, PATIENCE) {
        Ok(answer) if answer["authenticated"] == true => return Ok(None),
        Ok(answer) => answer["reason"].as_str().unwrap_or("without a reason").to_owned(),
        Err(Failure::Refused { message, .. }) => message,
        Err(failure) => return Err(failure),
    };
    Ok(Some(reason))
}

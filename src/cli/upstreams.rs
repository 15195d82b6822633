//! Where requests leave, and where secrets come from: the world, or the mock inside the process.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use super::cassettes::Playing;
use crate::{
    cassette::{Missing, Replayer},
    exchange::Connections,
    mock::{Mock, MockKeys},
    net,
    profile::Vault,
    server::Effects,
    transport::{Body, Dial, Free, Sending, Transport},
};

/// Sends by the URL's scheme: the mock provider's own is no network's.
pub(super) struct Upstreams {
    net: net::Client,
    mock: Mock,
}

impl Upstreams {
    /// With the process's environment.
    pub(super) fn new(listeners: Vec<SocketAddr>) -> Arc<Upstreams> {
        let net = net::Client::new(net::Environment::from_process());
        net.set_listeners(listeners);
        Arc::new(Upstreams { net, mock: Mock })
    }
}

impl Transport for Upstreams {
    fn send<'a>(&'a self, request: http::Request<Body>, dial: &'a Dial) -> Sending<'a> {
        match request.uri().scheme_str() {
            Some("mock") => self.mock.send(request, dial),
            _ => self.net.send(request, dial),
        }
    }
}

/// What the pipeline works with: the world, or (`--mock`) the mock in every provider's place, with a key for everything.
pub(super) fn effects(listeners: Vec<SocketAddr>, vault: Arc<dyn Vault>, mock: bool) -> Effects {
    if mock {
        return Effects {
            connections: Connections::default(),
            net: Arc::new(StandIn),
            vault: Arc::new(AnyKey(vault)),
            keys: Arc::new(MockKeys),
        };
    }
    let net = Upstreams::new(listeners);
    let environment = Arc::clone(&vault);
    let variables: net::Variables = Arc::new(move |name| environment.env(name));
    let (open, made) = net.net.connections();
    Effects {
        connections: Connections { open, made },
        keys: Arc::new(net::CloudKeys::new(
            Arc::<Upstreams>::clone(&net),
            variables,
        )),
        net,
        vault,
    }
}

/// The same with recordings in every provider's place. Where providers are asked for what is missing, keys are real ones.
pub(super) fn replaying(
    listeners: Vec<SocketAddr>,
    vault: Arc<dyn Vault>,
    playing: &Playing,
) -> Effects {
    let (effects, missing) = if playing.asks() {
        let effects = effects(listeners, vault, false);
        let net = Arc::clone(&effects.net);
        (effects, Missing::Sent(net))
    } else {
        (effects(listeners, vault, true), Missing::Refused)
    };
    let cassettes = Arc::clone(&playing.cassettes);
    Effects {
        net: Arc::new(Replayer::new(cassettes, playing.speed, missing)),
        ..effects
    }
}

/// The mock in the place of whomever a request is for.
struct StandIn;

impl Transport for StandIn {
    fn send<'a>(&'a self, request: http::Request<Body>, _: &'a Dial) -> Sending<'a> {
        Box::pin(async move {
            let mut response = Mock.stand_in(request).await;
            response.extensions_mut().insert(Free);
            Ok(response)
        })
    }
}

/// Has every key that there is, and a made-up one for every other: the mock asks for none.
struct AnyKey(Arc<dyn Vault>);

/// What stands for a key that nobody set.
const MADE_UP: &str = "mock-key";

impl Vault for AnyKey {
    fn env(&self, variable: &str) -> Option<String> {
        let made_up = match variable {
            "AWS_REGION" | "AWS_DEFAULT_REGION" => "us-east-1",
            _ => MADE_UP,
        };
        Some(self.0.env(variable).unwrap_or_else(|| made_up.to_owned()))
    }

    fn file(&self, path: &Path) -> io::Result<String> {
        Ok(self.0.file(path).unwrap_or_else(|_| MADE_UP.to_owned()))
    }

    fn keyring(&self, name: &str) -> Result<String, String> {
        Ok(self.0.keyring(name).unwrap_or_else(|_| MADE_UP.to_owned()))
    }
}

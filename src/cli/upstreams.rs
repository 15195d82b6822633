//! The two ways for a request to leave: over the network, or to the mock inside the process.

use std::{net::SocketAddr, sync::Arc};

use crate::{
    mock::Mock,
    net,
    transport::{Body, Dial, Sending, Transport},
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

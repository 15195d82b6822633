//! A scripted service behind every address, and a clock.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};

use crate::{
    net::{
        Client, locked,
        tests::support::{Server, client},
    },
    transport::{Body, Dial, Sending, Transport, full},
};

/// Our client, except that every host is one scripted server.
pub(super) struct Everywhere {
    client: Arc<Client>,
    to: SocketAddr,
    /// `METHOD URL` of what was asked.
    asked: Mutex<Vec<String>>,
}

impl Everywhere {
    pub(super) fn new(server: &Server) -> Arc<Self> {
        Arc::new(Everywhere {
            client: client(),
            to: server.address,
            asked: Mutex::default(),
        })
    }

    pub(super) fn asked(&self) -> Vec<String> {
        locked(&self.asked).clone()
    }
}

impl Transport for Everywhere {
    fn send<'a>(&'a self, mut request: Request<Body>, dial: &'a Dial) -> Sending<'a> {
        let uri = request.uri().clone();
        locked(&self.asked).push(format!("{} {uri}", request.method()));
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = Uri::builder()
            .scheme("http")
            .authority(self.to.to_string())
            .path_and_query(path)
            .build()
            .unwrap();
        self.client.send(request, dial)
    }
}

/// A clock that tests set.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicU64>, SystemTime);

impl Clock {
    pub(super) fn new() -> Self {
        Clock(Arc::default(), SystemTime::now())
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> SystemTime {
        self.1 + Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

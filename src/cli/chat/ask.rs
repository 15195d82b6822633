//! Who answers: a running server, or the same code in this process.

use bytes::Bytes;
use http::{
    HeaderMap, Method, Request, Response,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use super::spent::Calls;
use crate::{
    cli::{
        places::{Sources, served},
        servers::{self, Found, Server, ServerFlag, Want},
        upstreams::effects,
    },
    exchange::Ledger,
    profile::Profile,
    server::{App, Gate, Limits, Served},
    term::{Problem, Term},
    transport::{Body, Dial, full},
};

/// The profile that this process asks when none is named.
const OWN_DEFAULT: &str = "mock";

/// Answers requests.
pub(in crate::cli) struct Asker {
    via: Via,
    /// The profile that was named.
    profile: Option<String>,
    /// The mock answers in every provider's place.
    mock: bool,
    calls: Calls,
}

enum Via {
    /// A running server.
    Server(Server),
    /// The same pipeline here.
    Here(Box<App>),
}

impl Asker {
    /// The server that the flags name or that runs, if it serves the profile; else this process.
    pub(in crate::cli) async fn find(
        flag: &ServerFlag,
        profile: Option<&str>,
        sources: &Sources,
        mock: bool,
        term: &Term,
    ) -> Result<Asker, Problem> {
        if mock || sources.names_folders() && flag.url.is_none() {
            return Asker::here(profile, sources, mock, term);
        }
        let usual = servers::usual_address(sources.config());
        let missing = match servers::find(flag, usual, Want::Send).await? {
            // Of a server that was named, its own 404 names the profiles that there are.
            Found::Running(server)
                if flag.url.is_some() || profile.is_none_or(|name| server.serves(name)) =>
            {
                return Ok(Asker {
                    via: Via::Server(server),
                    profile: profile.map(str::to_owned),
                    mock,
                    calls: Calls::default(),
                });
            }
            Found::Running(server) => format!(
                "profile `{}` is not served at {}",
                profile.unwrap_or_default(),
                server.root
            ),
            Found::Nobody(why) => why,
        };
        term.note(&format!("{missing}: asking from this process"));
        Asker::here(profile, sources, mock, term)
    }

    /// This process.
    fn here(
        profile: Option<&str>,
        sources: &Sources,
        mock: bool,
        term: &Term,
    ) -> Result<Asker, Problem> {
        let name = profile.unwrap_or(OWN_DEFAULT).to_owned();
        let profiles = served(&sources.places(), &[name], term)?;
        let calls = Calls::default();
        let app = App::new(
            Served::new(profiles),
            Gate::default(),
            Ledger::new(vec![Box::new(calls.clone())]),
            effects(Vec::new(), sources.vault()?, mock),
            Limits::default(),
        );
        Ok(Asker {
            via: Via::Here(Box::new(app)),
            profile: profile.map(str::to_owned),
            mock,
            calls,
        })
    }

    /// The same, asking another profile: of the same server if it serves it, else of this process.
    pub(super) fn switched(
        &self,
        profile: &str,
        sources: &Sources,
        term: &Term,
    ) -> Result<Asker, Problem> {
        match &self.via {
            Via::Server(server) if server.serves(profile) => Ok(Asker {
                via: Via::Server(server.clone()),
                profile: Some(profile.to_owned()),
                mock: self.mock,
                calls: Calls::default(),
            }),
            Via::Server(server) => {
                let here = Asker::here(Some(profile), sources, self.mock, term)?;
                let root = &server.root;
                term.note(&format!(
                    "profile `{profile}` is not served at {root}: asking from this process"
                ));
                Ok(here)
            }
            Via::Here(_) => Asker::here(Some(profile), sources, self.mock, term),
        }
    }

    /// What transformers' LLMs take, where this process asks them.
    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Where it asks, for people.
    pub(super) fn place(&self) -> &str {
        match &self.via {
            Via::Server(server) => &server.root,
            Via::Here(_) => "this process",
        }
    }

    /// The profiles that can be asked: the server's, and those that this process finds.
    pub(super) fn names(&self, sources: &Sources) -> Vec<String> {
        let mut names = match &self.via {
            Via::Server(server) => server.profiles.clone(),
            Via::Here(_) => Vec::new(),
        };
        for listed in sources.places().list() {
            if !names.contains(&listed.name) {
                names.push(listed.name);
            }
        }
        names
    }

    /// The profile that a request for `model` goes through, by the rules of the listener.
    pub(super) fn profile_for(&self, model: Option<&str>) -> Option<String> {
        let named = self.profile.clone();
        match &self.via {
            Via::Here(_) => named.or_else(|| Some(OWN_DEFAULT.to_owned())),
            Via::Server(server) => {
                let of_model = || {
                    let model = model?;
                    let left = model.split_once('/').map_or(model, |(left, _)| left);
                    let found = [left, model].into_iter().find(|name| server.serves(name));
                    found.map(str::to_owned)
                };
                named
                    .or_else(of_model)
                    .or_else(|| server.profiles.first().cloned())
            }
        }
    }

    /// The profile itself, as this process finds it; a server may have another of the same name.
    pub(super) fn profile(&self, model: Option<&str>, sources: &Sources) -> Option<Profile> {
        sources.places().load(&self.profile_for(model)?).ok()
    }

    /// Asks, and waits for the answer's headers.
    pub(super) async fn ask(&self, body: &Value) -> Result<Response<Body>, Problem> {
        let profile = self
            .profile
            .as_ref()
            .map(|profile| format!("/{profile}"))
            .unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let path = format!("{profile}/v1/chat/completions");
        self.send(&Method::POST, &path, headers, body.to_string().into())
            .await
    }

    /// Sends any request, and waits for the answer's headers.
    pub(in crate::cli) async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, Problem> {
        let broken = |error: http::Error| Problem::usage(error.to_string());
        let mut request = match &self.via {
            Via::Server(server) => server.request(method, path)?,
            Via::Here(_) => Request::builder()
                .method(method)
                .uri(format!("http://localhost{path}")),
        };
        if let Some(own) = request.headers_mut() {
            own.extend(headers);
        }
        let request = request.body(full(body)).map_err(broken)?;
        match &self.via {
            Via::Server(server) => {
                let dial = Dial {
                    stream: true,
                    ..Dial::default()
                };
                server.send(request, &dial).await
            }
            Via::Here(app) => {
                let (parts, body) = request.into_parts();
                Ok(app.answer(parts, body).await)
            }
        }
    }
}

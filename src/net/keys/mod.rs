//! Credentials of clouds: [`CloudKeys`] fetches them and keeps them until shortly before they expire.
//!
//! `aws`, `google` and `entra` know how each cloud gives them, `call` is our client in the form that their libraries take. What needs one
//! of those libraries is behind the feature `clouds`.

mod aws;
#[cfg(feature = "clouds")]
mod call;
#[cfg(feature = "clouds")]
mod entra;
#[cfg(feature = "clouds")]
mod google;
mod wanted;

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::Shared};
use tokio::time::timeout;

use super::locked;
use crate::{
    keys::{Credential, Fetching, Keys, Wanted},
    transport::Transport,
};

/// Longest wait for a credential: a machine that is no cloud's waits for metadata services that do not exist.
const LIMIT: Duration = Duration::from_secs(10);

/// How long before it expires a credential is fetched anew, while requests still go out with the old one.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// With less left than this, requests wait for the new one.
const LAST_CALL: Duration = Duration::from_secs(30);

/// How long after a fetch the next one begins, as long as the old credential is good: tokens may come with less than [`AHEAD`] left.
const PAUSE: Duration = Duration::from_secs(30);

/// How long what does not expire is good. People edit the files that such keys come from.
const UNDATED: Duration = Duration::from_secs(15 * 60);

/// Most credentials that are kept. Templates can make a region or a role of any request's headers.
const MOST: usize = 64;

/// Reads an environment variable. An empty value counts as none.
pub type Variables = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Fetches credentials of Amazon, Google and Microsoft.
///
/// Requests that want the same share one fetch, which goes on when the one that began it is gone. One that fails leaves the old credential
/// in use until it expires.
pub struct CloudKeys {
    source: Arc<Source>,
    /// The least recently used first.
    slots: Mutex<Vec<Arc<Slot>>>,
}

/// What fetching needs.
struct Source {
    #[cfg_attr(
        not(feature = "clouds"),
        expect(dead_code, reason = "what is left asks nobody")
    )]
    net: Arc<dyn Transport>,
    variables: Variables,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// What is known of one credential.
struct Slot {
    wanted: Wanted,
    state: Mutex<State>,
    #[cfg(feature = "clouds")]
    google: google::Kept,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    flight: Option<Flight>,
    /// When the last fetch ended.
    tried: Option<SystemTime>,
}

struct Kept {
    credential: Credential,
    expires: SystemTime,
}

type Flight = Shared<Pin<Box<dyn Future<Output = Result<Credential, String>> + Send>>>;

/// A credential that was fetched.
struct Fetched {
    credential: Credential,
    /// `None`: it does not expire.
    expires: Option<SystemTime>,
}

impl CloudKeys {
    /// Keys that are fetched over `net`, where `variables` is the environment.
    #[must_use]
    pub fn new(net: Arc<dyn Transport>, variables: Variables) -> Self {
        Self::by_clock(net, variables, SystemTime::now)
    }

    pub(super) fn by_clock(
        net: Arc<dyn Transport>,
        variables: Variables,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        CloudKeys {
            source: Arc::new(Source {
                net,
                variables,
                clock: Box::new(clock),
            }),
            slots: Mutex::default(),
        }
    }

    fn slot(&self, wanted: &Wanted) -> Arc<Slot> {
        let mut slots = locked(&self.slots);
        let found = slots
            .iter()
            .position(|slot| wanted::same(&slot.wanted, wanted));
        let slot = match found {
            Some(at) => slots.remove(at),
            None => Arc::new(Slot {
                wanted: wanted.clone(),
                state: Mutex::default(),
                #[cfg(feature = "clouds")]
                google: google::Kept::default(),
            }),
        };
        if slots.len() >= MOST {
            slots.remove(0);
        }
        slots.push(Arc::clone(&slot));
        slot
    }

    async fn credential(&self, wanted: &Wanted) -> Result<Credential, String> {
        if let Wanted::Aws(wanted) = wanted
            && let Some(at_hand) = aws::at_hand(wanted, &self.source)?
        {
            return Ok(at_hand);
        }
        let slot = self.slot(wanted);
        let flight = {
            let mut state = locked(&slot.state);
            let now = (self.source.clock)();
            let left = |kept: &Kept| kept.expires.duration_since(now).unwrap_or_default();
            let paused = state.tried.is_some_and(|tried| {
                // A clock that was set back is no reason to pause.
                now.duration_since(tried).is_ok_and(|since| since < PAUSE)
            });
            let good = match &state.kept {
                Some(kept) if left(kept) > AHEAD => return Ok(kept.credential.clone()),
                Some(kept) if left(kept) > LAST_CALL => Some(kept.credential.clone()),
                _ => None,
            };
            let flying = state
                .flight
                .as_ref()
                // One that has ended and is still here has panicked.
                .is_some_and(|flight| flight.peek().is_none());
            match good {
                Some(good) if flying || paused => return Ok(good),
                _ => {}
            }
            if !flying {
                state.flight = Some(fly(Arc::clone(&self.source), Arc::clone(&slot)));
            }
            match (good, &state.flight) {
                (Some(good), _) => return Ok(good),
                (None, Some(flight)) => flight.clone(),
                (None, None) => return Err("no credentials are being fetched".to_owned()),
            }
        };
        let fetched = flight.await;
        fetched.or_else(|why| {
            let now = (self.source.clock)();
            match &locked(&slot.state).kept {
                Some(kept) if kept.expires > now => Ok(kept.credential.clone()),
                _ => Err(why),
            }
        })
    }
}

impl Keys for CloudKeys {
    fn fetch<'a>(&'a self, wanted: &'a Wanted) -> Fetching<'a> {
        Box::pin(self.credential(wanted))
    }
}

impl fmt::Debug for CloudKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudKeys").finish_non_exhaustive()
    }
}

/// Begins to fetch what a slot wants, in a task of its own: a client that leaves must not end it for the others.
fn fly(source: Arc<Source>, slot: Arc<Slot>) -> Flight {
    let task = tokio::spawn(async move {
        let fetched = timeout(LIMIT, source.fetch(&slot)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(wanted::late(&slot.wanted, LIMIT)));
        let mut state = locked(&slot.state);
        let now = (source.clock)();
        state.flight = None;
        state.tried = Some(now);
        match fetched {
            Ok(fetched) => {
                state.kept = Some(Kept {
                    credential: fetched.credential.clone(),
                    expires: fetched.expires.unwrap_or(now + UNDATED),
                });
                Ok(fetched.credential)
            }
            Err(why) => {
                let why = wanted::without_secrets(why, &slot.wanted);
                if state.kept.as_ref().is_some_and(|kept| kept.expires > now) {
                    tracing::warn!("{why}; the old credentials are used until they expire");
                }
                Err(why)
            }
        }
    });
    async move {
        task.await
            .unwrap_or_else(|_| Err("fetching the cloud's credentials broke off".to_owned()))
    }
    .boxed()
    .shared()
}

impl Source {
    async fn fetch(&self, slot: &Slot) -> Result<Fetched, String> {
        match &slot.wanted {
            Wanted::Aws(wanted) => aws::fetch(self, wanted).await,
            #[cfg(feature = "clouds")]
            Wanted::Google(wanted) => google::fetch(self, wanted, &slot.google).await,
            #[cfg(feature = "clouds")]
            Wanted::Entra(wanted) => entra::fetch(self, wanted).await,
            #[cfg(not(feature = "clouds"))]
            Wanted::Google(_) => Err(wanted::not_built("tokens of Google Cloud")),
            #[cfg(not(feature = "clouds"))]
            Wanted::Entra(_) => Err(wanted::not_built("tokens of Microsoft Entra")),
        }
    }

    /// A variable of the environment, unless it is empty.
    fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.trim().is_empty())
    }
}

//! Which HTTP/2 connection ("lane") of an origin an exchange goes over: decisions alone, the sockets are `origin`'s.
//!
//! A pool that keeps one connection an origin lets requests past the peer's stream limit stand still without an error.
//! Here each lane carries as many live exchanges as the peer allows, 64 at most, and the next exchange opens the next
//! lane. The limit is the peer's own word (SETTINGS_MAX_CONCURRENT_STREAMS, also when it changes), so no request has to
//! find out by waiting.

use hyper::client::conn::http2::SendRequest;
use tokio::time::Instant;

use super::{body::Upload, pool::IDLE};
use crate::transport::TransportError;

/// Most live exchanges on one HTTP/2 connection: what breaks with it, and what shares its window, stays bounded.
const LANE: usize = 64;

/// Streams that are sent on a new lane before the peer has said how many it takes: it would refuse those over its limit.
pub(crate) const UNTOLD: usize = 1;

/// Most lanes an origin gets. Beyond it lanes are filled past their share, and requests queue inside them.
const MAX_LANES: usize = 512;

/// What sends on a lane.
pub(crate) trait Sender: Clone {
    /// Whether nothing can be sent any more.
    fn is_closed(&self) -> bool;
}

impl Sender for SendRequest<Upload> {
    fn is_closed(&self) -> bool {
        SendRequest::is_closed(self)
    }
}

/// What is known of an origin's HTTP/2 connections.
pub(crate) struct Lanes<S> {
    open: Vec<Lane<S>>,
    last_id: u64,
    /// Connections being made, and exchanges that wait for one.
    openings: usize,
    waiting: usize,
    /// How many exchanges a further lane is expected to carry.
    share: usize,
    /// A connection chose HTTP/1.1.
    http1: bool,
    failures: u64,
    failed: Option<TransportError>,
}

impl<S> Default for Lanes<S> {
    fn default() -> Self {
        Lanes {
            open: Vec::new(),
            last_id: 0,
            openings: 0,
            waiting: 0,
            share: LANE,
            http1: false,
            failures: 0,
            failed: None,
        }
    }
}

struct Lane<S> {
    id: u64,
    sender: S,
    live: usize,
    /// How many it carries; `None` until the peer has told.
    share: Option<usize>,
    /// When it was opened, or last became idle.
    since: Instant,
}

/// What an exchange does next to get its connection.
pub(crate) enum Next<S> {
    Lane(u64, S),
    Pool,
    Open,
    /// Until something changes; with the count of failures so far.
    Wait(u64),
    Failed(TransportError),
}

impl<S: Sender> Lanes<S> {
    /// `since`: the count of failures when this exchange began to wait, if it has.
    pub(crate) fn next(&mut self, since: Option<u64>) -> Next<S> {
        self.open.retain(|lane| !lane.sender.is_closed());
        let full = self.open.len() >= MAX_LANES;
        let mut fitting = self.open.iter_mut();
        let lane = if full {
            fitting.min_by_key(|lane| lane.live)
        } else {
            // The first that has room, so that the last ones can fall idle.
            fitting.find(|lane| lane.live < lane.share.unwrap_or(UNTOLD))
        };
        if let Some(lane) = lane {
            lane.live += 1;
            return Next::Lane(lane.id, lane.sender.clone());
        }
        if self.http1 {
            return Next::Pool;
        }
        // Whoever waited for a connection that was then refused has its answer. It need not be refused once more.
        if let (Some(since), Some(error)) = (since, &self.failed)
            && self.failures > since
            && self.open.is_empty()
        {
            return Next::Failed(error.clone());
        }
        let untold = self.open.iter().filter(|lane| lane.share.is_none()).count();
        // Each of these carries the exchange that opened it already.
        let coming = self.openings + untold;
        let unknown = self.open.is_empty() && self.openings > 0;
        let queue = self.waiting + usize::from(since.is_none());
        if unknown || queue <= coming * (self.share - 1) {
            return Next::Wait(self.failures);
        }
        self.openings += 1;
        Next::Open
    }

    /// Takes in a new lane, with one live exchange: the one that opened it.
    pub(crate) fn add(&mut self, sender: S) -> u64 {
        self.last_id += 1;
        self.open.push(Lane {
            id: self.last_id,
            sender,
            live: 1,
            share: None,
            since: Instant::now(),
        });
        self.last_id
    }

    /// The upstream chose HTTP/1.1: where lanes have no room, the pool is next.
    pub(crate) fn speaks_http1(&mut self) {
        self.http1 = true;
    }

    /// A connection could not be made.
    pub(crate) fn fail(&mut self, error: &TransportError) {
        // A limit that passed is that exchange's own; the others have theirs.
        if !matches!(error, TransportError::ConnectTimeout(_)) {
            self.failures += 1;
            self.failed = Some(error.clone());
        }
    }

    /// An opening ended, well or not.
    pub(crate) fn opening_ended(&mut self) {
        self.openings -= 1;
    }

    /// One more, or one less, waits.
    pub(crate) fn wait(&mut self, begins: bool) {
        if begins {
            self.waiting += 1;
        } else {
            self.waiting -= 1;
        }
    }

    /// The peer told how many streams it takes on a lane.
    pub(crate) fn told(&mut self, id: u64, limit: usize) {
        // A peer that takes none for now still gets one, which waits.
        let share = limit.clamp(1, LANE);
        self.share = share;
        if let Some(lane) = self.lane(id) {
            lane.share = Some(share);
        }
    }

    /// An exchange on a lane ended; tells whether anyone waits for its place.
    pub(crate) fn end(&mut self, id: u64) -> bool {
        if let Some(lane) = self.lane(id) {
            lane.live -= 1;
            lane.since = Instant::now();
        }
        self.waiting > 0
    }

    /// Takes a lane out; what is on it goes on. To be dropped outside of any lock: it wakes the connection.
    pub(crate) fn remove(&mut self, id: u64) -> Option<S> {
        let at = self.open.iter().position(|lane| lane.id == id)?;
        Some(self.open.remove(at).sender)
    }

    /// Whether nothing was on a lane for a while.
    pub(crate) fn is_idle(&mut self, id: u64) -> bool {
        self.lane(id)
            .is_some_and(|lane| lane.live == 0 && lane.since.elapsed() > IDLE)
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    fn lane(&mut self, id: u64) -> Option<&mut Lane<S>> {
        self.open.iter_mut().find(|lane| lane.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Fake(std::rc::Rc<std::cell::Cell<bool>>);

    impl Sender for Fake {
        fn is_closed(&self) -> bool {
            self.0.get()
        }
    }

    /// What `count` exchanges that come at once do, as letters: open, wait, or go on a lane.
    fn come(lanes: &mut Lanes<Fake>, count: usize) -> String {
        let mut done = String::new();
        for _ in 0..count {
            done += &match lanes.next(None) {
                Next::Lane(id, _) => id.to_string(),
                Next::Open => "o".to_owned(),
                Next::Pool => "p".to_owned(),
                Next::Failed(_) => "f".to_owned(),
                Next::Wait(_) => {
                    lanes.wait(true);
                    "w".to_owned()
                }
            };
        }
        done
    }

    fn opened(lanes: &mut Lanes<Fake>, limit: usize) -> (u64, Fake) {
        let sender = Fake::default();
        let id = lanes.add(sender.clone());
        lanes.opening_ended();
        lanes.told(id, limit);
        (id, sender)
    }

    #[test]
    fn the_first_connection_shows_what_the_peer_takes() {
        let mut lanes = Lanes::default();
        // Nobody else opens one before it is known whether there is HTTP/2 at all.
        assert_eq!(come(&mut lanes, 100), "o".to_owned() + &"w".repeat(99));
        lanes.waiting = 0;
        opened(&mut lanes, 10);
        // Nine more go on the first, and nine with each of those that are opened at once.
        assert_eq!(come(&mut lanes, 29), "111111111owwwwwwwwwowwwwwwwww");
    }

    #[test]
    fn a_lane_takes_64_whatever_the_peer_says_and_one_at_least() {
        for (limit, share) in [(usize::MAX, 64), (100, 64), (64, 64), (2, 2), (0, 1)] {
            let mut lanes = Lanes::default();
            come(&mut lanes, 1);
            opened(&mut lanes, limit);
            assert_eq!(come(&mut lanes, share), "1".repeat(share - 1) + "o");
        }
    }

    #[test]
    fn room_on_the_first_lanes_is_used_first_and_closed_ones_are_left_out() {
        let mut lanes = Lanes::default();
        come(&mut lanes, 1);
        let (_, first) = opened(&mut lanes, 2);
        assert_eq!(come(&mut lanes, 2), "1o");
        opened(&mut lanes, 2);
        assert!(!lanes.end(1));
        assert_eq!(come(&mut lanes, 2), "12");
        lanes.end(2);
        first.0.set(true);
        assert_eq!(come(&mut lanes, 2), "2o");
        // The end of an exchange whose lane has gone changes nothing.
        lanes.end(1);
        assert_eq!(lanes.len(), 1);
    }

    #[test]
    fn a_limit_that_falls_is_kept_to() {
        let mut lanes = Lanes::default();
        come(&mut lanes, 1);
        let (id, _) = opened(&mut lanes, 10);
        assert_eq!(come(&mut lanes, 4), "1111");
        lanes.told(id, 3);
        assert_eq!(come(&mut lanes, 1), "o");
    }

    #[test]
    fn whoever_waited_for_a_refused_connection_has_its_answer() {
        let mut lanes: Lanes<Fake> = Lanes::default();
        assert_eq!(come(&mut lanes, 2), "ow");
        lanes.fail(&TransportError::Connect("refused".to_owned()));
        lanes.opening_ended();
        assert!(matches!(lanes.next(Some(0)), Next::Failed(_)));
        // Who comes later tries again, and a limit that passed is nobody else's.
        assert_eq!(come(&mut lanes, 1), "o");
        lanes.fail(&TransportError::ConnectTimeout(std::time::Duration::ZERO));
        lanes.opening_ended();
        assert!(matches!(lanes.next(Some(1)), Next::Open));
    }

    #[test]
    fn http1_is_the_pools() {
        let mut lanes = Lanes::default();
        come(&mut lanes, 1);
        lanes.speaks_http1();
        lanes.opening_ended();
        assert_eq!(come(&mut lanes, 3), "ppp");
    }
}

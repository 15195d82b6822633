//! All exchanges of a process: those under way, and the last ones that ended, under a budget of bytes that both share.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use super::{
    ExchangeId,
    bus::{Bus, Heard, Listener},
    done::{Done, Key},
    filter::Filter,
    live::Live,
    metrics::{Connections, Measured, Metrics},
    notices::{self, Happened},
    record::Exchange,
    recorder::Recorder,
    redact::Redactor,
    render,
    secrets::Secrets,
    stages::Stage,
    told::{Found, Summary},
    trace::Tracing,
};

/// What the memory for exchanges is by default (SPEC §4.7).
pub const MEMORY: usize = 64 << 20;

/// Growth that is not yet counted is less than this.
const COUNTED: usize = 4 << 10;

/// What an exchange weighs beside what it keeps.
const BARE: usize = size_of::<Exchange>() + 256;

/// Told of every exchange that ended.
pub trait Observer: Send + Sync {
    /// Takes a finished exchange, and what takes secrets out of it. Runs on the request's own thread: it must not wait.
    fn closed(&self, exchange: &Arc<Exchange>, redactor: &Arc<Redactor>);

    /// Whether it wants to be told of this one.
    fn wants(&self, _exchange: &Exchange) -> bool {
        true
    }

    /// Whether it wants what a profile's `logging` asks for. Otherwise nobody collects it.
    fn reads_bodies(&self) -> bool {
        false
    }

    /// What spans it wants, if any. Otherwise exchanges have no place in a trace, and no header is read or sent for one.
    fn tracing(&self) -> Option<Tracing> {
        None
    }
}

/// Shared by all requests: opens records, keeps them, and hands finished ones on.
#[derive(Default)]
pub struct Ledger {
    observers: Vec<Box<dyn Observer>>,
    /// What spans are wanted.
    tracing: Option<Tracing>,
    /// Most bytes of exchanges that are kept; 0 if none are.
    memory: usize,
    /// Bytes that those under way hold, and those that ended. Apart: more than fits, for the moment until the oldest has gone, is no reason to
    /// keep less of those under way.
    live_bytes: AtomicUsize,
    done_bytes: AtomicUsize,
    live: Mutex<HashMap<ExchangeId, Arc<Live>>>,
    done: Mutex<Done>,
    bus: Arc<Bus>,
    secrets: Secrets,
    metrics: Metrics,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("observers", &self.observers.len())
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// A ledger that tells these, and keeps nothing.
    #[must_use]
    pub fn new(observers: Vec<Box<dyn Observer>>) -> Arc<Ledger> {
        Ledger::keeping(observers, 0)
    }

    /// A ledger that tells these, and keeps exchanges in so many bytes.
    #[must_use]
    pub fn keeping(observers: Vec<Box<dyn Observer>>, memory: usize) -> Arc<Ledger> {
        Ledger::counting(observers, memory, Connections::default())
    }

    /// The same, whose metrics count these connections.
    #[must_use]
    pub fn counting(
        observers: Vec<Box<dyn Observer>>,
        memory: usize,
        connections: Connections,
    ) -> Arc<Ledger> {
        Arc::new(Ledger {
            tracing: observers.iter().find_map(|observer| observer.tracing()),
            observers,
            memory,
            metrics: Metrics::new(connections),
            ..Ledger::default()
        })
    }

    /// These profiles are served now: each is counted under its name.
    pub fn serve<'a>(&self, profiles: impl IntoIterator<Item = &'a str>) {
        self.metrics.serve(profiles);
    }

    /// Opens a record.
    #[must_use]
    pub fn open(self: &Arc<Self>, profile: Arc<str>) -> Recorder {
        self.metrics.opened(&profile);
        Recorder::new(Arc::clone(self), profile)
    }

    /// How many records are open.
    #[must_use]
    pub fn live(&self) -> usize {
        lock(&self.live).len()
    }

    pub(super) fn begin(&self, id: ExchangeId, live: &Arc<Live>) {
        self.live_bytes.fetch_add(BARE, Ordering::Relaxed);
        lock(&self.live).insert(id, Arc::clone(live));
    }

    /// Whether exchanges are kept.
    #[must_use]
    pub fn captures(&self) -> bool {
        self.memory > 0
    }

    /// Whether anybody is told of exchanges, or they are kept.
    pub(super) fn is_watched(&self) -> bool {
        self.captures() || !self.observers.is_empty()
    }

    /// Whether anybody wants what a profile's `logging` asks for.
    pub(super) fn reads_bodies(&self) -> bool {
        self.observers
            .iter()
            .any(|observer| observer.reads_bodies())
    }

    /// What spans are wanted, if any.
    pub(super) fn tracing(&self) -> Option<&Tracing> {
        self.tracing.as_ref()
    }

    /// Something happens: gives its number. The notice is made only if somebody listens.
    pub(super) fn tell(&self, make: impl FnOnce(u64) -> Happened) -> u64 {
        self.bus.tell(make)
    }

    /// So many things happen that nobody is told of: gives the number of the first.
    pub(super) fn pass(&self, count: u64) -> u64 {
        self.bus.pass(count)
    }

    /// Whether anybody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.bus.is_heard()
    }

    /// Whether anybody wants the provider's own bytes.
    pub(super) fn wants_raw(&self) -> bool {
        self.bus.wants_raw()
    }

    /// Whether those under way alone are more than may be kept.
    pub(super) fn is_full(&self) -> bool {
        self.live_bytes.load(Ordering::Relaxed) > self.memory
    }

    /// Whether all together are.
    fn is_over(&self) -> bool {
        let live = self.live_bytes.load(Ordering::Relaxed);
        live.saturating_add(self.done_bytes.load(Ordering::Relaxed)) > self.memory
    }

    /// An exchange holds so many bytes more. They are counted once they are many.
    pub(super) fn grown(&self, exchange: &mut Exchange, bytes: usize) {
        exchange.uncounted = exchange.uncounted.saturating_add(bytes);
        if exchange.uncounted >= COUNTED {
            self.count(exchange);
        }
    }

    /// Counts what an exchange has come to hold; the oldest go where it is too much.
    pub(super) fn count(&self, exchange: &mut Exchange) {
        if !self.captures() {
            return;
        }
        exchange.uncounted = 0;
        let weight = exchange.weight();
        let before = exchange.held;
        exchange.held = weight;
        if weight >= before {
            self.live_bytes
                .fetch_add(weight - before, Ordering::Relaxed);
        } else {
            self.live_bytes
                .fetch_sub(before - weight, Ordering::Relaxed);
        }
        self.forget();
    }

    /// Forgets the oldest that ended, until all fit or none is left.
    fn forget(&self) {
        while self.is_over() {
            // Freeing takes longer than forgetting: others need not wait for it.
            let oldest = lock(&self.done).forget();
            let Some((weight, _freed)) = oldest else {
                break;
            };
            self.done_bytes.fetch_sub(weight, Ordering::Relaxed);
        }
    }

    /// An exchange ended.
    pub(super) fn close(&self, exchange: &mut Exchange) {
        self.measure(exchange);
        // Before all others have to wait until it is told.
        let summary = |exchange: &Exchange| render::ended_at_once(exchange, &self.redactor());
        let told = self.bus.is_heard().then(|| summary(exchange));
        let seq = self.bus.tell(|seq| {
            let told = told.unwrap_or_else(|| summary(exchange));
            notices::closed(exchange, told, seq)
        });
        let [.., closed] = &mut exchange.numbers;
        *closed = seq;
        let id = exchange.id;
        let before = BARE + exchange.held;
        self.hand_on(exchange);
        self.live_bytes.fetch_sub(before, Ordering::Relaxed);
        lock(&self.live).remove(&id);
        if self.captures() {
            self.forget();
        }
    }

    /// Tells whoever wants an exchange that ended, and keeps it. What is left behind says that it is done: whoever looks, looks among those that
    /// ended.
    fn hand_on(&self, exchange: &mut Exchange) {
        let weight = exchange.held;
        let mut observers = self.observers.iter();
        if !observers.any(|observer| observer.wants(exchange)) {
            if !self.captures() {
                return;
            }
            let mut done = lock(&self.done);
            // A copy: what it is made of is used again by the next request.
            if let Some(length) = done.copy(exchange, weight) {
                self.done_bytes.fetch_add(length, Ordering::Relaxed);
                return;
            }
        }
        let husk = exchange.husk();
        let mut exchange = Arc::new(std::mem::replace(exchange, husk));
        let redactor = self.redactor();
        for observer in &self.observers {
            if observer.wants(&exchange) {
                observer.closed(&exchange, &redactor);
            }
        }
        if !self.captures() {
            return;
        }
        if let Some(own) = Arc::get_mut(&mut exchange) {
            own.shrink();
        }
        let mut done = lock(&self.done);
        let copied = done.copy(&exchange, weight);
        let length = copied.unwrap_or_else(|| done.take(exchange, weight));
        // Before anybody can forget it.
        self.done_bytes.fetch_add(length, Ordering::Relaxed);
    }

    /// Counts an exchange that ended.
    fn measure(&self, exchange: &Exchange) {
        let costs = exchange.calls.iter().map(|call| exchange.call_cost(call));
        let own = exchange.usage.map(|usage| exchange.cost(&usage));
        let costs = own.into_iter().chain(costs).flatten();
        let cost: f64 = costs.map(|(cost, _)| cost).sum();
        self.metrics.closed(&Measured {
            profile: &exchange.profile,
            provider: exchange.provider,
            operation: exchange.operation,
            status: exchange.status,
            ended: exchange.ended(),
            error: exchange.error_kind(),
            usage: exchange.usage,
            cost: Some(cost).filter(|cost| *cost > 0.0),
            took: exchange.took,
            first_token: exchange.first_token_after,
            stream: exchange.stream,
        });
    }

    /// These values are not to be shown to anybody, in whatever they turn up.
    pub(super) fn hide<'s>(&self, values: impl Iterator<Item = &'s str>) {
        self.secrets.hide(values);
    }

    /// A value that is not to be shown to anybody.
    pub fn hide_value(&self, value: &str) {
        self.hide(std::iter::once(value));
    }

    /// What takes secrets out of texts.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        self.secrets.redactor()
    }

    /// The names of those that are under way.
    #[must_use]
    pub fn running(&self) -> HashSet<String> {
        lock(&self.live).keys().map(ToString::to_string).collect()
    }

    /// The records that are open.
    fn under_way(&self) -> Vec<Arc<Live>> {
        lock(&self.live).values().cloned().collect()
    }

    /// Exchanges, the youngest first, and whether there are older ones.
    #[must_use]
    pub fn list(&self, filter: &Filter, most: usize) -> (Vec<Summary>, bool) {
        let redactor = self.redactor();
        let limit = filter.limit.unwrap_or(most).min(most);
        let mut live = self.under_way();
        live.retain(|live| !live.lock().is_done());
        // One that ends now is in both.
        let done: Vec<Key> = lock(&self.done).keys().collect();
        let live = live.into_iter().map(|live| {
            let exchange = live.lock();
            let (began, id) = (exchange.began, exchange.id);
            drop(exchange);
            (began, id, Listed::Live(live))
        });
        let done = done.into_iter();
        let done = done.map(|key| (key.began, key.id, Listed::Done(key.number)));
        let mut all: Vec<(SystemTime, ExchangeId, Listed)> = live.chain(done).collect();
        all.sort_by_key(|(began, ..)| std::cmp::Reverse(*began));
        let mut out = Vec::new();
        let mut passed = filter.before.is_none();
        for (_, id, listed) in all {
            if !passed {
                passed = filter.before.as_deref() == Some(id.as_str());
                continue;
            }
            let wanted = match &listed {
                Listed::Live(live) => {
                    let exchange = live.lock();
                    let open = (!exchange.is_done()).then_some(&*exchange);
                    open.and_then(|exchange| {
                        render::wanted(exchange, Some(live), filter, &redactor)
                    })
                }
                Listed::Done(number) => self.unpacked(*number).and_then(|whole| {
                    let wanted = render::wanted(&whole, None, filter, &redactor);
                    self.learn(*number, &whole);
                    wanted
                }),
            };
            if let Some(summary) = wanted {
                if out.len() >= limit {
                    return (out, true);
                }
                out.push(summary);
            }
        }
        (out, false)
    }

    /// The exchange of this id, or that alone begins so; `last` is the youngest that ended, else the youngest.
    #[must_use]
    pub fn find(&self, id: &str) -> Found {
        let redactor = self.redactor();
        let mut live = self.under_way();
        live.retain(|live| {
            let exchange = live.lock();
            !exchange.is_done() && (id == "last" || exchange.id.as_str().starts_with(id))
        });
        // One that ends meanwhile is among those that ended before it says so.
        let done: Vec<Key> = loop {
            let done = lock(&self.done).keys().collect();
            let before = live.len();
            live.retain(|live| !live.lock().is_done());
            if live.len() == before {
                break done;
            }
        };
        if id == "last"
            && let Some(last) = done.last()
        {
            return self.one(last.number, &redactor);
        }
        let done: Vec<Key> = done
            .into_iter()
            .filter(|done| id != "last" && done.id.as_str().starts_with(id))
            .collect();
        match (live.as_slice(), done.as_slice()) {
            ([], []) => Found::None,
            ([], [one]) => self.one(one.number, &redactor),
            ([one], []) => {
                let exchange = one.lock();
                if exchange.is_done() {
                    drop(exchange);
                    return self.find(id);
                }
                Found::One(Box::new(render::detail(&exchange, Some(one), &redactor)))
            }
            _ => {
                let ids = live.iter().map(|live| live.lock().id.to_string());
                let ids = ids.chain(done.iter().map(|done| done.id.to_string()));
                let mut ids: Vec<String> = ids.collect();
                ids.dedup();
                Found::Many(ids)
            }
        }
    }

    /// The body of one stage of the exchange of this very id, without secrets: as far as it came, and if it is kept and is text.
    #[must_use]
    pub fn body(&self, id: &str, stage: &str) -> Option<String> {
        let stage = Stage::ALL.into_iter().find(|one| one.name() == stage)?;
        let redactor = self.redactor();
        let shown = |exchange: &Exchange| {
            let body = render::body_of(exchange, stage, &redactor)?;
            String::from_utf8(body).ok()
        };
        let is_it = |(one, _): &(&ExchangeId, &Arc<Live>)| one.as_str() == id;
        let live = lock(&self.live)
            .iter()
            .find(is_it)
            .map(|(_, live)| Arc::clone(live));
        let live = live.as_ref().map(|live| live.lock());
        match live.filter(|exchange| !exchange.is_done()) {
            Some(exchange) => shown(&exchange),
            None => shown(&*self.ended(id)?),
        }
    }

    /// An exchange that ended, with all that takes a while to find out.
    #[must_use]
    pub fn counted(&self, id: ExchangeId) -> Option<Summary> {
        // It is told before it is among those that ended; until then its record is locked.
        let live = lock(&self.live).get(&id).cloned();
        drop(live.as_deref().map(Live::lock));
        let number = {
            let done = lock(&self.done);
            let mut youngest_first = done.keys().rev();
            youngest_first.find(|key| key.id == id)?.number
        };
        let whole = self.unpacked(number)?;
        let summary = render::ended(&whole, &self.redactor());
        self.learn(number, &whole);
        Some(summary)
    }

    /// The one of this very id that ended.
    fn ended(&self, id: &str) -> Option<Arc<Exchange>> {
        let done = lock(&self.done);
        let mut youngest_first = done.keys().rev();
        let found = youngest_first.find(|key| key.id.as_str() == id)?;
        done.whole(found.number)
    }

    /// An exchange that ended with all that it holds; nothing if it was forgotten meanwhile.
    fn unpacked(&self, number: u64) -> Option<Arc<Exchange>> {
        lock(&self.done).whole(number)
    }

    /// What took a while to find out is kept.
    fn learn(&self, number: u64, whole: &Exchange) {
        if let Some(late) = whole.late.get() {
            lock(&self.done).learn(number, late);
        }
    }

    fn one(&self, number: u64, redactor: &Redactor) -> Found {
        self.unpacked(number).map_or(Found::None, |whole| {
            let detail = render::detail(&whole, None, redactor);
            self.learn(number, &whole);
            Found::One(Box::new(detail))
        })
    }

    /// Sends all listeners away: the server stops.
    pub fn hang_up(&self) {
        self.bus.end();
    }

    /// Whether what a filter looks for is in the texts of an exchange that ended.
    #[must_use]
    pub fn mentions(&self, id: &str, filter: &Filter) -> bool {
        let redactor = self.redactor();
        self.ended(id)
            .is_some_and(|found| render::finds(&found, filter, &redactor))
    }

    /// What the server counts, in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        self.metrics.lost(self.bus.lost());
        self.metrics.text()
    }

    /// Listens from now on. First comes what those under way did so far; and, if the last number is known that was heard before, what
    /// happened after it.
    #[must_use]
    pub fn listen(&self, raw: bool, after: Option<u64>) -> (Listener, Vec<Arc<Happened>>) {
        let listener = self.bus.listen(raw);
        let redactor = self.redactor();
        // A higher number than there is: it was another process's.
        let after = after.map(|after| if after > self.bus.last() { 0 } else { after });
        let from = after.unwrap_or_default();
        let mut told: Vec<Arc<Happened>> = Vec::new();
        let mut latest: HashMap<Option<ExchangeId>, u64> = HashMap::new();
        let live = self.under_way();
        let mut take = |notices: Vec<Happened>| {
            for notice in notices {
                let seq = latest.entry(notice.exchange).or_default();
                *seq = (*seq).max(notice.seq);
                if notice.seq > from {
                    told.push(Arc::new(notice));
                }
            }
        };
        for live in live {
            let exchange = live.lock();
            if !exchange.is_done() {
                take(notices::notices(&exchange, raw, &redactor));
            }
        }
        let mut lost = None;
        if let Some(after) = after {
            let (missed, forgotten) = lock(&self.done).after(after);
            lost = forgotten.map(|last| last - after);
            for number in missed {
                if let Some(done) = self.unpacked(number) {
                    take(notices::notices(&done, raw, &redactor));
                }
            }
        }
        // What happened meanwhile is in both.
        while let Some(Heard::Notice(notice)) = listener.try_next() {
            if latest
                .get(&notice.exchange)
                .is_none_or(|seen| notice.seq > *seen)
            {
                told.push(notice);
            }
        }
        told.sort_by_key(|notice| notice.seq);
        if let Some(events) = lost {
            told.insert(0, Arc::new(Happened::lost(from, events)));
        }
        (listener, told)
    }
}

/// An exchange in a list.
enum Listed {
    Live(Arc<Live>),
    Done(u64),
}

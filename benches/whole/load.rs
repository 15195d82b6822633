//! The load generator: connections that are kept, on the one thread that calls, and an account of what came back.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use memchr::{memchr, memchr_iter};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep_until, timeout},
};

use crate::{
    http::Head,
    payload::{DIGITS, MARK},
    provider::clock,
};

/// An answer that takes longer than this is an error.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked, and what a right answer looks like.
pub(crate) struct Question {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) tokens: usize,
    pub(crate) end: &'static [u8],
    /// Whether the tokens say when they were due.
    pub(crate) timed: bool,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) tokens: u64,
    /// Of each answer, from the request to its last byte, in microseconds.
    pub(crate) latencies: Vec<u64>,
    /// Of each timed token, how long after it was due it came, in microseconds.
    pub(crate) late: Vec<u64>,
    pub(crate) errors: u64,
    pub(crate) error: Option<String>,
    pub(crate) wall: Duration,
}

impl Outcome {
    fn add(&mut self, other: Outcome) {
        self.answers += other.answers;
        self.tokens += other.tokens;
        self.latencies.extend(other.latencies);
        self.late.extend(other.late);
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
    }

    fn count(&mut self, asked: Instant, result: io::Result<u64>) {
        match result {
            Ok(tokens) => {
                self.answers += 1;
                self.tokens += tokens;
                let spent = asked.elapsed().as_micros();
                self.latencies
                    .push(u64::try_from(spent).unwrap_or(u64::MAX));
            }
            Err(error) => {
                self.errors += 1;
                self.error.get_or_insert(error.to_string());
            }
        }
    }
}

/// Asks on so many connections, on each again and again until the time is over.
pub(crate) async fn closed(question: Question, connections: usize, time: Duration) -> Outcome {
    let question = Arc::new(question);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let question = Arc::clone(&question);
        tasks.spawn(async move {
            let mut outcome = Outcome::default();
            let mut connection = Connection::new(question.address);
            while outcome.answers + outcome.errors == 0 || start.elapsed() < time {
                let asked = Instant::now();
                let result = connection.ask(&question, &mut outcome.late).await;
                outcome.count(asked, result);
            }
            outcome
        });
    }
    joined(start, tasks).await
}

/// Asks so many times a second, whatever becomes of the answers, each question half a step after the one before it in the list: two in the list are
/// compared under the same conditions.
pub(crate) async fn paced(questions: [Question; 2], rate: u32, time: Duration) -> [Outcome; 2] {
    let start = Instant::now();
    let [first, second] = questions;
    let shift = Duration::from_secs(1) / rate / 2;
    let (one, two) = tokio::join!(
        beat(first, start, rate, time),
        beat(second, start + shift, rate, time)
    );
    [one, two]
}

async fn beat(question: Question, start: Instant, rate: u32, time: Duration) -> Outcome {
    let question = Arc::new(question);
    let idle = Arc::new(Mutex::new(Vec::new()));
    let step = Duration::from_secs(1) / rate;
    let mut tasks = JoinSet::new();
    let mut due = start;
    while due < start + time {
        sleep_until(due.into()).await;
        due += step;
        let (question, idle) = (Arc::clone(&question), Arc::clone(&idle));
        tasks.spawn(async move {
            let mut outcome = Outcome::default();
            let kept = idle.lock().ok().and_then(|mut idle| idle.pop());
            let mut connection = kept.unwrap_or_else(|| Connection::new(question.address));
            if let Err(error) = connection.open().await {
                outcome.count(start, Err(error));
                return outcome;
            }
            let asked = Instant::now();
            let result = connection.ask(&question, &mut outcome.late).await;
            outcome.count(asked, result);
            if let Ok(mut idle) = idle.lock() {
                idle.push(connection);
            }
            outcome
        });
    }
    joined(start, tasks).await
}

/// Opens so many streams, evenly over `ramp`, and hears each to its end.
pub(crate) async fn streams(question: Question, number: u32, ramp: Duration) -> Outcome {
    let question = Arc::new(question);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for at in 0..number {
        let question = Arc::clone(&question);
        let begin = start + ramp * at / number;
        tasks.spawn(async move {
            sleep_until(begin.into()).await;
            let mut outcome = Outcome::default();
            let mut connection = Connection::new(question.address);
            let asked = Instant::now();
            let result = connection.ask(&question, &mut outcome.late).await;
            outcome.count(asked, result);
            outcome
        });
    }
    joined(start, tasks).await
}

async fn joined(start: Instant, mut tasks: JoinSet<Outcome>) -> Outcome {
    let mut all = Outcome::default();
    while let Some(one) = tasks.join_next().await {
        match one {
            Ok(one) => all.add(one),
            Err(error) => all.count(start, Err(io::Error::other(error))),
        }
    }
    all.wall = start.elapsed();
    all
}

/// A connection that is opened when it is needed, and again after an error.
struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(address: SocketAddr) -> Connection {
        Connection {
            address,
            stream: None,
            buffer: vec![0; 16 << 10],
        }
    }

    async fn open(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Asks and reads the whole answer; how many tokens it had, or what is wrong with it.
    async fn ask(&mut self, question: &Question, late: &mut Vec<u64>) -> io::Result<u64> {
        self.open().await?;
        // Taken out, so that an error or a timeout ends it.
        let Some(mut stream) = self.stream.take() else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let exchange = exchange(&mut stream, &mut self.buffer, question, late);
        let (tokens, closes) = timeout(PATIENCE, exchange).await??;
        if !closes {
            self.stream = Some(stream);
        }
        Ok(tokens)
    }
}

async fn exchange(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    question: &Question,
    late: &mut Vec<u64>,
) -> io::Result<(u64, bool)> {
    stream.write_all(&question.request).await?;
    let mut filled = 0;
    let mut head = loop {
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::Error::other("the connection ends before the answer")),
            count => filled += count,
        }
        if let Some(head) = Head::read(&buffer[..filled])? {
            break head;
        }
    };
    let mut seen = Seen::default();
    let mut bytes = head.length..filled;
    loop {
        let now = if question.timed { clock() } else { 0 };
        head.body.feed(&buffer[bytes], |content| {
            if question.timed {
                seen.times(content, now, late);
            }
            seen.content(content);
        })?;
        if head.body.is_done() {
            break;
        }
        match stream.read(buffer).await? {
            0 => return Err(io::Error::other("the connection ends within the answer")),
            count => bytes = 0..count,
        }
    }
    let problem = if head.status != 200 {
        format!("status {}", head.status)
    } else if seen.tokens != question.tokens {
        format!("{} tokens of {}", seen.tokens, question.tokens)
    } else if !seen.last.ends_with(question.end) {
        format!("it ends in {:?}", String::from_utf8_lossy(&seen.last))
    } else {
        return Ok((seen.tokens as u64, head.closes));
    };
    Err(io::Error::other(problem))
}

/// What of an answer has been seen.
#[derive(Default)]
struct Seen {
    tokens: usize,
    /// Its last bytes.
    last: Vec<u8>,
    /// Digits of a time whose end has not come, and how many.
    time: Option<(u64, usize)>,
}

impl Seen {
    const LAST: usize = 16;

    fn content(&mut self, content: &[u8]) {
        self.tokens += memchr_iter(MARK, content).count();
        let new = &content[content.len().saturating_sub(Seen::LAST)..];
        let kept = self.last.len().min(Seen::LAST - new.len());
        self.last.drain(..self.last.len() - kept);
        self.last.extend_from_slice(new);
    }

    fn times(&mut self, content: &[u8], now: u64, late: &mut Vec<u64>) {
        let mut rest = content;
        loop {
            if self.time.is_none() {
                let Some(at) = memchr(MARK, rest) else { return };
                rest = &rest[at + 1..];
                self.time = Some((0, 0));
            }
            while let (Some((time, count)), Some((digit, after))) = (self.time, rest.split_first())
            {
                rest = after;
                let time = time * 10 + u64::from(digit.wrapping_sub(b'0'));
                self.time = Some((time, count + 1));
                if count + 1 == DIGITS {
                    late.push(now.saturating_sub(time));
                    self.time = None;
                }
            }
            if self.time.is_some() {
                return;
            }
        }
    }
}

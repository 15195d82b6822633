//! Every client's format and every provider's: each cell holds, or stands in `LIMITS.md` with its warning or its 400.
//!
//! A row is asked in the client's words (`chat`, `messages`, `responses`), plain and streamed, of a profile whose provider the mock
//! plays. What comes back is read into [`Told`], whatever the format, and what the provider got is looked up in the exchange.

mod cases;
mod chat;
mod messages;
mod responses;
mod table;
mod talk;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use serde_json::Value;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, LocalSet},
};

use crate::{
    providers::{PROVIDERS, server},
    support::{Ask, Reply, Server},
};
use cases::{CASES, Case, Ends};
use chat::CHAT;
use messages::MESSAGES;
use responses::RESPONSES;
use talk::{Block, Talk, Turn};

/// A client's format.
struct Client {
    name: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    words: Words,
    /// The words for errors, by status, where the format has words of its own.
    errors: Option<&'static [(u16, &'static str)]>,
    /// The word for a failure of the provider's in the middle of a stream.
    broken: Option<&'static str>,
    /// The request beside `model` and what asks for a stream; `None`: the format cannot ask this.
    body: fn(&Talk) -> Option<Value>,
    /// Reads a whole answer.
    whole: fn(Value) -> Told,
    /// Reads a stream: the answer so far, and the word for the error that ended it.
    streamed: fn(&str) -> (Told, Option<String>),
    /// Reads an error: its word and its message.
    refused: fn(&Value) -> (String, String),
    /// An answer as it goes back with the next question.
    replay: fn(&Value) -> Vec<Value>,
}

/// How the format says why an answer ended.
struct Words {
    done: &'static str,
    /// By a stop sequence that the provider names.
    stopped: &'static str,
    calls: &'static str,
    cut: &'static str,
}

const CLIENTS: &[&Client] = &[&CHAT, &MESSAGES, &RESPONSES];

/// An answer, in no client's format.
struct Told {
    id: String,
    model: String,
    text: String,
    reasoning: String,
    /// Id, name, arguments.
    calls: Vec<(String, String, Value)>,
    finish: String,
    /// The stop sequence that was met.
    stopped: Option<String>,
    /// Tokens in and out.
    usage: Option<(u64, u64)>,
    /// As it came.
    whole: Value,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}: ", self.finish, self.stopped, self.usage)?;
        write!(f, "{:?} {:?} {:?}", self.text, self.reasoning, self.calls)
    }
}

/// What the client got.
#[derive(Debug)]
enum Got {
    Answer(Told),
    /// An error in place of an answer: its status, word and message.
    Refused(u16, String, String),
    /// A stream that ended in an error, and the error's word.
    Broken(Told, String),
    /// What no client could read; the test's output says why.
    Unreadable,
}

/// What became of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Holds,
    /// It holds, and warns all the same.
    Warns(String),
    /// There is an answer, but it is not that of the row, and the warning says why.
    Loses(String),
    /// A 400 that says why.
    Refuses(String),
    /// The client's format cannot ask this.
    Unasked,
}

/// Profiles whose service tells the usage of a stream unasked, which the mock does not.
const QUIET: &[&str] = &["mistral"];

/// Profiles whose provider names the stop sequence that it met.
const NAME_STOPS: &[&str] = &[
    "openai",
    "anthropic",
    "mistral",
    "bedrock",
    "huggingface",
    "azure",
];

/// Profiles without a system prompt or without roles, and models of the mock whose answers cannot show that something came: they see one
/// prompt with markers, or a first message of the user's. There, what was sent tells.
const FLAT: &[(&str, &str)] = &[
    ("llama2", "mock-echo"),
    ("llama2", "mock-transform"),
    ("cohere", "mock-transform"),
];

/// Where the cells are asked, so many of them at a time: all at once would wait for each other for longer than a test waits.
struct Stage {
    server: Server,
    turns: Semaphore,
}

const AT_ONCE: usize = 16;

#[tokio::test]
async fn trap_2_3_every_cell_holds_or_is_documented() {
    let stage = Rc::new(Stage {
        server: server(),
        turns: Semaphore::new(AT_ONCE),
    });
    let (local, mut columns) = (LocalSet::new(), JoinSet::new());
    for (profile, ..) in PROVIDERS {
        for client in CLIENTS {
            columns.spawn_local_on(column(Rc::clone(&stage), client, profile), &local);
        }
    }
    let (mut wrong, mut cells) = (Vec::new(), Vec::new());
    for (wrongs, outcomes) in local.run_until(columns.join_all()).await {
        wrong.extend(wrongs);
        cells.extend(outcomes);
    }
    assert!(
        wrong.is_empty(),
        "{} cells:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    table::check(&cells);
}

/// A cell of the table.
struct Cell {
    client: &'static str,
    profile: &'static str,
    case: &'static str,
    outcome: Outcome,
}

/// Asks one profile everything in one format: the cells that are wrong, and what became of the others.
async fn column(
    stage: Rc<Stage>,
    client: &'static Client,
    profile: &'static str,
) -> (Vec<String>, Vec<Cell>) {
    let (mut wrong, mut cells) = (Vec::new(), Vec::new());
    for case in CASES {
        let mut ways = Vec::new();
        for stream in [false, true] {
            let turn = stage.turns.acquire().await;
            let outcome = cell(&stage.server, client, profile, case, stream).await;
            drop(turn);
            let how = if stream { "streamed" } else { "plain" };
            match outcome {
                Ok(outcome) => ways.push(outcome),
                Err(why) => wrong.push(format!(
                    "{} through {profile}, {}, {how}: {why}",
                    client.name, case.name
                )),
            }
        }
        if let [plain, streamed] = &ways[..]
            && plain != streamed
        {
            wrong.push(format!(
                "{} through {profile}, {}: plain {plain:?}, streamed {streamed:?}",
                client.name, case.name
            ));
        }
        cells.extend(ways.into_iter().next().map(|outcome| Cell {
            client: client.name,
            profile,
            case: case.name,
            outcome,
        }));
    }
    (wrong, cells)
}

/// Asks one thing, and judges what comes; an error says what is wrong.
async fn cell(
    server: &Server,
    client: &Client,
    profile: &str,
    case: &Case,
    stream: bool,
) -> Result<Outcome, String> {
    let mut talk = (case.talk)();
    let mut needles = case.sent.to_vec();
    if let Some(model) = case.after {
        let asked = ask(server, client, profile, model, &talk, stream).await;
        let Some((_, Got::Answer(first))) = asked else {
            return Err(format!("there is no answer to go on from: {asked:?}"));
        };
        if first.whole.to_string().contains(SIGNATURE) {
            needles.push(SIGNATURE);
        }
        talk.turns
            .push(Turn::Replayed((client.replay)(&first.whole)));
        talk.turns.push(Turn::User(vec![Block::Text("three")]));
    }
    let Some((reply, got)) = ask(server, client, profile, case.model, &talk, stream).await else {
        return Ok(Outcome::Unasked);
    };
    let warnings = reply.headers.get("x-aiproxy-warnings").unwrap_or_default();
    let quiet = stream && QUIET.contains(&profile);
    let told = match got {
        Got::Refused(status, word, message) => {
            let wanted = match case.ends {
                Ends::Fails(status) => status,
                Ends::Breaks => 500,
                _ if status == 400 && message.contains("cannot take") => {
                    return Ok(Outcome::Refuses(message));
                }
                _ => return Err(format!("refused: {status} {word}: {message}")),
            };
            let known = |all: &[(u16, &str)]| all.contains(&(status, &word));
            return if status == wanted && client.errors.is_none_or(known) && !word.is_empty() {
                Ok(Outcome::Holds)
            } else {
                Err(format!("another error: {status} {word}: {message}"))
            };
        }
        Got::Broken(told, word) => {
            let breaks = case.ends == Ends::Breaks && (case.says)(&told);
            let known = client.broken.is_none_or(|known| known == word);
            return if breaks && known && !word.is_empty() {
                Ok(Outcome::Holds)
            } else {
                Err(format!("it broke: {word}: {told:?}"))
            };
        }
        Got::Unreadable => return Err(format!("unreadable: {}", reply.text())),
        Got::Answer(told) => told,
    };
    // What every answer has, whatever else is lost.
    let named = case.ends == Ends::Stopped && NAME_STOPS.contains(&profile);
    let finish = match case.ends {
        Ends::Done => client.words.done,
        Ends::Stopped if named => client.words.stopped,
        Ends::Stopped => client.words.done,
        Ends::Calls => client.words.calls,
        Ends::Cut => client.words.cut,
        Ends::Fails(_) | Ends::Breaks => return Err(format!("it should fail: {told:?}")),
    };
    let counted = told
        .usage
        .is_some_and(|(input, output)| input > 0 && output > 0);
    for (holds, what) in [
        (
            !told.id.is_empty() && !told.model.is_empty(),
            "no id or model",
        ),
        (told.finish == finish, "another finish"),
        (
            told.stopped.as_deref() == named.then_some("STOP"),
            "another stop sequence",
        ),
        (counted != quiet, "usage"),
    ] {
        if !holds {
            return Err(format!("{what}: {told:?}"));
        }
    }
    let sent = sent(server, &reply).await;
    let missing: Vec<&str> = needles
        .into_iter()
        .filter(|needle| !sent.contains(needle))
        .collect();
    let flat = FLAT.contains(&(profile, case.model));
    let holds = missing.is_empty() && (flat || (case.says)(&told));
    match (holds, warnings) {
        (true, "") => Ok(Outcome::Holds),
        (true, warnings) => Ok(Outcome::Warns(warnings.to_owned())),
        (false, "") => Err(format!("{told:?}, nothing of {missing:?} in {sent}")),
        (false, warnings) => Ok(Outcome::Loses(warnings.to_owned())),
    }
}

/// What the mock signs its reasoning with, where the format has signatures.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

/// The body that the provider got: the client's own, where it went through as it was.
async fn sent(server: &Server, reply: &Reply) -> String {
    let id = reply.headers.get("x-aiproxy-exchange").unwrap();
    let exchange = Ask::get(&format!("/_aiproxy/exchanges/{id}"))
        .whole(server)
        .await;
    let stages = exchange.json()["stages"].clone();
    let body = |name: &str| {
        let mut stages = stages.as_array().unwrap().iter();
        let stage = stages.find(|stage| stage["stage"] == name);
        let stage = stage.unwrap_or_else(|| panic!("no stage `{name}`: {stages:?}"));
        let body = stage["body"].clone();
        (!body.is_null()).then(|| body.to_string())
    };
    body("sent").or_else(|| body("client")).unwrap()
}

/// Asks in the client's words; `None` where it has none.
async fn ask(
    server: &Server,
    client: &Client,
    profile: &str,
    model: &str,
    talk: &Talk,
    stream: bool,
) -> Option<(Reply, Got)> {
    let mut body = (client.body)(talk)?;
    body["model"] = model.into();
    if stream {
        body["stream"] = true.into();
        if client.name == "chat" {
            body["stream_options"]["include_usage"] = true.into();
        }
    }
    let mut ask = Ask::post(&format!("/{profile}{}", client.path), body.to_string());
    for (name, value) in client.headers {
        ask = ask.header(name, value);
    }
    let reply = ask.header("x-model", model).whole(server).await;
    let got = catch_unwind(AssertUnwindSafe(|| read(client, profile, &reply, stream)));
    if client.name == "messages" {
        let id = reply.headers.get("request-id");
        assert!(id.is_some_and(|id| !id.is_empty()), "{}", reply.head);
    }
    Some((reply, got.unwrap_or(Got::Unreadable)))
}

/// Reads what came; panics where it is not of the client's format.
fn read(client: &Client, profile: &str, reply: &Reply, stream: bool) -> Got {
    if reply.status != 200 {
        let error = reply.json();
        // Anthropic's errors have it, which the mock's do not.
        let named = client.name != "messages" || profile == "anthropic";
        assert!(named || error["request_id"].is_string(), "{error}");
        let (word, message) = (client.refused)(&error);
        return Got::Refused(reply.status, word, message);
    }
    if !stream {
        return Got::Answer((client.whole)(reply.json()));
    }
    let kind = reply.headers.get("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/event-stream"), "{}", reply.head);
    match (client.streamed)(&reply.text()) {
        (told, None) => Got::Answer(told),
        (told, Some(word)) => Got::Broken(told, word),
    }
}

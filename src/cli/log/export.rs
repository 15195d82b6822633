//! `aiproxy log --export` and `--import`: exchanges as a cassette.

use std::{
    collections::{BTreeMap, HashMap},
    io::Write as _,
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    cassette::{Cassette, Head, LeftOut, Line},
    cli::{
        exchanges::Exchanges,
        replay::local::{Piece, Seen},
        state,
    },
    exchange::{
        ExchangeId, Filter,
        history::{Entry, FILE, History, Kept, Limits},
        told::Detail,
    },
    term::{Problem, Term},
    transport::full,
};

/// Writes the exchanges that the filter takes to a file, the oldest first; `-` is stdout.
pub(super) async fn export(
    path: &Path,
    exchanges: &Exchanges,
    filter: &Filter,
    term: &Term,
) -> Result<(), Problem> {
    let to_stdout = path.as_os_str() == "-";
    let head = if to_stdout {
        Head::default()
    } else {
        head_of(path)?
    };
    let mut lines = vec![head_line(&head)?];
    let mut left_out: BTreeMap<LeftOut, u64> = BTreeMap::new();
    let mut all = exchanges.list(filter).await?;
    all.reverse();
    for summary in all {
        let line = Line::of(&exchanges.get(&summary.id).await?);
        match line.map(|line| line.text()) {
            Ok(text) => lines.push(text.map_err(unwritten)?),
            Err(why) => *left_out.entry(why).or_default() += 1,
        }
    }
    let written = lines.len() - 1;
    let left_out: Vec<String> = left_out
        .into_iter()
        .map(|(why, count)| format!("{count} {}", why.words()))
        .collect();
    let left_out = if left_out.is_empty() {
        String::new()
    } else {
        format!("; left out: {}", left_out.join(", "))
    };
    if written == 0 {
        return Err(
            Problem::new(format!("there is no exchange to export{left_out}"))
                .hint("aiproxy log lists those that there are"),
        );
    }
    let text = lines.join("\n") + "\n";
    if to_stdout {
        term.out(&text)?;
    } else {
        put(path, &text)
            .map_err(|error| Problem::new(format!("cannot write {}: {error}", path.display())))?;
    }
    let place = if to_stdout {
        "stdout".into()
    } else {
        path.display().to_string()
    };
    term.note(&format!("wrote {} to {place}{left_out}", count(written)));
    Ok(())
}

fn count(number: usize) -> String {
    match number {
        1 => "1 exchange".to_owned(),
        many => format!("{many} exchanges"),
    }
}

fn head_line(head: &Head) -> Result<String, Problem> {
    Cassette::head_line(head).map_err(unwritten)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unwritten(error: serde_json::Error) -> Problem {
    Problem::new(format!("cannot write JSON: {error}"))
}

/// The head of a file that is written anew: its list stays as it was edited.
fn head_of(path: &Path) -> Result<Head, Problem> {
    match Cassette::read(path) {
        Ok(cassette) => Ok(cassette.head),
        Err(broken) if broken.is_missing() => Ok(Head::default()),
        Err(broken) => Err(
            Problem::new(format!("{broken}; the file is not written over"))
                .hint("name another file, or remove this one"),
        ),
    }
}

/// Puts a file in the place of another, whole or not at all.
fn put(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".aiproxy-");
    // As any file that an editor makes: what may read it is the user's umask to say.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// So many bytes wait to be written at once.
const BATCH: usize = 8 << 20;

/// How long a batch may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a file's exchanges into the history. One that was read before is there once.
pub(super) fn import(path: &Path, term: &Term) -> Result<(), Problem> {
    let cassette = Cassette::read(path).map_err(|broken| Problem::new(broken.to_string()))?;
    let folder = state::prepared()
        .map_err(|error| Problem::new(format!("the state folder cannot be used: {error}")))?;
    let place = folder.join(FILE);
    let total = cassette.lines.len();
    let began = Timestamp::now();
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut waiting = Vec::new();
    let mut weight = 0;
    for (number, (_, line)) in cassette.lines.into_iter().enumerate() {
        let text = line.text().map_err(unwritten)?;
        // The same exchange twice is two.
        let again = seen.entry(text.clone()).or_default();
        let id = ExchangeId::of(format!("{again} {text}").as_bytes());
        *again += 1;
        let began = began + Duration::from_millis(number as u64);
        let kept = Kept::imported(told(&line, &id.to_string(), &format!("{began:.3}")));
        weight += text.len();
        waiting.push((text.len(), kept));
        if weight >= BATCH {
            keep(&place, std::mem::take(&mut waiting))?;
            weight = 0;
        }
    }
    keep(&place, waiting)?;
    term.note(&format!(
        "read {} of {} into the history",
        count(total),
        path.display()
    ));
    Ok(())
}

/// An exchange as a record, with what its answer says.
fn told(line: &Line, id: &str, began: &str) -> Detail {
    let mut detail = line.detail(id, began);
    let answer = line.answer();
    let Ok(method) = line.client.method.parse() else {
        return detail;
    };
    let mut seen = Seen::new(&line.profile, &method, &line.client.url);
    let mut response = http::Response::new(full(""));
    *response.status_mut() = http::StatusCode::from_u16(answer.status).unwrap_or_default();
    for (name, value) in &answer.headers {
        if let (Ok(name), Some(Ok(value))) = (
            name.parse::<http::HeaderName>(),
            value.as_str().map(str::parse::<http::HeaderValue>),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    let time = |ms: f64| Duration::try_from_secs_f64(ms.max(0.0) / 1000.0).unwrap_or_default();
    let (parts, _) = response.into_parts();
    seen.head(parts, time(answer.head_ms));
    seen.pieces = answer
        .chunks
        .iter()
        .map(|chunk| Piece {
            at: time(chunk.at_ms),
            bytes: Bytes::copy_from_slice(&chunk.bytes()),
        })
        .collect();
    detail.rest.parts = seen.told().rest.parts;
    detail
}

/// Writes exchanges, and waits until they are written.
fn keep(place: &Path, exchanges: Vec<(usize, Kept)>) -> Result<(), Problem> {
    if exchanges.is_empty() {
        return Ok(());
    }
    let history = History::start(place, Limits::default())
        .map_err(|error| Problem::new(error.to_string()).hint(error.hint()))?;
    for (weight, kept) in exchanges {
        history.keep(Entry {
            weight,
            make: Box::new(move || kept),
        });
    }
    if history.close(PATIENCE) && history.lost() == 0 {
        return Ok(());
    }
    Err(Problem::new("the history could not be written whole")
        .hint("is the disk full, or another program at it? What was read is in it once, however often it is read"))
}

//! Whether an answer is the one to what was asked.

use memchr::memmem;
use serde_json::Value;

use crate::{
    ask::Answer,
    work::{Fault, Kind, LENGTH, TOKEN, Task, numbers},
};

/// What a stream or a whole answer says.
#[derive(Debug, Default)]
struct Said {
    text: String,
    /// The stream says that it is whole.
    ended: bool,
    error: Option<String>,
}

impl Said {
    fn add(&mut self, value: &Value) {
        let kind = value["type"].as_str().unwrap_or_default();
        if value["error"].is_object() || matches!(kind, "error" | "response.failed") {
            self.error = Some(value.to_string());
        }
        let pieces = [
            &value["choices"][0]["delta"]["content"],
            &value["choices"][0]["text"],
            &value["choices"][0]["message"]["content"],
            &value["content"][0]["text"],
            &value["output"][0]["content"][0]["text"],
        ];
        for piece in pieces {
            self.text.push_str(piece.as_str().unwrap_or_default());
        }
        match kind {
            "content_block_delta" => {
                self.text += value["delta"]["text"].as_str().unwrap_or_default();
            }
            "response.output_text.delta" => {
                self.text += value["delta"].as_str().unwrap_or_default();
            }
            "message_stop" | "response.completed" => self.ended = true,
            _ => {}
        }
    }

    fn of(answer: &Answer) -> Result<Said, String> {
        let mut said = Said::default();
        if !answer.head.contains("content-type: text/event-stream") {
            let value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
            said.add(&value);
            said.ended = true;
            return Ok(said);
        }
        let text = std::str::from_utf8(&answer.body).map_err(|error| error.to_string())?;
        for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
            match data.trim() {
                "[DONE]" => said.ended = true,
                data => {
                    let value = serde_json::from_str(data);
                    said.add(&value.map_err(|error| format!("{error}: {data}"))?);
                }
            }
        }
        Ok(said)
    }
}

/// A token in `bytes` that is not `own`.
fn stranger(bytes: &[u8], own: &str) -> Option<String> {
    memmem::find_iter(bytes, TOKEN.as_bytes())
        .filter_map(|at| bytes.get(at..at + LENGTH))
        .map(String::from_utf8_lossy)
        .find(|found| {
            let digits = found.bytes().skip(TOKEN.len());
            found != own && digits.clone().all(|byte| byte.is_ascii_hexdigit())
        })
        .map(std::borrow::Cow::into_owned)
}

/// What is wrong with an answer.
pub(crate) fn check(task: &Task, answer: &Answer, before: &str) -> Result<(), String> {
    let own = if task.kind == Kind::Exchange {
        before
    } else {
        &task.token
    };
    if let Some(stranger) =
        stranger(answer.head.as_bytes(), own).or_else(|| stranger(&answer.body, own))
    {
        return Err(format!("CROSSTALK: it holds {stranger}"));
    }
    let status = |expected: u16| match answer.status == expected {
        true => Ok(()),
        false => Err(format!("status {}, not {expected}", answer.status)),
    };
    let holds = |needle: &str| match memmem::find(&answer.body, needle.as_bytes()) {
        Some(_) => Ok(()),
        None => Err(format!("no `{needle}` in it")),
    };
    if !answer.whole {
        return Err("it broke off".into());
    }
    let json = || serde_json::from_slice::<Value>(&answer.body).map_err(|error| error.to_string());
    match (task.kind, task.fault) {
        (_, Fault::Status(expected)) => {
            status(expected)?;
            holds(&task.token)
        }
        (_, Fault::Hangup) => status(502),
        (_, Fault::Garbage) => match answer.status {
            500..=599 => Ok(()),
            other => Err(format!("status {other} for garbage")),
        },
        (Kind::Models, _) => status(200).and(holds("\"oai\"")).and(holds("\"ant\"")),
        (Kind::Metrics, _) => status(200).and(holds("aiproxy_requests_in_flight")),
        (Kind::Health, _) => status(200).and(holds("\"ok\"")),
        // Older ones make room.
        (Kind::Exchange, _) if before.is_empty() || answer.status == 404 => status(404),
        (Kind::Exchange, _) => status(200).and(holds(before)),
        (Kind::File, _) => status(200).and(holds(&task.token)),
        (Kind::CountTokens, _) => {
            status(200)?;
            let count = json()?["input_tokens"].as_u64().unwrap_or_default();
            let expected = u64::from(numbers(&task.token).iter().sum::<u32>());
            match task.profile {
                "ant" if count != expected => Err(format!("{count} tokens, not {expected}")),
                _ if count == 0 => Err("no tokens".into()),
                _ => Ok(()),
            }
        }
        (Kind::Embeddings, _) => {
            status(200)?;
            let value = json()?;
            let expected: Vec<f64> = numbers(&task.token).into_iter().map(f64::from).collect();
            let found = value["data"][0]["embedding"].as_array();
            let found: Vec<f64> = found
                .into_iter()
                .flatten()
                .filter_map(Value::as_f64)
                .collect();
            match found == expected {
                true => Ok(()),
                false => Err(format!("other numbers: {found:?}")),
            }
        }
        (_, Fault::Cut) if !task.stream => status(502),
        (_, fault) => {
            status(200)?;
            let said = Said::of(answer)?;
            let text = task.text();
            if fault == Fault::None {
                return match (said.text == text, said.ended, said.error) {
                    (true, true, None) => Ok(()),
                    (same, ended, error) => Err(format!(
                        "text {}, end {ended}, error {error:?}",
                        if same { "right" } else { "wrong" }
                    )),
                };
            }
            match (text.starts_with(&said.text), said.ended, said.error) {
                (true, false, Some(_)) => Ok(()),
                (begins, ended, error) => Err(format!(
                    "a broken stream: text {}, end {ended}, error {error:?}",
                    if begins { "right" } else { "wrong" }
                )),
            }
        }
    }
}

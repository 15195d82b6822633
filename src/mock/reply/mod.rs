//! A request to the whole answer that it gets.

mod calls;
mod merge;
mod prompt;

use super::{
    fault::{self, Refusal},
    model::{Behaviour, Failure, Speech},
    prose, schema,
    words::{Dice, count, tokens},
};
use crate::llm::{ChatRequest, ChatResponse, Choice, Finish, OutputFormat, Part, Sampling, Usage};
use prompt::{
    answers_tools, asked, attachments, last_user_text, prompt_tokens, seed, tool_results,
};

/// OpenAI's limits: <https://platform.openai.com/docs/api-reference/chat/create>.
const MAX_CHOICES: u64 = 128;
const MAX_STOPS: usize = 4;

/// The longest answer, in bytes of all choices together: an echo of a large request, many times over, must not fill the memory.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// The whole answer to a request.
///
/// The model's name has no part in the seed: `mock-fast`, `mock-split` and `mock` say the same.
pub(super) fn reply(request: &ChatRequest, behaviour: Behaviour) -> Result<ChatResponse, Refusal> {
    let sampling = &request.sampling;
    check(sampling)?;
    let tools = calls::chosen(request, behaviour)?;
    let seed = seed(request);
    let mut choices: Vec<Choice> = Vec::new();
    let (mut output, mut reasoning, mut size) = (0, 0, 0);
    for number in 0..choices_asked(sampling) {
        // The first choice is the answer that comes without `n`.
        let seed = seed.wrapping_add(number as u64);
        let parts = match &tools {
            Some(tools) => tools
                .iter()
                .zip(0..)
                .map(|(tool, index)| {
                    calls::call(
                        tool,
                        request,
                        behaviour,
                        Dice(seed.rotate_left(32) ^ index).roll(),
                    )
                })
                .collect(),
            None => speak(request, behaviour, seed),
        };
        let finish = if tools.is_some() {
            Finish::ToolCalls
        } else {
            Finish::Stop
        };
        let choice = limit(parts, finish, sampling);
        for part in &choice.parts {
            let text = spoken(part);
            let tokens = count(text);
            output += tokens;
            reasoning += if matches!(part, Part::Thinking { .. }) {
                tokens
            } else {
                0
            };
            size += text.len();
        }
        // Choices are about equally long: the first tells whether there is room for all.
        let all = if number == 0 {
            size.saturating_mul(choices_asked(sampling))
        } else {
            size
        };
        if all > MAX_ANSWER {
            return Err(too_long());
        }
        choices.push(choice);
    }
    let usage = Usage {
        input: prompt_tokens(request),
        output,
        reasoning,
        ..Usage::default()
    };
    Ok(ChatResponse {
        id: format!("chatcmpl-mock{seed:016x}"),
        model: request.model.clone().unwrap_or_default(),
        created: Some(created(seed)),
        fingerprint: None,
        extra: None,
        choices,
        usage: (behaviour.failure != Some(Failure::NoUsage)).then_some(usage),
    })
}

/// How many choices; [`check`] bounds it.
fn choices_asked(sampling: &Sampling) -> usize {
    sampling
        .n
        .and_then(|n| usize::try_from(n).ok())
        .unwrap_or(1)
}

/// The answer would be over [`MAX_ANSWER`].
pub(super) fn too_long() -> Refusal {
    fault::invalid(
        "n",
        "the answers would be larger than 64 MiB.",
        "integer_above_max_value",
    )
}

/// When an answer was made: some second of 2024, by its seed.
fn created(seed: u64) -> u64 {
    1_704_067_200 + seed % (366 * 24 * 3600)
}

fn check(sampling: &Sampling) -> Result<(), Refusal> {
    let below = |field: &str| {
        let why = "integer below minimum value. Expected a value >= 1, but got 0 instead.";
        Err(fault::invalid(field, why, "integer_below_min_value"))
    };
    match sampling.n {
        Some(0) => return below("n"),
        Some(n) if n > MAX_CHOICES => {
            let why = format!(
                "integer above maximum value. Expected a value <= {MAX_CHOICES}, but got {n} instead."
            );
            return Err(fault::invalid("n", &why, "integer_above_max_value"));
        }
        _ => {}
    }
    if sampling.max_tokens == Some(0) {
        return below("max_tokens");
    }
    let stops = sampling.stop.len();
    if stops > MAX_STOPS {
        let why = format!(
            "array too long. Expected an array with maximum length {MAX_STOPS}, but got an array with length {stops} instead."
        );
        return Err(fault::invalid("stop", &why, "array_above_max_length"));
    }
    Ok(())
}

/// The answer's parts where no tool is called.
fn speak(request: &ChatRequest, behaviour: Behaviour, seed: u64) -> Vec<Part> {
    let prompt = last_user_text(request);
    if behaviour.speech == Speech::Echo {
        return vec![Part::Text(prompt)];
    }
    if behaviour.speech == Speech::Transform {
        return vec![Part::Text(merge::answer(request, &prompt))];
    }
    let prompt = asked(request);
    let mut parts = Vec::new();
    let steps = match request.reasoning.effort.as_deref() {
        Some("none") => 0,
        Some("minimal" | "low") => 1,
        Some("high" | "xhigh") => 5,
        _ => 3,
    };
    if behaviour.speech == Speech::Reasoning && steps > 0 {
        parts.push(Part::Thinking {
            text: prose::reasoning(&prompt, steps, seed),
            signature: None,
        });
    }
    let text = if behaviour.speech == Speech::Unicode {
        prose::unicode(seed)
    } else if answers_tools(request) {
        let results = tool_results(request);
        prose::after_tools(results.iter().map(String::as_str), seed)
    } else {
        prose::answer(&prompt, attachments(request).as_deref(), seed)
    };
    parts.push(Part::Text(match &request.output {
        OutputFormat::Text => text,
        OutputFormat::JsonObject => {
            let understood = prose::excerpt(&prompt, 12);
            serde_json::json!({"understood": understood, "answer": text}).to_string()
        }
        OutputFormat::JsonSchema { schema, .. } => {
            schema::example(schema, &prose::excerpt(&prompt, 12), seed).to_string()
        }
    }));
    parts
}

/// Ends the answer at the first stop sequence, or at the token limit, whichever comes first.
fn limit(parts: Vec<Part>, finish: Finish, sampling: &Sampling) -> Choice {
    let mut choice = Choice {
        parts: Vec::new(),
        finish: Some(finish),
        ..Choice::default()
    };
    let mut left = sampling.max_tokens.unwrap_or(u64::MAX);
    for mut part in parts {
        let mut last = false;
        if let Part::Text(text) = &mut part
            && let Some((at, stop)) = sampling
                .stop
                .iter()
                .filter(|stop| !stop.is_empty())
                .filter_map(|stop| Some((text.find(stop)?, stop)))
                .min_by_key(|(at, _)| *at)
        {
            text.truncate(at);
            choice.finish = Some(Finish::Stop);
            choice.stopped = Some(stop.clone());
            last = true;
        }
        let whole = spoken(&part).len();
        let mut kept = 0;
        for token in tokens(spoken(&part)).take(usize::try_from(left).unwrap_or(usize::MAX)) {
            kept += token.len();
            left -= 1;
        }
        if kept < whole {
            (choice.finish, choice.stopped) = (Some(Finish::Length), None);
            last = true;
            match &mut part {
                Part::Text(text)
                | Part::Thinking { text, .. }
                | Part::ToolCall {
                    arguments: text, ..
                } => text.truncate(kept),
                _ => {}
            }
        }
        if kept > 0 || whole == 0 {
            choice.parts.push(part);
        }
        if last {
            break;
        }
    }
    choice
}

/// What the model generates of a part.
pub(super) fn spoken(part: &Part) -> &str {
    match part {
        Part::Text(text)
        | Part::Refusal(text)
        | Part::Thinking { text, .. }
        | Part::ToolCall {
            arguments: text, ..
        } => text,
        _ => "",
    }
}

#[cfg(test)]
pub(in crate::mock::reply) mod tests {
    use super::*;
    use crate::dialect::{Ingress, openai_chat::OpenAiChat};
    use serde_json::{Value, json};

    pub(in crate::mock::reply) fn ask(
        model: &str,
        mut body: Value,
    ) -> Result<ChatResponse, Refusal> {
        body["model"] = model.into();
        let request = OpenAiChat
            .decode_request(body.to_string().as_bytes())
            .unwrap();
        reply(&request, Behaviour::of(model).unwrap())
    }

    pub(in crate::mock::reply) fn said(text: &str) -> Value {
        json!({"messages": [{"role": "user", "content": text}]})
    }

    pub(in crate::mock::reply) fn with(mut body: Value, key: &str, value: Value) -> Value {
        body[key] = value;
        body
    }

    #[test]
    fn the_same_request_gets_the_same_answer() {
        let text = |body: Value| format!("{:?}", ask("mock", body).unwrap());
        assert_eq!(text(said("a")), text(said("a")));
        assert_ne!(text(said("a")), text(said("b")));
        let story = said("Tell me a story");
        let seeded = |seed: i64| {
            ask("mock", with(story.clone(), "seed", seed.into()))
                .unwrap()
                .text()
        };
        assert_eq!(seeded(1), seeded(1));
        assert!((2..9).any(|seed| seeded(seed) != seeded(1)));
        assert_eq!(
            ask("mock", story.clone()).unwrap().text(),
            ask("mock-split", story).unwrap().text()
        );
    }

    #[test]
    fn the_echo_is_verbatim() {
        let text = "  Grüße,\n\tWelt 🎉  ";
        assert_eq!(ask("mock-echo", said(text)).unwrap().text(), text);
        let turns = json!({"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
            {"role": "user", "content": [{"type": "text", "text": "three"}]}, {"role": "tool", "tool_call_id": "x", "content": "four"}]});
        assert_eq!(ask("mock-echo", turns).unwrap().text(), "three");
    }

    #[test]
    fn choices_differ_but_the_first() {
        let response = ask("mock", with(said("Tell me a story"), "n", json!(3))).unwrap();
        assert_eq!(response.choices.len(), 3);
        assert_eq!(
            response.text(),
            ask("mock", said("Tell me a story")).unwrap().text()
        );
        assert_ne!(
            format!("{:?}", response.choices[0]),
            format!("{:?}", response.choices[1])
        );
    }

    #[test]
    fn tokens_are_counted_over_the_pieces() {
        let response = ask("mock-echo", said("one two three")).unwrap();
        assert_eq!(
            response.usage,
            Some(Usage {
                input: 3,
                output: 3,
                ..Usage::default()
            })
        );
        assert_eq!(ask("mock-no-usage", said("one")).unwrap().usage, None);
    }

    #[test]
    fn max_tokens_cut_the_text() {
        for key in ["max_tokens", "max_completion_tokens"] {
            let response =
                ask("mock-echo", with(said("one two three four"), key, json!(2))).unwrap();
            assert_eq!(response.text(), "one two");
            assert_eq!(response.choices[0].finish, Some(Finish::Length));
            assert_eq!(response.usage.unwrap().output, 2);
        }
        let exact = ask("mock-echo", with(said("one two"), "max_tokens", json!(2))).unwrap();
        assert_eq!(exact.choices[0].finish, Some(Finish::Stop));
        let reasons = ask("mock-reasoning", with(said("Why?"), "max_tokens", json!(3))).unwrap();
        assert_eq!(
            (
                reasons.choices[0].parts.len(),
                reasons.usage.unwrap().reasoning
            ),
            (1, 3)
        );
        assert_eq!(reasons.choices[0].finish, Some(Finish::Length));
    }

    #[test]
    fn stop_sequences_end_the_text_before_them() {
        for (stop, text, met) in [
            (json!("three"), "one two ", Some("three")),
            (json!(["four", "tw"]), "one ", Some("tw")),
            (json!([""]), "one two three four", None),
        ] {
            let response =
                ask("mock-echo", with(said("one two three four"), "stop", stop)).unwrap();
            assert_eq!(response.text(), text);
            assert_eq!(response.choices[0].finish, Some(Finish::Stop));
            assert_eq!(response.choices[0].stopped.as_deref(), met);
        }
        let both = with(
            with(said("one two three"), "stop", json!("three")),
            "max_tokens",
            json!(1),
        );
        let choice = &ask("mock-echo", both).unwrap().choices[0];
        assert_eq!(
            (choice.finish, choice.stopped.as_deref()),
            (Some(Finish::Length), None)
        );
    }

    #[test]
    fn wild_numbers_are_refused() {
        for (key, value, code) in [
            ("n", json!(0), "integer_below_min_value"),
            ("n", json!(129), "integer_above_max_value"),
            ("max_tokens", json!(0), "integer_below_min_value"),
            (
                "stop",
                json!(["a", "b", "c", "d", "e"]),
                "array_above_max_length",
            ),
        ] {
            let fault = ask("mock", with(said("a"), key, value)).unwrap_err();
            assert_eq!(
                (fault.status, fault.code.as_deref(), fault.param.as_deref()),
                (400, Some(code), Some(key))
            );
        }
        let large = "x".repeat(1 << 20);
        let fault = ask("mock-echo", with(said(&large), "n", json!(128))).unwrap_err();
        assert!(fault.message.contains("64 MiB"), "{fault:?}");
    }

    #[test]
    fn reasoning_comes_first_and_is_counted() {
        let response = ask("mock-reasoning", said("Why is the sky blue?")).unwrap();
        let [Part::Thinking { text, .. }, Part::Text(_)] = &response.choices[0].parts[..] else {
            panic!("{response:?}")
        };
        let usage = response.usage.unwrap();
        assert_eq!(usage.reasoning, count(text));
        assert_eq!(usage.output, usage.reasoning + count(&response.text()));
        let none = ask(
            "mock-reasoning",
            with(said("Why?"), "reasoning_effort", json!("none")),
        )
        .unwrap();
        assert_eq!(none.usage.unwrap().reasoning, 0);
    }

    #[test]
    fn json_is_answered_where_asked_for() {
        let object = ask(
            "mock",
            with(
                said("Tell me a story"),
                "response_format",
                json!({"type": "json_object"}),
            ),
        )
        .unwrap();
        let object: Value = serde_json::from_str(&object.text()).unwrap();
        assert_eq!(object["understood"], "Tell me a story");
        let schema = json!({"type": "object", "properties": {"steps": {"type": "array", "items": {"type": "string"}}, "done": {"type": "boolean"}},
            "required": ["steps", "done"], "additionalProperties": false});
        let format = json!({"type": "json_schema", "json_schema": {"name": "plan", "schema": schema, "strict": true}});
        let plan: Value = serde_json::from_str(
            &ask("mock", with(said("Plan"), "response_format", format))
                .unwrap()
                .text(),
        )
        .unwrap();
        assert!(
            plan["steps"][0].is_string() && plan["done"].is_boolean(),
            "{plan}"
        );
    }
}

use bytes::Bytes;
use serde_json::{Value, json};

use super::short;
use crate::{
    dialect::{
        Egress as _, Fault, Ingress as _,
        gemini::{Gemini, GeminiArray, Vertex, finish, finish_reason},
        openai_chat::OpenAiChat,
        testing::there_and_back,
    },
    llm::{ChatResponse, Choice, Citation, Finish, Format, Logprob, Part, Usage},
};

fn decoded(body: &Value) -> ChatResponse {
    Gemini.decode_response(body.to_string().as_bytes()).unwrap()
}

#[test]
fn an_answer_with_everything() {
    let response = decoded(&json!({
        "candidates": [{
            "content": {"role": "model", "parts": [
                {"text": "Let me ", "thought": true},
                {"text": "think.", "thought": true, "thoughtSignature": "czA="},
                {"text": "It is "}, {"text": "hot."},
                {"functionCall": {"id": "fc1", "name": "f", "args": {"a": 1.50}}, "thoughtSignature": "czE="},
                {"functionCall": {"name": "now"}},
            ]},
            "finishReason": "STOP", "index": 0,
            "logprobsResult": {"topCandidates": [{"candidates": [{"token": "It", "tokenId": 1, "logProbability": -0.5}, {"token": "Is", "logProbability": -2}]}],
                "chosenCandidates": [{"token": "It", "tokenId": 1, "logProbability": -0.5}]},
        }],
        "usageMetadata": {"promptTokenCount": 20, "cachedContentTokenCount": 15, "candidatesTokenCount": 7, "thoughtsTokenCount": 5,
            "toolUsePromptTokenCount": 3, "totalTokenCount": 35,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}, {"modality": "AUDIO", "tokenCount": 8}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]},
        "modelVersion": "gemini-3.5-flash", "responseId": "r1", "createTime": "2026-03-01T00:00:00.123Z",
    }));
    assert_eq!(
        (response.id.as_str(), response.model.as_str()),
        ("r1", "gemini-3.5-flash")
    );
    assert_eq!(response.created, Some(1_772_323_200));
    let choice = &response.choices[0];
    let parts = short(&choice.parts);
    assert_eq!(
        parts[..3],
        [
            r#"(Let me think.|Some("czA="))"#,
            "It is hot.",
            r#"fc1__thought__czE f {"a":1.5}"#,
        ]
    );
    assert!(
        parts[3].starts_with("call_") && parts[3].ends_with(" now {}"),
        "{parts:?}"
    );
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    assert_eq!(choice.logprobs[0].top.len(), 2);
    assert_eq!(
        response.usage.unwrap(),
        Usage {
            input: 8,
            cache_read: 15,
            output: 12,
            reasoning: 5,
            input_audio: 8,
            output_audio: 2,
            ..Usage::default()
        }
    );
}

#[test]
fn arguments_keep_their_bytes() {
    let response = Gemini
        .decode_response(
            br#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"f","args":{"n": 1.00, "big": 12345678901234567890123}}}]}}]}"#,
        )
        .unwrap();
    assert_eq!(
        short(&response.choices[0].parts),
        [r#"a f {"n": 1.00, "big": 12345678901234567890123}"#]
    );
    assert_eq!(response.choices[0].finish, None);
}

#[test]
fn trap_1_6_a_blocked_prompt_is_an_empty_answer() {
    let response = decoded(
        &json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}),
    );
    assert_eq!(response.choices.len(), 1);
    assert!(response.choices[0].parts.is_empty());
    assert_eq!(response.choices[0].finish, Some(Finish::ContentFilter));
    // A candidate can be cut before it says anything.
    let response = decoded(&json!({"candidates": [{"finishReason": "SAFETY", "index": 0}]}));
    assert_eq!(response.choices[0].finish, Some(Finish::ContentFilter));
    let response = decoded(
        &json!({"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]}),
    );
    assert_eq!(response.choices[0].finish, Some(Finish::Length));
}

#[test]
fn an_answer_without_candidates_is_none() {
    let error = Vertex
        .decode_response(br#"{"usageMetadata":{"promptTokenCount":2}}"#)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no generation candidates received from Gemini, or max_tokens too short"
    );
    assert!(Gemini.decode_response(b"hello").is_err());
}

#[test]
fn every_finish_reason() {
    for (reason, expected) in [
        ("STOP", Finish::Stop),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
        ("RECITATION", Finish::ContentFilter),
        ("LANGUAGE", Finish::ContentFilter),
        ("BLOCKLIST", Finish::ContentFilter),
        ("PROHIBITED_CONTENT", Finish::ContentFilter),
        ("SPII", Finish::ContentFilter),
        ("MODEL_ARMOR", Finish::ContentFilter),
        ("IMAGE_SAFETY", Finish::ContentFilter),
        ("IMAGE_PROHIBITED_CONTENT", Finish::ContentFilter),
        ("IMAGE_RECITATION", Finish::ContentFilter),
        ("IMAGE_OTHER", Finish::Other),
        ("NO_IMAGE", Finish::Other),
        ("OTHER", Finish::Other),
        ("MALFORMED_FUNCTION_CALL", Finish::Other),
        ("UNEXPECTED_TOOL_CALL", Finish::Other),
        ("TOO_MANY_TOOL_CALLS", Finish::Other),
        ("MISSING_THOUGHT_SIGNATURE", Finish::Other),
        ("MALFORMED_RESPONSE", Finish::Other),
        ("SOMETHING_NEW", Finish::Other),
    ] {
        assert_eq!(finish(reason), Some(expected), "{reason}");
    }
    assert_eq!(finish("FINISH_REASON_UNSPECIFIED"), None);
    for finish in [
        Finish::Stop,
        Finish::Length,
        Finish::ContentFilter,
        Finish::Other,
    ] {
        assert_eq!(super::super::finish(finish_reason(finish)), Some(finish));
    }
    assert_eq!(finish_reason(Finish::ToolCalls), "STOP");
}

#[test]
fn trap_1_6_only_stop_is_upgraded() {
    let call = json!({"parts": [{"functionCall": {"id": "a", "name": "f"}}]});
    for (reason, expected) in [
        ("STOP", Finish::ToolCalls),
        ("MAX_TOKENS", Finish::Length),
        ("SAFETY", Finish::ContentFilter),
    ] {
        let response = decoded(&json!({"candidates": [{"content": call, "finishReason": reason}]}));
        assert_eq!(response.choices[0].finish, Some(expected));
    }
}

#[test]
fn citations_count_characters() {
    let response = decoded(&json!({"candidates": [{
        "content": {"parts": [{"text": "Größe zählt."}]}, "finishReason": "STOP",
        // Bytes 8 to 14 are characters 6 to 11.
        "groundingMetadata": {
            "webSearchQueries": ["x"],
            "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"web": {"uri": "https://b", "title": "B"}},
                {"retrievedContext": {"title": "C", "text": "words"}}],
            "groundingSupports": [{"segment": {"endIndex": 7, "text": "Größe"}, "groundingChunkIndices": [0]},
                {"segment": {"startIndex": 8, "endIndex": 14}, "groundingChunkIndices": [0, 1]}]},
        "citationMetadata": {"citationSources": [{"startIndex": 8, "endIndex": 14, "uri": "https://d", "license": "mit"}]},
    }]}));
    let found: Vec<String> = response.choices[0]
        .citations
        .iter()
        .map(|c| {
            format!(
                "{:?} {:?} {:?} {:?}",
                c.url.as_deref().or(c.title.as_deref()),
                c.start,
                c.end,
                c.cited_text
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            r#"Some("https://d") Some(6) Some(11) None"#,
            r#"Some("https://a") Some(0) Some(5) None"#,
            r#"Some("https://a") Some(6) Some(11) None"#,
            r#"Some("https://b") Some(6) Some(11) None"#,
            r#"Some("C") None None Some("words")"#,
        ]
    );
}

#[test]
fn pictures_and_googles_own_blocks_are_kept() {
    let body = json!({"candidates": [{"content": {"parts": [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        {"inlineData": {"mimeType": "image/png", "data": "draft"}, "thought": true},
    ], "role": "model"}, "finishReason": "STOP", "index": 0}], "modelVersion": "m", "responseId": "r"});
    let response = decoded(&body);
    let parts = &response.choices[0].parts;
    assert_eq!(parts.len(), 3);
    assert!(matches!(parts[0], Part::Image { .. }));
    assert!(matches!(
        &parts[1],
        Part::Opaque {
            from: Format::Gemini,
            ..
        }
    ));
    let again: Value = serde_json::from_slice(&Gemini.encode_response(&response)).unwrap();
    let mut expected = body;
    expected["candidates"][0]["content"]["parts"]
        .as_array_mut()
        .unwrap()
        .pop();
    assert_eq!(again, expected);
}

fn everything() -> ChatResponse {
    ChatResponse {
        id: "r".into(),
        model: "gemini-3.5-flash".into(),
        created: Some(1_772_323_200),
        fingerprint: None,
        extra: None,
        choices: vec![
            Choice {
                parts: vec![
                    Part::Thinking {
                        text: "hm".into(),
                        signature: Some("czA=".into()),
                    },
                    Part::Redacted("opaque".into()),
                    Part::Text("Größe \"zählt\"\n".into()),
                    Part::Thinking {
                        text: String::new(),
                        signature: Some("czE=".into()),
                    },
                    Part::ToolCall {
                        id: "a__thought__czI".into(),
                        name: "f".into(),
                        arguments: r#"{"a":[1,2]}"#.into(),
                        signature: Some("czI=".into()),
                    },
                    Part::ToolCall {
                        id: "b".into(),
                        name: "now".into(),
                        arguments: "{}".into(),
                        signature: None,
                    },
                ],
                finish: Some(Finish::ToolCalls),
                citations: vec![
                    Citation {
                        url: Some("https://a".into()),
                        title: Some("A".into()),
                        start: Some(0),
                        end: Some(5),
                        ..Citation::default()
                    },
                    Citation {
                        title: Some("B".into()),
                        cited_text: Some("words".into()),
                        source: Some("doc".into()),
                        ..Citation::default()
                    },
                ],
                logprobs: vec![Logprob {
                    token: "G".into(),
                    logprob: -0.25,
                    bytes: None,
                    top: vec![Logprob {
                        token: "g".into(),
                        logprob: -1.5,
                        ..Logprob::default()
                    }],
                }],
                ..Choice::default()
            },
            Choice {
                parts: vec![Part::Text("other".into())],
                finish: Some(Finish::Length),
                ..Choice::default()
            },
        ],
        usage: Some(Usage {
            input: 5,
            cache_read: 6,
            output: 9,
            reasoning: 4,
            input_audio: 2,
            output_audio: 1,
            ..Usage::default()
        }),
    }
}

#[test]
fn answers_survive_there_and_back() {
    there_and_back(&Gemini, &Gemini, &everything());
    there_and_back(&GeminiArray, &Vertex, &everything());
}

#[test]
fn an_answer_of_this_format_is_written_as_google_does() {
    let mut response = everything();
    response.choices.truncate(1);
    response.choices[0].parts.drain(0..2);
    response.choices[0].citations.clear();
    response.choices[0].logprobs.clear();
    let body: Value = serde_json::from_slice(&Gemini.encode_response(&response)).unwrap();
    assert_eq!(
        body,
        json!({
            "candidates": [{
                "content": {"role": "model", "parts": [
                    {"text": "Größe \"zählt\"\n"},
                    {"text": "", "thoughtSignature": "czE="},
                    {"functionCall": {"id": "a", "name": "f", "args": {"a": [1, 2]}}, "thoughtSignature": "czI="},
                    {"functionCall": {"id": "b", "name": "now", "args": {}}},
                ]},
                "finishReason": "STOP", "index": 0,
            }],
            "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 5, "totalTokenCount": 20, "cachedContentTokenCount": 6,
                "thoughtsTokenCount": 4,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 9}, {"modality": "AUDIO", "tokenCount": 2}],
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 4}, {"modality": "AUDIO", "tokenCount": 1}]},
            "modelVersion": "gemini-3.5-flash", "createTime": "2026-03-01T00:00:00Z", "responseId": "r",
        })
    );
}

#[test]
fn an_openai_client_can_send_the_answer_back() {
    let response = decoded(&json!({"candidates": [{"content": {"parts": [
        {"functionCall": {"id": "fc1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
    ]}, "finishReason": "STOP"}]}));
    let seen: Value = serde_json::from_slice(&OpenAiChat.encode_response(&response)).unwrap();
    let message = seen["choices"][0]["message"].clone();
    let id = message["tool_calls"][0]["id"].clone();
    let (body, _) = super::sent(
        "gemini-3.5-flash",
        json!({"messages": [{"role": "user", "content": "x"}, message, {"role": "tool", "tool_call_id": id, "content": "y"}]}),
    );
    assert_eq!(
        body["contents"],
        json!([
            {"role": "user", "parts": [{"text": "x"}]},
            {"role": "model", "parts": [{"functionCall": {"id": "fc1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "fc1", "name": "f", "response": {"result": "y"}}}]},
        ])
    );
}

#[test]
fn errors_are_moved_into_faults() {
    let error = json!({"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "contents", "description": "d"}]}]}});
    for body in [error.to_string(), json!([error]).to_string()] {
        let fault = Gemini.decode_error(400, &Bytes::from(body.clone()));
        assert_eq!(fault.message, "API key not valid.");
        assert_eq!(
            (
                fault.kind.as_str(),
                fault.code.as_deref(),
                fault.param.as_deref()
            ),
            (
                "invalid_request_error",
                Some("INVALID_ARGUMENT"),
                Some("contents")
            )
        );
        assert_eq!(
            (fault.provider.as_deref(), &fault.verbatim),
            (Some(body.as_str()), &None)
        );
        // To a client of this format it goes as it came.
        let again: Value = serde_json::from_slice(&Gemini.encode_fault(&fault)).unwrap();
        assert_eq!(again, error);
    }
    for (status, word, kind) in [
        (401, "UNAUTHENTICATED", "authentication_error"),
        (403, "PERMISSION_DENIED", "permission_error"),
        (404, "NOT_FOUND", "invalid_request_error"),
        (429, "RESOURCE_EXHAUSTED", "rate_limit_error"),
        (500, "INTERNAL", "api_error"),
        (503, "UNAVAILABLE", "api_error"),
        (504, "DEADLINE_EXCEEDED", "api_error"),
    ] {
        let body = json!({"error": {"code": status, "message": "m", "status": word}}).to_string();
        assert_eq!(Gemini.decode_error(status, &body.into()).kind, kind);
        let written = Gemini.encode_fault(&Fault::upstream(status, "m"));
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(
            written,
            json!({"error": {"code": status, "message": "m", "status": word}})
        );
    }
    let html = Bytes::from_static(b"<html>");
    assert_eq!(Gemini.decode_error(502, &html).verbatim, Some(html));
    let other = Gemini.decode_error(502, &Bytes::from_static(br#"{"detail":"odd"}"#));
    assert_eq!(other.message, "odd");
    let written: Value = serde_json::from_slice(&Gemini.encode_fault(&other)).unwrap();
    assert_eq!(written["error"]["provider"], json!({"detail": "odd"}));
}

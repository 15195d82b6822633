use serde_json::{Value, json};

use super::{CLAUDE, LLAMA, NOVA, OLD_CLAUDE, encoded, refused, sent, tool};
use crate::{
    dialect::Restored,
    llm::{Accumulator, Event, Kind, Sink},
};

/// A message with a text and this part.
fn part(part: Value) -> Value {
    let mut message = json!({"role": "user"});
    message["content"] = vec![json!({"type": "text", "text": "See"}), part].into();
    json!({"messages": [message]})
}

#[test]
fn pictures_documents_and_sound() {
    let image = |url: &str| part(json!({"type": "image_url", "image_url": {"url": url}}));
    let file = |name: &str, data: &str| {
        part(json!({"type": "file", "file": {"filename": name, "file_data": data}}))
    };
    let audio = |format: &str| {
        part(json!({"type": "input_audio", "input_audio": {"data": "AAAA", "format": format}}))
    };
    for (ask, block) in [
        (
            image("data:image/jpg;base64,AAAA"),
            json!({"image": {"format": "jpeg", "source": {"bytes": "AAAA"}}}),
        ),
        (
            image("s3://bucket/cat.webp"),
            json!({"image": {"format": "webp", "source": {"s3Location": {"uri": "s3://bucket/cat.webp"}}}}),
        ),
        (
            file("Q3_report (final).PDF", "data:application/pdf;base64,AAAA"),
            json!({"document": {"format": "pdf", "name": "Q3 report (final)", "source": {"bytes": "AAAA"}}}),
        ),
        (
            file("../..;/x.md", "data:application/octet-stream;base64,AAAA"),
            json!({"document": {"format": "md", "name": "x", "source": {"bytes": "AAAA"}}}),
        ),
        (
            file("清单.csv", "data:text/csv;charset=utf-8;base64,AAAA"),
            json!({"document": {"format": "csv", "name": "document", "source": {"bytes": "AAAA"}}}),
        ),
        (
            file("a.mp4", "data:video/mp4;base64,AAAA"),
            json!({"video": {"format": "mp4", "source": {"bytes": "AAAA"}}}),
        ),
        (
            audio("wav"),
            json!({"audio": {"format": "wav", "source": {"bytes": "AAAA"}}}),
        ),
    ] {
        let (body, lost) = sent(NOVA, ask);
        assert_eq!(body["messages"][0]["content"][1], block);
        assert!(lost.is_empty());
    }
    for (ask, what) in [
        (image("https://example.com/a.png"), "image URL"),
        (
            image("data:image/tiff;base64,AAAA"),
            "image of type image/tiff",
        ),
        (
            file("a.zip", "data:application/zip;base64,AAAA"),
            "file of type application/zip",
        ),
        (
            part(json!({"type": "file", "file": {"file_id": "file-1"}})),
            "file id",
        ),
        (audio("midi"), "audio of type midi"),
    ] {
        assert_eq!(
            refused(NOVA, ask),
            format!("the provider cannot take {what}")
        );
    }
}

#[test]
fn documents_have_names_of_their_own() {
    let file = json!({"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,AAAA"}});
    let (body, _) = sent(
        NOVA,
        json!({"messages": [{"role": "user", "content": [file, file, file]}]}),
    );
    let names: Vec<&Value> = body["messages"][0]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| &block["document"]["name"])
        .collect();
    assert_eq!(names, ["a", "a 2", "a 3"]);
}

/// A wish for JSON of a schema.
fn wants(schema: Value) -> Value {
    let mut format = json!({"name": "person", "strict": true});
    format["schema"] = schema;
    json!({"response_format": {"type": "json_schema", "json_schema": format}})
}

#[test]
fn a_schema_goes_out_as_converses_own_where_the_model_has_it() {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}, "required": ["age"]});
    for model in [CLAUDE, "qwen.qwen3-32b-v1:0"] {
        let (body, lost) = sent(model, wants(schema.clone()));
        let format = &body["outputConfig"]["textFormat"];
        assert_eq!(format["type"], "json_schema");
        assert_eq!(
            format["structure"]["jsonSchema"],
            json!({"schema": r#"{"type":"object","properties":{"age":{"type":"integer"}},"required":["age"],"additionalProperties":false}"#, "name": "person"})
        );
        assert_eq!(body["toolConfig"], Value::Null);
        assert_eq!(lost, ["dropped:schema.minimum"]);
    }
}

#[test]
fn a_schema_is_a_forced_tool_elsewhere() {
    let schema =
        json!({"type": "object", "properties": {"age": {"type": "integer", "minimum": 0}}});
    let encoded = encoded(OLD_CLAUDE, wants(schema.clone())).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    assert_eq!(
        body["toolConfig"],
        json!({"tools": [{"toolSpec": {"name": "person", "description": "Give the answer by calling this tool.",
            "inputSchema": {"json": schema}}}], "toolChoice": {"tool": {"name": "person"}}})
    );
    assert_eq!(encoded.restore.answer_tool.as_deref(), Some("person"));
    assert!(encoded.lost.is_empty());

    // Beside the client's tools, one of which has the name.
    let mut ask = wants(schema);
    ask["tools"] = json!([tool("person")]);
    let (body, _) = sent(OLD_CLAUDE, ask);
    assert_eq!(
        body["toolConfig"]["tools"][1]["toolSpec"]["name"],
        "person_2"
    );
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"any": {}}));

    assert_eq!(
        refused(OLD_CLAUDE, wants(json!({"type": "array", "items": {}}))),
        "the provider cannot take a JSON schema that is not one of an object"
    );
    let any = json!({"response_format": {"type": "json_object"}});
    let (body, lost) = sent(OLD_CLAUDE, any.clone());
    assert_eq!(
        body["toolConfig"]["toolChoice"],
        json!({"tool": {"name": "json_answer"}})
    );
    assert!(lost.is_empty());
    let (body, lost) = sent(LLAMA, any);
    assert_eq!(body["toolConfig"], Value::Null);
    assert_eq!(lost, ["dropped:response_format"]);
}

#[test]
fn an_answer_by_tool_becomes_text_in_a_stream() {
    let encoded = encoded(OLD_CLAUDE, wants(json!({"type": "object"}))).unwrap();
    let mut restored = Restored::new(encoded.restore);
    let mut all = Accumulator::default();
    for event in [
        Event::Open {
            part: 0,
            choice: 0,
            kind: Kind::ToolCall {
                id: "t".into(),
                name: "person".into(),
            },
        },
        Event::Arguments {
            part: 0,
            json: "{\"age\":3}".into(),
        },
        Event::Close { part: 0 },
    ] {
        all.event(restored.event(event));
    }
    assert_eq!(all.into_response().text(), "{\"age\":3}");
}

use serde_json::{Value, json};

use super::{Api, encoded, short};
use crate::{
    dialect::{Ingress as _, gemini::Gemini},
    llm::{OutputFormat, Part, Role, ToolChoice},
};

#[test]
fn native_requests_survive_in_both_spellings() {
    let camel = json!({
        "contents": [
            {"role": "user", "parts": [{"text": "a"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/c.pdf"}},
                {"inlineData": {"mimeType": "audio/mp3", "data": "BBBB"}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": true, "thoughtSignature": "czA="},
                {"functionCall": {"id": "1", "name": "f", "args": {"x": 1}}, "thoughtSignature": "czE="},
                {"functionCall": {"id": "2", "name": "g", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "1", "name": "f", "response": {"result": "one"}}},
                {"functionResponse": {"id": "2", "name": "g", "response": {"error": "two"}}}]},
            {"role": "model", "parts": [{"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "b", "thoughtSignature": "czI="}]},
        ],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [
            {"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "object",
                "properties": {"x": {"type": "integer", "nullable": true}}}}, {"name": "g"}]},
            {"googleSearch": {}},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}, "retrievalConfig": {"languageCode": "de"}},
        "generationConfig": {"maxOutputTokens": 5, "temperature": 0.1, "topP": 0.2, "topK": 3, "stopSequences": ["z"],
            "candidateCount": 2, "seed": 4, "presencePenalty": 0.5, "frequencyPenalty": 0.6, "responseLogprobs": true, "logprobs": 2,
            "responseMimeType": "application/json", "responseSchema": {"type": "array", "items": {"type": "string"}},
            "thinkingConfig": {"includeThoughts": true, "thinkingLevel": "LOW"}, "mediaResolution": "MEDIA_RESOLUTION_LOW"},
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        "cachedContent": "cachedContents/1",
    });
    let again = |body: &Value| {
        let mut request = Gemini.decode_request(body.to_string().as_bytes()).unwrap();
        request.model = Some("gemini-3.5-flash".into());
        encoded(&request, Api::Gemini)
    };
    let (body, lost) = again(&camel);
    assert_eq!(body, camel);
    assert!(lost.is_empty(), "{lost:?}");
    // Names in snake case, but not the values nor the names of the functions' own fields.
    let snake = camel
        .to_string()
        .replace("inlineData", "inline_data")
        .replace("mimeType", "mime_type")
        .replace("fileData", "file_data")
        .replace("fileUri", "file_uri")
        .replace("functionCall\"", "function_call\"")
        .replace("functionResponse", "function_response")
        .replace("thoughtSignature", "thought_signature")
        .replace("executableCode", "executable_code")
        .replace("systemInstruction", "system_instruction")
        .replace("functionDeclarations", "function_declarations")
        .replace("functionCallingConfig", "function_calling_config")
        .replace("allowedFunctionNames", "allowed_function_names")
        .replace("toolConfig", "tool_config")
        .replace("generationConfig", "generation_config")
        .replace("maxOutputTokens", "max_output_tokens")
        .replace("stopSequences", "stop_sequences")
        .replace("responseMimeType", "response_mime_type")
        .replace("responseSchema", "response_schema")
        .replace("responseLogprobs", "response_logprobs")
        .replace("candidateCount", "candidate_count")
        .replace("thinkingConfig", "thinking_config")
        .replace("thinkingLevel", "thinking_level");
    let (body, _) = again(&serde_json::from_str(&snake).unwrap());
    assert_eq!(body, camel);
}

#[test]
fn native_requests_of_old_are_understood() {
    let request = Gemini
        .decode_request(
            br#"{"system_instruction": {"parts": {"text": "You light lamps."}},
            "tools": {"function_declarations": [{"name": "on", "description": "d"},
                {"name": "off", "parameters": {"type": "OBJECT", "properties": {"room": {"type": "STRING", "format": "enum", "enum": ["a"]}}}}]},
            "tool_config": {"function_calling_config": {"mode": "auto"}},
            "contents": [
                {"parts": {"text": "Light, please."}},
                {"role": "assistant", "parts": [{"text": "Sure."}, {"functionCall": {"name": "on", "args": {}}}, {"functionCall": {"name": "on"}}]},
                {"role": "function", "parts": {"function_response": {"name": "on", "response": {"content": {"ok": true}}}}},
                {"role": "user", "parts": [{"text": "And?"}]}],
            "generation_config": {"max_output_tokens": "12", "response_mime_type": "application/json"}}"#,
        )
        .unwrap();
    let roles: Vec<Role> = request.messages.iter().map(|m| m.role).collect();
    assert_eq!(
        roles,
        [
            Role::System,
            Role::User,
            Role::Assistant,
            Role::User,
            Role::User
        ]
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Auto));
    assert_eq!(request.sampling.max_tokens, Some(12));
    assert!(matches!(request.output, OutputFormat::JsonObject));
    assert_eq!(
        request.tools[1].parameters.as_ref().unwrap().get(),
        r#"{"type":"object","properties":{"room":{"type":"string","enum":["a"]}}}"#
    );
    // The first of the two calls is the one that was answered.
    let calls = short(&request.messages[2].parts);
    let Part::ToolResult { id, parts, .. } = &request.messages[3].parts[0] else {
        panic!("a result");
    };
    assert!(calls[1].starts_with(id.as_str()), "{calls:?} {id}");
    assert_ne!(calls[1], calls[2]);
    assert_eq!(short(parts), [r#"{"content": {"ok": true}}"#]);
}

#[test]
fn mistakes_name_their_place() {
    let error = |body: &str| {
        Gemini
            .decode_request(body.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(r#"{"contents":[{"parts":[]},{"role":"alien","parts":[]}]}"#),
        "contents[1]: unknown role `alien`"
    );
    assert!(error("[]").contains("JSON"));
    assert!(error("{").contains("line 1"));
}

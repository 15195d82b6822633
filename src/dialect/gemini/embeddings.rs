//! Embeddings: `embedContent` and `batchEmbedContents`, <https://ai.google.dev/api/embeddings>, and Vertex AI's `predict`,
//! <https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Gemini, decode::take, errors, response::UsageMetadata};
use crate::{
    dialect::{
        Egress, Encoded, Error, Fault, Ingress, Loss, StreamDecoder, StreamEncoder, put, strangers,
        text::count,
    },
    llm::{
        ChatRequest, ChatResponse, EmbedInput, EmbedRequest, EmbedResponse, Extra, Format, Usage,
    },
};

/// Google's three ways to ask for embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeminiEmbeddings {
    /// `embedContent`: one text. On Vertex AI the way of the models after `gemini-embedding-001`.
    Single,
    /// `batchEmbedContents`: many texts.
    Batch,
    /// `predict`: Vertex AI's way of the models up to `gemini-embedding-001`.
    Predict,
}

/// Cohere's words and Google's for what vectors are for.
const PURPOSES: &[(&str, &str)] = &[
    ("search_document", "RETRIEVAL_DOCUMENT"),
    ("search_query", "RETRIEVAL_QUERY"),
    ("classification", "CLASSIFICATION"),
    ("clustering", "CLUSTERING"),
    ("similarity", "SEMANTIC_SIMILARITY"),
    ("question_answering", "QUESTION_ANSWERING"),
    ("fact_verification", "FACT_VERIFICATION"),
    ("code_retrieval_query", "CODE_RETRIEVAL_QUERY"),
];

/// Google's word.
fn task(purpose: &str, lost: &mut Vec<Loss>) -> Option<String> {
    let known = PURPOSES
        .iter()
        .find(|(cohere, google)| *cohere == purpose || *google == purpose);
    if known.is_none() {
        lost.push(Loss::dropped("input_type"));
    }
    known.map(|(_, google)| (*google).to_owned())
}

impl Egress for GeminiEmbeddings {
    fn format(&self) -> Format {
        Format::Gemini
    }

    fn encode_request(&self, _: &ChatRequest) -> Result<Encoded, Error> {
        Err(Error::Unsupported {
            what: "a conversation where texts to embed are asked for".into(),
        })
    }

    fn decode_response(&self, body: &[u8]) -> Result<ChatResponse, Error> {
        let answer: Answer = serde_json::from_slice(body)?;
        Ok(ChatResponse {
            usage: answer.usage(),
            ..ChatResponse::default()
        })
    }

    fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
        let mut lost = Vec::new();
        let mut texts = Vec::new();
        for input in &request.input {
            match input {
                EmbedInput::Text(text) => texts.push(text.as_str()),
                EmbedInput::Tokens(_) => {
                    return Err(Error::Unsupported {
                        what: "tokens to embed".into(),
                    });
                }
            }
        }
        let task = request
            .purpose
            .as_deref()
            .and_then(|purpose| task(purpose, &mut lost));
        if request.user.is_some() {
            lost.push(Loss::dropped("user"));
        }
        if request.normalize.is_some() {
            lost.push(Loss::dropped("normalize"));
        }
        lost.extend(strangers(request.extra.as_ref(), Format::Gemini, &[]));
        let one = |text: &str| {
            let mut one = json!({"content": {"parts": [{"text": text}]}});
            if let Some(task) = &task {
                put(&mut one, "taskType", task.clone());
            }
            if let Some(dimensions) = request.dimensions {
                put(&mut one, "outputDimensionality", dimensions);
            }
            one
        };
        let mut json = match (self, texts.as_slice()) {
            (GeminiEmbeddings::Single, [text]) => one(text),
            (GeminiEmbeddings::Single, _) => {
                return Err(Error::Unsupported {
                    what: "several texts at once".into(),
                });
            }
            (GeminiEmbeddings::Batch, texts) => {
                let model = request.model.as_deref().unwrap_or_default();
                let prefix = if model.contains('/') { "" } else { "models/" };
                let requests: Vec<Value> = texts
                    .iter()
                    .map(|text| {
                        let mut one = one(text);
                        put(&mut one, "model", format!("{prefix}{model}"));
                        one
                    })
                    .collect();
                json!({"requests": requests})
            }
            (GeminiEmbeddings::Predict, texts) => {
                let instances: Vec<Value> = texts
                    .iter()
                    .map(|text| match &task {
                        Some(task) => json!({"content": text, "task_type": task}),
                        None => json!({"content": text}),
                    })
                    .collect();
                let mut json = json!({"instances": instances});
                if let Some(dimensions) = request.dimensions {
                    let parameters = json!({"outputDimensionality": dimensions});
                    put(&mut json, "parameters", parameters);
                }
                json
            }
        };
        if let Some(extra) = &request.extra
            && extra.from == Format::Gemini
        {
            for (key, value) in &extra.fields {
                put(&mut json, key, value.clone());
            }
        }
        Ok(Encoded {
            lost,
            ..Encoded::of(&json)
        })
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
        let answer: Answer = serde_json::from_slice(body)?;
        let usage = answer.usage();
        let mut vectors = Vec::new();
        vectors.extend(answer.embedding.map(|vector| vector.values));
        vectors.extend(answer.embeddings.into_iter().flatten().map(|v| v.values));
        let predictions = answer.predictions.into_iter().flatten();
        vectors.extend(predictions.map(|prediction| prediction.embeddings.values));
        if vectors.is_empty() {
            return Err(Error::Malformed(
                "no embeddings received from Gemini".into(),
            ));
        }
        Ok(EmbedResponse {
            vectors,
            usage,
            ..EmbedResponse::default()
        })
    }

    fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
        errors::decode(status, body)
    }

    fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
        Gemini.stream_decoder()
    }
}

/// All three answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    embedding: Option<Vector>,
    embeddings: Option<Vec<Vector>>,
    predictions: Option<Vec<Prediction>>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Vector {
    #[serde(default)]
    values: Vec<f64>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Vector,
}

#[derive(Deserialize)]
struct Statistics {
    #[serde(default, alias = "tokenCount", deserialize_with = "count")]
    token_count: u64,
}

impl Answer {
    fn usage(&self) -> Option<Usage> {
        if let Some(usage) = &self.usage_metadata {
            return Some(usage.into());
        }
        let predictions = self.predictions.iter().flatten();
        let mut counts = predictions
            .filter_map(|prediction| prediction.embeddings.statistics.as_ref())
            .map(|statistics| statistics.token_count)
            .peekable();
        counts.peek()?;
        Some(Usage {
            input: counts.fold(0, u64::saturating_add),
            ..Usage::default()
        })
    }
}

impl Ingress for GeminiEmbeddings {
    fn format(&self) -> Format {
        Format::Gemini
    }

    fn decode_request(&self, _: &[u8]) -> Result<ChatRequest, Error> {
        Err(Error::Unsupported {
            what: "texts to embed where a conversation is asked for".into(),
        })
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        Gemini.encode_response(response)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        let Value::Object(mut fields) = serde_json::from_slice(body)? else {
            return Err(Error::Malformed("the request is no JSON object".into()));
        };
        let mut request = EmbedRequest::default();
        match self {
            GeminiEmbeddings::Single => one(&mut fields, &mut request)?,
            GeminiEmbeddings::Batch => {
                request.listed = true;
                let Some(Value::Array(requests)) = take(&mut fields, "requests") else {
                    return Err(Error::Malformed("`requests` is no list".into()));
                };
                for (index, wire) in requests.into_iter().enumerate() {
                    let Value::Object(mut wire) = wire else {
                        return Err(Error::Malformed(format!("requests[{index}] is no object")));
                    };
                    one(&mut wire, &mut request)
                        .map_err(|why| Error::Malformed(format!("requests[{index}]: {why}")))?;
                }
            }
            GeminiEmbeddings::Predict => predict(&mut fields, &mut request)?,
        }
        if !fields.is_empty() {
            request.extra = Some(Extra {
                from: Format::Gemini,
                fields,
            });
        }
        Ok(request)
    }

    fn encode_embeddings(&self, _: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        let vector = |values: &Vec<f64>| json!({"values": values});
        let mut json = match self {
            GeminiEmbeddings::Single => {
                json!({"embedding": response.vectors.first().map(vector)})
            }
            GeminiEmbeddings::Batch => {
                json!({"embeddings": response.vectors.iter().map(vector).collect::<Vec<_>>()})
            }
            GeminiEmbeddings::Predict => {
                let predictions = response.vectors.iter();
                let predictions = predictions.map(|values| json!({"embeddings": vector(values)}));
                json!({"predictions": predictions.collect::<Vec<_>>()})
            }
        };
        if let Some(usage) = response.usage {
            let usage = json!({"promptTokenCount": usage.prompt()});
            put(&mut json, "usageMetadata", usage);
        }
        json.to_string().into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        errors::encode(fault)
    }

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        Gemini.stream_encoder(usage)
    }
}

fn text(value: Option<Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// One `EmbedContentRequest`. Of several the settings are the same in practice: the last ones count.
fn one(fields: &mut Map<String, Value>, request: &mut EmbedRequest) -> Result<(), Error> {
    if let Some(model) = text(take(fields, "model")) {
        request.model = Some(model.trim_start_matches("models/").to_owned());
    }
    if let Some(task) = text(take(fields, "taskType")) {
        request.purpose = Some(task);
    }
    if let Some(dimensions) = take(fields, "outputDimensionality") {
        request.dimensions = dimensions.as_u64();
    }
    let content = take(fields, "content").unwrap_or_default();
    let parts = match content.get("parts") {
        Some(Value::Array(parts)) => parts.as_slice(),
        Some(part @ Value::Object(_)) => std::slice::from_ref(part),
        _ => return Err(Error::Malformed("`content` has no parts".into())),
    };
    let mut whole = String::new();
    for part in parts {
        let Some(text) = part.get("text").and_then(Value::as_str) else {
            return Err(Error::Unsupported {
                what: "anything but text to embed".into(),
            });
        };
        whole.push_str(text);
    }
    request.input.push(EmbedInput::Text(whole));
    Ok(())
}

fn predict(fields: &mut Map<String, Value>, request: &mut EmbedRequest) -> Result<(), Error> {
    request.listed = true;
    let Some(Value::Array(instances)) = take(fields, "instances") else {
        return Err(Error::Malformed("`instances` is no list".into()));
    };
    for (index, instance) in instances.into_iter().enumerate() {
        let mut instance = instance.as_object().cloned().unwrap_or_default();
        let Some(content) = text(take(&mut instance, "content")) else {
            return Err(Error::Malformed(format!(
                "instances[{index}] has no `content`"
            )));
        };
        if let Some(task) = text(take(&mut instance, "taskType")) {
            request.purpose = Some(task);
        }
        request.input.push(EmbedInput::Text(content));
    }
    if let Some(Value::Object(mut parameters)) = take(fields, "parameters") {
        request.dimensions = take(&mut parameters, "outputDimensionality")
            .as_ref()
            .and_then(Value::as_u64);
        if !parameters.is_empty() {
            fields.insert("parameters".into(), parameters.into());
        }
    }
    Ok(())
}

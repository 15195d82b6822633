//! Embeddings, which Bedrock has in each family's own format, through
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{family::Model, fault};
use crate::{
    dialect::{
        Egress, Encoded, Error, Fault, Ingress, Loss, StreamDecoder, StreamEncoder, put, strangers,
        text::count,
    },
    llm::{ChatRequest, ChatResponse, EmbedInput, EmbedRequest, EmbedResponse, Format, Usage},
};

/// Amazon's Titan, text models and the one for pictures:
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html>,
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-mm.html>.
#[derive(Debug)]
pub struct Titan;

/// Amazon's Nova: <https://docs.aws.amazon.com/nova/latest/userguide/embeddings-schema.html>.
#[derive(Debug)]
pub struct Nova;

/// Cohere's Embed: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html>,
/// <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v4.html>.
#[derive(Debug)]
pub struct Cohere;

/// To clients: Titan's words for one text, Cohere's for several.
#[derive(Debug)]
pub struct Invoke;

/// The format in which a model, by its id, embeds; `None`: it is not known to.
#[must_use]
pub fn of(model: &str) -> Option<&'static dyn Egress> {
    let name = Model::of(model).name;
    if name.starts_with("amazon.titan-embed-") {
        Some(&Titan)
    } else if name.starts_with("amazon.nova-") && name.contains("embed") {
        Some(&Nova)
    } else if name.starts_with("cohere.embed-") {
        Some(&Cohere)
    } else {
        None
    }
}

/// What the three have in common.
macro_rules! embeds {
    ($format:ident, $encode:ident, $decode:ident) => {
        impl Egress for $format {
            fn format(&self) -> Format {
                Format::Bedrock
            }

            fn encode_request(&self, _: &ChatRequest) -> Result<Encoded, Error> {
                Err(unsupported(
                    "a conversation where texts to embed are asked for",
                ))
            }

            fn decode_response(&self, _: &[u8]) -> Result<ChatResponse, Error> {
                Err(Error::Malformed("the answer is no conversation".into()))
            }

            fn encode_embeddings(&self, request: &EmbedRequest) -> Result<Encoded, Error> {
                let mut lost = strangers(request.extra.as_ref(), Format::Bedrock, &[]);
                if request.user.is_some() {
                    lost.push(Loss::dropped("user"));
                }
                let json = $encode(request, &mut lost)?;
                Ok(Encoded {
                    lost,
                    ..Encoded::of(&json)
                })
            }

            fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedResponse, Error> {
                $decode(body)
            }

            fn decode_error(&self, status: u16, body: &Bytes) -> Fault {
                fault::decode(status, body)
            }

            fn stream_decoder(&self) -> Box<dyn StreamDecoder> {
                super::Converse.stream_decoder()
            }
        }
    };
}

embeds!(Titan, titan, single);
embeds!(Nova, nova, listed);
embeds!(Cohere, cohere, listed);

fn unsupported(what: &str) -> Error {
    Error::Unsupported { what: what.into() }
}

fn text(input: &EmbedInput) -> Result<&str, Error> {
    match input {
        EmbedInput::Text(text) => Ok(text),
        EmbedInput::Tokens(_) => Err(unsupported("tokens in place of texts to embed")),
    }
}

/// The only text; Amazon's models take one a call.
fn only(request: &EmbedRequest) -> Result<&str, Error> {
    match request.input.as_slice() {
        [input] => text(input),
        _ => Err(unsupported("more than one text to embed in a request")),
    }
}

fn name(request: &EmbedRequest) -> &str {
    Model::of(request.model.as_deref().unwrap_or_default()).name
}

fn lose(lost: &mut Vec<Loss>, field: bool, name: &str) {
    if field {
        lost.push(Loss::dropped(name));
    }
}

fn titan(request: &EmbedRequest, lost: &mut Vec<Loss>) -> Result<Value, Error> {
    let mut json = json!({"inputText": only(request)?});
    lose(lost, request.purpose.is_some(), "input_type");
    let name = name(request);
    if name.starts_with("amazon.titan-embed-image") {
        if let Some(dimensions) = request.dimensions {
            let config = json!({"outputEmbeddingLength": dimensions});
            put(&mut json, "embeddingConfig", config);
        }
        lose(lost, request.normalize.is_some(), "normalize");
    } else if name.starts_with("amazon.titan-embed-text-v1") || name.contains("-g1-") {
        lose(lost, request.dimensions.is_some(), "dimensions");
        lose(lost, request.normalize.is_some(), "normalize");
    } else {
        if let Some(dimensions) = request.dimensions {
            put(&mut json, "dimensions", dimensions);
        }
        if let Some(normalize) = request.normalize {
            put(&mut json, "normalize", normalize);
        }
    }
    Ok(json)
}

fn nova(request: &EmbedRequest, lost: &mut Vec<Loss>) -> Result<Value, Error> {
    let purpose = request.purpose.as_deref().unwrap_or("GENERIC_INDEX");
    let mut params = json!({
        "embeddingPurpose": purpose,
        "text": {"truncationMode": "NONE", "value": only(request)?},
    });
    if let Some(dimensions) = request.dimensions {
        put(&mut params, "embeddingDimension", dimensions);
    }
    lose(lost, request.normalize.is_some(), "normalize");
    Ok(json!({"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": params}))
}

fn cohere(request: &EmbedRequest, lost: &mut Vec<Loss>) -> Result<Value, Error> {
    let texts: Vec<&str> = request.input.iter().map(text).collect::<Result<_, _>>()?;
    let mut json = json!({
        "texts": texts,
        "input_type": request.purpose.as_deref().unwrap_or("search_document"),
    });
    lose(lost, request.normalize.is_some(), "normalize");
    if let Some(dimensions) = request.dimensions {
        if name(request).starts_with("cohere.embed-v4") {
            put(&mut json, "output_dimension", dimensions);
        } else {
            lost.push(Loss::dropped("dimensions"));
        }
    }
    if name(request).starts_with("cohere.embed-v4") {
        put(&mut json, "embedding_types", json!(["float"]));
    }
    Ok(json)
}

/// Titan's answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Single {
    embedding: Option<Vec<f64>>,
    #[serde(default, deserialize_with = "count")]
    input_text_token_count: u64,
}

/// Reads Titan's answer.
fn single(body: &[u8]) -> Result<EmbedResponse, Error> {
    let answer: Single = serde_json::from_slice(body)?;
    let vector = answer
        .embedding
        .ok_or_else(|| Error::Malformed("'embedding' not in the answer".into()))?;
    let tokens = answer.input_text_token_count;
    Ok(EmbedResponse {
        vectors: vec![vector],
        usage: (tokens > 0).then_some(Usage {
            input: tokens,
            ..Usage::default()
        }),
        ..EmbedResponse::default()
    })
}

/// Cohere's answer, and Nova's.
#[derive(Deserialize)]
struct Listed {
    #[serde(default)]
    id: Option<String>,
    embeddings: Option<Vectors>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vectors {
    /// Cohere's, where no type was asked for.
    Floats(Vec<Vec<f64>>),
    /// Nova's.
    Named(Vec<Named>),
    /// Cohere's, by type.
    ByType { float: Vec<Vec<f64>> },
}

#[derive(Deserialize)]
struct Named {
    embedding: Vec<f64>,
}

/// Reads Cohere's and Nova's answers. Their tokens are told in a header alone.
fn listed(body: &[u8]) -> Result<EmbedResponse, Error> {
    let answer: Listed = serde_json::from_slice(body)?;
    let vectors = match answer.embeddings {
        Some(Vectors::Floats(vectors) | Vectors::ByType { float: vectors }) => vectors,
        Some(Vectors::Named(named)) => named.into_iter().map(|named| named.embedding).collect(),
        None => return Err(Error::Malformed("'embeddings' not in the answer".into())),
    };
    Ok(EmbedResponse {
        id: answer.id.unwrap_or_default(),
        vectors,
        ..EmbedResponse::default()
    })
}

/// What clients send to be embedded, in Titan's and Cohere's words.
#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "inputText")]
    text: Option<String>,
    texts: Option<Vec<String>>,
    #[serde(alias = "output_dimension")]
    dimensions: Option<u64>,
    normalize: Option<bool>,
    input_type: Option<String>,
}

impl Ingress for Invoke {
    fn format(&self) -> Format {
        Format::Bedrock
    }

    fn decode_request(&self, _: &[u8]) -> Result<ChatRequest, Error> {
        Err(unsupported(
            "a conversation where texts to embed are asked for",
        ))
    }

    fn encode_response(&self, response: &ChatResponse) -> Vec<u8> {
        super::Converse.encode_response(response)
    }

    fn decode_embeddings(&self, body: &[u8]) -> Result<EmbedRequest, Error> {
        let asked: Asked = serde_json::from_slice(body)?;
        let listed = asked.texts.is_some();
        let texts = asked.texts.into_iter().flatten().chain(asked.text);
        Ok(EmbedRequest {
            input: texts.map(EmbedInput::Text).collect(),
            listed,
            dimensions: asked.dimensions,
            normalize: asked.normalize,
            purpose: asked.input_type,
            ..EmbedRequest::default()
        })
    }

    fn encode_embeddings(&self, request: &EmbedRequest, response: &EmbedResponse) -> Vec<u8> {
        let json = if request.listed {
            json!({"id": response.id, "embeddings": response.vectors, "response_type": "embeddings_floats"})
        } else {
            json!({
                "embedding": response.vectors.first(),
                "inputTextTokenCount": response.usage.map_or(0, |usage| usage.input),
            })
        };
        json.to_string().into_bytes()
    }

    fn encode_fault(&self, fault: &Fault) -> Vec<u8> {
        super::Converse.encode_fault(fault)
    }

    fn stream_encoder(&self, usage: bool) -> Box<dyn StreamEncoder> {
        super::Converse.stream_encoder(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(model: &str, texts: &[&str]) -> EmbedRequest {
        EmbedRequest {
            model: Some(model.into()),
            input: texts
                .iter()
                .map(|text| EmbedInput::Text((*text).into()))
                .collect(),
            dimensions: Some(256),
            normalize: Some(true),
            ..EmbedRequest::default()
        }
    }

    fn sent(request: &EmbedRequest) -> (String, Vec<String>) {
        let egress = of(request.model.as_deref().unwrap()).unwrap();
        let encoded = egress.encode_embeddings(request).unwrap();
        (
            String::from_utf8(encoded.body.to_vec()).unwrap(),
            encoded.lost.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn each_family_is_asked_in_its_own_way() {
        for (model, body, lost) in [
            (
                "amazon.titan-embed-text-v1",
                r#"{"inputText":"a"}"#,
                &["dropped:dimensions", "dropped:normalize"][..],
            ),
            (
                "amazon.titan-embed-g1-text-02",
                r#"{"inputText":"a"}"#,
                &["dropped:dimensions", "dropped:normalize"],
            ),
            (
                "amazon.titan-embed-text-v2:0",
                r#"{"inputText":"a","dimensions":256,"normalize":true}"#,
                &[],
            ),
            (
                "amazon.titan-embed-image-v1",
                r#"{"inputText":"a","embeddingConfig":{"outputEmbeddingLength":256}}"#,
                &["dropped:normalize"],
            ),
            (
                "amazon.nova-2-multimodal-embeddings-v1:0",
                r#"{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"embeddingPurpose":"GENERIC_INDEX","text":{"truncationMode":"NONE","value":"a"},"embeddingDimension":256}}"#,
                &["dropped:normalize"],
            ),
            (
                "cohere.embed-english-v3",
                r#"{"texts":["a"],"input_type":"search_document"}"#,
                &["dropped:normalize", "dropped:dimensions"],
            ),
            (
                "us.cohere.embed-v4:0",
                r#"{"texts":["a"],"input_type":"search_document","output_dimension":256,"embedding_types":["float"]}"#,
                &["dropped:normalize"],
            ),
        ] {
            let (sent, gone) = sent(&request(model, &["a"]));
            assert_eq!(sent, body, "{model}");
            assert_eq!(gone, lost, "{model}");
        }
        assert!(of("anthropic.claude-3-haiku-20240307-v1:0").is_none());
    }

    #[test]
    fn what_cannot_be_embedded_is_named() {
        let many = request("amazon.titan-embed-text-v2:0", &["a", "b"]);
        assert_eq!(
            Titan.encode_embeddings(&many).unwrap_err().to_string(),
            "the provider cannot take more than one text to embed in a request"
        );
        let mut tokens = request("cohere.embed-english-v3", &[]);
        tokens.input = vec![EmbedInput::Tokens(vec![1])];
        assert_eq!(
            Cohere.encode_embeddings(&tokens).unwrap_err().to_string(),
            "the provider cannot take tokens in place of texts to embed"
        );
        let mut purposeful = request("cohere.embed-multilingual-v3", &["a", "b"]);
        purposeful.purpose = Some("search_query".into());
        purposeful.dimensions = None;
        purposeful.user = Some("u".into());
        let (sent, lost) = sent(&purposeful);
        assert_eq!(sent, r#"{"texts":["a","b"],"input_type":"search_query"}"#);
        assert_eq!(lost, ["dropped:user", "dropped:normalize"]);
    }

    #[test]
    fn answers_are_read() {
        let titan = Titan
            .decode_embeddings(br#"{"embedding":[0.5,-1],"inputTextTokenCount":3,"embeddingsByType":{"float":[0.5,-1]}}"#)
            .unwrap();
        assert_eq!(titan.vectors, [[0.5, -1.0]]);
        assert_eq!(titan.usage.unwrap().input, 3);
        let floats = br#"{"id":"e1","response_type":"embeddings_floats","embeddings":[[1,2],[3,4]],"texts":["a","b"]}"#;
        let floats = Cohere.decode_embeddings(floats).unwrap();
        assert_eq!((floats.id.as_str(), floats.vectors.len()), ("e1", 2));
        let by_type =
            br#"{"id":"e2","response_type":"embeddings_by_type","embeddings":{"float":[[1,2]]}}"#;
        assert_eq!(
            Cohere.decode_embeddings(by_type).unwrap().vectors,
            [[1.0, 2.0]]
        );
        let nova = br#"{"embeddings":[{"embeddingType":"TEXT","embedding":[0.25]}]}"#;
        assert_eq!(Nova.decode_embeddings(nova).unwrap().vectors, [[0.25]]);
        assert_eq!(
            Titan.decode_embeddings(b"{}").unwrap_err().to_string(),
            "'embedding' not in the answer"
        );
    }

    #[test]
    fn what_clients_send_is_what_is_sent() {
        for (egress, model, texts) in [
            (
                &Titan as &dyn Egress,
                "amazon.titan-embed-text-v2:0",
                vec!["a"],
            ),
            (&Cohere, "cohere.embed-english-v3", vec!["a", "b"]),
        ] {
            let asked = request(model, &texts);
            let sent = egress.encode_embeddings(&asked).unwrap();
            let read = Invoke.decode_embeddings(&sent.body).unwrap();
            assert_eq!(read.input, asked.input);
            let answer = EmbedResponse {
                vectors: texts.iter().map(|_| vec![0.5, -1.0]).collect(),
                ..EmbedResponse::default()
            };
            let written = Invoke.encode_embeddings(&read, &answer);
            assert_eq!(
                egress.decode_embeddings(&written).unwrap().vectors,
                answer.vectors
            );
        }
    }
}

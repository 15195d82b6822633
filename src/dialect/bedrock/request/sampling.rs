//! Limits and randomness: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InferenceConfiguration.html>.

use serde_json::{Map, Value, json};

use super::{super::family::Vendor, Writer, reasoning::Reasoning};
use crate::{dialect::Loss, llm::ChatRequest};

/// `inferenceConfig`; what it has no name for goes into `additional` where the model has one.
pub(super) fn encode(
    request: &ChatRequest,
    reasoning: &Reasoning,
    writer: &mut Writer<'_>,
    additional: &mut Map<String, Value>,
) -> Map<String, Value> {
    let sampling = &request.sampling;
    let mut inference = Map::new();
    if let Some(limit) = sampling.max_tokens {
        if reasoning.nova_high {
            writer.drop("max_tokens");
        } else {
            inference.insert("maxTokens".into(), limit.into());
        }
    }
    let mut temperature = sampling.temperature;
    let mut top_p = sampling.top_p;
    if reasoning.claude || reasoning.nova_high || writer.model.refuses_sampling() {
        // 1 is what they are without being told.
        drop_unless(&mut temperature, |t| t == 1.0, "temperature", writer);
        let thinks = reasoning.claude && !writer.model.refuses_sampling();
        // Claude takes a narrow `topP` while it reasons.
        if !(thinks && top_p.is_some_and(|p| p >= 0.95)) {
            drop_unless(&mut top_p, |p| p == 1.0, "top_p", writer);
        }
    } else if writer.model.takes_one_of_temperature_and_top_p() && temperature.is_some() {
        drop_unless(&mut top_p, |p| p == 1.0, "top_p", writer);
    }
    if let Some(temperature) = temperature {
        let most = unit(temperature, "temperature", writer);
        inference.insert("temperature".into(), json!(most));
    }
    if let Some(top_p) = top_p {
        let most = unit(top_p, "top_p", writer);
        inference.insert("topP".into(), json!(most));
    }
    let stops: Vec<&String> = sampling
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .collect();
    if !stops.is_empty() {
        inference.insert("stopSequences".into(), json!(stops));
    }
    if let Some(k) = sampling.top_k {
        if reasoning.claude || reasoning.nova_high {
            writer.drop("top_k");
        } else if writer.model.vendor == Vendor::Nova {
            additional.insert("inferenceConfig".into(), json!({"topK": k}));
        } else {
            add("top_k", k.into(), writer, additional);
        }
    }
    if let Some(seed) = sampling.seed {
        add("seed", seed.into(), writer, additional);
    }
    let penalties = [
        ("frequency_penalty", sampling.frequency_penalty),
        ("presence_penalty", sampling.presence_penalty),
    ];
    for (name, penalty) in penalties {
        if let Some(penalty) = penalty.filter(|penalty| *penalty != 0.0) {
            add(name, json!(penalty), writer, additional);
        }
    }
    if sampling.logprobs == Some(true) {
        writer.drop("logprobs");
    }
    if sampling.top_logprobs.is_some_and(|n| n > 0) {
        writer.drop("top_logprobs");
    }
    inference
}

fn add(name: &str, value: Value, writer: &mut Writer<'_>, additional: &mut Map<String, Value>) {
    match writer.model.additional(name) {
        Some(sent) => {
            additional.insert(sent.to_owned(), value);
        }
        None => writer.drop(name),
    }
}

/// Leaves a value out that the model refuses; where it is what the model does anyway, nothing is lost.
fn drop_unless(
    value: &mut Option<f64>,
    harmless: impl Fn(f64) -> bool,
    name: &str,
    writer: &mut Writer<'_>,
) {
    if value.take().is_some_and(|value| !harmless(value)) {
        writer.drop(name);
    }
}

/// Temperature and `topP` go from 0 to 1.
fn unit(value: f64, name: &str, writer: &mut Writer<'_>) -> f64 {
    let within = value.clamp(0.0, 1.0);
    if within != value {
        writer.lose(Loss::clamped(name));
    }
    within
}

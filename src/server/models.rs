//! `/v1/models`: the models that clients may name, in OpenAI's list format or in Anthropic's.

use serde_json::{Value, json};

use super::served::Served;
use crate::{
    dialect::Fault,
    profile::{Profile, Vault},
};

/// What OpenAI's SDKs read of a model's age; profiles have none.
const CREATED: u64 = 0;

/// The same for Anthropic's.
const CREATED_AT: &str = "1970-01-01T00:00:00Z";

/// A model that clients may name.
pub(super) struct Model {
    id: String,
    label: String,
}

/// `PROFILE` and `PROFILE/MODEL` of each served profile whose secrets resolve; of one profile, also its bare `MODEL`.
pub(super) fn list(served: &Served, only: Option<&Profile>, vault: &dyn Vault) -> Vec<Model> {
    let profiles = served
        .iter()
        .filter(|profile| only.is_none_or(|only| only.name == profile.name));
    let usable = profiles.filter(|profile| profile.unresolved(vault).is_none());
    usable
        .flat_map(|profile| {
            ids(profile, only.is_some()).into_iter().map(|id| Model {
                id,
                label: profile.label().to_owned(),
            })
        })
        .collect()
}

/// One of them.
pub(super) fn one(list: Vec<Model>, id: &str) -> Result<Model, Fault> {
    let found = list.into_iter().find(|model| model.id == id);
    found.ok_or_else(|| {
        let id: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
        Fault::invalid(404, format!("The model '{id}' does not exist")).code("model_not_found")
    })
}

/// <https://platform.openai.com/docs/api-reference/models/list>.
pub(super) fn as_openai(list: Vec<Model>) -> Value {
    let models: Vec<Value> = list
        .into_iter()
        .map(|model| {
            json!({"id": model.id, "object": "model", "created": CREATED, "owned_by": model.label})
        })
        .collect();
    json!({"object": "list", "data": models})
}

/// <https://platform.claude.com/docs/en/api/models/list>; all are on its one page.
pub(super) fn as_anthropic(list: Vec<Model>) -> Value {
    let id = |model: Option<&Model>| model.map(|model| model.id.clone());
    let (first, last) = (id(list.first()), id(list.last()));
    let models: Vec<Value> = list
        .into_iter()
        .map(|model| {
            let name = format!("{} ({})", model.id, model.label);
            json!({"type": "model", "id": model.id, "display_name": name, "created_at": CREATED_AT, "lifecycle": "active"})
        })
        .collect();
    json!({"data": models, "has_more": false, "first_id": first, "last_id": last})
}

fn ids(profile: &Profile, bare: bool) -> Vec<String> {
    let mut ids = vec![profile.name.to_string()];
    if let Some(model) = model_of(profile) {
        ids.push(format!("{}/{model}", profile.name));
        if bare && !ids.contains(&model) {
            ids.push(model);
        }
    }
    ids
}

/// The model that a profile asks when the request names none; `None` if it depends on the request.
fn model_of(profile: &Profile) -> Option<String> {
    let proxy = profile.ai_proxy.as_ref()?;
    match &proxy.model.name {
        Some(name) => name.as_literal().map(str::to_owned),
        None => profile.aiproxy.default_model.clone(),
    }
}

//! `/v1/models`: the models that clients may name, in OpenAI's list format.

use serde_json::{Value, json};

use super::served::Served;
use crate::{
    dialect::Fault,
    profile::{Profile, Vault},
};

/// What OpenAI's SDKs read of a model's age; profiles have none.
const CREATED: u64 = 0;

/// `PROFILE` and `PROFILE/MODEL` of each served profile whose secrets resolve; of one profile, also its bare `MODEL`.
pub(super) fn list(served: &Served, only: Option<&Profile>, vault: &dyn Vault) -> Value {
    let profiles = served
        .iter()
        .filter(|profile| only.is_none_or(|only| only.name == profile.name));
    let usable = profiles.filter(|profile| profile.unresolved(vault).is_none());
    let models: Vec<Value> = usable
        .flat_map(|profile| {
            ids(profile, only.is_some())
                .into_iter()
                .map(|id| model(&id, profile))
                .collect::<Vec<_>>()
        })
        .collect();
    json!({"object": "list", "data": models})
}

/// One of them.
pub(super) fn one(
    served: &Served,
    only: Option<&Profile>,
    id: &str,
    vault: &dyn Vault,
) -> Result<Value, Fault> {
    let list = list(served, only, vault);
    let found = list
        .get("data")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|model| model.get("id") == Some(&id.into()));
    found.cloned().ok_or_else(|| {
        let id: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
        Fault::invalid(404, format!("The model '{id}' does not exist")).code("model_not_found")
    })
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

fn model(id: &str, profile: &Profile) -> Value {
    json!({"id": id, "object": "model", "created": CREATED, "owned_by": profile.label()})
}

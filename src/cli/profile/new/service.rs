//! What a new profile can be made for: the built-in profiles, and Kong's providers that have none.

use serde_json::Value;

use crate::profile::{OtherPaths, ParamLocation, Places, Profile, SecretRef, builtin, describe};

/// A service, and what a profile for it needs.
#[derive(Clone, Debug)]
pub(super) struct Service {
    /// What `--provider` takes.
    pub(super) id: String,
    /// A few words about it.
    pub(super) about: String,
    /// Kong's name of the provider.
    pub(super) provider: String,
    pub(super) label: Option<String>,
    pub(super) base_url: Address,
    pub(super) key: KeyPlace,
    /// It has no use without a key.
    pub(super) needs_key: bool,
    /// The environment variable that its own documentation names.
    pub(super) variable: Option<String>,
    pub(super) model: Option<String>,
    /// `model.options` that are the same for everyone.
    pub(super) options: Vec<(String, Value)>,
    /// `model.options` that are not.
    pub(super) asked: Vec<String>,
    pub(super) forwards_other_paths: bool,
    /// What else of `[aiproxy]` is not as usual.
    pub(super) settings: Vec<(String, Value)>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// The provider's own place.
    Own,
    /// Here, for everyone.
    Fixed(String),
    /// Somewhere that only its user knows, usually here.
    Asked(Option<String>),
}

/// Where its key is put.
#[derive(Clone, Debug)]
pub(super) enum KeyPlace {
    Header(String),
    Param(String, ParamLocation),
}

/// Any service of OpenAI's format.
pub(super) const COMPATIBLE: &str = "compatible";

/// Every service, by name; [`COMPATIBLE`] is the last.
pub(super) fn all() -> Vec<Service> {
    let places = Places::default();
    let built_in = builtin::ALL
        .iter()
        .filter_map(|(name, _)| of_profile(&places.load(name).ok()?));
    let mut services: Vec<Service> = built_in.collect();
    for service in others() {
        if services.iter().all(|known| known.id != service.id) {
            services.push(service);
        }
    }
    services.sort_by(|a, b| (a.id == COMPATIBLE, &a.id).cmp(&(b.id == COMPATIBLE, &b.id)));
    services
}

fn of_profile(profile: &Profile) -> Option<Service> {
    let proxy = profile.ai_proxy.as_ref()?;
    let auth = &proxy.auth;
    let literal = |secret: &Option<SecretRef>| Some(secret.as_ref()?.literal()?.to_owned());
    let key = match (literal(&auth.header_name), literal(&auth.param_name)) {
        (None, Some(name)) => KeyPlace::Param(name, auth.param_location?),
        (name, _) => KeyPlace::Header(name.unwrap_or_else(|| "Authorization".into())),
    };
    let view = describe::view(profile);
    let mut options = Vec::new();
    if let Some(table) = view.pointer("/ai-proxy/model/options") {
        flatten("", table, &mut options);
    }
    let is_asked = |value: &Value| value.as_str().is_some_and(|text| text.contains("$("));
    let (asked, options): (Vec<_>, Vec<_>) =
        options.into_iter().partition(|(_, value)| is_asked(value));
    let base_url = match &profile.aiproxy.base_url {
        None => Address::Own,
        Some(url) => match url.url().host_str() {
            Some("127.0.0.1" | "localhost") => Address::Asked(Some(url.to_string())),
            _ => Address::Fixed(url.to_string()),
        },
    };
    Some(Service {
        id: profile.name.to_string(),
        about: about(profile).to_owned(),
        provider: proxy.model.provider.to_string(),
        label: profile.aiproxy.label.clone(),
        base_url,
        needs_key: profile.secrets().next().is_some(),
        variable: profile
            .secrets()
            .flat_map(|(_, secret)| secret.references())
            .find_map(|reference| reference.variable())
            .map(str::to_owned),
        key,
        model: profile.model().map(str::to_owned),
        options,
        asked: asked.into_iter().map(|(key, _)| key).collect(),
        forwards_other_paths: profile.aiproxy.other_paths == OtherPaths::Forward,
        settings: settings(&view),
    })
}

/// `[aiproxy]` without what a new profile asks for or says itself, and without defaults.
fn settings(view: &Value) -> Vec<(String, Value)> {
    const OWN: [&str; 5] = ["label", "base_url", "default_model", "other_paths", "path"];
    let mut settings = Vec::new();
    if let Some(table) = view.get("aiproxy") {
        flatten("", table, &mut settings);
    }
    let reference = describe::reference();
    let rows = reference
        .iter()
        .filter(|section| section.table == "aiproxy")
        .flat_map(|section| &section.rows);
    let usual: Vec<(&str, Option<&str>)> =
        rows.map(|row| (row.key, row.default.as_deref())).collect();
    settings.retain(|(key, value)| {
        let is_usual = usual.contains(&(key.as_str(), Some(value.to_string().as_str())));
        !is_usual && !OWN.contains(&key.as_str())
    });
    settings
}

/// A description, without where the path of a built-in profile has what a profile of one's own says itself.
fn about(profile: &Profile) -> &str {
    let text = profile.description.as_deref().unwrap_or_default();
    text.split(", as /").next().unwrap_or(text)
}

/// Tables inside a table become dotted keys.
fn flatten(table: &str, value: &Value, flat: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let dot = if table.is_empty() { "" } else { "." };
                flatten(&format!("{table}{dot}{key}"), value, flat);
            }
        }
        value => flat.push((table.to_owned(), value.clone())),
    }
}

/// Those that no built-in profile is for.
fn others() -> Vec<Service> {
    let service = |id: &str, about: &str, header: &str, variable: Option<&str>| Service {
        id: id.to_owned(),
        about: about.to_owned(),
        provider: id.to_owned(),
        label: None,
        base_url: Address::Own,
        key: KeyPlace::Header(header.to_owned()),
        needs_key: variable.is_some(),
        variable: variable.map(str::to_owned),
        model: None,
        options: Vec::new(),
        asked: Vec::new(),
        forwards_other_paths: false,
        settings: Vec::new(),
    };
    let bearer = "Authorization";
    vec![Service {
        provider: "openai".into(),
        base_url: Address::Asked(None),
        forwards_other_paths: true,
        ..service(
            COMPATIBLE,
            "Any other service of OpenAI's format",
            bearer,
            None,
        )
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_and_every_provider_of_kongs_is_a_service() {
        let all = all();
        let find = |id: &str| all.iter().find(|service| service.id == id).unwrap();
        for (name, _) in builtin::ALL {
            find(name);
        }
        for provider in crate::provider::NAMES {
            assert!(
                all.iter()
                    .any(|service| service.provider == *provider || service.id == *provider),
                "{provider}"
            );
        }
        assert_eq!(all.last().unwrap().id, COMPATIBLE);
        let groq = find("groq");
        assert_eq!(groq.variable.as_deref(), Some("GROQ_API_KEY"));
        assert!(matches!(&groq.base_url, Address::Fixed(url) if url.contains("groq.com")));
        let azure = find("azure");
        assert_eq!(azure.asked, ["azure_instance", "azure_deployment_id"]);
        assert!(matches!(&azure.key, KeyPlace::Header(name) if name == "api-key"));
        assert!(matches!(&find("ollama").base_url, Address::Asked(Some(_))));
    }
}

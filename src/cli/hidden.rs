//! What commands must not repeat of what an upstream says: some put the key that they refuse into the error.

use crate::{
    exchange::Redactor,
    net::Environment,
    profile::{Profile, Secret, Vault},
};

/// Takes the keys of a profile, and the passwords of the environment's proxies, out of texts.
pub(super) fn redactor(profile: Option<&Profile>, vault: &dyn Vault) -> Redactor {
    let names = |key: &str| key.ends_with(".header_name") || key.ends_with(".param_name");
    let keys: Vec<_> = profile
        .iter()
        .flat_map(|profile| profile.secrets())
        .filter(|(key, _)| !names(key))
        .filter_map(|(_, secret)| secret.resolve(vault).ok())
        .collect();
    let passwords = Environment::from_process().secrets();
    let keys = keys.iter().map(Secret::expose);
    Redactor::new(keys.chain(passwords.iter().map(String::as_str)))
}

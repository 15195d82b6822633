//! Profiles in each syntax: a profile, or an error that can be shown.

#![no_main]

use aiproxy::profile::{
    Origin,
    load::{Input, load},
    source::Syntax,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for syntax in [Syntax::Toml, Syntax::Yaml, Syntax::Json] {
        let profile = load(Input {
            name: "fuzzed",
            origin: &Origin::BuiltIn,
            syntax,
            bytes,
        });
        match profile {
            Ok(profile) => {
                assert!(profile.ai_proxy.is_some() || profile.upstream.is_some());
                let _ = profile.model();
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});

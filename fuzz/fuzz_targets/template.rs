//! Templates: what is no template stays as it is, and a value from a request is put in as it is.

#![no_main]

use std::borrow::Cow;

use aiproxy::profile::{Lookup, Template};
use libfuzzer_sys::fuzz_target;

/// A request in which every name has this value.
struct All<'a>(&'a str);

impl Lookup for All<'_> {
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.0))
    }

    fn uri_capture(&self, _: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.0))
    }

    fn query_param(&self, _: &str) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.0))
    }
}

fuzz_target!(|text: &str| {
    let Ok(template) = Template::parse(text) else {
        return;
    };
    assert_eq!(template.text(), text);
    if let Some(literal) = template.as_literal() {
        assert_eq!(template.render(&All("x")).unwrap(), literal);
    }
    // What a value holds is not looked at again.
    if text.contains('\u{1}') {
        return;
    }
    let plain = template.render(&All("\u{1}")).unwrap().into_owned();
    let nested = template.render(&All("$(headers.x)")).unwrap();
    assert_eq!(nested, plain.replace('\u{1}', "$(headers.x)"));
});

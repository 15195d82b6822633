//! What a browser may do with an answer that it takes for a page.
//!
//! A page that an upstream or a model wrote would have the listener's own origin, and so all of `/_aiproxy`. It is shown without scripts and
//! as a stranger.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

/// Types that no browser runs, or looks into for something that it would.
const INERT: [&[u8]; 4] = [
    b"application/json",
    b"text/event-stream",
    b"text/plain",
    b"application/octet-stream",
];

/// Takes a page's powers from an answer that is not the listener's own.
pub(super) fn confine(headers: &mut HeaderMap) {
    if headers.get(CONTENT_TYPE).is_some_and(is_inert) {
        return;
    }
    let own: [(HeaderName, &str); 2] = [
        // A second policy holds beside one that is there: neither loosens the other.
        (CONTENT_SECURITY_POLICY, "sandbox"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in own {
        if headers.get_all(&name).iter().all(|known| known != value) {
            headers.append(name, HeaderValue::from_static(value));
        }
    }
}

fn is_inert(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    INERT
        .iter()
        .any(|known| essence.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_page_is_sandboxed() {
        for (content_type, confined) in [
            (Some("application/json"), false),
            (Some("Application/JSON; charset=utf-8"), false),
            (Some("text/event-stream"), false),
            (Some("text/plain; charset=utf-8"), false),
            (Some("text/html"), true),
            (Some("text/html;charset=utf-8"), true),
            (Some("image/svg+xml"), true),
            (Some("application/xhtml+xml"), true),
            (Some("text/plain,text/html"), true),
            (Some("nonsense"), true),
            (Some(""), true),
            (None, true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            }
            confine(&mut headers);
            confine(&mut headers);
            let policies = headers.get_all(CONTENT_SECURITY_POLICY).iter().count();
            assert_eq!(policies, usize::from(confined), "{content_type:?}");
            assert_eq!(headers.contains_key(X_CONTENT_TYPE_OPTIONS), confined);
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, "default-src *".parse().unwrap());
        confine(&mut headers);
        let all: Vec<&HeaderValue> = headers.get_all(CONTENT_SECURITY_POLICY).iter().collect();
        assert_eq!(all, ["default-src *", "sandbox"]);
    }
}

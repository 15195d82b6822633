//! `/_aiproxy/ui`: the inspector page. Its sources are in `ui/src`, its build, which is what is served, in `ui/dist`.
//!
//! The page holds nothing of anybody: what it shows it asks for, by the token that it was given. It may load nothing from elsewhere, send
//! nothing elsewhere, be shown in no frame, and turn no text into markup.

use std::hash::{DefaultHasher, Hasher};

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
        REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};

use crate::transport::{Body, full};

/// What the page may do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      frame-ancestors 'none'; base-uri 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the page.
#[derive(Debug)]
pub(super) struct File {
    media: &'static str,
    bytes: &'static [u8],
}

const PAGE: File = File {
    media: "text/html; charset=utf-8",
    bytes: include_bytes!("ui/dist/index.html"),
};
const SCRIPT: File = File {
    media: "text/javascript; charset=utf-8",
    bytes: include_bytes!("ui/dist/app.js"),
};
const STYLE: File = File {
    media: "text/css; charset=utf-8",
    bytes: include_bytes!("ui/dist/app.css"),
};
const LICENCES: File = File {
    media: "text/plain; charset=utf-8",
    bytes: include_bytes!("ui/dist/licences.txt"),
};

/// The file at a path below `/_aiproxy`.
pub(super) fn file(path: &str) -> Option<File> {
    match path.strip_prefix("/ui")? {
        "" | "/" => Some(PAGE),
        "/app.js" => Some(SCRIPT),
        "/app.css" => Some(STYLE),
        "/licences" => Some(LICENCES),
        _ => None,
    }
}

/// Sends a browser to the page.
pub(super) fn way() -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static("/_aiproxy/ui"));
    response
}

impl File {
    /// The file, unless the browser has this very one.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.bytes);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let known = asked
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains(&tag));
        let mut response = if known {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            Response::new(full(self.bytes))
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        for (name, value) in [
            (CONTENT_TYPE, self.media),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (X_FRAME_OPTIONS, "DENY"),
            (CACHE_CONTROL, "no-cache"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in [
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

//! Errors, in OpenAI's words: <https://platform.openai.com/docs/guides/error-codes>.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::dialect::Fault;

/// A fault on its way out. Boxed: errors are rare, and a `Result` is as large as its error.
pub(super) type Refusal = Box<Fault>;

/// The body is no JSON object.
pub(super) fn not_json() -> Refusal {
    refuse(
        400,
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The \
         OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
    )
}

/// A field that must be there is not.
pub(super) fn missing(field: &str) -> Refusal {
    coded(
        at(
            field,
            refuse(400, format!("Missing required parameter: '{field}'.")),
        ),
        "missing_required_parameter",
    )
}

/// A field's value is out of bounds, or of another type.
pub(super) fn invalid(field: &str, why: &str, code: &str) -> Refusal {
    coded(
        at(field, refuse(400, format!("Invalid '{field}': {why}"))),
        code,
    )
}

/// No such model.
pub(super) fn no_model(model: &str) -> Refusal {
    let model: String = model.chars().take(100).collect();
    coded(
        refuse(
            404,
            format!("The model `{model}` does not exist or you do not have access to it."),
        ),
        "model_not_found",
    )
}

/// No such path.
pub(super) fn no_path(method: &str, path: &str) -> Refusal {
    refuse(404, format!("Invalid URL ({method} {path})"))
}

/// A path that takes another method.
pub(super) fn no_method(method: &str, path: &str) -> Refusal {
    let message = format!(
        "Not allowed to {method} on {path}. (HINT: Perhaps you meant to use a different HTTP method?)"
    );
    coded(refuse(405, message), "method_not_supported")
}

/// The body is larger than the mock reads.
pub(super) fn too_large() -> Refusal {
    refuse(413, "request body too large")
}

/// A client's mistake.
pub(super) fn refuse(status: u16, message: impl Into<String>) -> Refusal {
    Box::new(Fault::invalid(status, message))
}

/// The same, blamed on a field.
pub(super) fn at(field: &str, mut refusal: Refusal) -> Refusal {
    refusal.param = Some(field.into());
    refusal
}

fn coded(mut refusal: Refusal, code: &str) -> Refusal {
    refusal.code = Some(code.into());
    refusal
}

/// What a model fails with that fails with `status`.
pub(super) fn of_status(status: u16, model: &str) -> Refusal {
    let (kind, code, message) = match status {
        401 => (
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided: mock. You can find your API key at https://platform.openai.com/account/api-keys.",
        ),
        403 => (
            "invalid_request_error",
            Some("unsupported_country_region_territory"),
            "Country, region, or territory not supported",
        ),
        404 => return no_model(model),
        408 => (
            "invalid_request_error",
            Some("request_timeout"),
            "Request timed out. Please try again.",
        ),
        413 => ("invalid_request_error", None, "Request too large."),
        429 => (
            "requests",
            Some("rate_limit_exceeded"),
            "Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 1s.",
        ),
        500 => (
            "server_error",
            None,
            "The server had an error while processing your request. Sorry about that!",
        ),
        503 => (
            "server_error",
            None,
            "The engine is currently overloaded, please try again later.",
        ),
        529 => ("overloaded_error", None, "Overloaded"),
        _ => {
            let reason = StatusCode::from_u16(status)
                .ok()
                .and_then(|status| status.canonical_reason())
                .unwrap_or("Unknown error");
            let kind = if status < 500 {
                "invalid_request_error"
            } else {
                "server_error"
            };
            let message = format!("{reason} (asked for by the model's name)");
            return Box::new(Fault {
                status,
                kind: kind.into(),
                message,
                ..Fault::default()
            });
        }
    };
    let code = code.map(str::to_owned);
    Box::new(Fault {
        status,
        kind: kind.into(),
        message: message.into(),
        code,
        ..Fault::default()
    })
}

/// The headers that go with an error of this status.
pub(super) fn headers_of(status: u16, headers: &mut HeaderMap) {
    if status != 429 {
        return;
    }
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    for (name, value) in [
        ("x-ratelimit-limit-requests", "3"),
        ("x-ratelimit-limit-tokens", "40000"),
        ("x-ratelimit-remaining-requests", "0"),
        ("x-ratelimit-remaining-tokens", "39999"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-reset-tokens", "1ms"),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}

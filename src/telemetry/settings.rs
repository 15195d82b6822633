//! What the environment says about telemetry: OpenTelemetry's own variables
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>,
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), read without an effect.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue, Uri};

use super::span::Attribute;
use crate::exchange::trace::{Sampler, Tracing};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const CONTENT: &str = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";

/// Where spans go, which, and how.
#[derive(Clone)]
pub struct Settings {
    pub(super) endpoint: Uri,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) encoding: Encoding,
    pub(super) gzip: bool,
    /// Of one request.
    pub(super) timeout: Duration,
    /// What all spans come from.
    pub(super) resource: Vec<Attribute>,
    pub(super) tracing: Tracing,
    pub(super) batch: Batch,
}

/// How spans are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::Protobuf => "http/protobuf",
            Encoding::Json => "http/json",
        }
    }
}

/// When spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// From the first that waits.
    pub(super) delay: Duration,
    /// Most exchanges that wait.
    pub(super) waiting: usize,
    /// Most spans of one request.
    pub(super) size: usize,
    /// Longest time for one batch, with all attempts.
    pub(super) limit: Duration,
}

/// The headers may hold a key, and the endpoint a password: neither is printed.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.place())
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// What to do; nothing if no spans are wanted.
    pub settings: Option<Settings>,
    /// What cannot be done as it is written.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads the variables. Without an endpoint there is nothing to do.
    #[must_use]
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Read {
        let mut reader = Reader {
            variable,
            warnings: Vec::new(),
        };
        let settings = reader.settings();
        Read {
            settings,
            warnings: reader.warnings,
        }
    }

    /// Where spans go, for people: no password, no query.
    #[must_use]
    pub fn place(&self) -> String {
        let uri = &self.endpoint;
        let host = uri.authority().map(|authority| {
            let text = authority.as_str();
            text.rsplit_once('@').map_or(text, |(_, host)| host)
        });
        format!(
            "{}://{}{}",
            uri.scheme_str().unwrap_or("http"),
            host.unwrap_or_default(),
            uri.path()
        )
    }

    /// How they go, for people.
    #[must_use]
    pub fn protocol(&self) -> &'static str {
        self.encoding.name()
    }

    /// Whether they hold what was said.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.tracing.content
    }

    /// What must not be shown to anybody.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let headers = self.headers.iter();
        headers.filter_map(|(_, value)| std::str::from_utf8(value.as_bytes()).ok())
    }
}

/// Reads variables and collects what is wrong with them. An empty one counts as unset.
struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value = (self.variable)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The variable of traces alone, else that of all signals; and which it was.
    fn of_traces(&self, end: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_TRACES_{end}");
        let all = format!("OTEL_EXPORTER_OTLP_{end}");
        [own, all]
            .into_iter()
            .find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    fn settings(&mut self) -> Option<Settings> {
        let (name, url) = [TRACES_ENDPOINT, ENDPOINT]
            .into_iter()
            .find_map(|name| self.get(name).map(|value| (name, value)))?;
        let disabled = self.get("OTEL_SDK_DISABLED");
        if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) || !self.exports() {
            return None;
        }
        let encoding = self.encoding()?;
        let Some(endpoint) = endpoint(&url, name == ENDPOINT) else {
            // Not the value: it may hold a password.
            self.warn(format!(
                "no spans are sent: {name} is no URL; it begins with http:// or https://, as in http://127.0.0.1:4318"
            ));
            return None;
        };
        for end in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
            if let Some((name, _)) = self.of_traces(end) {
                self.warn(format!(
                    "{name} is not read: SSL_CERT_FILE names the certificates that are trusted"
                ));
            }
        }
        Some(Settings {
            endpoint,
            encoding,
            headers: self.headers(),
            gzip: self.gzip(),
            timeout: self.millis(&self.timeout_name(), 10_000),
            resource: self.resource(),
            tracing: self.tracing(),
            batch: Batch {
                delay: self.millis("OTEL_BSP_SCHEDULE_DELAY", 5_000),
                waiting: self.count("OTEL_BSP_MAX_QUEUE_SIZE", 2_048),
                size: self.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
                limit: self.millis("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
            },
        })
    }

    /// Whether traces are to be exported by OTLP.
    fn exports(&mut self) -> bool {
        let Some(list) = self.get("OTEL_TRACES_EXPORTER") else {
            return true;
        };
        let names: Vec<&str> = list.split(',').map(str::trim).collect();
        if names.contains(&"otlp") {
            return true;
        }
        if names != ["none"] {
            let list = shown(&list);
            self.warn(format!(
                "no spans are sent: OTEL_TRACES_EXPORTER is `{list}`; `otlp` is what there is"
            ));
        }
        false
    }

    fn encoding(&mut self) -> Option<Encoding> {
        let Some((name, value)) = self.of_traces("PROTOCOL") else {
            return Some(Encoding::Protobuf);
        };
        match value.as_str() {
            "http/protobuf" => Some(Encoding::Protobuf),
            "http/json" => Some(Encoding::Json),
            "grpc" => {
                self.warn(format!(
                    "no spans are sent: {name} is `grpc`, which aiproxy does not speak; set it to http/protobuf, with the collector's HTTP port (4318, not 4317)"
                ));
                None
            }
            other => {
                let other = shown(other);
                self.warn(format!(
                    "no spans are sent: {name} is `{other}`; http/protobuf and http/json are what there is"
                ));
                None
            }
        }
    }

    fn headers(&mut self) -> Vec<(HeaderName, HeaderValue)> {
        let Some((name, list)) = self.of_traces("HEADERS") else {
            return Vec::new();
        };
        let pairs = list.split(',').map(str::trim);
        let pairs: Vec<&str> = pairs.filter(|pair| !pair.is_empty()).collect();
        let mut headers = Vec::new();
        for (pair, number) in pairs.into_iter().zip(1..) {
            let read = pair.split_once('=').and_then(|(name, value)| {
                let name: HeaderName = decoded(name.trim())?.parse().ok()?;
                let mut value = HeaderValue::try_from(decoded(value.trim())?).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            });
            match read {
                Some(header) => headers.push(header),
                // Not its text: it is a key, as likely as not.
                None => self.warn(format!(
                    "{name}: its entry {number} is no `name=value`, and is left out"
                )),
            }
        }
        headers
    }

    fn gzip(&mut self) -> bool {
        match self.of_traces("COMPRESSION") {
            None => false,
            Some((_, value)) if value == "none" => false,
            Some((_, value)) if value == "gzip" => true,
            Some((name, value)) => {
                let value = shown(&value);
                self.warn(format!(
                    "{name} is `{value}`, not gzip or none: spans are not compressed"
                ));
                false
            }
        }
    }

    fn timeout_name(&self) -> String {
        self.of_traces("TIMEOUT")
            .map_or_else(|| "OTEL_EXPORTER_OTLP_TIMEOUT".to_owned(), |(name, _)| name)
    }

    fn millis(&mut self, name: &str, usual: u64) -> Duration {
        Duration::from_millis(self.number(name, usual))
    }

    fn count(&mut self, name: &str, usual: u64) -> usize {
        let number = self.number(name, usual);
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    /// A positive number.
    fn number(&mut self, name: &str, usual: u64) -> u64 {
        let Some(value) = self.get(name) else {
            return usual;
        };
        match value.parse() {
            Ok(number @ 1..) => number,
            _ => {
                let value = shown(&value);
                self.warn(format!(
                    "{name} is `{value}`, not a number above 0: it is {usual}"
                ));
                usual
            }
        }
    }

    /// The program: its name, and what the environment says of it.
    fn resource(&mut self) -> Vec<Attribute> {
        let version = env!("CARGO_PKG_VERSION");
        let mut pairs: Vec<(String, String)> = [
            ("service.name", "aiproxy"),
            ("service.version", version),
            ("telemetry.sdk.name", "aiproxy"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", version),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let mut put = |name: String, value: String| {
            match pairs.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => pairs.push((name, value)),
            };
        };
        const ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let list = self.get(ATTRIBUTES).unwrap_or_default();
        let entries = list.split(',').filter(|entry| !entry.trim().is_empty());
        let read: Option<Vec<(String, String)>> = entries
            .map(|entry| {
                let (name, value) = entry.split_once('=')?;
                let name = decoded(name.trim()).filter(|name| !name.is_empty())?;
                Some((name, decoded(value.trim())?))
            })
            .collect();
        let broken = read.is_none();
        for (name, value) in read.unwrap_or_default() {
            put(name, value);
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            put("service.name".into(), name);
        }
        if broken {
            // All of it, as the specification has it.
            self.warn(format!(
                "{ATTRIBUTES} is left out: it is no list of `name=value`, separated by commas"
            ));
        }
        let pairs = pairs.into_iter();
        pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn tracing(&mut self) -> Tracing {
        let (sampler, parent_based) = self.sampler();
        let propagators = self.get("OTEL_PROPAGATORS");
        Tracing {
            sampler,
            parent_based,
            propagates: propagators.is_none_or(|list| {
                let mut names = list.split(',').map(str::trim);
                names.any(|name| name == "tracecontext")
            }),
            content: self.content(),
        }
    }

    fn sampler(&mut self) -> (Sampler, bool) {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let name = self.get(NAME);
        let name = name.as_deref().unwrap_or("parentbased_always_on");
        let (bare, parent_based) = match name.strip_prefix("parentbased_") {
            Some(bare) => (bare, true),
            None => (name, false),
        };
        let sampler = match bare {
            "always_on" => Sampler::On,
            "always_off" => Sampler::Off,
            "traceidratio" => Sampler::Ratio(self.ratio()),
            _ => {
                let name = shown(name);
                self.warn(format!(
                    "{NAME} is `{name}`, which aiproxy does not know: it is parentbased_always_on"
                ));
                return (Sampler::On, true);
            }
        };
        (sampler, parent_based)
    }

    fn ratio(&mut self) -> f64 {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(text) = self.get(NAME) else {
            return 1.0;
        };
        match text.parse() {
            Ok(ratio) if (0.0..=1.0).contains(&ratio) => ratio,
            _ => {
                let text = shown(&text);
                self.warn(format!(
                    "{NAME} is `{text}`, not a number from 0 to 1: it is 1"
                ));
                1.0
            }
        }
    }

    /// Whether spans hold what was said. There are no events here, where it could go instead.
    fn content(&mut self) -> bool {
        let Some(value) = self.get(CONTENT) else {
            return false;
        };
        match value.to_ascii_lowercase().as_str() {
            "true" | "span_only" | "span_and_event" => true,
            "false" | "no_content" => false,
            "event_only" => {
                self.warn(format!(
                    "{CONTENT} is `{value}`: aiproxy sends no events, so spans stay without it; SPAN_ONLY puts it into them"
                ));
                false
            }
            _ => {
                let value = shown(&value);
                self.warn(format!(
                    "{CONTENT} is `{value}`, not true, SPAN_ONLY or NO_CONTENT: spans do not hold what was said"
                ));
                false
            }
        }
    }
}

/// The URL of traces; to that of all signals their path is added.
fn endpoint(url: &str, of_all: bool) -> Option<Uri> {
    let url = if of_all {
        format!("{}/v1/traces", url.trim_end_matches('/'))
    } else {
        url.to_owned()
    };
    let uri: Uri = url.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    (known && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

/// A value without its percent codes; nothing if they are none.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The beginning of a value, on one line.
fn shown(value: &str) -> String {
    value
        .chars()
        .take(40)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests;

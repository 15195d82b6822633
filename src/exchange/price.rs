//! What tokens cost: the prices of a profile, else the list prices of the services that publish them.
//!
//! List prices go by the host that a request was sent to. A local server, a gateway, a reseller or a region with prices of its own is not
//! in the list, whatever models it claims to have: an unknown price is none. They are the prices of the standard tier, without discounts
//! (batches, contracts) and surcharges (priority, tools, searches). The tables, with the pages they are from, are in `list`.

mod list;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use self::list::Row;
use crate::llm::Usage;

/// The day of the list: its prices were current then.
pub const AS_OF: &str = "2026-11-10";

/// USD for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Prompt tokens.
    pub input: f64,
    /// Prompt tokens read from a cache; as `input` where the service has no price for them.
    pub cache_read: Option<f64>,
    /// Prompt tokens written to a cache, for its shortest life; as `input` where the service has no price for them.
    pub cache_write: Option<f64>,
    /// Generated tokens, reasoning included. Zero for embeddings.
    pub output: f64,
    /// Of long prompts, where they cost more.
    pub long: Option<Long>,
}

/// How much more a request costs, all of its tokens, if its prompt is long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Long {
    /// The prompt has more tokens than this, cached ones included.
    pub above: u64,
    /// Prompt tokens of all kinds cost so many times as much.
    pub input: f64,
    /// Generated tokens cost so many times as much.
    pub output: f64,
}

impl Rates {
    /// All prices so many times as high.
    fn times(self, factor: f64) -> Rates {
        Rates {
            input: self.input * factor,
            cache_read: self.cache_read.map(|price| price * factor),
            cache_write: self.cache_write.map(|price| price * factor),
            output: self.output * factor,
            long: self.long,
        }
    }
}

/// Where a price is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The profile's `input_cost` and `output_cost`.
    Profile,
    /// The list.
    List,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Profile => f.write_str("profile"),
            Source::List => write!(f, "list price of {AS_OF}"),
        }
    }
}

/// What tokens cost in USD by a profile's prices, if it has both, else by the list's.
///
/// Sound has prices of its own that the list does not have, so that an answer with such tokens has a cost by the profile's alone.
#[must_use]
pub fn of(
    usage: &Usage,
    configured: (Option<f64>, Option<f64>),
    list: Option<Rates>,
) -> Option<(f64, Source)> {
    if let (Some(input), Some(output)) = configured {
        let rates = Rates {
            input,
            cache_read: None,
            cache_write: None,
            output,
            long: None,
        };
        return Some((cost(usage, &rates), Source::Profile));
    }
    if usage.input_audio > 0 || usage.output_audio > 0 {
        return None;
    }
    Some((cost(usage, &list?), Source::List))
}

/// What tokens cost in USD.
#[must_use]
pub fn cost(usage: &Usage, rates: &Rates) -> f64 {
    let of = |tokens: u64, price: f64| tokens as f64 * price;
    let input = of(usage.input, rates.input)
        + of(usage.cache_read, rates.cache_read.unwrap_or(rates.input))
        + of(usage.cache_write, rates.cache_write.unwrap_or(rates.input));
    let output = of(usage.output, rates.output);
    let long = rates.long.filter(|long| usage.prompt() > long.above);
    let (more_input, more_output) = long.map_or((1.0, 1.0), |long| (long.input, long.output));
    (input * more_input + output * more_output) / 1_000_000.0
}

/// The list price of a model at a host, at a time: some prices are introductory, and what follows is published.
#[must_use]
pub fn list(host: &str, model: &str, at: SystemTime) -> Option<Rates> {
    let service = Service::of(host)?;
    let (row, factor) = service.row(model)?;
    let later = row.later.filter(|(day, _)| {
        let day = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 24 * 60 * 60);
        at >= day
    });
    Some(
        row.rates
            .times(factor * later.map_or(1.0, |(_, factor)| factor)),
    )
}

/// A service with published prices.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Service<'a> {
    /// It has one list for all.
    One(&'static [Row]),
    /// Google's, at its own address or at all regions of Vertex AI together, or in one region.
    Gemini { regional: bool },
    /// Amazon Bedrock in a region.
    Bedrock { region: &'a str },
}

impl<'a> Service<'a> {
    fn of(host: &'a str) -> Option<Service<'a>> {
        Some(match host {
            "api.openai.com" => Service::One(list::OPENAI),
            "api.anthropic.com" => Service::One(list::ANTHROPIC),
            "api.cohere.com" | "api.cohere.ai" => Service::One(list::COHERE),
            "api.mistral.ai" => Service::One(list::MISTRAL),
            "api.x.ai" => Service::One(list::XAI),
            "generativelanguage.googleapis.com" | "aiplatform.googleapis.com" => {
                Service::Gemini { regional: false }
            }
            _ => {
                if host.ends_with("-aiplatform.googleapis.com") {
                    return Some(Service::Gemini { regional: true });
                }
                let region = host
                    .strip_suffix(".amazonaws.com")?
                    .strip_prefix("bedrock-runtime.")?;
                Service::Bedrock { region }
            }
        })
    }

    /// A model's row, and how many times as much it costs here.
    fn row(self, model: &str) -> Option<(&'static Row, f64)> {
        match self {
            Service::One(rows) => Some((find(rows, model)?, 1.0)),
            Service::Gemini { regional } => {
                let name = match model.rsplit_once("publishers/google/models/") {
                    Some((_, name)) => name,
                    None => model.strip_prefix("models/").unwrap_or(model),
                };
                let row = find(list::GEMINI, name)?;
                Some((row, if regional { row.regional } else { 1.0 }))
            }
            Service::Bedrock { region } => bedrock(region, model),
        }
    }
}

/// `us.anthropic.claude-sonnet-4-5-20250929-v1:0`, `amazon.nova-lite-v1:0`, or a resource name that ends with such a one.
fn bedrock(region: &str, model: &str) -> Option<(&'static Row, f64)> {
    // Government regions have prices of their own.
    if region.contains("-gov-") {
        return None;
    }
    let id = match model.strip_prefix("arn:") {
        Some(arn) => {
            let inference = arn.split_once(":inference-profile/");
            arn.split_once(":foundation-model/").or(inference)?.1
        }
        None => model,
    };
    let (geography, name) = GEOGRAPHIES
        .iter()
        .find_map(|geography| {
            let name = id.strip_prefix(geography)?.strip_prefix('.')?;
            Some((*geography, name))
        })
        .unwrap_or(("", id));
    if let Some(claude) = name.strip_prefix("anthropic.") {
        let row = find(list::ANTHROPIC, claude)?;
        let everywhere = geography == "global";
        return Some((row, if everywhere { 1.0 } else { row.regional }));
    }
    // Outside of the USA, Amazon's own models cost more, each by another factor.
    let row = match geography {
        "global" => find(list::BEDROCK, id),
        "us" => find(list::BEDROCK, id).or_else(|| find(list::BEDROCK, name)),
        "" if region.starts_with("us-") => find(list::BEDROCK, name),
        _ => None,
    };
    row.map(|row| (row, 1.0))
}

/// What the ids of Bedrock's cross-region profiles begin with.
const GEOGRAPHIES: &[&str] = &["global", "us", "eu", "apac", "jp", "au"];

/// The row of a model: of its own name, else of the name without a version, else without a date too. Never of a part of the name.
fn find(rows: &'static [Row], model: &str) -> Option<&'static Row> {
    let exact = |name: &str| rows.iter().find(|row| row.model == name);
    let unversioned = without_version(model);
    exact(model)
        .or_else(|| exact(unversioned))
        .or_else(|| exact(without_date(unversioned)))
}

/// Without `-v1:0`, `-v1` or `-001` at its end.
fn without_version(name: &str) -> &str {
    let Some((head, tail)) = name.rsplit_once('-') else {
        return name;
    };
    let amazon = tail.strip_prefix('v').is_some_and(|version| {
        let (major, minor) = version.split_once(':').unwrap_or((version, "0"));
        is_number(major) && is_number(minor)
    });
    let google = tail.len() == 3 && tail.starts_with("00") && is_number(tail);
    if amazon || google { head } else { name }
}

/// Without `-2024-08-06`, `-20250929` or `@20250929` at its end.
fn without_date(name: &str) -> &str {
    let date = |length: usize| {
        let (head, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let mut parts = date.get(1..)?.split('-');
        let lengths: &[usize] = if length == 9 { &[8] } else { &[4, 2, 2] };
        let fits = lengths.iter().all(|length| {
            parts
                .next()
                .is_some_and(|part| part.len() == *length && is_number(part))
        });
        let separated = date.starts_with('-') || (date.starts_with('@') && length == 9);
        let this_century = date.get(1..3) == Some("20");
        (fits && separated && this_century).then_some(head)
    };
    date(9).or_else(|| date(11)).unwrap_or(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;

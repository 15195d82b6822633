use super::*;

const OPENAI: &str = "api.openai.com";
const ANTHROPIC: &str = "api.anthropic.com";
const GEMINI: &str = "generativelanguage.googleapis.com";
const IRELAND: &str = "bedrock-runtime.eu-west-1.amazonaws.com";
const VIRGINIA: &str = "bedrock-runtime.us-east-1.amazonaws.com";

/// In November 2026.
fn then() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_794_700_800)
}

fn at(host: &str, model: &str) -> Option<Rates> {
    list(host, model, then())
}

/// The prices of prompts and answers.
fn both(host: &str, model: &str) -> Option<(f64, f64)> {
    at(host, model).map(|rates| (rates.input, rates.output))
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

#[test]
fn a_model_is_found_by_its_name_and_by_dated_and_versioned_ones() {
    let whole = at(OPENAI, "gpt-4o-mini");
    assert_eq!(both(OPENAI, "gpt-4o-mini"), Some((0.15, 0.6)));
    assert_eq!(at(OPENAI, "gpt-4o-mini-2024-07-18"), whole);
    assert_eq!(both(OPENAI, "gpt-4o-2024-08-06"), Some((2.5, 10.0)));
    // A dated one with its own price.
    assert_eq!(both(OPENAI, "gpt-4o-2024-05-13"), Some((5.0, 15.0)));

    let sonnet = at(ANTHROPIC, "claude-sonnet-4-5");
    assert!(sonnet.is_some());
    assert_eq!(at(ANTHROPIC, "claude-sonnet-4-5-20250929"), sonnet);
    assert_eq!(at(ANTHROPIC, "claude-sonnet-4-5@20250929"), sonnet);
    assert_eq!(
        both(ANTHROPIC, "claude-sonnet-4-20250514"),
        Some((3.0, 15.0))
    );
    let global = "global.anthropic.claude-sonnet-4-5-20250929-v1:0";
    assert_eq!(at(IRELAND, global), sonnet);

    let pro = at(GEMINI, "gemini-2.5-pro");
    assert!(pro.is_some());
    for name in [
        "models/gemini-2.5-pro",
        "gemini-2.5-pro-001",
        "publishers/google/models/gemini-2.5-pro",
        "projects/p/locations/global/publishers/google/models/gemini-2.5-pro",
    ] {
        assert_eq!(at(GEMINI, name), pro, "{name}");
    }
    assert_eq!(both("api.cohere.com", "embed-v4.0"), Some((0.12, 0.0)));
    assert!(at("api.mistral.ai", "mistral-small-latest").is_some());
    assert!(at("api.x.ai", "grok-4.3").is_some());
}

#[test]
fn a_name_that_only_begins_like_a_model_has_no_price() {
    for name in [
        "",
        "gpt",
        "gpt-4o-",
        "gpt-4o-nano",
        "gpt-4o-audio-preview",
        "gpt-4o-2024-08",
        "gpt-4o-20a4-08-06",
        "gpt-4o-1924-08-06",
        "gpt-4o@2024-08-06",
        "ft:gpt-4o-2024-08-06:me::1",
        "openai/gpt-4o",
        "GPT-4o",
        "gpt-4ö-20250929",
        "ö-2025092",
        "gpt-3.5-turbo-0613",
        "claude-sonnet-4-5",
    ] {
        assert_eq!(at(OPENAI, name), None, "{name}");
    }
    // Another month and another version are other models.
    assert_eq!(at("api.cohere.com", "command-r-03-2024"), None);
    assert_eq!(at("api.mistral.ai", "mistral-large-2407"), None);
    assert_eq!(at(VIRGINIA, "amazon.titan-embed-text-v3:0"), None);
    assert_eq!(at(VIRGINIA, "amazon.nova-lite-v2:0"), None);
}

#[test]
fn only_the_service_itself_has_its_prices() {
    for host in [
        "127.0.0.1",
        "localhost",
        "",
        "api.groq.com",
        "openrouter.ai",
        "eu.api.openai.com",
        "api.openai.com.example",
        "x.api.openai.com",
        "me.openai.azure.com",
        "gateway.example",
    ] {
        assert_eq!(at(host, "gpt-4o"), None, "{host}");
    }
}

#[test]
fn regions_cost_more_where_it_is_published() {
    let name = "anthropic.claude-haiku-4-5-20251001-v1:0";
    for (host, model) in [
        (IRELAND, name.to_owned()),
        (VIRGINIA, format!("us.{name}")),
        (IRELAND, format!("eu.{name}")),
        (
            IRELAND,
            format!("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.{name}"),
        ),
        (
            IRELAND,
            format!("arn:aws:bedrock:eu-west-1::foundation-model/{name}"),
        ),
    ] {
        let rates = at(host, &model).unwrap();
        assert!(near(rates.input, 1.1) && near(rates.output, 5.5), "{model}");
        assert!(near(rates.cache_read.unwrap(), 0.11), "{model}");
    }
    assert_eq!(both(IRELAND, &format!("global.{name}")), Some((1.0, 5.0)));
    // Of an older generation.
    let old = "anthropic.claude-3-5-sonnet-20241022-v2:0";
    assert_eq!(both(IRELAND, old), Some((3.0, 15.0)));
    let government = "bedrock-runtime.us-gov-west-1.amazonaws.com";
    assert_eq!(at(government, name), None);
    assert_eq!(at(VIRGINIA, &format!("us-gov.{name}")), None);
    let own = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/ab12";
    assert_eq!(at(IRELAND, own), None);

    let nova = "amazon.nova-lite-v1:0";
    assert_eq!(both(VIRGINIA, nova), Some((0.06, 0.24)));
    assert_eq!(both(VIRGINIA, &format!("us.{nova}")), Some((0.06, 0.24)));
    assert_eq!(at(IRELAND, nova), None);
    assert_eq!(at(IRELAND, &format!("eu.{nova}")), None);
    let second = "global.amazon.nova-2-lite-v1:0";
    assert_eq!(both(IRELAND, second), Some((0.3, 2.5)));

    let vertex = "europe-west4-aiplatform.googleapis.com";
    let flash = at(vertex, "gemini-3.5-flash").unwrap();
    assert!(near(flash.input, 1.65) && near(flash.output, 9.9));
    assert_eq!(both(vertex, "gemini-2.5-flash"), Some((0.3, 2.5)));
    let global = "aiplatform.googleapis.com";
    assert_eq!(both(global, "gemini-3.5-flash"), Some((1.5, 9.0)));
}

#[test]
fn introductory_prices_end() {
    let model = "gemini-3.6-flash";
    assert_eq!(both(GEMINI, model), Some((0.75, 3.75)));
    let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
    let last = list(GEMINI, model, day(20_819) - Duration::from_secs(1));
    assert_eq!(last.map(|rates| rates.input), Some(0.75));
    let after = list(GEMINI, model, day(20_819)).unwrap();
    let all = (after.input, after.cache_read, after.output);
    assert_eq!(all, (1.5, Some(0.15), 7.5));
}

#[test]
fn trap_2_15_each_kind_of_token_has_its_price() {
    let usage = Usage {
        input: 1_000_000,
        cache_read: 2_000_000,
        cache_write: 400_000,
        output: 3_000_000,
        reasoning: 1_000_000,
        ..Usage::default()
    };
    let rates = Rates {
        input: 4.0,
        cache_read: Some(0.2),
        cache_write: Some(5.0),
        output: 20.0,
        long: None,
    };
    assert!(near(cost(&usage, &rates), 4.0 + 0.4 + 2.0 + 60.0));
    // Without prices of their own, cached tokens cost what others do.
    let plain = Rates {
        cache_read: None,
        cache_write: None,
        ..rates
    };
    assert!(near(cost(&usage, &plain), 4.0 + 8.0 + 1.6 + 60.0));
    assert!(near(cost(&Usage::default(), &rates), 0.0));
}

#[test]
fn a_long_prompt_costs_more_in_whole() {
    let rates = at(GEMINI, "gemini-2.5-pro").unwrap();
    let usage = |input, cache_read| Usage {
        input,
        cache_read,
        output: 1_000_000,
        ..Usage::default()
    };
    assert!(near(cost(&usage(200_000, 0), &rates), 0.25 + 10.0));
    // Cached ones count for the length.
    let long = cost(&usage(200_000, 100_000), &rates);
    assert!(near(long, 2.0 * (0.25 + 0.0125) + 15.0));
    let haiku = at(ANTHROPIC, "claude-haiku-5-5").unwrap();
    let long = cost(&usage(200_000, 0), &haiku);
    assert!(near(long, 0.1 + 2.5));
}

#[test]
fn a_profile_with_both_prices_wins() {
    let usage = Usage {
        input: 500_000,
        cache_read: 500_000,
        output: 1_000_000,
        ..Usage::default()
    };
    let listed = at(OPENAI, "gpt-4o");
    let (price, source) = of(&usage, (Some(1.0), Some(2.0)), listed).unwrap();
    assert!(near(price, 3.0));
    assert_eq!(source.to_string(), "profile");
    let (price, source) = of(&usage, (Some(1.0), None), listed).unwrap();
    assert!(near(price, 1.25 + 0.625 + 10.0));
    assert_eq!(source.to_string(), format!("list price of {AS_OF}"));
    assert_eq!(of(&usage, (None, Some(2.0)), None), None);

    let sound = Usage {
        output_audio: 1,
        ..usage
    };
    assert_eq!(of(&sound, (None, None), listed), None);
    assert!(of(&sound, (Some(1.0), Some(2.0)), listed).is_some());
}

#[test]
fn the_list_is_in_order() {
    for rows in [
        list::OPENAI,
        list::ANTHROPIC,
        list::GEMINI,
        list::BEDROCK,
        list::COHERE,
        list::MISTRAL,
        list::XAI,
    ] {
        for (at, row) in rows.iter().enumerate() {
            let rates = row.rates;
            let twice = rows.iter().skip(at + 1).any(|o| o.model == row.model);
            assert!(!twice, "{} is there twice", row.model);
            assert!(rates.input > 0.0 && rates.output >= 0.0, "{}", row.model);
            let read = rates.cache_read.unwrap_or_default();
            assert!(read < rates.input, "{}: a dear cache", row.model);
            let write = rates.cache_write.unwrap_or(rates.input);
            assert!(write >= rates.input, "{}: a cheap write", row.model);
        }
    }
}

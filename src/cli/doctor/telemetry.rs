//! Where spans go.

use super::{Check, Status};
use crate::{net, profile::Vault, telemetry};

/// What the `OTEL_*` variables come to, if they ask for spans, and, unless nothing is to be asked over the network, whether the endpoint takes spans.
pub(super) async fn check(
    vault: &dyn Vault,
    environment: &net::Environment,
    offline: bool,
) -> Vec<Check> {
    let check = |subject: &str, status, message: String| {
        Check::new("telemetry", subject.to_owned(), status, message)
    };
    let read = telemetry::Settings::read(&|name| vault.env(name));
    let warnings = read.warnings.into_iter();
    let mut checks: Vec<Check> = warnings
        .map(|warning| check("environment", Status::Warn, warning))
        .collect();
    let Some(settings) = read.settings else {
        return checks;
    };
    let place = settings.place();
    let taken = if offline {
        Ok(())
    } else {
        let net = net::Client::new(environment.clone());
        telemetry::probe(&settings, &net).await
    };
    checks.push(match taken {
        Ok(()) => {
            let content = if settings.has_content() {
                "with what was said"
            } else {
                "without what was said"
            };
            let protocol = settings.protocol();
            let message = format!("spans go there, as {protocol}, {content}");
            check(&place, Status::Ok, message)
        }
        Err(why) => {
            let message = format!("spans are not taken: {why}");
            check(&place, Status::Warn, message).hint(
                "start the collector, or correct OTEL_EXPORTER_OTLP_ENDPOINT: its HTTP port is 4318 as a rule",
            )
        }
    });
    checks
}

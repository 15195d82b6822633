//! What is kept, shared and refreshed, with Entra's tokens for an example.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    task::{Context, Waker},
    time::Duration,
};

use futures_util::future::join_all;
use http::Request;

use super::{
    script::{Clock, Everywhere, answer},
    secret, token, variables,
};
use crate::{
    keys::{EntraWanted, Keys, Wanted},
    net::{
        CloudKeys,
        tests::support::{Server, until},
    },
    transport::{Body, Dial, Sending, Transport},
};

const MINUTE: Duration = Duration::from_secs(60);

/// Gives out `token-1`, `token-2` and so on, each good for an hour, or fails with a status.
struct Issuer {
    keys: Arc<CloudKeys>,
    clock: Clock,
    issued: Arc<AtomicUsize>,
    status: Arc<AtomicU16>,
}

impl Issuer {
    async fn new() -> Self {
        let issued = Arc::new(AtomicUsize::new(0));
        let status = Arc::new(AtomicU16::new(200));
        let (count, state) = (Arc::clone(&issued), Arc::clone(&status));
        let server = Server::http1(move |_| {
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let status = state.load(Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(30)).await;
                if status == 200 {
                    let body = format!(
                        r#"{{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"token-{number}"}}"#
                    );
                    return answer(200, body);
                }
                let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: no 'hush-hush' here","error_codes":[7000215],"timestamp":"t","trace_id":"i","correlation_id":"c"}"#;
                answer(status, body)
            }
        })
        .await;
        let clock = Clock::new();
        let now = clock.clone();
        let keys = CloudKeys::by_clock(Everywhere::new(&server), variables(&[]), move || now.now());
        Issuer {
            keys: Arc::new(keys),
            clock,
            issued,
            status,
        }
    }

    async fn token(&self) -> Result<String, String> {
        token(&self.keys, &app("one")).await
    }

    fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    async fn until_issued(&self, count: usize) {
        until(|| self.issued() == count).await;
        // The answer is under way.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn app(client: &str) -> Wanted {
    Wanted::Entra(EntraWanted {
        client_id: secret(client),
        client_secret: secret("hush-hush"),
        tenant_id: secret("tenant"),
    })
}

#[tokio::test]
async fn requests_at_once_and_later_share_one_fetch() {
    let issuer = Issuer::new().await;
    let all = join_all((0..20).map(|_| issuer.token())).await;
    assert!(
        all.iter().all(|token| token.as_deref() == Ok("token-1")),
        "{all:?}"
    );
    issuer.clock.advance(54 * MINUTE);
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    assert_eq!(issuer.issued(), 1);
}

#[tokio::test]
async fn another_app_gets_another_token() {
    let issuer = Issuer::new().await;
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    assert_eq!(token(&issuer.keys, &app("two")).await.unwrap(), "token-2");
    assert_eq!(issuer.token().await.unwrap(), "token-1");
}

#[tokio::test]
async fn a_token_is_fetched_anew_before_it_expires_and_nobody_waits() {
    let issuer = Issuer::new().await;
    issuer.token().await.unwrap();
    issuer.clock.advance(56 * MINUTE);
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    issuer.until_issued(2).await;
    assert_eq!(issuer.token().await.unwrap(), "token-2");
    assert_eq!(issuer.issued(), 2);
}

#[tokio::test]
async fn just_before_the_end_requests_wait_for_the_new_token() {
    let issuer = Issuer::new().await;
    issuer.token().await.unwrap();
    issuer.clock.advance(60 * MINUTE - Duration::from_secs(10));
    assert_eq!(issuer.token().await.unwrap(), "token-2");
}

#[tokio::test]
async fn a_failed_fetch_leaves_the_old_token_in_use_until_it_expires() {
    let issuer = Issuer::new().await;
    issuer.token().await.unwrap();
    issuer.status.store(401, Ordering::SeqCst);
    issuer.clock.advance(56 * MINUTE);
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    issuer.until_issued(2).await;
    // Not at once again.
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    assert_eq!(issuer.issued(), 2);
    issuer.clock.advance(MINUTE);
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    issuer.until_issued(3).await;
    issuer.clock.advance(3 * MINUTE - Duration::from_secs(10));
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    assert_eq!(issuer.issued(), 4);
    issuer.clock.advance(Duration::from_secs(11));
    issuer.token().await.unwrap_err();
    issuer.status.store(200, Ordering::SeqCst);
    assert_eq!(issuer.token().await.unwrap(), "token-6");
}

#[tokio::test]
async fn errors_say_what_to_do_and_hold_no_secret() {
    let issuer = Issuer::new().await;
    issuer.status.store(401, Ordering::SeqCst);
    let error = issuer.token().await.unwrap_err();
    assert_eq!(
        error,
        "Microsoft Entra gave the app no token (AADSTS7000215: no '***' here); check `azure_client_id`, `azure_client_secret` and \
         `azure_tenant_id`, or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID"
    );
    issuer.status.store(200, Ordering::SeqCst);
    let credential = issuer.keys.fetch(&app("one")).await.unwrap();
    let shown = format!("{credential:?} {:?} {:?}", issuer.keys, app("one"));
    assert!(
        !shown.contains("token-") && !shown.contains("hush"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_fetch_goes_on_when_the_request_that_began_it_is_gone() {
    let issuer = Issuer::new().await;
    {
        let wanted = app("one");
        let mut fetching = issuer.keys.fetch(&wanted);
        let polled = fetching
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
    assert_eq!(issuer.token().await.unwrap(), "token-1");
    assert_eq!(issuer.issued(), 1);
}

/// Never answers, whatever limits the dial has.
struct Silence;

impl Transport for Silence {
    fn send<'a>(&'a self, _: Request<Body>, _: &'a Dial) -> Sending<'a> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_ten_seconds() {
    let keys = CloudKeys::new(Arc::new(Silence), variables(&[]));
    let began = tokio::time::Instant::now();
    let wanted = app("one");
    let all = join_all((0..3).map(|_| token(&keys, &wanted))).await;
    assert_eq!(began.elapsed().as_secs(), 10);
    for error in all {
        assert_eq!(
            error.unwrap_err(),
            "no credentials of Microsoft Entra came within 10 s; name `azure_client_id`, `azure_client_secret` and `azure_tenant_id`; \
             managed identities exist on Azure only"
        );
    }
}

//! Which certificates are taken, and what is said of the others.

use std::{fs, sync::Arc, time::Instant};

use http::Response;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, SignatureScheme,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;

use super::support::*;
use crate::{
    net::{Client, Environment, Roots},
    transport::{Dial, TransportError, full},
};

async fn answering(config: ServerConfig) -> Server {
    Server::tls(config, 100, |_| async { Response::new(full("ok")) }).await
}

fn unverified() -> Dial {
    Dial {
        verify: false,
        ..Dial::default()
    }
}

fn self_signed(
    names: &[&str],
    authority: bool,
) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    if authority {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (certificate.der().clone(), key)
}

#[tokio::test]
async fn each_bad_certificate_is_named_and_taken_if_asked_to() {
    let authority = Authority::new();
    let table = [
        (
            authority.issue(&["localhost"], |params| {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }),
            "has expired",
        ),
        (
            authority.issue(&["localhost"], |params| {
                params.not_before = date_time_ymd(3000, 1, 1);
            }),
            "is not valid yet",
        ),
        (
            authority.issue(&["other.test"], |_| {}),
            r#"is for another name (DnsName("other.test"))"#,
        ),
        (
            self_signed(&["localhost"], false),
            "is not trusted (UnknownIssuer)",
        ),
        (
            self_signed(&["localhost"], true),
            "is not trusted (CaUsedAsEndEntity)",
        ),
        (
            Authority::named("stranger").issue(&["localhost"], |_| {}),
            "is not trusted (UnknownIssuer)",
        ),
    ];
    let client = authority.client();
    for ((certificate, key), expected) in table {
        let server = answering(server_config(certificate, key, &["h2"])).await;
        let url = server.secure_url("/?key=secret");
        let error = failure(&client, get(&url), &Dial::default()).await;
        let expected = format!("TLS: certificate of localhost {expected}");
        assert_eq!(error, TransportError::Connect(expected));
        let (_, body) = fetch_by(&client, get(&url), &unverified()).await.unwrap();
        assert_eq!(body, "ok");
        // Asked to by that dial alone.
        let error = failure(&client, get(&url), &Dial::default()).await;
        assert!(matches!(error, TransportError::Connect(_)));
    }
}

/// Signs handshakes with another key than the certificate's.
#[derive(Debug)]
struct Impostor(Arc<CertifiedKey>);

impl ResolvesServerCert for Impostor {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn an_unverified_peer_still_has_to_hold_its_key() {
    let (certificate, _) = self_signed(&["localhost"], false);
    let (_, other) = self_signed(&["localhost"], false);
    let key = ring::sign::any_supported_type(&other).unwrap();
    assert!(
        key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256])
            .is_some()
    );
    let impostor = Impostor(Arc::new(CertifiedKey::new(vec![certificate], key)));
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Impostor(Arc::clone(&impostor.0))));
        let server = answering(config).await;
        let request = get(&server.secure_url("/"));
        let error = failure(&client(), request, &unverified()).await;
        let expected = "TLS: certificate of localhost is not valid (BadSignature)".to_owned();
        assert_eq!(error, TransportError::Connect(expected));
    }
}

#[tokio::test]
async fn tls_1_2_will_do() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["localhost"], |_| {});
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let server = answering(config).await;
    let client = authority.client();
    for dial in [Dial::default(), unverified()] {
        let (_, body) = fetch_by(&client, get(&server.secure_url("/")), &dial)
            .await
            .unwrap();
        assert_eq!(body, "ok");
    }
}

#[tokio::test]
async fn what_speaks_no_tls_is_asked_about() {
    let plain = raw(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = read_request(&mut stream).await;
    })
    .await;
    let closing = raw(|stream, _| async move {
        stream.readable().await.unwrap();
        let mut hello = vec![0; 16 * 1024];
        let _ = stream.try_read(&mut hello);
    })
    .await;
    let authority = Authority::new();
    let table = [
        (
            plain,
            format!("TLS: {plain} spoke no TLS: is this an http:// endpoint?"),
        ),
        (
            closing,
            format!("TLS: {closing} closed the connection during the handshake"),
        ),
    ];
    for (address, expected) in table {
        let request = get(&format!("https://{address}/?key=secret"));
        let error = failure(&authority.client(), request, &Dial::default()).await;
        assert_eq!(error, TransportError::Connect(expected));
    }
    // And the other way round.
    let server = answering(authority.server(&[])).await;
    let request = get(&format!("http://{}/", server.address));
    let error = failure(&client(), request, &Dial::default()).await;
    let expected = format!(
        "{} did not answer in HTTP: is this an https:// endpoint?",
        server.address
    );
    assert_eq!(error, TransportError::Broken(expected));
}

#[test]
fn roots_come_from_the_environment_and_broken_entries_are_skipped() {
    let authority = Authority::new();
    let good = fs::read_to_string(authority.path()).unwrap();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("roots.pem");
    fs::write(&file, format!("{bad}{good}{bad}")).unwrap();
    let file = file.to_str().unwrap();
    let load = |pairs: &[(&str, &str)]| {
        let roots = Roots::load(&Environment::new(pairs.iter().copied()));
        (roots.trusted, roots.skipped, roots.source)
    };
    assert_eq!(load(&[("SSL_CERT_FILE", file)]), (1, 1, "SSL_CERT_FILE"));
    let dirs = format!("/does/not/exist:{}", folder.path().display());
    let (trusted, _, source) = load(&[("SSL_CERT_DIR", &dirs)]);
    assert_eq!((trusted, source), (1, "SSL_CERT_DIR"));
    let (trusted, skipped, source) = load(&[("SSL_CERT_FILE", "/does/not/exist")]);
    assert_eq!((skipped, source), (1, "built in"));
    assert!(trusted > 50);
}

#[test]
fn making_a_client_costs_nothing() {
    let since = Instant::now();
    for _ in 0..100 {
        let _ = Client::new(Environment::from_process());
    }
    let took = since.elapsed();
    println!("100 clients: {took:?}");
    assert!(took.as_millis() < 1000);
    let since = Instant::now();
    let roots = Roots::load(&Environment::default());
    println!(
        "{} roots from {}: {:?}",
        roots.trusted,
        roots.source,
        since.elapsed()
    );
}

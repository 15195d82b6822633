//! TLS to upstreams: roots, the two ways to verify, and what went wrong in words.
//!
//! Roots are read at the first use, on a blocking thread: a system's bundle takes milliseconds to parse, and many runs
//! (loopback models, the mock) never need it.

use std::{
    collections::HashMap,
    env, fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use rustls_native_certs::CertificateResult;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{locked, proxy::Environment};
use crate::transport::TransportError;

/// Certificates that are trusted, and where they came from.
#[derive(Clone, Debug)]
pub struct Roots {
    /// How many certificates are trusted.
    pub trusted: usize,
    /// How many entries could not be read and were skipped.
    pub skipped: usize,
    /// `SSL_CERT_FILE`, `SSL_CERT_DIR`, `the system` or `built in`.
    pub source: &'static str,
    store: Arc<RootCertStore>,
}

impl Roots {
    /// Reads the roots that `environment` names, else the system's, else takes Mozilla's, which are built in.
    ///
    /// Blocks on files for some milliseconds.
    #[must_use]
    pub fn load(environment: &Environment) -> Self {
        let file = environment.first(&["SSL_CERT_FILE"]);
        let dirs = environment.first(&["SSL_CERT_DIR"]);
        let (source, found) = match (file, dirs) {
            (None, None) => ("the system", rustls_native_certs::load_native_certs()),
            _ => (
                file.or(dirs).map_or("", |(name, _)| name),
                from_paths(file.map(|(_, path)| path), dirs.map(|(_, list)| list)),
            ),
        };
        let mut store = RootCertStore::empty();
        let (trusted, unusable) = store.add_parsable_certificates(found.certs);
        let skipped = unusable + found.errors.len();
        if skipped > 0 {
            tracing::warn!("{skipped} root certificates from {source} could not be read");
        }
        if trusted == 0 {
            tracing::warn!("no root certificates from {source}: using the built-in ones");
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Roots {
            trusted: store.len(),
            skipped,
            source: if trusted == 0 { "built in" } else { source },
            store: Arc::new(store),
        }
    }
}

/// What `load_native_certs` does for variables of the process, here for those of our own environment.
fn from_paths(file: Option<&str>, dirs: Option<&str>) -> CertificateResult {
    let file = file.map(Path::new);
    let dirs: Vec<PathBuf> = dirs
        .map(|list| env::split_paths(list).collect())
        .unwrap_or_default();
    let mut all = rustls_native_certs::load_certs_from_paths(file, None);
    for dir in dirs.iter().filter(|dir| !dir.as_os_str().is_empty()) {
        let more = rustls_native_certs::load_certs_from_paths(None, Some(dir));
        all.certs.extend(more.certs);
        all.errors.extend(more.errors);
    }
    all.certs
        .sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    all.certs.dedup();
    all
}

/// How a connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Security {
    pub(crate) verify: bool,
    pub(crate) http2: bool,
}

/// TLS for all upstreams: roots and session caches are shared.
pub(crate) struct Tls {
    environment: Environment,
    provider: Arc<CryptoProvider>,
    roots: OnceCell<Roots>,
    configs: Mutex<HashMap<Security, Arc<ClientConfig>>>,
}

impl Tls {
    pub(crate) fn new(environment: Environment) -> Self {
        Tls {
            environment,
            provider: Arc::new(ring::default_provider()),
            roots: OnceCell::new(),
            configs: Mutex::default(),
        }
    }

    /// Does the handshake with `host` over `io`; `port` is for messages.
    pub(crate) async fn handshake<T>(
        &self,
        security: Security,
        host: &str,
        port: u16,
        io: T,
    ) -> Result<TlsStream<T>, TransportError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| TransportError::Connect(format!("TLS: {host} is no valid host name")))?;
        let config = self.config(security).await?;
        TlsConnector::from(config)
            .connect(name, io)
            .await
            .map_err(|error| TransportError::Connect(explain(&error, host, port)))
    }

    async fn config(&self, security: Security) -> Result<Arc<ClientConfig>, TransportError> {
        if let Some(config) = locked(&self.configs).get(&security) {
            return Ok(Arc::clone(config));
        }
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TransportError::Connect(format!("TLS: {error}")))?;
        let builder: rustls::ConfigBuilder<ClientConfig, WantsClientCert> = if security.verify {
            builder.with_root_certificates(Arc::clone(&self.roots().await?.store))
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate {
                    provider: Arc::clone(&self.provider),
                }))
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = if security.http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        // Of two that came here at once, the first one's sessions are the ones that are kept.
        let mut configs = locked(&self.configs);
        let config = configs.entry(security).or_insert_with(|| Arc::new(config));
        Ok(Arc::clone(config))
    }

    async fn roots(&self) -> Result<&Roots, TransportError> {
        let load = || async {
            let environment = self.environment.clone();
            tokio::task::spawn_blocking(move || Roots::load(&environment))
                .await
                .map_err(|_| TransportError::Connect("TLS: roots could not be read".to_owned()))
        };
        self.roots.get_or_try_init(load).await
    }
}

/// Kong's `https_verify = false`: any certificate will do, but the peer must hold its key.
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for AnyCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnyCertificate")
    }
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A failed handshake in words.
fn explain(error: &io::Error, host: &str, port: u16) -> String {
    let at = super::proxy::host_port(host, port);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(Error::InvalidCertificate(why)) => explain_certificate(why, host),
        Some(Error::InvalidMessage(_)) => {
            format!("TLS: {at} spoke no TLS: is this an http:// endpoint?")
        }
        Some(Error::AlertReceived(alert)) => {
            format!("TLS: {at} refused the handshake ({alert:?})")
        }
        Some(Error::PeerIncompatible(why)) => {
            format!("TLS: {at} offers no version or cipher that is known here ({why:?})")
        }
        Some(other) => format!("TLS: handshake with {at} failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("TLS: {at} closed the connection during the handshake")
        }
        None => format!("TLS: connection to {at} broke during the handshake ({error})"),
    }
}

fn explain_certificate(why: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    let what = match why {
        E::Expired | E::ExpiredContext { .. } => "has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "is not valid yet",
        E::NotValidForName => "is for another name",
        E::NotValidForNameContext { presented, .. } => {
            let names = presented.join(", ");
            return format!("TLS: certificate of {host} is for another name ({names})");
        }
        E::UnknownIssuer => "is not trusted (UnknownIssuer)",
        E::Revoked => "is revoked",
        // The common self-signed certificate, made without saying that it is no authority.
        E::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is not trusted (CaUsedAsEndEntity)"
        }
        other => return format!("TLS: certificate of {host} is not valid ({other:?})"),
    };
    format!("TLS: certificate of {host} {what}")
}

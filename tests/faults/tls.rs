//! Certificates: right ones, and those that nobody should take.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio_rustls::TlsAcceptor;

/// An authority of the tests' own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // A self-signed certificate has the usual name, and is none of this authority's.
        params
            .distinguished_name
            .push(DnType::CommonName, "trusted");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate, for `SSL_CERT_FILE`.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    fn issued(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().clone(), key)
    }

    pub(crate) fn right(&self, alpn: &[&str]) -> TlsAcceptor {
        acceptor(self.issued("localhost", |_| {}), alpn)
    }

    pub(crate) fn expired(&self) -> TlsAcceptor {
        let old = |params: &mut CertificateParams| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        };
        acceptor(self.issued("localhost", old), &[])
    }

    pub(crate) fn wrong_name(&self) -> TlsAcceptor {
        acceptor(self.issued("other.test", |_| {}), &[])
    }
}

type Pair = (CertificateDer<'static>, KeyPair);

pub(crate) fn self_signed() -> TlsAcceptor {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    acceptor((certificate.der().clone(), key), &[])
}

fn acceptor((certificate, key): Pair, alpn: &[&str]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

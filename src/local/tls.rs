//! Keys of one run: an authority, a server certificate, a client certificate, a token.
//!
//! They are made anew at every start and never leave this process but in the kubeconfig.

use std::sync::Arc;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;

/// Why keys cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    #[error("cannot set up the check of client certificates")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// What a client needs, and what the server needs.
pub(super) struct Identity {
    pub(super) server: Arc<ServerConfig>,
    pub(super) authority_pem: String,
    pub(super) client_pem: String,
    pub(super) client_key_pem: String,
    pub(super) token: String,
}

impl Identity {
    pub(super) fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "embedded-cluster-ca");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = params.self_signed(&key)?;
        let authority_pem = authority.pem();
        let issuer = Issuer::new(params, key);

        let server_key = KeyPair::generate()?;
        let mut server = CertificateParams::new(vec!["127.0.0.1".into(), "localhost".into()])?;
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = server.signed_by(&server_key, &issuer)?;

        let client_key = KeyPair::generate()?;
        let mut client = CertificateParams::new(Vec::new())?;
        client.distinguished_name.push(DnType::CommonName, "admin");
        client
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = client.signed_by(&client_key, &issuer)?;

        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                // Who has no certificate may still show the token.
                .allow_unauthenticated()
                .build()?;
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der().clone()], private)?;
        let random = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        Ok(Self {
            server: Arc::new(config),
            authority_pem,
            client_pem: client.pem(),
            client_key_pem: client_key.serialize_pem(),
            token: random.map(|it| it.simple().to_string()).concat(),
        })
    }
}

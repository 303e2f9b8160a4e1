//! TLS as a client: to the gateway, always verified, and to a service, verified if asked.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
        verify_tls13_signature,
    },
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};

/// Whom to believe that a gateway is who it says it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ConnectCas {
    /// The certificate authorities of the operating system.
    #[default]
    Host,
    /// Those in a PEM file, and no others.
    File(PathBuf),
    /// These, and no others.
    Certificates(Vec<CertificateDer<'static>>),
}

/// Why certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// The operating system has none.
    #[error(
        "this system has no certificate authorities{detail}: install its ca-certificates, or name a PEM file"
    )]
    NoneOnHost {
        /// What the system said, if anything.
        detail: String,
    },
    /// The file cannot be read or is not PEM.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A certificate cannot be a trust anchor.
    #[error("a certificate that cannot be trusted as an authority: {0}")]
    Certificate(#[source] rustls::Error),
}

/// How the certificate of a service is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Not at all: a local service rarely has one that anybody signed.
    #[default]
    No,
    /// Against these authorities.
    Against(ConnectCas),
}

/// For the session: TLS 1.3 only.
pub(crate) fn to_gateway(cas: &ConnectCas) -> Result<ClientConfig, CasError> {
    let roots = roots(cas)?;
    Ok(begin(&[&TLS13])
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// For a service, which may be old.
pub(crate) fn to_service(verify: &Verify) -> Result<ClientConfig, CasError> {
    let begun = begin(&[&TLS13, &TLS12]);
    Ok(match verify {
        Verify::Against(cas) => begun
            .with_root_certificates(roots(cas)?)
            .with_no_client_auth(),
        Verify::No => {
            let algorithms = ring::default_provider().signature_verification_algorithms;
            let verifier = Arc::new(AnyCertificate(algorithms));
            begun
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth()
        }
    })
}

/// The same settings, offering `protocols` by ALPN.
pub(crate) fn offering(config: &ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

fn begin(
    versions: &[&'static SupportedProtocolVersion],
) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
    #[expect(
        clippy::expect_used,
        reason = "ring has suites for both versions, whatever a peer does"
    )]
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("ring speaks TLS 1.2 and 1.3")
}

fn roots(cas: &ConnectCas) -> Result<RootCertStore, CasError> {
    let mut roots = RootCertStore::empty();
    match cas {
        ConnectCas::Host => {
            let found = rustls_native_certs::load_native_certs();
            // Systems keep some that no program can use; one good one is enough to go on.
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let detail = found.errors.first().map(|error| format!(" ({error})"));
                return Err(CasError::NoneOnHost {
                    detail: detail.unwrap_or_default(),
                });
            }
        }
        ConnectCas::File(path) => {
            for certificate in read_pem(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable(path, error))?;
            }
        }
        ConnectCas::Certificates(given) => {
            for certificate in given {
                roots
                    .add(certificate.clone())
                    .map_err(CasError::Certificate)?;
            }
        }
    }
    Ok(roots)
}

fn read_pem(path: &Path) -> Result<Vec<CertificateDer<'static>>, CasError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(path, error))?;
    if found.is_empty() {
        return Err(unusable(path, "no certificate in it: expected PEM"));
    }
    Ok(found)
}

fn unusable(path: &Path, detail: impl ToString) -> CasError {
    CasError::File {
        path: path.into(),
        detail: detail.to_string(),
    }
}

/// Takes every certificate, and still proves that the peer holds its key.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

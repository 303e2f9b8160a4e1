//! Whose certificates are believed of servers outside: the system's authorities, and those that the operator adds.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use crate::front::tls::{TlsError, provider};

/// Certificate authorities of the operator; the system's are read when the first server is asked.
pub(super) struct Trust {
    added: Vec<CertificateDer<'static>>,
    system: fn() -> Vec<CertificateDer<'static>>,
    connector: OnceLock<Result<TlsConnector, String>>,
}

impl Trust {
    /// Reads the operator's files.
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, TlsError> {
        Self::with(files, system)
    }

    fn with(
        files: &[PathBuf],
        system: fn() -> Vec<CertificateDer<'static>>,
    ) -> Result<Self, TlsError> {
        let mut added = Vec::new();
        for file in files {
            let before = added.len();
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| unusable(file, &error))?
            {
                let certificate = certificate.map_err(|error| unusable(file, &error))?;
                // One that cannot be an anchor of trust is told now, and not when a server is asked.
                RootCertStore::empty()
                    .add(certificate.clone())
                    .map_err(|error| unusable(file, &error))?;
                added.push(certificate);
            }
            if added.len() == before {
                return Err(unusable(
                    file,
                    &"it holds no certificate; `fetch.ca_files` names PEM files",
                ));
            }
        }
        Ok(Self {
            added,
            system,
            connector: OnceLock::new(),
        })
    }

    /// Makes TLS connections to servers that show a certificate of one of the authorities.
    pub(super) fn connector(&self) -> Result<&TlsConnector, &str> {
        let made = self.connector.get_or_init(|| self.make());
        made.as_ref().map_err(String::as_str)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        // Systems keep some that no program can use; what is missing shows when a server is not trusted.
        roots.add_parsable_certificates((self.system)());
        roots.add_parsable_certificates(self.added.iter().cloned());
        roots
    }

    fn make(&self) -> Result<TlsConnector, String> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

fn system() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> TlsError {
    TlsError::File {
        path: file.to_owned(),
        reason: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// What the system would trust.
    fn installed() -> Vec<CertificateDer<'static>> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["ca.example".to_owned()]).unwrap();
        vec![
            params.self_signed(&key).unwrap().der().clone(),
            CertificateDer::from_slice(b"one that no program can use"),
        ]
    }

    #[test]
    fn the_systems_authorities_are_trusted_with_the_operators() {
        let trust = Trust::with(&[], installed).unwrap();
        assert_eq!(trust.roots().len(), 1);
        let added = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["own.example".to_owned()]).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), params.self_signed(&added).unwrap().pem()).unwrap();
        let trust = Trust::with(&[file.path().to_owned()], installed).unwrap();
        assert_eq!(trust.roots().len(), 2);
        assert!(trust.connector().is_ok());
    }
}

//! One certificate with its key, as two files on disk hold them.

use std::{fs, path::Path, sync::Arc, time::SystemTime};

use ring::digest::{SHA256, digest};
use rustls::{
    crypto::ring as provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::{
    tls::{Identity, TlsError},
    validity,
};
use crate::config::CertificateEntry;

/// A certificate that is ready to serve.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) entry: CertificateEntry,
    pub(super) identity: Arc<Identity>,
    /// The hosts it is for, `*.` ones too.
    pub(super) names: Vec<String>,
    /// When it ends, if that can be read.
    pub(super) not_after: Option<SystemTime>,
    contents: Contents,
}

/// What tells contents of the two files from others, and does not keep the key.
type Contents = [[u8; 32]; 2];

// === impl Certificate ===

impl Certificate {
    /// Reads its files. If they hold what they held, it is the one that was known.
    ///
    /// # Errors
    /// When a file cannot be read, or the two do not belong together.
    pub(super) fn read(entry: &CertificateEntry, known: &[Self]) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|error| bad(path, &error));
        let (chain, key) = (read(&entry.cert)?, read(&entry.key)?);
        let contents = [hash(&chain), hash(&key)];
        let known = known.iter().find(|known| known.contents == contents);
        if let Some(known) = known {
            return Ok(Self {
                entry: entry.clone(),
                ..known.clone()
            });
        }
        let chain = read_chain(&entry.cert, &chain)?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
            bad(
                &entry.key,
                &format_args!("no private key in PEM form: {error}"),
            )
        })?;
        let unusable = |source| match source {
            rustls::Error::InconsistentKeys(_) => bad(
                &entry.key,
                &format_args!(
                    "this is not the key of the certificate in {}; renew both",
                    entry.cert.display()
                ),
            ),
            source => TlsError::Unusable {
                path: entry.cert.clone(),
                source,
            },
        };
        let certified =
            CertifiedKey::from_der(chain, key, &provider::default_provider()).map_err(unusable)?;
        let leaf = certified.end_entity_cert();
        let leaf = leaf.map_err(|error| bad(&entry.cert, &error))?;
        Ok(Self {
            names: names(leaf, &entry.cert)?,
            not_after: validity::not_after(leaf),
            identity: Arc::new(Identity::new(certified).map_err(unusable)?),
            entry: entry.clone(),
            contents,
        })
    }
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

fn read_chain(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| bad(path, &format_args!("no certificate in PEM form: {error}")))?;
    if chain.is_empty() {
        return Err(bad(path, &"no certificate in PEM form"));
    }
    Ok(chain)
}

fn names(leaf: &CertificateDer<'_>, path: &Path) -> Result<Vec<String>, TlsError> {
    let parsed = webpki::EndEntityCert::try_from(leaf).map_err(|error| bad(path, &error))?;
    let names: Vec<_> = parsed.valid_dns_names().map(str::to_owned).collect();
    if names.is_empty() {
        return Err(bad(path, &"the certificate names no host (subjectAltName)"));
    }
    Ok(names)
}

fn bad(path: &Path, reason: &dyn ToString) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

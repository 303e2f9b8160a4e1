//! A certificate authority of our own, for development: made once, kept in the data directory.

use std::{
    collections::HashMap,
    fmt, fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use adit_policy::canonical::Host;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use time::{Duration, OffsetDateTime};

use super::tls::{Identity, TlsError};

/// Names whose certificates are kept. Beyond it they are made anew for each connection.
const KEPT: usize = 1024;

/// Browsers refuse certificates that live longer than this.
const LEAF_DAYS: i64 = 397;
const CA_DAYS: i64 = 10 * 365;

/// Issues a certificate for any name at or under its domain.
pub(crate) struct LocalCa {
    domain: Host,
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    file: PathBuf,
    issued: Mutex<HashMap<Host, Arc<Identity>>>,
}

impl LocalCa {
    /// Opens the authority kept in `data_dir`, or makes one there.
    pub(crate) fn open(data_dir: &Path, domain: Host) -> Result<Self, TlsError> {
        let bad = |error: &dyn fmt::Display| TlsError::LocalCa(error.to_string());
        let (file, key_file) = (data_dir.join("ca.pem"), data_dir.join("ca-key.pem"));
        make_once(data_dir, &file, &key_file).map_err(|error| bad(&error))?;
        let at = |path: &Path, error: &dyn fmt::Display| TlsError::File {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let pem = fs::read_to_string(&file).map_err(|error| at(&file, &error))?;
        let key = fs::read_to_string(&key_file).map_err(|error| at(&key_file, &error))?;
        let key = KeyPair::from_pem(&key).map_err(|error| at(&key_file, &error))?;
        let certificate =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| at(&file, &error))?;
        let issuer = Issuer::new(ca_params(), key);
        Ok(Self {
            domain,
            issuer,
            certificate,
            file,
            issued: Mutex::default(),
        })
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Where that certificate lies, for people to trust it.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for a name of ours.
    pub(crate) fn identity(&self, name: &Host) -> Option<Arc<Identity>> {
        let inside = name.as_str().strip_suffix(self.domain.as_str())?;
        if !inside.is_empty() && !inside.ends_with('.') {
            return None;
        }
        if let Some(identity) = self.lock().get(name) {
            return Some(Arc::clone(identity));
        }
        let identity = Arc::new(self.issue(name)?);
        let mut issued = self.lock();
        if issued.len() < KEPT {
            issued.insert(name.clone(), Arc::clone(&identity));
        }
        Some(identity)
    }

    /// For clients that name nobody.
    pub(crate) fn default_identity(&self) -> Option<Arc<Identity>> {
        self.identity(&self.domain)
    }

    fn issue(&self, name: &Host) -> Option<Identity> {
        let key = KeyPair::generate().ok()?;
        let mut params = CertificateParams::new(vec![name.as_str().to_owned()]).ok()?;
        params
            .distinguished_name
            .push(DnType::CommonName, name.as_str());
        for address in [[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()] {
            params.subject_alt_names.push(SanType::IpAddress(address));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, LEAF_DAYS);
        let leaf = params.signed_by(&key, &self.issuer).ok()?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let certified =
            CertifiedKey::from_der(vec![leaf.der().clone()], key, &ring::default_provider())
                .ok()?;
        Identity::new(certified).ok()
    }

    // Nothing panics while it holds the lock.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Host, Arc<Identity>>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two processes that start at once must not end up with the key of one and the certificate of the other.
fn make_once(data_dir: &Path, file: &Path, key_file: &Path) -> io::Result<()> {
    if file.exists() && key_file.exists() {
        return Ok(());
    }
    crate::data_dir::create(data_dir)?;
    let one_at_a_time = fs::File::create(data_dir.join("ca.lock"))?;
    one_at_a_time.lock()?;
    if file.exists() && key_file.exists() {
        return Ok(());
    }
    create(file, key_file)
}

/// The certificate comes last: where it lies, the key does, too.
fn create(file: &Path, key_file: &Path) -> io::Result<()> {
    let key = KeyPair::generate().map_err(io::Error::other)?;
    let mut params = ca_params();
    valid_for(&mut params, CA_DAYS);
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    write(key_file, &key.serialize_pem(), 0o600)?;
    write(file, &certificate.pem(), 0o644)
}

/// What makes the authority: its name and its rights. Its key tells it from any other of the name.
fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "Adit local CA");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Adit (development only)");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Whoever sees the file sees all of it.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    // A file that exists keeps its old mode, so it must go first.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, path)
}

/// From yesterday, for clocks that run late.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(days - 1);
}

impl fmt::Debug for LocalCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCa")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn is_made_once_and_its_key_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("deep/data");
        let domain = Host::parse("localhost").unwrap();
        let first = LocalCa::open(&data, domain.clone()).unwrap();
        let mode = fs::metadata(data.join("ca-key.pem"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = LocalCa::open(&data, domain).unwrap();
        assert_eq!(first.certificate(), again.certificate());
    }

    #[test]
    fn processes_that_start_at_once_share_one() {
        let dir = tempfile::tempdir().unwrap();
        let domain = Host::parse("localhost").unwrap();
        let all_at_once = std::sync::Barrier::new(8);
        let certificates: Vec<_> = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        all_at_once.wait();
                        let ca = LocalCa::open(dir.path(), domain.clone()).unwrap();
                        assert!(ca.identity(&domain).is_some());
                        ca.certificate()
                    })
                })
                .collect();
            openers
                .into_iter()
                .map(|opener| opener.join().unwrap())
                .collect()
        });
        assert!(certificates.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn issues_for_names_of_its_domain_only() {
        let dir = tempfile::tempdir().unwrap();
        let ca = LocalCa::open(dir.path(), Host::parse("localhost").unwrap()).unwrap();
        let issues = |name: &str| ca.identity(&Host::parse(name).unwrap()).is_some();
        assert!(issues("localhost"));
        assert!(issues("app.localhost"));
        assert!(!issues("notlocalhost"));
        assert!(!issues("example.com"));
        let one = ca.identity(&Host::parse("app.localhost").unwrap()).unwrap();
        let two = ca.identity(&Host::parse("app.localhost").unwrap()).unwrap();
        assert!(Arc::ptr_eq(&one, &two));
    }
}

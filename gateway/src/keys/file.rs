//! The file that keys are kept in: for its owner only, written whole or not at all, by one process at a time.

use std::{
    fmt, fs,
    fs::{File, OpenOptions},
    io,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

/// The layout of the file; one of a later version of Adit is not guessed at.
const VERSION: u32 = 1;

/// All keys, oldest first.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    version: u32,
    pub(super) sealing: Vec<Key>,
    pub(super) signing: Vec<Key>,
}

/// One key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    /// In seconds since 1970.
    made: u64,
    /// In base64.
    key: String,
}

/// Why the keys cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct KeysError {
    path: PathBuf,
    reason: String,
}

/// The file, while no other process reads or writes it.
pub(super) struct Locked {
    folder: PathBuf,
    file: PathBuf,
    _lock: File,
}

// === impl Locked ===

impl Locked {
    /// Waits until no other process has it. Makes the folder if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, KeysError> {
        let at = |error: io::Error| KeysError::new(folder, error);
        crate::data_dir::create(folder).map_err(at)?;
        let mode = fs::metadata(folder).map_err(at)?.permissions().mode();
        if mode & 0o022 != 0 {
            let remedy = format!(
                "others may write here; run `chmod 700 {}`",
                folder.display()
            );
            return Err(KeysError::new(folder, remedy));
        }
        let lock = folder.join("lock");
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock);
        let held = opened.and_then(|file| file.lock().map(|()| file));
        Ok(Self {
            _lock: held.map_err(|error| KeysError::new(&lock, error))?,
            file: folder.join("keyring.json"),
            folder: folder.to_owned(),
        })
    }

    /// What it holds; nothing if it is not there yet.
    pub(super) fn read(&self) -> Result<Kept, KeysError> {
        let mode = match fs::metadata(&self.file) {
            Ok(found) => found.permissions().mode(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Kept::empty()),
            Err(error) => return Err(self.failed(error)),
        };
        if mode & 0o077 != 0 {
            return Err(self.failed(format!(
                "others may read these keys; run `chmod 600 {}`, and if somebody has, remove the file: everybody has \
                 to sign in again then",
                self.file.display()
            )));
        }
        let text = fs::read(&self.file).map_err(|error| self.failed(error))?;
        // What serde says may quote a key, so its place is all that is told.
        let kept: Kept = serde_json::from_slice(&text).map_err(|error| {
            self.failed(format!(
                "this is no keyring (line {}, column {}); restore it from a backup, or remove it: everybody has to \
                 sign in again then",
                error.line(),
                error.column()
            ))
        })?;
        match kept.version {
            VERSION => Ok(kept),
            other => Err(self.failed(format!(
                "its layout is {other}, and this version of adit reads {VERSION}; use the version that wrote it"
            ))),
        }
    }

    /// Takes the place of what it holds.
    pub(super) fn write(&self, kept: &Kept) -> Result<(), KeysError> {
        let text = serde_json::to_vec_pretty(kept).map_err(|error| self.failed(error))?;
        let new = self.folder.join("keyring.json.new");
        let written = || {
            // What a process left that died here would keep its mode.
            match fs::remove_file(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&new, &self.file)?;
            File::open(&self.folder)?.sync_all()
        };
        written().map_err(|error| self.failed(error))
    }

    /// Something is wrong with what it holds.
    pub(super) fn failed(&self, reason: impl fmt::Display) -> KeysError {
        KeysError::new(&self.file, reason)
    }
}

// === impl Kept ===

impl Kept {
    fn empty() -> Self {
        Self {
            version: VERSION,
            ..Self::default()
        }
    }
}

// === impl Key ===

impl Key {
    pub(super) fn new(made: SystemTime, key: String) -> Self {
        let made = made.duration_since(SystemTime::UNIX_EPOCH);
        let made = made.map_or(0, |since| since.as_secs());
        Self { made, key }
    }

    /// When it was made, as the clock was then.
    pub(super) fn made(&self) -> SystemTime {
        // More than this is no year that a calendar has.
        let made = self.made.min(u64::from(u32::MAX));
        SystemTime::UNIX_EPOCH + Duration::from_secs(made)
    }

    pub(super) fn text(&self) -> &str {
        &self.key
    }
}

// === impl KeysError ===

impl KeysError {
    fn new(path: &Path, reason: impl fmt::Display) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

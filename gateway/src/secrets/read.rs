//! Reads secrets from where they are kept. What cannot be read is told; what is not there is no secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
};

use adit_policy::secret::Secret;

use super::{Held, Snapshot, Trouble, Watched};
use crate::config::{self, Kept, Vault};

/// Longest secret in bytes; a longer one is none.
const SECRET_MAX: usize = 64 << 10;
/// Most secrets in one folder; what comes behind them, in the order of names, is left out.
const FOLDER_MAX: usize = 1_000;

/// Reading one vault after the other.
struct Reading<'b> {
    before: &'b Snapshot,
    watched: Watched,
    troubles: BTreeSet<Trouble>,
}

type Secrets = BTreeMap<String, Arc<Secret>>;

/// All secrets of these vaults. One that is there and cannot be read is what it was before.
pub(super) fn all(vaults: &[Vault], before: &Snapshot) -> Snapshot {
    let mut reading = Reading {
        before,
        watched: Watched::default(),
        troubles: BTreeSet::new(),
    };
    let held = vaults.iter().map(|vault| Held {
        secrets: reading.vault(vault),
        vault: vault.clone(),
    });
    Snapshot {
        vaults: held.collect(),
        watched: reading.watched,
        troubles: reading.troubles,
        ..Snapshot::default()
    }
}

// === impl Reading ===

impl Reading<'_> {
    fn vault(&mut self, vault: &Vault) -> Secrets {
        let mut open_to_all = Vec::new();
        let secrets = match &vault.kept {
            Kept::Prefix(prefix) => with_prefix(prefix),
            Kept::Variables(variables) => {
                let read =
                    variables
                        .iter()
                        .filter_map(|(name, variable)| match std::env::var(variable) {
                            Ok(value) => Some((name.to_string(), Arc::new(Secret::new(value)))),
                            Err(_) => {
                                let what = format!("there is no variable ${variable}");
                                self.tell(vault, name.as_str(), what);
                                None
                            }
                        });
                read.collect()
            }
            Kept::Files(files) => {
                let files = files.iter();
                let files = files.map(|(name, path)| (name.as_str().to_owned(), path.clone()));
                self.files(vault, files.collect(), &mut open_to_all)
            }
            Kept::Folder(path) => match config::folder(path) {
                Some(path) => self.folder(vault, &path, &mut open_to_all),
                None => {
                    let said = "$CREDENTIALS_DIRECTORY is not set: it is when systemd starts a service with credentials";
                    self.tell_of(vault, said);
                    Secrets::new()
                }
            },
        };
        for (name, secret) in &secrets {
            if secret.expose().is_empty() && !matches!(vault.kept, Kept::Prefix(_)) {
                self.tell(vault, name, "it is empty, so it is as good as none");
            }
        }
        if !open_to_all.is_empty() {
            let files = open_to_all.join(", ");
            let remedy = "`chmod o-r` keeps them to the gateway";
            self.tell_of(
                vault,
                format!("everybody on this machine can read {files}; {remedy}"),
            );
        }
        secrets
    }

    fn folder(&mut self, vault: &Vault, path: &Path, open_to_all: &mut Vec<String>) -> Secrets {
        self.watched.folders.insert(path.to_owned());
        let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.tell_of(vault, format!("{}: {error}", path.display()));
                return match error.kind() {
                    io::ErrorKind::NotFound => Secrets::new(),
                    _ => self.known(vault).cloned().unwrap_or_default(),
                };
            }
        };
        let mut files = Vec::new();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Kubernetes keeps its links in hidden entries; what is no file is no secret.
            if name.starts_with('.') || fs::metadata(entry.path()).is_ok_and(|it| it.is_dir()) {
                continue;
            }
            match name.parse::<config::Name>() {
                Ok(_) => files.push((name, entry.path())),
                Err(why) => self.tell(vault, &format!("{name:?}"), why),
            }
        }
        files.sort();
        if files.len() > FOLDER_MAX {
            files.truncate(FOLDER_MAX);
            let said = format!("more than {FOLDER_MAX} files; those behind them are left out");
            self.tell_of(vault, said);
        }
        self.files(vault, files, open_to_all)
    }

    fn files(
        &mut self,
        vault: &Vault,
        files: Vec<(String, std::path::PathBuf)>,
        open_to_all: &mut Vec<String>,
    ) -> Secrets {
        let mut secrets = Secrets::new();
        for (name, path) in files {
            match read(&path) {
                Ok((secret, metadata)) => {
                    if metadata.permissions().mode() & 0o004 != 0 {
                        open_to_all.push(path.display().to_string());
                    }
                    secrets.insert(name, Arc::new(secret));
                }
                Err(error) => {
                    let is_gone = error.kind() == io::ErrorKind::NotFound;
                    let before = self.known(vault).and_then(|known| known.get(&name));
                    let kept = before.filter(|_| !is_gone).cloned();
                    let fate = match kept.is_some() {
                        true => "; it stays what it was",
                        false => "",
                    };
                    self.tell(vault, &name, format!("{}: {error}{fate}", path.display()));
                    secrets.extend(kept.map(|secret| (name, secret)));
                }
            }
            self.watched.files.insert(path);
        }
        secrets
    }

    /// What the same vault held before.
    fn known(&self, vault: &Vault) -> Option<&Secrets> {
        let mut before = self.before.vaults.iter();
        let held = before.find(|held| held.vault == *vault)?;
        Some(&held.secrets)
    }

    fn tell(&mut self, vault: &Vault, name: &str, what: impl std::fmt::Display) {
        self.troubles.insert(Trouble {
            vault: vault.name.clone(),
            said: format!("secret `{}/{name}`: {what}", vault.name),
        });
    }

    fn tell_of(&mut self, vault: &Vault, what: impl std::fmt::Display) {
        self.troubles.insert(Trouble {
            vault: vault.name.clone(),
            said: format!("vault `{}`: {what}", vault.name),
        });
    }
}

fn with_prefix(prefix: &str) -> Secrets {
    let all = std::env::vars_os();
    let found = all.filter_map(|(variable, value)| {
        let name = variable.to_str()?.strip_prefix(prefix)?.to_owned();
        let value = value.into_string().ok()?;
        (!name.is_empty()).then(|| (name, Arc::new(Secret::new(value))))
    });
    found.collect()
}

/// A secret is a text; a line break at its end is the editor's.
fn read(path: &Path) -> io::Result<(Secret, Metadata)> {
    let other = |what: &str| io::Error::other(what.to_owned());
    // To open a pipe would be to wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(other("this is no file"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(SECRET_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > SECRET_MAX {
        return Err(other("it is longer than 64 KiB"));
    }
    let text = String::from_utf8(bytes).map_err(|_| other("it is no text in UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    Ok((Secret::new(line), metadata))
}

//! The `secrets:` list: vaults, each with the place where its secrets are kept.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use adit_policy::document::{self, Step};
use serde::{Deserialize, Deserializer, de};

use super::AgentEntry;

/// Where systemd puts the credentials of a service; may begin `directory`.
const CREDENTIALS: &str = "$CREDENTIALS_DIRECTORY";
/// Longest name of a vault or a secret; a longer one is refused.
const NAME_MAX: usize = 255;

/// Named secrets that are kept in one place. Policies read them as `secrets.get('vault', 'name')`.
///
/// Policies of `gateway.yaml` may read all vaults; those that an agent brings, the vaults that its entry under `agents`
/// names. Changes are noticed within seconds: of values, of this list, and of who may read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Said")]
pub struct Vault {
    /// What policies call it: letters, digits, `.`, `_` and `-`.
    pub(crate) name: Name,
    pub(crate) kept: Kept,
}

/// Where the secrets of a vault are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In variables of the gateway's environment whose names begin so.
    Prefix(String),
    /// In these variables.
    Variables(BTreeMap<Name, String>),
    /// In these files.
    Files(BTreeMap<Name, PathBuf>),
    /// In a folder; each file is a secret.
    Folder(PathBuf),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    name: Name,
    /// A text is what the names of variables begin with: with `env: WEB_`, `secrets.get(…, 'api-key')` is `$WEB_API_KEY`.
    /// A map names a variable for each secret.
    env: Option<Variables>,
    /// A file for each secret, relative to the configuration file.
    files: Option<BTreeMap<Name, PathBuf>>,
    /// A folder, relative to the configuration file, in which each file is a secret: as Kubernetes mounts them, or as
    /// systemd hands them over in `$CREDENTIALS_DIRECTORY`. Hidden files and folders are none.
    directory: Option<PathBuf>,
}

/// The name of a vault or a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name(String);

#[derive(Debug)]
enum Variables {
    Prefix(String),
    Each(BTreeMap<Name, String>),
}

/// Two parts of the configuration that contradict each other: where, and what is wrong.
pub(super) type Contradiction = (Vec<Step>, String);

/// Whether each vault has a name of its own, and agents are granted what there is.
pub(super) fn agree(vaults: &[Vault], agents: &[AgentEntry]) -> Result<(), Contradiction> {
    for (index, vault) in vaults.iter().enumerate() {
        let mut before = vaults.iter().take(index);
        if before.any(|other| other.name == vault.name) {
            let way = vec!["secrets".into(), index.into(), "name".into()];
            return Err((way, format!("the name `{}` stands twice", vault.name)));
        }
    }
    for (index, agent) in agents.iter().enumerate() {
        for (granted, name) in agent.secrets.iter().enumerate() {
            if !vaults.iter().any(|vault| vault.name == *name) {
                let way = [
                    "agents".into(),
                    index.into(),
                    "secrets".into(),
                    granted.into(),
                ];
                let message = format!("no vault under `secrets` is called `{name}`");
                return Err((way.into(), message));
            }
        }
    }
    Ok(())
}

/// The vaults of a configuration that is still to be read as a whole; none if they cannot be read.
pub(super) fn peek(file: &str, text: &str, base: &Path) -> Vec<Vault> {
    #[derive(Deserialize)]
    struct Peek {
        #[serde(default)]
        secrets: Vec<Vault>,
    }

    let peeked = document::read::<Peek>(file, text).map(|peek| peek.secrets);
    let mut vaults = peeked.unwrap_or_default();
    vaults.iter_mut().for_each(|vault| vault.resolve(base));
    vaults
}

// === impl Vault ===

impl Vault {
    /// All variables of this process's environment, each under its own name.
    pub(crate) fn of_environment() -> Self {
        Self {
            name: Name("env".into()),
            kept: Kept::Prefix(String::new()),
        }
    }

    /// Makes paths relative to the configuration file.
    pub(super) fn resolve(&mut self, base: &Path) {
        match &mut self.kept {
            Kept::Files(files) => files.values_mut().for_each(|path| *path = base.join(&path)),
            Kept::Folder(path) if !path.starts_with(CREDENTIALS) => *path = base.join(&path),
            Kept::Folder(_) | Kept::Prefix(_) | Kept::Variables(_) => {}
        }
    }
}

/// A folder's path with systemd's variable filled in; `None` if it is not set.
pub(crate) fn folder(path: &Path) -> Option<PathBuf> {
    match path.strip_prefix(CREDENTIALS) {
        Ok(rest) => Some(PathBuf::from(std::env::var_os(&CREDENTIALS[1..])?).join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

impl TryFrom<Said> for Vault {
    type Error = &'static str;

    fn try_from(said: Said) -> Result<Self, &'static str> {
        let kept = match (said.env, said.files, said.directory) {
            (Some(Variables::Prefix(prefix)), None, None) => Kept::Prefix(prefix),
            (Some(Variables::Each(variables)), None, None) => Kept::Variables(variables),
            (None, Some(files), None) => Kept::Files(files),
            (None, None, Some(path)) => Kept::Folder(path),
            (None, None, None) => {
                return Err(
                    "a vault needs a place: `env: PREFIX_`, `files: { name: path }` or `directory: path`",
                );
            }
            _ => return Err("a vault has one of `env`, `files` and `directory`"),
        };
        let name = said.name;
        Ok(Self { name, kept })
    }
}

// === impl Variables ===

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> de::Visitor<'de> for Either {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "what the names of variables begin with, or a map of secrets and variables",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Variables, E> {
                match is_variable(text) {
                    true => Ok(Variables::Prefix(text.to_owned())),
                    // The whole environment holds more than anybody means to lend.
                    false => Err(E::custom(
                        "the names of variables begin with letters, digits and `_`, as in `WEB_`",
                    )),
                }
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut each = BTreeMap::new();
                while let Some((name, Variable(variable))) = map.next_entry()? {
                    each.insert(name, variable);
                }
                Ok(Variables::Each(each))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The name of a variable.
struct Variable(String);

impl FromStr for Variable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match is_variable(text) {
            true => Ok(Self(text.to_owned())),
            false => Err("the name of a variable is letters, digits and `_`"),
        }
    }
}

fn is_variable(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

// === impl Name ===

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_name = text.bytes().all(is_part) && !text.starts_with('.');
        match is_name && (1..=NAME_MAX).contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "a name has letters, digits, `_`, `-` and `.`, which does not begin it, and at most {NAME_MAX} of them"
            )),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read_text(deserializer)
    }
}

/// Reads a text at its own place in the document.
fn read_text<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
    D: Deserializer<'de>,
{
    struct Text<T>(std::marker::PhantomData<T>);

    impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for Text<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(std::marker::PhantomData))
}

//! Where the access log goes.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

/// `stdout`, the path of a file, or `false` for nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Sink {
    /// Nowhere.
    #[default]
    Off,
    /// Standard output.
    Stdout,
    /// Appended to a file.
    File(PathBuf),
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("nowhere"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Sink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Where;

        impl de::Visitor<'_> for Where {
            type Value = Sink;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`stdout`, the path of a file, or `false`")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Sink, E> {
                match on {
                    false => Ok(Sink::Off),
                    true => Err(E::custom("say where: `stdout` or the path of a file")),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sink, E> {
                match text {
                    "" => Err(E::custom("say where: `stdout` or the path of a file")),
                    "stdout" => Ok(Sink::Stdout),
                    path => Ok(Sink::File(path.into())),
                }
            }
        }
        deserializer.deserialize_any(Where)
    }
}

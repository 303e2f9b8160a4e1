//! Where the configuration and the data lie on this system.

use std::{env, ffi::OsString, path::PathBuf};

use crate::exit::Failure;

/// The directories of this user. The environment is lent, so that a test can make one up.
pub(crate) struct Places<'a> {
    variable: &'a dyn Fn(&str) -> Option<OsString>,
}

impl Places<'static> {
    /// The places that this process's environment names.
    pub(crate) fn of_process() -> Self {
        Self {
            variable: &|name| env::var_os(name),
        }
    }
}

impl Places<'_> {
    /// The configuration file that is read when none is named, whether it exists or not.
    pub(crate) fn config_file(&self) -> Result<PathBuf, Failure> {
        let xdg = self
            .directory("XDG_CONFIG_HOME")
            .map(|dir| dir.join("adit"));
        let dir = xdg.or_else(|| self.platform(".config")).ok_or_else(|| {
            Failure::mistake("no home directory: set HOME, or name the file with --config")
        })?;
        Ok(dir.join("adit.yml"))
    }

    /// Where the embedded gateway keeps its certificate authority.
    pub(crate) fn data_dir(&self) -> Result<PathBuf, Failure> {
        let own = (self.variable)("ADIT_DATA_DIR").filter(|value| !value.is_empty());
        own.map(PathBuf::from)
            .or_else(|| self.directory("XDG_DATA_HOME").map(|dir| dir.join("adit")))
            .or_else(|| self.platform(".local/share"))
            .ok_or_else(|| Failure::mistake("no home directory: set HOME or ADIT_DATA_DIR"))
    }

    /// Adit's directory where this platform keeps such things; `unix` is where the others do.
    fn platform(&self, unix: &str) -> Option<PathBuf> {
        let dir = if cfg!(target_os = "macos") {
            self.directory("HOME")?.join("Library/Application Support")
        } else if cfg!(windows) {
            self.directory("LOCALAPPDATA")?
        } else {
            self.directory("HOME")?.join(unix)
        };
        Some(dir.join("adit"))
    }

    /// A relative path is ignored, as the XDG specification demands.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        (self.variable)(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn places(pairs: &'static [(&str, &str)]) -> (String, String) {
        let variable = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        };
        let places = Places {
            variable: &variable,
        };
        let show = |path: Result<PathBuf, Failure>| match path {
            Ok(path) => path.display().to_string(),
            Err(failure) => failure.to_string(),
        };
        (show(places.config_file()), show(places.data_dir()))
    }

    #[test]
    fn the_home_directory_is_the_default() {
        let (config, data) = places(&[("HOME", "/home/ann")]);
        assert_eq!(config, "/home/ann/.config/adit/adit.yml");
        assert_eq!(data, "/home/ann/.local/share/adit");
    }

    #[test]
    fn xdg_directories_win_unless_they_are_relative() {
        let (config, data) = places(&[
            ("HOME", "/home/ann"),
            ("XDG_CONFIG_HOME", "/cfg"),
            ("XDG_DATA_HOME", "relative"),
        ]);
        assert_eq!(config, "/cfg/adit/adit.yml");
        assert_eq!(data, "/home/ann/.local/share/adit");
    }

    #[test]
    fn the_data_directory_can_be_named_outright() {
        let (_, data) = places(&[("HOME", "/home/ann"), ("ADIT_DATA_DIR", "data")]);
        assert_eq!(data, "data");
    }

    #[test]
    fn without_a_home_the_error_says_what_to_set() {
        let (config, data) = places(&[]);
        assert!(config.contains("HOME"), "{config}");
        assert!(data.contains("ADIT_DATA_DIR"), "{data}");
    }
}

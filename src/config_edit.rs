//! Changes one setting in a configuration file and leaves every other character as it was.
//!
//! The text is edited by lines, then read again: unless it says exactly what it said before plus
//! the new value, the file is left alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use adit_policy::document::{self, Mistakes};
use serde_yaml::{Mapping, Value};

use crate::exit::Failure;

/// A setting under `agent:` that the command can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Authtoken,
    ConnectUrl,
}

impl Setting {
    fn key(self) -> &'static str {
        match self {
            Self::Authtoken => "authtoken",
            Self::ConnectUrl => "connect_url",
        }
    }
}

/// Writes the setting; makes the file, readable for its owner alone, if there is none.
pub(crate) fn save(file: &Path, setting: Setting, value: &str) -> Result<(), Failure> {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let key = setting.key();
        return Err(Failure::mistake(format_args!(
            "{key}: empty, or with a space in it"
        )));
    }
    let told = |error: io::Error| Failure::mistake(format_args!("{}: {error}", file.display()));
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(told(error)),
    };
    let edited = edited(&text, setting, value)
        .map_err(|why| Failure::mistake(format_args!("{}: {why}", file.display())))?;
    replace(file, &edited).map_err(told)
}

/// Makes a file that holds nothing yet, if there is none.
pub(crate) fn create(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Ok(());
    }
    replace(file, "version: 3\nagent: {}\nendpoints: []\n")
        .map_err(|error| Failure::mistake(format_args!("{}: {error}", file.display())))
}

/// The text with the setting in it, or why that cannot be done.
fn edited(text: &str, setting: Setting, value: &str) -> Result<String, String> {
    let key = setting.key();
    let by_hand = || format!("set agent.{key} by hand: the file is not written in the usual form");
    let before = parsed(text)?;
    let text = with_setting(text, &before, key, value).ok_or_else(by_hand)?;
    let mut wanted = before;
    wanted.entry("version".into()).or_insert_with(|| 3.into());
    let agent = wanted.entry("agent".into()).or_insert(Value::Null);
    if agent.is_null() {
        *agent = Mapping::new().into();
    }
    agent
        .as_mapping_mut()
        .ok_or_else(by_hand)?
        .insert(key.into(), value.into());
    if parsed(&text).as_ref() == Ok(&wanted) {
        Ok(text)
    } else {
        Err(by_hand())
    }
}

fn parsed(text: &str) -> Result<Mapping, String> {
    let told = |mistakes: Mistakes| {
        let first = mistakes.first();
        let line = first.line().map(|line| format!("line {line}: "));
        line.unwrap_or_default() + first.message()
    };
    match document::read("", text).map_err(told)? {
        Value::Null => Ok(Mapping::new()),
        Value::Mapping(map) => match map.get("version") {
            None if map.is_empty() => Ok(map),
            Some(version) if version.as_i64() == Some(3) || version.as_str() == Some("3") => {
                Ok(map)
            }
            _ => Err("not version 3: begin the file with `version: 3`".to_owned()),
        },
        _ => Err("not a configuration file: it should begin with `version: 3`".to_owned()),
    }
}

/// The text with one line changed or added, if it has one of the forms that people write.
fn with_setting(text: &str, before: &Mapping, key: &str, value: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
    let value = serde_json::to_string(value).ok()?;
    if before.is_empty() {
        lines.push("version: 3".to_owned());
    }
    let Some(agent) = lines.iter().position(|line| line.starts_with("agent:")) else {
        lines.push(format!("agent:\n  {key}: {value}"));
        return Some(lines.join("\n") + "\n");
    };
    let inside = before.get("agent").and_then(Value::as_mapping);
    let rest = lines.get(agent)?.trim_start_matches("agent:").trim();
    if rest.starts_with('{') {
        // `agent: {}` on one line: written out, so that there is a line to change next time.
        let mut block = Value::from(Mapping::from_iter([(
            "agent".into(),
            inside?.clone().into(),
        )]));
        block.get_mut("agent")?.as_mapping_mut()?.remove(key);
        let mut block = match block.get("agent")?.as_mapping()?.is_empty() {
            true => "agent:".to_owned(),
            false => serde_yaml::to_string(&block).ok()?.trim_end().to_owned(),
        };
        block.push_str(&format!("\n  {key}: {value}"));
        *lines.get_mut(agent)? = block;
        return Some(lines.join("\n") + "\n");
    }
    let content = |line: &&String| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#')
    };
    let children = || {
        lines
            .iter()
            .enumerate()
            .skip(agent + 1)
            .filter(|(_, line)| content(line))
    };
    let indent = children().next().map_or(0, |(_, line)| indentation(line));
    let indent = if indent == 0 { 2 } else { indent };
    let own = children()
        .take_while(|(_, line)| indentation(line) > 0)
        .find(|(_, line)| indentation(line) == indent && has_key(line, key))
        .map(|(at, _)| at);
    let comment = own.and_then(|at| lines.get(at)?.find(" #").map(|c| lines[at][c..].to_owned()));
    let line = format!(
        "{:indent$}{key}: {value}{}",
        "",
        comment.unwrap_or_default()
    );
    match own {
        Some(at) => *lines.get_mut(at)? = line,
        None => lines.insert(agent + 1, line),
    }
    Some(lines.join("\n") + "\n")
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn has_key(line: &str, key: &str) -> bool {
    line.trim_start()
        .strip_prefix(key)
        .is_some_and(|rest| rest.trim_start().starts_with(':'))
}

/// Puts the text in the file's place in one step: a crash leaves the old file or the new one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // A link, as keepers of dotfiles make them, stays a link.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if let Some(dir) = target.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir)?;
    }
    let mut name = target.clone().into_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let new = PathBuf::from(name);
    let written = write_private(&new, text).and_then(|()| fs::rename(&new, &target));
    if written.is_err() {
        drop(fs::remove_file(&new));
    }
    written
}

/// The file will hold a token, so nobody else may read it.
fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out: File = options.open(file)?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> String {
        edited(text, Setting::Authtoken, "adit_new").unwrap()
    }

    #[test]
    fn a_new_file_says_its_version() {
        assert_eq!(token(""), "version: 3\nagent:\n  authtoken: \"adit_new\"\n");
    }

    #[test]
    fn keeps_comments_order_and_other_settings() {
        let text = "# mine\nversion: 3\n\nagent:\n    # the gateway\n    connect_url: a:443 # here\n\
                    \x20   authtoken: old  # from Ann\nendpoints:\n  - name: app # x\n    upstream: { url: 80 }\n";
        let expected = text.replace("authtoken: old  #", "authtoken: \"adit_new\" #");
        assert_eq!(token(text), expected);
    }

    #[test]
    fn a_missing_key_goes_under_agent_in_the_indentation_of_its_siblings() {
        let text = "version: 3\nagent:\n   web_addr: false\nendpoints: []\n";
        assert_eq!(
            token(text),
            "version: 3\nagent:\n   authtoken: \"adit_new\"\n   web_addr: false\nendpoints: []\n"
        );
    }

    #[test]
    fn an_agent_block_that_is_empty_absent_or_on_one_line_is_written_out() {
        for text in [
            "version: 3\nagent: {}\n",
            "version: 3\nagent:\n",
            "version: 3\n",
        ] {
            assert_eq!(
                token(text),
                "version: 3\nagent:\n  authtoken: \"adit_new\"\n",
                "{text:?}"
            );
        }
        assert_eq!(
            token("version: 3\nagent: { authtoken: old, connect_url: \"a:443\" }\nendpoints: []\n"),
            "version: 3\nagent:\n  connect_url: a:443\n  authtoken: \"adit_new\"\nendpoints: []\n"
        );
    }

    #[test]
    fn a_text_that_would_change_its_meaning_is_left_alone() {
        for text in [
            "version: 3\nagent: &a\n  authtoken: x\nendpoints: [*a]\n",
            "{ version: 3, agent: { authtoken: x } }\n",
            "version: 3\nagent: {\n  authtoken: x }\n",
            "version: 3\nagent:\n  \"authtoken\": x\n",
            "version: 2\nauthtoken: x\n",
            "just words",
        ] {
            assert!(
                edited(text, Setting::Authtoken, "adit_new").is_err(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn errors_do_not_hold_the_token() {
        let error = edited("version: 2\n", Setting::Authtoken, "adit_new").unwrap_err();
        assert!(!error.contains("adit_new"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_made_for_its_owner_alone_and_a_link_stays_a_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = std::env::temp_dir().join(format!("adit-config-edit-{}", std::process::id()));
        let (real, link) = (dir.join("real/adit.yml"), dir.join("adit.yml"));
        save(&real, Setting::ConnectUrl, "example.com:443").unwrap();
        symlink(&real, &link).unwrap();
        save(&link, Setting::Authtoken, "adit_new").unwrap();
        let text = fs::read_to_string(&real).unwrap();
        let mode = fs::metadata(&real).unwrap().permissions().mode() & 0o777;
        let linked = fs::symlink_metadata(&link).unwrap().is_symlink();
        let files = fs::read_dir(dir.join("real")).unwrap().count();
        fs::remove_dir_all(&dir).unwrap();
        assert!(
            text.contains("adit_new") && text.contains("example.com:443"),
            "{text}"
        );
        assert_eq!((mode, linked, files), (0o600, true, 1));
    }
}

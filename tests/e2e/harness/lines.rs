//! The lines that the command says, read as wrappers read them.

use std::{collections::HashMap, net::SocketAddr};

use super::AditProcess;

/// The next URL of a scheme that the command says it has.
pub(crate) async fn started(adit: &mut AditProcess, scheme: &str) -> String {
    let mark = format!(" url={scheme}://");
    let line = adit
        .wait_for_line(|line| line.contains("started tunnel") && line.contains(&mark))
        .await;
    field(&line, "url")
}

/// A field of a `logfmt` line.
pub(crate) fn field(line: &str, key: &str) -> String {
    logfmt(line)
        .remove(key)
        .unwrap_or_else(|| panic!("no {key} in: {line}"))
}

/// Host and address of an http URL with a port.
pub(crate) fn place(url: &str) -> (String, SocketAddr) {
    let authority = url.split_once("://").unwrap().1;
    let (host, port) = authority.split_once(':').unwrap();
    (
        host.to_owned(),
        SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())),
    )
}

/// As wrappers read a line: words with `=`, and double quotes around what holds blanks.
pub(crate) fn logfmt(line: &str) -> HashMap<String, String> {
    let mut pairs = HashMap::new();
    let mut rest = line;
    while let Some((key, value)) = rest.split_once('=') {
        let (value, behind) = match value.strip_prefix('"') {
            None => value.split_once(' ').unwrap_or((value, "")),
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.find(|c| {
                    let is_end = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    is_end
                });
                let end = end.unwrap_or_else(|| panic!("an open quote in: {line}"));
                (&quoted[..end], quoted[end + 1..].trim_start())
            }
        };
        pairs.insert(key.trim().to_owned(), value.to_owned());
        rest = behind;
    }
    pairs
}

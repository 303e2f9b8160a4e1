//! How people make their system trust the embedded gateway's certificate authority.

use std::path::Path;

/// The command to type, for the system at hand.
pub(crate) fn command(ca: &Path) -> String {
    let ca = quoted(ca);
    if cfg!(target_os = "macos") {
        format!(
            "sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {ca}"
        )
    } else if cfg!(windows) {
        format!("certutil -addstore -user Root {ca}")
    } else if Path::new("/usr/local/share/ca-certificates").is_dir() {
        format!(
            "sudo cp {ca} /usr/local/share/ca-certificates/adit.crt && sudo update-ca-certificates"
        )
    } else {
        format!("sudo trust anchor --store {ca}")
    }
}

/// As a shell wants it: as it stands, or in single quotes.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@\\".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_can_be_pasted() {
        assert!(command(Path::new("/data/ca.pem")).contains(" /data/ca.pem"));
        assert!(command(Path::new("/my data/ca.pem")).contains(" '/my data/ca.pem'"));
        assert_eq!(quoted(Path::new("it's")), r"'it'\''s'");
    }
}

//! A traffic policy from a file, read here first so that a mistake is told before anything starts.

use std::{fs, path::Path};

use adit_policy::document::{self, Document};

use crate::exit::Failure;

/// The text of a policy that is right; a mistake is shown with file, line and column.
pub(crate) fn read(file: &Path) -> Result<String, Failure> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::mistake(format_args!("traffic policy {name}: {error}")))?;
    document::read::<Document>(&name, &text).map_err(Failure::mistake)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_file_line_and_column() {
        let file = std::env::temp_dir().join(format!("adit-policy-{}.yaml", std::process::id()));
        fs::write(
            &file,
            "on_http_request:\n  - actions:\n      - type: denny\n",
        )
        .unwrap();
        let failure = read(&file).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        assert!(failure.contains(".yaml:3:"), "{failure}");
        assert!(
            read(&file)
                .unwrap_err()
                .to_string()
                .contains("traffic policy")
        );
    }
}

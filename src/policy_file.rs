//! A traffic policy from a file, read here first so that a mistake is told before anything starts.

use std::{fs, path::Path};

use adit_policy::document::{self, Document, Mistake};

use crate::exit::Failure;

/// The text of a policy that is right; a mistake is shown with file, line and column. What it warns of is added.
pub(crate) fn read(file: &Path, warnings: &mut Vec<String>) -> Result<String, Failure> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::mistake(format_args!("traffic policy {name}: {error}")))?;
    let (_, found) = document::read_warned::<Document>(&name, &text).map_err(Failure::mistake)?;
    warnings.extend(found.iter().map(Mistake::in_one_line));
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
        let failure = read(&file, &mut Vec::new()).unwrap_err().to_string();
        fs::remove_file(&file).unwrap();
        assert!(failure.contains(".yaml:3:"), "{failure}");
        assert!(
            read(&file, &mut Vec::new())
                .unwrap_err()
                .to_string()
                .contains("traffic policy")
        );
    }

    #[test]
    fn what_a_policy_warns_of_is_handed_on() {
        let file = std::env::temp_dir().join(format!("adit-older-{}.yaml", std::process::id()));
        fs::write(&file, "inbound: [{ actions: [{ type: deny }] }]\n").unwrap();
        let mut warnings = Vec::new();
        read(&file, &mut warnings).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(warnings.len(), 1);
        let said = "yaml:1:1: `inbound` is called `on_http_request` now";
        assert!(warnings[0].ends_with(said), "{warnings:?}");
    }
}

//! What a reload has done, for who asked and for the log.

use std::path::PathBuf;

use tracing::info;

/// Names that a line of the log tells of each kind; the rest is counted.
const TOLD: usize = 10;

/// What a reload has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// How many endpoints have another policy now, or none any more.
    pub changed: usize,
    /// How many agents' entries are new, other or gone.
    pub agents: usize,
    /// URLs of endpoints that are in the configuration and were not.
    pub added: Vec<String>,
    /// URLs of endpoints that were in the configuration and are not.
    pub removed: Vec<String>,
    /// URLs of endpoints with other settings than before, their policies aside.
    pub altered: Vec<String>,
    /// Files of certificates that are new, other or gone.
    pub certificates: Vec<PathBuf>,
    /// Keys of other settings that were changed, as `limits.header_count`.
    pub settings: Vec<String>,
    /// Keys of `gateway.yaml` that differ from what is in use and wait for a restart.
    pub waiting: Vec<String>,
}

impl Reloaded {
    /// Tells all that was applied, in one line.
    pub(super) fn log(&self, message: &str) {
        let counted = |count: usize| (count > 0).then_some(count);
        let certificates: Vec<_> = self
            .certificates
            .iter()
            .map(|file| file.display())
            .collect();
        info!(
            policies = counted(self.changed),
            endpoints_added = some(&self.added),
            endpoints_removed = some(&self.removed),
            endpoints_changed = some(&self.altered),
            certificates = some(&certificates),
            settings = some(&self.settings),
            agents = counted(self.agents),
            "{message}"
        );
    }
}

/// The first of some names, and how many more there are. `None` if there are none.
fn some<T: ToString>(names: &[T]) -> Option<String> {
    let told: Vec<_> = names.iter().take(TOLD).map(T::to_string).collect();
    let more = names.len() - told.len();
    match (told.join(", "), more) {
        (told, _) if told.is_empty() => None,
        (told, 0) => Some(told),
        (told, more) => Some(format!("{told} and {more} more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_names_are_told_and_the_rest_is_counted() {
        assert_eq!(some::<u32>(&[]), None);
        assert_eq!(some(&[1, 2]).as_deref(), Some("1, 2"));
        let many: Vec<u32> = (0..12).collect();
        assert!(some(&many).unwrap().ends_with("8, 9 and 2 more"));
    }
}

//! Where a configuration came from.

use std::{fmt, path::PathBuf, sync::Arc};

/// The file that was read, and what stood in it then.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) file: PathBuf,
    pub(crate) text: Arc<str>,
}

impl fmt::Debug for Origin {
    // The text may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.file).finish()
    }
}

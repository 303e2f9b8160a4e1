//! The data directory: keys live here, so nobody else may look in.

use std::{fs, io, os::unix::fs::DirBuilderExt, path::Path};

/// Makes the directory, and its parents, for the owner only. One that exists stays as it is.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

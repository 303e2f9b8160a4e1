//! Hears of changes to files, however they are changed: written, renamed over, or led elsewhere by a link.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};

/// Links followed on the way to one file, as on Linux; a file behind more cannot be read either.
const LINKS: usize = 40;

/// Tells of changes while it lives.
pub struct Watch {
    _watcher: RecommendedWatcher,
}

// === impl Watch ===

impl Watch {
    /// Watches the folders in which something decides what these paths lead to, and everything in `within`, and calls
    /// `changed` when it does.
    ///
    /// # Errors
    /// When the operating system cannot watch them.
    pub fn on(
        files: &BTreeSet<PathBuf>,
        within: &BTreeSet<PathBuf>,
        changed: impl Fn() + Send + 'static,
    ) -> notify::Result<Self> {
        let paths = files.iter().chain(within);
        let entries: BTreeSet<PathBuf> = paths.flat_map(|path| trail(path)).collect();
        // One that is missing is heard of when it comes.
        let within = within
            .iter()
            .filter_map(|folder| folder.canonicalize().ok());
        let within: BTreeSet<PathBuf> = within.collect();
        let mut folders: BTreeSet<PathBuf> = entries
            .iter()
            .filter_map(|entry| entry.parent())
            .map(Path::to_owned)
            .collect();
        let mut about = entries;
        // A folder that is moved or deleted says so under its own name.
        folders.extend(within.iter().cloned());
        about.extend(folders.iter().cloned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What cannot be told may be about us.
            if event.map_or(true, |event| concerns(&event, &about, &within)) {
                changed();
            }
        })?;
        for folder in &folders {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { _watcher: watcher })
    }
}

fn concerns(event: &Event, about: &BTreeSet<PathBuf>, within: &BTreeSet<PathBuf>) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        // Our own reading is one.
        EventKind::Access(_) => return false,
        _ => {}
    }
    let is_inside = |path: &Path| path.parent().is_some_and(|folder| within.contains(folder));
    let mut paths = event.paths.iter();
    event.need_rescan() || paths.any(|path| about.contains(path) || is_inside(path))
}

/// The folder entries that decide what a path leads to: each symbolic link on the way, and the last one, or the first
/// that is missing. Their folders exist and are spelled without links.
fn trail(path: &Path) -> Vec<PathBuf> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut entries = Vec::new();
    let mut at = PathBuf::new();
    let mut ahead = steps(&path);
    let mut links = LINKS;
    while let Some(step) = ahead.pop() {
        match step {
            Step::Root(root) => at = root,
            Step::Up => drop(at.pop()),
            Step::Down(name) => {
                let entry = at.join(name);
                if let Ok(target) = entry.read_link() {
                    entries.push(entry);
                    links -= 1;
                    if links == 0 {
                        return entries;
                    }
                    ahead.extend(steps(&target));
                } else if ahead.is_empty() || entry.symlink_metadata().is_err() {
                    entries.push(entry);
                    return entries;
                } else {
                    at = entry;
                }
            }
        }
    }
    entries
}

enum Step {
    Root(PathBuf),
    Up,
    Down(OsString),
}

/// A path's steps, the first one last.
fn steps(path: &Path) -> Vec<Step> {
    let steps = path.components().rev().filter_map(|part| match part {
        Component::Prefix(_) | Component::RootDir => Some(Step::Root(part.as_os_str().into())),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Down(name.to_owned())),
        Component::CurDir => None,
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, sync::mpsc, time::Duration};

    use tempfile::TempDir;

    use super::*;

    /// Longer than any event takes; a test that meets it has failed.
    const LONGEST: Duration = Duration::from_secs(20);

    fn folder() -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().canonicalize().unwrap();
        (folder, path)
    }

    /// Watches a file, does something, and waits until that was heard.
    fn hears(file: &Path, what: &str, change: impl FnOnce()) {
        let (tell, told) = mpsc::channel();
        let files = BTreeSet::from([file.to_owned()]);
        let told_of = move || tell.send(()).unwrap_or_default();
        let _watch = Watch::on(&files, &BTreeSet::new(), told_of).unwrap();
        assert!(told.try_recv().is_err(), "{what}: before anything happened");
        change();
        told.recv_timeout(LONGEST).expect(what);
    }

    #[test]
    fn a_file_may_be_written_renamed_over_deleted_and_made_again() {
        let (_held, folder) = folder();
        let (file, other) = (folder.join("a.yaml"), folder.join(".a.yaml.swp"));
        fs::write(&file, "1").unwrap();
        hears(&file, "written", || fs::write(&file, "2").unwrap());
        fs::write(&other, "3").unwrap();
        hears(&file, "renamed over", || fs::rename(&other, &file).unwrap());
        hears(&file, "deleted", || fs::remove_file(&file).unwrap());
        hears(&file, "made again", || fs::write(&file, "4").unwrap());
    }

    #[test]
    fn a_link_may_be_swapped_wherever_it_is_on_the_way() {
        let (_held, folder) = folder();
        for (name, text) in [("..1", "old"), ("..2", "new")] {
            fs::create_dir(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("a.yaml"), text).unwrap();
        }
        // As Kubernetes mounts a ConfigMap.
        symlink("..1", folder.join("..data")).unwrap();
        symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
        let file = folder.join("a.yaml");
        assert_eq!(
            trail(&file),
            [
                folder.join("a.yaml"),
                folder.join("..data"),
                folder.join("..1/a.yaml")
            ]
        );
        hears(&file, "swapped", || {
            symlink("..2", folder.join("..data_tmp")).unwrap();
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        });
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        hears(&file, "written behind its links", || {
            fs::write(folder.join("..2/a.yaml"), "newer").unwrap();
        });
    }

    #[test]
    fn a_folder_may_be_missing_and_come_or_go() {
        let (_held, folder) = folder();
        let file = folder.join("policies/a.yaml");
        assert_eq!(trail(&file), [folder.join("policies")]);
        hears(&file, "made", || {
            fs::create_dir(folder.join("policies")).unwrap();
        });
        fs::write(&file, "1").unwrap();
        hears(&file, "moved away", || {
            fs::rename(folder.join("policies"), folder.join("old")).unwrap();
        });
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let (_held, folder) = folder();
        symlink("b", folder.join("a")).unwrap();
        symlink("a", folder.join("b")).unwrap();
        assert_eq!(trail(&folder.join("a")).len(), LINKS);
    }

    #[test]
    fn neighbours_and_readers_are_not_heard() {
        let about = BTreeSet::from([PathBuf::from("/a/x.yaml"), PathBuf::from("/a")]);
        let none = BTreeSet::new();
        let event = |kind, path| Event::new(kind).add_path(PathBuf::from(path));
        let write = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Any));
        assert!(concerns(&event(write, "/a/x.yaml"), &about, &none));
        assert!(!concerns(&event(read, "/a/x.yaml"), &about, &none));
        assert!(!concerns(&event(write, "/a/gateway.log"), &about, &none));
        let any = |path| event(EventKind::Any, path);
        assert!(concerns(&any("/a"), &about, &none) && !concerns(&any("/b"), &about, &none));
    }
}

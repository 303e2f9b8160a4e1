//! The file that remembers sessions over a restart: lines are appended by a thread of its own, and what does not
//! matter any more is left out when it is written anew.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use adit_policy::env::Env;
use tracing::warn;

use super::record::Record;

/// When so many bytes were appended, the file is written anew.
const APPENDED_MAX: u64 = 32 << 20;
/// Most bytes that are kept when it is written anew: those that matter longest.
const KEPT_MAX: usize = 128 << 20;

/// Own lines that are told from others' when the file is read again. To read more of them does no harm.
const OWN_MAX: usize = 65_536;

/// The file, open for appending. Several processes may append at the same time: each writes whole lines in one call.
pub(super) struct Journal {
    folder: PathBuf,
    env: Env,
    /// Shared by all that append; whoever has it alone may write the file anew.
    lock: File,
    file: File,
    appended: u64,
    /// How far it was read.
    read: u64,
    /// What was appended here since then; each line is like no other.
    own: HashSet<Vec<u8>>,
}

impl Journal {
    /// Opens the file, written anew if nobody else has it open, and tells what it holds.
    pub(super) fn open(folder: &Path, env: Env, tell: &mut dyn FnMut(Record)) -> io::Result<Self> {
        crate::data_dir::create(folder)?;
        let lock = private()
            .create(true)
            .truncate(false)
            .open(folder.join("lock"))?;
        let file = enter(folder, &lock, &env)?;
        let mut read = 0;
        let unreadable = each(folder, &env, &mut read, |record, _| tell(record))?;
        if unreadable > 0 {
            warn!(
                lines = unreadable,
                file = %path(folder).display(),
                "some of what was kept of sessions cannot be read, and is left out"
            );
        }
        Ok(Self {
            folder: folder.to_owned(),
            env,
            lock,
            file,
            appended: 0,
            read,
            own: HashSet::new(),
        })
    }

    /// Appends records, and returns when they are on the disk.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut lines = String::new();
        for record in records {
            if let Some(line) = record.line(&self.env) {
                lines.push_str(&line);
                lines.push('\n');
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()?;
        self.appended += lines.len() as u64;
        let own = lines.lines().map(|line| line.as_bytes().to_vec());
        self.own
            .extend(own.take(OWN_MAX.saturating_sub(self.own.len())));
        if self.appended >= APPENDED_MAX {
            self.appended = 0;
            self.file = enter(&self.folder, &self.lock, &self.env)?;
            if self.file.metadata()?.len() < self.read {
                // It was written anew, which happens only while nobody else has it.
                self.read = self.file.metadata()?.len();
                self.own.clear();
            }
        }
        Ok(())
    }

    /// Tells what others have appended since it was last read.
    pub(super) fn catch_up(&mut self, tell: &mut dyn FnMut(Record)) -> io::Result<()> {
        let mut line = Vec::new();
        let mut space = vec![0; 64 * 1024];
        loop {
            let got = self
                .file
                .read_at(&mut space, self.read + line.len() as u64)?;
            let Some(fresh) = space.get(..got).filter(|fresh| !fresh.is_empty()) else {
                // A line without its end is still being written.
                return Ok(());
            };
            line.extend_from_slice(fresh);
            while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
                let rest = line.split_off(end + 1);
                self.read += line.len() as u64;
                let text = line.trim_ascii_end();
                if !self.own.remove(text)
                    && let Some(record) = Record::read(text, &self.env)
                {
                    tell(record);
                }
                line = rest;
            }
        }
    }
}

/// Writes the file anew if nobody else has it, and opens it for appending.
fn enter(folder: &Path, lock: &File, env: &Env) -> io::Result<File> {
    lock.unlock()?;
    match lock.try_lock() {
        Ok(()) => renew(folder, env)?,
        Err(fs::TryLockError::WouldBlock) => {}
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    // Somebody may write it anew between the two locks; it is opened after them.
    lock.lock_shared()?;
    let mut file = private()
        .append(true)
        .read(true)
        .create(true)
        .open(path(folder))?;
    if !ends_with_a_line(&mut file)? {
        // Whoever wrote last died over it. What follows is a line of its own.
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Leaves out what does not matter any more.
fn renew(folder: &Path, env: &Env) -> io::Result<()> {
    let now = env.clock().now();
    let mut latest: HashMap<_, (SystemTime, Vec<u8>)> = HashMap::new();
    each(folder, env, &mut 0, |record, line| {
        if record.until() > now {
            latest.insert(record.key(), (record.until(), line.to_vec()));
        }
    })?;
    let mut lines: Vec<_> = latest.into_values().collect();
    lines.sort_by_key(|(until, _)| std::cmp::Reverse(*until));
    let mut text = Vec::new();
    for (_, line) in lines {
        if text.len() + line.len() >= KEPT_MAX {
            warn!("more is kept of sessions than there is room for; what ends first is forgotten");
            break;
        }
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    let new = folder.join("journal.new");
    let mut file = private().create(true).truncate(true).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, path(folder))?;
    File::open(folder)?.sync_all()
}

/// Every record with its line, and how far the file was read. The number of lines that are none.
fn each(
    folder: &Path,
    env: &Env,
    read: &mut u64,
    mut tell: impl FnMut(Record, &[u8]),
) -> io::Result<usize> {
    let file = match File::open(path(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    let mut unreadable = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        *read += line.len() as u64;
        let text = line.trim_ascii_end();
        match Record::read(text, env) {
            Some(record) => tell(record, text),
            None => unreadable += usize::from(!text.is_empty()),
        }
        line.clear();
    }
    Ok(unreadable)
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    io::Read::read_exact(file, &mut last)?;
    Ok(last == *b"\n")
}

fn path(folder: &Path) -> PathBuf {
    folder.join("journal")
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

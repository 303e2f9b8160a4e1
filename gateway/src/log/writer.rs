//! The thread that writes the access log, so that a slow disk or reader never holds an exchange up.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use tracing::warn;

use super::sink::Sink;

/// Lines that may wait for the thread, and their bytes. Further ones are counted and lost.
const WAITING_LINES: usize = 8192;
const WAITING_BYTES: usize = 8 << 20;

/// How long the end of the gateway waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Who may read a new file: its owner, and its group, in which collectors of logs are.
const MODE: u32 = 0o640;

/// The near end: takes lines and never blocks.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: SyncSender<Job>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: AtomicUsize,
    /// Since the last line that was written.
    lost: AtomicU64,
    /// Since the start.
    lost_in_all: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Line(String),
    /// The file was moved away: open its path anew.
    Reopen,
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

// === impl Writer ===

impl Writer {
    /// Opens the sink and starts the thread. `lost` makes the line that tells how many others were lost.
    pub(crate) fn start(sink: &Sink, lost: fn(u64) -> String) -> io::Result<Option<Self>> {
        let out = match sink {
            Sink::Off => return Ok(None),
            Sink::Stdout => Out::Stdout(io::stdout()),
            Sink::File(path) => Out::File(path.clone(), open(path)?),
        };
        Self::on(out, lost).map(Some)
    }

    fn on(out: Out, lost: fn(u64) -> String) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(WAITING_LINES);
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        thread::Builder::new()
            .name("adit-access-log".into())
            .spawn(move || write_all(out, &waiting, &own, lost))?;
        Ok(Self { jobs, shared })
    }

    /// Takes a line, or counts it as lost.
    pub(crate) fn send(&self, line: String) {
        let bytes = line.len();
        let waiting = self.shared.waiting.fetch_add(bytes, Ordering::Relaxed);
        if waiting > WAITING_BYTES || self.jobs.try_send(Job::Line(line)).is_err() {
            self.shared.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lose(1);
        }
    }

    /// Lets the thread open the file anew, for whoever has moved it away.
    pub(crate) fn reopen(&self) {
        // Behind thousands of waiting lines there is no place now; the next signal finds one.
        drop(self.jobs.try_send(Job::Reopen));
    }

    /// Lines that were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost_in_all.load(Ordering::Relaxed)
    }

    /// Waits a moment until what was sent is written.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.jobs.try_send(Job::Flush(done)).is_ok() {
            // Written, gone or stalled: the gateway goes on to its end.
            written.recv_timeout(LAST_LINES).unwrap_or_default();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

// === impl Shared ===

impl Shared {
    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        self.lost_in_all.fetch_add(lines, Ordering::Relaxed);
    }
}

/// Where lines end up.
enum Out {
    Stdout(io::Stdout),
    File(PathBuf, File),
    #[cfg(test)]
    Test(Box<dyn Write + Send>),
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(MODE)
        .open(path)
}

// === impl Out ===

impl Out {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(out) => {
                let mut out = out.lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File(_, file) => file.write_all(lines),
            #[cfg(test)]
            Self::Test(out) => out.write_all(lines),
        }
    }

    fn reopen(&mut self) {
        if let Self::File(path, file) = self {
            match open(path) {
                Ok(fresh) => *file = fresh,
                Err(error) => {
                    warn!(file = %path.display(), %error, "the access log cannot be opened anew and stays where it is");
                }
            }
        }
    }
}

/// Lines that come while others are written are written together.
fn write_all(mut out: Out, jobs: &Receiver<Job>, shared: &Shared, lost: fn(u64) -> String) {
    let mut batch = Vec::with_capacity(64 * 1024);
    let mut well = true;
    while let Ok(job) = jobs.recv() {
        let mut lines = 0;
        let mut then = None;
        let more = std::iter::once(job).chain(jobs.try_iter());
        for job in more {
            match job {
                Job::Line(line) => {
                    shared.waiting.fetch_sub(line.len(), Ordering::Relaxed);
                    batch.extend_from_slice(line.as_bytes());
                    lines += 1;
                }
                other => then = Some(other),
            }
            if then.is_some() || batch.len() >= 64 * 1024 {
                break;
            }
        }
        if lines > 0 {
            let note = shared.lost.swap(0, Ordering::Relaxed);
            if note > 0 {
                warn!(lines = note, "lines of the access log were lost");
                batch.extend_from_slice(lost(note).as_bytes());
            }
            match out.write(&batch) {
                Ok(()) => well = true,
                Err(error) => {
                    if std::mem::replace(&mut well, false) {
                        warn!(%error, "the access log cannot be written");
                    }
                    shared.lost.fetch_add(note, Ordering::Relaxed);
                    shared.lose(lines);
                }
            }
            batch.clear();
        }
        match then {
            Some(Job::Reopen) => out.reopen(),
            Some(Job::Flush(done)) => drop(done),
            Some(Job::Line(_)) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc::channel};

    use super::*;

    /// Writes when it is let.
    struct Gated(Receiver<()>, Arc<Mutex<Vec<u8>>>);

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Without a gate keeper, freely.
            self.0.recv().unwrap_or_default();
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lost(lines: u64) -> String {
        format!("lost {lines}\n")
    }

    #[test]
    fn a_stalled_reader_costs_lines_which_are_counted_and_never_waits() {
        let (go, gate) = channel();
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let out = Out::Test(Box::new(Gated(gate, Arc::clone(&written))));
        let writer = Writer::on(out, lost).unwrap();
        // More than may wait, and than a batch holds besides.
        let sent = WAITING_LINES as u64 * 3;
        for _ in 0..sent {
            writer.send("12345678\n".to_owned());
        }
        assert!(writer.lost() > 0);
        drop(go);
        while writer.shared.waiting.load(Ordering::Relaxed) > 0 {
            writer.flush();
        }
        writer.send("the last one\n".to_owned());
        writer.flush();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        let told: u64 = text
            .lines()
            .filter_map(|line| line.strip_prefix("lost ")?.parse::<u64>().ok())
            .sum();
        let whole = text.lines().filter(|line| *line == "12345678").count() as u64;
        assert_eq!((told, whole + told), (writer.lost(), sent));
        assert!(text.contains("the last one\n"));
    }

    #[test]
    fn a_few_long_lines_are_as_much_as_many_short_ones() {
        let (_go, gate) = channel();
        let out = Out::Test(Box::new(Gated(gate, Arc::default())));
        let writer = Writer::on(out, lost).unwrap();
        for _ in 0..20 {
            writer.send("x".repeat(1 << 20));
        }
        assert!((10..=12).contains(&writer.lost()), "{}", writer.lost());
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::TempDir::new().unwrap();
        let (path, old) = (folder.path().join("access"), folder.path().join("old"));
        let sink = Sink::File(path.clone());
        let writer = Writer::start(&sink, lost).unwrap().unwrap();
        writer.send("1\n".to_owned());
        writer.flush();
        std::fs::rename(&path, &old).unwrap();
        writer.send("2\n".to_owned());
        writer.reopen();
        writer.send("3\n".to_owned());
        writer.flush();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "1\n2\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "3\n");
    }
}

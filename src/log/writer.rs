//! The thread that writes log lines, so that a slow or closed reader never holds the process up.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use super::{Destination, Form, line::Line};

/// Lines that may wait for a slow reader. Further ones are counted and dropped.
const WAITING_LINES: usize = 8192;

/// How long the end of the process waits for the last lines.
const LAST_LINES: Duration = Duration::from_millis(500);

/// The near end: takes lines and never blocks.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: SyncSender<Job>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Job {
    Line(String),
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

impl Writer {
    /// Opens the destination and starts the thread.
    pub(super) fn start(destination: &Destination, form: Form) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match destination {
            Destination::Off => Box::new(io::sink()),
            Destination::Stdout => Box::new(io::stdout()),
            Destination::Stderr => Box::new(io::stderr()),
            Destination::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let (jobs, waiting) = sync_channel(WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(out, &waiting, &counter, form))?;
        Ok(Self { jobs, lost })
    }

    /// Takes one line, or counts it as lost.
    pub(super) fn send(&self, line: String) {
        if let Err(TrySendError::Full(_)) = self.jobs.try_send(Job::Line(line)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits a moment until what was sent is written.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.jobs.try_send(Job::Flush(done)).is_ok() {
            // Written, gone or stalled: the process goes on to its end.
            written.recv_timeout(LAST_LINES).unwrap_or_default();
        }
    }
}

/// Ends with the first write that fails: a reader that has gone does not come back.
fn write_all(mut out: impl Write, jobs: &Receiver<Job>, lost: &AtomicU64, form: Form) {
    while let Ok(job) = jobs.recv() {
        let written = match job {
            Job::Line(line) => {
                let note = match lost.swap(0, Ordering::Relaxed) {
                    0 => String::new(),
                    lines => Line::lost(lines).shown_as(form),
                };
                out.write_all((line + &note).as_bytes())
                    .and_then(|()| out.flush())
            }
            Job::Flush(done) => {
                drop(done);
                Ok(())
            }
        };
        if written.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    struct Stalled(Receiver<()>, Arc<AtomicU64>);

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(io::Error::other)?;
            self.1.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_never_waits() {
        let (go, gate) = channel();
        let (jobs, waiting) = sync_channel(2);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            jobs,
            lost: Arc::clone(&lost),
        };
        let written = Arc::new(AtomicU64::new(0));
        let out = Stalled(gate, Arc::clone(&written));
        let counter = Arc::clone(&lost);
        let thread = thread::spawn(move || write_all(out, &waiting, &counter, Form::Logfmt));
        for _ in 0..10 {
            writer.send("12345678\n".to_owned());
        }
        assert!(
            lost.load(Ordering::Relaxed) >= 7,
            "two wait, one is being written"
        );
        drop(go);
        thread.join().unwrap();
        writer.send("after the reader has gone\n".to_owned());
        writer.flush();
        assert_eq!(written.load(Ordering::Relaxed), 0);
    }
}

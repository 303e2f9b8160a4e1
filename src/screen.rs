//! The status screen: what goes on, drawn calmly over the whole terminal, which is given back as
//! it was however the process ends.

mod fit;
mod keys;
mod status;
mod terminal;
mod view;

use std::{
    env, io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ratatui::Frame;
use tokio::sync::Notify;

use self::terminal::Terminal;
pub(crate) use self::{
    fit::fitted,
    status::{Request, Session, Status},
    view::Look,
};

/// The shortest time between two pictures: ten a second are enough for an eye.
const BETWEEN_PICTURES: Duration = Duration::from_millis(100);

/// How long closing waits for a terminal that does not take what is drawn.
const LAST_PICTURE: Duration = Duration::from_millis(500);

/// What a screen can show.
pub(crate) trait Scene: Clone + Send + 'static {
    /// Draws all of it.
    fn draw(&self, frame: &mut Frame<'_>, look: Look);
}

/// The screen, open until it is dropped.
#[derive(Debug)]
pub(crate) struct Screen<S: Scene = Status> {
    shared: Arc<Shared<S>>,
    painter: Option<JoinHandle<()>>,
}

/// What the painting thread, the key thread and the owner have in common.
#[derive(Debug)]
struct Shared<S> {
    canvas: Mutex<Canvas<S>>,
    changed: Condvar,
    /// The user wants to leave.
    quit: Notify,
}

#[derive(Debug)]
struct Canvas<S> {
    status: S,
    /// Not yet on the screen.
    dirty: bool,
    closing: bool,
    closed: bool,
}

/// Whether the user has not asked for plain text, as <https://no-color.org> says.
pub(crate) fn colour_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// What cannot be told before the terminal is free.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

static OPEN: AtomicBool = AtomicBool::new(false);

/// Tells a panic on standard error: now, or once the screen that is open is closed.
pub(crate) fn note_panic(text: String) {
    if OPEN.load(Ordering::Acquire) {
        PANICS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    } else {
        crate::terminal::note(&text);
    }
}

/// Tells the panics that had to wait. For the end of the process, when no screen is open.
pub(crate) fn tell_panics() {
    for text in PANICS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        crate::terminal::note(&text);
    }
}

// === impl Screen ===

impl<S: Scene> Screen<S> {
    /// Takes the terminal over and shows the status.
    pub(crate) fn open(status: S) -> io::Result<Self> {
        let terminal = Terminal::take_over()?;
        OPEN.store(true, Ordering::Release);
        let canvas = Canvas {
            status,
            dirty: true,
            closing: false,
            closed: false,
        };
        let shared = Arc::new(Shared {
            canvas: Mutex::new(canvas),
            changed: Condvar::new(),
            quit: Notify::new(),
        });
        let look = Look {
            colour: colour_wanted(),
        };
        let painting = Arc::clone(&shared);
        // A thread of its own: a terminal may be slow, the session must not be.
        let painter = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || painting.paint(terminal, look))?;
        keys::listen(Arc::clone(&shared))?;
        Ok(Self {
            shared,
            painter: Some(painter),
        })
    }

    /// Changes what is shown.
    pub(crate) fn update(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.shared.lock().status);
        self.shared.redraw();
    }

    /// Waits until the user wants to leave.
    pub(crate) async fn quit(&self) {
        self.shared.quit.notified().await;
    }
}

impl<S: Scene> Drop for Screen<S> {
    fn drop(&mut self) {
        let mut canvas = self.shared.lock();
        canvas.closing = true;
        self.shared.changed.notify_all();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(canvas, LAST_PICTURE, |canvas| !canvas.closed);
        let closed = waited.is_ok_and(|(canvas, _)| canvas.closed);
        match self.painter.take() {
            Some(painter) if closed => drop(painter.join()),
            // It hangs in a write. What can be given back without one is.
            _ => terminal::restore_mode(),
        }
        OPEN.store(false, Ordering::Release);
    }
}

// === impl Shared ===

impl<S: Scene> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Canvas<S>> {
        // A picture that panicked half-way leaves the status as it was.
        self.canvas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn redraw(&self) {
        self.lock().dirty = true;
        self.changed.notify_all();
    }

    fn paint(&self, terminal: Terminal, look: Look) {
        // Declared before the terminal, so dropped after it was given back, unwinding or not.
        let _announced = Announce(self);
        let mut terminal = terminal;
        while let Some(status) = self.next_status() {
            if terminal.draw(&status, look).is_err() {
                return;
            }
            let canvas = self.lock();
            let pause = self
                .changed
                .wait_timeout_while(canvas, BETWEEN_PICTURES, |c| !c.closing);
            drop(pause);
        }
    }

    /// Waits for something new to show; nothing when the screen closes.
    fn next_status(&self) -> Option<S> {
        let waited = self
            .changed
            .wait_while(self.lock(), |c| !c.dirty && !c.closing);
        let mut canvas = waited.unwrap_or_else(PoisonError::into_inner);
        canvas.dirty = false;
        (!canvas.closing).then(|| canvas.status.clone())
    }
}

/// Says, when dropped, that the painting is over.
struct Announce<'a, S: Scene>(&'a Shared<S>);

impl<S: Scene> Drop for Announce<'_, S> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
        // Without a screen there is nobody who could see what the process does.
        self.0.quit.notify_one();
    }
}

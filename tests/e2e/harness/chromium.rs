//! A real browser: headless Chromium, driven through `tests/e2e/identity/chromium.mjs`.
//!
//! ```ignore
//! let mut chromium = Chromium::start().await;
//! let mut tab = chromium.tab(0);
//! tab.goto(&gateway.url("https://app.localhost/reports")).await;
//! tab.click("Sign in").await;
//! tab.screenshot("sign-in-refused").await;             // target/screenshots/sign-in-refused.png
//! ```

use std::{path::PathBuf, process::Stdio};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
};

use super::{provider::node, soon};

/// A running browser with one set of cookies. Dropping it ends it.
pub(crate) struct Chromium {
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// One of its tabs; naming it opens it.
pub(crate) struct Tab<'a> {
    chromium: &'a mut Chromium,
    name: u32,
}

impl Chromium {
    pub(crate) async fn start() -> Self {
        let mut child = node("chromium.mjs")
            .arg(executable())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node runs; scripts/setup-test.sh installs it");
        Self {
            commands: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()).lines(),
            _child: child,
        }
    }

    /// A tab, by number.
    pub(crate) fn tab(&mut self, name: u32) -> Tab<'_> {
        Tab {
            chromium: self,
            name,
        }
    }
}

impl Tab<'_> {
    /// Types a URL, and waits until the page is there: the status of the last answer.
    pub(crate) async fn goto(&mut self, url: &str) -> u64 {
        self.call("goto", json!([url])).await.as_u64().unwrap()
    }

    /// The button that goes back.
    pub(crate) async fn back(&mut self) -> u64 {
        self.call("back", json!([])).await.as_u64().unwrap()
    }

    /// Clicks the first link or button with these words.
    pub(crate) async fn click(&mut self, words: &str) {
        self.call("click", json!([words])).await;
    }

    /// Fills in the field with this label.
    pub(crate) async fn fill(&mut self, label: &str, text: &str) {
        self.call("fill", json!([label, text])).await;
    }

    /// Where it is.
    pub(crate) async fn url(&mut self) -> String {
        text(self.call("url", json!([])).await)
    }

    /// Waits until it is at a URL that begins so.
    pub(crate) async fn arrive(&mut self, begin: &str) -> String {
        text(self.call("arrive", json!([begin])).await)
    }

    /// What a person reads.
    pub(crate) async fn text(&mut self) -> String {
        text(self.call("text", json!([])).await)
    }

    /// The page's heading.
    pub(crate) async fn heading(&mut self) -> String {
        text(self.call("heading", json!([])).await)
    }

    /// Runs a function in the page, `async (given) => …`: what it returns.
    pub(crate) async fn run(&mut self, function: &str, given: Value) -> Value {
        self.call("run", json!([function, given])).await
    }

    /// The browser's cookies, those for scripts only as well as the others.
    pub(crate) async fn cookies(&mut self) -> Vec<Value> {
        let cookies = self.call("cookies", json!([])).await;
        cookies.as_array().unwrap().clone()
    }

    /// Takes every cookie away, the provider's too.
    pub(crate) async fn forget_cookies(&mut self) {
        self.call("forget_cookies", json!([])).await;
    }

    /// What was written to the console since the last time.
    pub(crate) async fn said(&mut self) -> Vec<String> {
        let name = self.name;
        let said = self.call("said", json!([name])).await;
        serde_json::from_value(said).unwrap()
    }

    /// How the page looks in a window of this size, in light or dark colours: the fields stand in `chromium.mjs`.
    pub(crate) async fn look(&mut self, (width, height): (u32, u32), colours: &str) -> Value {
        self.call("window", json!([width, height])).await;
        self.call("colours", json!([colours])).await;
        self.call("look", json!([])).await
    }

    /// A picture of the page as it is, `target/screenshots/NAME.png`.
    pub(crate) async fn screenshot(&mut self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        self.call("screenshot", json!([file])).await;
    }

    /// Looks at a page of Adit's own in narrow and wide windows, light and dark, keeps pictures of it, and finds
    /// everything there that a person needs who does not know what Adit is.
    pub(crate) async fn is_finished(&mut self, name: &str, buttons: &[&str]) {
        for (width, height) in [(320, 568), (1280, 800)] {
            for colours in ["light", "dark"] {
                let look = self.look((width, height), colours).await;
                let size = if width < 500 { "narrow" } else { "wide" };
                let count = |what: &str| look[what].as_array().unwrap().len();
                assert_ne!(look["title"], "", "{name}: {look}");
                assert_eq!(look["language"], "en", "{name}: {look}");
                assert_eq!(count("headings"), 1, "{name}: {look}");
                assert_eq!(look["buttons"], json!(buttons), "{name}: {look}");
                assert_eq!(look["too_wide"], false, "{name}, {size}: {look}");
                assert_eq!(look["dark"], colours == "dark", "{name}: {look}");
                assert_eq!(count("faint"), 0, "{name}, {colours}: {look}");
                self.screenshot(&format!("{name}-{size}-{colours}")).await;
            }
        }
    }

    async fn call(&mut self, command: &str, with: Value) -> Value {
        let line = format!(
            "{}\n",
            json!({ "tab": self.name, "do": command, "with": with })
        );
        self.chromium
            .commands
            .write_all(line.as_bytes())
            .await
            .unwrap();
        let answer = soon(command, self.chromium.answers.next_line())
            .await
            .unwrap();
        let answer = answer.expect("chromium runs; scripts/setup-test.sh installs it");
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        match answer.get("error") {
            Some(error) => panic!("{command} {with}: {error}"),
            None => answer["ok"].take(),
        }
    }
}

fn text(value: Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Where the browser lies: Debian's name for it first.
fn executable() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = ["chromium", "google-chrome", "chromium-browser"];
    let places = known
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    let mut places = places.chain([
        PathBuf::from("/Applications/Chromium.app/Contents/MacOS/Chromium"),
        PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    ]);
    places
        .find(|place| place.is_file())
        .expect("chromium; scripts/setup-test.sh installs it")
}

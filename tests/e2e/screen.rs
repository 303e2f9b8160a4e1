//! The status screen, in a real terminal: what it shows, and that the terminal is given back.

use rustix::{process::Signal, termios::LocalModes};

use crate::harness::{Gateway, command, named::Named, terminal::Terminal, visitor::visit};

const HOST: &str = "app.localhost";
const URL: &str = "http://app.localhost";

const ALTERNATE_SCREEN: &str = "\u{1b}[?1049h";
const USUAL_SCREEN: &str = "\u{1b}[?1049l";
const CURSOR: &str = "\u{1b}[?25h";

/// A screen that is open.
async fn open(gateway: &Gateway, service: &Named) -> Terminal {
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), &gateway.token());
    let upstream = service.address().to_string();
    let mut terminal = Terminal::run(home, &["http", &upstream, "--url", URL]);
    terminal
        .shows(&format!("http://{HOST}:{}", gateway.http().port()))
        .await;
    terminal.shows("online").await;
    terminal
}

async fn is_given_back(terminal: &mut Terminal) {
    terminal.shows(USUAL_SCREEN).await;
    terminal.shows(CURSOR).await;
    let drawn = terminal.drawn();
    let (opened, closed) = (drawn.rfind(ALTERNATE_SCREEN), drawn.rfind(USUAL_SCREEN));
    assert!(opened.is_some() && opened < closed, "{drawn:?}");
    assert!(drawn.rfind(CURSOR) > opened, "{drawn:?}");
    let (before, after) = (&terminal.before, terminal.mode());
    assert!(
        after
            .local_modes
            .contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    );
    assert_eq!(
        (after.local_modes, after.input_modes, after.output_modes),
        (before.local_modes, before.input_modes, before.output_modes)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_screen_shows_the_url_and_each_request_and_ctrl_c_gives_the_terminal_back() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    let mut terminal = open(&gateway, &service).await;
    assert!(
        !terminal.mode().local_modes.contains(LocalModes::ICANON),
        "keys are read as they are pressed"
    );
    assert_eq!(visit(gateway.http(), HOST, "/first?secret=1").await.0, 200);
    terminal.shows("/first").await;
    // Only what changed is drawn, and here that is everything behind the slash.
    assert_eq!(visit(gateway.http(), HOST, "/status/404").await.0, 404);
    terminal.shows("status/404").await;
    terminal.types(b"\x03");
    assert_eq!(
        terminal.wait_exit().await.code(),
        Some(0),
        "{:?}",
        terminal.drawn()
    );
    is_given_back(&mut terminal).await;
    let drawn = terminal.drawn();
    assert!(
        !drawn.contains("secret=1") && !drawn.contains(&gateway.token()),
        "{drawn:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_way_to_end_gives_the_terminal_back_too() {
    let gateway = Gateway::start().await;
    let service = Named::start("app").await;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        let mut terminal = open(&gateway, &service).await;
        terminal.signal(signal);
        assert_eq!(terminal.wait_exit().await.code(), Some(0), "{signal:?}");
        is_given_back(&mut terminal).await;
    }
    let mut terminal = open(&gateway, &service).await;
    terminal.types(b"q");
    assert_eq!(terminal.wait_exit().await.code(), Some(0));
    is_given_back(&mut terminal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_gives_the_terminal_back_and_is_read_there() {
    let gateway = Gateway::start().await;
    let home = command::home(&gateway.connect_url(), gateway.ca_pem(), "adit_wrong");
    let mut terminal = Terminal::run(home, &["http", "1"]);
    assert_eq!(terminal.wait_exit().await.code(), Some(2));
    terminal.shows("ERR_ADIT_107").await;
    let drawn = terminal.drawn();
    assert!(
        drawn.rfind("does not know this authtoken") > drawn.rfind(USUAL_SCREEN),
        "{drawn:?}"
    );
    assert_eq!(terminal.mode().local_modes, terminal.before.local_modes);
}

//! The pages that the gateway itself shows to people, in a real browser.

use crate::harness::{Agent, Gateway, chromium::Chromium};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_errors_look_finished() {
    let gateway = Gateway::with(
        "endpoints:\n  - url: https://idle.localhost\n  - url: https://dead.localhost",
    )
    .await;
    let _agent = Agent::forward(&gateway, "https://dead.localhost", "127.0.0.1:1").await;
    let mut chromium = Chromium::start().await;
    let mut tab = chromium.tab(0);
    for (name, url, status, heading) in [
        (
            "no-endpoint",
            "https://nobody.localhost/",
            404,
            "There is no endpoint nobody.localhost here",
        ),
        (
            "no-agent",
            "https://idle.localhost/",
            503,
            "No agent is connected for this address",
        ),
        (
            "no-service",
            "https://dead.localhost/",
            502,
            "Nothing listens on 127.0.0.1:1",
        ),
    ] {
        assert_eq!(tab.goto(&gateway.url(url)).await, status, "{name}");
        assert_eq!(tab.heading().await, heading);
        tab.is_finished(name, &[]).await;
        let said = tab.said().await;
        let about_the_page = said
            .iter()
            .filter(|line| !line.contains(&status.to_string()));
        assert_eq!(about_the_page.count(), 0, "{name}: {said:?}");
    }
}

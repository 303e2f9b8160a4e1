//! The gateway of one's own that `adit http 3000` brings when none is configured.

use adit_gateway::{Embedded, EmbeddedOptions};
use tracing::info;

use crate::{exit::Failure, paths::Places, report::Report, trust};

/// The ports that are tried first.
const HTTPS: u16 = 8443;
const HTTP: u16 = 8080;

/// Starts it on this machine's own addresses.
pub(crate) async fn start() -> Result<Embedded, Failure> {
    let data_dir = Places::of_process().data_dir()?;
    let options = EmbeddedOptions {
        data_dir,
        https: HTTPS,
        http: HTTP,
    };
    Embedded::start(options).await.map_err(Failure::mistake)
}

/// Says where its certificate lies and what to do with it.
pub(crate) fn tell(own: &Embedded, report: &mut Report) {
    let ca = own.ca_file();
    let command = trust::command(ca);
    info!(obj = "gateway", ca = %ca.display(), trust = command, "local certificate authority; http URLs need none");
    report.note("CA Certificate", ca.display().to_string());
    report.note("Trust It", format!("{command} (or use the http URL)"));
    if own.moved_ports() {
        info!(
            obj = "gateway",
            "ports {HTTPS} and {HTTP} were not both free; others are used"
        );
        report.note(
            "Ports",
            format!("{HTTPS} and {HTTP} were not both free: others are used"),
        );
    }
}

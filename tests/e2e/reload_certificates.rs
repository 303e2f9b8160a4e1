//! Certificates are followed while connections run: renewed in place, swapped by links, and never used without their key.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use adit_gateway::ReloadError;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::harness::{
    Agent, Gateway, Service,
    operator::{self, health},
    raw,
    regulars::Regulars,
    soon, tls,
};

const HOST: &str = "app.example";
const GET: &str = "GET / HTTP/1.1\r\nHost: app.example\r\n\r\n";

/// A certificate for [`HOST`] that says for itself, and its key, both as PEM.
fn certificate(until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Names certificates in `gateway.yaml`, by the first halves of their files' names.
fn name(gateway: &Gateway, names: &[&str]) {
    let entries = names
        .iter()
        .map(|name| format!("{{ cert: {name}.pem, key: {name}.key }}"));
    let entries: Vec<_> = entries.collect();
    gateway.rewrite("");
    let text = fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    let tls = format!(
        "tls: {{ local_ca: true, certificates: [{}] }}",
        entries.join(", ")
    );
    gateway.put(
        "gateway.yaml",
        &text.replace("tls: { local_ca: true }", &tls),
    );
}

/// Connects as somebody who trusts this certificate and no other.
async fn connect(gateway: &Gateway, trusted: &Path) -> std::io::Result<raw::Client> {
    let tls = tls::connect_to(gateway.https(), HOST, trusted, &["http/1.1"]).await?;
    let shown = tls.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert_eq!(shown, CertificateDer::from_pem_file(trusted).unwrap());
    Ok(raw::Client::over(tls))
}

async fn is_answered(client: &mut raw::Client) {
    client.send(GET).await;
    let answer = client.answer().await;
    assert!(answer.status == 200 && !answer.closed, "{answer:?}");
}

/// Connects again and again until this certificate is shown.
async fn connects(gateway: &Gateway, trusted: &Path) -> raw::Client {
    let connecting = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if let Ok(client) = connect(gateway, trusted).await {
                return client;
            }
        }
    };
    soon("the certificate", connecting).await
}

/// A copy to trust, whatever becomes of the file.
fn trusted(gateway: &Gateway, name: &str, pem: &str) -> std::path::PathBuf {
    gateway.put(name, pem);
    gateway.folder().join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_for_new_connections_and_old_ones_go_on() {
    let service = Service::echo().await;
    let gateway = Gateway::start().await;
    let agent = Agent::builder(&gateway).url("http://app.localhost");
    let agent = agent.upstream(service.addr()).url("https://app.example");
    let _agent = agent.start().await;
    let regulars = Regulars::of(2, gateway.http(), "app.localhost").await;
    let [one, two, three] = [4001, 4002, 4003].map(certificate);
    let ca = ["1.ca", "2.ca", "3.ca"];
    let ca = [
        trusted(&gateway, ca[0], &one.0),
        trusted(&gateway, ca[1], &two.0),
        trusted(&gateway, ca[2], &three.0),
    ];
    assert!(connect(&gateway, &ca[0]).await.is_err());

    // Named for the first time.
    gateway.put("app.pem", &one.0);
    gateway.put("app.key", &one.1);
    name(&gateway, &["app"]);
    gateway.reload().await.unwrap();
    let mut first = connect(&gateway, &ca[0]).await.unwrap();
    is_answered(&mut first).await;

    // Renewed: one file after the other, as it is done everywhere.
    gateway.put("app.pem", &two.0);
    gateway.put("app.key", &two.1);
    let mut second = connects(&gateway, &ca[1]).await;
    is_answered(&mut second).await;
    is_answered(&mut first).await;
    assert!(connect(&gateway, &ca[0]).await.is_err());

    // Half of it: everything stays as it was, and that is told.
    gateway.put("app.pem", &three.0);
    let refused = gateway.reload().await.unwrap_err();
    assert!(matches!(refused, ReloadError::Refused(_)), "{refused:?}");
    let told = refused.to_string();
    assert!(told.contains("app.key: this is not the key"), "{told}");
    connect(&gateway, &ca[1]).await.unwrap();
    let health = health(gateway.admin()).await;
    assert_eq!(health["status"], "degraded", "{health}");
    gateway.put("app.key", &three.1);
    connects(&gateway, &ca[2]).await;
    is_answered(&mut first).await;
    is_answered(&mut second).await;

    // Out of the file, it is out of use.
    name(&gateway, &[]);
    gateway.reload().await.unwrap();
    assert!(connect(&gateway, &ca[2]).await.is_err());
    is_answered(&mut first).await;
    regulars.leave().await;
    assert_eq!(service.counts().abandoned, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_that_are_swapped_one_after_the_other_are_followed() {
    let gateway = Gateway::start().await;
    let folder = gateway.folder();
    let archive = folder.join("archive");
    fs::create_dir(&archive).unwrap();
    // As certbot does it.
    let swap = |version: usize| {
        let (pem, key) = certificate(4000 + i32::try_from(version).unwrap());
        let ca = trusted(&gateway, &format!("{version}.ca"), &pem);
        for (name, text) in [("app.pem", pem), ("app.key", key)] {
            let target = format!("archive/{version}-{name}");
            fs::write(folder.join(&target), text).unwrap();
            let link = folder.join("link");
            symlink(&target, &link).unwrap();
            fs::rename(&link, folder.join(name)).unwrap();
        }
        ca
    };
    let ca = swap(1);
    name(&gateway, &["app"]);
    connects(&gateway, &ca).await;
    for version in [2, 3] {
        connects(&gateway, &swap(version)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_is_told_where_operators_look() {
    let gateway = Gateway::start().await;
    let [good, over] = [4001, 2020].map(certificate);
    for (name, (pem, key)) in [("good", &good), ("over", &over)] {
        gateway.put(&format!("{name}.pem"), pem);
        gateway.put(&format!("{name}.key"), key);
    }
    name(&gateway, &["good"]);
    gateway.reload().await.unwrap();
    let well = health(gateway.admin()).await;
    assert_eq!(well["status"], "ok", "{well}");
    assert_eq!(well["certificates"][0]["names"][0], HOST);
    assert_eq!(well["certificates"][0]["not_after"], "4001-01-01T00:00:00Z");
    assert_eq!(well["certificates"][0]["ok"], true);
    name(&gateway, &["good", "over"]);
    gateway.reload().await.unwrap();
    let told = health(gateway.admin()).await;
    assert_eq!(told["status"], "degraded", "{told}");
    assert_eq!(told["policies"]["ok"], true);
    assert_eq!(told["certificates"][1]["ok"], false);
    let file = gateway.folder().join("over.pem");
    let sample = format!(
        "adit_certificate_not_after_timestamp_seconds{{file=\"{}\"}}",
        file.display()
    );
    // The first second of 2020.
    assert_eq!(
        operator::metric(gateway.admin(), &sample).await,
        1_577_836_800
    );
}

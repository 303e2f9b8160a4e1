//! A network namespace of Linux with one cable to this one, which can be cut: packets are lost, and nobody is told.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
};

/// A namespace in which `gate.test` is this side of the cable. Dropping it removes it.
pub(crate) struct Namespace {
    name: String,
    cable: String,
    here: Ipv4Addr,
    there: Ipv4Addr,
}

impl Namespace {
    /// Makes one, or says why this machine does not let us.
    pub(crate) fn new() -> Result<Self, String> {
        let pid = std::process::id();
        let [_, _, high, low] = pid.to_be_bytes();
        // Four addresses of a private network for each process.
        let at = |host| Ipv4Addr::new(10, 128 | high >> 2, high << 6 | low >> 2, low << 6 | host);
        let namespace = Self {
            name: format!("adit-{pid}"),
            cable: format!("adit{pid}"),
            here: at(1),
            there: at(2),
        };
        namespace.build()?;
        Ok(namespace)
    }

    fn build(&self) -> Result<(), String> {
        let Self { name, cable, .. } = self;
        let (here, there) = (format!("{}/30", self.here), format!("{}/30", self.there));
        ip(&["netns", "add", name])?;
        ip(&[
            "link", "add", cable, "type", "veth", "peer", "name", "far", "netns", name,
        ])?;
        ip(&["addr", "add", &here, "dev", cable])?;
        ip(&["link", "set", cable, "up"])?;
        ip(&["-n", name, "addr", "add", &there, "dev", "far"])?;
        ip(&["-n", name, "link", "set", "far", "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        let folder = format!("/etc/netns/{name}");
        let hosts = format!("{} gate.test\n", self.here);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(format!("{folder}/hosts"), hosts))
            .map_err(|error| format!("{folder}: {error}"))
    }

    /// This side's address, as those inside see it.
    pub(crate) fn here(&self) -> IpAddr {
        self.here.into()
    }

    /// What a command needs before it to run inside.
    pub(crate) fn enter(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.name]
    }

    /// Each side takes the other one's network card for one that is not there: whatever it sends is lost.
    pub(crate) fn cut(&self) {
        let nobody = "02:00:00:00:00:99";
        let (here, there) = (self.here.to_string(), self.there.to_string());
        let cut = |at: &[&str], other: &str, device: &str| {
            let poison = [
                "neigh",
                "replace",
                other,
                "lladdr",
                nobody,
                "dev",
                device,
                "nud",
                "permanent",
            ];
            ip(&[at, &poison].concat()).unwrap();
        };
        cut(&[], &there, &self.cable);
        cut(&["-n", &self.name], &here, "far");
    }

    /// Packets arrive again.
    pub(crate) fn mend(&self) {
        let (here, there) = (self.here.to_string(), self.there.to_string());
        ip(&["neigh", "del", &there, "dev", &self.cable]).unwrap();
        ip(&["-n", &self.name, "neigh", "del", &here, "dev", "far"]).unwrap();
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // What was never made cannot be removed.
        drop(ip(&["link", "del", &self.cable]));
        drop(ip(&["netns", "del", &self.name]));
        drop(std::fs::remove_dir_all(format!("/etc/netns/{}", self.name)));
    }
}

fn ip(args: &[&str]) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("ip {}: {error}", args.join(" "));
    let output = Command::new("ip")
        .args(args)
        .output()
        .map_err(|error| said(&error))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(said(&String::from_utf8_lossy(&output.stderr).trim())),
    }
}

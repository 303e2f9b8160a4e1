//! What a supervisor such as systemd is told of a gateway: it is ready, reads its configuration again, stops (`sd_notify`).

use std::{env, ffi::OsStr, io, os::unix::net::UnixDatagram, process};

use rustix::time::{ClockId, clock_gettime};

/// Whoever has asked to be told, by `NOTIFY_SOCKET` in the environment; mostly nobody.
#[derive(Debug)]
pub(crate) struct Supervisor(Option<UnixDatagram>);

impl Supervisor {
    /// The one of this process's environment. One that cannot be reached is told nothing, and the log says so.
    pub(crate) fn of_environment() -> Self {
        let wanted = env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty());
        let socket = wanted.and_then(|path| {
            connect(&path)
                .inspect_err(|error| {
                    tracing::warn!(obj = "gateway", %error, path = %path.display(), "the supervisor cannot be told anything");
                })
                .ok()
        });
        Self(socket)
    }

    /// It serves, as this process: after a take-over it is another one than was started.
    pub(crate) fn ready(&self) {
        self.tell(&format!("READY=1\nMAINPID={}", process::id()));
    }

    /// It reads its configuration again; [`Self::ready`] comes after that.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It takes nothing new, and finishes what runs.
    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: &str) {
        if let Some(socket) = &self.0
            && let Err(error) = socket.send(what.as_bytes())
        {
            tracing::warn!(obj = "gateway", %error, what, "the supervisor could not be told");
        }
    }
}

fn connect(path: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::{
            linux::net::SocketAddrExt,
            unix::{ffi::OsStrExt, net::SocketAddr},
        };
        // A name in no file system.
        if let Some(name) = path.as_bytes().strip_prefix(b"@") {
            socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
            return Ok(socket);
        }
    }
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_hears_in_its_own_words_how_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor(Some(connect(path.as_os_str()).unwrap()));
        supervisor.ready();
        supervisor.reloading();
        supervisor.stopping();
        let mut space = [0; 200];
        let mut next = || {
            let length = heard.recv(&mut space).unwrap();
            String::from_utf8(space[..length].to_vec()).unwrap()
        };
        assert_eq!(next(), format!("READY=1\nMAINPID={}", process::id()));
        let reloading = next();
        let micros = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(micros.unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(next(), "STOPPING=1");
    }
}

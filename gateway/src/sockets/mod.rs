//! Listening sockets: opened by whoever started the process, handed over by the gateway before this one, or our own;
//! who accepts on them, and who has them next.
//!
//! - [`passed`]: those that were open before this process
//! - [`opened`]: one for each core and address of `listen:`, from those or anew
//! - [`listening`]: those that are being accepted on

pub(crate) mod listening;
pub(crate) mod opened;
pub(crate) mod passed;

/// What arrives at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Https,
    Http,
    Admin,
    Api,
    /// Connections of tcp endpoints, each of which has a port.
    Tcp,
}

impl Role {
    const ALL: [Self; 5] = [Self::Https, Self::Http, Self::Admin, Self::Api, Self::Tcp];

    /// As it is written under `listen:`, and as a socket unit's `FileDescriptorName=`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::Admin => "admin",
            Self::Api => "api",
            Self::Tcp => "tcp",
        }
    }

    /// Whether the operator is answered there, and nobody else.
    pub(crate) fn is_operators(self) -> bool {
        matches!(self, Self::Admin | Self::Api)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

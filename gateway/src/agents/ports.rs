//! Which port an agent gets for a tcp endpoint.

use std::io;

use adit_policy::endpoint_url::EndpointUrl;
use adit_wire::message::{RefusalCode, Refused};

use super::{
    acl::Acl,
    binds::{not_allowed, refused},
    names::Asker,
};
use crate::{edge::Edge, tcp::Lease};

/// Binds a tcp endpoint with `place`: at the port that was asked for, or at one of those that the access list allows. An
/// internal endpoint has a port that nobody listens on, and so no lease.
pub(super) fn bind(
    edge: &Edge,
    acl: &Acl,
    asked: EndpointUrl,
    asker: Asker<'_>,
    place: impl Fn(&EndpointUrl) -> Result<(), Refused>,
) -> Result<(EndpointUrl, Option<Lease>), Refused> {
    if asked.port.is_none() {
        return bind_any(edge, acl, &asked, asker, place);
    }
    if !acl.allows(&asked) {
        return Err(not_allowed(&asked));
    }
    check_range(edge, &asked)?;
    let lease = edge.ports.lease(&asked);
    let lease = lease.map_err(|error| unavailable(&asked, &error))?;
    place(&asked)?;
    Ok((asked, lease))
}

/// One agent gets the same port for the same endpoint again, as long as it is free.
fn bind_any(
    edge: &Edge,
    acl: &Acl,
    asked: &EndpointUrl,
    asker: Asker<'_>,
    place: impl Fn(&EndpointUrl) -> Result<(), Refused>,
) -> Result<(EndpointUrl, Option<Lease>), Refused> {
    let Some(range) = edge.ports.range() else {
        return Err(no_range());
    };
    let mut allowed = false;
    for port in range.beginning_at(edge.names.number(asker)) {
        let url = EndpointUrl {
            port: Some(port),
            ..asked.clone()
        };
        if !acl.allows(&url) {
            continue;
        }
        allowed = true;
        // Nobody is to find others behind a port that was drawn.
        let routes = edge.endpoints.snapshot();
        let known = routes.at(&url);
        if known.is_some_and(|known| known.declared || !known.pool.is_empty()) {
            continue;
        }
        let Ok(lease) = edge.ports.lease(&url) else {
            continue;
        };
        match place(&url) {
            Ok(()) => return Ok((url, lease)),
            Err(refused) if refused.code == RefusalCode::Taken => {}
            Err(refused) => return Err(refused),
        }
    }
    match allowed {
        true => Err(Refused {
            code: RefusalCode::Taken,
            reason: format!(
                "no port of {range} that this authtoken may bind is free (ERR_ADIT_307)"
            ),
            retryable: true,
        }),
        false => Err(refused(
            RefusalCode::Acl,
            format_args!(
                "this authtoken may bind no port of {range}; its `acl` in gateway.yaml decides, as in \
                 bind:tcp://:{range} (ERR_ADIT_356)"
            ),
        )),
    }
}

/// A port that the operator has declared may lie anywhere.
fn check_range(edge: &Edge, asked: &EndpointUrl) -> Result<(), Refused> {
    let declared = || {
        let routes = edge.endpoints.snapshot();
        routes.at(asked).is_some_and(|known| known.declared)
    };
    let port = asked.port.unwrap_or_default();
    match edge.ports.range() {
        _ if asked.is_internal() || declared() => Ok(()),
        Some(range) if range.contains(port) => Ok(()),
        Some(range) => Err(refused(
            RefusalCode::Url,
            format_args!(
                "this gateway has the ports {range} for tcp endpoints, not {port} (ERR_ADIT_307)"
            ),
        )),
        None => Err(no_range()),
    }
}

fn no_range() -> Refused {
    refused(
        RefusalCode::Url,
        "this gateway has no ports for tcp endpoints: its operator sets `listen.tcp_ports` (ERR_ADIT_307)",
    )
}

fn unavailable(url: &EndpointUrl, error: &io::Error) -> Refused {
    Refused {
        code: RefusalCode::Taken,
        reason: format!("{url} cannot be listened on: {error} (ERR_ADIT_307)"),
        retryable: true,
    }
}

//! How long the texts of an endpoint may be that agents send along.

use adit_wire::message::{EndpointSpec, RefusalCode, Refused};

use super::binds::refused;

/// Bytes of an endpoint's texts.
const NAME: usize = 255;
const DESCRIPTION: usize = 255;
pub(super) const METADATA: usize = 4096;
const FORWARDS_TO: usize = 1024;

/// Characters that are kept of why a service is down.
pub(super) const REASON: usize = 255;

/// Refuses an endpoint with a text that is too long.
pub(super) fn check_texts(spec: &EndpointSpec) -> Result<(), Refused> {
    let texts = [
        ("name", spec.name.len(), NAME),
        ("description", spec.description.len(), DESCRIPTION),
        ("metadata", spec.metadata.len(), METADATA),
        ("upstream", spec.forwards_to.len(), FORWARDS_TO),
    ];
    match texts.into_iter().find(|(_, length, limit)| length > limit) {
        Some((what, _, limit)) => Err(refused(
            RefusalCode::Url,
            format_args!("the endpoint's {what} is longer than {limit} bytes (ERR_ADIT_100)"),
        )),
        None => Ok(()),
    }
}

//! Header lines that are true of the body as it came, and of no other.

use http::header::HeaderName;

use crate::action::Fault;
use crate::exchange::Head;

/// RFC 9530, and what came before it.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("repr-digest"),
];

/// Takes the digests of a body away that is about to become another one.
pub(super) fn remove_digests(head: &mut Head<'_>) -> Result<(), Fault> {
    DIGESTS.into_iter().try_for_each(|name| head.remove(name))
}

//! `/mirrors`: the last answers that differed between a service and the mirror of its requests.

use serde::Serialize;

use super::{Answered, Api, asked::Asked, json};
use crate::mirrors::MirrorReport;

/// The newest first.
#[derive(Serialize)]
struct Differences {
    mirrors: Vec<MirrorReport>,
    uri: String,
}

pub(super) fn list(api: &Api, asked: &Asked) -> Answered {
    asked.knows(&["mirror"])?;
    let mut mirrors = api.view.edge.mirrors.recent();
    mirrors.reverse();
    if let Some(named) = asked.parameter("mirror") {
        mirrors.retain(|report| report.mirror == named);
    }
    let uri = asked.path.clone();
    json(&Differences { mirrors, uri })
}

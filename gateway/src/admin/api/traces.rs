//! `/traces`: the last exchanges, and of which of them the steps of policies are kept.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Method;
use serde::Deserialize;

use super::{
    super::resources::{Capture, Traces},
    Answered, Api, Change,
    asked::{self, Asked},
    endpoints, json,
    paging::Paging,
    problem::Problem,
    steps,
};
use crate::{moment, traces::Plan};

/// The longest time for which anybody may ask, in seconds.
const LONGEST: u64 = 3600;

/// Captured in a second if nobody says how many, and the most that may be asked for.
const PER_SECOND: u32 = 10;
const MOST: u32 = 1000;

/// The body of `PUT /traces/capture`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    for_seconds: u64,
    endpoint: Option<String>,
    per_second: Option<u32>,
}

pub(super) fn list(api: &Api, asked: &Asked) -> Answered {
    asked.knows(&["limit", "before_id", "endpoint"])?;
    let paging = Paging::of(asked)?;
    let edge = &api.view.edge;
    let before = match paging.before_id {
        None => None,
        Some(id) => Some(number(api, id)?),
    };
    let endpoint = match asked.parameter("endpoint") {
        None => None,
        Some(named) => Some(endpoints::id(api, named)?),
    };
    let wanted = |record: &crate::traces::Record| {
        let named = endpoint.as_deref();
        named.is_none_or(|named| record.endpoint == named || record.served_by == named)
    };
    let records = edge.traces.last(paging.limit + 1, before, wanted);
    let shown = records.iter().map(|record| steps::trace(edge.ids, record));
    let page = paging.page::<Traces>(shown.collect(), |trace| &trace.id);
    json(&page)
}

pub(super) fn one(api: &Api, asked: &Asked, id: &str) -> Answered {
    asked.knows(&[])?;
    let (edge, number) = (&api.view.edge, number(api, id)?);
    let found = edge.traces.last(1, None, |record| record.number == number);
    match found.first() {
        Some(record) => json(&steps::trace(edge.ids, record)),
        None => Err(Problem::not_found(format_args!(
            "the exchange {id} is not remembered any more"
        ))),
    }
}

pub(super) async fn capture<B>(api: &Api, asked: &Asked, change: Change<'_, B>) -> Answered
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    asked.knows(&[])?;
    let capture = &api.view.edge.traces.capture;
    match asked.method {
        Method::GET => {}
        Method::DELETE => {
            change.log("capture nothing", "/traces/capture");
            capture.set(None);
        }
        Method::PUT => {
            change.log("capture", "/traces/capture");
            let wanted = asked::body(change.headers, change.body).await?;
            capture.set(Some(plan(api, wanted)?));
        }
        _ => return Err(Problem::method("GET, PUT and DELETE")),
    }
    let plan = capture.plan();
    let left = |plan: &Plan| plan.until.saturating_duration_since(Instant::now());
    json(&Capture {
        sample: capture.sample(),
        until: plan
            .as_ref()
            .map(|plan| moment::seconds(SystemTime::now() + left(plan))),
        per_second: plan.as_ref().map(|plan| plan.per_second),
        endpoint: plan.and_then(|plan| plan.endpoint).map(steps::endpoint),
    })
}

fn plan(api: &Api, wanted: Wanted) -> Result<Plan, Problem> {
    if !(1..=LONGEST).contains(&wanted.for_seconds) {
        return Err(Problem::field(format_args!(
            "`for_seconds` is 1 to {LONGEST}"
        )));
    }
    let per_second = wanted.per_second.unwrap_or(PER_SECOND);
    if !(1..=MOST).contains(&per_second) {
        return Err(Problem::field(format_args!("`per_second` is 1 to {MOST}")));
    }
    let endpoint = wanted.endpoint.as_deref();
    Ok(Plan {
        until: Instant::now() + Duration::from_secs(wanted.for_seconds),
        endpoint: endpoint
            .map(|named| endpoints::id(api, named))
            .transpose()?,
        per_second,
    })
}

fn number(api: &Api, id: &str) -> Result<u64, Problem> {
    let number = api.view.edge.ids.trace_of(id);
    number.ok_or_else(|| Problem::not_found(format_args!("there is no exchange {id}")))
}

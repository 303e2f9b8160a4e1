//! `/endpoints`: the URLs that are served, their members, and the members' weights.

use std::sync::Arc;

use adit_policy::endpoint_url::EndpointUrl;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};

use super::{
    super::{resources::Endpoints, view},
    Answered, Api, Change,
    asked::{self, Asked},
    json,
    paging::Paging,
    problem::Problem,
};
use crate::pools::{endpoints::Endpoint, member::Member};

/// The heaviest weight; the same as for agents.
const HEAVIEST: u32 = 1_000_000;

/// The body of `PATCH …/members/{id}`. `null` takes the override away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(deserialize_with = "given")]
    weight: Option<u32>,
}

/// A field that has to be there and may be `null`.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Option::deserialize(deserializer)
}

pub(super) fn list(api: &Api, asked: &Asked) -> Answered {
    asked.knows(&["limit", "before_id"])?;
    let paging = Paging::of(asked)?;
    let mut known = all(api);
    if let Some(id) = paging.before_id {
        let at = known.iter().position(|(_, endpoint)| *endpoint.id == *id);
        let at = at
            .ok_or_else(|| Problem::parameter("before_id", "there is no such endpoint any more"))?;
        known.drain(..=at);
    }
    known.truncate(paging.limit + 1);
    let shown = known
        .iter()
        .map(|(_, endpoint)| view::endpoint(&api.view.edge, endpoint, Some(&api.rates)));
    let page = paging.page::<Endpoints>(shown.collect(), |endpoint| &endpoint.id);
    json(&page)
}

pub(super) fn one(api: &Api, asked: &Asked, id: &str) -> Answered {
    asked.knows(&[])?;
    let endpoint = find(api, id)?;
    json(&view::endpoint(&api.view.edge, &endpoint, Some(&api.rates)))
}

pub(super) fn member(api: &Api, asked: &Asked, id: &str, member: &str) -> Answered {
    asked.knows(&[])?;
    let (endpoint, member) = find_member(api, id, member)?;
    json(&view::member(
        &api.view.edge,
        &endpoint,
        &member,
        Some(&api.rates),
    ))
}

/// Gives a member another weight, at once.
pub(super) async fn reweigh<B>(api: &Api, id: &str, member: &str, change: Change<'_, B>) -> Answered
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (endpoint, found) = find_member(api, id, member)?;
    let what = "weigh";
    change.log(what, member);
    let Wanted { weight } = asked::body(change.headers, change.body).await?;
    if weight.is_some_and(|weight| weight > HEAVIEST) {
        return Err(Problem::field(format_args!(
            "`weight` is at most {HEAVIEST}"
        )));
    }
    set_weight(&endpoint, &found, weight);
    json(&view::member(
        &api.view.edge,
        &endpoint,
        &found,
        Some(&api.rates),
    ))
}

/// Gives a member nothing new: a weight of 0, until somebody gives it another one.
pub(super) fn drain<B>(api: &Api, id: &str, member: &str, change: &Change<'_, B>) -> Answered {
    let (endpoint, found) = find_member(api, id, member)?;
    change.log("drain", member);
    set_weight(&endpoint, &found, Some(0));
    json(&view::member(
        &api.view.edge,
        &endpoint,
        &found,
        Some(&api.rates),
    ))
}

fn set_weight(endpoint: &Endpoint, member: &Member, weight: Option<u32>) {
    endpoint.pool.override_weight(member, weight);
}

/// The id of an endpoint that is named by it, or by its URL.
pub(super) fn id(api: &Api, named: &str) -> Result<String, Problem> {
    if named.starts_with("ep_") {
        return Ok(named.to_owned());
    }
    let url = EndpointUrl::parse(named).ok();
    let own = url.and_then(|url| api.view.edge.place(url).ok());
    let routes = api.view.edge.endpoints.snapshot();
    let found = own.and_then(|url| routes.at(&url).map(|found| found.id.to_string()));
    found.ok_or_else(|| Problem::not_found(format_args!("there is no endpoint {named}")))
}

/// All endpoints, by URL.
fn all(api: &Api) -> Vec<(String, Arc<Endpoint>)> {
    let routes = api.view.edge.endpoints.snapshot();
    let mut all: Vec<_> = routes
        .online()
        .map(|endpoint| (endpoint.url.to_string(), Arc::clone(endpoint)))
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

fn find(api: &Api, id: &str) -> Result<Arc<Endpoint>, Problem> {
    let routes = api.view.edge.endpoints.snapshot();
    let mut online = routes.online();
    let found = online.find(|endpoint| *endpoint.id == *id).map(Arc::clone);
    found.ok_or_else(|| Problem::not_found(format_args!("there is no endpoint {id}")))
}

fn find_member(api: &Api, id: &str, member: &str) -> Result<(Arc<Endpoint>, Arc<Member>), Problem> {
    let endpoint = find(api, id)?;
    let number = api.view.edge.ids.member_of(member);
    let members = endpoint.pool.members();
    let found = members
        .iter()
        .find(|known| Some(known.id) == number)
        .map(Arc::clone);
    drop(members);
    match found {
        Some(found) => Ok((endpoint, found)),
        None => Err(Problem::not_found(format_args!(
            "there is no member {member} at {id}"
        ))),
    }
}

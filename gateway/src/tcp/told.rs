//! A connection that has ended, as it is told to people.

use std::{sync::Arc, time::SystemTime};

use tracing::debug;

use super::{counts::End, meter::Meter};
use crate::{
    edge::Edge,
    front::io::Connection,
    live::Why,
    log::{Field, Value},
    moment,
    pools::{endpoints::Endpoint, member::Member},
};

/// What can be told of it.
pub(super) struct Told<'a> {
    pub(super) edge: &'a Edge,
    pub(super) endpoint: &'a Endpoint,
    pub(super) facts: &'a Connection,
    pub(super) meter: &'a Meter,
    pub(super) outcome: Outcome,
}

/// Where it went, and how it ended.
pub(super) struct Outcome {
    pub(super) end: End,
    /// Which permission it has lost.
    pub(super) why: Option<Why>,
    /// Who served it, and at which endpoint.
    pub(super) served_by: Option<(Arc<Endpoint>, Arc<Member>)>,
    /// How many members were tried.
    pub(super) tries: usize,
}

// === impl Told ===

impl Told<'_> {
    /// Counts it where it arrived, and writes it down.
    pub(super) fn tell(&self) {
        let Outcome { end, why, .. } = &self.outcome;
        let (came, went) = self.meter.so_far();
        self.endpoint.counts.tcp.ended(*end, (came, went));
        if let Some(access) = &self.edge.access {
            access.write(|field| self.value(field));
        }
        let micros = u64::try_from(self.meter.elapsed().as_micros()).unwrap_or(u64::MAX);
        debug!(
            target: "adit::access",
            client = %self.facts.peer.ip(), endpoint = %self.endpoint.url, agent = self.agent(), end = end.name(),
            why = why.map(tracing::field::display), bytes_in = came, bytes_out = went, micros,
            "connection"
        );
    }

    fn value(&self, field: Field) -> Value<'_> {
        let Outcome {
            end,
            why,
            served_by,
            tries,
        } = &self.outcome;
        let (came, went) = self.meter.so_far();
        match field {
            Field::Time => Value::text(moment::millis(self.began())),
            Field::Client => Value::text(self.facts.peer.ip().to_string()),
            Field::Scheme | Field::Protocol => Value::text("tcp"),
            Field::Host => Value::text(self.endpoint.url.host.to_string()),
            Field::BytesIn => Value::number(came),
            Field::BytesOut => Value::number(went),
            Field::Duration => Value::Time(self.meter.elapsed()),
            Field::Endpoint => Value::text(self.endpoint.url.to_string()),
            Field::ForwardedTo => {
                let serving = served_by.as_ref().map(|(serving, _)| serving);
                let other = serving.filter(|serving| serving.id != self.endpoint.id);
                Value::maybe(other.map(|serving| serving.url.to_string()))
            }
            Field::Agent => Value::maybe(self.agent()),
            Field::Member => {
                let member = served_by.as_ref().map(|(_, member)| member.id);
                Value::maybe(member.map(|id| self.edge.ids.member(id)))
            }
            Field::Tries => Value::number(*tries),
            Field::Ended => match why {
                Some(why) => Value::text(why.to_string()),
                None => Value::maybe((*end != End::Done).then(|| end.name())),
            },
            _ => Value::Absent,
        }
    }

    fn agent(&self) -> Option<&str> {
        let (_, member) = self.outcome.served_by.as_ref()?;
        Some(&member.session.owner)
    }

    fn began(&self) -> SystemTime {
        self.facts.accepted
    }
}

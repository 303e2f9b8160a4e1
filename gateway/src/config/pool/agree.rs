//! Whether what a `pool:` block says fits its endpoint, the agents, and itself.

use adit_policy::{document::Step, endpoint_url::Scheme};

use super::{
    super::{AgentEntry, EndpointEntry, secrets::Contradiction},
    Balance, Pool,
};

/// What is wrong, and the way to it within the block.
type Mistaken = (Vec<Step>, String);

/// Whether each pool can be as it is said to be.
pub(in super::super) fn agree(
    endpoints: &[EndpointEntry],
    agents: &[AgentEntry],
) -> Result<(), Contradiction> {
    for (index, entry) in endpoints.iter().enumerate() {
        let pool = &entry.pool;
        let checked = fits_endpoint(pool, entry)
            .and_then(|()| weights(pool, agents))
            .and_then(|()| shares(pool))
            .and_then(|()| statuses(pool))
            .and_then(|()| times(pool));
        if let Err((within, message)) = checked {
            let way: [Step; 3] = ["endpoints".into(), index.into(), "pool".into()];
            return Err((way.into_iter().chain(within).collect(), message));
        }
    }
    Ok(())
}

fn fits_endpoint(pool: &Pool, entry: &EndpointEntry) -> Result<(), Mistaken> {
    let has_requests = entry.url.scheme != Scheme::Tcp;
    let says = |field: &'static str, message: &str| Err((vec![field.into()], message.into()));
    match (pool.balance, &pool.hash_on) {
        (Balance::Hash, None) if has_requests => {
            return says(
                "balance",
                "`hash` needs `hash_on`: an expression whose text decides, such as `conn.client_ip`",
            );
        }
        (Balance::Hash, Some(_)) if !has_requests => {
            return says(
                "hash_on",
                "a tcp endpoint has no requests, so the client's address decides; leave `hash_on` out",
            );
        }
        (Balance::RoundRobin | Balance::LeastRequests, Some(_)) => {
            return says("hash_on", "`hash_on` is for `balance: hash`");
        }
        (_, _) => {}
    }
    if pool.sticky.is_some() && !has_requests {
        return says(
            "sticky",
            "a tcp endpoint has no cookies; `balance: hash` keeps a client at its member",
        );
    }
    let policy = entry.traffic_policy.as_ref();
    if pool.none && policy.is_none() && entry.traffic_policy_file.is_none() {
        let message =
            "without a pool, a `traffic_policy` has to serve the endpoint (ERR_ADIT_2235)";
        return Err((Vec::new(), message.into()));
    }
    match policy.filter(|_| pool.none) {
        Some(policy) => policy
            .check_handles(entry.url.scheme)
            .map_err(|unhandled| (Vec::new(), unhandled.to_string())),
        None => Ok(()),
    }
}

fn weights(pool: &Pool, agents: &[AgentEntry]) -> Result<(), Mistaken> {
    let mut for_all = false;
    for (index, entry) in pool.weights.iter().enumerate() {
        let at = |message| Err((vec!["weights".into(), index.into()], message));
        if for_all {
            return at("no member comes to this entry: the one before it fits all".to_owned());
        }
        if let Some(name) = &entry.agent
            && !agents.iter().any(|agent| agent.name == *name)
        {
            return at(format!("no agent under `agents` is called `{name}`"));
        }
        for_all = entry.agent.is_none() && entry.metadata.is_none();
    }
    if !pool.weights.is_empty() && for_all && pool.weights.iter().all(|entry| entry.weight == 0) {
        let message = "every weight is 0, so nobody would serve the endpoint";
        return Err((vec!["weights".into()], message.into()));
    }
    Ok(())
}

fn shares(pool: &Pool) -> Result<(), Mistaken> {
    let wrong = |block: &'static str, field: &'static str, message: &str| {
        Err((vec![block.into(), field.into()], message.to_owned()))
    };
    if !(0.0..=1.0).contains(&pool.retry_budget.ratio) {
        return wrong("retry_budget", "ratio", "a ratio lies between 0 and 1");
    }
    if !(0.0..=1.0).contains(&pool.eject.server_errors) {
        return wrong("eject", "server_errors", "a share lies between 0 and 1");
    }
    Ok(())
}

fn statuses(pool: &Pool) -> Result<(), Mistaken> {
    let fails = |status: &&u16| !(400..600).contains(*status);
    match pool.retry_statuses.iter().find(fails) {
        Some(status) => {
            let message = format!("{status} says no failure; a status from 400 to 599 does");
            Err((vec!["retry_statuses".into()], message))
        }
        None => Ok(()),
    }
}

fn times(pool: &Pool) -> Result<(), Mistaken> {
    for (field, time) in [("try_timeout", pool.try_timeout), ("timeout", pool.timeout)] {
        if time.is_some_and(|time| time.0.is_zero()) {
            let message = "nothing is done in no time; leave it out for none";
            return Err((vec![field.into()], message.into()));
        }
    }
    if pool.eject.time.0.is_zero() {
        let message =
            "nobody is left out for no time; for never, set `failures` and `server_errors` to 0";
        return Err((vec!["eject".into(), "time".into()], message.into()));
    }
    if pool.eject.most.0 < pool.eject.time.0 {
        let message = "`most` is the longest time, and shorter than `time`";
        return Err((vec!["eject".into(), "most".into()], message.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use crate::config::Config;

    fn read(endpoint: &str) -> Result<Config, String> {
        let text = format!(
            "domain: example.com\ntls: {{ local_ca: true }}\nagents:\n- {{ name: web, token_hash: \"sha256:{}\" }}\nendpoints:\n{endpoint}\n",
            "0".repeat(64)
        );
        Config::parse(Path::new("gateway.yaml"), Arc::from(text)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_mistake_stands_at_its_line_and_column() {
        let app = "- url: app.example.com\n  pool:";
        for (endpoint, place, said) in [
            (
                format!("{app} {{ balance: hash }}"),
                "7:",
                "needs `hash_on`",
            ),
            (
                format!("{app}\n    balance: hash\n    hash_on: req.hedaers"),
                "9:18",
                "hedaers",
            ),
            (
                format!("{app}\n    hash_on: conn.client_ip"),
                "8:",
                "is for `balance: hash`",
            ),
            (format!("{app}\n    balance: fastest"), "8:14", "fastest"),
            (
                format!("{app}\n    weights: [{{ agent: wbe, weight: 1 }}]"),
                "8:",
                "called `wbe`",
            ),
            (
                format!(
                    "{app}\n    weights:\n    - {{ weight: 1 }}\n    - {{ agent: web, weight: 1 }}"
                ),
                "10:",
                "the one before it",
            ),
            (
                format!("{app}\n    weights: [{{ weight: 0 }}]"),
                "8:",
                "every weight is 0",
            ),
            (
                format!("{app}\n    retry_budget: {{ ratio: 1.5 }}"),
                "8:",
                "between 0 and 1",
            ),
            (
                format!("{app}\n    eject: {{ server_errors: 50 }}"),
                "8:",
                "between 0 and 1",
            ),
            (format!("{app}\n    try_timeout: 0s"), "8:", "no time"),
            (format!("{app}\n    timeout: 0s"), "8:", "no time"),
            (
                format!("{app}\n    retry_statuses: [503, 200]"),
                "8:",
                "200 says no failure",
            ),
            (
                format!("{app}\n    eject: {{ time: 0s }}"),
                "8:",
                "for never",
            ),
            (
                format!("{app}\n    eject: {{ time: 1h }}"),
                "8:",
                "shorter than `time`",
            ),
            (format!("{app} all"), "7:9", "or `none`"),
            (format!("{app} none"), "7:", "ERR_ADIT_2235"),
            (
                format!(
                    "{app} none\n  traffic_policy: {{ on_http_response: [{{ actions: [{{ type: custom-response }}] }}] }}"
                ),
                "7:",
                "ERR_ADIT_2235",
            ),
            (
                "- { url: \"tcp://:20022\", pool: { sticky: {} } }".into(),
                "6:",
                "no cookies",
            ),
        ] {
            let mistake = read(&endpoint).expect_err(&endpoint);
            assert!(
                mistake.starts_with(&format!("gateway.yaml:{place}")) && mistake.contains(said),
                "{endpoint}\n{mistake}"
            );
        }
    }

    #[test]
    fn what_fits_is_taken() {
        let deny = "{ on_http_request: [{ actions: [{ type: deny }] }] }";
        for endpoint in [
            "- { url: a.example.com, pool: { balance: hash, hash_on: \"req.headers['x-user'][0]\" } }".to_owned(),
            "- { url: a.example.com, pool: { sticky: {}, slow_start: 30s, balance: least-requests } }".to_owned(),
            "- { url: a.example.com, pool: { weights: [{ agent: web, metadata: v2, weight: 5 }, { weight: 95 }] } }".to_owned(),
            "- { url: a.example.com, pool: { try_timeout: 1s, retry_statuses: [503] } }".to_owned(),
            "- { url: a.example.com, pool: { eject: { failures: 0, server_errors: 0 } } }".to_owned(),
            format!("- {{ url: a.example.com, pool: none, traffic_policy: {deny} }}"),
        ] {
            read(&endpoint).unwrap_or_else(|mistake| panic!("{endpoint}\n{mistake}"));
        }
        let none = read(&format!(
            "- {{ url: a.example.com, pool: none, traffic_policy: {deny} }}"
        ));
        assert!(none.unwrap().endpoints[0].pool.none);
    }
}

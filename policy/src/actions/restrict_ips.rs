//! `restrict-ips`: lets clients in by their address.

use http::StatusCode;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::enforce::Enforce;
use super::ranges::{Net, Ranges};
use super::results::error_value;
use crate::action::{Action, Config, Fault, Flow, Phase, Refusal, Unbuildable};
use crate::env::Env;
use crate::exchange::Exchange;
use crate::expr::{Field, Value};
use crate::ip_set::BadNet;

/// Config of `restrict-ips`.
///
/// A client gets in if its address is in at least one range of `allow` and in none of `deny`. The address is the one
/// that `conn.client_ip` says, never one from a header. An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) is
/// looked up as the IPv4 address that it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    /// Whether clients are kept out. Default: true. If false, only `actions.ngrok.restrict_ips` is set.
    #[serde(default)]
    enforce: Enforce,
    /// Who gets in: ranges such as `10.0.0.0/8`, or single addresses, at least one. An item that is one `${…}` may
    /// yield a list. What comes out of a `${…}` and is no range keeps everybody out.
    #[serde(default)]
    allow: Vec<Field<Net>>,
    /// Who does not get in even so. Default: nobody.
    #[serde(default)]
    deny: Vec<Field<Net>>,
    /// Names of IP policies. There are none in Adit, so none is known.
    #[serde(default, rename = "ip_policies")]
    _ip_policies: Vec<IpPolicy>,
}

/// The ranges, sorted when the policy is read.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Said")]
pub(super) struct RestrictIps {
    enforce: Enforce,
    allow: Ranges,
    deny: Ranges,
}

/// What was decided, and by which range.
struct Decision {
    allowed: bool,
    matched: Option<IpNet>,
    bad: Option<BadNet>,
}

impl Config for RestrictIps {
    const TYPE: &'static str = "restrict-ips";
    const PHASES: &'static [Phase] = &[
        Phase::OnTcpConnect,
        Phase::OnHttpRequest,
        Phase::OnHttpResponse,
    ];
    const RESULTS: Option<&'static str> = Some("restrict_ips");
    type Action = Self;

    fn build(self, _: &Env) -> Result<Self, Unbuildable> {
        Ok(self)
    }
}

impl Action for RestrictIps {
    fn on_tcp_connect(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.on_http_request(exchange)
    }

    fn on_http_request(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        let decision = self.decide(exchange)?;
        if exchange.memory.wants_results() {
            exchange
                .memory
                .set_result("restrict_ips", decision.result());
        }
        if decision.allowed {
            return Ok(Flow::Next);
        }
        Ok(self.enforce.refuse(|| {
            Refusal::new(
                StatusCode::FORBIDDEN,
                3203,
                "your address is not allowed here",
            )
        }))
    }

    fn on_http_response(&self, exchange: &mut Exchange<'_>) -> Result<Flow, Fault> {
        self.on_http_request(exchange)
    }
}

// === impl RestrictIps ===

impl RestrictIps {
    fn decide(&self, exchange: &Exchange<'_>) -> Result<Decision, Fault> {
        let client = exchange.conn.client.ip();
        let found = self.deny.find(client, exchange)?;
        let found = match found {
            Ok(None) => self
                .allow
                .find(client, exchange)?
                .map(|allow| (allow.is_some(), allow)),
            found => found.map(|deny| (false, deny)),
        };
        Ok(match found {
            Ok((allowed, matched)) => Decision {
                allowed,
                matched,
                bad: None,
            },
            Err(bad) => Decision {
                allowed: false,
                matched: None,
                bad: Some(bad),
            },
        })
    }
}

impl TryFrom<Said> for RestrictIps {
    type Error = &'static str;

    fn try_from(said: Said) -> Result<Self, &'static str> {
        if said.allow.is_empty() {
            return Err(
                "without a range in `allow` nobody gets in; to let in all but those in `deny`, write `allow: [0.0.0.0/0, '::/0']` (ERR_ADIT_2234)",
            );
        }
        Ok(Self {
            enforce: said.enforce,
            allow: Ranges::new("allow", said.allow),
            deny: Ranges::new("deny", said.deny),
        })
    }
}

// === impl Decision ===

impl Decision {
    fn result(&self) -> Value<'static> {
        let action = if self.allowed { "allow" } else { "deny" };
        let matched = self.matched.map(|net| net.to_string()).unwrap_or_default();
        let error = self.bad.as_ref().map(|bad| (2217, bad.to_string()));
        Value::map([
            ("action", Value::text(action)),
            ("matched_cidr", Value::text(matched)),
            ("error", error_value(error)),
        ])
    }
}

#[derive(Debug)]
struct IpPolicy;

impl<'de> Deserialize<'de> for IpPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Err(D::Error::custom(format_args!(
            "no IP policy is called `{name}`; write its ranges into `allow` and `deny` (ERR_ADIT_2216)"
        )))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use crate::exchange::Conn;
    use crate::testing::{connection, lines, now, one, policy, refused, request, response};
    use crate::verdict::Verdict;

    fn conn(client: &str) -> Conn<'static> {
        let server = "198.51.100.1:443".parse().unwrap();
        Conn::new(format!("{client}:50000").parse().unwrap(), server, now())
    }

    /// Whether a client gets in, and what the action left.
    async fn ask(config: &str, client: &str, lines: &HeaderMap) -> (bool, String) {
        let results = "  - actions:\n      - type: custom-response\n        config: {body: \"${actions.ngrok.restrict_ips}\"}\n";
        let text = one("on_http_request", "restrict-ips", config) + results;
        let (policy, conn) = (policy(&text), conn(client));
        let mut exchange = request(lines);
        exchange.conn = &conn;
        let verdict = policy.on_http_request(&mut exchange).await;
        let result = exchange
            .memory
            .result("restrict_ips")
            .unwrap()
            .to_text()
            .into_owned();
        match verdict {
            Verdict::Answer { .. } => (true, result),
            Verdict::Refuse { refusal, .. } => {
                assert_eq!((refusal.status.as_u16(), refusal.code), (403, 3203));
                (false, result)
            }
            other => panic!("{other:?}"),
        }
    }

    fn result(action: &str, matched: &str) -> String {
        format!(
            r#"{{"action":"{action}","error":{{"code":"","message":""}},"matched_cidr":"{matched}"}}"#
        )
    }

    #[tokio::test]
    async fn a_client_needs_an_allowed_range_and_no_denied_one() {
        let config = "{allow: [10.0.0.0/8, 10.1.0.0/16, '2001:db8::/32'], deny: [10.1.2.0/24]}";
        let none = HeaderMap::new();
        for (client, allowed, matched) in [
            ("10.0.0.1", true, "10.0.0.0/8"),
            ("10.1.0.1", true, "10.1.0.0/16"),
            ("10.1.2.3", false, "10.1.2.0/24"),
            ("192.0.2.1", false, ""),
            ("[2001:db8::1]", true, "2001:db8::/32"),
            ("[::ffff:10.1.2.3]", false, "10.1.2.0/24"),
            ("[::ffff:10.0.0.1]", true, "10.0.0.0/8"),
        ] {
            let action = if allowed { "allow" } else { "deny" };
            assert_eq!(
                ask(config, client, &none).await,
                (allowed, result(action, matched)),
                "{client}"
            );
        }
    }

    #[tokio::test]
    async fn ranges_may_come_from_the_exchange() {
        let config = "{allow: [192.0.2.7, \"${req.headers['x-allow']}\"], deny: [\"${getReqHeader('x-deny')}/24\"]}";
        let lines = lines(&[
            ("x-allow", "10.0.0.0/8"),
            ("x-allow", "10.1.0.0/16"),
            ("x-deny", "10.1.2.0"),
        ]);
        for (client, allowed, matched) in [
            ("192.0.2.7", true, "192.0.2.7/32"),
            ("10.1.0.1", true, "10.1.0.0/16"),
            ("[::ffff:10.0.0.1]", true, "10.0.0.0/8"),
            ("10.1.2.3", false, "10.1.2.0/24"),
            ("11.0.0.1", false, ""),
        ] {
            let action = if allowed { "allow" } else { "deny" };
            assert_eq!(
                ask(config, client, &lines).await,
                (allowed, result(action, matched)),
                "{client}"
            );
        }
    }

    #[tokio::test]
    async fn what_comes_out_and_is_no_range_keeps_everybody_out() {
        for config in [
            "{allow: [0.0.0.0/0, \"${getReqHeader('x-a')}\"]}",
            "{allow: [0.0.0.0/0], deny: [\"${getReqHeader('x-a')}\"]}",
        ] {
            let (allowed, result) = ask(config, "192.0.2.1", &lines(&[("x-a", "any")])).await;
            assert!(!allowed, "{config}");
            assert!(
                result.starts_with(r#"{"action":"deny","error":{"code":"ERR_ADIT_2217","message":"`any` is no address range"#),
                "{result}"
            );
        }
    }

    #[tokio::test]
    async fn without_enforcement_the_decision_is_only_told() {
        let config = "{allow: [10.0.0.0/8], enforce: false}";
        let asked = ask(config, "192.0.2.1", &HeaderMap::new()).await;
        assert_eq!(asked, (true, result("deny", "")));
    }

    #[tokio::test]
    async fn each_phase_refuses_in_its_own_way() {
        let config = "{allow: [10.0.0.0/8]}";
        let none = HeaderMap::new();
        let connect = policy(&one("on_tcp_connect", "restrict-ips", config));
        assert!(matches!(
            connect.on_tcp_connect(&mut connection()).await,
            Verdict::Refuse { .. }
        ));
        let mut inside = connection();
        let conn = conn("10.0.0.1");
        inside.conn = &conn;
        assert!(matches!(
            connect.on_tcp_connect(&mut inside).await,
            Verdict::Continue
        ));
        let respond = policy(&one("on_http_response", "restrict-ips", config));
        let verdict = respond.on_http_response(&mut response(&none, &none)).await;
        assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
    }

    #[test]
    fn a_wrong_config_is_refused_at_its_place() {
        assert_eq!(
            refused(&one("on_http_request", "restrict-ips", "{allow: [10.0.0.0/8, 10.0.0.0/40]}")),
            "policy.yaml:4:38: on_http_request[0].actions[0].config.allow[1]: `10.0.0.0/40` is no address range; write it as 192.0.2.0/24, 2001:db8::/32 or one address (ERR_ADIT_2217)
    4 |         config: {allow: [10.0.0.0/8, 10.0.0.0/40]}
      |                                      ^"
        );
        for (config, reason) in [
            ("{}", "write `allow: [0.0.0.0/0, '::/0']` (ERR_ADIT_2234)"),
            ("{deny: [10.0.0.0/8]}", "(ERR_ADIT_2234)"),
            (
                "{allow: [10.0.0.0/8], ip_policies: [ipp_1]}",
                "no IP policy is called `ipp_1`; write its ranges into `allow` and `deny` (ERR_ADIT_2216)",
            ),
            (
                "{allow: [10.0.0.0/8], dney: [10.0.0.0/8]}",
                "did you mean `deny`?",
            ),
        ] {
            let message = refused(&one("on_http_request", "restrict-ips", config));
            assert!(message.contains(reason), "{config}: {message}");
        }
    }
}

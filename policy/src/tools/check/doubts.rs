//! What is right in a policy and was probably not meant, as far as its rules show it together. What a single value shows
//! (an expression that always fails, a variable that nothing fills in) its reader warns of.

use crate::action::Phase;
use crate::document::{ActionText, Document, RuleText, Step};
use crate::expr::{is_true, never};

/// Actions that keep strangers out.
const AUTHENTICATING: &[&str] = &[
    "basic-auth",
    "jwt-validation",
    "oauth",
    "oidc",
    "openid-connect",
    "restrict-ips",
    "saml",
    "verify-webhook",
];
/// Actions behind which, if they are unconditional, hardly anything comes.
const LEADING_AWAY: &[&str] = &["custom-response", "forward-internal", "redirect"];

/// Something doubtful, and the way to it.
pub(super) struct Doubt {
    pub(super) way: Vec<Step>,
    pub(super) message: String,
}

/// An action of a phase, with its place.
struct Standing<'d> {
    action: &'d ActionText,
    rule: usize,
    index: usize,
    /// Whether the rule runs for every exchange.
    is_unconditional: bool,
}

/// Everything doubtful in a policy.
pub(super) fn of(document: &Document) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (phase, rules) in Phase::ALL.iter().zip(&document.phases) {
        for (index, rule) in rules.iter().enumerate() {
            doubts.extend(never_matches(*phase, index, rule));
        }
        let standing: Vec<_> = standing(rules).collect();
        doubts.extend(added_and_removed(*phase, &standing));
        doubts.extend(too_late(*phase, &standing));
    }
    doubts
}

fn never_matches(phase: Phase, index: usize, rule: &RuleText) -> Option<Doubt> {
    let (expression, why) = never(&rule.expressions)?;
    Some(Doubt {
        way: vec![
            phase.name().into(),
            index.into(),
            "expressions".into(),
            expression.into(),
        ],
        message: format!("the rule can never match: {why}"),
    })
}

/// Trials change nothing, so they count for nothing.
fn standing(rules: &[RuleText]) -> impl Iterator<Item = Standing<'_>> {
    let rules = rules.iter().enumerate().filter(|(_, rule)| !rule.shadow);
    rules.flat_map(|(at, rule)| {
        let is_unconditional = rule.expressions.iter().all(is_true);
        let actions = rule.actions.iter().enumerate();
        actions.map(move |(index, action)| Standing {
            action,
            rule: at,
            index,
            is_unconditional,
        })
    })
}

/// Headers that one action adds and a later one certainly takes out again.
fn added_and_removed(phase: Phase, standing: &[Standing<'_>]) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (at, removing) in standing.iter().enumerate() {
        for adding in standing.iter().take(at) {
            if adding.rule != removing.rule && !removing.is_unconditional {
                continue;
            }
            for name in adding.action.config.adds_headers() {
                if removing.action.config.removes_header(&name) {
                    let added_by = adding.place(phase);
                    doubts.push(removing.doubt(
                        phase,
                        format!("this removes `{name}`, which {added_by} has added"),
                    ));
                }
            }
        }
    }
    doubts
}

/// Authentication behind an action that leads every exchange away.
fn too_late(phase: Phase, standing: &[Standing<'_>]) -> Option<Doubt> {
    let leads_away =
        |at: &Standing<'_>| at.is_unconditional && LEADING_AWAY.contains(&at.action.kind);
    let at = standing.iter().position(leads_away)?;
    let away = standing.get(at)?;
    let mut behind = standing.iter().skip(at + 1);
    let late = behind.find(|late| AUTHENTICATING.contains(&late.action.kind))?;
    let before = away.place(phase);
    let message = format!(
        "this stands behind {before}, which most exchanges do not come past: authenticate first"
    );
    Some(late.doubt(phase, message))
}

// === impl Standing ===

impl Standing<'_> {
    fn place(&self, phase: Phase) -> String {
        let Self {
            rule,
            index,
            action,
            ..
        } = self;
        format!("{phase}[{rule}].actions[{index}] ({})", action.kind)
    }

    fn doubt(&self, phase: Phase, message: String) -> Doubt {
        Doubt {
            way: vec![
                phase.name().into(),
                self.rule.into(),
                "actions".into(),
                self.index.into(),
            ],
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::policy;

    fn warnings(text: &str) -> Vec<String> {
        let checked = policy("p.yaml", text);
        assert!(checked.mistakes.is_empty(), "{:?}", checked.mistakes);
        let told = checked.warnings.iter();
        told.map(|warning| format!("{}: {}", warning.line().unwrap_or(0), warning.message()))
            .collect()
    }

    fn rule(expressions: &str) -> Vec<String> {
        warnings(&format!(
            "on_http_request:\n  - expressions: {expressions}\n    actions: [{{ type: deny }}]\n"
        ))
    }

    #[test]
    fn a_rule_that_can_never_match_is_doubtful() {
        for (expressions, why) in [
            ("[false]", "it is always false"),
            ("[\"1 > 2 || 'a' == 'b'\"]", "it is always false"),
            (
                "[\"req.method == 'GET'\", \"req.method == 'POST'\"]",
                "contradicts `req.method == 'GET'`",
            ),
            (
                "[\"req.method == 'GET' && req.method in ['PUT']\"]",
                "contradicts",
            ),
            (
                "[\"req.url.path == '/a'\", \"req.url.path.startsWith('/b')\"]",
                "contradicts",
            ),
            (
                "[\"conn.client_ip == '10.0.0.1'\", \"!inCidrRange(conn.client_ip, '10.0.0.0/8')\"]",
                "contradicts",
            ),
            ("[\"res.status_code > 5\"]", ""),
        ] {
            let expressions = expressions.replace("res.status_code", "conn.client_port");
            let told = rule(&expressions);
            match why {
                "" => assert!(told.is_empty(), "{expressions}: {told:?}"),
                why => assert!(
                    told.len() == 1 && told[0].contains("can never match") && told[0].contains(why),
                    "{expressions}: {told:?}"
                ),
            }
        }
        assert_eq!(
            rule("[\"conn.client_port > 5 && conn.client_port <= 5\"]").len(),
            1
        );
        for possible in [
            "[\"conn.client_port > 5 && conn.client_port <= 6\"]",
            "[\"req.method == 'GET'\", \"req.url.path == '/a'\"]",
            "[\"req.method == 'GET' || req.method == 'POST'\"]",
            "[]",
            "[true]",
        ] {
            assert_eq!(rule(possible), [""; 0], "{possible}");
        }
    }

    #[test]
    fn a_header_that_is_added_and_removed_is_doubtful() {
        let add = "{ type: add-headers, config: { headers: { X-A: '1' } } }";
        let remove = "{ type: remove-headers, config: { headers: [x-a] } }";
        let both = |first: &str, condition: &str, second: &str| {
            warnings(&format!(
                "on_http_request:\n  - actions: [{first}]\n  - {condition}actions: [{second}]\n"
            ))
        };
        assert_eq!(
            both(add, "", remove),
            [
                "3: on_http_request[1].actions[0]: this removes `x-a`, which on_http_request[0].actions[0] (add-headers) has added"
            ]
        );
        let if_get = "expressions: \"req.method == 'GET'\"\n    ";
        assert_eq!(both(add, if_get, remove), [""; 0]);
        assert_eq!(both(add, "mode: shadow\n    ", remove), [""; 0]);
        assert_eq!(both(remove, "", add), [""; 0]);
    }

    #[test]
    fn authentication_behind_a_forward_is_doubtful() {
        let forward =
            "{ type: forward-internal, config: { url: https://a.internal, on_error: continue } }";
        let auth = "{ type: basic-auth, config: { credentials: [user:password1] } }";
        let both = |condition: &str, first: &str, second: &str| {
            warnings(&format!(
                "on_http_request:\n  - {condition}actions: [{first}]\n  - actions: [{second}]\n"
            ))
        };
        assert_eq!(
            both("", forward, auth),
            [
                "3: on_http_request[1].actions[0]: this stands behind on_http_request[0].actions[0] (forward-internal), which most exchanges do not come past: authenticate first"
            ]
        );
        assert_eq!(
            both("expressions: \"req.method == 'GET'\"\n    ", forward, auth),
            [""; 0]
        );
        assert_eq!(both("", auth, forward), [""; 0]);
    }

    #[test]
    fn what_a_single_value_shows_is_told_too() {
        let geo = rule("\"conn.geo.country_code == 'CH'\"");
        assert!(
            geo.len() == 1 && geo[0].contains("`conn.geo.country_code` is always empty"),
            "{geo:?}"
        );
        let fails = rule("\"1 / 0 == 1 || 2 % 0 > 1\"");
        assert!(
            fails.len() == 1 && fails[0].contains("always fails"),
            "{fails:?}"
        );
    }
}

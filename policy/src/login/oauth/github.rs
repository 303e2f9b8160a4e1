//! Who somebody is at GitHub: `/user`, `/user/emails` and, if it was asked for, `/user/orgs` (docs.github.com/en/rest).

use serde_json::{Map, Value};

use super::in_standard_words;
use crate::env::Env;
use crate::jose::identity_url::IdentityUrl;
use crate::login::person::subject;
use crate::login::provider::Failed;
use crate::login::web::{UserInfo, Web, object};

const API: &str = "https://api.github.com/user";
/// Asks for JSON as it is documented.
const HEADERS: &[(&str, &str)] = &[
    ("accept", "application/vnd.github+json"),
    ("x-github-api-version", "2022-11-28"),
];
/// The scope without which organisations are not told.
const ORGANISATIONS: &str = "read:org";

/// The claims of whoever the token belongs to. The address is the primary one, if GitHub has verified it; the public one of
/// the profile is left out. Groups are organisations.
pub(super) async fn claims(
    access: &str,
    scopes: &[String],
    env: &Env,
) -> Result<Map<String, Value>, Failed> {
    let user = object(ask("", access, env).await?, "user")?;
    let emails = match ask("/emails?per_page=100", access, env).await {
        // Whoever asks for other scopes does without addresses.
        Err(Failed::Refused(_) | Failed::Misconfigured(_)) => Value::Null,
        answered => answered?,
    };
    let groups = match scopes.iter().any(|scope| scope == ORGANISATIONS) {
        true => Some(names(&ask("/orgs?per_page=100", access, env).await?)),
        false => None,
    };
    let email = primary(&emails);
    let name = ["name", "login"].into_iter().find_map(|field| {
        let text = user.get(field).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(Value::from)
    });
    let standard = [
        ("sub", Some(subject(user.get("id"))?.into())),
        ("email_verified", email.as_ref().map(|_| true.into())),
        ("email", email),
        ("name", name),
        ("groups", groups),
    ];
    Ok(in_standard_words(user, standard))
}

async fn ask(path: &str, access: &str, env: &Env) -> Result<Value, Failed> {
    let url = IdentityUrl::parse(&format!("{API}{path}")).map_err(Failed::Misconfigured)?;
    let asked = UserInfo {
        url: &url,
        access,
        headers: HEADERS,
    };
    Web(env).user_info(asked).await
}

fn primary(emails: &Value) -> Option<Value> {
    let yes = |email: &Value, field: &str| email.get(field) == Some(&Value::Bool(true));
    let mut all = emails.as_array()?.iter();
    let primary = all.find(|email| yes(email, "primary") && yes(email, "verified"))?;
    primary
        .get("email")
        .filter(|email| email.is_string())
        .cloned()
}

fn names(organisations: &Value) -> Value {
    let all = organisations.as_array().into_iter().flatten();
    all.filter_map(|one| one.get("login")).cloned().collect()
}

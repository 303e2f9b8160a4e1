//! Answers of token endpoints that do not keep to RFC 6749 §5, made into ones that do.

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use oauth2::HttpResponse;
use serde_json::{Map, Value, json};

/// The same answer as the standard words it. What is not understood stays as it is, and is refused by whoever reads it.
///
/// - GitHub says errors with status 200.
/// - Facebook's `error` is an object, and Twitch names no error but a `message`.
/// - Twitch's `scope` is a list.
/// - Some leave out the token's type, write `expires_in` as text, or send JSON as `text/javascript`.
pub(super) fn standard(mut answer: HttpResponse) -> HttpResponse {
    let said = serde_json::from_slice::<Map<String, Value>>(answer.body()).ok();
    let failed = answer.status() != StatusCode::OK;
    let said = match said {
        Some(said) if failed || said.contains_key("error") => error(&said, answer.status()),
        Some(said) => tokens(said),
        None if failed => error(&Map::new(), answer.status()),
        None => return answer,
    };
    if !failed && said.contains_key("error") {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    *answer.body_mut() = Value::Object(said).to_string().into_bytes();
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

fn error(said: &Map<String, Value>, status: StatusCode) -> Map<String, Value> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let inner = said.get("error").and_then(Value::as_object);
    // What `Forbidden` and the like say is in the status, too.
    let code = text(said.get("error")).filter(|code| {
        code.chars()
            .all(|one| one == '_' || one.is_ascii_lowercase())
    });
    let code = code.unwrap_or_else(|| {
        // Facebook: 1 and 101 are about the application, see its "Error Handling" of the Graph API.
        let application = inner
            .and_then(|inner| inner.get("code"))
            .and_then(Value::as_i64);
        let client = matches!(status.as_u16(), 401 | 403) || matches!(application, Some(1 | 101));
        if client {
            "invalid_client"
        } else {
            "invalid_grant"
        }
        .to_owned()
    });
    let described = text(said.get("error_description"))
        .or_else(|| text(said.get("message")))
        .or_else(|| text(inner.and_then(|inner| inner.get("message"))))
        .unwrap_or_else(|| format!("the token endpoint answers {status}"));
    let error = json!({ "error": code, "error_description": described });
    error.as_object().cloned().unwrap_or_default()
}

fn tokens(mut said: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Array(scopes)) = said.get("scope") {
        let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
        let scopes = scopes.join(" ");
        said.insert("scope".to_owned(), scopes.into());
    }
    said.entry("token_type").or_insert_with(|| "bearer".into());
    let seconds = match said.get("expires_in") {
        Some(Value::String(text)) => text.parse().ok().map(|seconds: u64| seconds.into()),
        Some(Value::Number(number)) if number.is_u64() => Some(Value::Number(number.clone())),
        _ => None,
    };
    match seconds {
        Some(seconds) => said.insert("expires_in".to_owned(), seconds),
        None => said.remove("expires_in"),
    };
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> (u16, Value) {
        let mut answer = HttpResponse::new(body.as_bytes().to_vec());
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        let answer = standard(answer);
        let body = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        (answer.status().as_u16(), body)
    }

    fn code(status: u16, body: &str) -> String {
        let (status, body) = of(status, body);
        assert!(status >= 400, "{body}");
        body["error"].as_str().unwrap().to_owned()
    }

    #[test]
    fn errors_of_all_kinds_have_a_code() {
        for (status, body, expected) in [
            (
                200,
                r#"{"error":"bad_verification_code","error_description":"x"}"#,
                "bad_verification_code",
            ),
            (400, r#"{"error":"invalid_grant"}"#, "invalid_grant"),
            (
                400,
                r#"{"error":{"message":"expired","type":"OAuthException","code":100}}"#,
                "invalid_grant",
            ),
            (
                400,
                r#"{"error":{"message":"bad secret","type":"OAuthException","code":1}}"#,
                "invalid_client",
            ),
            (
                400,
                r#"{"status":400,"message":"Invalid authorization code"}"#,
                "invalid_grant",
            ),
            (
                403,
                r#"{"status":403,"message":"invalid client secret"}"#,
                "invalid_client",
            ),
            (
                400,
                r#"{"error":"Bad Request","status":400,"message":"Invalid refresh token"}"#,
                "invalid_grant",
            ),
            (401, "<html>", "invalid_client"),
            (400, "[]", "invalid_grant"),
        ] {
            assert_eq!(code(status, body), expected, "{body}");
        }
    }

    #[test]
    fn tokens_are_as_the_standard_writes_them() {
        let body = r#"{"access_token":"a","scope":["x","y"],"expires_in":"60"}"#;
        let expected =
            json!({"access_token":"a","scope":"x y","expires_in":60,"token_type":"bearer"});
        assert_eq!(of(200, body), (200, expected));
        let body = r#"{"access_token":"a","token_type":"mac","expires_in":-1}"#;
        assert_eq!(
            of(200, body),
            (200, json!({"access_token":"a","token_type":"mac"}))
        );
        assert_eq!(of(200, "[]").1, json!([]));
        assert_eq!(of(200, "access_token=a").1, Value::Null);
    }
}

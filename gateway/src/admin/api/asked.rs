//! What a request asks for: the names in its path, its parameters, its body. What is not known is refused.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Bytes of a body; more is refused.
const BODY: usize = 16 * 1024;

/// A request without its body.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    parameters: Vec<(String, String)>,
}

// === impl Asked ===

impl Asked {
    pub(super) fn read(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, Problem> {
        version(headers)?;
        let path = uri.path();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/_-".contains(&byte);
        if !path.bytes().all(plain) || path.contains("//") {
            return Err(Problem::path());
        }
        Ok(Self {
            method: method.clone(),
            path: path.to_owned(),
            parameters: parameters(uri.query().unwrap_or_default())?,
        })
    }

    /// The names between the slashes.
    pub(super) fn names(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }

    /// Only these parameters are known here.
    pub(super) fn knows(&self, names: &[&str]) -> Result<(), Problem> {
        for (at, (name, _)) in self.parameters.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                return Err(Problem::parameter(name, "there is no such one here"));
            }
            let twice = self
                .parameters
                .iter()
                .skip(at + 1)
                .any(|(other, _)| other == name);
            if twice {
                return Err(Problem::parameter(name, "it stands twice"));
            }
        }
        Ok(())
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.parameters.iter();
        all.find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The same path and parameters with another value for one of them.
    pub(super) fn uri_with(&self, name: &str, value: Option<&str>) -> String {
        let others = self.parameters.iter().filter(|(known, _)| known != name);
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut uri = self.path.clone();
        for (at, (name, value)) in others.chain(value.map(|value| (name, value))).enumerate() {
            uri.push(if at == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            uri.push_str(&encoded(value));
        }
        uri
    }
}

/// `adit-version: 1`, or what clients of ngrok send.
fn version(headers: &HeaderMap) -> Result<(), Problem> {
    for (name, known) in [("adit-version", "1"), ("ngrok-version", "2")] {
        if headers.get(name).is_some_and(|asked| asked != known) {
            return Err(Problem::version());
        }
    }
    Ok(())
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decoded(name).zip(decoded(value));
            decoded.ok_or_else(|| Problem::parameter("?", "it is not percent-encoded UTF-8"))
        })
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:/*".contains(&byte);
    text.bytes().fold(String::new(), |mut uri, byte| {
        match plain(byte) {
            true => uri.push(char::from(byte)),
            false => uri.push_str(&format!("%{byte:02X}")),
        }
        uri
    })
}

/// Reads a body, which must be JSON of this shape and nothing else.
pub(super) async fn body<T, B>(headers: &HeaderMap, body: B) -> Result<T, Problem>
where
    T: DeserializeOwned,
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Problem::content_type());
    }
    let read = Limited::new(body, BODY).collect().await;
    let bytes =
        read.map_err(|error| Problem::body(format_args!("the body cannot be read: {error}")))?;
    let bytes = bytes.to_bytes();
    // A list would do for serde, too: its fields in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::field("it is no JSON object"));
    }
    serde_json::from_slice(&bytes).map_err(Problem::field)
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use serde::Deserialize;

    use super::*;

    fn asked(uri: &str) -> Result<Asked, Problem> {
        Asked::read(&Method::GET, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn a_path_is_plain_names_and_parameters_are_decoded() {
        let asked = asked("/traces?limit=5&endpoint=https%3a%2F%2Fa.example&before_id=").unwrap();
        assert_eq!(asked.names(), ["traces"]);
        assert_eq!(asked.parameter("endpoint"), Some("https://a.example"));
        assert_eq!(asked.parameter("before_id"), Some(""));
        assert_eq!(
            asked.uri_with("before_id", Some("tr_1")),
            "/traces?limit=5&endpoint=https://a.example&before_id=tr_1"
        );
        assert!(asked.knows(&["limit", "endpoint", "before_id"]).is_ok());
        assert!(asked.knows(&["limit", "endpoint"]).is_err());
    }

    #[test]
    fn a50_f_names_with_dots_slashes_or_escapes_are_no_names() {
        for uri in ["/a/../b", "/a%2fb", "//a", "/a//b", "/a%00", "/a;b"] {
            assert!(asked(uri).is_err(), "{uri}");
        }
        for uri in ["/a?b=%zz", "/a?b=%", "/a?b=%ff"] {
            assert!(asked(uri).is_err(), "{uri}");
        }
        let twice = asked("/a?b=1&b=2").unwrap();
        assert!(twice.knows(&["b"]).is_err());
    }

    #[tokio::test]
    async fn a_body_is_json_of_its_shape_and_not_too_long() {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        struct Shape {
            weight: u32,
        }
        let read = |kind: &'static str, text: String| async move {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            body::<Shape, _>(&headers, Full::new(Bytes::from(text))).await
        };
        let json = "application/json; charset=utf-8";
        assert_eq!(read(json, "{\"weight\":5}".into()).await.unwrap().weight, 5);
        for wrong in [
            "",
            "{}",
            "{\"weight\":-1}",
            "{\"weight\":1,\"id\":\"x\"}",
            "[]",
        ] {
            assert!(read(json, wrong.into()).await.is_err(), "{wrong}");
        }
        assert!(read("text/plain", "{\"weight\":5}".into()).await.is_err());
        let long = format!("{{\"weight\":5{}}}", " ".repeat(BODY));
        assert!(read(json, long).await.is_err());
    }
}

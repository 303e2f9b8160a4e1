//! What is asked: the URL with its query, the header, the body.

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::super::headers::Headers;
use super::super::list::Bounds;
use super::HttpRequest;
use super::send::Asked;
use crate::action::Fault;
use crate::canonical::percent::escape;
use crate::exchange::Exchange;
use crate::expr::{Field, FromText};

/// Longest key of a query parameter in bytes; a longer one is refused.
const KEY_MAX: usize = 128;
/// Longest value of a query parameter in bytes; a longer one is refused, or fails.
const VALUE_MAX: usize = 8 << 10;
/// Longest body in bytes; a longer one is refused, or fails.
const BODY_MAX: usize = 256 << 10;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REQUEST_TYPE: HeaderName = HeaderName::from_static("adit-req-type");
const REQUEST_ID: HeaderName = HeaderName::from_static("adit-req-id");

/// One pair of the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    /// Its name, as it is; escaped on its way.
    #[serde(deserialize_with = "key")]
    key: String,
    /// Its value; may hold `${…}`; escaped on its way.
    value: Field<ParameterValue>,
}

#[derive(Clone, Debug)]
struct ParameterValue(String);

/// The text of a body.
#[derive(Clone, Debug)]
pub(super) struct Body(Bytes);

impl HttpRequest {
    /// The request for an exchange.
    pub(super) fn asked(&self, exchange: &Exchange<'_>) -> Result<Asked, Fault> {
        let url = self.url.marked("url", exchange).map_err(at_run_time)?;
        let (url, mut url_taint) = url;
        let mut pairs = Vec::with_capacity(self.query_params.len());
        for Parameter { key, value } in &self.query_params {
            let (value, taint) = value.marked("query_params", exchange)?;
            url_taint = url_taint.and(taint);
            pairs.push(format!("{}={}", escape(key), escape(&value.0)));
        }
        let url = url.into_owned().with_query(&pairs.join("&"));
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.lines(exchange)? {
            append(&mut headers, name, value)?;
        }
        add_own(&mut headers, exchange)?;
        let (body, body_taint) = self.body.marked("body", exchange)?;
        Ok(Asked {
            method: self.method.clone(),
            url,
            headers,
            body: body.into_owned().0,
            url_taint,
            body_taint,
        })
    }
}

/// The lines that every such request has. What the policy says of the first two comes before them.
fn add_own(headers: &mut HeaderMap, exchange: &Exchange<'_>) -> Result<(), Fault> {
    let mut id = [0; 16];
    exchange.env.random().fill(&mut id);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let client = exchange.conn.client.ip().to_string();
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Fault::TooManyHeaders);
    for (name, value) in [
        (USER_AGENT, HeaderValue::from_static("adit")),
        (FORWARDED_FOR, text(&client)?),
        (REQUEST_TYPE, HeaderValue::from_static("http-request")),
        (REQUEST_ID, text(&id)?),
    ] {
        if !headers.contains_key(&name) {
            append(headers, name, value)?;
        }
    }
    Ok(())
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) -> Result<(), Fault> {
    let appended = headers.try_append(name, value);
    appended.map(drop).map_err(|_| Fault::TooManyHeaders)
}

/// The number of a url that only the exchange made wrong.
fn at_run_time(fault: Fault) -> Fault {
    match fault {
        Fault::Interpolation {
            field,
            reason,
            code: 2226,
        } => Fault::Interpolation {
            field,
            reason: reason.replace("ERR_ADIT_2226", "ERR_ADIT_2247"),
            code: 2247,
        },
        fault => fault,
    }
}

/// Reads `query_params`.
pub(super) fn parameters<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Parameter>, D::Error> {
    let bounds = Bounds {
        field: "query_params",
        max: 32,
        code: 2244,
    };
    bounds.read(deserializer)
}

fn key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let key = String::deserialize(deserializer)?;
    match key.len() > KEY_MAX {
        true => Err(D::Error::custom(format_args!(
            "a query key is longer than {KEY_MAX} bytes (ERR_ADIT_2245)"
        ))),
        false => Ok(key),
    }
}

/// Reads `headers`. Another host than the URL's would be asked for what nobody has allowed.
pub(super) fn no_host<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    let headers = Headers::deserialize(deserializer)?;
    match headers.0.iter().any(|(name, _)| *name == HOST) {
        true => Err(D::Error::custom(
            "header `host` is made of the url (ERR_ADIT_2219)",
        )),
        false => Ok(headers),
    }
}

pub(super) fn no_body() -> Field<Body> {
    Field::Fixed(Body(Bytes::new()))
}

impl FromText for ParameterValue {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.len() > VALUE_MAX {
            true => Err(format!(
                "a query value is longer than {VALUE_MAX} bytes (ERR_ADIT_2246)"
            )),
            false => Ok(Self(text.to_owned())),
        }
    }
}

impl FromText for Body {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.len() > BODY_MAX {
            true => Err(format!(
                "the body is longer than {BODY_MAX} bytes (ERR_ADIT_2221)"
            )),
            false => Ok(Self(Bytes::copy_from_slice(text.as_bytes()))),
        }
    }
}

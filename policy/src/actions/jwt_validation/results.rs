//! What `jwt-validation` leaves under `actions.ngrok.jwt_validation`.

use super::Judged;
use super::config::{Http, Place, TokenAt};
use super::presented::Presented;
use crate::actions::results::error_value;
use crate::expr::{Field, Interpolated, Value};

/// The name of the results.
pub(super) const NAME: &str = "jwt_validation";

/// All tokens, with what they say if all are good; and why if one is not.
pub(super) fn of(http: &Http, texts: &[Presented<'_>], judged: &Judged) -> Value<'static> {
    let tokens = http.tokens.iter().enumerate().map(|(index, at)| {
        let accepted = judged.as_ref().ok().and_then(|all| all.get(index));
        let (header, payload) = match accepted {
            Some(accepted) => accepted.shown().clone(),
            None => (nothing(), nothing()),
        };
        let text = texts.get(index).filter(|_| accepted.is_some());
        let signature = text.and_then(|text| text.text.rsplit_once('.'));
        let signature = signature.map_or("", |(_, signature)| signature);
        let (location, property) = location(at);
        Value::map([
            ("header", header),
            ("location", Value::text(location)),
            ("location_property", Value::text(property)),
            ("payload", payload),
            ("signature", Value::text(signature.to_owned())),
            ("verified", accepted.is_some().into()),
        ])
    });
    let error = judged.as_ref().err();
    let error = error.map(|failure| (failure.code(), failure.sentence().to_owned()));
    Value::map([
        ("tokens", Value::list(tokens)),
        ("error", error_value(error)),
    ])
}

fn nothing() -> Value<'static> {
    Value::map::<&'static str>([])
}

fn location(at: &TokenAt) -> (&'static str, String) {
    let fixed = |name: &Interpolated| name.fixed().cloned().unwrap_or_default();
    match &at.place {
        Place::Header(Field::Fixed(name)) => ("header", name.0.to_string()),
        Place::Header(Field::Computed(_)) => ("header", String::new()),
        Place::Body(name) => ("body", fixed(name)),
    }
}

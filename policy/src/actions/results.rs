//! What several actions leave under `actions.ngrok.` or tell clients in the same form.

use std::time::Duration;

use crate::expr::Value;

/// The `error` of a result: both texts are empty if there was none.
pub(super) fn error_value(error: Option<(u16, String)>) -> Value<'static> {
    let (code, message) = error.map_or_else(Default::default, |(code, message)| {
        (format!("ERR_ADIT_{code}"), message)
    });
    Value::map([
        ("code", Value::text(code)),
        ("message", Value::text(message)),
    ])
}

/// A time in seconds, rounded up: whoever waits so long has waited long enough.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

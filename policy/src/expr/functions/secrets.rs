//! Secrets: named texts that an expression may use and nobody may see.

use super::{Answer, Call, Function};
use crate::action::Phase;
use crate::expr::error::EvalError;
use crate::expr::static_type::Type;
use crate::expr::value::Value;
use crate::taint::Taint;

/// Longest name of a vault or a secret that is repeated to people.
const NAME_MAX: usize = 255;

pub(super) const TABLE: &[Function] = &[Function::global(
    "secrets.get",
    &[Type::String, Type::String],
    Type::String,
    get,
)
.of_exchange(Phase::ALL)];

/// `secrets.get(vault, name)`. One that is empty is as good as none: what is compared with it would let in whoever sends
/// nothing.
fn get<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (vault, name) = (call.text(0)?, call.text(1)?);
    // A name that was made of a secret, or that a client sent to be read by people, is not repeated.
    let is_told = !call.frame.is_marked() && is_name(vault) && is_name(name);
    let secret = call.exchange()?.memory.secret(vault, name);
    match secret.filter(|secret| !secret.expose().is_empty()) {
        Some(secret) => {
            call.frame.mark(match is_told {
                true => Taint::of(vault, name),
                false => Taint::Unnamed,
            });
            Ok(Value::text(secret.expose().to_owned()))
        }
        None if is_told => Err(EvalError::no_secret(format_args!(
            "`{}/{}`",
            &**vault, &**name
        ))),
        None => Err(EvalError::no_secret("of this name")),
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(is_part)
}

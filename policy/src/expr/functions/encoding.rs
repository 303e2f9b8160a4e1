//! Base64, and the header of HTTP's basic authentication.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Answer, Call, Function, TEXT};
use crate::expr::error::EvalError;
use crate::expr::static_type::Type;
use crate::expr::value::Value;

const STRING: Type = Type::String;

pub(super) const TABLE: &[Function] = &[
    Function::global("base64.encode", &[Type::Bytes], STRING, encode),
    Function::global("base64.encode", TEXT, STRING, encode),
    Function::global("base64.decode", TEXT, Type::Bytes, decode),
    Function::method(STRING, "encodeBase64", &[], STRING, encode),
    Function::method(STRING, "decodeBase64", &[], STRING, decode_text),
    Function::global("basic_auth.encode", &[STRING, STRING], STRING, basic_auth),
];

/// `base64.encode(bytes)` and `s.encodeBase64()`: the standard alphabet, padded.
fn encode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let bytes = match call.value(0)? {
        Value::Bytes(bytes) => &**bytes,
        Value::String(text) => text.as_bytes(),
        other => return Err(call.wrong(other, "bytes or string")),
    };
    call.charge(bytes.len())?;
    call.bounded(bytes.len() / 3 * 4)?;
    Ok(Value::text(STANDARD.encode(bytes)))
}

/// `base64.decode(s)`: padding must be there.
fn decode<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(Value::Bytes(decoded(call)?.into()))
}

/// `s.decodeBase64()`: what comes out must be text.
fn decode_text<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = String::from_utf8(decoded(call)?);
    text.map(Value::text)
        .map_err(|_| call.error("what is encoded is not UTF-8 text"))
}

/// `basic_auth.encode(user, password)`: the whole value of an `authorization` header.
fn basic_auth<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let (user, password) = (call.text(0)?, call.text(1)?);
    let pair = format!("{}:{}", &**user, &**password);
    call.charge(pair.len())?;
    Ok(Value::text(format!("Basic {}", STANDARD.encode(pair))))
}

fn decoded(call: &Call<'_, '_, '_>) -> Result<Vec<u8>, EvalError> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    STANDARD
        .decode(text.as_bytes())
        .map_err(|_| call.error("the text is not base64 with padding"))
}

#[cfg(test)]
mod tests {
    use crate::testing::{fails, gives};

    #[test]
    fn the_examples_of_the_reference() {
        gives(&[
            ("base64.encode(b'hello')", "'aGVsbG8='"),
            ("'some:thing'.encodeBase64()", "'c29tZTp0aGluZw=='"),
            (
                "basic_auth.encode('username', 'password1')",
                "'Basic dXNlcm5hbWU6cGFzc3dvcmQx'",
            ),
        ]);
        fails(&[(
            "base64.decode('aGVsbG8')",
            "base64.decode: the text is not base64 with padding",
        )]);
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        gives(&[
            ("base64.encode('hello')", "'aGVsbG8='"),
            ("base64.decode('aGVsbG8=')", "b'hello'"),
            ("base64.decode('')", "b''"),
            ("base64.decode('/w==')", "b'\\xff'"),
            ("'é€'.encodeBase64().decodeBase64()", "'é€'"),
        ]);
        fails(&[
            (
                "'/w=='.decodeBase64()",
                "decodeBase64: what is encoded is not UTF-8 text",
            ),
            ("'-_=='.decodeBase64()", "not base64"),
            ("'aGVs bG8='.decodeBase64()", "not base64"),
            ("base64.encode(1)", "`base64.encode` does not take (int)"),
            (
                "base64.encode(dyn(1))",
                "base64.encode takes bytes or string, not int",
            ),
        ]);
    }
}

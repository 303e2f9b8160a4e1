//! Functions of texts.

use super::{Answer, Call, Function};
use crate::expr::types::Type;

const TEXT: &[Type] = &[Type::String];

pub(super) const TABLE: &[Function] = &[
    Function::method(Type::String, "contains", TEXT, Type::Bool, contains),
    Function::method(Type::String, "startsWith", TEXT, Type::Bool, starts_with),
    Function::method(Type::String, "endsWith", TEXT, Type::Bool, ends_with),
];

fn contains<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let text = call.text(0)?;
    call.charge(text.len())?;
    Ok(text.contains(&**call.text(1)?).into())
}

fn starts_with<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(call.text(0)?.starts_with(&**call.text(1)?).into())
}

fn ends_with<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(call.text(0)?.ends_with(&**call.text(1)?).into())
}

//! Functions that look something up in the request or the response.

use http::HeaderMap;

use super::{Answer, Call, Function, WITH_REQUEST, WITH_RESPONSE};
use crate::expr::cookies::{self, Side};
use crate::expr::error::EvalError;
use crate::expr::eval::origin;
use crate::expr::map::{Map, header, query_values};
use crate::expr::static_type::{MAP, TEXTS, Type};
use crate::expr::value::Value;

const NAME: &[Type] = &[Type::String];

pub(super) const TABLE: &[Function] = &[
    Function::global("getReqHeader", NAME, TEXTS, get_req_header).of_exchange(WITH_REQUEST),
    Function::global("hasReqHeader", NAME, Type::Bool, has_req_header).of_exchange(WITH_REQUEST),
    Function::global("getReqCookie", NAME, MAP, get_req_cookie).of_exchange(WITH_REQUEST),
    Function::global("hasReqCookie", NAME, Type::Bool, has_req_cookie).of_exchange(WITH_REQUEST),
    Function::global("getQueryParam", NAME, TEXTS, get_query_param).of_exchange(WITH_REQUEST),
    Function::global("hasQueryParam", NAME, Type::Bool, has_query_param).of_exchange(WITH_REQUEST),
    Function::global("getResHeader", NAME, TEXTS, get_res_header).of_exchange(WITH_RESPONSE),
    Function::global("hasResHeader", NAME, Type::Bool, has_res_header).of_exchange(WITH_RESPONSE),
    Function::global("getResCookie", NAME, MAP, get_res_cookie).of_exchange(WITH_RESPONSE),
    Function::global("hasResCookie", NAME, Type::Bool, has_res_cookie).of_exchange(WITH_RESPONSE),
];

fn get_req_header<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    line(call, request_lines(call)?)
}

fn has_req_header<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(request_lines(call)?.contains_key(&**call.text(0)?).into())
}

fn get_req_cookie<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    cookie(call, request_lines(call)?, Side::Request)
}

fn has_req_cookie<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    has_cookie(call, request_lines(call)?, Side::Request)
}

fn get_query_param<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let query = query(call)?;
    call.frame
        .mark(call.exchange()?.memory.secret_parts().target);
    Ok(Value::texts(query_values(query, call.text(0)?)))
}

fn has_query_param<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    let name = call.text(0)?;
    let mut pairs = crate::canonical::query_pairs(query(call)?);
    Ok(pairs.any(|(known, _)| *known == **name).into())
}

fn get_res_header<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    line(call, response_lines(call)?)
}

fn has_res_header<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    Ok(response_lines(call)?.contains_key(&**call.text(0)?).into())
}

fn get_res_cookie<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    cookie(call, response_lines(call)?, Side::Response)
}

fn has_res_cookie<'e>(call: &Call<'_, 'e, '_>) -> Answer<'e> {
    has_cookie(call, response_lines(call)?, Side::Response)
}

fn line<'e>(call: &Call<'_, 'e, '_>, lines: &'e HeaderMap) -> Answer<'e> {
    let name = call.text(0)?;
    let exchange = call.exchange()?;
    call.frame.mark(origin::of_lines(lines, name, exchange));
    Ok(header(lines, name))
}

fn cookie<'e>(call: &Call<'_, 'e, '_>, lines: &'e HeaderMap, side: Side) -> Answer<'e> {
    call.spend(Map::Cookies(lines, side).looking_up())?;
    let exchange = call.exchange()?;
    call.frame.mark(origin::of_cookies(lines, side, exchange));
    let mut found = cookies::named(lines, side, call.text(0)?);
    Ok(found.next().unwrap_or_else(|| cookies::absent(side)))
}

fn has_cookie<'e>(call: &Call<'_, 'e, '_>, lines: &'e HeaderMap, side: Side) -> Answer<'e> {
    call.spend(Map::Cookies(lines, side).looking_up())?;
    let found = cookies::named(lines, side, call.text(0)?).next().is_some();
    Ok(found.into())
}

fn request_lines<'e>(call: &Call<'_, 'e, '_>) -> Result<&'e HeaderMap, EvalError> {
    let request = call.exchange()?.request.as_ref();
    let request = request.ok_or_else(|| call.error("there is no request"))?;
    Ok(request.head.lines())
}

fn query<'e>(call: &Call<'_, 'e, '_>) -> Result<&'e str, EvalError> {
    let request = call.exchange()?.request.as_ref();
    let request = request.ok_or_else(|| call.error("there is no request"))?;
    let query = request.target.query().unwrap_or_default();
    call.charge(query.len())?;
    Ok(query)
}

fn response_lines<'e>(call: &Call<'_, 'e, '_>) -> Result<&'e HeaderMap, EvalError> {
    let response = call.exchange()?.response.as_ref();
    let response = response.ok_or_else(|| call.error("there is no response"))?;
    Ok(response.head.lines())
}

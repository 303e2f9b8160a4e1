//! The health protocol of gRPC, <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>: one call, two messages
//! of one field each, so they are written and read by hand.

use super::probe::Answer;

/// Method and path of the call.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// `SERVING` of the enumeration `ServingStatus`.
const SERVING: u64 = 1;

/// The body of the call: one message, uncompressed, behind its length.
pub(super) fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, of bytes.
        message.push(0x0a);
        varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut body = vec![0];
    body.extend_from_slice(&length.to_be_bytes());
    body.append(&mut message);
    body
}

/// What the answer says; `Err` for anything but `SERVING`.
pub(super) fn judge(answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!(
            "HTTP status {}, which is no answer of gRPC",
            answer.status
        ));
    }
    // In front where there is no message, behind it else.
    let field = |headers: &hyper::HeaderMap| headers.get("grpc-status").cloned();
    let status = field(&answer.trailers).or_else(|| field(&answer.headers));
    match status.as_ref().and_then(|status| status.to_str().ok()) {
        Some("0") => {}
        Some("5") => return Err("the server does not know this service".into()),
        Some("12") => return Err("the server has no grpc.health.v1.Health".into()),
        Some(other) if other.parse::<u8>().is_ok() => return Err(format!("grpc-status {other}")),
        _ => return Err("the answer has no grpc-status".into()),
    }
    match serving_status(&answer.body) {
        Some(SERVING) => Ok(()),
        Some(0) => Err("the service is UNKNOWN".into()),
        Some(2) => Err("the service is NOT_SERVING".into()),
        Some(3) => Err("the service is SERVICE_UNKNOWN".into()),
        Some(other) => Err(format!("the service is in state {other}")),
        None => Err("the answer is no HealthCheckResponse".into()),
    }
}

/// Field 1 of the only message of a body; 0 if it is left out.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (head, mut rest) = body.split_at_checked(5)?;
    let (&[0, a, b, c, d], length) = (head, rest.len()) else {
        return None;
    };
    if usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()? != length {
        return None;
    }
    let mut status = 0;
    while !rest.is_empty() {
        let tag = read_varint(&mut rest)?;
        // The kinds of value that there are, by the lowest three bits.
        match tag & 7 {
            0 => {
                let value = read_varint(&mut rest)?;
                if tag >> 3 == 1 {
                    status = value;
                }
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(read_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;

    use super::*;

    fn answer(grpc_status: &str, body: &[u8]) -> Answer {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", grpc_status.parse().unwrap());
        Answer {
            status: 200,
            headers: HeaderMap::new(),
            body: body.to_vec(),
            trailers,
        }
    }

    #[test]
    fn a_question_is_a_framed_message() {
        assert_eq!(question(""), [0, 0, 0, 0, 0]);
        assert_eq!(question("a.B"), b"\0\0\0\0\x05\x0a\x03a.B");
        let long = question(&"x".repeat(300));
        assert_eq!(long.get(..8).unwrap(), [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_is_well() {
        assert_eq!(judge(&answer("0", b"\0\0\0\0\x02\x08\x01")), Ok(()));
        // With a field of a later version before it.
        assert_eq!(
            judge(&answer("0", b"\0\0\0\0\x06\x12\x02ab\x08\x01")),
            Ok(())
        );
        for (status, body, says) in [
            ("0", &b"\0\0\0\0\x02\x08\x02"[..], "NOT_SERVING"),
            ("0", b"\0\0\0\0\0", "UNKNOWN"),
            ("0", b"\0\0\0\0\x02\x08\x09", "state 9"),
            ("0", b"", "no HealthCheckResponse"),
            ("0", b"\x01\0\0\0\x02\x08\x01", "no HealthCheckResponse"),
            ("0", b"\0\0\0\0\x09\x08\x01", "no HealthCheckResponse"),
            ("0", b"\0\0\0\0\x02\x08\xff", "no HealthCheckResponse"),
            ("0", b"\0\0\0\0\x02\x12\x7f", "no HealthCheckResponse"),
            (
                "0",
                b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
                "no HealthCheckResponse",
            ),
            ("5", b"", "does not know"),
            ("12", b"", "grpc.health.v1"),
            ("14", b"", "grpc-status 14"),
            ("secret", b"", "no grpc-status"),
        ] {
            let said = judge(&answer(status, body)).unwrap_err();
            assert!(said.contains(says), "{body:?}: {said}");
        }
    }

    #[test]
    fn a_status_in_front_counts_and_a_page_does_not() {
        let mut early = answer("12", b"");
        std::mem::swap(&mut early.headers, &mut early.trailers);
        assert!(judge(&early).unwrap_err().contains("grpc.health.v1"));
        early.status = 404;
        assert!(judge(&early).unwrap_err().contains("404"));
    }
}

//! When an X.509 certificate ends: the one fact that neither TLS nor the check of names tells.

use std::time::SystemTime;

use time::{Date, Month};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The end of a certificate in DER form (RFC 5280 §4.1.2.5). `None` if it cannot be read.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let mut certificate = Der(certificate).take(SEQUENCE)?;
    let mut fields = certificate.take(SEQUENCE)?;
    if fields.0.first() == Some(&VERSION) {
        fields.take(VERSION)?;
    }
    fields.take(INTEGER)?; // serial number
    fields.take(SEQUENCE)?; // signature algorithm
    fields.take(SEQUENCE)?; // issuer
    let mut validity = fields.take(SEQUENCE)?;
    validity.next()?; // not before
    let (tag, text) = validity.next()?;
    let text = std::str::from_utf8(text.0).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        // Two digits are 1950 to 2049.
        UTC_TIME => {
            let (year, rest) = number(text, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => number(text, 4)?,
        _ => return None,
    };
    moment(year, rest)
}

/// Month, day, hour, minute and second, two digits each.
fn moment(year: u16, text: &str) -> Option<SystemTime> {
    let mut rest = text;
    let mut next = || {
        let (value, after) = number(rest, 2)?;
        rest = after;
        u8::try_from(value).ok()
    };
    let month = Month::try_from(next()?).ok()?;
    let date = Date::from_calendar_date(year.into(), month, next()?).ok()?;
    let time = date.with_hms(next()?, next()?, next()?).ok()?;
    rest.is_empty().then(|| time.assume_utc().into())
}

fn number(text: &str, digits: usize) -> Option<(u16, &str)> {
    let (number, rest) = text.split_at_checked(digits)?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    Some((number.parse().ok().filter(|_| is_number)?, rest))
}

/// What is left of some elements.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, which must be of this kind.
    fn take(&mut self, wanted: u8) -> Option<Self> {
        let (tag, content) = self.next()?;
        (tag == wanted).then_some(content)
    }

    fn next(&mut self) -> Option<(u8, Self)> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // So many bytes hold the length; no certificate needs more than four.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let length = length.iter();
                (
                    length.fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                    rest,
                )
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, Self(content)))
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use time::{OffsetDateTime, macros::datetime};

    use super::*;

    fn certificate(until: OffsetDateTime) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_after = until;
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_before_and_after_2050() {
        for until in [
            datetime!(2026-11-30 23:59:59 UTC),
            datetime!(2049-02-28 00:00:01 UTC),
            datetime!(2050-01-01 00:00:00 UTC),
            datetime!(2999-12-31 12:34:56 UTC),
        ] {
            assert_eq!(
                not_after(&certificate(until)),
                Some(until.into()),
                "{until}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let whole = certificate(datetime!(2030-01-01 00:00:00 UTC));
        for cut in 0..whole.len() {
            assert_eq!(not_after(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(not_after(b"\x30\x85\x01\x01\x01\x01\x01"), None);
        assert_eq!(not_after(&[0x30, 0x02, 0x30, 0x7f]), None);
        assert!(moment(2030, "0230000000").is_none() && moment(2030, "01010000+1").is_none());
    }
}

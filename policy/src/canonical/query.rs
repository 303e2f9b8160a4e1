//! A query read as a form.

use std::borrow::Cow;

use super::percent;

/// The names and values of a query, in order, decoded as the URL standard's `application/x-www-form-urlencoded` parser
/// does it, which is what browsers and most services agree on (<https://url.spec.whatwg.org/#urlencoded-parsing>).
///
/// Pairs end at `&` and nowhere else, an empty one is left out, a name without `=` has an empty value, `+` is a space,
/// a `%` that begins no escape stays, and what is not UTF-8 gets U+FFFD. A name that occurs twice comes twice: a rule
/// that refuses a value must look at all of them.
pub fn query_pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    let spaced = text.replace('+', " ");
    let bytes = percent::unescape_leniently(&spaced).into_owned();
    Cow::Owned(match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        query_pairs(query)
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn a_form_is_decoded() {
        let expected = [
            ("a", "1 2"),
            ("b c", "+ü"),
            ("d", ""),
            ("e", "f=g"),
            ("", "h"),
            ("a", "3;i=4"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(pairs("a=1+2&b%20c=%2B%c3%bc&d&&e=f=g&=h&a=3;i=4"), expected);
        assert!(pairs("").is_empty());
    }

    #[test]
    fn a_plain_pair_is_borrowed() {
        let (name, value) = query_pairs("name=value").next().unwrap();
        assert!(matches!(name, Cow::Borrowed("name")));
        assert!(matches!(value, Cow::Borrowed("value")));
    }

    #[test]
    fn what_is_no_escape_or_no_text_hides_nothing() {
        let expected = [("a", "100%"), ("b", "%zz"), ("c", "\u{fffd}")];
        for (found, (name, value)) in pairs("a=100%&b=%zz&c=%ff").iter().zip(expected) {
            assert_eq!((found.0.as_str(), found.1.as_str()), (name, value));
        }
    }
}

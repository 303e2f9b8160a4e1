//! The page that people see when the gateway answers by itself: what happened, what it means, and the one thing to do.

/// What stands on it.
#[derive(Clone, Copy, Debug)]
pub struct Page<'p> {
    /// What happened, in one line; it begins with a capital on the page, however it is given.
    pub heading: &'p str,
    /// What it means for the reader.
    pub sentence: &'p str,
    /// Where the button leads, and its words.
    pub button: Option<(&'p str, &'p str)>,
    /// What the reader can tell somebody else; small, at the bottom.
    pub note: &'p str,
}

/// The value of `content-security-policy` for the page: it loads nothing, sends nothing, and stands in no frame.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-plOiSMEb+iZ37bThHlGpoZR7cP+8SBmQUPa71Xo+apg='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Texts keep a contrast of at least 4.5 in both colour schemes.
const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#f5f4f1;--card:#fff;--line:#e2dfd8;--text:#1c1b19;--soft:#5d5a54;--button:#2b4fc4;--on:#fff}\
@media(prefers-color-scheme:dark){:root{--ground:#141416;--card:#1c1c1f;--line:#303036;--text:#ededef;--soft:#a8a8b0;--button:#93a9ff;--on:#10142a}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:flex;align-items:center;justify-content:center;padding:1.25rem;\
background:var(--ground);color:var(--text);font:1.0625rem/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}\
main{width:100%;max-width:30rem;padding:2.25rem 2.25rem 1.75rem;background:var(--card);border:1px solid var(--line);border-radius:.875rem;overflow-wrap:anywhere}\
h1{margin:0 0 .6rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.01em}\
p{margin:0;color:var(--soft)}\
a{display:inline-block;margin-top:1.5rem;padding:.6rem 1.25rem;border-radius:.5rem;background:var(--button);color:var(--on);font-weight:600;text-decoration:none}\
a:hover{filter:brightness(1.08)}\
a:focus-visible{outline:3px solid var(--button);outline-offset:3px}\
small{display:block;margin-top:1.75rem;padding-top:.9rem;border-top:1px solid var(--line);color:var(--soft);font-size:.8125rem}\
@media(max-width:26rem){main{padding:1.5rem 1.25rem 1.25rem}h1{font-size:1.3rem}a{display:block;text-align:center}}";

impl Page<'_> {
    /// The whole document.
    #[must_use]
    pub fn html(&self) -> String {
        let heading = escaped(&capital(self.heading));
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{heading}</title>\n<style>{STYLE}</style></head>\n\
             <body><main><h1>{heading}</h1><p>{}</p>",
            escaped(self.sentence)
        );
        if let Some((to, words)) = self.button {
            html += &format!("<a href=\"{}\">{}</a>", escaped(to), escaped(words));
        }
        if !self.note.is_empty() {
            html += &format!("<small>{}</small>", escaped(self.note));
        }
        html.push_str("</main></body></html>\n");
        html
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

/// Text that can stand in an element or between the quotes of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    use super::*;

    const PAGE: Page<'_> = Page {
        heading: "the session is over",
        sentence: "Sign in again.",
        button: Some(("/adit/login?a=b&c=d", "Sign in")),
        note: "ERR_ADIT_3100",
    };

    #[test]
    fn the_style_is_the_one_that_browsers_are_told_to_allow() {
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let source = format!("'sha256-{hash}'");
        assert!(CONTENT_SECURITY_POLICY.contains(&source), "{source}");
        assert!(PAGE.html().contains(&format!("<style>{STYLE}</style>")));
    }

    #[test]
    fn a_page_says_what_happened_and_what_to_do() {
        let html = PAGE.html();
        for part in [
            "<title>The session is over</title>",
            "<h1>The session is over</h1><p>Sign in again.</p>",
            "<a href=\"/adit/login?a=b&amp;c=d\">Sign in</a>",
            "<small>ERR_ADIT_3100</small>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        let plain = Page {
            button: None,
            note: "",
            ..PAGE
        };
        assert!(!plain.html().contains("<a ") && !plain.html().contains("<small>"));
    }

    #[test]
    fn markup_stays_text_wherever_it_stands() {
        let evil = "\"><script>alert(1)</script>";
        let page = Page {
            heading: evil,
            sentence: evil,
            button: Some((evil, evil)),
            note: evil,
        };
        let html = page.html();
        assert!(
            !html.contains("<script>") && !html.contains("\">alert"),
            "{html}"
        );
        assert_eq!(html.matches('"').count(), PAGE.html().matches('"').count());
    }
}

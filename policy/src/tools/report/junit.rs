//! JUnit XML, as <https://github.com/testmoapp/junitxml> describes what its readers agree on.

use super::{SuiteReport, Totals};

/// The cases of several files as one document. Coverage stands in the properties of each file's suite.
pub fn junit(suites: &[SuiteReport]) -> String {
    let totals = Totals::of(suites);
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"adit policy test\" tests=\"{}\" failures=\"{}\">\n",
        totals.cases, totals.failed
    );
    for suite in suites {
        one(&mut xml, suite);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn one(xml: &mut String, suite: &SuiteReport) {
    let totals = Totals::of(std::slice::from_ref(suite));
    let file = escaped(&suite.file);
    xml.push_str(&format!(
        "  <testsuite name=\"{file}\" file=\"{file}\" tests=\"{}\" failures=\"{}\">\n    <properties>\n",
        totals.cases, totals.failed
    ));
    let mut property = |name: &str, value: &str| {
        let value = escaped(value);
        xml.push_str(&format!(
            "      <property name=\"{name}\" value=\"{value}\"/>\n"
        ));
    };
    property("coverage.percent", &totals.percent().to_string());
    for part in suite.coverage.missed() {
        let place = format!("{}:{}: {}", part.file, part.line, part.path);
        property("coverage.not_reached", &place);
    }
    xml.push_str("    </properties>\n");
    for case in &suite.cases {
        let begin = format!(
            "    <testcase name=\"{}\" classname=\"{file}\" file=\"{file}\" line=\"{}\"",
            escaped(&case.name),
            case.line
        );
        xml.push_str(&begin);
        if case.passed() {
            xml.push_str("/>\n");
            continue;
        }
        xml.push_str(">\n");
        for failure in &case.failures {
            let message = format!(
                "{}:{}: {}: expected {}, got {}",
                suite.file, failure.line, failure.key, failure.expected, failure.got
            );
            let told = escaped(&case.explanation);
            let message = escaped(&message);
            xml.push_str(&format!(
                "      <failure message=\"{message}\">{told}</failure>\n"
            ));
        }
        xml.push_str("    </testcase>\n");
    }
    xml.push_str("  </testsuite>\n");
}

/// Text that can stand in an attribute as well as between tags. What XML 1.0 cannot say at all becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\r' => safe.push_str("&#13;"),
            '\t' => safe.push_str("&#9;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn nothing_in_a_name_can_leave_its_attribute() {
        assert_eq!(
            escaped("a\"><b>&\n\u{1b}'"),
            "a&quot;&gt;&lt;b&gt;&amp;&#10;\u{fffd}'"
        );
    }
}

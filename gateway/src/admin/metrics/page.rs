//! The text format that Prometheus reads, version 0.0.4.

use std::fmt::{Display, Write as _};

use crate::latency::Latency;

/// The text as far as it is written.
#[derive(Default)]
pub(super) struct Page(String);

// === impl Page ===

impl Page {
    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.begin(name, "gauge", help);
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.begin(name, "counter", help);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str) {
        self.begin(name, "histogram", help);
    }

    pub(super) fn begin(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        let mut mark = '{';
        for (label, text) in labels {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            self.write(format_args!("{mark}{label}=\"{text}\""));
            mark = ',';
        }
        if mark == ',' {
            self.0.push('}');
        }
        self.write(format_args!(" {value}\n"));
    }

    /// All samples of one histogram.
    pub(super) fn latency(&mut self, name: &str, endpoint: &str, latency: &Latency) {
        let bucket = format!("{name}_bucket");
        let mut count = 0;
        for (bound, up_to) in latency.up_to() {
            let bound = match bound.is_finite() {
                true => bound.to_string(),
                false => "+Inf".to_owned(),
            };
            self.sample(&bucket, &[("endpoint", endpoint), ("le", &bound)], up_to);
            count = up_to;
        }
        let labels = [("endpoint", endpoint)];
        self.sample(&format!("{name}_sum"), &labels, latency.seconds());
        self.sample(&format!("{name}_count"), &labels, count);
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes everything.
        self.0.write_fmt(text).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sample_has_its_labels_in_braces_and_escaped() {
        let mut page = Page::default();
        page.counter("a_total", "Anything.");
        page.sample("a_total", &[], 1);
        page.sample("a_total", &[("x", "1"), ("y", "\\ \" \n")], 2);
        assert_eq!(
            page.text(),
            "# HELP a_total Anything.\n# TYPE a_total counter\na_total 1\na_total{x=\"1\",y=\"\\\\ \\\" \\n\"} 2\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_everything() {
        let (mut page, latency) = (Page::default(), Latency::default());
        latency.add(Duration::from_millis(2));
        latency.add(Duration::from_secs(20));
        page.latency("a_seconds", "x", &latency);
        let text = page.text();
        assert!(text.starts_with("a_seconds_bucket{endpoint=\"x\",le=\"0.001\"} 0\n"));
        assert!(text.contains("a_seconds_bucket{endpoint=\"x\",le=\"0.0025\"} 1\n"));
        assert!(text.ends_with(
            "a_seconds_bucket{endpoint=\"x\",le=\"+Inf\"} 2\na_seconds_sum{endpoint=\"x\"} 20.002\n\
             a_seconds_count{endpoint=\"x\"} 2\n"
        ));
    }
}

//! A page of metrics, read as strictly as Prometheus' own linter does.

use std::collections::{BTreeMap, BTreeSet};

/// Every sample of a page by its name and labels as they stand there.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Reads a page; whatever is not as the text format 0.0.4 wants it is a panic that names the line.
pub(crate) fn read(page: &str) -> Samples {
    assert!(page.ends_with('\n'), "the last line has no end");
    let mut reader = Reader::default();
    for line in page.lines() {
        reader.line(line);
    }
    reader.histograms();
    reader.samples
}

#[derive(Default)]
struct Reader {
    /// The family whose samples come now, and its kind.
    family: String,
    kind: String,
    helped: BTreeSet<String>,
    typed: BTreeSet<String>,
    samples: Samples,
    /// Name, labels without `le`, bound and value of each bucket, in order.
    buckets: Vec<(String, String, f64, f64)>,
}

impl Reader {
    fn line(&mut self, line: &str) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect(line);
            assert!(!text.is_empty() && is_name(name), "{line}");
            assert!(self.helped.insert(name.to_owned()), "{name} is told twice");
            return;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert!(
                matches!(kind, "counter" | "gauge" | "histogram" | "summary"),
                "{line}"
            );
            assert!(self.helped.contains(name), "{name} has no help");
            assert!(
                self.typed.insert(name.to_owned()),
                "{name} stands in two places"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            self.family = name.to_owned();
            self.kind = kind.to_owned();
            return;
        }
        self.sample(line);
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line), line)),
            None => (series, Vec::new()),
        };
        assert!(is_name(name), "{line}");
        let of_family = name
            .strip_prefix(self.family.as_str())
            .unwrap_or_else(|| panic!("{line} is not of {}", self.family));
        match self.kind.as_str() {
            "histogram" => {
                assert!(matches!(of_family, "_bucket" | "_sum" | "_count"), "{line}");
                if of_family == "_bucket" {
                    let bound = labels.iter().find(|(label, _)| label == "le").expect(line);
                    let bound = bound.1.replace("+Inf", "inf").parse().expect(line);
                    let rest = labels.iter().filter(|(label, _)| label != "le");
                    let rest: Vec<_> = rest
                        .map(|(label, value)| format!("{label}=\"{value}\""))
                        .collect();
                    self.buckets
                        .push((self.family.clone(), rest.join(","), bound, value));
                }
            }
            "summary" => assert!(matches!(of_family, "" | "_sum" | "_count"), "{line}"),
            _ => assert_eq!(of_family, "", "{line}"),
        }
        let known = self.samples.insert(series.to_owned(), value);
        assert!(known.is_none(), "{series} stands twice");
    }

    /// Buckets are in order, hold those below them too, and end with everything.
    fn histograms(&self) {
        for pair in self.buckets.windows(2) {
            let [
                (name, labels, bound, count),
                (next_name, next_labels, next_bound, next_count),
            ] = pair
            else {
                unreachable!()
            };
            let same = (name, labels) == (next_name, next_labels);
            assert!(
                !same || (bound < next_bound && count <= next_count),
                "{pair:?}"
            );
            assert!(same || bound.is_infinite(), "{pair:?}");
        }
        for (name, labels, bound, count) in &self.buckets {
            if bound.is_infinite() {
                let labels = if labels.is_empty() {
                    String::new()
                } else {
                    format!("{{{labels}}}")
                };
                assert_eq!(
                    self.samples.get(&format!("{name}_count{labels}")),
                    Some(count)
                );
                assert!(self.samples.contains_key(&format!("{name}_sum{labels}")));
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// `a="b",c="d"` with `\\`, `\"` and `\n` inside the quotes.
fn labels(text: &str, line: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").expect(line);
        assert!(is_name(name) && !name.contains(':'), "{line}");
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            let (at, letter) = letters.next().expect(line);
            match letter {
                '"' => break at,
                '\\' => {
                    let (_, escaped) = letters.next().expect(line);
                    assert!(matches!(escaped, '\\' | '"' | 'n'), "{line}");
                    value.push(escaped);
                }
                letter => value.push(letter),
            }
        };
        assert!(labels.iter().all(|(known, _)| known != name), "{line}");
        labels.push((name.to_owned(), value));
        rest = &quoted[end + 1..];
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').expect(line);
            assert!(!rest.is_empty(), "{line}");
        }
    }
    labels
}

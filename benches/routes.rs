//! What it costs to find the endpoint of a host, and to change one, among ten and among ten thousand.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot begin has nobody else to tell"
)]
#![allow(missing_docs, reason = "criterion's macros write what nobody reads")]

use std::collections::HashMap;
use std::hint::black_box;

use adit_gateway::bench::Routes;
use adit_policy::endpoint_url::EndpointUrl;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SIZES: [usize; 2] = [10, 10_000];

/// Every tenth is a wildcard.
fn url(at: usize) -> String {
    match at % 10 {
        0 => format!("https://*.wild-{at}.example.com"),
        _ => format!("https://host-{at}.example.com"),
    }
}

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routes");
    for size in SIZES {
        let table = Routes::of((0..size).map(url)).expect("urls");
        let last = size - size % 10 - 10;
        let (exact, wild) = (
            format!("host-{}.example.com", last + 1),
            format!("a.b.wild-{last}.example.com"),
        );
        assert!(table.finds(&exact) && table.finds(&wild) && !table.finds("nobody.example.com"));
        for (kind, host) in [
            ("exact", &*exact),
            ("wildcard", &*wild),
            ("miss", "nobody.example.com"),
        ] {
            group.bench_with_input(BenchmarkId::new(kind, size), host, |bench, host| {
                bench.iter(|| table.finds(black_box(host)));
            });
        }
        // The yardstick: the same look into the standard library's table, which nobody may change while it is looked at.
        let plain: HashMap<String, usize> = (0..size)
            .map(|at| (format!("host-{at}.example.com"), at))
            .collect();
        group.bench_with_input(
            BenchmarkId::new("exact in a HashMap", size),
            &*exact,
            |bench, host| {
                bench.iter(|| plain.get(black_box(host)));
            },
        );
        let changed = EndpointUrl::parse(&url(last + 1)).expect("a url");
        group.bench_with_input(
            BenchmarkId::new("change one", size),
            &changed,
            |bench, changed| {
                bench.iter(|| table.put(black_box(changed)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, routes);
criterion_main!(benches);

//! What it costs to choose one of one, ten and a thousand members, and to count the request that it gets.

#![allow(
    clippy::expect_used,
    reason = "a bench that cannot begin has nobody else to tell"
)]
#![allow(missing_docs, reason = "criterion's macros write what nobody reads")]

use std::hint::black_box;

use adit_gateway::{bench::Members, config::Balance};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

const SIZES: [u64; 3] = [1, 10, 1_000];

fn pools(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("choose");
    for (name, balance) in [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("hash", Balance::Hash),
    ] {
        for size in SIZES {
            let members = Members::new(balance, size).expect("a pool");
            assert!(members.serve_one(1));
            let mut key: u64 = 0;
            group.bench_function(BenchmarkId::new(name, size), |bench| {
                bench.iter(|| {
                    key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    members.serve_one(black_box(key))
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, pools);
criterion_main!(benches);

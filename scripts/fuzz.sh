#!/bin/sh
# Fuzz targets, with coverage counters on the stable compiler.
#   fuzz.sh build            builds them
#   fuzz.sh run SECONDS      runs each for so long
set -eu
cd "$(dirname "$0")/../policy/fuzz"

# What cargo-fuzz sets, without the sanitizers that only a nightly compiler has: our crates have no unsafe code.
target=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
export RUSTFLAGS="$flags"

# What is fuzzed is built of the same versions as what is shipped; the fuzzer's own library is added to them.
cp ../../Cargo.lock Cargo.lock

# An explicit target keeps the flags away from build scripts and macros.
cargo build --release --quiet --target "$target"

if [ "${1:-build}" = run ]; then
    seconds=${2:-60}
    for source in targets/*.rs; do
        name=$(basename "$source" .rs)
        mkdir -p "corpus/$name"
        seeds="../../tests/policies"
        [ "$name" = document ] && [ -d "$seeds" ] || seeds=
        echo "fuzz: $name for $seconds s"
        "target/$target/release/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 \
            -print_final_stats=1 -artifact_prefix="corpus/$name-" "corpus/$name" $seeds 2>&1 |
            grep -E "^(stat::number_of_executed_units|stat::peak_rss_mb|==|SUMMARY|Done|thread|.*panicked)" || true
        if ls "corpus/$name-"* >/dev/null 2>&1; then
            echo "fuzz: $name failed; the input is in policy/fuzz/corpus" >&2
            exit 1
        fi
    done
fi

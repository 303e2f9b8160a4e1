#!/bin/sh
# The rules that no compiler checks: who may know whom, names, words, and the size of a file. Prints every breach, then fails.
set -eu
cd "$(dirname "$0")/.."

breaches=$(mktemp)
trap 'rm -f "$breaches"' EXIT

breach() { echo "$*" >>"$breaches"; }

rust_files() { find . \( -path '*/target' -o -path './.*/*' \) -prune -o -name '*.rs' -print | sed 's|^\./||' | sort; }

# === who may know whom (README, "The house") ===

# knows CRATE KINDS: every package that CRATE is built from, itself left out.
knows() {
    tree=$(cargo tree --quiet --locked -p "$1" --edges "$2" --prefix none --format '{p}') || breach "cargo tree -p $1 does not work"
    echo "$tree" | awk '{ print $1 }' | sort -u | grep -vx "$1"
}

# may_know CRATE KINDS ALLOWED…: of the workspace's crates, these and no others.
may_know() {
    crate=$1 kinds=$2
    shift 2
    for other in $(knows "$crate" "$kinds" | grep -E '^adit(-|$)' || true); do
        case " $* " in *" $other "*) ;; *) breach "$crate knows $other: allowed are: ${*:-none}" ;; esac
    done
}

no_pingora() {
    for found in $(knows "$1" "$2" | grep '^pingora' || true); do
        breach "$1 knows $found: only adit-gateway may know the proxy engine"
    done
}

may_know adit-policy normal,build,dev
may_know adit-wire normal,build,dev
may_know adit-gateway normal,build adit-policy adit-wire
may_know adit-agent normal,build adit-policy adit-wire
if cargo tree --quiet --locked -p adit --edges normal --depth 1 --prefix none | grep -q '^adit-wire '; then
    breach "adit knows adit-wire: the command speaks to adit-agent and adit-gateway"
fi
no_pingora adit-policy normal,build,dev
no_pingora adit-wire normal,build,dev
no_pingora adit-agent normal,build

# === words and names ===

# refuse PATTERN WHY FILE…: no line of these files may match.
refuse() {
    pattern=$1 why=$2
    shift 2
    [ $# = 0 ] || grep -nHE -e "$pattern" -- "$@" | sed "s|\$|   <- $why|" >>"$breaches" || true
}

# shellcheck disable=SC2046  # one word per file; no file here has a space in its name
set -- $(rust_files)

for file in "$@"; do
    head -n 1 "$file" | grep -q '^//! ' || breach "$file:1: the first line must be //! and one sentence that says what the file is for"
    case "/$file" in
        */utils.rs | */util.rs | */common.rs | */types.rs | */helpers.rs | */helper.rs | */utils/* | */util/* | */common/* | */types/* | */helpers/*)
            breach "$file: name the file after the thing in it, not after the kind of thing" ;;
    esac
done

refuse '\b(todo|unimplemented)!' 'finish it, or leave it out' "$@"
refuse '#\[ignore' 'a test that does not run tests nothing' "$@"
refuse '\b(TODO|FIXME|XXX)\b($|[^(]|\([^#]|\(#[^0-9])' 'write TODO(#12), with the number of its issue' "$@"
refuse '\b(struct|enum|trait|type|union|mod)[[:space:]]+[A-Za-z0-9_]*([a-z0-9](Manager|Helper|Helpers|Util|Utils|Impl|Base)|_(manager|helper|helpers|util|utils|impl|base))\b' 'name what it does' "$@"
# shellcheck disable=SC2046
refuse '\bsleep[[:space:]]*\(' 'wait on the event, never on the clock' $(rust_files | grep -E '(^|/)tests/' || true)

# === the README's table of dependencies is the one in Cargo.toml ===

declared=$(awk '/^\[/ { inside = ($0 == "[workspace.dependencies]") } inside && /^[a-z0-9_-]+ *=/ && !/path *=/ { print $1 }' Cargo.toml | sort)
explained=$(awk '/^## / { inside = ($0 == "## Dependencies") } inside && /^\| `/ { split($0, cell, "|"); n = split(cell[2], part, "`"); for (i = 2; i <= n; i += 2) print part[i] }' README.md | sort)
for name in $declared; do
    echo "$explained" | grep -qx -- "$name" || breach "README.md: the table under \"Dependencies\" does not say why $name is there"
done
for name in $explained; do
    echo "$declared" | grep -qx -- "$name" || breach "README.md: the table under \"Dependencies\" explains $name, which Cargo.toml does not have"
done

# === what a gateway keeps is nobody else's ===

for file in $(git ls-files 'examples/*/data/*' '*/keyring.json' '*/ca-key.pem'); do
    breach "$file: keys of a gateway that ran here; take it out of the index, and its folder into .gitignore"
done

# === each row of the failure table is a test ===

for name in $(awk '/^## / { inside = ($0 ~ /What dies/) } inside && /^\| / { n = split($0, cell, "|"); print cell[n - 1] }' docs/pools.md | grep -o '`[A-Za-z0-9_]*`' | tr -d '`'); do
    grep -rqw -- "fn $name" tests/e2e || breach "docs/pools.md: there is no test called $name"
done

# === size ===

# Lines before the tests at the bottom of a file.
code_lines() { awk 'held && /^(pub(\(crate\))? )?mod [a-z_]+ \{/ { print NR - 2; found = 1; exit } { held = /^#\[cfg\(test\)\]/ } END { if (!found) print NR }' "$1"; }

# Files that may be longer than 400 lines, one a line, each with its reason.
may_be_long() {
    case $1 in
        *) return 1 ;;
    esac
}

# A file of a module's tests holds nothing else.
sizes=$(for file in "$@"; do case $file in */src/*/tests.rs | */src/*/tests/*) continue ;; esac; echo "$(code_lines "$file") $file"; done | sort -rn)
echo 'the ten longest files, tests left out:'
echo "$sizes" | head -n 10 | awk '{ printf "%6d  %s\n", $1, $2 }'
for file in $(echo "$sizes" | awk '$1 > 400 { print $2 }'); do
    may_be_long "$file" || breach "$file: more than 400 lines of code: split it, or give scripts/house-rules.sh the reason"
done

if [ -s "$breaches" ]; then
    echo 'house rules broken:' >&2
    cat "$breaches" >&2
    exit 1
fi
echo 'house rules kept'

"""The side-by-side bench: Adit, its rivals and its floor, on one machine in one run.

Prints Markdown to stdout and progress to stderr. Run through `make bench`, or after a release build:
python3 benches/compare/main.py --quick
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
from pathlib import Path

import budgets
import bulk
import endpoints
import load
import login
import nginx
import procfs
import report
import systems
import tunnel
import upheaval
from procs import Lab, NotReady
from results import Results
from tools import HERE, Missing, Tools, default_bin_dir

SECTIONS = (*(section.name for section in load.LOADS), "bulk", "first-byte", "idle-agents", "idle-clients", "endpoints",
            "logins", "upheavals")


def main() -> int:
    options = parse_arguments()
    tools = Tools(options.bin_dir)
    if tools.absent_peers() and not options.no_install:
        # Its failure is no end: what is still missing then is skipped, or named below.
        subprocess.run([str(HERE / "install.sh")], stdout=sys.stderr, check=False)
    results = Results(
        settings=settings(options), machine=procfs.machine(), versions=versions(tools),
        date=datetime.date.today().isoformat(),
    )
    lab = Lab()
    try:
        run(options, lab, tools, results)
    except (Missing, NotReady) as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        lab.close()
    print(report.markdown(results), end="")
    if options.json:
        write_json(options.json, results)
    return 1 if results.adit_failed() else 0


def run(options: argparse.Namespace, lab: Lab, tools: Tools, results: Results) -> None:
    origin, origin_port = nginx.start_origin(lab, tools.nginx())
    tools.wrk()
    run_loads(options, lab, tools, results, origin_port)
    if "bulk" in options.sections:
        # What a policy costs shows in requests, not in megabytes.
        names = [name for name in options.systems if name not in results.skipped and "policy" not in name]
        results.bulk, skipped = bulk.measure(lab, tools, names, options.bulk_megabytes, options.rounds)
        results.skipped.update({name if name == "adit" else f"bulk of {name}": why for name, why in skipped.items()})
    if "adit" not in options.systems or "adit" in results.skipped:
        return
    for name, measure in (
        ("first-byte", lambda: tunnel.first_byte(lab, tools, origin_port, options.attempts)),
        ("idle-agents", lambda: tunnel.idle_agents(lab, tools, options.agents)),
        ("idle-clients", lambda: tunnel.idle_clients(lab, tools, origin_port, options.clients)),
        ("endpoints", lambda: endpoints.measure(
            lab, tools, origin_port, options.endpoints, options.rounds, options.seconds)),
        ("logins", lambda: login.measure(lab, tools, origin_port, options.logins)),
        ("upheavals", lambda: upheaval.measure(lab, tools, origin_port)),
    ):
        if name in options.sections:
            try:
                setattr(results, name.replace("-", "_"), measure())
            except (Missing, NotReady, load.Broken, OSError) as reason:
                results.skipped[name] = str(reason)
            lab.stop(*(child for child in reversed(lab.children) if child is not origin))


def run_loads(options: argparse.Namespace, lab: Lab, tools: Tools, results: Results, origin_port: int) -> None:
    sections = [section for section in load.LOADS if section.name in options.sections]
    if not sections:
        return
    running = []
    for name in options.systems:
        try:
            running.append(systems.start(name, lab, tools, origin_port))
        except (Missing, NotReady) as reason:
            print(f"  skipped {name}: {reason}", file=sys.stderr)
            results.skipped[name] = str(reason)
    for section in sections:
        measured, broken = load.measure(section, running, tools, options.rounds, options.seconds)
        results.loads[section.name] = measured
        results.skipped.update(broken)
        running = stop_broken(lab, running, broken)
    for system in running:
        systems.stop(lab, system)


def stop_broken(lab: Lab, running: list[systems.System], broken: dict[str, str]) -> list[systems.System]:
    """Those that still run; what broke once is not asked again."""
    for system in running:
        if system.name in broken:
            systems.stop(lab, system)
    return [system for system in running if system.name not in broken]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3)")
    parser.add_argument("--seconds", type=int, help="length of one wrk run (default 4)")
    parser.add_argument("--only", default="", metavar="NAME,…",
                        help=f"only these systems ({', '.join(systems.STARTERS)}) and sections ({', '.join(SECTIONS)})")
    parser.add_argument("--quick", action="store_true", help="one short round of everything, to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write every run's figures here")
    parser.add_argument("--bin-dir", type=Path, default=default_bin_dir(), metavar="DIR",
                        help="where the built programs are (default target/release)")
    parser.add_argument("--no-install", action="store_true", help="do not install missing peers")
    options = parser.parse_args()

    wanted = {name for name in options.only.split(",") if name}
    if unknown := wanted - set(SECTIONS) - set(systems.STARTERS):
        parser.error(f"--only does not know {', '.join(sorted(unknown))}")
    options.sections = [name for name in SECTIONS if name in wanted] or list(SECTIONS)
    options.systems = [name for name in systems.STARTERS if name in wanted] or list(systems.STARTERS)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 4)
    options.bulk_megabytes, options.attempts, options.agents, options.clients, options.logins, options.endpoints = (
        (20, 2, 50, 200, 100, 500) if options.quick else (200, 5, 1000, 5000, 3000, 10000))
    return options


def settings(options: argparse.Namespace) -> dict:
    names = ("rounds", "seconds", "quick", "sections", "systems", "bulk_megabytes", "attempts", "agents", "clients", "logins",
             "endpoints")
    return {name: getattr(options, name) for name in names} | {"build": options.bin_dir.resolve().name}


def versions(tools: Tools) -> dict[str, str]:
    """Each program's own word about its version; a missing one is left out."""
    found = {}
    for name, program, flag in (("adit", tools.adit, "version"), ("nginx", tools.nginx, "-v"),
                                ("rathole", tools.rathole, "--version"), ("wrk", tools.wrk, "-v")):
        try:
            done = subprocess.run([str(program()), flag], capture_output=True, text=True, timeout=10)
        except (Missing, subprocess.TimeoutExpired):
            continue
        number = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
        found[name] = f"{name} {number[0]}" if number else name
    return found


def write_json(path: Path, results: Results) -> None:
    document = results.as_json()
    document["budgets"] = [{**vars(budget), "verdict": budget.verdict().strip("*")} for budget in budgets.judge(results)]
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.exit(main())

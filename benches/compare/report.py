"""The Markdown report: one table per section, ready to be pasted into a README."""

import load
import login
import tunnel
import upheaval
from budgets import judge
from endpoints import Endpoints
from results import Results
from systems import LABELS

# A peer whose cost moves this much within one run says that the machine was busy with something else.
NOISY_SPREAD = 1.3


def markdown(results: Results) -> str:
    parts = [heading(results)]
    for section in load.LOADS:
        if section.name in results.loads:
            parts.append(load_table(section, results))
    if results.bulk:
        parts.append(bulk_table(results))
    if results.first_byte:
        parts.append(first_byte_table(results.first_byte))
    if results.idle_agents or results.idle_clients:
        parts.append(memory_table(results))
    if results.endpoints:
        parts.append(endpoints_table(results.endpoints))
    if results.logins:
        parts.append(login_table(results.logins))
    if results.upheavals:
        parts.append(upheaval_table(results.upheavals))
    parts.append(budget_table(results))
    if results.skipped:
        parts.append("\n".join(f"- skipped {what}: {why}" for what, why in results.skipped.items()))
    return "\n\n".join(parts) + "\n"


def heading(results: Results) -> str:
    machine, settings = results.machine, results.settings
    versions = ", ".join(results.versions.values())
    lines = [
        f"Measured {results.date} on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, "
        f"Linux {machine['kernel']} (load {machine['load_before']} before the start); {versions}.",
        f"Loopback; load generator, origin and the system under test share the cores. "
        f"Medians of {settings['rounds']} interleaved rounds of {settings['seconds']} s. "
        "Ratios are medians of each round's own ratio.",
    ]
    if settings["quick"]:
        lines.append("**A quick run: it shows that everything works, not how fast it is.**")
    if settings["build"] != "release":
        lines.append(f"**Adit and the plain Pingora proxy are `{settings['build']}` builds: their figures mean nothing.**")
    return "\n".join(lines)


def load_table(section: load.Load, results: Results) -> str:
    runs = results.loads[section.name]
    rows = [load_row(name, section.name, results) for name in LABELS if name in runs]
    table = grid(
        f"### {section.title}",
        ["", "req/s", "÷ direct", "÷ nginx", "p50 ms", "p99 ms", "CPU µs/req [range]", "CPU ÷ nginx",
         "CPU µs/req by process", "RSS MB"],
        rows)
    return "\n".join([table, *load_notes(runs)])


def load_row(name: str, section: str, results: Results) -> list[str]:
    runs = results.loads[section][name]

    def against(base: str, figure: str) -> str:
        return number(results.load_ratio(section, name, base, figure), 2)

    if not runs[0].cpu_us_by_process:
        cpu = ["–"] * 4
    else:
        costs = [run.cpu_us for run in runs]
        cpu = [
            f"{load.median(runs, 'cpu_us'):.1f} [{min(costs):.1f}–{max(costs):.1f}]", against("nginx", "cpu_us"),
            by_process(runs), f"{load.median(runs, 'rss_mb'):.0f}",
        ]
    return [
        LABELS[name], f"{load.median(runs, 'requests_per_second'):,.0f}",
        against("direct", "requests_per_second"), against("nginx", "requests_per_second"),
        f"{load.median(runs, 'p50_ms'):.2f}", f"{load.median(runs, 'p99_ms'):.2f}", *cpu,
    ]


def by_process(runs: list[load.Run]) -> str:
    roles = runs[0].cpu_us_by_process
    if len(roles) == 1:
        return "–"
    return ", ".join(f"{role} {tunnel.median([run.cpu_us_by_process[role] for run in runs]):.1f}" for role in roles)


def load_notes(runs: load.Runs) -> list[str]:
    notes = []
    for name, each in runs.items():
        if not all(run.counts() for run in each):
            refused, broken = sum(run.not_2xx for run in each), sum(run.socket_errors for run in each)
            notes.append(f"- {name}: {refused} answers were not 2xx, {broken} socket errors; its figures do not count")
    costs = [run.cpu_us for run in runs.get("nginx", [])]
    if costs and max(costs) > NOISY_SPREAD * min(costs):
        notes.append(f"- noisy: nginx itself cost between {min(costs):.1f} and {max(costs):.1f} µs; read the ratios only")
    return ["", *notes] if notes else []


def bulk_table(results: Results) -> str:
    rows = []
    for name in (name for name in LABELS if name in results.bulk):
        row = [LABELS[name]]
        for transfers in (results.bulk[name].down, results.bulk[name].up):
            row.append(f"{load.median(transfers, 'mb_per_second'):,.0f}")
            row.append("–" if name == "direct" else f"{load.median(transfers, 'cpu_ms_per_mb'):.2f}")
        rows.append(row)
    return grid(f"### Bulk: {results.settings['bulk_megabytes']} MB each way, one connection",
                ["", "down MB/s", "CPU ms/MB", "up MB/s", "CPU ms/MB"], rows)


def first_byte_table(found: tunnel.FirstByte) -> str:
    figures = (("agent started → online", found.online_ms), ("first request → first byte", found.first_request_ms),
               ("second request → first byte", found.second_request_ms))
    return grid(f"### A fresh agent ({len(found.online_ms)} times)", ["", "median ms", "worst ms"],
                [[what, f"{tunnel.median(each):.1f}", f"{max(each):.1f}"] for what, each in figures])


def memory_table(results: Results) -> str:
    rows = []
    for what, idle in (("agent session", results.idle_agents), ("client connection", results.idle_clients)):
        if idle:
            rows.append([f"{idle.count:,} × idle {what}", f"{idle.before_kb / 1024:.1f}",
                         f"{idle.after_kb / 1024:.1f}", f"{idle.kb_each():.1f}"])
    return grid("### Memory of the gateway", ["", "before MB", "with them MB", "KB each"], rows)


def endpoints_table(results: list[Endpoints]) -> str:
    rows = [[
        f"{result.count:,}", f"{result.bind_seconds:.2f}", f"{result.count / max(result.bind_seconds, 0.001):,.0f}",
        f"{result.start_seconds:.1f}", f"{result.gateway_before_kb / 1024:.1f}", f"{result.gateway_after_kb / 1024:.1f}",
        f"{result.gateway_kb_each():.1f}", f"{result.agent_kb / 1024:.1f}",
        f"{load.median(result.runs, 'cpu_us'):.1f}", f"{load.median(result.runs, 'p99_ms'):.2f}",
    ] for result in results]
    return grid(
        "### Endpoints of one agent, and tiny requests to one of them",
        ["endpoints", "bind s", "binds/s", "from start s", "gateway MB before", "after", "KB each", "agent MB", "CPU µs/req",
         "p99 ms"],
        rows)


def login_table(found: login.Logins) -> str:
    return grid(f"### Logins through `openid-connect` ({found.count:,}, eight browsers)", ["", "per second", "gateway CPU µs each"],
                [["away to the provider, back with a code, session begun", f"{found.per_second:,.0f}", f"{found.gateway_us_each:,.0f}"]])


def upheaval_table(upheavals: list[upheaval.Upheaval]) -> str:
    rows = [
        [one.name, f"{one.requests:,}", f"{one.p50_ms:.2f}", f"{one.p99_ms:.2f}", f"{one.longest_ms:.0f}", f"{one.failed}"]
        for one in upheavals
    ]
    return grid(
        f"### While the fleet changes: three agents, {upheaval.CONNECTIONS} connections, {upheaval.SECONDS} s",
        ["", "requests", "p50 ms", "p99 ms", "longest ms", "failed"],
        rows)


def budget_table(results: Results) -> str:
    rows = [[budget.what, budget.bound(budget.budget), budget.bound(budget.stretch),
             number(budget.figure, 2), budget.verdict()] for budget in judge(results)]
    table = grid("### Budgets", ["what", "budget", "stretch", "measured", ""], rows)
    table += "\n\nNot judged here: the policy's own cost, which `cargo bench` measures, and the stalled stream, which is a test."
    rival = results.load_ratio("tiny", "adit", "nginx+rathole", "requests_per_second")
    if rival is None:
        return table
    return f"{table} Req/s ÷ nginx + rathole, no policy on either side: {rival:.2f}."


def grid(title: str, head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"

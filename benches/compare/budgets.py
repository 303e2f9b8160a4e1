"""The design's budgets, each set against what this run measured."""

from dataclasses import dataclass

from results import Results


@dataclass
class Budget:
    """One line of the verdict. `figure` is None when nothing of this run can judge it."""

    what: str
    unit: str
    budget: float
    stretch: float
    figure: float | None
    at_least: bool = False

    def verdict(self) -> str:
        if self.figure is None:
            return "not measured"
        side = -1 if self.at_least else 1
        if side * self.figure > side * self.budget:
            return "**missed**"
        return "met, stretch too" if side * self.figure <= side * self.stretch else "met"

    def bound(self, figure: float) -> str:
        return f"{'≥' if self.at_least else '≤'} {figure:g} {self.unit}"


def judge(results: Results) -> list[Budget]:
    """All the budgets that this bench can judge."""
    return [
        Budget("gateway + agent, TLS on the tunnel, no policy: CPU per request ÷ nginx", "×", 1.9, 1.6,
               results.load_ratio("tiny", "adit", "nginx", "cpu_us")),
        Budget("the same with a policy of 5 actions and 3 expressions", "×", 2.2, 1.8,
               results.load_ratio("tiny", "adit+policy", "nginx", "cpu_us")),
        Budget("req/s with that policy ÷ nginx with the same features + rathole, whose tunnel is plaintext", "×", 1.5, 1.8,
               results.load_ratio("tiny", "adit+policy", "nginx(policy)+rathole", "requests_per_second"), at_least=True),
        Budget("64 KB bodies: CPU per request ÷ plain Pingora proxy", "×", 2.2, 1.7,
               results.load_ratio("64k", "adit", "plain-pingora", "cpu_us")),
        Budget("one connection, one request at a time: CPU per request ÷ nginx", "×", 2.7, 2.0,
               results.load_ratio("single", "adit", "nginx", "cpu_us")),
        Budget("memory of an idle gateway", "MB", 40, 20,
               results.idle_agents and results.idle_agents.before_kb / 1024),
        Budget("memory per idle agent session", "KB", 64, 32,
               results.idle_agents and results.idle_agents.kb_each()),
        Budget("memory per idle client connection", "KB", 16, 8,
               results.idle_clients and results.idle_clients.kb_each()),
    ]

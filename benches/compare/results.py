"""Everything one run of the bench found out."""

from dataclasses import asdict, dataclass, field

import load
from bulk import Bulk
from endpoints import Endpoints
from login import Logins
from tunnel import FirstByte, Idle
from upheaval import Upheaval


@dataclass
class Results:
    settings: dict
    machine: dict
    date: str
    versions: dict[str, str]
    loads: dict[str, load.Runs] = field(default_factory=dict)
    bulk: dict[str, Bulk] = field(default_factory=dict)
    first_byte: FirstByte | None = None
    idle_agents: Idle | None = None
    idle_clients: Idle | None = None
    endpoints: list[Endpoints] = field(default_factory=list)
    logins: Logins | None = None
    upheavals: list[Upheaval] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    """What was left out, and why: a missing peer is a word in the report, not a failure."""

    def load_ratio(self, section: str, name: str, base: str, figure: str) -> float | None:
        """A system's figure ÷ another's in the same section; None when one of them did not run, or failed requests."""
        runs = self.loads.get(section, {})
        if not all(each in runs and all(run.counts() for run in runs[each]) for each in (name, base)):
            return None
        return load.ratio(runs[name], runs[base], figure)

    def adit_failed(self) -> bool:
        """Whether Adit itself could not be measured, in part or as a whole."""
        own_sections = {"adit", "first-byte", "idle-agents", "idle-clients", "endpoints", "logins", "upheavals"}
        runs = [run for section in self.loads.values() for run in section.get("adit", [])]
        failed = any(one.failed for one in self.upheavals)
        return failed or bool(own_sections & set(self.skipped)) or not all(run.counts() for run in runs)

    def as_json(self) -> dict:
        return asdict(self)

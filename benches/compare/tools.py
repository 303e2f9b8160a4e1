"""Where the programs of the bench are: the peers on this machine, Adit's own binaries in the build directory."""

import os
import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = "cargo build --release --workspace --bins --examples"


class Missing(Exception):
    """A program that is not here; the text names it and how to get it."""


def default_bin_dir() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"


class Tools:
    """Finds programs; asking for one that is missing raises `Missing`."""

    def __init__(self, bin_dir: Path) -> None:
        self.bin_dir = bin_dir.resolve()

    def adit(self) -> Path:
        return self._built(self.bin_dir / "adit")

    def plain_proxy(self) -> Path:
        return self._built(self.bin_dir / "examples" / "plain_proxy")

    def idle_agents(self) -> Path:
        return self._built(self.bin_dir / "examples" / "idle_agents")

    def nginx(self) -> Path:
        return self._installed("nginx")

    def rathole(self) -> Path:
        return self._installed("rathole")

    def wrk(self) -> Path:
        return self._installed("wrk")

    def curl(self) -> Path:
        return self._installed("curl")

    def openssl(self) -> Path:
        return self._installed("openssl")

    def absent_peers(self) -> list[str]:
        return [name for name in ("wrk", "nginx", "curl", "openssl", "rathole") if not find_installed(name)]

    def _built(self, path: Path) -> Path:
        if not os.access(path, os.X_OK):
            raise Missing(f"{path.name} is not built in {path.parent} ({BUILD})")
        return path

    def _installed(self, name: str) -> Path:
        found = find_installed(name)
        if not found:
            raise Missing(f"{name} is not installed (benches/compare/install.sh)")
        return Path(found)


def find_installed(name: str) -> str | None:
    """Also looks where a user's PATH often does not: sbin, and cargo's own directory."""
    cargo_home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", str(cargo_home / "bin")]
    return shutil.which(name, path=os.pathsep.join(places))
